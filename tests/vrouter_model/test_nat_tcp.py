"""Translation by flows, and flows that end with their TCP connection (reference 5, 7.6)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.rows import (
    Flow,
    FlowAction,
    FlowExtFlag,
    FlowFlag,
    FlowKey,
    InetRoute,
    TcpFlowFlag,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
A, B, FLOATING = "1.1.1.4", "2.2.2.5", "2.2.2.100"
GATEWAY_MAC = "00:00:5e:00:01:00"
VALID = FlowFlag.ACTIVE | FlowFlag.RFLOW_VALID


@pytest.fixture
def host(lab: Lab) -> Host:
    """A (VRF 2) has the floating address 2.2.2.100 in VRF 3, where B lives."""
    host = lab.Host()
    for vrf in (2, 3):
        host.network(vrf)
    host.machine(3, 2, lab.mac(A_MAC), A)
    host.machine(4, 3, lab.mac(B_MAC), B)
    host.add(InetRoute(3, lab.ip(FLOATING), 32, 30))
    return host


def link(host: Host, forward: Flow, backward: Flow) -> None:
    """Set up both entries, each the other's reverse."""
    first = host.vr.flow_set(forward)
    assert first.code == 0
    fields: dict[str, Any] = {name: getattr(backward, name) for name in Flow.__slots__}
    second = host.vr.flow_set(Flow(**fields | {"rindex": first.index, "flags": backward.flags | VALID}))
    assert second.code == 0
    fields = {name: getattr(forward, name) for name in Flow.__slots__}
    fields |= {"index": first.index, "gen_id": first.gen_id, "rindex": second.index, "flags": forward.flags | VALID}
    assert host.vr.flow_set(Flow(**fields)).code == 0


def floating(host: Host, lab: Lab, proto: int, sport: int, dport: int) -> None:
    back = (sport, dport) if proto == 1 else (dport, sport)
    active = FlowFlag.ACTIVE | FlowFlag.VRFT
    link(
        host,
        Flow(
            FlowKey(30, lab.ip(A), lab.ip(B), proto, sport, dport),
            action=FlowAction.NAT,
            flags=active | FlowFlag.SNAT,
            vrf=2,
            dvrf=3,
        ),
        Flow(
            FlowKey(40, lab.ip(B), lab.ip(FLOATING), proto, *back),
            action=FlowAction.NAT,
            flags=active | FlowFlag.DNAT,
            vrf=3,
            dvrf=2,
        ),
    )


def assert_checksums(frame: bytes) -> Ether:
    """scapy fills the checksums in again: they must come out as they are."""
    packet = Ether(frame)
    again = Ether(frame)
    for layer in (IP, TCP, UDP, ICMP):
        if layer in again:
            del again[layer].chksum
    again = Ether(bytes(again))
    for layer in (IP, TCP, UDP, ICMP):
        if layer in packet:
            assert packet[layer].chksum == again[layer].chksum, layer
    return packet


@pytest.mark.parametrize("transport", [TCP, UDP])
def test_a_floating_address_is_written_and_taken_back(host: Host, lab: Lab, transport: Any) -> None:
    floating(host, lab, 6 if transport is TCP else 17, 5, 80)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B) / transport(sport=5, dport=80) / b"ask")
    asked = assert_checksums(host.sent[4][0])
    assert (asked[IP].src, asked[IP].dst, asked.dst) == (FLOATING, B, B_MAC)
    host.receive(4, Ether(dst=GATEWAY_MAC, src=B_MAC) / IP(src=B, dst=FLOATING) / transport(sport=80, dport=5) / b"ok")
    told = assert_checksums(host.sent[3][0])
    assert (told[IP].src, told[IP].dst, told.dst) == (B, A, A_MAC)
    assert not host.traps and not host.dropped


def test_ping_through_a_floating_address(host: Host, lab: Lab) -> None:
    floating(host, lab, 1, 9, 0)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B) / ICMP(id=9) / b"x")
    assert assert_checksums(host.sent[4][0])[IP].src == FLOATING


def test_udp_without_checksum_stays_without(host: Host, lab: Lab) -> None:
    floating(host, lab, 17, 5, 80)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=80, chksum=0) / b"x")
    assert Ether(host.sent[4][0])[UDP].chksum == 0


