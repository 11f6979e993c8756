"""The stand-in machine against a scripted Ethernet segment, judged by scapy."""

from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from contrail_emulator.lab.machine import Identity, Machine, NoAnswer

T = TypeVar("T")
MAC = bytes.fromhex("020000000001")
PEER_MAC = "02:00:00:00:00:02"
SUBNET = IPv4Network("10.1.0.0/24")


class Segment:
    """Keeps what the machine sends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sent: list[Ether] = []
        identity = Identity("vm1", MAC, SUBNET[3], SUBNET, SUBNET[-2], SUBNET[-3])
        self.machine = Machine(identity, lambda frame: self.sent.append(Ether(frame)), self.clock)

    def take(self) -> Ether:
        return self.sent.pop(0)

    def answer_arp(self) -> str:
        """Answers the ARP request sent last; returns the address asked for."""
        request = self.take()
        assert request.dst == "ff:ff:ff:ff:ff:ff" and request[ARP].op == 1
        reply = ARP(op=2, hwsrc=PEER_MAC, psrc=request[ARP].pdst, hwdst=request[ARP].hwsrc, pdst=request[ARP].psrc)
        self.machine.receive(bytes(Ether(src=PEER_MAC, dst=request.src) / reply))
        return str(request[ARP].pdst)


@pytest.fixture
def segment() -> Segment:
    return Segment()


def checksums_hold(frame: Ether) -> bool:
    """Scapy recomputes what we strip."""
    copy = Ether(bytes(frame))
    for layer in (IP, ICMP, UDP):
        if layer in copy:
            del copy[layer].chksum
    return bytes(Ether(bytes(copy))) == bytes(frame)


def test_ping_asks_arp_then_sends_an_echo_and_counts_the_reply(segment: Segment) -> None:
    done = segment.machine.ping(SUBNET[4])
    assert segment.answer_arp() == "10.1.0.4"
    echo = segment.take()
    assert echo.dst == PEER_MAC and echo[ICMP].type == 8 and checksums_hold(echo)
    segment.clock.advance(0.25)
    reply = (
        IP(src="10.1.0.4", dst="10.1.0.3") / ICMP(type=0, id=echo[ICMP].id, seq=echo[ICMP].seq) / Raw(bytes(echo[Raw]))
    )
    segment.machine.receive(bytes(Ether(src=PEER_MAC, dst=echo.src) / reply))
    result = outcome(done)
    assert (result.sent, result.received, result.times) == (1, 1, [0.25])


def outcome(done: Deferred[T]) -> T:
    """What a Deferred that has fired holds."""
    found: list[T] = []
    done.addCallback(found.append)
    assert found, "not done yet"
    return found[0]


def test_ping_without_answer_ends_in_time(segment: Segment) -> None:
    done = segment.machine.ping(SUBNET[4], count=2, timeout=1.0, interval=0.5)
    segment.answer_arp()
    segment.clock.pump([0.5, 1.0])
    result = outcome(done)
    assert (result.sent, result.received) == (2, 0)
    assert not segment.clock.getDelayedCalls()


def test_what_is_outside_the_subnet_goes_to_the_gateway(segment: Segment) -> None:
    segment.machine.ping(IPv4Address("203.0.113.5"))
    assert segment.answer_arp() == "10.1.0.254"
    assert segment.take()[IP].dst == "203.0.113.5"


def test_arp_gives_up_and_forgets(segment: Segment) -> None:
    segment.machine.ping(SUBNET[4], timeout=10)
    segment.clock.pump([1.0] * 5)
    assert [frame[ARP].pdst for frame in segment.sent] == ["10.1.0.4"] * 3


def test_it_answers_arp_and_echo_for_its_own_address_only(segment: Segment) -> None:
    ask = Ether(src=PEER_MAC, dst="ff:ff:ff:ff:ff:ff")
    segment.machine.receive(bytes(ask / ARP(op=1, hwsrc=PEER_MAC, psrc="10.1.0.4", pdst="10.1.0.9")))
    assert not segment.sent
    segment.machine.receive(bytes(ask / ARP(op=1, hwsrc=PEER_MAC, psrc="10.1.0.4", pdst="10.1.0.3")))
    answer = segment.take()
    assert answer[ARP].op == 2 and answer[ARP].hwsrc == MAC.hex(":") and answer.dst == PEER_MAC
    echo = Ether(src=PEER_MAC, dst=MAC.hex(":")) / IP(src="10.1.0.4", dst="10.1.0.3") / ICMP(id=7, seq=3) / Raw(b"odd")
    segment.machine.receive(bytes(echo))
    segment.answer_arp()
    reply = segment.take()
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, bytes(reply[Raw])[:3]) == (0, 7, 3, b"odd")
    assert checksums_hold(reply)


def test_resolve_reads_the_answer(segment: Segment) -> None:
    done = segment.machine.resolve("vm2.lab.example")
    assert segment.answer_arp() == "10.1.0.253"
    query = segment.take()
    assert query[DNSQR].qname == b"vm2.lab.example." and query[UDP].dport == 53 and checksums_hold(query)
    answer = DNS(id=query[DNS].id, qr=1, qd=query[DNSQR], an=DNSRR(rrname="vm2.lab.example", rdata="10.1.0.4"))
    packet = IP(src="10.1.0.253", dst="10.1.0.3") / UDP(sport=53, dport=query[UDP].sport) / answer
    segment.machine.receive(bytes(Ether(src=PEER_MAC, dst=query.src) / packet))
    assert outcome(done) == ["10.1.0.4"]


@pytest.mark.parametrize("rcode", [2, 3, 5])
def test_resolve_tells_the_servers_no(segment: Segment, rcode: int) -> None:
    done = segment.machine.resolve("nobody.lab.example")
    segment.answer_arp()
    query = segment.take()
    answer = DNS(id=query[DNS].id, qr=1, rcode=rcode, qd=query[DNSQR])
    packet = IP(src="10.1.0.253", dst="10.1.0.3") / UDP(sport=53, dport=query[UDP].sport) / answer
    segment.machine.receive(bytes(Ether(src=PEER_MAC, dst=query.src) / packet))
    failed: list[Failure] = []
    done.addErrback(failed.append)
    assert failed and isinstance(failed[0].value, NoAnswer)


TO_US = Ether(dst=MAC.hex(":"))
NONSENSE = {
    "empty": b"",
    "no header": b"\xff" * 13,
    "no payload": MAC + b"\0" * 8,
    "IP of one byte": MAC + b"\0" * 6 + b"\x08\x00" + b"\x45",
    "ARP of another kind": MAC + b"\0" * 6 + b"\x08\x06" + b"\0" * 40,
    "fragment": bytes(TO_US / IP(dst="10.1.0.3", flags=1, frag=3) / Raw(b"x" * 20)),
    "no DNS": bytes(TO_US / IP(dst="10.1.0.3", src="10.1.0.9") / UDP(sport=53, dport=41000) / Raw(b"\0" * 5)),
}


@pytest.mark.parametrize("frame", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_ignored(segment: Segment, frame: bytes) -> None:
    segment.machine.receive(frame)
    assert not segment.sent
