"""One immutable set of path attributes with its next hop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import unpack
from typing import Any, NamedTuple, TypedDict, Unpack

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import aggregator, as_path, edge
from .aggregator import Aggregator
from .as_path import AsPath
from .edge import Edge, ForwardingEdge
from .pmsi import PmsiTunnel
from .table import CONTRAIL_ORDER, SPECS, AttributeType, header

_NO_MED = bytes(4)
_MED = AttributeType.MULTI_EXIT_DISC


class UnknownAttribute(NamedTuple):
    """An attribute nobody here understands, passed on as it came (RFC 4271 5)."""

    flags: int
    code: int
    value: bytes


class Fields(TypedDict, total=False):
    """What `Attributes.make` and `.replace` take. None, or an empty tuple, means: without this attribute."""

    origin: int | None
    as_path: AsPath | None
    next_hop: bytes
    med: int | None
    local_pref: int | None
    atomic_aggregate: bool
    aggregator: Aggregator | None
    communities: tuple[int, ...]
    originator_id: int | None
    cluster_list: tuple[int, ...]
    ext_communities: tuple[bytes, ...]
    pmsi: PmsiTunnel | None
    edge_discovery: tuple[Edge, ...]
    edge_forwarding: tuple[ForwardingEdge, ...]
    origin_vn_path: tuple[bytes, ...]
    large_communities: tuple[tuple[int, int, int], ...]
    unknown: tuple[UnknownAttribute, ...]


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _numbers(value: bytes) -> tuple[int, ...]:
    return unpack(f"!{len(value) >> 2}I", value)


def _eights(value: bytes) -> tuple[bytes, ...]:
    return tuple([value[i : i + 8] for i in range(0, len(value), 8)])


def _triples(value: bytes) -> tuple[tuple[int, int, int], ...]:
    numbers = _numbers(value)
    return tuple(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))


def _write_number(value: int | None) -> bytes:
    return b"" if value is None else value.to_bytes(4, "big")


def _write_numbers(values: tuple[int, ...]) -> bytes:
    return b"".join([value.to_bytes(4, "big") for value in values])


def _write_sorted_numbers(values: tuple[int, ...]) -> bytes:
    return _write_numbers(tuple(sorted(set(values))))


def _write_sorted_eights(values: tuple[bytes, ...]) -> bytes:
    return b"".join(sorted(set(values)))


def _write_triples(values: tuple[tuple[int, int, int], ...]) -> bytes:
    return b"".join([_write_numbers(triple) for triple in sorted(set(values))])


class _Field(NamedTuple):
    """How a field is read from its attribute's value and written back; `absent` stands for a missing attribute."""

    code: int
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    absent: Any


_T = AttributeType

_FIELDS: Mapping[str, _Field] = {
    "origin": _Field(_T.ORIGIN, lambda value: value[0], lambda origin: bytes((origin,)), None),
    "as_path": _Field(_T.AS_PATH, AsPath.from_bytes, lambda path: path.raw, AsPath()),
    "med": _Field(_MED, _number, _write_number, None),
    "local_pref": _Field(_T.LOCAL_PREF, _number, _write_number, None),
    "atomic_aggregate": _Field(_T.ATOMIC_AGGREGATE, lambda value: True, lambda flag: b"", False),
    "aggregator": _Field(_T.AGGREGATOR, Aggregator.read, lambda value: value.encode(), None),
    "communities": _Field(_T.COMMUNITIES, _numbers, _write_sorted_numbers, ()),
    "originator_id": _Field(_T.ORIGINATOR_ID, _number, _write_number, None),
    "cluster_list": _Field(_T.CLUSTER_LIST, _numbers, _write_numbers, ()),
    "ext_communities": _Field(_T.EXTENDED_COMMUNITIES, _eights, _write_sorted_eights, ()),
    "pmsi": _Field(_T.PMSI_TUNNEL, PmsiTunnel.read, lambda value: value.encode(), None),
    "edge_discovery": _Field(_T.EDGE_DISCOVERY, edge.read_discovery, edge.write_discovery, ()),
    "edge_forwarding": _Field(_T.EDGE_FORWARDING, edge.read_forwarding, edge.write_forwarding, ()),
    "origin_vn_path": _Field(_T.ORIGIN_VN_PATH, _eights, b"".join, ()),
    "large_communities": _Field(_T.LARGE_COMMUNITY, _triples, _write_triples, ()),
}

