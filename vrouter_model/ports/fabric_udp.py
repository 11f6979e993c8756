"""A stand-in for the physical interface that needs no privileges: tunnels over ordinary UDP sockets.

The pipeline hands over whole outer frames. Their UDP payload leaves from a socket of the bound address, with the
frame's own source port where that can be had, to the address the underlay map gives for the outer destination. What
arrives is put back into an outer frame, with the sender's tunnel address, and received on the vif. GRE has no ports and
cannot be sent.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final, Protocol, cast

from twisted.internet.address import IPv4Address as SocketName
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from contrail_emulator.base.pcap import Capture, UdpTrace

from ..encapsulation import MPLS_UDP_PORT, PROTO_GRE, PROTO_UDP, VXLAN_PORT, udp_tunnel
from ..flags import ZERO_MAC
from ..vrouter import VRouter

DEFAULT_PORTS: Final[Mapping[int, int]] = {MPLS_UDP_PORT: MPLS_UDP_PORT, 51234: 51234, VXLAN_PORT: VXLAN_PORT}
SENDING_SOCKETS: Final = 64
_ETHERTYPE_IP = b"\x08\x00"
_MAX_DATAGRAM = 65507


class _Datagrams(Protocol):
    """The part of Twisted's UDP port that sends."""

    def write(self, datagram: bytes, addr: tuple[str, int]) -> Any: ...


class _Socket(DatagramProtocol):
    """One UDP socket: a listening one passes on what it gets, a sending one ignores it."""

    noisy = False

    def __init__(self, owner: FabricPort, port: int | None) -> None:
        self.owner = owner
        self.port = port
        """The tunnel port (6635, 51234, 4789) a listening socket stands for; None on a sending socket."""
        self.listening: IListeningPort | None = None
        self.trace: UdpTrace | None = None
        self.local: tuple[str, int] = ("", 0)

    def opened(self, listening: IListeningPort, capture: Capture | None) -> None:
        host = cast(SocketName, listening.getHost())
        self.listening = listening
        self.local = (host.host, host.port)
        self.trace = None if capture is None else capture.udp_socket(self.local)

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: N802
        if self.trace is not None:
            self.trace.received(addr, data)
        if self.port is not None:
            self.owner.datagram_received(data, addr, self.port)

    def connectionRefused(self) -> None:  # noqa: N802
        self.owner.counters["refused"] += 1

    def send(self, data: bytes, addr: tuple[str, int]) -> None:
        """Raises OSError, as the socket does."""
        cast(_Datagrams, self.transport).write(data, addr)
        if self.trace is not None:
            self.trace.sent(addr, data)

    def close(self) -> Deferred[Any] | None:
        if self.trace is not None:
            self.trace.closed()
        listening, self.listening = self.listening, None
        stopping: Deferred[Any] | None = None if listening is None else listening.stopListening()
        return stopping


