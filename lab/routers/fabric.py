"""The data side of a launched router: what agents tunnel to it over UDP, opened and remembered.

A control-plane daemon such as ExaBGP has no MPLS forwarding; the lab listens in its place, at its address.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol

from contrail_emulator.base.capture import capture_datagrams
from contrail_emulator.base.pcap import Capture

from ..frames import Ipv4

MPLS_OVER_UDP_PORT = 6635
REMEMBERED = 256
BOTTOM_OF_STACK = 0x100


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """One packet that arrived in a tunnel: from which bound address, with which labels (outermost first)."""

    sender: IPv4Address
    labels: tuple[int, ...]
    packet: Ipv4


class GatewayFabric(DatagramProtocol):
    """Listens for MPLS over UDP (RFC 7510) at a router's address."""

    noisy = False

    def __init__(self, address: IPv4Address) -> None:
        self.received: deque[Tunnelled] = deque(maxlen=REMEMBERED)
        self.unreadable = 0
        self._address = address
        self._port: Any = None

    def listen(self, reactor: Any, capture: Capture | None) -> None:
        """Opens the port.

        Raises:
            CannotListenError: it is in use.
        """
        protocol = capture_datagrams(capture, self)
        self._port = reactor.listenUDP(MPLS_OVER_UDP_PORT, protocol, interface=str(self._address), maxPacketSize=65535)

    def stop(self) -> Deferred[None]:
        port, self._port = self._port, None
        return maybeDeferred(lambda: None if port is None else port.stopListening())

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: N802 - Twisted's name
        labels: list[int] = []
        at = 0
        while at + 4 <= len(data):
            entry = int.from_bytes(data[at : at + 4], "big")
            labels.append(entry >> 12)
            at += 4
            if entry & BOTTOM_OF_STACK:
                break
        packet = Ipv4.decode(data[at:])
        if packet is None:
            self.unreadable += 1
        else:
            self.received.append(Tunnelled(IPv4Address(addr[0]), tuple(labels), packet))
