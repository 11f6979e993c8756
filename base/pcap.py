"""Packet captures as evidence: what crossed our sockets, as a pcapng file Wireshark reads without complaint."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from twisted.logger import Logger

from .packets import SocketAddress, udp_frame
from .pcapng import PcapngWriter
from .tcp_trace import TcpConversation, TcpTrace

Address = tuple[str, int]
"""Host as text (an IP address, never a name) and port."""

_BUFFER: Final = 1 << 18
_MAX_REMEMBERED: Final = 4096
_INTERFACE: Final = "lo"


class Capture:
    """One capture file. Nothing raises after the constructor: the first write error is logged and ends the capture.

    ``clock`` gives seconds since the epoch. Written time stamps always grow. Raises OSError when the
    file cannot be opened.
    """

    log = Logger()

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path: Final = Path(path)
        self.frames = 0
        self.error: OSError | None = None
        self._clock = clock
        self._last = 0
        self._connections = 0
        self._live: dict[frozenset[SocketAddress], TcpConversation] = {}
        self._ended: OrderedDict[frozenset[SocketAddress], TcpConversation] = OrderedDict()
        self._udp_sockets: dict[SocketAddress, int] = {}
        self._stream: BinaryIO | None = self.path.open("wb", buffering=_BUFFER)
        self._writer: PcapngWriter | None = None
        self._guard(self._begin)

    @property
    def closed(self) -> bool:
        """True after close() or after a write error."""
        return self._stream is None

    def tcp(self, local: Address, remote: Address, initiator: bool, comment: str | None = None) -> TcpTrace:
        """Begin a connection; ``initiator`` when our end connected. Raises ValueError for anything but IP addresses.

        Both ends may live here and call this: they write one record together. An end that hears of the connection only
        after the other has closed it writes nothing. A pair of addresses may be used again after its end.
        """
        here, there = SocketAddress.parse(*local), SocketAddress.parse(*remote)
        if len(here.ip) != len(there.ip):
            raise ValueError(f"{local[0]} and {remote[0]}: expected addresses of one family")
        pair = frozenset((here, there))
        conversation = self._live.get(pair)
        if conversation is not None and conversation.joined(here):  # the same end opens again: the old one is over
            conversation.abandon()
            self._ended.pop(pair, None)
            conversation = None
        if conversation is None:
            ended = self._ended.pop(pair, None)
            if ended is not None and not ended.joined(here):
                return ended.join(here)
            conversation = self._begin_conversation(*((here, there) if initiator else (there, here)), comment)
        return conversation.join(here)

    def udp_socket(self, local: Address) -> UdpTrace:
        """A socket of ours: a datagram between two of them is written once, by its sender."""
        return UdpTrace(self, SocketAddress.parse(*local), self._udp_sockets)

    def udp(self, source: Address, destination: Address, payload: bytes, comment: str | None = None) -> None:
        """One datagram. Raises ValueError for something else than IP addresses of one family."""
        self.udp_between(SocketAddress.parse(*source), SocketAddress.parse(*destination), payload, comment)

    def frame(self, data: bytes, interface: str, comment: str | None = None) -> None:
        """One Ethernet frame seen on the interface of that name."""
        self._guard(lambda: self._packet(data, interface, comment))

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._guard(lambda: self._stream.flush() if self._stream is not None else None)

    def close(self) -> None:
        """Write what is buffered and close the file; later calls on anything made here do nothing."""
        for conversation in list(self._live.values()):
            conversation.abandon()
        if self._stream is not None:
            self._guard(self._end)

    def _begin_conversation(
        self, client: SocketAddress, server: SocketAddress, comment: str | None
    ) -> TcpConversation:
        self._connections += 1
        sequence = self._connections * 0x9E3779B1  # a reused pair of addresses must not look like a retransmission
        sequences = (sequence & 0xFFFFFFFF, (sequence ^ 0x5BD1E995) & 0xFFFFFFFF)
        conversation = TcpConversation(client, server, sequences, self._write_lo, self._release, comment)
        self._live[conversation.pair] = conversation
        return conversation

    def _release(self, conversation: TcpConversation) -> None:
        del self._live[conversation.pair]
        if not conversation.whole:
            self._ended[conversation.pair] = conversation
            if len(self._ended) > _MAX_REMEMBERED:
                self._ended.popitem(last=False)

    def udp_between(
        self, source: SocketAddress, destination: SocketAddress, payload: bytes, comment: str | None = None
    ) -> None:
        """As udp(), with addresses already parsed."""
        if len(source.ip) != len(destination.ip):
            raise ValueError("expected addresses of one family")
        self._write_lo(udp_frame(source, destination, payload), comment)

    def _write_lo(self, frame: bytes, comment: str | None) -> None:
        self._guard(lambda: self._packet(frame, _INTERFACE, comment))

    def _packet(self, frame: bytes, interface: str, comment: str | None) -> None:
        if self._writer is None:
            return
        self._last = max(self._last + 1, int(self._clock() * 1e9))
        self._writer.packet(self._writer.interface(interface), self._last, frame, comment)
        self.frames += 1

    def _begin(self) -> None:
        if self._stream is not None:
            self._writer = PcapngWriter(self._stream)
            self._writer.interface(_INTERFACE)

    def _end(self) -> None:
        stream, self._stream, self._writer = self._stream, None, None
        if stream is not None:
            stream.close()

    def _guard(self, action: Callable[[], object]) -> None:
        """Do something with the file; its first error ends the capture and nothing else."""
        try:
            action()
        except OSError as error:
            self.error = error
            self.log.error("capture {path} ends here: {error}", path=str(self.path), error=error)
            self._abandon()

    def _abandon(self) -> None:
        stream, self._stream, self._writer = self._stream, None, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                return  # the buffer cannot be written either: already reported


class UdpTrace:
    """Records the datagrams of one socket of ours. Peers' addresses that are no IP addresses are left out."""

    def __init__(self, capture: Capture, local: SocketAddress, sockets: dict[SocketAddress, int]) -> None:
        self._capture = capture
        self._local = local
        self._sockets = sockets
        self._open = True
        sockets[local] = sockets.get(local, 0) + 1

    def sent(self, destination: Address, payload: bytes) -> None:
        """We sent ``payload``."""
        if self._open:
            self._capture.udp_between(self._local, SocketAddress.parse(*destination), payload)

    def received(self, source: Address, payload: bytes) -> None:
        """``payload`` came in. Not written when the sender is a socket of ours: it wrote it already."""
        sender = SocketAddress.parse(*source)
        anywhere = SocketAddress(bytes(len(sender.ip)), sender.port)
        if self._open and sender not in self._sockets and anywhere not in self._sockets:
            self._capture.udp_between(sender, self._local, payload)

    def closed(self) -> None:
        """The socket is gone."""
        if self._open:
            self._open = False
            self._sockets[self._local] -= 1
            if not self._sockets[self._local]:
                del self._sockets[self._local]
