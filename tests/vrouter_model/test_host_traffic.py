"""Traffic of the host itself and the less travelled stages: vhost, metadata, switches, IPv6 flows, mirrors of ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import ARP, ICMP, IP, TCP, UDP, Ether, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.rows import (
    BROADCAST_MAC,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Family,
    FatFlow,
    Flow,
    FlowAction,
    FlowFlag,
    FlowKey,
    Inet6Route,
    InetRoute,
    Mirror,
    MplsLabel,
    NextHop,
    NhFlag,
    NhType,
    RouteFlag,
    Vif,
    VifFlag,
    VifType,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, B_MAC, HOST_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1", "00:1b:21:bb:f9:48"
A, B = "1.1.1.4", "1.1.1.5"
GATEWAY_MAC, EVERYONE = "00:00:5e:00:01:00", "ff:ff:ff:ff:ff:ff"
VALID = FlowFlag.ACTIVE | FlowFlag.RFLOW_VALID


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A, address6="fd00::4")
    host.machine(4, 2, lab.mac(B_MAC), B, address6="fd00::5")
    host.auto_flows()
    return host


def from_peer(inner: Any, label: int, source: str = "8.0.0.3") -> Ether:
    outer = Ether(dst=HOST_MAC) / IP(src=source, dst="8.0.0.2") / UDP(sport=50000, dport=6635)
    return outer / MPLS(label=label, s=1, ttl=64) / inner


# The host


def test_a_machine_reaches_the_host_by_a_route(host: Host, lab: Lab) -> None:
    host.add(InetRoute(2, lab.ip("8.0.0.2"), 32, 5))
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="8.0.0.2") / TCP(dport=22))
    got = Ether(host.sent[1][0])
    assert got.dst == HOST_MAC and got[IP].ttl == 63


def test_the_host_reaches_its_network_with_its_own_header_or_a_resolved_one(host: Host, lab: Lab) -> None:
    host.add(NextHop(96, NhType.ENCAP, encap_oif_id=(0,), encap=b"\x02" * 12 + b"\x08\x00"))
    host.add(InetRoute(0, lab.ip("8.0.0.9"), 32, 96))
    host.receive(1, Ether(dst="02:00:00:00:00:99", src=HOST_MAC) / IP(src="8.0.0.2", dst="8.0.0.9") / UDP())
    assert Ether(host.sent[0][0]).dst == "02:00:00:00:00:99"
    host.receive(1, Ether(dst=HOST_MAC, src=HOST_MAC) / IP(src="8.0.0.2", dst="8.0.0.9") / UDP())
    assert Ether(host.sent[0][1]).dst == "02:02:02:02:02:02"


def test_metadata_answers_find_their_machine(host: Host, lab: Lab) -> None:
    """169.254.0.3 stands for A in VRF 0: the host's answer is translated by the flow its next hop's policy demands."""
    host.add(InetRoute(0, lab.ip("169.254.0.3"), 32, 30))
    service = lab.ip("169.254.169.254")
    backward = FlowKey(5, lab.ip("8.0.0.2"), lab.ip("169.254.0.3"), 6, 8097, 5)
    forward = FlowKey(30, lab.ip(A), service, 6, 5, 80)
    nat = FlowFlag.SNAT | FlowFlag.DNAT | FlowFlag.VRFT
    first = host.vr.flow_set(Flow(forward, action=FlowAction.NAT, flags=nat | FlowFlag.ACTIVE | FlowFlag.DPAT, vrf=2))
    flags = nat | VALID | FlowFlag.SPAT
    row = Flow(backward, action=FlowAction.NAT, flags=flags, vrf=0, dvrf=2, rindex=first.index)
    assert host.vr.flow_set(row).code == 0
    answer = IP(src="8.0.0.2", dst="169.254.0.3") / TCP(sport=8097, dport=5, flags="SA") / b"ok"
    host.receive(1, Ether(dst=HOST_MAC, src=HOST_MAC) / answer)
    got = Ether(host.sent[3][0])
    assert (got[IP].src, got[IP].dst, got[TCP].sport) == ("169.254.169.254", A, 80)
    value = got[TCP].chksum
    del got[TCP].chksum
    assert Ether(bytes(got))[TCP].chksum == value


def test_a_policy_on_vhost_puts_its_traffic_through_flows(host: Host) -> None:
    host.add(Vif(1, VifType.HOST, VifFlag.POLICY, mac=bytes.fromhex("001b21bbf948"), name="vhost0", nh_id=5))
    frame = Ether(dst=HOST_MAC) / IP(src="8.0.0.9", dst="8.0.0.2", ttl=64) / TCP(sport=9, dport=22)
    host.receive(0, frame)
    assert host.traps[-1].reason is AgentCommand.FLOW_MISS and host.traps[-1].param_1 == 5
    assert len(host.sent[1]) == 1


@pytest.mark.parametrize("proto", ["tcp", "icmp"])
def test_relaxed_policy_looks_only_at_bound_ports(host: Host, lab: Lab, proto: str) -> None:
    """An answer to a port bound for a machine is translated back to it; other ports are the host's without a flow."""
    relaxed = NhFlag.VALID | NhFlag.RELAXED_POLICY
    host.add(NextHop(5, NhType.RCV, flags=relaxed, encap_oif_id=(1,)))
    number = 6 if proto == "tcp" else 1
    ports = (443, 50001) if proto == "tcp" else (50001, 0)
    answer = FlowKey(5, lab.ip("9.9.9.9"), lab.ip("8.0.0.2"), number, *ports)
    ask = FlowKey(30, lab.ip(A), lab.ip("9.9.9.9"), number, *(ports[::-1] if proto == "tcp" else ports))
    first = host.vr.flow_set(Flow(ask, action=FlowAction.NAT, vrf=2))
    flags = VALID | FlowFlag.LINK_LOCAL | FlowFlag.DNAT | FlowFlag.VRFT
    row = Flow(answer, action=FlowAction.NAT, flags=flags, vrf=0, dvrf=2, rindex=first.index)
    response = host.vr.flow_set(row)
    assert response.code == 0
    transport = TCP(sport=443, dport=50001) if proto == "tcp" else ICMP(type=0, id=50001)
    host.receive(0, Ether(dst=HOST_MAC) / IP(src="9.9.9.9", dst="8.0.0.2") / transport)
    assert Ether(host.sent[3][0])[IP].dst == A and not host.sent[1]
    host.receive(0, Ether(dst=HOST_MAC) / IP(src="9.9.9.9", dst="8.0.0.2") / TCP(sport=443, dport=50002))
    assert len(host.sent[1]) == 1 and not host.traps
    assert host.vr.delete(Flow(answer)) == 0
    host.receive(0, Ether(dst=HOST_MAC) / IP(src="9.9.9.9", dst="8.0.0.2") / transport)
    assert len(host.sent[1]) == 2, "the port is free again"


