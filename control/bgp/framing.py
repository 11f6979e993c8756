"""BGP messages out of a byte stream (RFC 4271 4.1)."""

from __future__ import annotations

from typing import Final

from contrail_emulator.base.behaviour import Behaviour

from .message import HEADER_SIZE, MARKER, MAX_SIZE, MessageType, read_header

_UPDATE: Final = int(MessageType.UPDATE)
_SMALLEST_UPDATE: Final = 23


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
        data, start = self._data, self._position
        body = start + HEADER_SIZE
        if len(data) < body:
            return None
        length, kind = data[start + 16] << 8 | data[start + 17], data[start + 18]
        if kind != _UPDATE or not _SMALLEST_UPDATE <= length <= MAX_SIZE or not data.startswith(MARKER, start):
            length, kind = read_header(data[start:body], self._behaviour)
        end = start + length
        if len(data) < end:
            return None
        self._position = end
        return kind, data[body:end]
