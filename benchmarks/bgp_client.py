"""The BGP speakers around the daemon: they keep the bytes that come, and read them when nobody is being timed."""

from __future__ import annotations

import socket
import time
from hashlib import blake2b
from weakref import WeakValueDictionary

import reflectors
from bgp_messages import END_OF_RIB, KEEPALIVE, Reader, Table, open_message

Streams = WeakValueDictionary[bytes, Reader]
"""From the digest of a stream so far to what it says: sinks that were told the same share the work."""


class Client:
    """An iBGP speaker that knows one family. What it reads stays bytes until `check`."""

    def __init__(self, address: str, family: str, streams: Streams) -> None:
        self.address = address
        self.family = family
        self.chunks: list[bytes] = []
        self.pause = 0.0
        self.last = 0.0
        self._streams = streams
        self._so_far = b""
        self._reader = Reader(family)
        self._sock: socket.socket

    def connect(self, port: int, timeout: float = 20.0) -> socket.socket:
        """Until Established. RuntimeError when it takes too long."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            sock = socket.create_connection((reflectors.ADDRESS, port), timeout=5, source_address=(self.address, 0))
            try:
                sock.sendall(open_message(self.family, socket.inet_aton("10.9" + self.address[5:])))
                self._await(sock, 1)
                sock.sendall(KEEPALIVE)
                self._await(sock, 4)
            except (ConnectionError, TimeoutError):
                sock.close()
                time.sleep(0.2)
                continue
            sock.setblocking(False)
            self._sock = sock
            return sock
        raise RuntimeError(f"no session from {self.address}")

    @staticmethod
    def _await(sock: socket.socket, kind: int) -> None:
        head = sock.recv(19, socket.MSG_WAITALL)
        if len(head) < 19 or head[18] != kind:
            raise ConnectionError(f"message {head.hex()}")
        size = (head[16] << 8 | head[17]) - 19
        if size:
            sock.recv(size, socket.MSG_WAITALL)

    def begin(self, now: float) -> None:
        """A phase begins."""
        self.last, self.pause = now, 0.0

    def send(self, data: memoryview) -> int:
        """What fits."""
        return self._sock.send(data)

    def read(self, now: float) -> bool:
        """Take what there is. True when it was more than a keepalive or an End-of-RIB."""
        data = self._sock.recv(1 << 20)
        if not data:
            raise RuntimeError(f"the daemon closed the session with {self.address}")
        self.chunks.append(data)
        if len(data) <= END_OF_RIB:
            return False
        self.pause = max(self.pause, now - self.last)
        self.last = now
        return True

    def check(self, expected: Table) -> bool:
        """Read the bytes that came, compare."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        if data:
            self._so_far = blake2b(self._so_far + data).digest()
            known = self._streams.get(self._so_far)
            if known is None:
                known = self._streams[self._so_far] = self._reader.copy()
                known.update(data)
            self._reader = known
        if self._reader.table is expected:
            return True
        if self._reader.table != expected:
            return False
        self._reader.table = expected  # the same, once in memory; `update` works on a copy
        return True

    def close(self) -> None:
        self._sock.close()