# ICMP and fragments of IPv6


def echo6(size: int = 10) -> IPv6:
    return IPv6(src="fd00::4", dst="fd00::5") / ICMPv6EchoRequest(id=7, data=b"x" * size)


def test_an_ipv6_echo_has_the_identifier_and_type_129_in_its_key(host: Host, lab: Lab) -> None:
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / echo6())
    assert len(host.sent[4]) == 1
    assert host.vr.flow(FlowKey(30, lab.ip6("fd00::4"), lab.ip6("fd00::5"), 58, 7, 129)) is not None


def test_an_ipv6_error_belongs_to_the_flow_it_is_about(host: Host, lab: Lab) -> None:
    from scapy.all import ICMPv6DestUnreach

    key = FlowKey(40, lab.ip6("fd00::5"), lab.ip6("fd00::4"), 17, 6, 5)
    host.vr.flow_set(Flow(key, vrf=2))
    quoted = IPv6(src="fd00::4", dst="fd00::5") / UDP(sport=5, dport=6)
    error = Ether(dst=A_MAC, src=B_MAC) / IPv6(src="fd00::5", dst="fd00::4") / ICMPv6DestUnreach() / quoted
    host.receive(4, error)
    assert host.sent[3] == [bytes(error)] and not host.traps


@pytest.mark.parametrize("order", [1, -1])
def test_ipv6_fragments_follow_their_first(host: Host, lab: Lab, order: int) -> None:
    host.on_trap = None
    key = FlowKey(30, lab.ip6("fd00::4"), lab.ip6("fd00::5"), 17, 5, 6)
    host.vr.flow_set(Flow(key, vrf=2))
    whole = IPv6(src="fd00::4", dst="fd00::5") / IPv6ExtHdrFragment(id=5) / UDP(sport=5, dport=6) / (b"x" * 3000)
    frames = [bytes(Ether(dst=B_MAC, src=A_MAC) / part) for part in fragment6(whole, 1280)]
    for frame in frames[::order]:
        host.receive(3, frame)
    assert sorted(host.sent[4]) == sorted(frames) and len(frames) == 3
    assert not host.traps and host.vr.totals.balance() == 0


