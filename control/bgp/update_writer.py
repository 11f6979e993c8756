"""Routes into UPDATE messages of at most 4096 bytes: reference/bgp.md 2.3 and 3.1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import nlri
from .attributes import Attributes
from .attributes.table import EXTENDED_LENGTH, OPTIONAL, AttributeType
from .family import Family
from .label import WITHDRAWN
from .message import HEADER_SIZE, MARKER, MAX_SIZE, MessageType
from .next_hop import write_next_hop
from .nlri import Route

_UPDATE: Final = bytes((MessageType.UPDATE,))
_START: Final = _UPDATE + b"\x00\x00"
"""Type, and no withdrawn routes."""
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


class _Frame:
    """Everything of an announcement but its routes, for one attribute set, family and kind of session."""

    __slots__ = (
        "_behind",
        "_bytes",
        "_classic",
        "_head",
        "_heads",
        "_reach_size",
        "_short_head",
        "_size",
        "behaviour",
        "codec",
        "room",
    )

    def __init__(self, family: Family, attributes: Attributes, as4: bool, behaviour: Behaviour) -> None:
        next_hop = write_next_hop(family, attributes.next_hop)
        section = attributes.encode(as4, behaviour)
        if family is Family.INET:
            section = _with_next_hop(section, next_hop, behaviour)
        self.codec = nlri.codec(family)
        self.behaviour = behaviour
        self._classic = family is Family.INET and not behaviour.inet_in_mp_reach
        fixed = family.wire + bytes((len(next_hop),)) + next_hop + b"\x00"
        if self._classic:
            self._head, self._bytes, self._behind = _START + _size(len(section)) + section, b"", b""
            self._size = _FIXED + len(section)
        else:
            first = behaviour.contrail_attribute_order
            self._head = section + _MP_REACH if first else _MP_REACH
            self._bytes, self._behind = fixed, b"" if first else section
            self._size = _FIXED + len(section) + _MP_HEAD + len(fixed)
        self._short_head = b"" if behaviour.mp_extended_length else self._head[:-2] + _MP_REACH_SHORT
        self._reach_size = len(fixed)
        self._heads: dict[int, bytes] = {}
        self.room = MAX_SIZE - self._size

    def single(self, route: bytes) -> bytes:
        """The message that announces one route. What stands before it depends on its length alone, and is kept."""
        size = len(route)
        head = self._heads.get(size)
        if head is None:
            if size > self.room:
                raise AttributesTooLong(f"{max(self.room, 0)} bytes are left for a route of {size}")
            head = self._heads[size] = self._before(size)
        return head + route + self._behind

    def message(self, routes: bytes) -> bytes:
        """The message that announces these routes; they must fit into `room`."""
        return self._before(len(routes)) + routes + self._behind

    def _before(self, size: int) -> bytes:
        """What stands before `size` bytes of routes."""
        whole = self._size + size
        if self._classic:
            return MARKER + _size(whole) + self._head
        reach_size = self._reach_size + size
        if self._short_head and reach_size <= 0xFF:
            whole -= 1
            head = self._short_head + bytes((reach_size,))
        else:
            head = self._head + _size(reach_size)
        return MARKER + _size(whole) + _START + _size(whole - _FIXED) + head + self._bytes


def write(
    family: Family, attributes: Attributes, routes: Sequence[Route], as4: bool, behaviour: Behaviour = CONTRAIL
) -> list[bytes]:
    """Whole messages that announce the routes with these attributes, as few as possible.

    Everything goes into MP_REACH_NLRI, inet too, which has a NEXT_HOP beside it (reference/bgp.md 2.3); profile `rfc`
    uses the classic field for inet. Raises AttributesTooLong when not one route fits, ValueError when the next hop does
    not suit the family.
    """
    frame: _Frame | None = attributes.frames.get((family, as4))
    if frame is None or frame.behaviour is not behaviour:
        frame = attributes.frames[family, as4] = _Frame(family, attributes, as4, behaviour)
    if len(routes) == 1:
        return [frame.single(frame.codec.write(*routes[0]))]
    entries = frame.codec.write_all(routes)
    if behaviour.packed_evpn_l3_label_lost and family is Family.E_VPN:
        entries = _without_later_l3_labels(entries)
    return [frame.message(chunk) for chunk in _pack(entries, frame.room)] if entries else []


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
