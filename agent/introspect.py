"""Pages of one agent: interfaces, vrfs, routes, nexthops, labels, flows, xmpp, drops, ports, statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrail_emulator.base.introspect import Introspect, Page, PageError
from contrail_emulator.base.metrics import Metrics

from .flows.flow import FlowPair, Side
from .oper.adverts import mac_text
from .oper.nexthop import Ecmp, Flood, Interface, Receive, Resolve, Tunnel, VrfTranslate
from .oper.nexthop import NextHop as OperNextHop
from .oper.path import Path
from .oper.prefix import Prefix, parse
from .oper.vrf import EvpnKey, Route, RouteKey, Table, Vrf

if TYPE_CHECKING:
    from .agent import Agent

MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
Arguments = Mapping[str, str]
Rows = list[dict[str, Any]]


def open_introspect(reactor: Any, agent: Agent) -> Introspect:
    """The HTTP server of one agent, not yet listening."""
    metrics = Metrics()
    for name, text, read in (
        ("agent_interfaces", "Virtual machine interfaces", lambda: len(agent.oper.interfaces)),
        ("agent_vrfs", "VRFs", lambda: len(agent.oper.rib.vrfs)),
        ("agent_next_hops", "Next hops", lambda: len(agent.oper.next_hops)),
        ("agent_flows", "Flow entries", lambda: len(agent.flows)),
    ):
        metrics.gauge(name, text).set_function(read)
    return Introspect(reactor, f"vRouter agent {agent.settings.name}", pages(agent), metrics)


def pages(agent: Agent) -> list[Page]:
    return [
        Page("interfaces", lambda _: interfaces(agent), "Interfaces of virtual machines, and why one is not active"),
        Page("vrfs", lambda _: vrfs(agent), "VRFs and the number of their routes"),
        Page(
            "routes",
            lambda arguments: routes(agent, arguments),
            "Routes: ?vrf=NAME&table=inet|inet6|evpn|bridge&prefix=",
            ("vrf", "table", "prefix"),
        ),
        Page("nexthops", lambda _: next_hops(agent), "Next hops and who holds them"),
        Page("labels", lambda _: labels(agent), "MPLS labels of this router"),
        Page("flows", lambda _: flows(agent), "Flows, forward and reverse"),
        Page("xmpp", lambda _: xmpp(agent), "Sessions to control nodes and name servers"),
        Page("drops", lambda _: agent.data_plane.drops(), "Dropped packets by reason, from the data plane"),
        Page("ports", lambda _: [port.to_json() for port in agent.ports.values()], "Ports as announced"),
        Page("statistics", lambda _: statistics(agent), "Counters of services, flows and the data plane's door"),
    ]


def interfaces(agent: Agent) -> Rows:
    found = []
    for one in sorted(agent.oper.interfaces.values(), key=lambda item: item.index):
        found.append(
            {
                "index": one.index,
                "name": one.port.name,
                "uuid": one.uuid,
                "vm_uuid": one.port.vm_uuid,
                "vm_name": one.vm_name,
                "vn": one.vn,
                "vrf": one.vrf_name,
                "mac": mac_text(one.mac),
                "ip": one.address4.host if one.address4 else "",
                "ip6": one.address6.host if one.address6 else "",
                "active": one.active,
                "inactive_reason": one.why,
                "ipv4_active": one.ipv4_active,
                "ipv6_active": one.ipv6_active,
                "l2_active": one.l2_active,
                "policy": one.policy,
                "label": agent.oper.labels.find(("l3", one.uuid)),
                "l2_label": agent.oper.labels.find(("l2", one.uuid)),
                "flow_key_nh": agent.oper.flow_key_next_hop(one),
                "security_groups": list(one.security_groups),
            }
        )
    return found


def vrfs(agent: Agent) -> Rows:
    return [
        {
            "name": vrf.name,
            "index": vrf.index,
            "vn": vrf.vn,
            "vni": vrf.vni,
            "inet": len(vrf.inet),
            "inet6": len(vrf.inet6),
            "evpn": len(vrf.evpn),
            "bridge": len(vrf.bridge),
        }
        for vrf in sorted(agent.oper.rib.vrfs.values(), key=lambda item: item.index)
    ]


def routes(agent: Agent, arguments: Arguments) -> Rows:
    """Raises PageError for arguments that name nothing."""
    name, wanted = arguments.get("vrf"), arguments.get("table", "")
    if name is not None and name not in agent.oper.rib.vrfs:
        raise PageError(f"no VRF {name!r}", 404)
    if wanted not in ("", "inet", "inet6", "evpn", "bridge", "multicast"):
        raise PageError(f"no table {wanted!r}")
    asked = _asked(arguments.get("prefix", ""))
    found: Rows = []
    for vrf in agent.oper.rib.vrfs.values():
        if name is not None and vrf.name != name:
            continue
        if wanted in ("", "bridge"):
            found += [row for row in _bridge(agent, vrf) if asked in (None, row["prefix"])]
        for table, route in vrf.routes():
            if wanted in ("", table.value) and (asked is None or asked in _names(route.key)):
                found.append(_route(agent, vrf, table, route))
    return found


def _asked(text: str) -> Prefix | str | None:
    """A prefix, or a MAC as its text. Raises PageError."""
    if MAC.fullmatch(text):
        return text.lower()
    try:
        return parse(text) if text else None
    except ValueError as error:
        raise PageError(str(error)) from error


def _names(key: RouteKey) -> tuple[Prefix | str, ...]:
    """What a route may be asked for by."""
    return (key.address, mac_text(key.mac)) if isinstance(key, EvpnKey) else (key,)


def _route(agent: Agent, vrf: Vrf, table: Table, route: Route) -> dict[str, Any]:
    return {
        "vrf": vrf.name,
        "table": table.value,
        "prefix": key_text(route.key),
        "nh": agent.oper.next_hops.index(route.next_hop),
        "next_hop": next_hop_text(route.next_hop),
        "label": route.label,
        "encap": route.encap.value if route.encap else "",
        "paths": [_path(agent, path) for path in route.paths],
    }


def _path(agent: Agent, path: Path) -> dict[str, Any]:
    attributes = path.attributes
    sequences = {channel.peer: channel.sequence for channel in agent.controller.channels}
    return {
        "peer": path.peer.text,
        "vn": list(attributes.vns),
        "security_groups": list(attributes.security_groups),
        "tags": list(attributes.tags),
        "communities": list(attributes.communities),
        "preference": attributes.preference,
        "sequence": attributes.sequence,
        "next_hops": [
            {"address": Prefix(4, hop.address, 32).host, "label": hop.label, "encaps": [e.value for e in hop.encaps]}
            for hop in path.hops
        ],
        "local": next_hop_text(path.local.next_hop) if path.local is not None else "",
        "stale": path.sequence < sequences.get(path.peer, 0),
        "peer_sequence_number": path.sequence,
    }


def _bridge(agent: Agent, vrf: Vrf) -> Rows:
    return [
        {
            "vrf": vrf.name,
            "table": "bridge",
            "prefix": mac_text(mac),
            "nh": agent.oper.next_hops.index(entry.next_hop),
            "next_hop": next_hop_text(entry.next_hop),
            "label": entry.label,
            "encap": "vxlan" if entry.vxlan else "",
            "paths": [],
        }
        for mac, entry in sorted(vrf.bridge.items())
    ]


def key_text(key: RouteKey) -> str:
    if isinstance(key, EvpnKey):
        return f"{key.tag}-{mac_text(key.mac)},{key.address.text}"
    return key.text


def next_hop_text(value: OperNextHop) -> str:
    """One line about a next hop."""
    match value:
        case Interface(vif, _, mac, bridge, policy):
            kind = "bridged" if bridge else "routed"
            return f"interface vif {vif} {mac_text(mac)} {kind}{' policy' if policy else ''}"
        case Tunnel(_, destination, encap):
            return f"tunnel {Prefix(4, destination, 32).host} {encap.value}"
        case Ecmp(members):
            return "ecmp [" + ", ".join(next_hop_text(m.next_hop) if m else "-" for m in members) + "]"
        case Flood(kind, _, members):
            return f"{kind.value} [" + ", ".join(next_hop_text(m.next_hop) for m in members) + "]"
        case Receive(vif):
            return f"receive vif {vif}"
        case Resolve(vif):
            return f"resolve vif {vif}"
        case VrfTranslate(vrf):
            return f"vrf {vrf}"
        case _:
            return type(value).__name__.lower()


def next_hops(agent: Agent) -> Rows:
    return [
        {"id": index, "type": type(value).__name__, "next_hop": next_hop_text(value), "ref_count": users}
        for index, value, users in agent.oper.next_hops
    ]


def labels(agent: Agent) -> Rows:
    return [
        {"label": label, "nh": agent.oper.next_hops.index(value), "next_hop": next_hop_text(value)}
        for label, value in agent.oper.labels.rows()
    ]


def flows(agent: Agent) -> Rows:
    found = []
    for pair in agent.flows.pairs():
        for direction, side, other in (
            ("forward", pair.forward, pair.reverse),
            ("reverse", pair.reverse, pair.forward),
        ):
            found.append(_flow(agent, pair, direction, side, other))
    return found


def _flow(agent: Agent, pair: FlowPair, direction: str, side: Side, other: Side) -> dict[str, Any]:
    key = side.key
    stats = agent.data_plane.flow_packets(key)
    return {
        "uuid": str(pair.uuid),
        "direction": direction,
        "ingress": pair.asked.ingress,
        "index": side.index,
        "reverse_index": other.index,
        "gen_id": side.gen_id,
        "nh": key.nh_id,
        "source": _address(key.sip),
        "destination": _address(key.dip),
        "protocol": key.proto,
        "source_port": key.sport,
        "destination_port": key.dport,
        "vrf": side.half.vrf,
        "action": pair.action(side).name.lower(),
        "drop_reason": pair.answer.reason.name if pair.answer.reason is not None else "",
        "rule": pair.answer.rule,
        "short": pair.answer.short,
        "local": pair.answer.local,
        "source_vn": pair.answer.source_vn,
        "destination_vn": pair.answer.destination_vn,
        "packets": stats[0] if stats else 0,
        "bytes": stats[1] if stats else 0,
    }


def _address(value: int | bytes) -> str:
    return Prefix(4, value, 32).host if isinstance(value, int) else Prefix(6, int.from_bytes(value, "big"), 128).host


def xmpp(agent: Agent) -> Rows:
    found: Rows = []
    controller = agent.controller
    for channel in controller.channels:
        found.append(
            {
                "kind": "control-node",
                "address": channel.address,
                "port": channel.port,
                "state": "Established" if channel.is_ready else "Down",
                "config": controller.config_channel is channel,
                "multicast": controller.builder is channel,
                "sequence": channel.sequence,
                "last_reason": channel.last_reason,
                "subscriptions": sorted(channel.exporter.exported),
                "published": channel.exporter.count(),
                "counters": dict(channel.counters + channel.exporter.counters + channel.importer.counters),
                "client": controller.client_of(channel).rows(),
            }
        )
    for dns in agent.name_servers.channels:
        found.append(
            {
                "kind": "dns-server",
                "address": dns.server.address,
                "port": dns.server.xmpp_port,
                "state": "Established" if dns.is_ready else "Down",
                "records": len(dns.told),
                "counters": dict(dns.counters),
            }
        )
    return found


def statistics(agent: Agent) -> dict[str, Any]:
    return {
        "configuration": dict(agent.receiver.counters),
        "configuration_sequence": agent.receiver.sequence,
        "traps": dict(agent.traps.counters),
        "flows": dict(agent.flows.counters),
        "services": dict(agent.services.counters),
        "dns": dict(agent.dns_relay.counters),
        "data_plane_errors": {f"{kind} errno {-code}": count for (kind, code), count in agent.ksync.errors.items()},
    }
