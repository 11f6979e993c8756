"""What our own UPDATE messages tell, counted from their bytes where nobody has counted it before."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from .attributes.table import EXTENDED_LENGTH, AttributeType
from .family import Family
from .message import HEADER_SIZE

_MP_REACH: Final = int(AttributeType.MP_REACH_NLRI)
_MP_UNREACH: Final = int(AttributeType.MP_UNREACH_NLRI)
_TYPED: Final = frozenset(family.wire for family in (Family.E_VPN, Family.ERM_VPN, Family.INET_MVPN))
"""Routes of these begin with a type and a length in bytes, all others with a length in bits."""


class Sent(NamedTuple):
    """Messages, routes announced and withdrawn by them, and how many of the messages are an End-of-RIB."""

    messages: int
    reach: int
    unreach: int
    ends_of_rib: int


@lru_cache(maxsize=2)
def messages(data: bytes) -> int:
    """How many whole messages these are. Remembered: an update group hands the same bytes to each of its members."""
    found = start = 0
    size = len(data)
    while start + HEADER_SIZE <= size:
        start += max(HEADER_SIZE, data[start + 16] << 8 | data[start + 17])
        found += 1
    return found


def count(data: bytes) -> Sent:
    """Of whole, well-formed UPDATE messages."""
    messages = reach = unreach = ends = start = 0
    size = len(data)
    while start + HEADER_SIZE + 4 <= size:
        end = min(size, start + max(HEADER_SIZE + 4, data[start + 16] << 8 | data[start + 17]))
        offset = start + HEADER_SIZE + 2
        attributes = offset + (data[offset - 2] << 8 | data[offset - 1]) + 2
        if attributes > end:
            break
        if attributes - offset > 2:
            unreach += _routes(data, offset, attributes - 2, False)
        offset, after = attributes, min(end, attributes + (data[attributes - 2] << 8 | data[attributes - 1]))
        if after < end:
            reach += _routes(data, after, end, False)
        if end - start == HEADER_SIZE + 4:
            ends += 1
        while offset + 6 <= after:
            code = data[offset + 1]
            value = offset + 3
            if data[offset] & EXTENDED_LENGTH:
                value += 1
                next_one = min(after, value + (data[offset + 2] << 8 | data[offset + 3]))
            else:
                next_one = min(after, value + data[offset + 2])
            if code == _MP_REACH and value + 3 < next_one:
                reach += _routes(data, value + 5 + data[value + 3], next_one, data[value : value + 3] in _TYPED)
            elif code == _MP_UNREACH:
                unreach += _routes(data, value + 3, next_one, data[value : value + 3] in _TYPED)
                ends += value + 3 == next_one
            offset = next_one
        messages += 1
        start = end
    return Sent(messages, reach, unreach, ends)


def _routes(data: bytes, offset: int, end: int, typed: bool) -> int:
    found = 0
    if typed:
        while offset + 1 < end:
            offset += 2 + data[offset + 1]
            found += 1
    else:
        while offset < end:
            offset += 1 + (data[offset] + 7 >> 3)
            found += 1
    return found
