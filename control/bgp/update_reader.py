"""The body of an UPDATE into routes: RFC 4271 4.3 and 6.3, RFC 4760, RFC 7606; reference/bgp.md 1.6, 1.9 and 2."""

from __future__ import annotations

from typing import Final, NamedTuple

from contrail_emulator.base.behaviour import Behaviour

from . import nlri
from .attributes import Attributes
from .attributes.section import Context, NotFramed, Section, missing
from .attributes.table import CLASS_BITS, EXTENDED_LENGTH, OPTIONAL, AttributeType
from .family import FAMILY_OF, Family
from .negotiation import Negotiated
from .next_hop import allowed_lengths, read_next_hop
from .nlri import NlriError, Route
from .nlri.evpn import contrail_view
from .notification import Code, MessageError, UpdateError
from .section_cache import Head, SectionCache

_MP_REACH: Final = int(AttributeType.MP_REACH_NLRI)
_MP_UNREACH: Final = int(AttributeType.MP_UNREACH_NLRI)

_MP: Final = (_MP_REACH, _MP_UNREACH)

_INET: Final = Family.INET
_E_VPN: Final = Family.E_VPN
_INET_CODEC: Final = nlri.codec(Family.INET)

_TYPED: Final = frozenset((Family.E_VPN, Family.ERM_VPN, Family.INET_MVPN, Family.ROUTE_TARGET))
"""Families whose routes can be ignored one by one (RFC 7606 5.4)."""


class Reach:
    """Routes of one family announced with one attribute set."""

    __slots__ = ("attributes", "family", "routes")

    family: Final[Family]
    attributes: Final[Attributes]
    routes: Final[list[Route]]

    def __init__(self, family: Family, attributes: Attributes, routes: list[Route]) -> None:
        self.family = family
        self.attributes = attributes
        self.routes = routes

    def __repr__(self) -> str:
        return f"Reach({self.family.config_name}, {self.attributes!r}, {len(self.routes)} routes)"


class Unreach:
    """Withdrawn routes of one family."""

    __slots__ = ("family", "keys")

    family: Final[Family]
    keys: Final[list[bytes]]

    def __init__(self, family: Family, keys: list[bytes]) -> None:
        self.family = family
        self.keys = keys

    def __repr__(self) -> str:
        return f"Unreach({self.family.config_name}, {len(self.keys)} routes)"


class Received:
    """What an UPDATE says. Withdrawals come before announcements: apply `unreach` first."""

    __slots__ = ("end_of_rib", "faults", "reach", "unreach")

    reach: list[Reach]
    unreach: list[Unreach]
    end_of_rib: Family | None
    faults: list[str]
    """What was wrong but did not reset the session, one line each."""

    def __init__(self) -> None:
        self.reach = []
        self.unreach = []
        self.end_of_rib = None
        self.faults = []


class _MpAttribute(NamedTuple):
    """Where MP_REACH or MP_UNREACH stands in the attribute section."""

    code: int
    flags: int
    offset: int
    start: int
    after: int


def _malformed(reason: str) -> MessageError:
    return MessageError(Code.UPDATE, UpdateError.MALFORMED_ATTRIBUTES, b"", reason)


def read(body: bytes, negotiated: Negotiated, behaviour: Behaviour) -> Received:
    """The routes in an UPDATE's body (what follows the 19-byte header).

    Raises MessageError where the session must be reset; anything milder is in `Received.faults`. `negotiated` remembers
    the attribute sections of its session, so it must be used with one behaviour.
    """
    cache = negotiated.sections
    if cache is not None and cache.context.behaviour is behaviour:
        reach = _read_usual(body, negotiated, cache, behaviour)
        if reach is not None:
            received = Received()
            received.reach.append(reach)
            return received
        unreach = _read_usual_withdrawal(body, negotiated, behaviour)
        if unreach is not None:
            received = Received()
            received.unreach.append(unreach)
            return received
    return _Reader(body, negotiated, behaviour).read()


