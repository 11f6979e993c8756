"""A TCP connection drawn from what crossed a socket: handshake, segments, acknowledgements, close.

The bytes and their order are real, the segmentation is ours: the kernel's segments are not visible from a socket. Every
segment is acknowledged at the latest after two full ones, so that no analyser sees loss, a full window or a gap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from .packets import ACK, FIN, PSH, RST, SYN, SocketAddress, tcp_frame

SEGMENT: Final = 16384
"""Payload bytes of one segment at most (loopback's MTU of 65536 leaves room)."""

_MSS = {4: 65495, 16: 65475}
_WINDOW_SCALE = 7
_WINDOW = 0xFFFF
_ACKNOWLEDGE_AFTER = 2 * SEGMENT

WriteFrame = Callable[[bytes, str | None], None]


class _End:
    """One end: its address, the next sequence number it sends, and how far it has acknowledged the other's."""

    __slots__ = ("acknowledged", "address", "next")

    def __init__(self, address: SocketAddress, initial_sequence: int) -> None:
        self.address = address
        self.next = initial_sequence
        self.acknowledged = 0


class TcpTrace:
    """Records one connection as seen from one end. A silent trace (the other end owns the record) does nothing."""

    def __init__(
        self,
        local: SocketAddress,
        remote: SocketAddress,
        initiator: bool,
        initial_sequences: tuple[int, int],
        write: WriteFrame | None,
        released: Callable[[TcpTrace], None],
        comment: str | None = None,
    ) -> None:
        self._local = _End(local, initial_sequences[0])
        self._remote = _End(remote, initial_sequences[1])
        self._write = write
        self._released = released
        self._open = write is not None
        self.local: Final = local
        self.remote: Final = remote
        if self._open:
            self._handshake(*((self._local, self._remote) if initiator else (self._remote, self._local)), comment)

    @property
    def silent(self) -> bool:
        """True when this end writes nothing (any more)."""
        return not self._open

    def sent(self, data: bytes) -> None:
        """We wrote ``data``."""
        self._data(self._local, self._remote, data)

    def received(self, data: bytes) -> None:
        """We read ``data``."""
        self._data(self._remote, self._local, data)

    def closed(self, by_us: bool, reset: bool = False) -> None:
        """The connection is over: FIN both ways, or one RST from the end that closed. Later calls do nothing."""
        if not self._open:
            return
        closer, other = (self._local, self._remote) if by_us else (self._remote, self._local)
        if reset:
            self._segment(closer, other, RST | ACK)
        else:
            self._segment(closer, other, FIN | ACK)
            closer.next += 1
            self._segment(other, closer, FIN | ACK)
            other.next += 1
            self._segment(closer, other, ACK)
        self.silence()

    def silence(self) -> None:
        """Write nothing any more and give the four-tuple back."""
        if self._open:
            self._open = False
            self._released(self)

    def _handshake(self, client: _End, server: _End, comment: str | None) -> None:
        options = struct.pack("!BBHBBBB", 2, 4, _MSS[len(client.address.ip)], 1, 3, 3, _WINDOW_SCALE)
        self._segment(client, server, SYN, options=options, comment=comment)
        client.next += 1
        self._segment(server, client, SYN | ACK, options=options)
        server.next += 1
        self._segment(client, server, ACK)

    def _data(self, sender: _End, receiver: _End, data: bytes) -> None:
        if not self._open:
            return
        for start in range(0, len(data), SEGMENT):
            piece = data[start : start + SEGMENT]
            last = start + SEGMENT >= len(data)
            self._segment(sender, receiver, (PSH | ACK) if last else ACK, piece)
            sender.next += len(piece)
            if sender.next - receiver.acknowledged >= _ACKNOWLEDGE_AFTER:
                self._segment(receiver, sender, ACK)

    def _segment(
        self,
        sender: _End,
        receiver: _End,
        flags: int,
        payload: bytes = b"",
        options: bytes = b"",
        comment: str | None = None,
    ) -> None:
        acknowledgement = 0
        if flags & ACK:
            acknowledgement = sender.acknowledged = receiver.next
        window = 0 if flags & RST else _WINDOW
        frame = tcp_frame(
            sender.address, receiver.address, sender.next, acknowledgement, flags, window, payload, options
        )
        if self._write is not None:
            self._write(frame, comment)