def test_nat_is_for_ipv4_only(host: Host, lab: Lab) -> None:
    host.on_trap = None
    key = FlowKey(30, lab.ip6("fd00::4"), lab.ip6("fd00::5"), 58, 7, 129)
    host.vr.flow_set(Flow(key, action=FlowAction.NAT, vrf=2))
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / echo6())
    assert host.reasons() == [Drop.FLOW_ACTION_INVALID]


@pytest.mark.parametrize("address_bits", [0, 4, 8])
def test_fat_flows_seen_from_the_fabric_swap_the_address_fields(host: Host, lab: Lab, address_bits: int) -> None:
    rule = (FatFlow(17, 6, ignore=1 | address_bits),)
    host.add(Vif(4, VifType.VIRTUAL, VifFlag.POLICY | VifFlag.L3_ENABLED, 2, nh_id=40, fat_flow=rule))
    host.tunnel(21, "8.0.0.3")
    host.remote(2, "1.1.1.6", 21, 20)
    host.on_trap = None
    host.receive(0, from_peer(IP(src="1.1.1.6", dst=B) / UDP(sport=777, dport=6), 20))
    entry = host.vr.flow(host.traps[0].param)
    assert entry is not None
    source = 0 if address_bits == 8 else lab.ip("1.1.1.6")
    destination = 0 if address_bits == 4 else lab.ip(B)
    assert entry.key == FlowKey(40, source, destination, 17, 0, 6)


# Switches (TOR) and EVPN control


def switch_tree(host: Host) -> None:
    host.tunnel(24, "8.0.0.7", NhFlag.TUNNEL_VXLAN)
    host.tunnel(25, "8.0.0.8", NhFlag.TUNNEL_VXLAN)
    host.tunnel(26, "8.0.0.9")
    valid = NhFlag.VALID
    composite = NhType.COMPOSITE
    host.add(
        NextHop(70, composite, Family.BRIDGE, valid | NhFlag.COMPOSITE_ENCAP, 2, nh_list=(31, 41), label_list=(-1, -1)),
        NextHop(71, composite, Family.BRIDGE, valid | NhFlag.COMPOSITE_TOR, 2, nh_list=(24, 25), label_list=(5, 5)),
        NextHop(72, composite, Family.BRIDGE, valid | NhFlag.COMPOSITE_EVPN, 2, nh_list=(26,), label_list=(300,)),
        NextHop(73, composite, Family.BRIDGE, valid | NhFlag.MCAST, 2, nh_list=(71, 72, 70), label_list=(-1,) * 3),
        BridgeRoute(2, BROADCAST_MAC, 73, 5, BridgeFlag.LABEL_VALID),
        MplsLabel(400, 73),
    )
    host.vxlan(5, 95, 2)


SWITCHED = "02:00:00:00:00:70"


def from_switch(frame: Any) -> Ether:
    return Ether(dst=HOST_MAC) / IP(src="8.0.0.7", dst="8.0.0.2") / UDP(sport=50000, dport=4789) / VXLAN(vni=5) / frame


def destinations(host: Host) -> list[str]:
    return [Ether(frame)[IP].dst for frame in host.sent[0]]