def test_ports_are_translated_for_a_metadata_service(host: Host, lab: Lab) -> None:
    service = "169.254.169.254"
    forward = Flow(
        FlowKey(30, lab.ip(A), lab.ip(service), 6, 5, 80),
        action=FlowAction.NAT,
        flags=FlowFlag.ACTIVE | FlowFlag.SNAT | FlowFlag.DNAT | FlowFlag.DPAT | FlowFlag.VRFT,
        vrf=2,
        dvrf=0,
    )
    backward = Flow(
        FlowKey(5, lab.ip("8.0.0.2"), lab.ip("169.254.0.3"), 6, 8097, 5),
        action=FlowAction.NAT,
        flags=FlowFlag.ACTIVE | FlowFlag.SNAT | FlowFlag.DNAT | FlowFlag.SPAT | FlowFlag.VRFT,
        vrf=0,
        dvrf=2,
    )
    link(host, forward, backward)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=service) / TCP(sport=5, dport=80) / b"GET")
    got = assert_checksums(host.sent[1][0])
    assert (got[IP].src, got[IP].dst, got[TCP].sport, got[TCP].dport) == ("169.254.0.3", "8.0.0.2", 5, 8097)
    assert got.dst == "00:1b:21:bb:f9:48"


def test_an_icmp_error_is_translated_inside_and_out(host: Host, lab: Lab) -> None:
    floating(host, lab, 17, 5, 80)
    quoted = IP(src=FLOATING, dst=B) / UDP(sport=5, dport=80)
    error = Ether(dst=GATEWAY_MAC, src=B_MAC) / IP(src=B, dst=FLOATING) / ICMP(type=3, code=3) / quoted
    host.receive(4, error)
    got = Ether(host.sent[3][0])
    assert (got[IP].src, got[IP].dst) == (B, A)
    inner = got[ICMP].payload
    assert (inner.src, inner.dst) == (A, B)
    again = Ether(host.sent[3][0])
    del again[ICMP].chksum, again[IP].chksum
    del again[ICMP].payload.chksum
    again = Ether(bytes(again))
    assert got[ICMP].chksum == again[ICMP].chksum
    assert inner.chksum == again[ICMP].payload.chksum


def test_translation_needs_the_reverse_flow(host: Host, lab: Lab) -> None:
    key = FlowKey(30, lab.ip(A), lab.ip(B), 17, 5, 80)
    host.vr.flow_set(Flow(key, action=FlowAction.NAT, flags=FlowFlag.ACTIVE | FlowFlag.SNAT, vrf=2))
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=80))
    assert host.reasons() == [Drop.FLOW_NAT_NO_RFLOW]


# TCP


class Connection:
    """A TCP connection between A and B in one network, seen segment by segment."""

    def __init__(self, lab: Lab) -> None:
        self.host = lab.Host()
        self.host.network(2)
        self.host.machine(3, 2, lab.mac(A_MAC), A)
        self.host.machine(4, 2, lab.mac(B_MAC), B)
        self.there = FlowKey(30, lab.ip(A), lab.ip(B), 6, 5, 80)
        self.back = FlowKey(40, lab.ip(B), lab.ip(A), 6, 80, 5)
        link(self.host, Flow(self.there, vrf=2), Flow(self.back, vrf=2))

    def a(self, flags: str, seq: int, ack: int = 0, body: bytes = b"") -> None:
        tcp = TCP(sport=5, dport=80, flags=flags, seq=seq, ack=ack)
        self.host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / tcp / Raw(body))

    def b(self, flags: str, seq: int, ack: int = 0) -> None:
        tcp = TCP(sport=80, dport=5, flags=flags, seq=seq, ack=ack)
        self.host.receive(4, Ether(dst=A_MAC, src=B_MAC) / IP(src=B, dst=A) / tcp)

    def open(self) -> None:
        self.a("S", 100)
        self.b("SA", 500, 101)
        self.a("A", 101, 501)

    def flags(self) -> tuple[TcpFlowFlag, TcpFlowFlag]:
        entries = self.host.vr.flow(self.there), self.host.vr.flow(self.back)
        assert entries[0] is not None and entries[1] is not None
        return TcpFlowFlag(entries[0].tcp_flags), TcpFlowFlag(entries[1].tcp_flags)

    @property
    def alive(self) -> bool:
        return self.host.vr.flow(self.there) is not None and self.host.vr.flow(self.back) is not None


