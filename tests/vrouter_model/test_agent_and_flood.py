"""What the agent is given and may send; broadcast, learning, mirrors and uplinks (reference 7.2, 7.8, 7.9, 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import ICMP, IP, UDP, Dot1Q, Ether, IPv6
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.rows import (
    BROADCAST_MAC,
    VROUTER_MAC,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Family,
    Flow,
    FlowAction,
    FlowFlag,
    FlowKey,
    InetRoute,
    Mirror,
    MirrorFlag,
    MplsLabel,
    NextHop,
    NhFlag,
    NhType,
    RouteFlag,
    Vif,
    VifFlag,
    VifType,
    VrfAssign,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
A, B = "1.1.1.4", "1.1.1.5"
GATEWAY_MAC, EVERYONE = "00:00:5e:00:01:00", "ff:ff:ff:ff:ff:ff"
PLAIN = VifFlag.L2_ENABLED | VifFlag.L3_ENABLED


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A)
    host.machine(4, 2, lab.mac(B_MAC), B)
    host.auto_flows()
    return host


def composite(nh_id: int, kind: NhFlag, members: tuple[int, ...], labels: tuple[int, ...] = ()) -> NextHop:
    return NextHop(
        nh_id,
        NhType.COMPOSITE,
        Family.BRIDGE,
        NhFlag.VALID | kind,
        2,
        nh_list=members,
        label_list=labels or (-1,) * len(members),
    )


def inject(host: Host, command: int, ifindex: int, vrf: int, frame: Any, param: int = 0, param_1: int = 0) -> None:
    head = bytes(14) + ifindex.to_bytes(2, "big") + vrf.to_bytes(2, "big") + command.to_bytes(2, "big")
    head += param.to_bytes(4, "big") + param_1.to_bytes(4, "big") + bytes(16)
    assert len(head) == 44
    host.vr.from_agent(head + bytes(frame))


# Traps


def dhcp(destination: str = EVERYONE) -> Ether:
    return Ether(dst=destination, src=A_MAC) / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)


def test_dhcp_requests_are_the_agents(host: Host) -> None:
    frame = bytes(dhcp())
    host.receive(3, frame)
    trap = host.traps[0]
    assert (trap.reason, trap.ifindex, trap.vrf, trap.frame) == (AgentCommand.L3_PROTOCOLS, 3, 2, frame)
    assert trap.ethernet == VROUTER_MAC * 2 + b"\x08\x00"
    agent = host.vr.interface(2)
    assert agent is not None and agent.opackets == 1


def test_without_the_flag_dhcp_is_an_ordinary_broadcast(host: Host) -> None:
    host.add(Vif(3, VifType.VIRTUAL, PLAIN, 2, nh_id=30))
    host.receive(3, dhcp())
    assert host.reasons() == [Drop.L2_NO_ROUTE] and not host.traps


def test_a_route_to_the_agent_is_a_next_hop_trap_with_its_header(host: Host, lab: Lab) -> None:
    rewrite = bytes(range(12)) + b"\x08\x00"
    host.add(NextHop(91, NhType.ENCAP, encap_oif_id=(2,), encap=rewrite), InetRoute(2, lab.ip("1.1.1.1"), 32, 91))
    frame = bytes(Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.1", ttl=1) / ICMP(id=1))
    host.receive(3, frame)
    trap = host.traps[-1]
    assert (trap.reason, trap.ethernet, trap.frame) == (AgentCommand.NEXTHOP, rewrite, frame)
    bfd = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.1") / UDP(sport=5, dport=3784) / b"\x20\xc0\x03\x18"
    host.receive(3, bfd)
    assert (host.traps[-1].reason, host.traps[-1].param) == (AgentCommand.BFD, 0xC0)


def test_without_an_agent_a_trap_is_a_drop(host: Host) -> None:
    host.vr.attach_agent(None)
    host.receive(3, dhcp())
    assert host.reasons() == [Drop.TRAP_NO_IF]


def test_an_oversized_packet_with_df_is_the_agents_with_the_mtu(host: Host) -> None:
    host.tunnel(21, "8.0.0.3")
    host.remote(2, "1.1.1.6", 21, 20)
    big = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6", flags="DF") / UDP() / bytes(1460)
    host.receive(3, big)
    trap = host.traps[-1]
    assert (trap.reason, trap.param, len(trap.frame)) == (AgentCommand.HANDLE_DF, 1514 - 32, 190)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP() / bytes(1460))
    assert len(host.sent[0]) == 1, "without DF it is sent"


def test_an_unresolved_neighbour_is_the_agents_and_the_hosts_packet_goes_on(host: Host, lab: Lab) -> None:
    host.add(NextHop(92, NhType.RESOLVE), InetRoute(0, lab.ip("8.0.0.0"), 24, 92))
    frame = Ether(dst=B_MAC, src="00:1b:21:bb:f9:48") / IP(src="8.0.0.2", dst="8.0.0.77") / UDP()
    host.receive(1, frame)
    assert [trap.reason for trap in host.traps] == [AgentCommand.RESOLVE]
    assert host.sent[0] == [bytes(frame)]


def test_an_icmp_error_about_our_tunnel_is_the_agents(host: Host) -> None:
    quoted = IP(src="8.0.0.2", dst="8.0.0.3") / UDP(sport=50000, dport=6635)
    host.receive(0, Ether() / IP(src="8.0.0.9", dst="8.0.0.2") / ICMP(type=3, code=4) / quoted)
    assert [trap.reason for trap in host.traps] == [AgentCommand.ICMP_ERROR]


# Injection


def test_switch_sends_a_frame_out_of_an_interface(host: Host) -> None:
    inject(host, AgentCommand.SWITCH, 3, 2, b"a reply as it is")
    assert host.sent[3] == [b"a reply as it is"]
    inject(host, AgentCommand.SWITCH, 77, 2, b"x")
    inject(host, 5, 3, 2, b"x")
    host.vr.from_agent(b"short")
    assert host.reasons() == [Drop.INVALID_IF, Drop.INVALID_PACKET, Drop.PULL]
    assert host.vr.totals.balance() == 0


def test_route_lets_a_packet_in_on_an_interface(host: Host) -> None:
    frame = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=1, dport=2)
    inject(host, AgentCommand.ROUTE, 3, 2, frame)
    assert Ether(host.sent[4][0])[IP].ttl == 63


def test_route_on_the_fabric_enters_on_pkt0(host: Host) -> None:
    frame = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src="1.1.1.1", dst=B) / UDP(sport=53, dport=2)
    inject(host, AgentCommand.ROUTE, 0, 2, frame)
    assert len(host.sent[4]) == 1


def test_a_diagnostic_packet_comes_back_to_the_agent(host: Host) -> None:
    frame = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=B, ttl=9) / UDP(sport=1, dport=2)
    inject(host, AgentCommand.ROUTE, 3, 2, frame, param=1, param_1=1)
    trap = host.traps[-1]
    assert (trap.reason, trap.param) == (AgentCommand.DIAG, 4) and not host.sent[4]


# Interfaces


def test_a_service_vlan_decides_the_vrf(host: Host, lab: Lab) -> None:
    host.network(5)
    host.machine(6, 5, lab.mac("02:00:00:00:00:06"), "5.5.5.5")
    host.add(Vif(7, VifType.VIRTUAL, VifFlag.SERVICE_IF | VifFlag.POLICY, 2))
    host.add(VrfAssign(7, 100, 5, 77))
    host.receive(7, Ether(dst=GATEWAY_MAC) / Dot1Q(vlan=100) / IP(src=A, dst="5.5.5.5") / UDP())
    assert host.traps[-1].param_1 == 77 and host.traps[-1].vrf == 5
    assert Ether(host.sent[6][0])[IP].dst == "5.5.5.5"
    host.receive(7, Ether(dst=GATEWAY_MAC) / Dot1Q(vlan=101) / IP(dst="5.5.5.5"))
    host.receive(7, Ether(dst=EVERYONE) / Dot1Q(vlan=100) / IP(dst="5.5.5.5"))
    assert host.reasons() == [Drop.INTERFACE_DROP] * 2


def test_a_sub_interface_takes_and_gives_tagged_frames(host: Host, lab: Lab) -> None:
    child = Vif(8, VifType.VIRTUAL_VLAN, PLAIN, 2, nh_id=80, vlan_id=55, ovlan_id=55, parent_vif_idx=3)
    mac = lab.mac("02:00:00:00:00:08")
    host.add(child, NextHop(81, NhType.ENCAP, Family.BRIDGE, vrf=2, encap_oif_id=(8,)), BridgeRoute(2, mac, 81))
    host.receive(3, Ether(dst=B_MAC, src="02:00:00:00:00:08") / Dot1Q(vlan=55) / IP(src="1.1.1.8", dst=B) / UDP())
    received = Ether(host.sent[4][0])
    assert Dot1Q not in received
    parent, sub = host.vr.interface(3), host.vr.interface(8)
    assert parent is not None and sub is not None and (parent.ipackets, sub.ipackets) == (0, 1)
    host.receive(4, Ether(dst="02:00:00:00:00:08", src=B_MAC) / IP(src=B, dst="1.1.1.8") / UDP())
    assert Ether(host.sent[3][0])[Dot1Q].vlan == 55
    assert (parent.opackets, sub.opackets) == (0, 1)


def test_a_deleted_interface_takes_packets_no_more(host: Host) -> None:
    assert host.vr.delete(Vif(4)) == 0
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP())
    host.receive(4, b"x" * 20)
    assert host.reasons() == [Drop.INTERFACE_TX_DISCARD, Drop.INVALID_IF]


def test_an_unplugged_interface_counts_an_error(host: Host) -> None:
    host.vr.connect(4, None)
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP())
    vif = host.vr.interface(4)
    assert vif is not None and vif.oerrors == 1 and host.reasons() == [Drop.INTERFACE_TX_DISCARD]


def test_a_port_may_be_connected_before_its_interface_is_added(lab: Lab) -> None:
    host = lab.Host()
    host.connect(9)
    host.add(Vif(9, VifType.VIRTUAL))
    inject(host, AgentCommand.SWITCH, 9, 0, b"early")
    assert host.sent[9] == [b"early"]


def test_cross_connect_mode_passes_everything_but_tunnels(host: Host) -> None:
    host.add(Vif(0, VifType.PHYSICAL, VifFlag.XCONNECT, mac=bytes(6)), Vif(1, VifType.HOST, VifFlag.XCONNECT))
    frame = Ether() / IP(src="8.0.0.9", dst="8.0.0.77") / UDP(dport=99)
    host.receive(0, frame)
    host.receive(1, frame)
    assert host.sent[1] == host.sent[0] == [bytes(frame)]


def test_ipv6_of_the_underlay_is_the_hosts(host: Host) -> None:
    frame = Ether(dst="00:1b:21:bb:f9:48") / IPv6(dst="fd00::1") / UDP()
    host.receive(0, frame)
    host.receive(0, Ether(dst="00:1b:21:bb:f9:48", type=0x88CC) / b"lldp")
    assert len(host.sent[1]) == 2


def test_routed_ipv6_between_machines(lab: Lab) -> None:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A, address6="fd00::4")
    host.machine(4, 2, lab.mac(B_MAC), B, address6="fd00::5")
    host.auto_flows()
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IPv6(src="fd00::4", dst="fd00::5") / UDP(sport=1, dport=2))
    received = Ether(host.sent[4][0])
    assert received.dst == B_MAC and received[IPv6].hlim == 64
    assert host.vr.flow(FlowKey(30, lab.ip6("fd00::4"), lab.ip6("fd00::5"), 17, 1, 2)) is not None


# Floods


def tree(host: Host) -> None:
    """Machines A and B, ingress replication to 8.0.0.3, an edge-replicated tree to 8.0.0.4 and 8.0.0.5."""
    for nh_id, remote in ((21, "8.0.0.3"), (22, "8.0.0.4"), (23, "8.0.0.5")):
        host.tunnel(nh_id, remote)
    host.add(
        composite(70, NhFlag.COMPOSITE_ENCAP, (31, 41)),
        composite(71, NhFlag.COMPOSITE_EVPN, (21,), (301,)),
        composite(72, NhFlag.COMPOSITE_FABRIC, (22, 23), (4700, 4701)),
        composite(73, NhFlag.MCAST | NhFlag.VALIDATE_MCAST_SRC, (72, 71, 70)),
        BridgeRoute(2, BROADCAST_MAC, 73, 5, BridgeFlag.LABEL_VALID),
        MplsLabel(4609, 73),
        MplsLabel(40, 73),
    )


BROADCAST = bytes(Ether(dst=EVERYONE, src=A_MAC) / IP(src=A, dst="1.1.1.255") / UDP(sport=9, dport=9) / b"hi")


def test_a_broadcast_of_a_machine_goes_everywhere_but_back(host: Host) -> None:
    tree(host)
    host.receive(3, BROADCAST)
    assert host.sent[4] == [BROADCAST] and not host.sent[3]
    by_destination = {Ether(frame)[IP].dst: Ether(frame) for frame in host.sent[0]}
    assert set(by_destination) == {"8.0.0.3", "8.0.0.4", "8.0.0.5"}
    direct = MPLS(bytes(by_destination["8.0.0.3"][UDP].payload))
    assert direct.label == 301 and bytes(direct.payload) == BROADCAST
    branch = MPLS(bytes(by_destination["8.0.0.4"][UDP].payload))
    body = bytes(branch.payload)
    assert branch.label == 4700 and body[:4] == bytes(4)
    inner = IP(body[4:])
    assert inner[UDP].dport == 4789 and inner[VXLAN].vni == 5 and bytes(inner[VXLAN].payload) == BROADCAST
    assert host.vr.drops[Drop.CLONED_ORIGINAL] and not host.dropped, "copies are no drops to a user"
    assert host.vr.totals.balance() == 0


def relay(source: str, label: int, frame: bytes) -> Ether:
    outer = Ether() / IP(src=source, dst="8.0.0.2") / UDP(sport=50000, dport=6635)
    return outer / MPLS(label=label, s=1, ttl=64) / frame


def test_the_tree_passes_on_to_its_other_branches(host: Host) -> None:
    tree(host)
    inside = IP(src="8.0.0.4", dst="8.0.0.2") / UDP(sport=1, dport=4789) / VXLAN(vni=5) / BROADCAST
    host.receive(0, relay("8.0.0.4", 4609, bytes(4) + bytes(inside)))
    assert host.sent[3] == host.sent[4] == [BROADCAST]
    assert [Ether(frame)[IP].dst for frame in host.sent[0]] == ["8.0.0.5"]
    passed = MPLS(bytes(Ether(host.sent[0][0])[UDP].payload))
    assert passed.label == 4701 and passed.ttl == 63 and bytes(passed.payload)[4:] == bytes(inside)


def test_ingress_replication_is_delivered_and_not_passed_on(host: Host) -> None:
    tree(host)
    host.receive(0, relay("8.0.0.3", 40, BROADCAST))
    assert host.sent[3] == host.sent[4] == [BROADCAST] and not host.sent[0]


def test_a_stranger_may_not_flood(host: Host) -> None:
    tree(host)
    host.receive(0, relay("8.0.0.9", 40, BROADCAST))
    assert host.reasons() == [Drop.INVALID_MCAST_SOURCE]
    host.receive(0, relay("8.0.0.4", 4609, b"\1\2\3\4" + BROADCAST))
    assert host.reasons()[1:] == [Drop.INVALID_PACKET]


def test_unknown_unicast_from_the_fabric_goes_straight_to_its_machine(host: Host, lab: Lab) -> None:
    tree(host)
    frame = bytes(Ether(dst=B_MAC, src="02:00:00:00:00:16") / IP(src="1.1.1.6", dst=B) / UDP())
    host.receive(0, relay("8.0.0.3", 40, frame))
    assert host.sent[4] == [frame] and not host.sent[3]


def test_unknown_unicast_floods_where_the_interface_allows_it(host: Host) -> None:
    tree(host)
    host.add(Vif(3, VifType.VIRTUAL, PLAIN | VifFlag.UNKNOWN_UC_FLOOD, 2, nh_id=30))
    host.receive(3, Ether(dst="02:00:00:00:00:99", src=A_MAC) / IP(src=A, dst="1.1.1.99") / UDP())
    assert len(host.sent[4]) == 1 and len(host.sent[0]) == 3
    assert host.vr.vrf_stats[2]["uuc_floods"] == 1


def test_bridged_from_fabric_to_fabric_is_refused(host: Host) -> None:
    tree(host)
    host.vxlan(9, 95, 2)
    host.add(BridgeRoute(2, bytes.fromhex("020000000017"), 21, 20, BridgeFlag.LABEL_VALID))
    frame = Ether(dst="02:00:00:00:00:17", src=B_MAC) / IP(src=B, dst=A) / UDP()
    host.receive(0, Ether() / IP(src="8.0.0.5", dst="8.0.0.2") / UDP(dport=4789) / VXLAN(vni=9) / frame)
    assert host.reasons() == [Drop.INVALID_SOURCE]


@pytest.mark.parametrize(("flags", "vni"), [(0x00, 9), (0x08, 77)])
def test_vxlan_needs_its_flag_and_a_known_vni(host: Host, flags: int, vni: int) -> None:
    host.vxlan(9, 95, 2)
    host.receive(
        0, Ether() / IP(src="8.0.0.5", dst="8.0.0.2") / UDP(dport=4789) / VXLAN(flags=flags, vni=vni) / BROADCAST
    )
    assert host.reasons() == [Drop.INVALID_VNID]


# Learning


def learning_host(host: Host) -> None:
    tree(host)
    flags = PLAIN | VifFlag.MAC_LEARN | VifFlag.ETREE_ROOT
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30), Vif(4, VifType.VIRTUAL, flags, 2, nh_id=40))


def test_a_new_mac_is_reported_once(host: Host) -> None:
    learning_host(host)
    for _ in range(2):
        host.receive(3, Ether(dst=B_MAC, src="02:00:00:00:00:77") / IP(src=A, dst=B) / UDP())
    learned = [trap for trap in host.traps if trap.reason is AgentCommand.MAC_LEARN]
    entry = host.vr.store.bridge.lookup(2, bytes.fromhex("020000000077"))
    assert len(learned) == 1 and entry is not None and learned[0].param == entry.index
    assert entry.has(BridgeFlag.MAC_NEW) and len(host.sent[4]) == 2


def test_a_mac_that_moves_is_reported_once(host: Host) -> None:
    learning_host(host)
    for _ in range(2):
        host.receive(4, Ether(dst=A_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP())
    assert [trap.reason for trap in host.traps].count(AgentCommand.MAC_MOVE) == 1
    row = host.vr.get(BridgeRoute, (2, bytes.fromhex("0288670c2e11")))
    assert row is not None and BridgeFlag.MAC_MOVED in row.label_flags


def test_leaves_do_not_talk_to_leaves(host: Host) -> None:
    learning_host(host)
    host.add(Vif(3, VifType.VIRTUAL, PLAIN | VifFlag.MAC_LEARN, 2, nh_id=30))
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP())
    assert host.reasons() == [Drop.LEAF_TO_LEAF]


@pytest.mark.parametrize(("source", "trapped"), [(A_MAC, False), ("02:00:00:00:00:66", True)])
def test_mac_ip_learning_compares_the_sender_with_its_route(host: Host, source: str, trapped: bool) -> None:
    from scapy.all import ARP

    host.add(Vif(3, VifType.VIRTUAL, PLAIN | VifFlag.MAC_IP_LEARNING, 2, nh_id=30))
    host.receive(3, Ether(dst=EVERYONE, src=source) / ARP(op=1, hwsrc=source, psrc=A, pdst=B))
    assert ([trap.reason for trap in host.traps] == [AgentCommand.MAC_IP_LEARNING]) is trapped


# Mirrors and uplinks


def test_a_mirrored_flow_is_copied_to_the_analyser(host: Host, lab: Lab) -> None:
    analyser = NextHop(
        93,
        NhType.TUNNEL,
        flags=NhFlag.VALID | NhFlag.TUNNEL_UDP,
        tun_sip=host.address,
        tun_dport=8099,
        tun_dip=lab.ip("8.0.0.50"),
    )
    host.tunnel(94, "8.0.0.50")
    gateway = NextHop(96, NhType.ENCAP, encap_oif_id=(0,), encap=bytes(14))
    host.add(analyser, gateway, InetRoute(0, lab.ip("8.0.0.50"), 32, 96), InetRoute(2, lab.ip("8.0.0.50"), 32, 96))
    host.add(Mirror(1, 93, MirrorFlag.DYNAMIC))
    key = FlowKey(30, lab.ip(A), lab.ip(B), 17, 5, 6)
    host.vr.flow_set(Flow(key, flags=FlowFlag.ACTIVE | FlowFlag.MIRROR, vrf=2, mir_id=1))
    frame = bytes(Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6) / b"secret")
    host.receive(3, frame)
    assert host.sent[4] == [frame]
    copy = Ether(host.sent[0][0])
    assert (copy[IP].dst, copy[UDP].dport, bytes(copy[UDP].payload)) == ("8.0.0.50", 8099, b"\xff\x00" + frame)
    value = copy[UDP].chksum
    del copy[UDP].chksum
    assert Ether(bytes(copy))[UDP].chksum == value


def test_the_metadata_of_a_mirrored_flow_goes_in_front(host: Host, lab: Lab) -> None:
    """From the fabric the copy has no tunnel headers; it gets the header the machine will see."""
    host.tunnel(27, "8.0.0.60", NhFlag.TUNNEL_VXLAN)
    host.add(Mirror(1, 27, MirrorFlag.DYNAMIC), Mirror(2, 27, vni=77))
    key = FlowKey(40, lab.ip(A), lab.ip(B), 17, 5, 6)
    flags = FlowFlag.ACTIVE | FlowFlag.MIRROR
    host.vr.flow_set(Flow(key, flags=flags, vrf=2, mir_id=2, sec_mir_id=1, pcap_meta_data=b"meta"))
    inner = IP(src=A, dst=B) / UDP(sport=5, dport=6) / b"x"
    host.receive(0, relay("8.0.0.3", 20, bytes(inner)))
    delivered = host.sent[4][0]
    assert bytes(Ether(host.sent[0][0])[VXLAN].payload) == delivered
    assert host.reasons() == [] and host.vr.totals.balance() == 0


def test_a_hardware_assisted_mirror_is_a_tag_on_the_fabric(host: Host, lab: Lab) -> None:
    host.tunnel(27, "8.0.0.60")
    host.remote(2, "1.1.1.6", 27, 20)
    host.add(Mirror(1, 0, MirrorFlag.HW_ASSISTED, vlan=99))
    key = FlowKey(30, lab.ip(A), lab.ip("1.1.1.6"), 17, 5, 6)
    host.vr.flow_set(Flow(key, flags=FlowFlag.ACTIVE | FlowFlag.MIRROR, vrf=2, mir_id=1))
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP(sport=5, dport=6))
    assert Ether(host.sent[0][0])[Dot1Q].vlan == 99


def test_three_uplinks_share_the_tunnels_by_flow(host: Host, lab: Lab) -> None:
    for vif in (10, 11):
        host.add(Vif(vif, VifType.PHYSICAL, mac=bytes(6)))
        host.connect(vif)
    headers = b"".join(bytes((number,)) * 12 + b"\x08\x00" for number in (1, 2, 3))
    flags = NhFlag.VALID | NhFlag.TUNNEL_UDP_MPLS | NhFlag.TUNNEL_UNDERLAY_ECMP
    fields: dict[str, Any] = {"flags": flags, "encap_oif_id": (0, 10, 11), "encap": headers, "tun_sip": 1, "tun_dip": 2}
    host.add(NextHop(21, NhType.TUNNEL, encap_valid=(True, True, True), **fields))
    host.remote(2, "1.1.1.6", 21, 20)
    for sport in range(40):
        host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP(sport=sport, dport=6))
    assert all(host.sent[vif] for vif in (0, 10, 11))
    assert host.sent[10][0][:6] == b"\2" * 6
    host.add(NextHop(21, NhType.TUNNEL, encap_valid=(False, False, True), **fields))
    before = len(host.sent[11])
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP(sport=1, dport=6))
    assert len(host.sent[11]) == before + 1
    host.add(NextHop(21, NhType.TUNNEL, encap_valid=(False, False, False), **fields))
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP(sport=1, dport=6))
    assert host.reasons() == [Drop.INVALID_UNDERLAY_ECMP]


def test_two_labels_over_a_transport(host: Host, lab: Lab) -> None:
    flags = NhFlag.VALID | NhFlag.TUNNEL_UDP_MPLS | NhFlag.TUNNEL_MPLS_O_MPLS
    host.add(
        NextHop(
            21,
            NhType.TUNNEL,
            flags=flags,
            encap_oif_id=(0,),
            encap=bytes(12) + b"\x08\x00",
            tun_sip=1,
            tun_dip=2,
            transport_label=99,
        )
    )
    host.remote(2, "1.1.1.6", 21, 20)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP())
    top = MPLS(bytes(Ether(host.sent[0][0])[UDP].payload))
    assert (top.label, top.s, top.payload.label, top.payload.s) == (99, 0, 20, 1)


def test_vxlan_routing_writes_the_routers_macs_inside(host: Host, lab: Lab) -> None:
    flags = NhFlag.VALID | NhFlag.TUNNEL_VXLAN | NhFlag.L3_VXLAN
    host.add(
        NextHop(
            21,
            NhType.TUNNEL,
            flags=flags,
            encap_oif_id=(0,),
            encap=bytes(12) + b"\x08\x00",
            tun_sip=1,
            tun_dip=2,
            rw_dst_mac=b"\x02route",
        )
    )
    host.remote(2, "1.1.1.6", 21, 7)
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="1.1.1.6") / UDP())
    inner = Ether(host.sent[0][0])[VXLAN].payload
    assert (inner.dst, inner.src, inner[IP].ttl) == ("02:72:6f:75:74:65", "00:1b:21:bb:f9:48", 63)


def test_tables_that_send_a_packet_in_circles_end_it(host: Host, lab: Lab) -> None:
    host.add(
        NextHop(90, NhType.VRF_TRANSLATE, vrf=5),
        NextHop(91, NhType.VRF_TRANSLATE, vrf=2),
        InetRoute(2, 0, 0, 90, label_flags=RouteFlag(0)),
        InetRoute(5, 0, 0, 91),
    )
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst="9.9.9.9") / UDP())
    assert host.reasons() == [Drop.PKT_LOOP]


def test_a_packet_does_not_return_to_the_host_it_came_from(host: Host, lab: Lab) -> None:
    host.tunnel(21, "8.0.0.3")
    host.remote(2, "1.1.1.6", 21, 20)
    host.add(NextHop(90, NhType.VRF_TRANSLATE, vrf=2), MplsLabel(90, 90))
    host.receive(0, relay("8.0.0.3", 90, bytes(IP(src="1.1.1.7", dst="1.1.1.6") / UDP())))
    assert host.reasons() == [Drop.PKT_LOOP]


def test_flow_action_names_a_held_action_as_invalid_elsewhere(host: Host, lab: Lab) -> None:
    host.on_trap = None
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6))
    row = host.vr.get(Flow, FlowKey(30, lab.ip(A), lab.ip(B), 17, 5, 6))
    assert row is not None and row.action is FlowAction.HOLD and FlowFlag.ACTIVE in row.flags
