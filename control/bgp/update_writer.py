"""Routes into UPDATE messages of at most 4096 bytes: reference/bgp.md 2.3 and 3.1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import nlri
from .attributes import Attributes
from .attributes.attributes import ZERO_MED
from .attributes.table import EXTENDED_LENGTH, OPTIONAL, AttributeType
from .family import Family
from .label import WITHDRAWN
from .message import HEADER_SIZE, MARKER, MAX_SIZE, MessageType
from .next_hop import write_next_hop
from .nlri import Route

_UPDATE: Final = bytes((MessageType.UPDATE,))
_START: Final = _UPDATE + b"\x00\x00"
"""Type, and no withdrawn routes."""
_START_NUMBER: Final = MessageType.UPDATE << 32
"""These between two bytes of message length and two of the attributes' length, as one number."""
_FIXED: Final = HEADER_SIZE + 4
"""Header, and the lengths of withdrawn routes and of the attributes."""
_MP_HEAD: Final = 4
_MP_FLAGS: Final = OPTIONAL | EXTENDED_LENGTH
_MP_REACH: Final = bytes((_MP_FLAGS, AttributeType.MP_REACH_NLRI))
_MP_REACH_SHORT: Final = bytes((OPTIONAL, AttributeType.MP_REACH_NLRI))
_MP_UNREACH_SHORT: Final = bytes((OPTIONAL, AttributeType.MP_UNREACH_NLRI))
_MP_UNREACH: Final = bytes((_MP_FLAGS, AttributeType.MP_UNREACH_NLRI))
_NEXT_HOP: Final = b"\x40\x03\x04"
_RFC_WITHDRAWN: Final = b"\x80\x00\x00"
_ORIGIN_SIZE: Final = 4
_MAX_NEXT_HOPS: Final = 1024
"""Of which a writer remembers how they are written."""


class AttributesTooLong(ValueError):
    """The attributes leave no room for a single route in 4096 bytes."""


