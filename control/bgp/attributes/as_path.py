"""AS_PATH: RFC 4271 5.1.2, and its two widths, RFC 6793."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack, unpack_from
from typing import Final

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
AS_CONFED_SEQUENCE: Final = 3
AS_CONFED_SET: Final = 4
AS_TRANS: Final = 23456
_MAX_SEGMENT: Final = 255

Segment = tuple[int, tuple[int, ...]]
"""Segment type and its AS numbers."""


def is_sound(value: bytes, width: int, types: frozenset[int] | None = None) -> bool:
    """Whether a value is whole segments of AS numbers of `width` bytes.

    With `types` (RFC 7606 7.2) also: no empty segment, no other type, no AS number 0 (RFC 7607).
    """
    offset, end = 0, len(value)
    if types is None and end > 2 and value[1] * width == end - 2:
        return True
    while offset < end:
        if offset + 2 > end:
            return False
        kind, count = value[offset], value[offset + 1]
        after = offset + 2 + count * width
        if after > end:
            return False
        if types is not None and (kind not in types or not count or _has_zero(value[offset + 2 : after], width)):
            return False
        offset = after
    return True


def _has_zero(numbers: bytes, width: int) -> bool:
    zero = bytes(width)
    return zero in numbers and any(numbers[i : i + width] == zero for i in range(0, len(numbers), width))


def read_segments(value: bytes, width: int) -> tuple[Segment, ...]:
    """The segments of a sound value."""
    segments: list[Segment] = []
    offset, end = 0, len(value)
    letter = "I" if width == 4 else "H"
    while offset < end:
        count = value[offset + 1]
        segments.append((value[offset], unpack_from(f"!{count}{letter}", value, offset + 2)))
        offset += 2 + count * width
    return tuple(segments)


def write_segments(segments: Iterable[Segment], width: int) -> bytes:
    """The value of an attribute; numbers that need 4 bytes become AS_TRANS when `width` is 2. ValueError above 255."""
    parts: list[bytes] = []
    for kind, numbers in segments:
        if len(numbers) > _MAX_SEGMENT:
            raise ValueError(f"an AS_PATH segment holds at most {_MAX_SEGMENT} numbers, not {len(numbers)}")
        if width == 2:
            numbers = tuple(number if number <= 0xFFFF else AS_TRANS for number in numbers)
            parts.append(pack(f"!BB{len(numbers)}H", kind, len(numbers), *numbers))
        else:
            parts.append(pack(f"!BB{len(numbers)}I", kind, len(numbers), *numbers))
    return b"".join(parts)


def widen(value: bytes) -> bytes:
    """A sound 2-byte value as a 4-byte one."""
    return write_segments(read_segments(value, 2), 4)


def path_length(segments: Iterable[Segment]) -> int:
    """RFC 4271 9.1.2.2: a set counts 1; RFC 5065: confederation segments count 0."""
    return sum(
        len(numbers) if kind == AS_SEQUENCE else 1 if kind == AS_SET else 0 for kind, numbers in segments if numbers
    )


def merge(as_path: bytes, as4_path: bytes) -> bytes:
    """RFC 6793 4.2.3: the true path of an AS_PATH (already widened) from an old speaker and its AS4_PATH.

    The AS4_PATH replaces as much of the tail as it covers; one that is longer than the AS_PATH is ignored.
    """
    old = read_segments(as_path, 4)
    new = tuple(segment for segment in read_segments(as4_path, 4) if segment[1] and segment[0] in (AS_SET, AS_SEQUENCE))
    keep = path_length(old) - path_length(new)
    if keep < 0 or not new:
        return as_path
    merged: list[Segment] = []
    for kind, numbers in old:
        if kind in (AS_CONFED_SEQUENCE, AS_CONFED_SET):
            merged.append((kind, numbers))
        elif keep <= 0:
            break
        elif kind == AS_SEQUENCE:
            merged.append((kind, numbers[:keep]))
            keep -= len(numbers)
        else:
            merged.append((kind, numbers))
            keep -= 1
    kind, numbers = new[0]
    if merged and kind == merged[-1][0] == AS_SEQUENCE and len(merged[-1][1]) + len(numbers) <= _MAX_SEGMENT:
        merged[-1] = (kind, merged[-1][1] + numbers)
        new = new[1:]
    return write_segments([*merged, *new], 4)


class AsPath:
    """An AS path with 4-byte numbers, kept as the attribute's bytes and cut into segments when asked."""

    __slots__ = ("_length", "_segments", "raw")

    raw: bytes
    _segments: tuple[Segment, ...] | None
    _length: int

    def __init__(self, segments: Iterable[Segment] = (), raw: bytes | None = None) -> None:
        """Of segments, or of a sound attribute value with 4-byte numbers."""
        self._length = -1
        if raw is None:
            self._segments = tuple((kind, tuple(numbers)) for kind, numbers in segments)
            self.raw = write_segments(self._segments, 4)
        else:
            self._segments = None
            self.raw = raw

    @classmethod
    def from_bytes(cls, raw: bytes) -> AsPath:
        """Of a sound attribute value with 4-byte numbers."""
        return cls((), raw)

    @classmethod
    def sequence(cls, *numbers: int) -> AsPath:
        """One AS_SEQUENCE of the numbers given, or the empty path."""
        return cls(((AS_SEQUENCE, numbers),) if numbers else ())

    @property
    def segments(self) -> tuple[Segment, ...]:
        if self._segments is None:
            self._segments = read_segments(self.raw, 4)
        return self._segments

    @property
    def length(self) -> int:
        """What path selection compares: a set counts 1."""
        if self._length < 0:
            raw = self.raw
            if len(raw) > 2 and raw[0] == AS_SEQUENCE and len(raw) == 2 + 4 * raw[1]:
                self._length = raw[1]
            else:
                self._length = path_length(self.segments)
        return self._length

    @property
    def first(self) -> int:
        """The neighbour AS: the leftmost number when the path starts with a sequence, else 0."""
        raw = self.raw
        return int.from_bytes(raw[2:6], "big") if len(raw) > 5 and raw[0] == AS_SEQUENCE and raw[1] else 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Every AS number, sets included, from left to right."""
        segments = self.segments
        if len(segments) == 1:
            return segments[0][1]
        return tuple(number for _, numbers in segments for number in numbers)

    def count(self, asn: int) -> int:
        """How often the AS occurs, sets included."""
        if asn.to_bytes(4, "big") not in self.raw:  # nearly always
            return 0
        return sum(numbers.count(asn) for _, numbers in self.segments)

    def prepend(self, asn: int) -> AsPath:
        """RFC 4271 5.1.2: extends the first sequence, or starts a new one when there is none or it is full."""
        segments = self.segments
        if segments and segments[0][0] == AS_SEQUENCE and len(segments[0][1]) < _MAX_SEGMENT:
            return AsPath(((AS_SEQUENCE, (asn, *segments[0][1])), *segments[1:]))
        return AsPath(((AS_SEQUENCE, (asn,)), *segments))

    @property
    def text(self) -> str:
        """`65001 65002 {65003 65004}`; confederation segments in parentheses and brackets."""
        around = {AS_SET: "{}", AS_CONFED_SEQUENCE: "()", AS_CONFED_SET: "[]"}
        parts: list[str] = []
        for kind, numbers in self.segments:
            inner = " ".join(map(str, numbers))
            pair = around.get(kind)
            parts.append(f"{pair[0]}{inner}{pair[1]}" if pair else inner)
        return " ".join(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsPath) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"AsPath({self.text!r})"
