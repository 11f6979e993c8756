"""Free ports, chosen before anyone listens, for peers that must be told the port in a configuration file."""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from .errors import LabError
from .model import LabFile
from .yaml_lines import Location

FIRST, LAST = 20000, 32000
"""Below Linux's ephemeral range, so that no outgoing connection takes the port between choosing it and listening."""

ANY = -1
"""The port of tunnels: whatever listens at that address."""
IN_USE = os.strerror(errno.EADDRINUSE)


class PortPicker:
    """Hands out ports nobody listens on, each (address, port) once. `others` says who may have one that is in use."""

    def __init__(self, rng: random.Random, others: Callable[[], str] = lambda: "") -> None:
        self._rng = rng
        self._others = others
        self._given: set[tuple[str, int]] = set()
        self._wanted: set[tuple[str, int, socket.SocketKind]] = set()

    def pick(self, address: str, wanted: int, datagram: bool = False, what: str = "") -> int:
        """`wanted`, or a free one for 0.

        Raises:
            LabError: the wanted port is in use, may not be opened, or the address is not this machine's.
        """
        kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        if wanted:
            twice = (address, wanted, kind) in self._wanted
            self._wanted.add((address, wanted, kind))
            fault = "it is asked for twice" if twice else _fault(address, wanted, kind)
            if fault == IN_USE:
                fault += self._others()
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


def line_of_listener(file: LabFile, address: str, port: int) -> str:
    """`FILE:LINE: ` of whoever is to listen there, to begin a message with; "" when the file does not say."""
    for location, at, wanted in _listeners(file):
        if str(at) == address and wanted in (port, ANY):
            return file.line_of(*location)
    return ""


def _listeners(file: LabFile) -> Iterator[tuple[Location, IPv4Address | None, int]]:
    for index, node in enumerate(file.control_nodes):
        for name in ("bgp_port", "xmpp_port", "introspect_port"):
            yield ("control_nodes", index, name), node.address, getattr(node, name)
    for index, agent in enumerate(file.agents):
        for name in ("introspect_port", "port_api_port"):
            yield ("agents", index, name), agent.bind, getattr(agent, name)
        yield ("agents", index, "bind"), agent.bind, ANY
    if file.dns is not None:
        for name in ("port", "xmpp_port", "introspect_port"):
            yield ("dns", name), file.dns.address, getattr(file.dns, name)
    for index, peer in enumerate(file.bgp_peers):
        if peer.kind != "external":
            yield ("bgp_peers", index, "address"), file.data_side(peer), ANY