def _size(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _message(attributes: bytes) -> bytes:
    size = len(attributes)
    return MARKER + _size(_FIXED + size) + _UPDATE + b"\x00\x00" + _size(size) + attributes


def _pack(entries: Sequence[bytes], room: int) -> list[bytes]:
    """Joins entries into chunks of at most `room` bytes. AttributesTooLong when one does not fit alone."""
    whole = b"".join(entries)
    if len(whole) <= room:
        return [whole]
    chunks: list[bytes] = []
    first, used = 0, 0
    for index, entry in enumerate(entries):
        size = len(entry)
        if used + size > room:
            if size > room:
                raise AttributesTooLong(f"{max(room, 0)} bytes are left for a route of {size}")
            chunks.append(b"".join(entries[first:index]))
            first, used = index, 0
        used += size
    chunks.append(b"".join(entries[first:]))
    return chunks


class UpdateWriter:
    """Writes announcements of one family for one kind of session.

    Everything goes into MP_REACH_NLRI, inet too, which has a NEXT_HOP beside it (reference/bgp.md 2.3); profile `rfc`
    uses the classic field for inet. `as4`: the session has 4-byte AS numbers.
    """

    __slots__ = (
        "_as4",
        "_as_kept",
        "_behaviour",
        "_classic",
        "_codec",
        "_family",
        "_fields",
        "_inet",
        "_loses_labels",
        "_mp_first",
        "_omits_zero_med",
        "_short",
    )

    def __init__(self, family: Family, as4: bool, behaviour: Behaviour = CONTRAIL) -> None:
        self._family = family
        self._as4 = as4
        self._as_kept = as4 and behaviour.contrail_attribute_order
        self._omits_zero_med = behaviour.omit_zero_med
        self._loses_labels = family is Family.E_VPN and behaviour.packed_evpn_l3_label_lost
        self._behaviour = behaviour
        self._codec = nlri.codec(family)
        self._inet = family is Family.INET
        self._classic = self._inet and not behaviour.inet_in_mp_reach
        self._mp_first = not behaviour.contrail_attribute_order
        self._short = not behaviour.mp_extended_length
        self._fields: dict[bytes, bytes] = {}

    def write(self, attributes: Attributes, routes: Sequence[Route]) -> list[bytes]:
        """Whole messages that announce the routes with these attributes, as few as possible.

        Raises AttributesTooLong when not one route fits, ValueError when the next hop does not suit the family.
        """
        next_hop = attributes.next_hop
        field = self._fields.get(next_hop)
        if field is None:
            field = self._field(next_hop)
        key = attributes.key
        if self._as_kept and not (self._omits_zero_med and ZERO_MED in key):
            section = key[1 + len(next_hop) :]  # what `encode` does for nearly all
        else:
            section = attributes.encode(self._as4, self._behaviour)
        if self._inet:
            section = _with_next_hop(section, next_hop, self._behaviour)
        room = MAX_SIZE - _FIXED - len(section)
        if not self._classic:
            room -= _MP_HEAD + len(field)
        if len(routes) == 1:
            nlri_key, payload = routes[0]
            route = self._codec.write(nlri_key, payload)
            if len(route) > room:
                raise AttributesTooLong(f"{max(room, 0)} bytes are left for a route of {len(route)}")
            return [self._message(section, field, route)]
        entries = self._codec.write_all(routes)
        if self._loses_labels:
            entries = _without_later_l3_labels(entries)
        whole = b"".join(entries)
        if len(whole) <= room:
            return [self._message(section, field, whole)] if entries else []
        return [self._message(section, field, chunk) for chunk in _pack(entries, room)]

    def _field(self, next_hop: bytes) -> bytes:
        """What stands before the routes in MP_REACH_NLRI."""
        written = write_next_hop(self._family, next_hop)
        if len(self._fields) >= _MAX_NEXT_HOPS:
            self._fields.clear()
        field = self._fields[next_hop] = self._family.wire + bytes((len(written),)) + written + b"\x00"
        return field

    def _message(self, section: bytes, field: bytes, routes: bytes) -> bytes:
        size = len(section)
        if self._classic:
            whole = _FIXED + size + len(routes)
            return MARKER + whole.to_bytes(2, "big") + _START + size.to_bytes(2, "big") + section + routes
        reach_size = len(field) + len(routes)
        if self._short and reach_size <= 0xFF:
            head = _MP_REACH_SHORT + bytes((reach_size,))
        else:
            head = _MP_REACH + reach_size.to_bytes(2, "big")
        size += len(head) + reach_size
        sizes = (_FIXED + size << 40 | _START_NUMBER | size).to_bytes(7, "big")
        if self._mp_first:
            return b"".join((MARKER, sizes, head, field, routes, section))
        return b"".join((MARKER, sizes, section, head, field, routes))


def write(
    family: Family, attributes: Attributes, routes: Sequence[Route], as4: bool, behaviour: Behaviour = CONTRAIL
) -> list[bytes]:
    """As UpdateWriter.write, for those who have little to write."""
    return UpdateWriter(family, as4, behaviour).write(attributes, routes)


def _with_next_hop(section: bytes, next_hop: bytes, behaviour: Behaviour) -> bytes:
    """NEXT_HOP behind ORIGIN in Contrail's order; by type code it stands behind AS_PATH."""
    offset = _ORIGIN_SIZE if section[1:2] == b"\x01" else 0
    if not behaviour.contrail_attribute_order and section[offset + 1 : offset + 2] == b"\x02":
        long_form = section[offset] & EXTENDED_LENGTH
        size = int.from_bytes(section[offset + 2 : offset + 4], "big") + 1 if long_form else section[offset + 2]
        offset += 3 + size
    return section[:offset] + _NEXT_HOP + next_hop + section[offset:]


def _without_later_l3_labels(entries: list[bytes]) -> list[bytes]:
    """The defect of reference/bgp.md 2.3: only the first of several MAC/IP routes keeps its L3 label."""
    return entries[:1] + [_without_l3_label(entry) for entry in entries[1:]]


def _without_l3_label(entry: bytes) -> bytes:
    body = entry[2:]
    if entry[0] != 2 or len(body) - 30 - (body[29] >> 3) != 6:
        return entry
    return b"\x02" + bytes((len(body) - 3,)) + body[:-3]


def write_withdrawn(family: Family, keys: Iterable[bytes], behaviour: Behaviour = CONTRAIL) -> list[bytes]:
    """Whole messages, each with one MP_UNREACH_NLRI; profile `rfc` uses the classic field for inet."""
    label = WITHDRAWN if behaviour.withdraw_label_bottom_of_stack else _RFC_WITHDRAWN
    if behaviour.withdraw_labeled_without_label and family is Family.INET_LABELED:
        label = b""
    codec = nlri.codec(family)
    entries = [codec.write_withdrawn(key, label) for key in keys]
    if not entries:
        return []
    if family is Family.INET and not behaviour.inet_in_mp_reach:
        return [
            MARKER + _size(_FIXED + len(chunk)) + _UPDATE + _size(len(chunk)) + chunk + b"\x00\x00"
            for chunk in _pack(entries, MAX_SIZE - _FIXED)
        ]
    wire = family.wire
    chunks = _pack(entries, MAX_SIZE - _FIXED - _MP_HEAD - len(wire))
    return [_message(_unreach(wire + chunk, behaviour)) for chunk in chunks]


def _unreach(value: bytes, behaviour: Behaviour) -> bytes:
    if not behaviour.mp_extended_length and len(value) <= 0xFF:
        return _MP_UNREACH_SHORT + bytes((len(value),)) + value
    return _MP_UNREACH + _size(len(value)) + value


def end_of_rib(family: Family, behaviour: Behaviour = CONTRAIL) -> bytes:
    """An UPDATE with an empty MP_UNREACH_NLRI (reference/bgp.md 1.9); in profile `rfc` the empty UPDATE for inet."""
    if family is Family.INET and not behaviour.inet_in_mp_reach:
        return _message(b"")
    return _message(_unreach(family.wire, behaviour))