def test_the_handshake_is_followed(lab: Lab) -> None:
    connection = Connection(lab)
    connection.open()
    there, back = connection.flags()
    assert TcpFlowFlag.ESTABLISHED in there and TcpFlowFlag.ESTABLISHED in back
    assert TcpFlowFlag.SYN in there and TcpFlowFlag.SYN_R in there


def test_a_reset_at_the_expected_sequence_number_evicts_both_flows(lab: Lab) -> None:
    connection = Connection(lab)
    connection.open()
    connection.b("A", 501, 101)
    connection.a("R", 101)
    assert not connection.alive
    assert len(connection.host.sent[4]) == 3, "the reset itself is forwarded"


def test_a_reset_out_of_sequence_is_ignored(lab: Lab) -> None:
    connection = Connection(lab)
    connection.open()
    connection.a("R", 7777)
    assert connection.alive


def test_with_the_knob_any_reset_closes(lab: Lab) -> None:
    connection = Connection(lab)
    connection.open()
    connection.host.vr.unconditional_close_on_rst = True
    connection.a("R", 7777)
    assert not connection.alive


def test_a_reset_that_answers_a_syn_closes(lab: Lab) -> None:
    connection = Connection(lab)
    connection.a("S", 100)
    connection.b("RA", 7, 55)
    assert connection.alive
    connection.b("RA", 7, 101)
    assert not connection.alive


def test_both_sides_finish(lab: Lab) -> None:
    connection = Connection(lab)
    connection.open()
    connection.a("FA", 101, 501)
    connection.b("A", 501, 102)
    connection.b("FA", 501, 102)
    assert connection.alive
    connection.a("A", 102, 502)
    assert not connection.alive


def test_an_evicted_slot_is_busy_to_the_agent_and_free_to_the_data_path(lab: Lab) -> None:
    connection = Connection(lab)
    vr = connection.host.vr
    entry = vr.flow(connection.there)
    assert entry is not None
    connection.open()
    connection.b("A", 501, 101)
    connection.a("R", 101)
    assert FlowFlag.EVICTED in entry.row().flags
    assert vr.flow_set(Flow(connection.there, entry.index, entry.gen_id, flags=FlowFlag(0))).code == -errno.EBUSY
    added = vr.flow_set(Flow(connection.there, vrf=2))
    assert (added.index, added.gen_id) == (entry.index, entry.gen_id + 1)


def test_only_dead_tcp_flows_are_evicted_on_demand(lab: Lab) -> None:
    connection = Connection(lab)
    vr = connection.host.vr
    entry = vr.flow(connection.there)
    assert entry is not None
    force = Flow(connection.there, entry.index, entry.gen_id, extflags=FlowExtFlag.FORCE_EVICT)
    assert vr.flow_set(force).code == -errno.EINVAL
    entry.tcp_flags |= int(TcpFlowFlag.DEAD)
    assert vr.flow_set(force).code == 0 and vr.flow(connection.there) is None


def test_a_flow_added_late_knows_what_its_reverse_has_seen(lab: Lab) -> None:
    connection = Connection(lab)
    connection.a("S", 100)
    vr = connection.host.vr
    assert vr.delete(Flow(connection.back)) == 0
    first = vr.flow(connection.there)
    assert first is not None
    vr.flow_set(Flow(connection.back, flags=VALID, vrf=2, rindex=first.index))
    assert TcpFlowFlag.SYN_R in connection.flags()[1]


@pytest.mark.parametrize(("mss", "expected"), [(1460, 1412), (1200, 1200)])
def test_the_mss_of_a_syn_is_lowered_to_fit_a_tunnel(lab: Lab, mss: int, expected: int) -> None:
    connection = Connection(lab)
    options = [("NOP", None), ("MSS", mss), ("SAckOK", b"")]
    for mac, overhead in ((B_MAC, 62), (GATEWAY_MAC, 40)):
        tcp = TCP(sport=5, dport=80, flags="S", options=options)
        connection.host.receive(3, Ether(dst=mac, src=A_MAC) / IP(src=A, dst=B) / tcp)
        got = assert_checksums(connection.host.sent[4][-1])
        value = dict(option for option in got[TCP].options if option[0] == "MSS")["MSS"]
        assert value == min(mss, 1514 - overhead - 40) and (mss == expected or value <= expected + 22)
