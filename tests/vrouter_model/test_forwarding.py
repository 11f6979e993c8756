"""Machines talk: on one host, over MPLS in UDP and GRE, over VXLAN (the high-value scenarios of reference 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.all import ICMP, IP, TCP, UDP, Ether, Raw
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.rows import (
    AgentCommand,
    Flow,
    FlowAction,
    FlowDrop,
    FlowExtFlag,
    FlowFlag,
    FlowKey,
    InetRoute,
    NhFlag,
    RouteFlag,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
A, B = "1.1.1.4", "1.1.1.5"
GATEWAY_MAC = "00:00:5e:00:01:00"


def two_machines(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A)
    host.machine(4, 2, lab.mac(B_MAC), B)
    host.auto_flows()
    return host


def two_hosts(lab: Lab, kind: NhFlag = NhFlag.TUNNEL_UDP_MPLS) -> tuple[Host, Host]:
    """A on one host, B on another; MPLS labels 19/119 and 20/120 by `Host.machine`, VNI 5 for VXLAN."""
    left, right = lab.Host("8.0.0.2"), lab.Host("8.0.0.3")
    for host, vif, mac, address in ((left, 3, A_MAC, A), (right, 4, B_MAC, B)):
        host.network(2)
        host.machine(vif, 2, lab.mac(mac), address)
        host.auto_flows()
    vxlan = kind is NhFlag.TUNNEL_VXLAN
    left.tunnel(21, "8.0.0.3", kind)
    right.tunnel(21, "8.0.0.2", kind)
    left.remote(2, B, 21, 20, hardware=lab.mac(B_MAC), l2_label=5 if vxlan else 120)
    right.remote(2, A, 21, 19, hardware=lab.mac(A_MAC), l2_label=5 if vxlan else 119)
    if vxlan:
        left.vxlan(5, 60, 2)
        right.vxlan(5, 60, 2)
    lab.join(left, right)
    return left, right


def ping(destination_mac: str, source: str = A, destination: str = B, source_mac: str = A_MAC) -> Ether:
    return Ether(dst=destination_mac, src=source_mac) / IP(src=source, dst=destination) / ICMP(id=9, seq=1) / b"hello"


def test_bridged_between_machines_of_one_host_leaves_the_frame_as_it_was(lab: Lab) -> None:
    host = two_machines(lab)
    frame = bytes(ping(B_MAC))
    host.receive(3, frame)
    assert host.sent[4] == [frame]
    assert [trap.reason for trap in host.traps] == [AgentCommand.FLOW_MISS]
    assert host.traps[0].frame == frame and host.traps[0].ifindex == 3 and host.traps[0].vrf == 2


def test_routed_between_machines_of_one_host_gets_a_new_header_and_loses_a_hop(lab: Lab) -> None:
    host = two_machines(lab)
    host.receive(3, ping(GATEWAY_MAC))
    received = Ether(host.sent[4][0])
    assert (received.dst, received.src) == (B_MAC, GATEWAY_MAC)
    assert received[IP].ttl == 63
    sent_checksum = received[IP].chksum
    del received[IP].chksum
    assert Ether(bytes(received))[IP].chksum == sent_checksum


def test_reply_uses_the_reverse_flow_without_another_trap(lab: Lab) -> None:
    host = two_machines(lab)
    host.receive(3, ping(B_MAC))
    reply = Ether(dst=A_MAC, src=B_MAC) / IP(src=B, dst=A) / ICMP(type=0, id=9, seq=1) / b"hello"
    host.receive(4, reply)
    assert host.sent[3] == [bytes(reply)]
    assert len(host.traps) == 1
    assert len(host.vr.flows) == 2


def test_no_packet_is_lost_or_counted_twice(lab: Lab) -> None:
    host = two_machines(lab)
    for sequence in range(5):
        host.receive(3, ping(B_MAC) / Raw(bytes((sequence,))))
    assert host.vr.totals.balance() == 0
    vif = host.vr.interface(4)
    assert vif is not None and vif.opackets == 5


def test_routed_over_mpls_in_udp(lab: Lab) -> None:
    left, right = two_hosts(lab)
    left.receive(3, ping(GATEWAY_MAC))
    outer = Ether(left.sent[0][0])
    assert (outer[IP].src, outer[IP].dst, outer[IP].ttl) == ("8.0.0.2", "8.0.0.3", 64)
    assert outer[UDP].dport == 6635 and outer[UDP].chksum == 0 and 49152 <= outer[UDP].sport <= 65534
    label = MPLS(bytes(outer[UDP].payload))
    assert (label.label, label.s, label.ttl) == (20, 1, 63)
    assert IP(bytes(label.payload)).dst == B
    received = Ether(right.sent[4][0])
    assert (received.dst, received.src) == (B_MAC, GATEWAY_MAC)
    assert received[IP].ttl == 63 and received[Raw].load == b"hello"


def test_bridged_over_mpls_in_udp_arrives_unchanged(lab: Lab) -> None:
    left, right = two_hosts(lab)
    frame = bytes(ping(B_MAC))
    left.receive(3, frame)
    label = MPLS(bytes(Ether(left.sent[0][0])[UDP].payload))
    assert (label.label, label.ttl) == (120, 64)
    assert right.sent[4] == [frame]


def test_and_back_again(lab: Lab) -> None:
    left, right = two_hosts(lab)
    left.receive(3, ping(GATEWAY_MAC))
    reply = Ether(dst=GATEWAY_MAC, src=B_MAC) / IP(src=B, dst=A) / ICMP(type=0, id=9, seq=1) / b"hello"
    right.receive(4, reply)
    assert Ether(left.sent[3][0])[ICMP].type == 0
    for host in (left, right):
        assert [trap.reason for trap in host.traps] == [AgentCommand.FLOW_MISS]
        assert host.vr.totals.balance() == 0
        assert not host.dropped


def test_a_trap_from_the_fabric_shows_the_outer_frame(lab: Lab) -> None:
    left, right = two_hosts(lab)
    left.receive(3, ping(GATEWAY_MAC))
    trap = right.traps[0]
    assert trap.ifindex == 0 and trap.vrf == 2
    assert Ether(trap.frame)[UDP].dport == 6635
    entry = right.vr.flow(trap.param)
    assert entry is not None
    assert entry.key == FlowKey(40, lab.ip(A), lab.ip(B), 1, 9, 0)


@pytest.mark.parametrize("mac", [GATEWAY_MAC, B_MAC])
def test_over_mpls_in_gre(lab: Lab, mac: str) -> None:
    left, right = two_hosts(lab, NhFlag.TUNNEL_GRE)
    left.receive(3, ping(mac))
    outer = Ether(left.sent[0][0])
    assert outer[IP].proto == 47 and outer[GRE].proto == 0x8847
    assert MPLS(bytes(outer[GRE].payload)).label == (20 if mac == GATEWAY_MAC else 120)
    checksum = outer[IP].chksum
    del outer[IP].chksum
    assert Ether(bytes(outer))[IP].chksum == checksum
    assert Ether(right.sent[4][0])[ICMP].id == 9


def test_bridged_over_vxlan(lab: Lab) -> None:
    left, right = two_hosts(lab, NhFlag.TUNNEL_VXLAN)
    frame = bytes(ping(B_MAC))
    left.receive(3, frame)
    outer = Ether(left.sent[0][0])
    assert outer[UDP].dport == 4789 and outer[VXLAN].vni == 5 and outer[VXLAN].flags.Instance
    assert right.sent[4] == [frame]


def test_source_port_of_a_flow_is_stable_and_can_be_fixed_for_tests(lab: Lab) -> None:
    left, _ = two_hosts(lab)
    for _ in range(3):
        left.receive(3, ping(GATEWAY_MAC))
    assert len({Ether(frame)[UDP].sport for frame in left.sent[0]}) == 1
    left, _ = two_hosts(lab)
    key = FlowKey(30, lab.ip(A), lab.ip(B), 1, 9, 0)
    assert left.vr.flow_set(Flow(key, vrf=2, extflags=FlowExtFlag.MOCK_SRC_UDP)).code == 0
    left.receive(3, ping(GATEWAY_MAC))
    assert Ether(left.sent[0][0])[UDP].sport == 4789


def test_port_51234_is_accepted_on_receive(lab: Lab) -> None:
    left, right = two_hosts(lab)
    left.receive(3, ping(GATEWAY_MAC))
    frame = bytearray(left.sent[0][0])
    frame[36:38] = (51234).to_bytes(2, "big")
    right.receive(0, frame)
    assert len(right.sent[4]) == 2


def test_a_dropping_flow_says_why(lab: Lab) -> None:
    host = two_machines(lab)
    host.on_trap = None
    host.receive(3, ping(B_MAC))
    entry = host.vr.flow(host.traps[0].param)
    assert entry is not None
    row = Flow(
        entry.key,
        entry.index,
        entry.gen_id,
        FlowAction.DROP,
        FlowFlag.ACTIVE,
        vrf=2,
        drop_reason=FlowDrop.NO_DST_ROUTE,
    )
    assert host.vr.flow_set(row).code == 0
    assert host.dropped == [(Drop.FLOW_ACTION_DROP, 3, "NoDstRt")]
    assert host.vr.totals.balance() == 0


def test_no_route_is_a_discard_on_the_ingress_interface(lab: Lab) -> None:
    host = two_machines(lab)
    host.receive(3, ping(GATEWAY_MAC, destination="9.9.9.9"))
    assert host.dropped == [(Drop.DISCARD, 3, "no route to 9.9.9.9 in VRF 2")]
    vif = host.vr.interface(3)
    assert vif is not None and vif.drops[Drop.DISCARD] == 1 and host.vr.drops[Drop.DISCARD] == 1


def test_unknown_unicast_is_dropped_unless_flooding_is_on(lab: Lab) -> None:
    host = two_machines(lab)
    host.receive(3, ping("02:00:00:00:00:99"))
    assert host.dropped == [(Drop.L2_NO_ROUTE, 3, "no bridge route to 02:00:00:00:00:99 in VRF 2")]


def test_ttl_that_ends_here_is_the_agents(lab: Lab) -> None:
    host = two_machines(lab)
    frame = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B, ttl=1) / UDP(sport=1, dport=2)
    host.receive(3, frame)
    assert [trap.reason for trap in host.traps] == [AgentCommand.FLOW_MISS, AgentCommand.ZERO_TTL]
    assert not host.sent[4]


def test_unknown_label_and_label_out_of_ttl_are_counted(lab: Lab) -> None:
    _, right = two_hosts(lab)
    cases = ((77, 64, Drop.INVALID_LABEL), (9000, 64, Drop.INVALID_LABEL), (20, 1, Drop.TTL_EXCEEDED))
    for label, ttl, reason in cases:
        inner = MPLS(label=label, s=1, ttl=ttl) / IP(src=A, dst=B) / ICMP()
        right.receive(0, Ether() / IP(src="8.0.0.2", dst="8.0.0.3") / UDP(sport=50000, dport=6635) / inner)
        assert right.reasons()[-1] is reason


def test_packets_for_the_host_itself_go_to_vhost(lab: Lab) -> None:
    _, right = two_hosts(lab)
    frame = Ether(dst="00:1b:21:bb:f9:48") / IP(src="8.0.0.9", dst="8.0.0.3", ttl=64) / TCP(dport=22)
    right.receive(0, frame)
    frame[IP].ttl = 63  # routing to the host counts as a hop
    assert right.sent[1] == [bytes(frame)]


def test_a_route_to_a_tunnel_needs_a_label(lab: Lab) -> None:
    left, _ = two_hosts(lab)
    assert left.vr.add(InetRoute(2, lab.ip("7.7.7.7"), 32, 21)) == -22
    assert left.vr.add(InetRoute(2, lab.ip("7.7.7.7"), 32, 21, 20, RouteFlag.LABEL_VALID)) == 0
