"""A TCP connection drawn from what crossed a socket: handshake, segments, acknowledgements, close.

The bytes and their order are real, the segmentation is ours: the kernel's segments are not visible from a socket. Every
segment is acknowledged at the latest after two full ones, so that no analyser sees loss, a full window or a gap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
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
    """One end: its address, what it sent, acknowledged and has not read yet, and how much of it is closed."""

    __slots__ = ("acknowledged", "address", "closed", "finished", "next", "ours", "unread")

    def __init__(self, address: SocketAddress, initial_sequence: int) -> None:
        self.address = address
        self.next = initial_sequence
        self.acknowledged = 0
        self.unread = 0
        self.ours = False
        """It has a trace: what it sends, it says itself."""
        self.finished = False
        """Its FIN is written."""
        self.closed = False
        """Its socket is gone: what still arrives is answered with RST."""


class TcpConversation:
    """The record of one connection, whether one end of it lives here or both. Once over, it writes nothing."""

    def __init__(
        self,
        client: SocketAddress,
        server: SocketAddress,
        initial_sequences: tuple[int, int],
        write: WriteFrame,
        ended: Callable[[TcpConversation], None],
        comment: str | None = None,
    ) -> None:
        self.pair: Final = frozenset((client, server))
        self.over = False
        self._client = _End(client, initial_sequences[0])
        self._server = _End(server, initial_sequences[1])
        self._write = write
        self._ended = ended
        options = struct.pack("!BBHBBBB", 2, 4, _MSS[len(client.ip)], 1, 3, 3, _WINDOW_SCALE)
        self._segment(self._client, self._server, SYN, options=options, comment=comment)
        self._client.next += 1
        self._segment(self._server, self._client, SYN | ACK, options=options)
        self._server.next += 1
        self._segment(self._client, self._server, ACK)

    def joined(self, address: SocketAddress) -> bool:
        """Whether the end of this address has its trace already."""
        return self._ends(address)[0].ours

    @property
    def whole(self) -> bool:
        """Whether both ends have a trace."""
        return self._client.ours and self._server.ours

    def join(self, address: SocketAddress) -> TcpTrace:
        """The trace of the end at that address."""
        here, there = self._ends(address)
        here.ours = True
        return TcpTrace(self, here, there)

    def abandon(self) -> None:
        """Nobody will say any more: write the end of a close that has begun, and no more."""
        for here, there in ((self._client, self._server), (self._server, self._client)):
            if here.closed:
                self.finish_both(here, there)
        self._stop()

    def data(self, sender: _End, receiver: _End, pieces: Iterable[bytes]) -> None:
        """Payload that crossed at one moment, each piece a segment at least; a closed receiver answers with RST."""
        if self.over or sender.finished:
            return
        before = sender.next
        for piece in pieces:
            self._push(sender, receiver, piece)
        receiver.unread += sender.next - before
        if receiver.closed and sender.next > before:
            self._segment(receiver, sender, RST)
            self._stop()

    def _push(self, sender: _End, receiver: _End, data: bytes) -> None:
        for start in range(0, len(data), SEGMENT):
            piece = data[start : start + SEGMENT]
            last = start + SEGMENT >= len(data)
            self._segment(sender, receiver, (PSH | ACK) if last else ACK, piece)
            sender.next += len(piece)
            if sender.next - receiver.acknowledged >= _ACKNOWLEDGE_AFTER and not receiver.closed:
                self._segment(receiver, sender, ACK)

    def finish(self, sender: _End, receiver: _End) -> None:
        """FIN of one end, once; when it is the second one, its acknowledgement ends the record."""
        if self.over or sender.finished:
            return
        self._segment(sender, receiver, FIN | ACK)
        sender.next += 1
        sender.finished = True
        if receiver.finished:
            self._segment(receiver, sender, ACK)
            self._stop()

    def finish_both(self, closer: _End, other: _End) -> None:
        """The close as a whole."""
        self.finish(closer, other)
        self.finish(other, closer)

    def reset(self, sender: _End, receiver: _End) -> None:
        """RST of one end."""
        if not self.over:
            self._segment(sender, receiver, RST | ACK)
            self._stop()

    def _stop(self) -> None:
        if not self.over:
            self.over = True
            self._ended(self)

    def _ends(self, address: SocketAddress) -> tuple[_End, _End]:
        ends = self._client, self._server
        return ends if address == self._client.address else ends[::-1]

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
        self._write(frame, comment)


class TcpTrace:
    """What one end of a connection has to say about it.

    When the other end has a trace too, each says what it sent, at the moment its socket took it: so the record has what
    was on the wire even if the other end never read it.
    """

    def __init__(self, conversation: TcpConversation, here: _End, there: _End) -> None:
        self._conversation = conversation
        self._here = here
        self._there = there

    @property
    def silent(self) -> bool:
        """True when this end writes nothing (any more)."""
        return self._conversation.over

    def sent(self, *pieces: bytes) -> None:
        """The socket took these bytes at once; each piece becomes a segment of its own and can be read alone."""
        self._conversation.data(self._here, self._there, pieces)

    def received(self, data: bytes) -> None:
        """We read ``data``."""
        if not self._there.ours:
            self._conversation.data(self._there, self._here, (data,))
        self._here.unread -= len(data)

    def half_closed(self, by_us: bool) -> None:
        """One direction is over, the other goes on."""
        self._conversation.finish(*self._closer_first(by_us))

    def closed(self, by_us: bool, reset: bool = False) -> None:
        """The socket is gone, because we closed it or because the other end did. Later calls do nothing.

        By us: our FIN, and RST after it when something was left unread, as the kernel does. The other end's FIN follows
        when it closes; at once when it does not live here.
        """
        if self._here.closed:
            return
        self._here.closed = True
        closer, other = self._closer_first(by_us)
        if reset:
            self._conversation.reset(closer, other)
        elif not (by_us and other.ours):
            self._conversation.finish_both(closer, other)
        else:
            self._conversation.finish(closer, other)
            if closer.unread > 0:
                self._conversation.reset(closer, other)

    def _closer_first(self, by_us: bool) -> tuple[_End, _End]:
        return (self._here, self._there) if by_us else (self._there, self._here)
