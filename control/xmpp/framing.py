"""Bytes in, frames out: one pattern per state, as the real receivers do, no stream parser (reference/xmpp.md 1.3).

A pull interface: the state machine names the pattern for each frame, so that a change of state between two frames of
one read is honoured. (A real receiver tries the old state's pattern on what follows an open in one read; we take it.)
"""

import re
from enum import Enum
from typing import Final, NamedTuple

from .names import STREAM_NAMESPACE

DEFAULT_MAX_STANZA: Final = 8 * 1024 * 1024
MAX_HANDSHAKE: Final = 64 * 1024
"""Stream opens and TLS stanzas are small; no peer has a reason to send more before it is established."""

_KEEPALIVE: Final = re.compile(rb"[ \n\r\t\xc8\x80]+")
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_GREATER: Final = ord(">")


class Pattern(Enum):
    """What the receiver looks for in its present state."""

    STREAM_OPEN = "stream open"
    FEATURES = "stream features"
    STARTTLS = "starttls"
    PROCEED = "proceed"
    STANZA = "stanza"

    __hash__ = object.__hash__  # that of Enum is a function in Python: one call a frame


class FrameKind(Enum):
    """What was found: a keepalive run, or what the pattern names."""

    KEEPALIVE = "keepalive"
    STREAM_OPEN = "stream open"
    FEATURES = "stream features"
    STARTTLS = "starttls"
    PROCEED = "proceed"
    STANZA = "stanza"


class Frame(NamedTuple):
    """`data` runs from the start of the buffer to the end match, with whatever stood before the start tag."""

    kind: FrameKind
    data: bytes


class FramingError(Exception):
    """More bytes without an end than the limit allows; the session is closed."""


class _Rule(NamedTuple):
    """`start` finds the start tag; `ends` gives the end literal for what it matched."""

    kind: FrameKind
    start: re.Pattern[bytes]
    longest_start: int
    ends: dict[bytes, bytes]
    quoted: bool
    """Whether a quote follows the end literal, before the blanks and `>`."""
    open_end: bool
    """Whether blanks and `>` follow the end literal."""


_RULES: Final = {
    Pattern.STREAM_OPEN: _Rule(
        FrameKind.STREAM_OPEN,
        re.compile(rb"<stream:stream"),
        14,
        {b"<stream:stream": STREAM_NAMESPACE.encode()},
        True,
        True,
    ),
    Pattern.FEATURES: _Rule(
        FrameKind.FEATURES,
        re.compile(rb"<stream:features"),
        16,
        {b"<stream:features": b"</stream:features"},
        False,
        True,
    ),
    Pattern.STARTTLS: _Rule(
        FrameKind.STARTTLS, re.compile(rb"<starttls"), 9, {b"<starttls": b"/>"}, False, False
    ),
    Pattern.PROCEED: _Rule(FrameKind.PROCEED, re.compile(rb"<proceed"), 8, {b"<proceed": b"/>"}, False, False),
    Pattern.STANZA: _Rule(
        FrameKind.STANZA,
        re.compile(rb"<iq|<message"),
        8,
        {b"<iq": b"</iq", b"<message": b"</message"},
        False,
        True,
    ),
}


class Framer:
    """One connection's receive buffer. No byte is looked at more than a fixed number of times, however it is split."""

    __slots__ = ("_buffer", "_end", "_max_stanza", "_pattern", "_scan", "_tail")

    def __init__(self, max_stanza: int = DEFAULT_MAX_STANZA) -> None:
        self._buffer = bytearray()
        self._max_stanza = max_stanza
        self._pattern = Pattern.STREAM_OPEN
        self._end: bytes | None = None
        self._scan = 0
        self._tail = 0

    def __len__(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    def clear(self) -> None:
        """Forget all that is held (at the start of TLS: nothing sent in the clear may count behind it)."""
        self._buffer.clear()
        self._restart()

    def next(self, pattern: Pattern) -> Frame | None:
        """The next frame for `pattern`, None until more bytes come. Raises FramingError when the limit is passed."""
        if pattern is not self._pattern:
            self._pattern = pattern
            self._restart()
        if not self._buffer:
            return None
        if self._end is None and self._scan == 0:
            blank = _KEEPALIVE.match(self._buffer)
            if blank is not None:
                return self._cut(FrameKind.KEEPALIVE, blank.end())
        rule = _RULES[pattern]
        end = self._find(rule)
        limit = self._max_stanza if pattern is Pattern.STANZA else min(self._max_stanza, MAX_HANDSHAKE)
        if (end or len(self._buffer)) > limit:
            raise FramingError(f"more than {limit} bytes in one {rule.kind.value}")
        return None if end is None else self._cut(rule.kind, end)

    def _restart(self) -> None:
        self._end = None
        self._scan = self._tail = 0

    def _cut(self, kind: FrameKind, end: int) -> Frame:
        data = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._restart()
        return Frame(kind, data)

    def _find(self, rule: _Rule) -> int | None:
        """Position behind the end of the frame; remembers how far it looked."""
        if self._end is None:
            found = rule.start.search(self._buffer, self._scan)
            if found is None:
                self._scan = max(self._scan, len(self._buffer) - rule.longest_start + 1)
                return None
            self._end = rule.ends[bytes(found[0])]
            self._scan = found.end()
        while True:
            at = self._buffer.find(self._end, self._scan)
            if at < 0:
                self._scan = max(self._scan, len(self._buffer) - len(self._end) + 1)
                return None
            behind = at + len(self._end)
            if not rule.open_end:
                return behind
            self._scan = at
            end = self._match_tail(rule, behind)
            if end is None:
                return None
            if end:
                return end
            self._scan = behind
            self._tail = 0

    def _match_tail(self, rule: _Rule, at: int) -> int | None:
        """Behind `[quote] blanks >` at `at`; 0 when something else stands there, None when the bytes run out."""
        if rule.quoted:
            if at >= len(self._buffer):
                return None
            if self._buffer[at] not in b"\"'":
                return 0
            at += 1
        blanks = _BLANKS.match(self._buffer, max(at, self._tail))
        at = blanks.end() if blanks is not None else at
        if at >= len(self._buffer):
            self._tail = at
            return None
        return at + 1 if self._buffer[at] == _GREATER else 0
