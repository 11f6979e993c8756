"""The unprivileged fabric: two hosts over loopback sockets, and everything that cannot be sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from scapy.all import ICMP, IP, UDP, Ether, rdpcap
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from contrail_emulator.base.pcap import Capture
from contrail_emulator.vrouter_model import VRouter
from contrail_emulator.vrouter_model.ports.fabric_udp import FabricPort
from contrail_emulator.vrouter_model.rows import Vif, VifType

if TYPE_CHECKING:
    from vrouter_model.conftest import Lab

UNDERLAY = {"10.255.2.1": "127.0.41.1", "10.255.2.2": "127.0.41.2"}
A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
GATEWAY_MAC = "00:00:5e:00:01:00"


class FakePort:
    """What listenUDP gives: remembers its datagrams; delivery is up to the test."""

    def __init__(self, reactor: FakeReactor, address: tuple[str, int], protocol: Any) -> None:
        self.reactor = reactor
        self.address = address
        self.protocol = protocol
        protocol.transport = self

    def getHost(self) -> Any:  # noqa: N802
        return type("Host", (), {"host": self.address[0], "port": self.address[1]})()

    def write(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if self.reactor.error is not None:
            raise self.reactor.error
        self.reactor.datagrams.append((self.address, addr, datagram))

    def stopListening(self) -> None:  # noqa: N802
        del self.reactor.ports[self.address]


class FakeReactor:
    """Sockets in memory; `taken` ports refuse to listen."""

    def __init__(self) -> None:
        self.ports: dict[tuple[str, int], FakePort] = {}
        self.datagrams: list[tuple[tuple[str, int], tuple[str, int], bytes]] = []
        self.taken: set[int] = set()
        self.error: OSError | None = None
        self._next = 40000

    def listenUDP(  # noqa: N802
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = 8192,  # noqa: N803
    ) -> FakePort:
        if not port:
            self._next += 1
            port = self._next
        if port in self.taken or (interface, port) in self.ports:
            raise cast(Any, CannotListenError)(interface, port, OSError("taken"))
        self.ports[(interface, port)] = FakePort(self, (interface, port), protocol)
        return self.ports[(interface, port)]

    def pump(self) -> None:
        while self.datagrams:
            source, destination, data = self.datagrams.pop(0)
            if destination in self.ports:
                self.ports[destination].protocol.datagramReceived(data, source)


def fabric(reactor: FakeReactor, vr: VRouter, bind: str = "127.0.41.1", **options: Any) -> FabricPort:
    port = FabricPort(cast(IReactorUDP, reactor), bind, UNDERLAY, vr, 0, **options)
    port.start()
    return port


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace", "").endswith("FabricPort"):
            lines.append(event["log_format"].format(**event))

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield lines
    globalLogPublisher.removeObserver(observer)


def plain_vrouter() -> VRouter:
    vr = VRouter(lambda: 0.0, random.Random(1))
    assert vr.add(Vif(0, VifType.PHYSICAL, mac=bytes(6))) == 0
    return vr


def outer(destination: str = "10.255.2.2", sport: int = 50001, dport: int = 6635, **ip: Any) -> bytes:
    frame = Ether() / IP(src="10.255.2.1", dst=destination, **ip) / UDP(sport=sport, dport=dport) / b"payload"
    return bytes(frame)


def test_two_machines_talk_through_sockets(lab: Lab, tmp_path: Path) -> None:
    reactor = FakeReactor()
    capture = Capture(tmp_path / "fabric.pcapng")
    hosts = []
    for address, bind, vif, mac, ip in (
        ("10.255.2.1", "127.0.41.1", 3, A_MAC, "1.1.1.4"),
        ("10.255.2.2", "127.0.41.2", 4, B_MAC, "1.1.1.5"),
    ):
        host = lab.Host(address)
        host.network(2)
        host.machine(vif, 2, lab.mac(mac), ip)
        host.auto_flows()
        fabric(reactor, host.vr, bind, capture=capture)
        hosts.append(host)
    left, right = hosts
    left.tunnel(21, "10.255.2.2")
    left.remote(2, "1.1.1.5", 21, 20)
    right.tunnel(21, "10.255.2.1")
    right.remote(2, "1.1.1.4", 21, 19)
    left.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src="1.1.1.4", dst="1.1.1.5") / ICMP(id=1))
    reactor.pump()
    answer = Ether(dst=GATEWAY_MAC, src=B_MAC) / IP(src="1.1.1.5", dst="1.1.1.4") / ICMP(type=0, id=1)
    right.receive(4, answer)
    reactor.pump()
    assert Ether(left.sent[3][0])[ICMP].type == 0
    trap = Ether(right.traps[0].frame)
    assert (trap[IP].src, trap[IP].dst, trap[UDP].dport) == ("10.255.2.1", "10.255.2.2", 6635)
    capture.close()
    packets = rdpcap(str(capture.path))
    assert [(packet[IP].src, packet[IP].dst) for packet in packets] == [
        ("127.0.41.1", "127.0.41.2"),
        ("127.0.41.2", "127.0.41.1"),
    ]


def test_the_frames_source_port_is_used_and_the_pool_is_bounded() -> None:
    reactor = FakeReactor()
    port = fabric(reactor, plain_vrouter(), sending_sockets=2)
    for sport in (50001, 50002, 50001, 50003):
        port.transmit(outer(sport=sport))
    assert [source for source, _, _ in reactor.datagrams] == [
        ("127.0.41.1", sport) for sport in (50001, 50002, 50001, 50003)
    ]
    assert set(reactor.ports) == {("127.0.41.1", sport) for sport in (6635, 51234, 4789, 50001, 50003)}
    assert reactor.datagrams[0][1:] == (("127.0.41.2", 6635), b"payload")


def test_a_taken_source_port_falls_back_to_any_port() -> None:
    reactor = FakeReactor()
    reactor.taken.add(50001)
    port = fabric(reactor, plain_vrouter())
    port.transmit(outer())
    port.transmit(outer())
    assert {source for source, _, _ in reactor.datagrams} == {("127.0.41.1", 40001)}
    assert port.counters["sent"] == 2 and port.counters["source_port_taken"] == 2


def test_what_cannot_be_sent_is_counted_and_logged_once(logged: list[str]) -> None:
    reactor = FakeReactor()
    port = fabric(reactor, plain_vrouter())
    for _ in range(3):
        port.transmit(outer("10.9.9.9"))
        port.transmit(bytes(Ether() / IP(dst="10.255.2.2", proto=47) / bytes(40)))
        port.transmit(bytes(Ether(type=0x0806) / bytes(60)))
        port.transmit(outer(dport=53))
        port.transmit(b"short")
    assert not reactor.datagrams
    counters = ("unknown_tunnel_address", "gre", "not_ip", "not_a_tunnel")
    assert [port.counters[kind] for kind in counters] == [3, 3, 6, 3]
    assert len(logged) == 4
    assert "No underlay address for tunnel 10.9.9.9" in logged[0]


def test_errors_of_the_socket_are_counted(logged: list[str]) -> None:
    reactor = FakeReactor()
    port = fabric(reactor, plain_vrouter())
    reactor.error = OSError(101, "Network is unreachable")
    port.transmit(outer())
    assert port.counters["send_error"] == 1 and len(logged) == 1


def test_a_datagram_from_nowhere_is_counted() -> None:
    reactor = FakeReactor()
    vr = plain_vrouter()
    port = fabric(reactor, vr)
    reactor.ports[("127.0.41.1", 6635)].protocol.datagramReceived(b"x", ("127.9.9.9", 1))
    assert port.counters["unknown_sender"] == 1 and vr.totals.received == 0


def test_a_port_in_use_leaves_nothing_open() -> None:
    reactor = FakeReactor()
    reactor.taken.add(4789)
    with pytest.raises(CannotListenError):
        fabric(reactor, plain_vrouter())
    assert not reactor.ports


def test_ports_can_be_moved() -> None:
    reactor = FakeReactor()
    vr = plain_vrouter()
    port = fabric(reactor, vr, ports={6635: 16635, 4789: 14789})
    port.transmit(outer())
    assert reactor.datagrams[0][1] == ("127.0.41.2", 16635)
    seen: list[bytes] = []
    vr.on_drop = lambda reason, vif, frame, detail: seen.append(frame)
    reactor.ports[("127.0.41.1", 16635)].protocol.datagramReceived(b"\0\0\1\x40", ("127.0.41.2", 50000))
    frame = Ether(seen[0])
    assert (frame[IP].src, frame[IP].dst, frame[UDP].dport) == ("10.255.2.2", "10.255.2.1", 6635)


def test_stop_closes_every_socket_and_unplugs_the_vif() -> None:
    reactor = FakeReactor()
    vr = plain_vrouter()
    port = fabric(reactor, vr)
    port.transmit(outer())
    port.stop()
    assert not reactor.ports
    vif = vr.interface(0)
    assert vif is not None and vif.transmit is None


def test_on_real_sockets() -> None:
    import asyncio

    loop = asyncio.new_event_loop()
    reactor: Any = AsyncioSelectorReactor(loop)
    left, right = plain_vrouter(), plain_vrouter()
    ports = {6635: 26635}
    sender = FabricPort(reactor, "127.0.41.1", UNDERLAY, left, 0, ports=ports)
    receiver = FabricPort(reactor, "127.0.41.2", UNDERLAY, right, 0, ports=ports)
    seen: list[bytes] = []
    arrived = loop.create_future()

    def on_drop(reason: Any, vif: int, frame: bytes, detail: str) -> None:
        seen.append(frame)
        arrived.set_result(None)

    right.on_drop = on_drop
    sender.start()
    receiver.start()
    sender.transmit(outer())
    loop.run_until_complete(asyncio.wait_for(arrived, 5))
    for port in (sender, receiver):
        stopping = port.stop()
        if not stopping.called:
            loop.run_until_complete(stopping.asFuture(loop))
    loop.close()
    assert Ether(seen[0])[UDP].sport == 50001 and bytes(Ether(seen[0])[UDP].payload) == b"payload"
