"""One immutable set of path attributes with its next hop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import unpack
from typing import Any, Final, NamedTuple, TypedDict, Unpack

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import aggregator, as_path, edge
from .aggregator import Aggregator
from .as_path import AsPath
from .edge import Edge, ForwardingEdge
from .pmsi import PmsiTunnel
from .table import CONTRAIL_ORDER, EXTENDED_LENGTH, PARTIAL, SPECS, AttributeType, header

_T = AttributeType
_ORIGIN: Final = int(_T.ORIGIN)
_AS_PATH: Final = int(_T.AS_PATH)
_MED: Final = int(_T.MULTI_EXIT_DISC)
_LOCAL_PREF: Final = int(_T.LOCAL_PREF)
_ATOMIC_AGGREGATE: Final = int(_T.ATOMIC_AGGREGATE)
_COMMUNITIES: Final = int(_T.COMMUNITIES)
_ORIGINATOR_ID: Final = int(_T.ORIGINATOR_ID)
_CLUSTER_LIST: Final = int(_T.CLUSTER_LIST)
_EXT_COMMUNITIES: Final = int(_T.EXTENDED_COMMUNITIES)
REFLECTED: Final = 1 << _ORIGINATOR_ID | 1 << _CLUSTER_LIST
"""What a reflector adds, as bits of `Attributes.present`."""
ZERO_MED: Final = bytes((SPECS[_MED].flags, _MED, 4, 0, 0, 0, 0))
_EMPTY_PATH: Final = AsPath()
BYTE: Final = tuple(bytes((value,)) for value in range(256))
"""One-byte strings, made once."""


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


_FIELDS: Mapping[str, _Field] = {
    "origin": _Field(_T.ORIGIN, lambda value: value[0], lambda origin: bytes((origin,)), None),
    "as_path": _Field(_T.AS_PATH, AsPath.from_bytes, lambda path: path.raw, _EMPTY_PATH),
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

_HEADS: Final[Mapping[int, bytes]] = {code: bytes((SPECS[code].flags, code)) for code in SPECS}


def _write_attribute(code: int, value: bytes) -> bytes:
    size = len(value)
    if size > 0xFF:
        return header(SPECS[code].flags, code, size) + value
    return _HEADS[code] + bytes((size,)) + value


_SHORT_SIZES: Final = {_ORIGIN: 4, _MED: 7, _LOCAL_PREF: 7, _ATOMIC_AGGREGATE: 3, int(_T.AGGREGATOR): 11}
"""All that may stand before ORIGINATOR_ID in a key, and how long each is there."""
_SHORT: Final = sum(1 << code for code in _SHORT_SIZES)
_BEFORE_ORIGINATOR_ID: Final = tuple(
    [sum(size for code, size in _SHORT_SIZES.items() if bits >> code & 1) for bits in range(_SHORT + 1)]
)
"""Where ORIGINATOR_ID belongs, counted from the next hop's end, by which of those are there."""


def reflection(originator_id: int, cluster_list: tuple[int, ...]) -> bytes:
    """ORIGINATOR_ID and CLUSTER_LIST as they stand in a key (RFC 4456), for `Attributes.reflected`."""
    return _write_attribute(_ORIGINATOR_ID, originator_id.to_bytes(4, "big")) + _write_attribute(
        _CLUSTER_LIST, _write_numbers(cluster_list)
    )


def _by_code(unknown: UnknownAttribute) -> int:
    return unknown.code


def write_unknown(unknown: tuple[UnknownAttribute, ...]) -> bytes:
    return b"".join([header(u.flags, u.code, len(u.value)) + u.value for u in unknown])


def canonical(attributes: Mapping[int, bytes]) -> bytes:
    """Whole attributes by type code, one behind the other in Contrail's order: as they stand in a key."""
    return b"".join([attributes[code] for code in CONTRAIL_ORDER if code in attributes])


def written(values: Mapping[int, bytes]) -> dict[int, bytes]:
    """Whole attributes, with flags, type and length, of their values."""
    return {code: _write_attribute(code, value) for code, value in values.items()}


def partial(attribute: bytes) -> bytes:
    """A whole attribute with its Partial bit set (RFC 4271 4.3)."""
    return BYTE[attribute[0] | PARTIAL] + attribute[1:]


def present(codes: Iterable[int]) -> int:
    """Type codes as bits."""
    bits = 0
    for code in codes:
        bits |= 1 << code
    return bits


