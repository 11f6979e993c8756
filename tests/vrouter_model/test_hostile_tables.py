"""Whatever an agent programs, right or wrong: answers are 0 or negative, packets then neither raise nor get lost."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import IP, UDP, Ether, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.contrib.mpls import MPLS
from scapy.layers.vxlan import VXLAN

from contrail_emulator.vrouter_model.rows import (
    BROADCAST_MAC,
    VROUTER_MAC,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Family,
    Flow,
    FlowAction,
    FlowExtFlag,
    FlowFlag,
    FlowKey,
    Inet6Route,
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
    Vxlan,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

MACS = (bytes.fromhex("0288670c2e11"), bytes.fromhex("02e703ea67f1"), VROUTER_MAC, BROADCAST_MAC, bytes(6), b"short")
ADDRESSES = (0x08000002, 0x08000003, 0x01010104, 0x01010105, 0, 0xFFFFFFFF, -1, 1 << 32)
ADDRESSES6 = (bytes(16), bytes.fromhex("fd00" + "0" * 27 + "5"), b"short")
SMALL = (*range(12), -1, 65535, 65536, 1 << 40)


class Rows:
    """Random rows: mostly plausible, sometimes absurd."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.makers = (
            self.vif,
            self.next_hop,
            self.next_hop,
            self.inet,
            self.inet6,
            self.bridge,
            self.label,
            self.flow,
            self.other,
        )

    def number(self) -> int:
        return self.rng.randrange(12) if self.rng.random() < 0.9 else self.rng.choice(SMALL)

    def bits(self, kind: Any) -> Any:
        members = list(kind)
        return kind(sum({int(self.rng.choice(members)) for _ in range(self.rng.randrange(5))}))

    def row(self) -> Any:
        return self.rng.choice(self.makers)()

    def vif(self) -> Vif:
        pick = self.rng.choice
        return Vif(
            self.number(),
            pick(list(VifType)),
            self.bits(VifFlag),
            pick((0, 2, 2, 3)),
            mac=pick(MACS[:4]),
            ip=pick(ADDRESSES),
            nh_id=self.number(),
            mtu=pick((0, 0, 100, 1500)),
            vlan_id=pick((65535, 5, -1)),
            ovlan_id=pick((65535, 0, 5, 70000)),
            parent_vif_idx=self.number(),
            cross_connect_idx=pick(((), (0,), (1, 99))),
            mir_id=pick((255, 1)),
            in_mirror_md=pick((b"", b"md")),
            mcast_vrf=pick((65535, 3)),
        )

    def next_hop(self) -> NextHop:
        pick, number = self.rng.choice, self.number
        members = tuple(number() for _ in range(self.rng.randrange(4)))
        return NextHop(
            number(),
            pick(list(NhType)),
            pick(list(Family)),
            NhFlag.VALID | self.bits(NhFlag),
            pick((0, 2, 3, -1)),
            tuple(number() for _ in range(pick((1, 1, 1, 0, 3)))),
            pick((b"\x02" * 12 + b"\x08\x00", b"", b"\x02" * 42)),
            (True, False, True)[: self.rng.randrange(4)],
            pick(ADDRESSES),
            pick(ADDRESSES),
            pick(ADDRESSES6),
            pick(ADDRESSES6),
            tun_dport=pick((0, 8099, 70000)),
            nh_list=members,
            label_list=tuple(pick((-1, 20, 4609, 1 << 25)) for _ in members),
            ecmp_config_hash=self.rng.randrange(64),
            pbb_mac=pick(MACS),
            rw_dst_mac=pick(MACS),
            transport_label=pick((-1, 5, 1 << 30)),
        )

    def inet(self) -> InetRoute:
        pick = self.rng.choice
        length = pick((0, 8, 24, 32, 33))
        flags = self.bits(RouteFlag)
        return InetRoute(
            pick((0, 2, 3)),
            pick(ADDRESSES),
            length,
            self.number(),
            pick((-1, 20, 1 << 30)),
            flags,
            pick((bytes(6), MACS[0])),
        )

    def inet6(self) -> Inet6Route:
        pick = self.rng.choice
        return Inet6Route(pick((0, 2)), pick(ADDRESSES6), pick((0, 64, 128)), self.number(), 20, self.bits(RouteFlag))

    def bridge(self) -> BridgeRoute:
        pick = self.rng.choice
        return BridgeRoute(pick((0, 2, 3)), pick(MACS), self.number(), pick((-1, 20, 1 << 30)), self.bits(BridgeFlag))

    def label(self) -> MplsLabel:
        return MplsLabel(self.rng.choice((20, 21, 4609, 5120, -1)), self.number())

    def flow(self) -> Flow:
        pick, number = self.rng.choice, self.number
        address, address6 = pick(ADDRESSES), pick(ADDRESSES6)
        key = FlowKey(number(), address, pick(ADDRESSES), pick((6, 17, 1, 300)), pick((5, 6, 70000)), pick((5, 6)))
        if self.rng.random() < 0.2:
            key = FlowKey(number(), address6, pick((address6, 7)), 58, 7, 129)
        return Flow(
            key,
            pick((-1, -1, number())),
            pick((0, 1, 2)),
            pick(list(FlowAction)),
            FlowFlag.ACTIVE | self.bits(FlowFlag),
            self.bits(FlowExtFlag),
            pick((0, 2, 3, -1, 1 << 20)),
            pick((0, 2, 3, 1 << 20)),
            pick((-1, number())),
            pick((None, key)),
            number(),
            pick((-1, 0, 5)),
            pick((-1, 0, 2)),
            pick((255, 1)),
            ttl=pick((0, 9, 300)),
            drop_reason=number(),
        )

    def other(self) -> Any:
        pick = self.rng.choice
        return pick(
            (
                Vxlan(pick((5, 6, 1 << 24)), self.number()),
                VrfAssign(self.number(), pick((5, 1024)), pick((2, 3)), self.number()),
                Mirror(1, self.number(), self.bits(MirrorFlag), pick((-1, 77))),
            )
        )