def _read_usual(body: bytes, negotiated: Negotiated, cache: SectionCache, behaviour: Behaviour) -> Reach | None:
    """The quick way for an announcement without withdrawals or faults; None when it needs the thorough one.

    MP_REACH_NLRI is looked for where the last message had it. The rest around that place must be a sound section with
    an attribute boundary just there, so a wrong guess never passes for a right one.
    """
    size = len(body)
    if size < 8 or body[0] or body[1]:
        return None
    end = 4 + (body[2] << 8 | body[3])
    if end < size:
        rest, head, start, offset, end = body[4:end], b"", end, 4, size
    elif end == size:
        offset = 4 + cache.mp_offset
        if offset + 8 > size or body[offset + 1] != _MP_REACH or body[offset] & CLASS_BITS != OPTIONAL:
            return None
        if body[offset] & EXTENDED_LENGTH:
            start = offset + 4
            end = start + (body[offset + 2] << 8 | body[offset + 3])
        else:
            start = offset + 3
            end = start + body[offset + 2]
        if end > size:
            return None
        rest = body[4:offset] + body[end:]
        head = body[start : start + 5 + body[start + 3]]
        start += len(head)
    else:
        return None
    try:
        section = cache.get(rest)
    except (MessageError, NotFramed):
        return None
    if offset - 4 not in section.boundaries or not section.usual:
        return None
    if head:
        known = cache.head(head) or _read_head(cache, head, negotiated, behaviour)
        if known is None:
            return None
        family, next_hop, codec = known
    else:
        family, codec = _INET, _INET_CODEC
        if section.classic_next_hop is None or family not in negotiated.families:
            return None
        next_hop = section.classic_next_hop
    faults: list[str] = []
    try:
        routes = codec.read(body[start:end], False, faults)
    except NlriError:
        return None
    if family is _E_VPN and behaviour.reset_on_malformed_attribute:
        routes = contrail_view(routes, faults)
    return None if faults or not routes else Reach(family, section.attributes(next_hop), routes)


def _read_usual_withdrawal(body: bytes, negotiated: Negotiated, behaviour: Behaviour) -> Unreach | None:
    """The quick way for a message that is nothing but one MP_UNREACH_NLRI; None when it needs the thorough one."""
    size = len(body)
    if size < 12 or body[0] or body[1] or body[5] != _MP_UNREACH or body[4] & CLASS_BITS != OPTIONAL:
        return None
    if body[4] & EXTENDED_LENGTH:
        start = 8
        end = start + (body[6] << 8 | body[7])
    else:
        start = 7
        end = start + body[6]
    if end != size or 4 + (body[2] << 8 | body[3]) != size:
        return None
    family = FAMILY_OF.get(body[start] << 16 | body[start + 1] << 8 | body[start + 2])
    if family is None or family is _E_VPN or family not in negotiated.families or start + 3 == size:
        return None
    faults: list[str] = []
    try:
        routes = _withdrawal_codec(family, behaviour).read(body[start + 3 :], True, faults)
    except NlriError:
        return None
    return None if faults else Unreach(family, [key for key, _ in routes])


def _withdrawal_codec(family: Family, behaviour: Behaviour) -> nlri.Codec:
    """Profile rfc reads labels as it writes them; a real control node's withdrawals may come without (7.29)."""
    return nlri.withdrawal_codec(family, lenient=behaviour.withdraw_label_bottom_of_stack)


def _read_head(cache: SectionCache, head: bytes, negotiated: Negotiated, behaviour: Behaviour) -> Head | None:
    """What an MP_REACH_NLRI that begins so says; None when anything is out of order: `_Reader` knows what to say."""
    family = FAMILY_OF.get(head[0] << 16 | head[1] << 8 | head[2])
    if family is None or head[3] not in allowed_lengths(behaviour)[family] or len(head) != head[3] + 5:
        return None
    if family not in negotiated.families:
        return None
    found = Head(family, read_next_hop(family, head[4:-1], behaviour), nlri.codec(family))
    cache.remember_head(head, found)
    return found


