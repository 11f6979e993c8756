"""ARP and neighbour discovery: who answers, what is flooded, what the agent gets (reference 7.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import ARP, IP, UDP, Dot1Q, Ether, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.contrib.mpls import MPLS

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.rows import (
    BROADCAST_MAC,
    VROUTER_MAC,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Family,
    Inet6Route,
    InetRoute,
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

A_MAC, B_MAC, REMOTE_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1", "02:00:00:00:00:16"
A, B, REMOTE = "1.1.1.4", "1.1.1.5", "1.1.1.6"
GATEWAY, GATEWAY_MAC = "1.1.1.1", "00:00:5e:00:01:00"
EVERYONE = "ff:ff:ff:ff:ff:ff"


def flood(host: Host, vrf: int, machines: tuple[int, ...], tunnels: tuple[int, ...] = ()) -> None:
    """The broadcast route of a VRF: machines of this host and ingress replication."""
    valid = NhFlag.VALID
    host.add(
        NextHop(
            500,
            NhType.COMPOSITE,
            Family.BRIDGE,
            valid | NhFlag.COMPOSITE_ENCAP,
            vrf,
            nh_list=machines,
            label_list=(-1,) * len(machines),
        ),
        NextHop(
            501,
            NhType.COMPOSITE,
            Family.BRIDGE,
            valid | NhFlag.COMPOSITE_EVPN,
            vrf,
            nh_list=tunnels,
            label_list=(400,) * len(tunnels),
        ),
        NextHop(
            502, NhType.COMPOSITE, Family.BRIDGE, valid | NhFlag.MCAST, vrf, nh_list=(501, 500), label_list=(-1, -1)
        ),
        BridgeRoute(vrf, BROADCAST_MAC, 502, 5, BridgeFlag.LABEL_VALID),
        MplsLabel(400, 502),
    )


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A, address6="fd00::4")
    host.machine(4, 2, lab.mac(B_MAC), B, address6="fd00::5")
    host.tunnel(21, "8.0.0.3")
    host.remote(2, REMOTE, 21, 20, hardware=lab.mac(REMOTE_MAC), l2_label=120)
    flood(host, 2, (31, 41), (21,))
    host.add(
        NextHop(91, NhType.ENCAP, encap_oif_id=(2,), encap=VROUTER_MAC * 2 + b"\x08\x00"),
        InetRoute(2, lab.ip(GATEWAY), 32, 91, label_flags=RouteFlag.ARP_PROXY),
        InetRoute(2, lab.ip("1.1.1.0"), 24, 0, label_flags=RouteFlag.ARP_PROXY),
    )
    return host


def who_has(target: str, mac: str = EVERYONE, sender: str = A) -> Ether:
    return Ether(dst=mac, src=A_MAC) / ARP(op=1, hwsrc=A_MAC, psrc=sender, pdst=target)


def answer(host: Host, vif: int = 3) -> Any:
    reply = Ether(host.sent[vif][0])
    assert reply[ARP].op == 2 and (reply[ARP].hwdst, reply[ARP].pdst) == (A_MAC, A)
    assert reply.dst == A_MAC and reply.src == reply[ARP].hwsrc
    return reply[ARP]


@pytest.mark.parametrize(
    ("target", "mac"), [(B, B_MAC), (REMOTE, REMOTE_MAC), (GATEWAY, GATEWAY_MAC), ("1.1.1.77", GATEWAY_MAC)]
)
def test_the_vrouter_answers_with_the_stitched_mac_or_its_own(host: Host, target: str, mac: str) -> None:
    host.receive(3, who_has(target))
    got = answer(host)
    assert (got.hwsrc, got.psrc) == (mac, target)
    assert not host.sent[4] and not host.sent[0]
    stats = host.vr.vrf_stats[2]
    assert stats["arp_virtual_stitch"] + stats["arp_virtual_proxy"] == 1
    assert host.vr.totals.balance() == 0


def test_unicast_requests_are_answered_too(host: Host) -> None:
    host.receive(3, who_has(B, B_MAC))
    assert answer(host).hwsrc == B_MAC and not host.sent[4]


def test_what_no_route_may_answer_is_flooded(host: Host) -> None:
    frame = bytes(who_has("7.7.7.7"))
    host.receive(3, frame)
    assert host.sent[4] == [frame] and not host.sent[3]
    assert Ether(host.sent[0][0])[UDP].dport == 6635
    assert host.vr.vrf_stats[2]["arp_virtual_flood"] == 1


def test_a_flood_route_without_stitching_floods(host: Host, lab: Lab) -> None:
    host.add(
        InetRoute(2, lab.ip("1.1.1.9"), 32, 21, 20, RouteFlag.LABEL_VALID | RouteFlag.ARP_PROXY | RouteFlag.ARP_FLOOD)
    )
    host.receive(3, who_has("1.1.1.9"))
    assert len(host.sent[4]) == 1 and not host.sent[3]


def test_tagged_requests_are_the_machines_own_business(host: Host) -> None:
    frame = Ether(dst=EVERYONE, src=A_MAC) / Dot1Q(vlan=9) / ARP(op=1, hwsrc=A_MAC, psrc=A, pdst=B)
    host.receive(3, frame)
    assert host.sent[4] == [bytes(frame)]


def test_gratuitous_arp_is_flooded_and_trapped_where_the_route_says(host: Host, lab: Lab) -> None:
    host.receive(3, who_has(A, sender=A))
    assert len(host.sent[4]) == 1 and not host.traps
    row = host.vr.get(InetRoute, (2, lab.ip(A), 32))
    assert row is not None
    flags = RouteFlag.ARP_PROXY | RouteFlag.ARP_TRAP
    host.add(InetRoute(2, row.prefix, 32, row.nh_id, label_flags=flags, mac=row.mac))
    host.receive(3, who_has(A, sender=A))
    assert len(host.sent[4]) == 2 and [trap.reason for trap in host.traps] == [AgentCommand.ARP]


def test_mac_proxy_answers_everything_with_the_interface_mac(host: Host) -> None:
    flags = VifFlag.L2_ENABLED | VifFlag.L3_ENABLED | VifFlag.MAC_PROXY
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30))
    host.receive(3, who_has("7.7.7.7"))
    assert answer(host).hwsrc == GATEWAY_MAC
    host.receive(3, who_has(A, sender=A))
    assert host.reasons() == [Drop.INVALID_ARP]


def test_no_arp_proxy_answers_only_for_the_gateway(host: Host) -> None:
    flags = VifFlag.L2_ENABLED | VifFlag.L3_ENABLED | VifFlag.NO_ARP_PROXY
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30))
    host.receive(3, who_has(B))
    assert host.reasons() == [Drop.INVALID_ARP]
    host.receive(3, who_has(GATEWAY))
    assert answer(host).hwsrc == GATEWAY_MAC


def test_a_service_interface_never_floods_arp(host: Host) -> None:
    host.add(Vif(7, VifType.VIRTUAL, VifFlag.SERVICE_IF, 2))
    host.add(VrfAssign(7, 100, 2, 30))
    host.receive(7, Ether(dst=GATEWAY_MAC, src=A_MAC) / Dot1Q(vlan=100) / ARP(op=1, psrc=A, pdst="7.7.7.7"))
    assert host.reasons() == [Drop.INVALID_ARP]


def from_peer(frame: Any, label: int = 400) -> Ether:
    outer = Ether(dst="00:1b:21:bb:f9:48") / IP(src="8.0.0.3", dst="8.0.0.2") / UDP(sport=50000, dport=6635)
    return outer / MPLS(label=label, s=1, ttl=64) / frame


def remote_request(target: str, mac: str = EVERYONE) -> Ether:
    return Ether(dst=mac, src=REMOTE_MAC) / ARP(op=1, hwsrc=REMOTE_MAC, psrc=REMOTE, pdst=target)


def test_a_request_from_the_fabric_is_answered_for_a_machine_of_this_host(host: Host) -> None:
    host.receive(0, from_peer(remote_request(B)))
    assert not host.sent[4] and not host.sent[3]
    outer = Ether(host.sent[0][0])
    assert outer[IP].dst == "8.0.0.3"
    label = MPLS(bytes(outer[UDP].payload))
    reply = Ether(bytes(label.payload))
    assert label.label == 120 and (reply[ARP].hwsrc, reply.dst) == (B_MAC, REMOTE_MAC)
    assert host.vr.vrf_stats[2]["arp_physical_stitch"] == 1


def test_a_request_from_the_fabric_for_someone_else_goes_to_the_machines_only(host: Host, lab: Lab) -> None:
    host.remote(2, "1.1.1.8", 21, 20)
    host.receive(0, from_peer(remote_request("1.1.1.8")))
    assert len(host.sent[3]) == len(host.sent[4]) == 1 and not host.sent[0]
    assert host.vr.vrf_stats[2]["arp_physical_flood"] == 1


def test_the_gateway_is_not_answered_for_to_the_fabric(host: Host) -> None:
    host.receive(0, from_peer(remote_request(GATEWAY)))
    assert host.reasons() == [Drop.INVALID_ARP]


def test_a_unicast_request_from_the_fabric_never_reaches_the_machine(host: Host) -> None:
    host.receive(0, from_peer(remote_request(B, B_MAC), label=120))
    assert not host.sent[4] and len(host.sent[0]) == 1


def test_arp_of_the_gateway_router_is_not_shown_to_machines(host: Host, lab: Lab) -> None:
    frame = Ether(dst=EVERYONE, src=REMOTE_MAC) / ARP(op=1, hwsrc=REMOTE_MAC, psrc=GATEWAY, pdst="7.7.7.7")
    host.receive(0, from_peer(frame))
    assert not host.sent[3] and not host.sent[4]


# The underlay


def test_underlay_arp_is_between_host_and_network(host: Host) -> None:
    request = Ether(dst=EVERYONE, src=A_MAC) / ARP(op=1, psrc="8.0.0.9", pdst="8.0.0.77")
    host.receive(0, request)
    assert host.sent[1] == [bytes(request)]
    host.receive(1, request)
    assert host.sent[0] == [bytes(request)]


def test_underlay_replies_go_to_the_host_and_to_the_agent(host: Host) -> None:
    reply = Ether(dst="00:1b:21:bb:f9:48", src=A_MAC) / ARP(op=2, psrc="8.0.0.9", pdst="8.0.0.2")
    host.receive(0, reply)
    assert host.sent[1] == [bytes(reply)] and [trap.reason for trap in host.traps] == [AgentCommand.ARP]
    gratuitous = Ether(dst=EVERYONE, src=A_MAC) / ARP(op=1, psrc="8.0.0.9", pdst="8.0.0.9")
    host.receive(0, gratuitous)
    assert len(host.sent[1]) == 2 and len(host.traps) == 2


def test_the_host_gets_link_local_addresses_answered(host: Host) -> None:
    host.receive(1, Ether(dst=EVERYONE, src=A_MAC) / ARP(op=1, hwsrc=A_MAC, psrc="8.0.0.2", pdst="169.254.0.3"))
    assert Ether(host.sent[1][0])[ARP].hwsrc == "00:1b:21:bb:f9:48"


def test_an_arp_reply_for_the_vrouter_is_the_agents(host: Host) -> None:
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / ARP(op=2, psrc=A, pdst=GATEWAY))
    assert [trap.reason for trap in host.traps] == [AgentCommand.ARP]


@pytest.mark.parametrize(
    "body", [b"", bytes(20), b"\0\1\x08\0\5\4\0\1" + bytes(20), b"\0\1\x08\0\6\4\0\x09" + bytes(20)]
)
def test_malformed_arp_is_dropped(host: Host, body: bytes) -> None:
    host.receive(3, Ether(dst=EVERYONE, src=A_MAC, type=0x0806) / body)
    assert host.reasons() == [Drop.INVALID_ARP]


# IPv6


def solicit(target: str, mac: str = "33:33:ff:00:00:05", source: str = "fd00::4") -> Ether:
    packet = Ether(dst=mac, src=A_MAC) / IPv6(src=source, dst="ff02::1:ff00:5", hlim=255) / ICMPv6ND_NS(tgt=target)
    return packet / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC) if source != "::" else packet


def test_a_solicitation_is_answered_like_arp(host: Host) -> None:
    host.receive(3, solicit("fd00::5"))
    reply = Ether(host.sent[3][0])
    assert reply.dst == A_MAC and reply.src == B_MAC
    advertisement = reply[ICMPv6ND_NA]
    assert (advertisement.tgt, advertisement.S, advertisement.R) == ("fd00::5", 1, 0)
    assert advertisement.payload.lladdr == B_MAC
    value = advertisement.cksum
    del advertisement.cksum
    assert Ether(bytes(reply))[ICMPv6ND_NA].cksum == value


def test_the_router_bit_is_set_when_the_mac_is_the_vrouters(host: Host, lab: Lab) -> None:
    host.add(Inet6Route(2, lab.ip6("fd00::1"), 128, 91, label_flags=RouteFlag.ARP_PROXY))
    host.receive(3, solicit("fd00::1"))
    reply = Ether(host.sent[3][0])
    assert reply.src == GATEWAY_MAC and reply[ICMPv6ND_NA].R == 1


def test_duplicate_address_detection_is_seen_by_the_others(host: Host) -> None:
    host.receive(3, solicit("fd00::5", source="::"))
    assert len(host.sent[4]) == 1 and not host.sent[3]


def test_router_solicitations_are_the_agents(host: Host) -> None:
    from scapy.all import ICMPv6ND_RS

    host.receive(3, Ether(dst="33:33:00:00:00:02", src=A_MAC) / IPv6(src="fe80::1", dst="ff02::2") / ICMPv6ND_RS())
    assert [trap.reason for trap in host.traps] == [AgentCommand.L3_PROTOCOLS]


def test_an_unsolicited_advertisement_is_trapped_and_flooded(host: Host) -> None:
    frame = Ether(dst="33:33:00:00:00:01", src=A_MAC) / IPv6(src="fd00::4", dst="ff02::1") / ICMPv6ND_NA(tgt="fd00::4")
    host.receive(3, frame)
    assert [trap.reason for trap in host.traps] == [AgentCommand.L3_PROTOCOLS]
    assert host.sent[4] == [bytes(frame)]
