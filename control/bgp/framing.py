"""BGP messages out of a byte stream (RFC 4271 4.1)."""

from __future__ import annotations

from contrail_emulator.base.behaviour import Behaviour

from .message import HEADER_SIZE, read_header


class Framer:
    """Takes bytes as they come and hands out whole messages. Holds at most what it was fed and one partial message."""

    __slots__ = ("_behaviour", "_data", "_position")

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._data = b""
        self._position = 0

    def feed(self, data: bytes) -> None:
        rest = self._data[self._position :]
        self._data = rest + data if rest else data
        self._position = 0

    @property
    def waiting(self) -> int:
        """Bytes that are held."""
        return len(self._data) - self._position

    def next_message(self) -> tuple[int, bytes] | None:
        """(type, body) of the next whole message, or None. A header fault raises MessageError 1/1, 1/2 or 1/3."""
        start = self._position
        body = start + HEADER_SIZE
        if len(self._data) < body:
            return None
        length, kind = read_header(self._data[start:body], self._behaviour)
        end = start + length
        if len(self._data) < end:
            return None
        self._position = end
        return kind, self._data[body:end]
