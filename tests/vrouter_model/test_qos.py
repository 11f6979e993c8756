"""Marking by forwarding class (reference 9, QoS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scapy.all import IP, UDP, Ether, IPv6
from scapy.contrib.mpls import MPLS

from contrail_emulator.vrouter_model.rows import (
    Flow,
    FlowKey,
    ForwardingClass,
    Inet6Route,
    InetRoute,
    NextHop,
    NhFlag,
    NhType,
    QosMap,
    Vif,
    VifFlag,
    VifType,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, GATEWAY_MAC = "02:88:67:0c:2e:11", "00:00:5e:00:01:00"


@pytest.fixture
def host(lab: Lab) -> Host:
    """Map 1 of A's interface: DSCP 10 -> class 2 (DSCP 46, EXP 5)."""
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), "1.1.1.4", address6="fd00::4")
    host.auto_flows()
    host.add(ForwardingClass(2, 46, 5, 6), ForwardingClass(3, 8, 1, 1), QosMap(1, ((10, 2),)), QosMap(4, ((10, 3),)))
    flags = VifFlag.POLICY | VifFlag.L3_ENABLED
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30, qos_map_index=1))
    for nh_id, kind in ((21, NhFlag.TUNNEL_UDP_MPLS), (22, NhFlag.TUNNEL_GRE), (23, NhFlag.TUNNEL_VXLAN)):
        host.tunnel(nh_id, f"8.0.0.{nh_id}", kind)
        host.remote(2, f"1.1.2.{nh_id}", nh_id, 500)
    return host


def packet(last: int, dscp: int) -> Ether:
    return (
        Ether(dst=GATEWAY_MAC, src=A_MAC)
        / IP(src="1.1.1.4", dst=f"1.1.2.{last}", tos=dscp << 2)
        / UDP(sport=5, dport=6)
    )


@pytest.mark.parametrize("last", [21, 22, 23])
@pytest.mark.parametrize(("dscp", "marked"), [(10, 46), (11, 0)])
def test_the_tunnel_carries_the_class_and_the_inner_packet_its_own_mark(
    host: Host, last: int, dscp: int, marked: int
) -> None:
    host.receive(3, packet(last, dscp))
    outer = Ether(host.sent[0][0])
    assert outer[IP].tos >> 2 == marked
    if last == 21:
        label = MPLS(bytes(outer[UDP].payload))
        assert label.cos == (5 if marked else 0) and IP(bytes(label.payload)).tos >> 2 == dscp


def test_the_flows_map_comes_before_the_interfaces(host: Host, lab: Lab) -> None:
    key = FlowKey(30, lab.ip("1.1.1.4"), lab.ip("1.1.2.21"), 17, 5, 6)
    host.vr.flow_set(Flow(key, vrf=2, qos_id=4))
    host.receive(3, packet(21, 10))
    assert Ether(host.sent[0][0])[IP].tos >> 2 == 8


def test_without_a_tunnel_the_packet_itself_is_marked(host: Host, lab: Lab) -> None:
    host.add(
        NextHop(96, NhType.ENCAP, encap_oif_id=(0,), encap=bytes(12) + b"\x08\x00"),
        InetRoute(2, lab.ip("7.7.7.7"), 32, 96),
        Inet6Route(2, lab.ip6("fd07::7"), 128, 96),
    )
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src="1.1.1.4", dst="7.7.7.7", tos=10 << 2 | 1) / UDP())
    host.receive(3, Ether(dst=GATEWAY_MAC, src=A_MAC) / IPv6(src="fd00::4", dst="fd07::7", tc=10 << 2 | 1) / UDP())
    four, six = Ether(host.sent[0][0]), Ether(host.sent[0][1])
    assert four[IP].tos == six[IPv6].tc == 46 << 2 | 1
    value = four[IP].chksum
    del four[IP].chksum
    assert Ether(bytes(four))[IP].chksum == value


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (ForwardingClass(255, 63, 7, 7), 0),
        (ForwardingClass(256), -22),
        (ForwardingClass(1, dscp=64), -22),
        (QosMap(4095), 0),
        (QosMap(4096), -22),
        (QosMap(1, dotonep=((8, 1),)), -22),
    ],
)
def test_rows_of_marking(lab: Lab, row: ForwardingClass | QosMap, code: int) -> None:
    host = lab.Host()
    assert host.vr.add(row) == code
    assert host.vr.dump(type(row)) == ([row] if code == 0 else [])
    assert host.vr.delete(row) == (0 if code == 0 else -2)
