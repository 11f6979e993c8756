"""Reading the attribute section of an UPDATE in one pass, everything but MP_REACH and MP_UNREACH.

Profile `contrail` raises MessageError for the first fault (reference/bgp.md 1.6), profile `rfc` gives RFC 7606's
verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final

from contrail_emulator.base.behaviour import Behaviour

from ..notification import Code, MessageError, UpdateError
from . import aggregator, as_path, edge
from .attributes import BYTE, Attributes, UnknownAttribute, canonical, partial, present, write_unknown, written
from .table import (
    CLASS_BITS,
    EXTENDED_LENGTH,
    OPTIONAL,
    OPTIONAL_TRANSITIVE,
    PARTIAL,
    SPECS,
    AttributeType,
    Spec,
    Verdict,
    attribute_name,
)

_T = AttributeType
_ORIGIN: Final = int(_T.ORIGIN)
_AS_PATH: Final = int(_T.AS_PATH)
_NEXT_HOP: Final = int(_T.NEXT_HOP)
_LOCAL_PREF: Final = int(_T.LOCAL_PREF)
_MP_BITS: Final = 1 << _T.MP_REACH_NLRI | 1 << _T.MP_UNREACH_NLRI
_AS4_PATH: Final = int(_T.AS4_PATH)
_AS4_AGGREGATOR: Final = int(_T.AS4_AGGREGATOR)
_MANDATORY: Final = (_ORIGIN, _AS_PATH)
_MANDATORY_IBGP: Final = (_ORIGIN, _AS_PATH, _LOCAL_PREF)
_PLAIN_SEGMENTS: Final = frozenset((as_path.AS_SET, as_path.AS_SEQUENCE))
_AS4_SEGMENTS: Final = _PLAIN_SEGMENTS | {as_path.AS_CONFED_SEQUENCE, as_path.AS_CONFED_SET}
"""RFC 6793 6: confederation segments do not make AS4_PATH malformed, they are left out."""
_FLAG_BITS: Final = CLASS_BITS | PARTIAL
_PASSED_ON: Final = OPTIONAL_TRANSITIVE | PARTIAL
_MAX_NEXT_HOPS: Final = 64
_ANY_LENGTH: Final = range(4097)

Check = Callable[[bytes, "Context"], bool]
"""Whether a value of an allowed length is sound."""

_Plain = tuple[int, Container[int], Check | None]
"""Flags, lengths and check of the value."""


class Context:
    """What the reading of an attribute section depends on, the same for a whole session."""

    __slots__ = ("as4", "behaviour", "extra_checks", "ibgp", "plain")

    as4: Final[bool]
    ibgp: Final[bool]
    behaviour: Final[Behaviour]

    def __init__(self, as4: bool, ibgp: bool, behaviour: Behaviour) -> None:
        self.as4 = as4
        self.ibgp = ibgp
        self.behaviour = behaviour
        self.plain: dict[int, _Plain] = {
            code: (spec.flags, spec.lengths or _ANY_LENGTH, CHECKS.get(code))
            for code, spec in SPECS.items()
            if not (spec.ibgp_only and not ibgp)
            and not (code == _T.LARGE_COMMUNITY and behaviour.drop_large_communities)
            and code != _T.ATOMIC_AGGREGATE
        }
        """Attributes whose flags, length and value say everything: the quick way through a section."""
        self.extra_checks: dict[int, Check] = {}
        """What else must hold of a value that is to be kept as it came."""
        if behaviour.sort_communities:
            self.extra_checks |= {code: check for code, _, check in _SORTED}
        if not ibgp:
            self.extra_checks[_AS_PATH] = _begins_with_a_number


class Section:
    """A sound attribute section, and the sets made of it with each next hop seen."""

    __slots__ = (
        "_hop",
        "_made",
        "_others",
        "boundaries",
        "classic_next_hop",
        "faults",
        "known",
        "present",
        "reach_fault",
        "unknown",
        "usual",
        "withdraw",
    )

    def __init__(
        self,
        known: bytes,
        present: int,
        unknown: tuple[UnknownAttribute, ...],
        classic_next_hop: bytes | None,
        faults: tuple[str, ...],
        withdraw: bool,
        reach_fault: MessageError | None,
        boundaries: frozenset[int],
    ) -> None:
        self.boundaries = boundaries
        """Where an attribute begins, and the end: MP_REACH_NLRI may have stood at any of these."""
        self.known = known
        """The attributes in their canonical form, without NEXT_HOP."""
        self.present = present
        """Their type codes as bits."""
        self.unknown = unknown
        self.classic_next_hop = classic_next_hop
        """Value of NEXT_HOP, None when absent."""
        self.faults = faults
        self.withdraw = withdraw
        """RFC 7606: routes announced with this section count as withdrawn."""
        self.reach_fault = reach_fault
        """What makes the section unfit for announcing routes (a mandatory attribute is missing)."""
        self.usual = not (faults or withdraw or reach_fault is not None or present & _MP_BITS)
        """Without any fault, fit for announcing routes, and without MP_REACH_NLRI or MP_UNREACH_NLRI."""
        self._hop = b""
        self._made: Attributes | None = None
        self._others: dict[bytes, Attributes] | None = None

    def attributes(self, next_hop: bytes) -> Attributes:
        """The set with this next hop; the same object each time."""
        made = self._made
        if made is None:
            self._hop = next_hop
            made = self._made = self._make(next_hop)
            return made
        if self._hop == next_hop:
            return made
        others = self._others
        if others is None or len(others) >= _MAX_NEXT_HOPS:
            others = self._others = {}
        found = others.get(next_hop)
        if found is None:
            found = others[next_hop] = self._make(next_hop)
        return found

    def _make(self, next_hop: bytes) -> Attributes:
        return Attributes(BYTE[len(next_hop)] + next_hop + self.known, next_hop, self.present, self.unknown)


class NotFramed(ValueError):
    """The bytes are not whole attributes from end to end."""


class SectionReader:
    """One pass over one section; `read` is the entry."""

    __slots__ = ("_behaviour", "_context", "_data", "_faults", "_partial", "_parts", "_seen", "_unknown", "_withdraw")

    def __init__(self, data: bytes, context: Context) -> None:
        self._data = data
        self._context = context
        self._behaviour = context.behaviour
        self._parts: dict[int, bytes] = {}
        self._seen: set[int] = set()
        self._unknown: list[UnknownAttribute] = []
        self._partial: list[int] = []
        self._faults: list[str] = []
        self._withdraw = False

    def read(self) -> Section:
        """Raises MessageError where the session must be reset, NotFramed when the last attribute is not whole."""
        data, end, parts = self._data, len(self._data), self._parts
        context = self._context
        plain = context.plain
        boundaries = [0]
        offset = 0
        while offset < end:
            if offset + 4 > end and (offset + 3 > end or data[offset] & EXTENDED_LENGTH):
                raise NotFramed
            flags, code = data[offset], data[offset + 1]
            if flags & EXTENDED_LENGTH:
                start = offset + 4
                after = start + (data[offset + 2] << 8 | data[offset + 3])
            else:
                start = offset + 3
                after = start + data[offset + 2]
            if after > end:
                raise NotFramed
            boundaries.append(after)
            value = data[start:after]
            if code in plain and code not in parts:
                wanted, lengths, check = plain[code]
                if (
                    flags & _FLAG_BITS == wanted
                    and after - start in lengths
                    and (check is None or check(value, context))
                    and code not in self._seen
                ):
                    parts[code] = value
                    offset = after
                    continue
            self._read_other(flags, code, offset, after, value)
            offset = after
        return self._finish(frozenset(boundaries))

    def _read_other(self, flags: int, code: int, offset: int, after: int, value: bytes) -> None:
        """Whatever is not plainly in order."""
        if code in self._seen or code in self._parts:
            self._duplicate(code)
            return
        self._seen.add(code)
        spec = SPECS.get(code)
        if spec is None or (code == _T.LARGE_COMMUNITY and self._behaviour.drop_large_communities):
            self._read_unknown(flags, code, offset, after, value)
        else:
            self._read_known(spec, flags, offset, after, value)

    # --- one attribute ----------------------------------------------------------------------------------------------

    def _read_known(self, spec: Spec, flags: int, offset: int, after: int, value: bytes) -> None:
        code = spec.code
        if flags & CLASS_BITS != spec.flags:
            self._fault(spec, UpdateError.ATTRIBUTE_FLAGS, offset, after, f"flags {flags:#04x}", Verdict.WITHDRAW)
            return
        if spec.ibgp_only and not self._context.ibgp and not self._keeps_from_ebgp(code):
            self._faults.append(f"{spec.name} from an eBGP peer ignored")
            return
        if code == _T.ATOMIC_AGGREGATE and self._behaviour.reset_on_malformed_attribute and flags != spec.flags:
            self._fault(spec, UpdateError.ATTRIBUTE_FLAGS, offset, after, f"flags {flags:#04x}")
            return
        if spec.lengths is not None and len(value) not in spec.lengths:
            self._fault(spec, UpdateError.ATTRIBUTE_LENGTH, offset, after, f"length {len(value)}")
            return
        check = CHECKS.get(code)
        if check is not None and not check(value, self._context):
            self._fault(spec, spec.subcode, offset, after, f"value {value[:32].hex()}")
            return
        self._parts[code] = value
        if flags & _FLAG_BITS == _PASSED_ON and not self._behaviour.clear_partial_bit:
            self._partial.append(code)

    def _keeps_from_ebgp(self, code: int) -> bool:
        if self._behaviour.reset_on_malformed_attribute:
            return True
        return code == _T.LOCAL_PREF and self._behaviour.keep_local_pref_from_ebgp

    def _read_unknown(self, flags: int, code: int, offset: int, after: int, value: bytes) -> None:
        if not flags & OPTIONAL:
            raise MessageError(
                Code.UPDATE, UpdateError.UNKNOWN_WELL_KNOWN, self._data[offset:after], f"attribute {code}"
            )
        if self._behaviour.drop_unknown_attributes or flags & CLASS_BITS != CLASS_BITS:
            return
        self._unknown.append(UnknownAttribute(_PASSED_ON, code, value))

    def _duplicate(self, code: int) -> None:
        reason = f"{attribute_name(code)} occurs twice"
        if self._behaviour.reset_on_malformed_attribute:
            raise MessageError(Code.UPDATE, UpdateError.MALFORMED_ATTRIBUTES, b"", reason)
        self._faults.append(f"{reason}: the first one counts")

    def _fault(
        self, spec: Spec, subcode: int, offset: int, after: int, what: str, verdict: Verdict | None = None
    ) -> None:
        reason = f"{spec.name}: {what}"
        if self._behaviour.reset_on_malformed_attribute:
            raise MessageError(Code.UPDATE, subcode, self._data[offset:after], reason)
        verdict = verdict or spec.verdict
        self._faults.append(f"{reason}: {verdict.value}")
        if verdict is Verdict.WITHDRAW:
            self._withdraw = True

    # --- the whole section ------------------------------------------------------------------------------------------

    def _finish(self, boundaries: frozenset[int]) -> Section:
        parts = self._parts
        next_hop = parts.pop(_NEXT_HOP, None)
        as4_path = parts.pop(_AS4_PATH, None)
        as4_aggregator = parts.pop(_AS4_AGGREGATOR, None)
        if not self._context.as4:
            self._widen(as4_path, as4_aggregator)
        if self._behaviour.sort_communities:
            for code, unit, is_sorted in _SORTED:
                value = parts.get(code)
                if value is not None and not is_sorted(value, self._context):
                    parts[code] = b"".join(sorted({value[i : i + unit] for i in range(0, len(value), unit)}))
        unknown = tuple(sorted(self._unknown, key=lambda attribute: attribute.code))
        whole = written(parts)
        for code in self._partial:
            if code in whole:  # AS4_* are not
                whole[code] = partial(whole[code])
        return Section(
            canonical(whole) + write_unknown(unknown),
            present(parts),
            unknown,
            next_hop,
            tuple(self._faults),
            self._withdraw,
            self._reach_fault(next_hop),
            boundaries,
        )

    def _widen(self, as4_path: bytes | None, as4_aggregator: bytes | None) -> None:
        """RFC 6793 4.2.3: what an old speaker sent, in 4-byte AS numbers."""
        parts = self._parts
        path_counts = True
        own = parts.get(_T.AGGREGATOR)
        if own is not None:
            parts[_T.AGGREGATOR], path_counts = aggregator.merge(own, as4_aggregator)
        path = parts.get(_T.AS_PATH)
        if path:
            wide = as_path.widen(path)
            parts[_T.AS_PATH] = as_path.merge(wide, as4_path) if as4_path and path_counts else wide

    def _reach_fault(self, next_hop: bytes | None) -> MessageError | None:
        parts = self._parts
        ibgp = self._context.ibgp
        for code in _MANDATORY_IBGP if ibgp else _MANDATORY:
            if code not in parts:
                return missing(code)
        path = parts[_AS_PATH]
        if not ibgp and not _begins_with_a_number(path, self._context):
            return MessageError(Code.UPDATE, UpdateError.MALFORMED_AS_PATH, b"", "empty AS_PATH from an eBGP peer")
        return None


def _is_sorted(value: bytes, unit: int) -> bool:
    """Whether a list of elements of this size is in ascending order and free of duplicates."""
    size = len(value)
    if size == unit:
        return True
    if size == 2 * unit:
        return value[:unit] < value[unit:]
    elements = [value[i : i + unit] for i in range(0, size, unit)]
    return elements == sorted(set(elements))


def missing(code: int) -> MessageError:
    """The error for a mandatory attribute that is not there."""
    return MessageError(Code.UPDATE, UpdateError.MISSING_WELL_KNOWN, bytes((code,)), attribute_name(code))


# --- values beyond their length ------------------------------------------------------------------------------------


def _origin(value: bytes, context: Context) -> bool:
    return value[0] <= 2


def _as_path(value: bytes, context: Context) -> bool:
    types = None if context.behaviour.reset_on_malformed_attribute else _PLAIN_SEGMENTS
    return as_path.is_sound(value, 4 if context.as4 else 2, types)


def _as4_path(value: bytes, context: Context) -> bool:
    types = None if context.behaviour.reset_on_malformed_attribute else _AS4_SEGMENTS
    return as_path.is_sound(value, 4, types)


def _aggregator(value: bytes, context: Context) -> bool:
    return len(value) == (8 if context.as4 else 6) and _has_aggregator_as(value, context)


def _has_aggregator_as(value: bytes, context: Context) -> bool:
    """RFC 7607: AS number 0 is malformed."""
    return context.behaviour.reset_on_malformed_attribute or any(value[:-4])


def _next_hop(value: bytes, context: Context) -> bool:
    return value != b"\x00\x00\x00\x00"


CHECKS: Mapping[int, Check] = {
    _T.ORIGIN: _origin,
    _T.AS_PATH: _as_path,
    _T.AS4_PATH: _as4_path,
    _T.AGGREGATOR: _aggregator,
    _T.AS4_AGGREGATOR: _has_aggregator_as,
    _T.NEXT_HOP: _next_hop,
    _T.EDGE_DISCOVERY: lambda value, context: edge.is_sound_discovery(value),
    _T.EDGE_FORWARDING: lambda value, context: edge.is_sound_forwarding(value),
}


# --- what a value must be beyond that, to be kept as it came ---------------------------------------------------------


def _begins_with_a_number(path: bytes, context: Context) -> bool:
    return len(path) > 1 and path[1] > 0


def _sorted_fours(value: bytes, context: Context) -> bool:
    return _is_sorted(value, 4)


def _sorted_eights(value: bytes, context: Context) -> bool:
    return _is_sorted(value, 8)


_SORTED: Final = (
    (int(_T.COMMUNITIES), 4, _sorted_fours),
    (int(_T.EXTENDED_COMMUNITIES), 8, _sorted_eights),
)
"""Lists whose order says nothing, and the size of an element."""