class _Reader:
    """One UPDATE being read."""

    __slots__ = ("_attributes", "_behaviour", "_body", "_broken", "_cut", "_negotiated", "_received", "_section")

    def __init__(self, body: bytes, negotiated: Negotiated, behaviour: Behaviour) -> None:
        self._body = body
        self._negotiated = negotiated
        self._behaviour = behaviour
        self._received = Received()
        self._attributes = b""
        self._broken = False
        self._cut = False
        self._section: Section | None = None

    def read(self) -> Received:
        body, received = self._body, self._received
        size = len(body)
        withdrawn_end = 2 + (body[0] << 8 | body[1]) if size >= 4 else size
        if withdrawn_end + 2 > size:
            raise _malformed("the withdrawn routes overrun the message")
        start = withdrawn_end + 2
        end = start + (body[withdrawn_end] << 8 | body[withdrawn_end + 1])
        if end > size:
            raise _malformed("the attributes overrun the message")
        if size == 4:
            if not self._behaviour.ignore_classic_end_of_rib and self._usable(Family.INET):
                received.end_of_rib = Family.INET
            return received
        if withdrawn_end > 2:
            self._read_classic_withdrawn(body[2:withdrawn_end])
        attributes = self._attributes = body[start:end]
        found = self._split(attributes)
        if end == size:
            self._check_located(found)
        if end < size:
            self._read_classic_reach(body[end:])
        for mp in found:
            if mp.code == _MP_UNREACH:
                self._read_unreach(mp)
                if received.end_of_rib is not None:
                    if self._behaviour.stop_at_end_of_rib or not self._tells_routes(found):
                        break
                    received.end_of_rib = None  # RFC 4724 2: one that tells of routes is none
            else:
                self._read_reach(mp)
        if len(found) == 1 and found[0].code == _MP_REACH:
            self._cache().mp_offset = found[0].offset
        return received

    # --- the attribute section --------------------------------------------------------------------------------------

    def _split(self, data: bytes) -> list[_MpAttribute]:
        """Finds MP_REACH and MP_UNREACH, and has the rest read, or remembered from an earlier message."""
        found: list[_MpAttribute] = []
        offset, end = 0, len(data)
        while offset < end:
            if offset + 3 > end:
                break
            flags = data[offset]
            if flags & EXTENDED_LENGTH:
                if offset + 4 > end:
                    break
                start = offset + 4
                after = start + (data[offset + 2] << 8 | data[offset + 3])
            else:
                start = offset + 3
                after = start + data[offset + 2]
            if after > end:
                break
            code = data[offset + 1]
            if code in _MP:
                found.append(_MpAttribute(code, flags, offset, start, after))
            offset = after
        if offset < end:
            self._overrun(data, offset)
            data = data[:offset]
        if found:
            self._check_mp(found, data)
            rest = data[: found[0].offset]
            for index, mp in enumerate(found):
                rest += data[mp.after : found[index + 1].offset if index + 1 < len(found) else None]
            data = rest
        if data:
            section = self._section = self._cache().get(data)
            if section.faults:
                self._received.faults += section.faults
        return found

    def _cache(self) -> SectionCache:
        negotiated = self._negotiated
        cache = negotiated.sections
        if cache is None or cache.context.behaviour is not self._behaviour:
            cache = SectionCache(Context(negotiated.as4, negotiated.ibgp, self._behaviour))
            negotiated.sections = cache
        return cache

    def _overrun(self, data: bytes, offset: int) -> None:
        """An attribute goes past the end of the section: RFC 7606 section 4."""
        reason = f"attribute at byte {offset} overruns the {len(data)} bytes of the attribute section"
        if self._behaviour.reset_on_malformed_attribute:
            raise _malformed(reason)
        self._received.faults.append(f"{reason}: treat-as-withdraw")
        self._broken = self._cut = True

    def _check_located(self, found: list[_MpAttribute]) -> None:
        """RFC 7606 5.2: treat-as-withdraw needs routes that are announced, else those meant may not have been found."""
        section = self._section
        unsound = self._broken or (section is not None and section.withdraw)
        if not unsound or (section is None and not self._cut):
            return
        for mp in found:
            size = mp.after - mp.start
            if mp.code == _MP_REACH and size > 5 and size > 5 + self._attributes[mp.start + 3]:
                return
        raise _malformed(f"no route is announced beside a malformed attribute: {'; '.join(self._received.faults)}")

    def _check_mp(self, found: list[_MpAttribute], data: bytes) -> None:
        """Each of the two occurs once (RFC 7606 3 g), with its flags."""
        if len(found) > 1 and (len(found) > 2 or found[0].code == found[1].code):
            raise _malformed("MP_REACH_NLRI or MP_UNREACH_NLRI occurs twice")
        for mp in found:
            if mp.flags & CLASS_BITS == OPTIONAL:
                continue
            reason = f"{AttributeType(mp.code).name}: flags {mp.flags:#04x}"
            if self._behaviour.reset_on_malformed_attribute:
                raise MessageError(Code.UPDATE, UpdateError.ATTRIBUTE_FLAGS, data[mp.offset : mp.after], reason)
            self._received.faults.append(f"{reason}: treat-as-withdraw")
            self._broken = True

    # --- routes -----------------------------------------------------------------------------------------------------

    def _tells_routes(self, found: list[_MpAttribute]) -> bool:
        """Whether there is more than an MP_UNREACH_NLRI."""
        received = self._received
        return bool(received.reach or received.unreach) or any(mp.code == _MP_REACH for mp in found)

    def _usable(self, family: Family) -> bool:
        return family in self._negotiated.families

    def _routes(self, family: Family, data: bytes, withdrawn: bool) -> list[Route]:
        """The routes of an NLRI field; NlriError when it cannot be cut."""
        lenient = self._behaviour.reset_on_malformed_attribute or family in _TYPED
        faults = self._received.faults
        codec = _withdrawal_codec(family, self._behaviour) if withdrawn else nlri.codec(family)
        routes = codec.read(data, withdrawn, faults if lenient else None)
        if family is Family.E_VPN and self._behaviour.reset_on_malformed_attribute:
            return contrail_view(routes, faults)
        return routes

    def _classic_routes(self, data: bytes, withdrawn: bool) -> list[Route]:
        try:
            return self._routes(Family.INET, data, withdrawn)
        except NlriError as fault:
            raise MessageError(Code.UPDATE, UpdateError.INVALID_NETWORK, b"", str(fault)) from None

    def _read_classic_withdrawn(self, data: bytes) -> None:
        routes = self._classic_routes(data, True)
        if self._usable(Family.INET):
            self._received.unreach.append(Unreach(Family.INET, [key for key, _ in routes]))
        else:
            self._not_negotiated(Family.INET)

    def _read_classic_reach(self, data: bytes) -> None:
        section = self._section
        next_hop = section.classic_next_hop if section is not None else None
        fault = missing(AttributeType.NEXT_HOP) if next_hop is None else None
        routes = self._classic_routes(data, False)
        if self._usable(Family.INET):
            self._announce(Family.INET, routes, next_hop or b"", fault)
        else:
            self._check_reach(fault)
            self._not_negotiated(Family.INET)

    def _read_reach(self, mp: _MpAttribute) -> None:
        data = self._attributes[mp.start : mp.after]
        whole = self._attributes[mp.offset : mp.after]
        size = len(data)
        if size < 5 or size < 5 + data[3]:
            raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, "MP_REACH_NLRI is too short")
        family = FAMILY_OF.get(data[0] << 16 | data[1] << 8 | data[2])
        if family is None:
            reason = f"MP_REACH_NLRI of unknown AFI/SAFI {data[0] << 8 | data[1]}/{data[2]}"
            if self._behaviour.reset_on_unknown_family:
                raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, reason)
            self._received.faults.append(f"{reason} ignored")
            return
        after = 4 + data[3]
        if data[3] not in allowed_lengths(self._behaviour)[family]:
            reason = f"{family.config_name}: next hop of {data[3]} bytes"
            raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, reason)
        try:
            routes = self._routes(family, data[after + 1 :], False)
        except NlriError as fault:
            raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, str(fault)) from None
        if self._usable(family):
            self._announce(family, routes, read_next_hop(family, data[4:after], self._behaviour), None)
        else:
            self._check_reach(None)
            self._not_negotiated(family)

    def _read_unreach(self, mp: _MpAttribute) -> None:
        data = self._attributes[mp.start : mp.after]
        whole = self._attributes[mp.offset : mp.after]
        if len(data) < 3:
            raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, "MP_UNREACH_NLRI is too short")
        family = FAMILY_OF.get(data[0] << 16 | data[1] << 8 | data[2])
        if family is None:
            self._received.faults.append(
                f"MP_UNREACH_NLRI of unknown AFI/SAFI {data[0] << 8 | data[1]}/{data[2]} ignored"
            )
        elif not self._usable(family):
            self._not_negotiated(family)
        elif len(data) == 3:
            self._received.end_of_rib = family
        else:
            try:
                routes = self._routes(family, data[3:], True)
            except NlriError as fault:
                raise MessageError(Code.UPDATE, UpdateError.OPTIONAL_ATTRIBUTE, whole, str(fault)) from None
            self._received.unreach.append(Unreach(family, [key for key, _ in routes]))

    def _not_negotiated(self, family: Family) -> None:
        self._received.faults.append(f"{family.config_name} is not negotiated: routes ignored")

    def _check_reach(self, fault: MessageError | None) -> bool:
        """Whether the attributes are fit for announcing routes; raises where a fault resets the session."""
        section = self._section
        if fault is None:
            fault = section.reach_fault if section is not None else missing(AttributeType.ORIGIN)
        if fault is not None:
            if self._behaviour.reset_on_malformed_attribute:
                raise MessageError(fault.code, fault.subcode, fault.data, fault.reason)
            self._received.faults.append(f"{fault}: treat-as-withdraw")
            return False
        return not self._broken and section is not None and not section.withdraw

    def _announce(self, family: Family, routes: list[Route], next_hop: bytes, fault: MessageError | None) -> None:
        if self._check_reach(fault) and self._section is not None:
            if routes:
                self._received.reach.append(Reach(family, self._section.attributes(next_hop), routes))
        elif routes:
            self._received.unreach.append(Unreach(family, [key for key, _ in routes]))