def frames() -> list[bytes]:
    inner = [
        Ether(dst=dst, src="02:88:67:0c:2e:11") / IP(src="1.1.1.4", dst=ip) / UDP(sport=5, dport=6)
        for dst in ("02:e7:03:ea:67:f1", "00:00:5e:00:01:00", "ff:ff:ff:ff:ff:ff")
        for ip in ("1.1.1.5", "9.9.9.9", "8.0.0.2")
    ]
    inner.append(Ether(dst="00:00:5e:00:01:00", src="02:88:67:0c:2e:11") / IPv6(dst="fd00::5") / UDP())
    outer = Ether(dst="00:1b:21:bb:f9:48") / IP(src="8.0.0.3", dst="8.0.0.2")
    for label in (20, 4609):
        inner.append(outer / UDP(sport=50000, dport=6635) / MPLS(label=label, s=1, ttl=9) / inner[0][IP])
        inner.append(outer / UDP(sport=50000, dport=6635) / MPLS(label=label, s=1, ttl=9) / inner[0])
    inner.append(outer / UDP(dport=4789) / VXLAN(vni=5) / inner[0])
    return [bytes(frame) for frame in inner]


@pytest.mark.parametrize("seed", range(2))
def test_no_table_makes_a_packet_raise_or_vanish(lab: Lab, seed: int) -> None:
    host: Host = lab.Host()
    rows, rng, traffic = Rows(seed), random.Random(seed), frames()
    for vif in range(3, 12):
        host.connect(vif)
    answers: Counter[int] = Counter()
    for _ in range(1500):
        row = rows.row()
        protected = isinstance(row, Vif) and row.idx in (0, 1, 2)
        if not protected:
            answers[host.vr.delete(row) if rng.random() < 0.1 else host.vr.add(row)] += 1
        host.receive(rng.randrange(12), rng.choice(traffic))
        assert host.vr.totals.balance() == 0, row
        host.now += 0.01
    assert max(answers) == 0 and answers[0] > 300 and len(answers) > 3
    assert host.vr.totals.sent and host.vr.totals.trapped and len(host.vr.drops) > 8
    host.vr.reset()
    assert host.vr.totals.held == 0


@pytest.mark.parametrize(("source", "trapped"), [("02:88:67:0c:2e:11", False), ("02:00:00:00:00:66", True)])
def test_mac_ip_learning_looks_at_neighbour_messages_too(lab: Lab, source: str, trapped: bool) -> None:
    host = lab.Host()
    host.network(2)
    flags = VifFlag.L2_ENABLED | VifFlag.L3_ENABLED | VifFlag.MAC_IP_LEARNING
    host.machine(3, 2, MACS[0], "1.1.1.4", address6="fd00::4", flags=flags)
    solicitation = IPv6(src="fd00::4", dst="ff02::1:ff00:5") / ICMPv6ND_NS(tgt="fd00::5") / ICMPv6NDOptSrcLLAddr()
    host.receive(3, Ether(dst="33:33:ff:00:00:05", src=source) / solicitation)
    assert ([trap.reason for trap in host.traps] == [AgentCommand.MAC_IP_LEARNING]) is trapped