def test_a_switchs_broadcast_goes_to_machines_hosts_and_other_switches(host: Host) -> None:
    switch_tree(host)
    frame = Ether(dst=EVERYONE, src=SWITCHED, type=0x1234) / b"hello"
    host.receive(0, from_switch(frame))
    assert host.sent[3] == host.sent[4] == [bytes(frame)]
    assert sorted(destinations(host)) == ["8.0.0.8", "8.0.0.9"]


def test_a_switchs_dhcp_is_the_agents_and_its_arp_is_answered(host: Host, lab: Lab) -> None:
    switch_tree(host)
    request = Ether(dst=EVERYONE, src=SWITCHED) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
    host.receive(0, from_switch(request))
    assert [trap.reason for trap in host.traps] == [AgentCommand.L3_PROTOCOLS]
    host.add(BridgeRoute(2, lab.mac(SWITCHED), 24, 5, BridgeFlag.LABEL_VALID | BridgeFlag.FLOOD_DHCP))
    host.receive(0, from_switch(request))
    assert len(host.traps) == 1 and len(host.sent[3]) == 1
    host.sent[0].clear()
    host.receive(0, from_switch(Ether(dst=EVERYONE, src=SWITCHED) / ARP(op=1, hwsrc=SWITCHED, psrc="1.1.1.70", pdst=B)))
    assert Ether(host.sent[0][0])[VXLAN][ARP].hwsrc == B_MAC


def test_evpn_switches_are_served_when_their_route_says_so(host: Host, lab: Lab) -> None:
    switch_tree(host)
    request = Ether(dst=EVERYONE, src=SWITCHED) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)
    host.receive(0, from_peer(request, 400, "8.0.0.9"))
    assert not host.traps
    flags = BridgeFlag.LABEL_VALID | BridgeFlag.EVPN_CONTROL_PROCESSING
    host.add(BridgeRoute(2, lab.mac(SWITCHED), 26, 300, flags))
    host.receive(0, from_peer(request, 400, "8.0.0.9"))
    assert [trap.reason for trap in host.traps] == [AgentCommand.L3_PROTOCOLS]


def test_a_control_word_is_taken_off_and_put_on(host: Host, lab: Lab) -> None:
    flags = NhFlag.VALID | NhFlag.L2_CONTROL_DATA | NhFlag.POLICY
    host.add(
        NextHop(97, NhType.ENCAP, Family.BRIDGE, flags, 2, (4,), bytes(14)),
        MplsLabel(500, 97),
    )
    frame = bytes(Ether(dst=B_MAC, src=SWITCHED) / IP(src="1.1.1.70", dst=B) / UDP())
    host.receive(0, from_peer(bytes(4) + frame, 500))
    assert host.sent[4] == [frame]
    host.receive(0, from_peer(frame, 500))
    assert host.reasons() == [Drop.INVALID_PACKET]
    host.tunnel(21, "8.0.0.3")
    control = BridgeFlag.LABEL_VALID | BridgeFlag.L2_CONTROL_DATA
    host.add(BridgeRoute(2, lab.mac(SWITCHED), 21, 700, control))
    frame = bytes(Ether(dst=SWITCHED, src=B_MAC) / IP(src=B, dst="1.1.1.70") / UDP())
    host.receive(4, frame)
    label = MPLS(bytes(Ether(host.sent[0][0])[UDP].payload))
    assert label.label == 700 and bytes(label.payload) == bytes(4) + frame


# Labels


def test_a_leading_no_label_word_is_skipped_and_other_stacks_refused(host: Host) -> None:
    inner = IP(src="1.1.1.6", dst=B) / UDP()
    outer = Ether(dst=HOST_MAC) / IP(src="8.0.0.3", dst="8.0.0.2") / UDP(sport=50000, dport=6635)
    host.receive(0, outer / MPLS(label=0xFFFFF, s=0, ttl=64) / MPLS(label=20, s=1, ttl=64) / inner)
    assert len(host.sent[4]) == 1
    host.receive(0, outer / MPLS(label=20, s=0, ttl=64) / MPLS(label=20, s=1, ttl=64) / inner)
    host.receive(0, outer / b"\0\1")
    host.receive(0, outer / MPLS(label=20, s=1, ttl=64) / b"\x10\x20")
    assert host.reasons() == [Drop.INVALID_NH, Drop.PULL, Drop.INVALID_PROTOCOL]