class Attributes:
    """Path attributes and next hop, kept as bytes; a field is read when it is asked for.

    Two sets are equal when they say the same, whatever the order on the wire: `key` holds length and bytes of the next
    hop, then the attributes in one canonical form, which is how they leave for most peers. `next_hop` has 4 or 16
    bytes, or none. AS numbers always have 4 bytes inside. `present` has bit n set when attribute n, a known one, is
    there: what asks for absent attributes need not look at the bytes.
    """

    __slots__ = ("_as_path", "_ext_communities", "_fields", "key", "next_hop", "present", "unknown")

    key: Final[bytes]
    next_hop: Final[bytes]
    present: Final[int]
    unknown: Final[tuple[UnknownAttribute, ...]]

    def __init__(self, key: bytes, next_hop: bytes, present: int, unknown: tuple[UnknownAttribute, ...] = ()) -> None:
        """From the canonical form; `unknown` in the order of type codes. Others use `make` or `of_values`."""
        self.key = key
        self.next_hop = next_hop
        self.present = present
        self.unknown = unknown
        self._as_path: AsPath | None = None
        self._ext_communities: tuple[bytes, ...] | None = None
        self._fields: dict[int, Any] | None = None

    @classmethod
    def of_values(
        cls, values: Mapping[int, bytes], next_hop: bytes = b"", unknown: tuple[UnknownAttribute, ...] = ()
    ) -> Attributes:
        """From sound attribute values by type code (AS numbers of 4 bytes, no NEXT_HOP, no MP_*, no AS4_*)."""
        return cls._of_parts(written(values), next_hop, present(values), unknown)

    @classmethod
    def _of_parts(
        cls, parts: Mapping[int, bytes], next_hop: bytes, bits: int, unknown: tuple[UnknownAttribute, ...]
    ) -> Attributes:
        key = BYTE[len(next_hop)] + next_hop + canonical(parts)
        if unknown:
            unknown = tuple(sorted(unknown, key=_by_code))
            key += write_unknown(unknown)
        return cls(key, next_hop, bits, unknown)

    # --- fields ------------------------------------------------------------------------------------------------------

    @property
    def origin(self) -> int | None:
        return self._number(_ORIGIN)

    @property
    def med(self) -> int | None:
        return self._number(_MED)

    @property
    def local_pref(self) -> int | None:
        return self._number(_LOCAL_PREF)

    @property
    def originator_id(self) -> int | None:
        return self._number(_ORIGINATOR_ID)

    def _number(self, code: int) -> int | None:
        raw = self.raw(code)
        return None if raw is None else int.from_bytes(raw, "big")

    @property
    def as_path(self) -> AsPath:
        path = self._as_path
        if path is None:
            raw = self.raw(_AS_PATH)
            path = self._as_path = _EMPTY_PATH if raw is None else AsPath.from_bytes(raw)
        return path

    def passes(self, asn: int) -> int:
        """How often an AS occurs in AS_PATH, sets included."""
        if asn.to_bytes(4, "big") not in self.key:
            return 0
        return self.as_path.count(asn)

    @property
    def atomic_aggregate(self) -> bool:
        return bool(self.present >> _ATOMIC_AGGREGATE & 1)

    @property
    def communities(self) -> tuple[int, ...]:
        raw = self.raw(_COMMUNITIES)
        return () if raw is None else _numbers(raw)

    @property
    def cluster_list(self) -> tuple[int, ...]:
        raw = self.raw(_CLUSTER_LIST)
        return () if raw is None else _numbers(raw)

    @property
    def ext_communities(self) -> tuple[bytes, ...]:
        found = self._ext_communities
        if found is None:
            raw = self.raw(_EXT_COMMUNITIES)
            found = self._ext_communities = () if raw is None else _eights(raw)
        return found

    @property
    def aggregator(self) -> Aggregator | None:
        found: Aggregator | None = self._field("aggregator")
        return found

    @property
    def pmsi(self) -> PmsiTunnel | None:
        found: PmsiTunnel | None = self._field("pmsi")
        return found

    @property
    def edge_discovery(self) -> tuple[Edge, ...]:
        found: tuple[Edge, ...] = self._field("edge_discovery")
        return found

    @property
    def edge_forwarding(self) -> tuple[ForwardingEdge, ...]:
        found: tuple[ForwardingEdge, ...] = self._field("edge_forwarding")
        return found

    @property
    def origin_vn_path(self) -> tuple[bytes, ...]:
        found: tuple[bytes, ...] = self._field("origin_vn_path")
        return found

    @property
    def large_communities(self) -> tuple[tuple[int, int, int], ...]:
        found: tuple[tuple[int, int, int], ...] = self._field("large_communities")
        return found

    def _field(self, name: str) -> Any:
        """A field that few sets have, remembered when it is there."""
        field = _FIELDS[name]
        if not self.present >> field.code & 1:
            return field.absent
        if self._fields is None:
            self._fields = {}
        elif field.code in self._fields:
            return self._fields[field.code]
        value = self._fields[field.code] = field.read(self.raw(field.code) or b"")
        return value

    def raw(self, code: int) -> bytes | None:
        """The value of one attribute as bytes (AS numbers of 4 bytes), None when it is absent."""
        if not self.present >> code & 1:
            return None
        key = self.key
        offset = 1 + key[0]
        while True:
            if key[offset] & EXTENDED_LENGTH:
                start = offset + 4
                after = start + (key[offset + 2] << 8 | key[offset + 3])
            else:
                start = offset + 3
                after = start + key[offset + 2]
            if key[offset + 1] == code:
                return key[start:after]
            offset = after

    def _parts(self) -> dict[int, bytes]:
        """Whole attributes, with flags, type and length, by type code."""
        key = self.key
        end = len(key) - (len(write_unknown(self.unknown)) if self.unknown else 0)
        offset = 1 + key[0]
        parts: dict[int, bytes] = {}
        while offset < end:
            if key[offset] & EXTENDED_LENGTH:
                after = offset + 4 + (key[offset + 2] << 8 | key[offset + 3])
            else:
                after = offset + 3 + key[offset + 2]
            parts[key[offset + 1]] = key[offset:after]
            offset = after
        return parts

    @property
    def values(self) -> dict[int, bytes]:
        """The attributes' values by type code, as `of_values` takes them."""
        return {code: part[4 if part[0] & EXTENDED_LENGTH else 3 :] for code, part in self._parts().items()}

    # --- other sets --------------------------------------------------------------------------------------------------

    @classmethod
    def make(cls, **fields: Unpack[Fields]) -> Attributes:
        """A set of the fields given; ORIGIN is IGP and AS_PATH empty unless said otherwise."""
        return _BLANK.replace(**fields)

    def replace(self, **fields: Unpack[Fields]) -> Attributes:
        """The same set with some fields changed; community lists are sorted and freed of duplicates."""
        parts = self._parts()
        next_hop, unknown, bits = self.next_hop, self.unknown, self.present
        for name, value in fields.items():
            if name == "next_hop":
                next_hop = value  # type: ignore[assignment]  # a TypedDict's items() are objects
            elif name == "unknown":
                unknown = value  # type: ignore[assignment]
            else:
                field = _FIELDS[name]
                code = field.code
                if value is None or value == () or value is False:
                    if bits >> code & 1:
                        del parts[code]
                        bits ^= 1 << code
                else:
                    attribute = _write_attribute(code, field.write(value))
                    old = parts.get(code)
                    parts[code] = attribute if old is None or not old[0] & PARTIAL else partial(attribute)
                    bits |= 1 << code
        return self._of_parts(parts, next_hop, bits, unknown)

    def reflected(self, added: bytes) -> Attributes:
        """With what `reflection` gave, for a set that has none of these two: `replace` for what a reflector does most.
        """
        key = self.key
        offset = 1 + key[0] + _BEFORE_ORIGINATOR_ID[self.present & _SHORT]
        return Attributes(key[:offset] + added + key[offset:], self.next_hop, self.present | REFLECTED, self.unknown)

    @property
    def codes(self) -> tuple[int, ...]:
        """The type codes present, without next hop and unknown ones."""
        return tuple(self._parts())

    # --- for the wire ------------------------------------------------------------------------------------------------

    def encode(self, as4: bool, behaviour: Behaviour = CONTRAIL) -> bytes:
        """The attribute section without NEXT_HOP and MP_*, for a session with or without 4-byte AS numbers."""
        if as4 and behaviour.contrail_attribute_order and not (behaviour.omit_zero_med and ZERO_MED in self.key):
            return self.key[1 + len(self.next_hop) :]
        parts = self._parts() if as4 else self._narrowed()
        if behaviour.omit_zero_med and parts.get(_MED) == ZERO_MED:
            del parts[_MED]
        if behaviour.contrail_attribute_order:
            return canonical(parts) + write_unknown(self.unknown)
        for unknown in self.unknown:
            parts[unknown.code] = write_unknown((unknown,))
        return b"".join([parts[code] for code in sorted(parts)])

    def _narrowed(self) -> dict[int, bytes]:
        """The parts for an old speaker: AS_TRANS in AS_PATH and AGGREGATOR, the truth beside (RFC 6793 4.2.2)."""
        values = self._narrowed_values()
        parts = written(values)
        for code, old in self._parts().items():
            if old[0] & PARTIAL:
                parts[code] = partial(parts[code])
        return parts

    def _narrowed_values(self) -> dict[int, bytes]:
        parts = self.values
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
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return Attributes, (self.key, self.next_hop, self.present, self.unknown)

    def __repr__(self) -> str:
        there = {name: getattr(self, name) for name, field in _FIELDS.items() if self.present >> field.code & 1}
        fields = ", ".join(f"{name}={value!r}" for name, value in there.items())
        return f"Attributes(next_hop={self.next_hop.hex()}, {fields}{', unknown=…' if self.unknown else ''})"


_BLANK = Attributes.of_values({_ORIGIN: b"\x00", _AS_PATH: b""})
"""ORIGIN IGP and an empty AS_PATH: what `make` begins with."""
