"""A machine of a tenant, in memory: it answers ARP and ICMP echo, pings, and asks DNS. It knows only its port."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.names import dns

from . import frames
from .frames import Arp, Ipv4

ARP_LIFETIME = 60.0
ARP_RETRIES = 3
ARP_INTERVAL = 1.0
WAITING_PER_NEIGHBOUR = 16
FIRST_EPHEMERAL_PORT = 40000


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine was given: its MAC (6 bytes), address, subnet, gateway and DNS server."""

    name: str
    mac: bytes
    address: IPv4Address
    subnet: IPv4Network
    gateway: IPv4Address
    dns_server: IPv4Address


@dataclass(slots=True)
class PingResult:
    """What came of a ping: echo requests sent, replies received, round-trip times in seconds."""

    sent: int = 0
    received: int = 0
    times: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Resolution:
    waiting: list[bytes] = field(default_factory=list)
    tries: int = 0
    call: IDelayedCall | None = None


@dataclass(slots=True)
class _Ping:
    result: PingResult
    sent_at: dict[int, float]
    done: Deferred[PingResult]
    count: int
    call: IDelayedCall | None = None


@dataclass(slots=True)
class _Query:
    done: Deferred[list[str]]
    call: IDelayedCall


class NoAnswer(Exception):
    """Nothing came back in time, or the server said no; `str()` says which."""


