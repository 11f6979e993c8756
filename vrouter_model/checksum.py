"""Internet checksums, whole and incremental (RFC 1071, RFC 1624)."""

from __future__ import annotations


def ones_sum(data: bytes) -> int:
    """The one's complement sum of 16-bit words, folded to 16 bits; an odd last byte is padded with zero.

    Read as one big number, the words of `data` sum to that number modulo 65535, which is what folding computes.
    """
    if len(data) & 1:
        data += b"\0"
    number = int.from_bytes(data, "big")
    folded = number % 0xFFFF
    return 0xFFFF if not folded and number else folded


def checksum(data: bytes) -> int:
    """The checksum to store when the checksum field of `data` is zero."""
    return ~ones_sum(data) & 0xFFFF


def update(old_checksum: int, old: bytes, new: bytes) -> int:
    """The checksum after `old` (an even number of bytes) became `new`: RFC 1624, equation 3."""
    total = (~old_checksum & 0xFFFF) + (~ones_sum(old) & 0xFFFF) + ones_sum(new)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