class FabricPort:
    """The fabric vif of one host.

    `bind` is the address of its sockets; `underlay` maps tunnel addresses (text, IPv4) to bound addresses, this host's
    included, and may change while in use. `ports` maps the tunnel ports 6635, 51234 and 4789 to those really used, here
    and at the peers. `counters` counts what was sent, received and refused; each kind of refusal is logged once.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorUDP,
        bind: str,
        underlay: Mapping[str, str],
        vrouter: VRouter,
        vif_index: int,
        capture: Capture | None = None,
        *,
        ports: Mapping[int, int] = DEFAULT_PORTS,
        sending_sockets: int = SENDING_SOCKETS,
    ) -> None:
        self.bind = bind
        self.underlay = underlay
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._vrouter = vrouter
        self._vif_index = vif_index
        self._capture = capture
        self._ports = dict(ports)
        self._listening: dict[int, _Socket] = {}
        self._senders: OrderedDict[int, _Socket] = OrderedDict()
        self._pool_size = sending_sockets
        self._any_port: _Socket | None = None
        self._tunnel_addresses: dict[str, str] = {}
        self._logged: set[str] = set()
        self._running = False

    # Life

    def start(self) -> None:
        """Listen and become the vif's port. Raises CannotListenError; nothing stays open then."""
        try:
            for port, actual in self._ports.items():
                if actual not in self._listening:
                    self._listening[actual] = self._open(actual, port)
        except CannotListenError:
            self.stop()
            raise
        self._running = True
        self._vrouter.connect(self._vif_index, self.transmit)

    def stop(self) -> Deferred[Any]:
        """Close every socket; fires when they are closed."""
        if self._running:
            self._vrouter.connect(self._vif_index, None)
        self._running = False
        sockets = [*self._listening.values(), *self._senders.values()]
        if self._any_port is not None:
            sockets.append(self._any_port)
        self._listening.clear()
        self._senders.clear()
        self._any_port = None
        return gatherResults([closing for closing in (socket.close() for socket in sockets) if closing is not None])

    def _open(self, port: int, stands_for: int | None) -> _Socket:
        socket = _Socket(self, stands_for)
        socket.opened(self._reactor.listenUDP(port, socket, interface=self.bind, maxPacketSize=65535), self._capture)
        return socket

    # From the pipeline to the network

    def transmit(self, frame: bytes) -> None:
        """Send one outer frame; what cannot be sent is counted."""
        parts = self._parse(frame)
        if parts is None:
            return
        destination, source_port, port, payload = parts
        address = self.underlay.get(destination)
        if address is None:
            self._refuse("unknown_tunnel_address", "No underlay address for tunnel {address}", address=destination)
            return
        actual = self._ports.get(port)
        if actual is None:
            self._refuse("not_a_tunnel", "UDP port {port} on the fabric is no tunnel; not sent", port=port)
            return
        if len(payload) > _MAX_DATAGRAM:
            self._refuse("too_long", "A packet of {length} bytes does not fit in a datagram", length=len(payload))
            return
        try:
            self._sender(source_port).send(payload, (address, actual))
        except OSError as error:
            self._refuse("send_error", "Cannot send to {address}: {error}", address=address, error=str(error))
        except CannotListenError as error:
            self._refuse("no_socket", "No socket to send from: {error}", error=str(error))
        else:
            self.counters["sent"] += 1

    def _parse(self, frame: bytes) -> tuple[str, int, int, bytes] | None:
        """(outer destination, source port, destination port, UDP payload), or None for what is no UDP over IPv4."""
        if len(frame) < 42 or frame[12:14] != _ETHERTYPE_IP or frame[14] >> 4 != 4:
            self._refuse("not_ip", "Only IPv4 can leave through the UDP fabric; other frames are not sent")
            return None
        header = (frame[14] & 0xF) * 4
        protocol = frame[23]
        if protocol == PROTO_GRE:
            self._refuse(
                "gre", "GRE needs privileges: prefer MPLSoUDP or VXLAN in encapsulation_priorities; packets are dropped"
            )
            return None
        at = 14 + header
        if protocol != PROTO_UDP or header < 20 or len(frame) < at + 8:
            self._refuse("not_udp", "IP protocol {protocol} cannot leave through the UDP fabric", protocol=protocol)
            return None
        destination = str(IPv4Address(frame[30:34]))
        length = int.from_bytes(frame[at + 4 : at + 6], "big")
        source_port = int.from_bytes(frame[at : at + 2], "big")
        return destination, source_port, int.from_bytes(frame[at + 2 : at + 4], "big"), frame[at + 8 : at + length]

    def _sender(self, port: int) -> _Socket:
        """A socket bound to `port`, from the pool, made, or in the last resort one with a port of its own choice."""
        socket = self._listening.get(port) or self._senders.get(port)
        if socket is not None:
            if socket.port is None:
                self._senders.move_to_end(port)
            return socket
        if port >= 1024:
            try:
                socket = self._senders[port] = self._open(port, None)
            except CannotListenError:
                self.counters["source_port_taken"] += 1
            else:
                if len(self._senders) > self._pool_size:
                    self._senders.popitem(last=False)[1].close()
                return socket
        if self._any_port is None:
            self._any_port = self._open(0, None)
        return self._any_port

    # From the network to the pipeline

    def datagram_received(self, data: bytes, addr: tuple[str, int], port: int) -> None:
        """One datagram for tunnel port `port`: an outer frame for the vif."""
        source = self._tunnel_address(addr[0])
        if source is None:
            self._refuse("unknown_sender", "No tunnel address for underlay address {address}", address=addr[0])
            return
        own = self._tunnel_address(self.bind) or self.bind
        self.counters["received"] += 1
        vif = self._vrouter.interface(self._vif_index)
        mac = ZERO_MAC if vif is None else vif.mac
        packet = udp_tunnel(data, int(IPv4Address(source)), int(IPv4Address(own)), addr[1], port, 0)
        self._vrouter.receive(self._vif_index, mac + ZERO_MAC + _ETHERTYPE_IP + packet)

    def _tunnel_address(self, bound: str) -> str | None:
        """The tunnel address behind a bound address. The map may have changed since it was turned round."""
        found = self._tunnel_addresses.get(bound)
        if found is None or self.underlay.get(found) != bound:
            self._tunnel_addresses = {address: tunnel for tunnel, address in self.underlay.items()}
            found = self._tunnel_addresses.get(bound)
        return found

    def _refuse(self, kind: str, text: str, **values: object) -> None:
        self.counters[kind] += 1
        seen = f"{kind} {values.get('address', '')}"
        if seen not in self._logged and len(self._logged) < 1000:
            self._logged.add(seen)
            self.log.warn("Fabric {bind}: " + text, bind=self.bind, **values)
