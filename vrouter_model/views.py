"""The tables as the command line utilities of a real vRouter show them, in values that go into JSON (reference 12).

Keys are the words `vif`, `nh`, `rt`, `mpls`, `vxlan`, `flow`, `mirror`, `dropstats` and `vrfstats` print.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from .drops import DROPSTATS_ORDER, Drop, flow_drop_text
from .flags import (
    VIF_FLAG_LETTERS,
    Family,
    FlowAction,
    FlowFlag,
    NhFlag,
    NhType,
    RouteFlag,
    TcpFlowFlag,
    VifFlag,
)
from .tables.flows import FlowEntry
from .tables.next_hop import NextHopEntry
from .tables.routes import Route
from .vrouter import VRouter

Row = dict[str, Any]

_NH_TYPES = {
    NhType.DEAD: "Dead",
    NhType.RCV: "Receive",
    NhType.ENCAP: "Encap",
    NhType.TUNNEL: "Tunnel",
    NhType.RESOLVE: "Resolve",
    NhType.DISCARD: "Drop",
    NhType.COMPOSITE: "Composite",
    NhType.VRF_TRANSLATE: "Vrf_Translate",
    NhType.L2_RCV: "L2 Receive",
}
_FAMILIES = {Family.INET: "AF_INET", Family.INET6: "AF_INET6", Family.BRIDGE: "AF_BRIDGE", Family.UNSPEC: "AF_UNSPEC"}
_ACTIONS = {FlowAction.DROP: "D", FlowAction.HOLD: "H", FlowAction.FORWARD: "F", FlowAction.NAT: "N"}
_INET_LETTERS = {
    RouteFlag.LABEL_VALID: "L",
    RouteFlag.ARP_PROXY: "P",
    RouteFlag.ARP_TRAP: "T",
    RouteFlag.ARP_FLOOD: "F",
    RouteFlag.MAC_IP_LEARNT: "Ml",
}
_BRIDGE_LETTERS = {0x02: "L", 0x04: "Df", 0x08: "Mm", 0x10: "L2c", 0x20: "N", 0x40: "Ec"}


def address(value: int | bytes) -> str:
    """Text of an IPv4 (int) or IPv6 (16 bytes) address."""
    return str(IPv4Address(value)) if isinstance(value, int) else str(IPv6Address(value))


def interfaces(vr: VRouter) -> list[Row]:
    """`vif --list`."""
    rows = []
    for idx in sorted(vr.store.vifs):
        vif = vr.store.vifs[idx]
        letters = "".join(VIF_FLAG_LETTERS[flag] for flag in VifFlag(int(vif.row.flags)) if flag in VIF_FLAG_LETTERS)
        row: Row = {
            "vif": f"vif0/{idx}",
            "OS": vif.row.name,
            "Type": vif.type.name.capitalize(),
            "HWaddr": vif.mac.hex(":"),
            "IPaddr": address(vif.row.ip),
            "Vrf": vif.vrf,
            "Mcast Vrf": vif.mcast_vrf,
            "Flags": letters,
            "QOS": vif.row.qos_map_index,
            "NH": vif.nh_id,
            "MTU": vif.mtu,
            "connected": vif.transmit is not None or vif.agent,
            "RX": {"packets": vif.ipackets, "bytes": vif.ibytes, "errors": vif.ierrors},
            "TX": {"packets": vif.opackets, "bytes": vif.obytes, "errors": vif.oerrors},
            "Drops": sum(count for reason, count in vif.drops.items() if reason is not Drop.CLONED_ORIGINAL),
        }
        if any(vif.row.ip6):
            row["IP6addr"] = address(vif.row.ip6)
        rows.append(row)
    return rows


def next_hops(vr: VRouter) -> list[Row]:
    """`nh --list`."""
    return [_next_hop(vr.store.next_hops[nh_id]) for nh_id in sorted(vr.store.next_hops)]


def _next_hop(entry: NextHopEntry) -> Row:
    row: Row = {
        "Id": entry.id,
        "Type": _NH_TYPES[entry.type],
        "Fmly": _FAMILIES[entry.family],
        "Vrf": entry.vrf,
        "Flags": [flag.name for flag in NhFlag(entry.flags)],
    }
    if entry.devices:
        row["Oif"] = [None if device is None else device.idx for device in entry.devices]
    if entry.encap:
        row["Encap Data"] = entry.encap.hex(" ")
    if entry.type is NhType.TUNNEL:
        six = entry.family is Family.INET6
        row["Sip"] = address(entry.row.tun_sip6 if six else entry.tunnel_source)
        row["Dip"] = address(entry.row.tun_dip6 if six else entry.tunnel_destination)
    if entry.components:
        members = ((None if part.next_hop is None else part.next_hop.id, part.label) for part in entry.components)
        row["Sub NH(label)"] = [{"nh": nh_id, "label": label} for nh_id, label in members]
    return row


def routes(vr: VRouter, vrf: int | None = None) -> list[Row]:
    """`rt --dump` of both inet families; every VRF unless one is named."""
    found = [*vr.store.inet.values(), *vr.store.inet6.values()]
    return [_route(route) for route in found if route.row is not None and vrf in (None, route.row.vrf)]


def _route(route: Route) -> Row:
    row = route.row
    assert row is not None
    return {
        "Vrf": row.vrf,
        "Destination": f"{address(row.prefix)}/{row.prefix_len}",
        "PPL": row.prefix_len,
        "Flags": "".join(_INET_LETTERS[flag] for flag in row.label_flags),
        "Label": route.label if route.label >= 0 else None,
        "Nexthop": route.next_hop.id,
        "Stitched MAC": row.mac.hex(":") if any(row.mac) else None,
    }


def bridge(vr: VRouter, vrf: int | None = None) -> list[Row]:
    """`rt --dump --family bridge`."""
    return [
        {
            "Vrf": entry.vrf,
            "Index": entry.index,
            "DestMac": entry.mac.hex(":"),
            "Flags": "".join(letters for bit, letters in _BRIDGE_LETTERS.items() if entry.flags & bit),
            "Label/VNID": entry.label if entry.label >= 0 else None,
            "Nexthop": entry.next_hop.id,
            "Stats": entry.packets,
        }
        for entry in vr.store.bridge.values()
        if vrf in (None, entry.vrf)
    ]


def labels(vr: VRouter) -> list[Row]:
    """`mpls --dump`."""
    return [{"Label": label, "NextHop": vr.store.labels[label].id} for label in sorted(vr.store.labels)]


def vxlans(vr: VRouter) -> list[Row]:
    """`vxlan --dump`."""
    return [{"VNID": vnid, "NextHop": vr.store.vxlans[vnid].id} for vnid in sorted(vr.store.vxlans)]


def flows(vr: VRouter) -> list[Row]:
    """`flow -l`."""
    return [_flow(entry) for entry in vr.flows.values()]


def _flow(entry: FlowEntry) -> Row:
    key = entry.key
    row: Row = {
        "Index": entry.index,
        "Rindex": entry.rindex if entry.rindex >= 0 else None,
        "Source": f"{address(key.sip)}:{key.sport}",
        "Destination": f"{address(key.dip)}:{key.dport}",
        "Proto": key.proto,
        "Vrf": entry.vrf,
        "Gen": entry.gen_id,
        "K(nh)": key.nh_id,
        "Action": _ACTIONS[entry.action],
        "Flags": [flag.name for flag in FlowFlag(int(entry.row().flags))],
        "TCP": [flag.name for flag in TcpFlowFlag(entry.tcp_flags)],
        "S(nh)": entry.src_nh_index,
        "Stats": {"packets": entry.packets, "bytes": entry.bytes},
        "SPort": entry.udp_src_port,
        "TTL": entry.ttl,
        "Sinfo": entry.src_info,
    }
    if entry.flags & int(FlowFlag.VRFT):
        row["Dvrf"] = entry.dvrf
    if entry.ecmp_nh_index >= 0:
        row["E"] = entry.ecmp_nh_index
    if entry.underlay_ecmp_index >= 0:
        row["UnderlayEcmpIdx"] = entry.underlay_ecmp_index
    if entry.action is FlowAction.DROP:
        row["Drop reason"] = flow_drop_text(entry.drop_reason)
    if entry.held:
        row["Held"] = len(entry.held)
    return row


def drop_statistics(vr: VRouter) -> dict[str, int]:
    """`dropstats`: every reason in its order, zero or not."""
    return {reason.label: vr.drops[reason] for reason in DROPSTATS_ORDER}


def vrf_statistics(vr: VRouter) -> list[Row]:
    """`vrfstats --dump`."""
    return [{"Vrf": vrf, **dict(sorted(vr.vrf_stats[vrf].items()))} for vrf in sorted(vr.vrf_stats)]


def totals(vr: VRouter) -> dict[str, int]:
    """Where packets came from and where they went."""
    return {name: getattr(vr.totals, name) for name in type(vr.totals).__slots__}
