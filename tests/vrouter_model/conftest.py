"""Hosts with machines, tunnels and a small agent that sets up flows, for the tests of the forwarding model."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from contrail_emulator.vrouter_model import Drop, VRouter
from contrail_emulator.vrouter_model.rows import (
    VROUTER_MAC,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Family,
    Flow,
    FlowAction,
    FlowFlag,
    FlowKey,
    Inet6Route,
    InetRoute,
    MplsLabel,
    NextHop,
    NhFlag,
    NhType,
    RouteFlag,
    Row,
    Vif,
    VifFlag,
    VifType,
    Vxlan,
)

HEADER = struct.Struct("!HHHIIIIIB3x")
MACHINE_FLAGS = VifFlag.POLICY | VifFlag.L3_ENABLED | VifFlag.L2_ENABLED | VifFlag.DHCP_ENABLED
PHYSICAL_MAC = bytes.fromhex("001b21bbf948")
PEER_MAC = bytes.fromhex("001b21bbf949")


def ip(text: str) -> int:
    return int(IPv4Address(text))


def ip6(text: str) -> bytes:
    return IPv6Address(text).packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


class Trap:
    """One packet the agent was given."""

    def __init__(self, data: bytes) -> None:
        values = HEADER.unpack_from(data, 14)
        self.ethernet = data[:14]
        self.ifindex, self.vrf, command, self.param, self.param_1 = values[:5]
        self.gen = values[8]
        self.reason = AgentCommand(command)
        self.frame = data[44:]


class Host:
    """A VRouter with vif 0 physical, 1 vhost0, 2 pkt0; what leaves is in `sent[vif]`, what is trapped in `traps`."""

    def __init__(self, address: str = "8.0.0.2", **options: Any) -> None:
        self.now = 0.0
        self.address = ip(address)
        self.vr = VRouter(lambda: self.now, random.Random(7), **options)
        self.sent: dict[int, list[bytes]] = {}
        self.traps: list[Trap] = []
        self.dropped: list[tuple[Drop, int, str]] = []
        self.vr.on_drop = lambda reason, vif, frame, detail: self.dropped.append((reason, vif, detail))
        self.on_trap: Callable[[Trap], None] | None = None
        self.vr.attach_agent(self._trap)
        self.add(Vif(0, VifType.PHYSICAL, VifFlag.L3_ENABLED | VifFlag.VHOST_PHYS, mac=PHYSICAL_MAC, name="eth0"))
        self.add(Vif(2, VifType.AGENT, name="pkt0", mac=VROUTER_MAC))
        self.add(Vif(1, VifType.HOST, VifFlag.L3_ENABLED, mac=PHYSICAL_MAC, name="vhost0", ip=self.address, nh_id=5))
        self.connect(0, 1)
        self.add(NextHop(1, NhType.L2_RCV, Family.BRIDGE))
        self.add(NextHop(5, NhType.RCV, encap_oif_id=(1,)))
        self.add(InetRoute(0, self.address, 32, 5))

    def _trap(self, data: bytes) -> None:
        trap = Trap(data)
        self.traps.append(trap)
        if self.on_trap is not None:
            self.on_trap(trap)

    def add(self, *rows: Row) -> None:
        for row in rows:
            code = self.vr.add(row)
            assert code == 0, (code, row)

    def connect(self, *vifs: int) -> None:
        for vif in vifs:
            self.sent[vif] = []
            self.vr.connect(vif, self.sent[vif].append)

    def receive(self, vif: int, frame: Any) -> None:
        self.vr.receive(vif, bytes(frame))

    def reasons(self) -> list[Drop]:
        return [reason for reason, _, _ in self.dropped]

    def network(self, vrf: int) -> None:
        """Frames to the vRouter's own MAC are routed."""
        self.add(BridgeRoute(vrf, VROUTER_MAC, 1))

    def machine(
        self,
        vif: int,
        vrf: int,
        hardware: bytes,
        address: str,
        *,
        address6: str | None = None,
        flags: VifFlag = MACHINE_FLAGS,
        label: int | None = None,
    ) -> None:
        """A machine with its interface, next hops (policy: vif * 10, bridged: vif * 10 + 1), label, MAC and address."""
        policy = NhFlag.POLICY if flags & VifFlag.POLICY else NhFlag(0)
        routed, bridged = vif * 10, vif * 10 + 1
        header = hardware + VROUTER_MAC
        self.add(Vif(vif, VifType.VIRTUAL, flags, vrf, f"tap{vif}", nh_id=routed))
        self.connect(vif)
        self.add(
            NextHop(routed, NhType.ENCAP, Family.INET, NhFlag.VALID | policy, vrf, (vif,), header + b"\x08\x00"),
            NextHop(bridged, NhType.ENCAP, Family.BRIDGE, NhFlag.VALID | policy, vrf, (vif,), header + b"\x08\x00"),
            BridgeRoute(vrf, hardware, bridged),
            InetRoute(vrf, ip(address), 32, routed, label_flags=RouteFlag.ARP_PROXY, mac=hardware),
            MplsLabel(16 + vif if label is None else label, routed),
            MplsLabel(116 + vif, bridged),
        )
        if address6 is not None:
            self.add(Inet6Route(vrf, ip6(address6), 128, routed, label_flags=RouteFlag.ARP_PROXY, mac=hardware))

    def tunnel(self, nh_id: int, remote: str, kind: NhFlag = NhFlag.TUNNEL_UDP_MPLS) -> None:
        self.add(
            NextHop(
                nh_id,
                NhType.TUNNEL,
                flags=NhFlag.VALID | kind,
                encap_oif_id=(0,),
                encap=PEER_MAC + PHYSICAL_MAC + b"\x08\x00",
                tun_sip=self.address,
                tun_dip=ip(remote),
            )
        )

    def remote(
        self, vrf: int, address: str, nh_id: int, label: int, *, hardware: bytes | None = None, l2_label: int = -1
    ) -> None:
        """A machine behind a tunnel: routed by `label`, bridged by `l2_label` when its MAC is given."""
        if hardware is not None:
            self.add(BridgeRoute(vrf, hardware, nh_id, l2_label, BridgeFlag.LABEL_VALID | BridgeFlag.FLOOD_DHCP))
        self.add(
            InetRoute(
                vrf,
                ip(address),
                32,
                nh_id,
                label,
                RouteFlag.LABEL_VALID | RouteFlag.ARP_PROXY,
                hardware or bytes(6),
            )
        )

    def vxlan(self, vni: int, nh_id: int, vrf: int) -> None:
        flags = NhFlag.VALID | NhFlag.UNKNOWN_UC_FLOOD
        self.add(NextHop(nh_id, NhType.VRF_TRANSLATE, Family.BRIDGE, flags, vrf), Vxlan(vni, nh_id))

    def auto_flows(
        self, source_next_hop: int = 0, reverse_next_hop: int = 0, action: FlowAction = FlowAction.FORWARD
    ) -> None:
        """Answer every flow trap as an agent would: the entry that waits, and its reverse."""

        def on_trap(trap: Trap) -> None:
            if trap.reason not in (AgentCommand.FLOW_MISS, AgentCommand.FLOW_ACTION_HOLD):
                return
            entry = self.vr.flow(trap.param)
            assert entry is not None and entry.gen_id == trap.gen and entry.key.nh_id == trap.param_1
            key = entry.key
            reply_next_hop = self._vif_next_hop(trap.vrf, key.dip) or key.nh_id
            if key.proto in (1, 58):
                reverse_key = FlowKey(reply_next_hop, key.dip, key.sip, key.proto, key.sport, key.dport)
            else:
                reverse_key = FlowKey(reply_next_hop, key.dip, key.sip, key.proto, key.dport, key.sport)
            flags = FlowFlag.ACTIVE | FlowFlag.RFLOW_VALID
            reverse = self.vr.flow_set(Flow(reverse_key, action=action, flags=flags, vrf=trap.vrf, rindex=entry.index))
            assert reverse.code == 0 or reverse.index >= 0
            answer = self.vr.flow_set(
                Flow(
                    key,
                    entry.index,
                    trap.gen,
                    action,
                    flags,
                    vrf=trap.vrf,
                    rindex=reverse.index,
                    src_nh_index=source_next_hop,
                )
            )
            assert answer.code == 0

        self.on_trap = on_trap

    def _vif_next_hop(self, vrf: int, address: int | bytes) -> int:
        """The flow-key next hop of the machine that owns an address of this host, else 0."""
        if isinstance(address, int):
            row: Any = self.vr.get(InetRoute, (vrf, address, 32))
        else:
            row = self.vr.get(Inet6Route, (vrf, address, 128))
        next_hop = None if row is None else self.vr.get(NextHop, row.nh_id)
        if next_hop is None or next_hop.type is not NhType.ENCAP:
            return 0
        vif = self.vr.interface(next_hop.encap_oif_id[0])
        return 0 if vif is None else vif.nh_id


def join(*hosts: Host) -> None:
    """An underlay: a frame that leaves vif 0 of one host arrives at the host that owns its outer destination."""
    by_address = {host.address: host for host in hosts}

    def underlay(sender: Host) -> Callable[[bytes], None]:
        def transmit(frame: bytes) -> None:
            sender.sent[0].append(frame)
            receiver = by_address.get(int.from_bytes(frame[30:34], "big"))
            if receiver is not None:
                receiver.receive(0, frame)

        return transmit

    for host in hosts:
        host.vr.connect(0, underlay(host))


class Lab:
    """What a test gets: constructors and the address helpers."""

    Host = staticmethod(Host)
    ip = staticmethod(ip)
    ip6 = staticmethod(ip6)
    mac = staticmethod(mac)
    join = staticmethod(join)


@pytest.fixture
def lab() -> Lab:
    return Lab()
