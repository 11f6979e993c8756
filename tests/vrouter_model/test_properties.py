# mypy: disable-error-code="untyped-decorator"
# (the shared configuration skips hypothesis, so that its decorators have no types)
"""Properties that hold for any input (reference 15 a-g), and fuzzing: no bytes into any interface may raise."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6ND_NS, IPv6, fragment
from scapy.contrib.mpls import MPLS
from scapy.layers.l2 import GRE
from scapy.layers.vxlan import VXLAN

from contrail_emulator.vrouter_model import Drop, VRouter, checksum
from contrail_emulator.vrouter_model.rows import (
    BROADCAST_MAC,
    VROUTER_MAC,
    BridgeFlag,
    BridgeRoute,
    Family,
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
    VrfAssign,
)
from contrail_emulator.vrouter_model.tables.flows import FlowTable
from contrail_emulator.vrouter_model.tables.lpm import PrefixTable

if TYPE_CHECKING:
    from vrouter_model.conftest import Host

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
GATEWAY_MAC = "00:00:5e:00:01:00"
PEER = "8.0.0.3"


def checked(flags: NhFlag) -> NhFlag:
    return NhFlag.VALID | flags


def rich_host(make: Any) -> Host:
    """Everything at once: machines, tunnels of each kind, floods, ECMP, a service interface, learning, mirrors."""
    host: Host = make()
    host.network(2)
    host.machine(3, 2, bytes.fromhex("0288670c2e11"), "1.1.1.4", address6="fd00::4")
    host.machine(4, 2, bytes.fromhex("02e703ea67f1"), "1.1.1.5", address6="fd00::5")
    learning = VifFlag.L2_ENABLED | VifFlag.MAC_LEARN | VifFlag.UNKNOWN_UC_FLOOD | VifFlag.MIRROR_RX
    host.machine(6, 2, bytes.fromhex("020000000006"), "1.1.1.7", flags=learning)
    host.add(Vif(7, VifType.VIRTUAL, VifFlag.SERVICE_IF | VifFlag.POLICY, 2, nh_id=30))
    host.connect(7)
    host.add(VrfAssign(7, 100, 2, 30))
    host.add(Vif(8, VifType.VIRTUAL_VLAN, VifFlag.POLICY, 2, nh_id=40, vlan_id=55, ovlan_id=55, parent_vif_idx=3))
    host.tunnel(21, PEER)
    host.tunnel(22, "8.0.0.4", NhFlag.TUNNEL_GRE)
    host.tunnel(23, "8.0.0.5", NhFlag.TUNNEL_VXLAN)
    host.remote(2, "1.1.1.6", 21, 200, hardware=bytes.fromhex("020000000016"), l2_label=300)
    host.remote(2, "1.1.2.6", 22, 201)
    host.add(BridgeRoute(2, bytes.fromhex("020000000017"), 23, 5, BridgeFlag.LABEL_VALID))
    host.vxlan(5, 95, 2)
    host.add(
        NextHop(
            70,
            NhType.COMPOSITE,
            Family.BRIDGE,
            checked(NhFlag.COMPOSITE_ENCAP),
            2,
            nh_list=(31, 41, 61),
            label_list=(-1,) * 3,
        ),
        NextHop(
            71,
            NhType.COMPOSITE,
            Family.BRIDGE,
            checked(NhFlag.COMPOSITE_EVPN),
            2,
            nh_list=(21, 23),
            label_list=(301, 5),
        ),
        NextHop(
            72,
            NhType.COMPOSITE,
            Family.BRIDGE,
            checked(NhFlag.COMPOSITE_FABRIC),
            2,
            nh_list=(21, 22),
            label_list=(4700, 4701),
        ),
        NextHop(
            73, NhType.COMPOSITE, Family.BRIDGE, checked(NhFlag.MCAST), 2, nh_list=(70, 71, 72), label_list=(-1,) * 3
        ),
        BridgeRoute(2, BROADCAST_MAC, 73, 5, BridgeFlag.LABEL_VALID),
        MplsLabel(4609, 73),
        NextHop(
            80,
            NhType.COMPOSITE,
            Family.INET,
            checked(NhFlag.COMPOSITE_ECMP | NhFlag.POLICY),
            2,
            nh_list=(30, 21, 999),
            label_list=(-1, 200, 1),
        ),
        InetRoute(2, int.from_bytes(bytes((1, 1, 3, 0)), "big"), 24, 80),
        MplsLabel(24, 80),
        NextHop(90, NhType.VRF_TRANSLATE, Family.INET, vrf=2),
        InetRoute(3, 0, 0, 90),
        InetRoute(2, int.from_bytes(bytes((1, 1, 4, 0)), "big"), 24, 90),
        NextHop(91, NhType.ENCAP, Family.INET, vrf=2, encap_oif_id=(2,), encap=VROUTER_MAC * 2 + b"\x08\x00"),
        InetRoute(2, int.from_bytes(bytes((1, 1, 1, 1)), "big"), 32, 91, label_flags=RouteFlag.ARP_PROXY),
        NextHop(92, NhType.RESOLVE),
        InetRoute(0, int.from_bytes(bytes((8, 0, 0, 0)), "big"), 24, 92),
        NextHop(
            93,
            NhType.TUNNEL,
            flags=checked(NhFlag.TUNNEL_UDP),
            tun_sip=host.address,
            tun_dip=host.address + 9,
            tun_dport=8099,
        ),
        Mirror(1, 93),
        Inet6Route(2, bytes(16), 0, 21, 200, RouteFlag.LABEL_VALID),
    )
    host.add(Vif(6, VifType.VIRTUAL, learning, 2, nh_id=60, mir_id=1))
    return host


def ordinary_frames() -> list[bytes]:
    """Well-formed frames of every kind the pipeline knows, to be sent as they are and mutilated."""
    frames: list[Any] = []
    for mac in (B_MAC, GATEWAY_MAC, "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:16", "02:00:00:00:00:17", "01:00:5e:00:00:05"):
        ether = Ether(dst=mac, src=A_MAC)
        for destination in ("1.1.1.5", "1.1.1.6", "1.1.2.6", "1.1.3.1", "1.1.4.1", "1.1.1.1", "224.0.0.5", "9.9.9.9"):
            frames.append(ether / IP(src="1.1.1.4", dst=destination) / UDP(sport=5, dport=53) / b"x")
        inner = IP(src="1.1.1.4", dst="1.1.1.5") / TCP(sport=7, dport=80, flags="S", options=[("MSS", 1460)])
        frames += [ether / inner, ether / Dot1Q(vlan=100) / inner, ether / Dot1Q(vlan=55) / inner]
        frames.append(
            ether / IP(src="1.1.1.4", dst="1.1.1.5") / ICMP(type=3) / IP(src="1.1.1.5", dst="1.1.1.4") / UDP()
        )
        frames += [ether / part for part in fragment(IP(src="1.1.1.4", dst="1.1.1.5") / UDP() / bytes(600), 256)]
        frames.append(ether / ARP(op=1, psrc="1.1.1.4", pdst="1.1.1.5", hwsrc=A_MAC))
        frames.append(ether / ARP(op=2, psrc="1.1.1.4", pdst="1.1.1.5", hwsrc=A_MAC))
        frames.append(ether / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67))
        frames.append(ether / IPv6(src="fd00::4", dst="fd00::5") / UDP(sport=5, dport=6) / b"x")
        frames.append(
            ether / IPv6(src="fd00::4", dst="fd00::5") / ICMPv6ND_NS(tgt="fd00::5") / (b"\x01\x01" + bytes(6))
        )
    underlay = Ether(dst="00:1b:21:bb:f9:48")
    for packet in frames[:12]:
        udp = underlay / IP(src=PEER, dst="8.0.0.2") / UDP(sport=50000, dport=6635)
        frames.append(udp / MPLS(label=119, s=1, ttl=64) / packet)
        frames.append(udp / MPLS(label=19, s=1, ttl=64) / packet[IP])
        frames.append(udp / MPLS(label=24, s=1, ttl=64) / packet[IP])
        tree = IP(src=PEER, dst="8.0.0.2") / UDP(dport=4789) / VXLAN(vni=5) / packet
        frames.append(udp / MPLS(label=4609, s=1, ttl=64) / bytes(4) / tree)
        frames.append(
            underlay / IP(src="8.0.0.4", dst="8.0.0.2") / GRE(proto=0x8847) / MPLS(label=19, s=1, ttl=9) / packet[IP]
        )
        frames.append(underlay / IP(src="8.0.0.5", dst="8.0.0.2") / UDP(dport=4789) / VXLAN(vni=5) / packet)
    return [bytes(frame) for frame in frames]


def mutilate(frame: bytes, rng: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(rng.randrange(4)):
        if data:
            data[rng.randrange(min(len(data), 90))] = rng.choice(
                (0, 1, 0x45, 0x46, 0x4F, 0x60, 0xFF, rng.randrange(256))
            )
    if rng.random() < 0.4:
        del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


def test_any_bytes_into_any_interface_never_raise_and_every_packet_is_accounted_for(lab: Any) -> None:
    rng = random.Random(20)
    frames = ordinary_frames()
    host = rich_host(lab.Host)
    for turn in range(8000):
        if turn == 2000:
            host.auto_flows()
        frame = rng.choice(frames) if rng.random() < 0.9 else rng.randbytes(rng.randrange(120))
        frame = mutilate(frame, rng) if rng.random() < 0.7 else frame
        vif = rng.choice((0, 0, 1, 2, 3, 3, 4, 6, 7, 8, 99))
        if rng.random() < 0.05:
            host.vr.from_agent(rng.randbytes(14) + bytes((0, vif, 0, 2, 0, rng.randrange(3))) + bytes(24) + frame)
        else:
            host.receive(vif, frame)
        host.now += rng.random() / 10
        assert host.vr.totals.balance() == 0, frame.hex()
    assert sum(host.vr.drops.values()) == host.vr.totals.dropped
    assert sum(vif.opackets for vif in host.vr.store.vifs.values()) >= host.vr.totals.sent
    for reason in (
        Drop.INVALID_LABEL,
        Drop.DISCARD,
        Drop.L2_NO_ROUTE,
        Drop.INVALID_ARP,
        Drop.TTL_EXCEEDED,
        Drop.PKT_LOOP,
    ):
        assert host.vr.drops[reason], reason
    host.vr.reset()
    assert host.vr.totals.held == 0 and host.vr.totals.balance() == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 0xFF), st.integers(0, 8), st.integers(0, 9)), max_size=40))
def test_longest_prefix_match_equals_a_naive_search(changes: list[tuple[bool, int, int, int]]) -> None:
    table: PrefixTable[int] = PrefixTable(8)
    naive: dict[tuple[int, int], int] = {}
    for add, prefix, length, value in changes:
        network = prefix >> (8 - length) << (8 - length)
        if add:
            table.set(prefix, length, value)
            naive[(network, length)] = value
        else:
            table.remove(prefix, length)
            naive.pop((network, length), None)
        table.lookup(prefix)
    assert len(table) == len(naive)
    for address in range(256):
        covering = [
            (length, value)
            for (network, length), value in naive.items()
            if address >> (8 - length) == network >> (8 - length)
        ]
        assert table.lookup(address) == (max(covering)[1] if covering else None)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_a_reused_flow_slot_has_a_higher_generation(ports: list[int]) -> None:
    table = FlowTable(entries=4, overflow=2)
    last: dict[int, int] = {}
    for port in ports:
        key = (1, 2, 3, 17, port, port)
        entry = table.find(key)
        if entry is not None:
            table.remove(entry)
            continue
        entry = table.add(key)
        if entry is None:
            assert len(table) == 6
            continue
        assert entry.gen_id == (last.get(entry.index, 0) + 1) % 256
        last[entry.index] = entry.gen_id


@given(st.binary(min_size=2, max_size=60), st.data())
@example(b"\x00\x00\x00\x00", None)
def test_incremental_checksum_equals_the_recomputed_one(payload: bytes, data: Any) -> None:
    if len(payload) % 2:
        payload += b"\0"
    at = 0 if data is None else 2 * data.draw(st.integers(0, len(payload) // 2 - 1))
    new = b"\xff\xff" if data is None else data.draw(st.binary(min_size=2, max_size=2))
    changed = payload[:at] + new + payload[at + 2 :]
    updated = checksum.update(checksum.checksum(payload), payload[at : at + 2], new)
    whole = checksum.checksum(changed)
    assert updated == whole or {updated, whole} == {0, 0xFFFF}


@settings(max_examples=60)
@given(st.binary(max_size=300), st.sampled_from([NhFlag.TUNNEL_UDP_MPLS, NhFlag.TUNNEL_GRE, NhFlag.TUNNEL_VXLAN]))
def test_decapsulation_gives_back_what_was_encapsulated(body: bytes, kind: NhFlag) -> None:
    left, right = VRouter(lambda: 0.0, random.Random(1)), VRouter(lambda: 0.0, random.Random(2))
    received: list[bytes] = []
    for vr, own, peer in ((left, 0x08000002, 0x08000003), (right, 0x08000003, 0x08000002)):
        rows = (
            Vif(0, VifType.PHYSICAL),
            Vif(1, VifType.HOST),
            Vif(3, VifType.VIRTUAL, VifFlag.L2_ENABLED, 2),
            NextHop(5, NhType.RCV, encap_oif_id=(1,)),
            InetRoute(0, own, 32, 5),
            NextHop(
                21, NhType.TUNNEL, flags=checked(kind), encap_oif_id=(0,), encap=bytes(14), tun_sip=own, tun_dip=peer
            ),
            NextHop(31, NhType.ENCAP, Family.BRIDGE, vrf=2, encap_oif_id=(3,), encap=bytes(14)),
            NextHop(60, NhType.VRF_TRANSLATE, Family.BRIDGE, vrf=2),
            MplsLabel(77, 31),
            BridgeRoute(2, b"\x02machi", 21 if vr is left else 31, 77, BridgeFlag.LABEL_VALID),
        )
        for row in rows:
            assert vr.add(row) == 0
    from contrail_emulator.vrouter_model.rows import Vxlan

    assert right.add(Vxlan(77, 60)) == 0
    left.connect(0, lambda frame: right.receive(0, frame[:12] + b"\x08\x00" + frame[14:]))
    right.connect(3, received.append)
    frame = b"\x02machi" + b"\x02sende" + b"\x12\x34" + body
    left.receive(3, frame)
    assert received == [frame]


@settings(max_examples=40)
@given(st.integers(2, 255), st.sampled_from([GATEWAY_MAC, B_MAC]), st.booleans())
def test_only_routing_lowers_the_ttl_and_only_of_ipv4(ttl: int, mac: str, ip6: bool) -> None:
    vr = VRouter(lambda: 0.0, random.Random(1))
    received: list[bytes] = []
    rows = (
        Vif(3, VifType.VIRTUAL, VifFlag.L3_ENABLED | VifFlag.L2_ENABLED, 2),
        Vif(4, VifType.VIRTUAL, VifFlag.L3_ENABLED | VifFlag.L2_ENABLED, 2),
        NextHop(1, NhType.L2_RCV, Family.BRIDGE),
        NextHop(40, NhType.ENCAP, encap_oif_id=(4,), encap=bytes(14)),
        NextHop(41, NhType.ENCAP, Family.BRIDGE, encap_oif_id=(4,), encap=bytes(14)),
        BridgeRoute(2, VROUTER_MAC, 1),
        BridgeRoute(2, bytes.fromhex(B_MAC.replace(":", "")), 41),
        InetRoute(2, 0x01010105, 32, 40),
        Inet6Route(2, bytes.fromhex("fd00" + "0" * 27 + "5"), 128, 40),
    )
    for row in rows:
        assert vr.add(row) == 0
    vr.connect(4, received.append)
    ether = Ether(dst=mac, src=A_MAC)
    packet = ether / IPv6(dst="fd00::5", hlim=ttl) / UDP() if ip6 else ether / IP(dst="1.1.1.5", ttl=ttl) / UDP()
    vr.receive(3, bytes(packet))
    got = Ether(received[0])
    if ip6:
        assert got[IPv6].hlim == ttl
    else:
        assert got[IP].ttl == (ttl - 1 if mac == GATEWAY_MAC else ttl)


def test_a_flood_never_returns_to_the_interface_it_came_from(lab: Any) -> None:
    host = rich_host(lab.Host)
    frame = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=A_MAC, type=0x1234) / b"hello")
    host.receive(3, frame)
    assert host.sent[4] == host.sent[6] == [frame]
    assert not host.sent[3]
    destinations = [Ether(sent)[IP].dst for sent in host.sent[0]]
    assert sorted(destinations) == ["8.0.0.3", "8.0.0.3", "8.0.0.4", "8.0.0.5"]
    host.sent[0].clear()
    from_peer = IP(src=PEER, dst="8.0.0.2") / UDP(sport=50000, dport=6635) / MPLS(label=119, s=1, ttl=64)
    host.add(MplsLabel(119, 73))
    host.receive(0, Ether() / from_peer / frame)
    assert not host.sent[0], "ingress replication is not replicated again"
    assert host.sent[4][1:] == [frame]


@given(st.permutations(range(6)))
def test_generation_and_key_guard_a_flow_against_the_wrong_agent_request(order: list[int]) -> None:
    vr = VRouter(lambda: 0.0, random.Random(1))
    key, other = FlowKey(1, 2, 3, 17, 4, 5), FlowKey(1, 2, 3, 17, 4, 6)
    added = vr.flow_set(Flow(key))
    assert added.code == 0
    checks = (
        (Flow(key), -17),
        (Flow(key, added.index, added.gen_id + 1), -9),
        (Flow(other, added.index, added.gen_id), -14),
        (Flow(other, added.index + 1, 1), -2),
        (
            Flow(key, added.index, added.gen_id, FlowAction.NAT, FlowFlag.ACTIVE | FlowFlag.RFLOW_VALID, rflow=other),
            -22,
        ),
        (Flow(key, added.index, added.gen_id), 0),
    )
    for number in order:
        row, code = checks[number]
        assert vr.flow_set(row).code == code