def test_a_label_of_a_vrf_routes_there(host: Host) -> None:
    host.add(NextHop(90, NhType.VRF_TRANSLATE, vrf=2), MplsLabel(90, 90))
    for _ in range(2):
        host.receive(0, from_peer(IP(src="1.1.1.6", dst=B, ttl=9) / UDP(), 90))
    # The first packet is routed a second time when its flow lets it go: next hops are not kept while it waits.
    assert [Ether(frame)[IP].ttl for frame in host.sent[4]] == [7, 8]


def test_a_router_alert_is_the_agents(host: Host) -> None:
    host.vxlan(5, 95, 2)
    packet = Ether(dst=HOST_MAC) / IP(src="8.0.0.7", dst="8.0.0.2") / UDP(dport=4789)
    host.receive(0, packet / b"\x09\0\0\0\0\0\x05\0" / (Ether(dst=B_MAC, src=SWITCHED) / IP(dst=B) / UDP()))
    assert [trap.reason for trap in host.traps] == [AgentCommand.ROUTER_ALERT]


# Multicast routing, mirrors of ports


def test_routed_multicast_gets_its_group_mac(host: Host, lab: Lab) -> None:
    host.add(NextHop(98, NhType.ENCAP, Family.INET, NhFlag.VALID | NhFlag.MCAST, 2, (4,)), MplsLabel(501, 98))
    host.receive(0, from_peer(IP(src="1.1.1.6", dst="239.129.2.3") / UDP(), 501))
    assert Ether(host.sent[4][0]).dst == "01:00:5e:01:02:03"


@pytest.mark.parametrize("received", [True, False])
def test_a_port_is_mirrored_in_one_direction(host: Host, lab: Lab, received: bool) -> None:
    host.tunnel(27, "8.0.0.60", NhFlag.TUNNEL_VXLAN)
    host.add(Mirror(1, 27, vni=77))
    side = VifFlag.MIRROR_RX if received else VifFlag.MIRROR_TX
    host.add(Vif(3, VifType.VIRTUAL, VifFlag.POLICY | VifFlag.L3_ENABLED | side, 2, nh_id=30, mir_id=1))
    there = bytes(Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6))
    back = bytes(Ether(dst=A_MAC, src=B_MAC) / IP(src=B, dst=A) / UDP(sport=6, dport=5))
    host.receive(3, there)
    host.receive(4, back)
    copies = [Ether(frame)[VXLAN] for frame in host.sent[0]]
    assert [(copy.vni, bytes(copy.payload)) for copy in copies] == [(77, there if received else back)]
    assert host.vr.totals.balance() == 0


def test_a_mirror_over_ipv6(host: Host, lab: Lab) -> None:
    analyser, own = lab.ip6("fd00:8::50"), lab.ip6("fd00:8::2")
    flags = NhFlag.VALID | NhFlag.TUNNEL_UDP
    host.add(
        NextHop(93, NhType.TUNNEL, Family.INET6, flags, tun_sip6=own, tun_dip6=analyser, tun_dport=8099),
        NextHop(96, NhType.ENCAP, encap_oif_id=(0,), encap=bytes(12) + b"\x08\x00"),
        Inet6Route(0, analyser, 128, 96, label_flags=RouteFlag(0)),
        Mirror(1, 93),
    )
    key = FlowKey(30, lab.ip(A), lab.ip(B), 17, 5, 6)
    host.vr.flow_set(Flow(key, flags=FlowFlag.ACTIVE | FlowFlag.MIRROR, vrf=2, mir_id=1))
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6) / b"x")
    copy = Ether(host.sent[0][0])
    value = copy[UDP].chksum
    del copy[UDP].chksum
    assert copy[IPv6].dst == "fd00:8::50" and Ether(bytes(copy))[UDP].chksum == value
