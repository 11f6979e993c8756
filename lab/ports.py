"""Free ports, chosen before anyone listens, for peers that must be told the port in a configuration file."""

from __future__ import annotations

import random
import socket

from .errors import LabError

FIRST, LAST = 20000, 32000
"""Below Linux's ephemeral range, so that no outgoing connection takes the port between choosing it and listening."""


class PortPicker:
    """Hands out ports nobody listens on, each (address, port) once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._given: set[tuple[str, int]] = set()
        self._wanted: set[tuple[str, int, socket.SocketKind]] = set()

    def pick(self, address: str, wanted: int, datagram: bool = False, what: str = "") -> int:
        """`wanted`, or a free one for 0.

        Raises:
            LabError: the wanted port is in use, may not be opened, or the address is not this machine's.
        """
        kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        if wanted:
            fault = (
                "it is asked for twice" if (address, wanted, kind) in self._wanted else _fault(address, wanted, kind)
            )
            self._wanted.add((address, wanted, kind))
            if fault:
                raise LabError(f"{what}: cannot listen on {address} port {wanted}: {fault}")
            return wanted
        for _ in range(200):
            port = self._rng.randint(FIRST, LAST)
            if (address, port) in self._given:
                continue
            fault = _fault(address, port, kind)
            if not fault:
                self._given.add((address, port))
                return port
            if "assign" in fault:
                raise LabError(f"{what}: cannot listen on {address}: {fault}")
        raise LabError(f"{what}: no free port found on {address}")


def _fault(address: str, port: int, kind: int) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            hint = "; ports below 1024 need root" if isinstance(error, PermissionError) else ""
            return f"{error.strerror}{hint}"
    return ""