class Machine:
    """A machine behind one Ethernet port.

    Frames go out through `transmit` and come in through `receive`; time comes from `clock`.
    """

    def __init__(self, identity: Identity, transmit: Callable[[bytes], None], clock: IReactorTime) -> None:
        self.identity = identity
        self.received_frames = 0
        self.sent_frames = 0
        self._transmit = transmit
        self._clock = clock
        self._address = identity.address.packed
        self._neighbours: dict[bytes, tuple[bytes, float]] = {}
        self._resolutions: dict[bytes, _Resolution] = {}
        self._pings: dict[int, _Ping] = {}
        self._queries: dict[tuple[int, int], _Query] = {}
        self._next_identifier = 1
        self._next_ip_id = 1

    @property
    def name(self) -> str:
        return self.identity.name

    # What a machine does of its own accord

    def ping(
        self, address: IPv4Address, count: int = 1, timeout: float = 2.0, interval: float = 0.2
    ) -> Deferred[PingResult]:
        """Sends `count` echo requests; fires when all are answered or `timeout` seconds after the last was sent."""
        identifier = self._next_identifier
        self._next_identifier = identifier % 0xFFFF + 1
        ping = _Ping(PingResult(), {}, Deferred(), count)
        self._pings[identifier] = ping
        self._send_echo(identifier, ping, address, timeout, interval)
        return ping.done

    def resolve(self, name: str, kind: int = dns.A, timeout: float = 5.0) -> Deferred[list[str]]:
        """Asks the DNS server of the subnet; fires with the answers as text, fails with NoAnswer."""
        identifier = self._next_identifier
        self._next_identifier = identifier % 0xFFFF + 1
        port = FIRST_EPHEMERAL_PORT + identifier % 20000
        message = dns.Message(id=identifier, recDes=1)
        message.addQuery(name.encode("idna"), kind)
        done: Deferred[list[str]] = Deferred()
        key = (port, identifier)
        call = self._clock.callLater(timeout, self._query_failed, key, f"{name}: no answer in {timeout:g} s")
        self._queries[key] = _Query(done, call)
        server = self.identity.dns_server
        self.send(server, frames.PROTOCOL_UDP, frames.udp(self._address, server.packed, port, 53, message.toStr()))
        return done

    def send(self, destination: IPv4Address, protocol: int, payload: bytes, ttl: int = 64) -> None:
        """Sends one IPv4 packet, after ARP for the next hop where needed."""
        self._next_ip_id = self._next_ip_id % 0xFFFF + 1
        packet = Ipv4(self._address, destination.packed, protocol, payload, ttl, self._next_ip_id).encode()
        on_link = destination in self.identity.subnet
        self._send_via((destination if on_link else self.identity.gateway).packed, packet)

    def announce(self) -> None:
        """A gratuitous ARP request, as most systems send when their address comes up (RFC 5227, 2.3)."""
        self._send_arp(frames.BROADCAST, frames.ARP_REQUEST, b"\0" * 6, self._address)

    def stop(self) -> None:
        """Forgets everything under way; what was asked fails."""
        for resolution in self._resolutions.values():
            _cancel(resolution.call)
        self._resolutions.clear()
        for ping in list(self._pings.values()):
            _cancel(ping.call)
        pings, self._pings = self._pings, {}
        for ping in pings.values():
            ping.done.callback(ping.result)
        for key in list(self._queries):
            self._query_failed(key, "the machine was stopped")

    # What comes in

    def receive(self, frame: bytes) -> None:
        """A frame from the port; what is not for this machine or not understood is ignored."""
        self.received_frames += 1
        if len(frame) < 14 or (frame[:6] != self.identity.mac and not frame[0] & 1):
            return
        ethertype = int.from_bytes(frame[12:14], "big")
        if ethertype == frames.ETHERTYPE_ARP:
            self._receive_arp(frame[14:])
        elif ethertype == frames.ETHERTYPE_IPV4:
            packet = Ipv4.decode(frame[14:])
            if packet is not None and packet.destination == self._address:
                self._receive_packet(packet)

    def _receive_arp(self, data: bytes) -> None:
        arp = Arp.decode(data)
        if arp is None or arp.sender == self._address:
            return
        if arp.sender in self._resolutions or arp.sender in self._neighbours:
            self._learn(arp.sender, arp.sender_mac)
        if arp.operation == frames.ARP_REQUEST and arp.target == self._address:
            self._send_arp(arp.sender_mac, frames.ARP_REPLY, arp.sender_mac, arp.sender)

    def _receive_packet(self, packet: Ipv4) -> None:
        data = packet.payload
        if packet.protocol == frames.PROTOCOL_ICMP and len(data) >= 8 and not frames.checksum(data):
            kind, code, _, identifier, sequence = struct.unpack("!BBHHH", data[:8])
            if kind == frames.ECHO_REQUEST and code == 0:
                reply = frames.echo(frames.ECHO_REPLY, identifier, sequence, data[8:])
                self.send(IPv4Address(packet.source), frames.PROTOCOL_ICMP, reply)
            elif kind == frames.ECHO_REPLY and code == 0:
                self._echo_replied(identifier, sequence)
        elif packet.protocol == frames.PROTOCOL_UDP and len(data) >= 8:
            source_port, port = struct.unpack("!HH", data[:4])
            if source_port == 53:
                self._dns_answered(port, data[8:])

    # ARP

    def _send_via(self, next_hop: bytes, packet: bytes) -> None:
        known = self._neighbours.get(next_hop)
        if known is not None and known[1] > self._clock.seconds():
            self._send_frame(frames.ethernet(known[0], self.identity.mac, frames.ETHERTYPE_IPV4, packet))
            return
        resolution = self._resolutions.get(next_hop)
        if resolution is not None:
            if len(resolution.waiting) < WAITING_PER_NEIGHBOUR:
                resolution.waiting.append(packet)
            return
        resolution = self._resolutions[next_hop] = _Resolution([packet])
        self._ask(next_hop, resolution)

    def _ask(self, next_hop: bytes, resolution: _Resolution) -> None:
        resolution.call = None
        if resolution.tries == ARP_RETRIES:
            del self._resolutions[next_hop]
            return
        resolution.tries += 1
        resolution.call = self._clock.callLater(ARP_INTERVAL, self._ask, next_hop, resolution)
        self._send_arp(frames.BROADCAST, frames.ARP_REQUEST, b"\0" * 6, next_hop)

    def _learn(self, address: bytes, mac: bytes) -> None:
        self._neighbours[address] = (mac, self._clock.seconds() + ARP_LIFETIME)
        resolution = self._resolutions.pop(address, None)
        if resolution is not None:
            _cancel(resolution.call)
            for packet in resolution.waiting:
                self._send_via(address, packet)

    def _send_arp(self, destination: bytes, operation: int, target_mac: bytes, target: bytes) -> None:
        arp = Arp(operation, self.identity.mac, self._address, target_mac, target)
        self._send_frame(frames.ethernet(destination, self.identity.mac, frames.ETHERTYPE_ARP, arp.encode()))

    def _send_frame(self, frame: bytes) -> None:
        self.sent_frames += 1
        self._transmit(frame)

    # Echo

    def _send_echo(self, identifier: int, ping: _Ping, address: IPv4Address, timeout: float, interval: float) -> None:
        ping.result.sent += 1
        sequence = ping.result.sent
        ping.sent_at[sequence] = self._clock.seconds()
        if sequence < ping.count:
            ping.call = self._clock.callLater(interval, self._send_echo, identifier, ping, address, timeout, interval)
        else:
            ping.call = self._clock.callLater(timeout, self._ping_done, identifier)
        payload = bytes(range(48))
        self.send(address, frames.PROTOCOL_ICMP, frames.echo(frames.ECHO_REQUEST, identifier, sequence, payload))

    def _echo_replied(self, identifier: int, sequence: int) -> None:
        ping = self._pings.get(identifier)
        if ping is None or sequence not in ping.sent_at:
            return
        ping.result.received += 1
        ping.result.times.append(self._clock.seconds() - ping.sent_at.pop(sequence))
        if ping.result.received == ping.count:
            self._ping_done(identifier)

    def _ping_done(self, identifier: int) -> None:
        ping = self._pings.pop(identifier)
        _cancel(ping.call)
        ping.done.callback(ping.result)

    # DNS

    def _dns_answered(self, port: int, data: bytes) -> None:
        message = dns.Message()
        try:
            message.fromStr(data)
        except (EOFError, ValueError, IndexError, struct.error):
            return
        query = self._queries.get((port, message.id))
        if query is None or not message.answer:
            return
        if message.rCode:
            self._query_failed((port, message.id), f"the server answered with error {message.rCode}")
            return
        del self._queries[port, message.id]
        query.call.cancel()
        query.done.callback([_text(record) for record in message.answers])

    def _query_failed(self, key: tuple[int, int], reason: str) -> None:
        query = self._queries.pop(key)
        _cancel(query.call)
        query.done.errback(NoAnswer(reason))


def _text(record: dns.RRHeader) -> str:
    payload = record.payload
    match payload:
        case dns.Record_A():
            return str(payload.dottedQuad())
        case dns.Record_PTR() | dns.Record_CNAME() | dns.Record_NS():
            return str(payload.name)
    return repr(payload)


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
