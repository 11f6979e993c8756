"""Where the attributes stand in a section: the sections of a peer mostly differ in values and not in their shape.

A section with the lengths and types of an earlier one is cut by a few slices, without looking at each attribute.
"""

from __future__ import annotations

from typing import Final

from .attributes import present
from .section import CHECKS, Check, Context, Section
from .table import CONTRAIL_ORDER, SPECS, AttributeType

_NEXT_HOP: Final = int(AttributeType.NEXT_HOP)
_AS4: Final = frozenset((int(AttributeType.AS4_PATH), int(AttributeType.AS4_AGGREGATOR)))
_HEAD: Final = 3
"""Flags, type and length in the short form."""


class Layout:
    """The shape of a sound section in which every attribute is written as the canonical form has it."""

    __slots__ = ("_boundaries", "_checks", "_heads", "_next_hop", "_pieces", "_present", "_shape", "size")

    def __init__(self, data: bytes, places: dict[int, int], context: Context) -> None:
        """`places`: where each attribute of `data` begins, by type code, in the order of the bytes."""
        starts = list(places.values())
        self.size = len(data)
        self._boundaries = frozenset((*starts, len(data)))
        ends = dict(zip(places, [*starts[1:], len(data)], strict=True))
        shape = bytearray(len(data))
        for start in starts:
            shape[start : start + _HEAD] = b"\xff" * _HEAD
        self._shape = int.from_bytes(shape, "big")
        """Has the bits of flags, types and lengths set."""
        self._heads = int.from_bytes(data, "big") & self._shape
        self._pieces = _pieces([(places[code], ends[code]) for code in CONTRAIL_ORDER if code in places])
        hop = places.get(_NEXT_HOP)
        self._next_hop = 0 if hop is None else hop + _HEAD
        self._present = present(code for code in places if code != _NEXT_HOP)
        self._checks: list[tuple[Check, int, int]] = [
            (check, place + _HEAD, ends[code])
            for code, place in places.items()
            for check in (CHECKS.get(code), context.extra_checks.get(code))
            if check is not None
        ]

    @classmethod
    def of(cls, data: bytes, context: Context) -> Layout | None:
        """The layout of a section that SectionReader found usual; None when it has something out of the ordinary."""
        if not context.as4:
            return None
        places: dict[int, int] = {}
        offset = 0
        while offset < len(data):
            flags, code = data[offset], data[offset + 1]
            if code not in context.plain or code in _AS4 or code in places or flags != SPECS[code].flags:
                return None
            places[code] = offset
            offset += _HEAD + data[offset + 2]
        return cls(data, places, context) if len(places) > 2 else None

    def read(self, data: bytes, context: Context) -> Section | None:
        """The section, when it has this layout and its values are sound."""
        if len(data) != self.size or int.from_bytes(data, "big") & self._shape != self._heads:
            return None
        for check, start, after in self._checks:
            if not check(data[start:after], context):
                return None
        hop = self._next_hop
        next_hop = data[hop : hop + 4] if hop else None
        known = b"".join([data[start:after] for start, after in self._pieces])
        return Section(known, self._present, (), next_hop, (), False, None, self._boundaries)


def _pieces(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Start and end of each, with those that follow one another joined."""
    joined: list[tuple[int, int]] = []
    for start, after in ranges:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, after))
    return joined