_KEPT = ("_encoded", "frames")

_HEADS: Mapping[int, bytes] = {code: bytes((SPECS[code].flags, code)) for code in CONTRAIL_ORDER}


def _write_attribute(code: int, value: bytes) -> bytes:
    size = len(value)
    if size > 0xFF:
        return header(SPECS[code].flags, code, size) + value
    return _HEADS[code] + bytes((size,)) + value


def _by_code(unknown: UnknownAttribute) -> int:
    return unknown.code


def _write_unknown(unknown: tuple[UnknownAttribute, ...]) -> bytes:
    return b"".join([header(u.flags, u.code, len(u.value)) + u.value for u in unknown])


class Attributes:
    """Path attributes and next hop, kept as bytes; a field is read when it is first asked for.

    Two sets are equal when they say the same, whatever the order on the wire: `key` holds next hop and attributes in
    one canonical form. `next_hop` has 4 or 16 bytes, or none. AS numbers always have 4 bytes inside. The writer keeps
    what it made of the set in `frames`, by family and width of AS numbers.
    """

    __slots__ = (
        "_encoded",
        "_hash",
        "_parts",
        "aggregator",
        "as_path",
        "atomic_aggregate",
        "cluster_list",
        "communities",
        "edge_discovery",
        "edge_forwarding",
        "ext_communities",
        "frames",
        "key",
        "large_communities",
        "local_pref",
        "med",
        "next_hop",
        "origin",
        "origin_vn_path",
        "originator_id",
        "pmsi",
        "unknown",
    )

    _encoded: dict[tuple[bool, bool, bool], bytes]
    _hash: int
    frames: dict[tuple[int, bool], Any]
    key: bytes
    next_hop: bytes
    unknown: tuple[UnknownAttribute, ...]
    origin: int | None
    as_path: AsPath
    med: int | None
    local_pref: int | None
    atomic_aggregate: bool
    aggregator: Aggregator | None
    communities: tuple[int, ...]
    originator_id: int | None
    cluster_list: tuple[int, ...]
    ext_communities: tuple[bytes, ...]
    pmsi: PmsiTunnel | None
    edge_discovery: tuple[Edge, ...]
    edge_forwarding: tuple[ForwardingEdge, ...]
    origin_vn_path: tuple[bytes, ...]
    large_communities: tuple[tuple[int, int, int], ...]

    def __init__(
        self, parts: Mapping[int, bytes], next_hop: bytes = b"", unknown: tuple[UnknownAttribute, ...] = ()
    ) -> None:
        """From sound attribute values by type code (AS numbers of 4 bytes, no NEXT_HOP, no MP_*, no AS4_*)."""
        self._parts = parts
        self.next_hop = next_hop
        self.unknown = unknown if len(unknown) < 2 else tuple(sorted(unknown, key=_by_code))

    def _make_key(self) -> bytes:
        parts, next_hop = self._parts, self.next_hop
        codes = sorted(parts)
        head = [len(next_hop), len(codes)]
        for code in codes:
            size = len(parts[code])
            head += (code, size >> 8, size & 0xFF)
        key = bytes(head) + next_hop + b"".join([parts[code] for code in codes])
        return key + _write_unknown(self.unknown) if self.unknown else key

    def __getattr__(self, name: str) -> Any:
        """Fills a slot when it is first asked for: fields, what is kept for writing, the key and its hash."""
        field = _FIELDS.get(name)
        value: Any
        if field is not None:
            raw = self._parts.get(field.code)
            value = field.absent if raw is None else field.read(raw)
        elif name in _KEPT:
            value = {}
        elif name == "key":
            value = self._make_key()
        elif name == "_hash":
            value = hash(self.key)
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    @classmethod
    def make(cls, **fields: Unpack[Fields]) -> Attributes:
        """A set of the fields given; ORIGIN is IGP and AS_PATH empty unless said otherwise."""
        blank = cls({_T.ORIGIN: b"\x00", _T.AS_PATH: b""})
        return blank.replace(**fields)

    def replace(self, **fields: Unpack[Fields]) -> Attributes:
        """The same set with some fields changed; community lists are sorted and freed of duplicates."""
        parts = dict(self._parts)
        next_hop, unknown = self.next_hop, self.unknown
        for name, value in fields.items():
            if name == "next_hop":
                next_hop = value  # type: ignore[assignment]  # a TypedDict's items() are objects
            elif name == "unknown":
                unknown = value  # type: ignore[assignment]
            else:
                field = _FIELDS[name]
                if value is None or value == () or value is False:
                    parts.pop(field.code, None)
                else:
                    parts[field.code] = field.write(value)
        return Attributes(parts, next_hop, unknown)

    def raw(self, code: int) -> bytes | None:
        """The value of one attribute as bytes (AS numbers of 4 bytes), None when it is absent."""
        return self._parts.get(code)

    @property
    def codes(self) -> tuple[int, ...]:
        """The type codes present, without next hop and unknown ones."""
        return tuple(self._parts)

    def encode(self, as4: bool, behaviour: Behaviour = CONTRAIL) -> bytes:
        """The attribute section without NEXT_HOP and MP_*, for a session with or without 4-byte AS numbers. Cached."""
        variant = (as4, behaviour.contrail_attribute_order, behaviour.omit_zero_med)
        encoded = self._encoded.get(variant)
        if encoded is None:
            encoded = self._encoded[variant] = self._encode(*variant)
        return encoded

    def _encode(self, as4: bool, contrail_order: bool, omit_zero_med: bool) -> bytes:
        parts = self._parts if as4 else self._narrowed()
        written = {
            code: _write_attribute(code, value)
            for code, value in parts.items()
            if not (omit_zero_med and code == _MED and value == _NO_MED)
        }
        if contrail_order:
            known = b"".join([written[code] for code in CONTRAIL_ORDER if code in written])
            return known + _write_unknown(self.unknown)
        for unknown in self.unknown:
            written[unknown.code] = _write_unknown((unknown,))
        return b"".join([written[code] for code in sorted(written)])

    def _narrowed(self) -> dict[int, bytes]:
        """The values for an old speaker: AS_TRANS in AS_PATH and AGGREGATOR, the truth beside (RFC 6793 4.2.2)."""
        parts = dict(self._parts)
        path = parts.get(_T.AS_PATH)
        if path is not None:
            segments = self.as_path.segments
            parts[_T.AS_PATH] = as_path.write_segments(segments, 2)
            if any(number > 0xFFFF for number in self.as_path.numbers):
                plain = [s for s in segments if s[0] in (as_path.AS_SET, as_path.AS_SEQUENCE)]
                parts[_T.AS4_PATH] = as_path.write_segments(plain, 4)
        if _T.AGGREGATOR in parts:
            short, wide = aggregator.narrow(parts[_T.AGGREGATOR])
            parts[_T.AGGREGATOR] = short
            if wide is not None:
                parts[_T.AS4_AGGREGATOR] = wide
        return parts

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Attributes) and self.key == other.key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        present = {name: getattr(self, name) for name, field in _FIELDS.items() if field.code in self._parts}
        fields = ", ".join(f"{name}={value!r}" for name, value in present.items())
        return f"Attributes(next_hop={self.next_hop.hex()}, {fields}{', unknown=…' if self.unknown else ''})"
