"""Tables, instances and update groups as rows for introspect, with the names of reference/bgp.md 6.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from contrail_emulator.control.bgp import community, ext_community, nlri, rd
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from . import origin_vn
from .path import INFEASIBLE, LLGR_STALE, STALE, Path, Replica, flags_text

if TYPE_CHECKING:
    from .core import RoutingCore
    from .groups import UpdateGroup
    from .instance import Instance
    from .table import Route, Table

Row = dict[str, Any]

RD_BYTES = 8
_ORIGINS = ("igp", "egp", "incomplete")
_VPN = (Family.INET_VPN, Family.INET6_VPN)
_IPV6 = (Family.INET6, Family.INET6_VPN)
_UNICAST = (Family.INET, Family.INET6, Family.INET_LABELED, *_VPN)


# --- routes ----------------------------------------------------------------------------------------------------------


def route_rows(
    core: RoutingCore,
    table: Table,
    prefix: str | None,
    longer: bool,
    shorter: bool,
    pattern: str | None,
    source: str | None,
    protocol: str | None,
    longest: bool = False,
) -> Iterator[Row]:
    """The routes of a table that have paths, by prefix, with the paths that `source` and `protocol` leave over.

    `prefix` is a printed prefix, and selects it alone; for unicast tables it may go without RD, and `longer` or
    `shorter` select what it contains or is contained in as well. `longest` selects the longest match: of what `shorter`
    would, the longest prefix (of a VPN table, with every RD). `pattern` is searched for in the printed prefix.
    ValueError for a pattern that is none, or for a prefix that does not parse while one of the three needs it.
    """
    rows = _matching(core, table, prefix, longer, shorter or longest, pattern, source, protocol)
    if not longest:
        return rows
    if prefix is None or longer or shorter:
        raise ValueError("the longest match is that of a prefix, without longer or shorter ones")
    found = list(rows)
    best = max((_length(row) for row in found), default=0)
    return (row for row in found if _length(row) == best)


def _length(row: Row) -> int:
    """The prefix length of a unicast route."""
    network = _network(row["prefix"])
    return network.prefixlen if network is not None else 0


def _matching(
    core: RoutingCore,
    table: Table,
    prefix: str | None,
    longer: bool,
    shorter: bool,
    pattern: str | None,
    source: str | None,
    protocol: str | None,
) -> Iterator[Row]:
    codec = nlri.codec(table.family)
    wanted = _network(prefix) if prefix is not None and table.family in _UNICAST else None
    if wanted is None and prefix is not None and (longer or shorter):
        raise ValueError(f"not a prefix: {prefix!r}")
    search = re.compile(pattern).search if pattern is not None else None
    for route in sorted(table.routes.values(), key=_order(table.family)):
        if route.best is None:
            continue
        text = codec.text(route.key)
        if prefix is not None and text != prefix:
            if wanted is None or _distinguisher(prefix) not in ("", _distinguisher(text)):
                continue
            network = _network(text)
            if network is None or not _selected(network, wanted, longer, shorter):
                continue
        if search is not None and search(text) is None:
            continue
        paths = [
            path_row(core, path)
            for path in route.paths()
            if source in (None, path.source.name) and protocol in (None, path.source.kind.value)
        ]
        if paths:
            yield {"prefix": text, "last_modified": route.best.arrival.modified, "paths": paths}


def _order(family: Family) -> Callable[[Route], Any]:
    """RD, address and prefix length of unicast routes, whose keys have the length before the address."""
    if family not in _UNICAST:
        return lambda route: route.key
    length = RD_BYTES if family in _VPN else 0
    return lambda route: (route.key[:length], route.key[length + 1 :], route.key[length])


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """The prefix in a printed route, its RD left out."""
    try:
        return ip_network(_distinguished(text)[1], strict=False)
    except ValueError:
        return None


def _distinguisher(text: str) -> str:
    return _distinguished(text)[0]


def _distinguished(text: str) -> tuple[str, str]:
    """RD and prefix of `<rd>:<prefix>`; an RD has one colon, and never stands before a bare IPv6 prefix's digits."""
    found = re.fullmatch(r"(\d+:\d+|\d+\.\d+\.\d+\.\d+:\d+):(.+)", text)
    if found is None:
        return "", text
    try:
        ip_network(found[2], strict=False)
    except ValueError:
        return "", text
    return found[1], found[2]


def _selected(network: Any, wanted: Any, longer: bool, shorter: bool) -> bool:
    if network.version != wanted.version:
        return False
    return bool(network == wanted or (longer and network.subnet_of(wanted)) or (shorter and wanted.subnet_of(network)))


def path_row(core: RoutingCore, path: Path) -> Row:
    """One path: ShowRoutePath."""
    attributes = path.attributes
    source = path.source
    primary = path.primary if isinstance(path, Replica) else None
    found = origin_vn.read(attributes.ext_communities, core.settings.autonomous_system)
    tunnel = attributes.pmsi
    vxlan = ext_community.is_vxlan(attributes.ext_communities)
    mobility = _first(ext_community.read_mac_mobility, attributes)
    return {
        "protocol": source.kind.value,
        "source": source.name,
        "last_modified": path.arrival.modified,
        "local_preference": attributes.local_pref if attributes.local_pref is not None else 100,
        "med": attributes.med or 0,
        "local_as": core.settings.peering_as,
        "peer_as": source.autonomous_system,
        "peer_router_id": str(ip_address(source.router_id)),
        "as_path": attributes.as_path.text,
        "next_hop": address_text(attributes.next_hop),
        "label": label_of(path),
        "origin": _ORIGINS[attributes.origin or 0],
        "source_rd": rd.text(path.rd) if path.rd else "",
        "replicated": primary is not None,
        "primary_table": primary.route.table.name if primary is not None else "",
        "secondary_tables": [replica.route.table.name for replica in path.replicas],
        "communities": [community.text(value) for value in attributes.communities]
        + [ext_community.text(value) for value in attributes.ext_communities],
        "origin_vn": core.virtual_network_name(*found) if found is not None else "unresolved",
        "flags": flags_text(path.flags),
        "tunnel_encap": list(ext_community.encapsulations(attributes.ext_communities)),
        "sequence_no": f"{mobility[1]}" if mobility is not None else "0",
        "origin_vn_path": [ext_community.text(value) for value in attributes.origin_vn_path],
        "pmsi_tunnel": {
            "type": tunnel.type_text,
            "identifier": address_text(tunnel.identifier),
            "label": tunnel.label_value(vxlan),
            "flags": tunnel.flags,
        }
        if tunnel is not None
        else None,
        "load_balance": [
            ext_community.text(value)
            for value in attributes.ext_communities
            if ext_community.read_load_balance(value) is not None
        ],
        "cluster_list": [str(ip_address(value)) for value in attributes.cluster_list],
        "originator_id": str(ip_address(attributes.originator_id)) if attributes.originator_id is not None else "",
        "edge_discovery": [
            {"address": address_text(edge.address), "labels": [f"{first}-{last}" for first, last in edge.labels]}
            for edge in attributes.edge_discovery
        ],
        "edge_forwarding": [
            {
                "in_address": address_text(edge.in_address),
                "in_label": edge.in_label,
                "out_address": address_text(edge.out_address),
                "out_label": edge.out_label,
            }
            for edge in attributes.edge_forwarding
        ],
    }


def _first(read: Any, attributes: Attributes) -> Any:
    return next((value for raw in attributes.ext_communities if (value := read(raw)) is not None), None)


def address_text(raw: bytes) -> str:
    """4 or 16 bytes as an address, anything else in hex."""
    return str(ip_address(raw)) if len(raw) in (4, 16) else raw.hex()


def label_of(path: Path) -> int:
    """The label or VNI of a path; 0 for families without one."""
    payload = path.payload
    vxlan = ext_community.is_vxlan(path.attributes.ext_communities)
    tunnel = path.attributes.pmsi
    if not payload:
        return tunnel.label_value(vxlan) if tunnel is not None else 0
    if path.route.table.family in _IPV6:
        vxlan = False
    return nlri.label(payload, vxlan)


# --- tables, instances, groups ---------------------------------------------------------------------------------------


def table_row(table: Table) -> Row:
    """Counts of a table: ShowRouteSummary. Walks over all its paths."""
    infeasible = stale = llgr_stale = prefixes = 0
    for route in table.routes.values():
        prefixes += route.best is not None
        for path in route.paths():
            infeasible += bool(path.flags & INFEASIBLE)
            stale += bool(path.flags & STALE)
            llgr_stale += bool(path.flags & LLGR_STALE)
    return {
        "name": table.name,
        "family": table.family.config_name,
        "routing_instance": table.instance.name,
        "prefixes": prefixes,
        "paths": table.paths,
        "primary_paths": table.paths - table.secondary_paths,
        "secondary_paths": table.secondary_paths,
        "infeasible_paths": infeasible,
        "stale_paths": stale,
        "llgr_stale_paths": llgr_stale,
        "update_groups": len(table.groups),
    }


def instance_row(instance: Instance) -> Row:
    """An instance: ShowRoutingInstance."""
    settings = instance.settings
    return {
        "name": instance.name,
        "index": settings.index,
        "virtual_network": settings.virtual_network,
        "vn_index": settings.virtual_network_index,
        "vxlan_id": settings.vxlan_id,
        "import_target": sorted(ext_community.text(value) for value in instance.imports),
        "export_target": sorted(ext_community.text(value) for value in instance.exports),
        "always_subscribe": settings.always_subscribe,
        "allow_transit": settings.allow_transit,
        "pbb_evpn_enable": settings.pbb_evpn_enable,
        "tables": [table.name for table in instance.tables.values()],
    }


def group_row(group: UpdateGroup) -> Row:
    """An update group: ShowRibOutStatistics, with its members."""
    key = group.key
    members = group.members
    return {
        "table": group.table.name,
        "encoding": key.encoding,
        "peer_type": key.peer_type,
        "peer_as": key.peer_as,
        "local_as": key.local_as,
        "members": sorted(membership.member.name for membership in members),
        "blocked": sorted(membership.member.name for membership in members if membership.blocked),
        "joining": sorted(membership.member.name for membership in members if not membership.joined),
        "peers": len(members),
        "markers": group.markers,
        "pending_updates": group.pending,
        **group.counters,
    }


def target_row(core: RoutingCore, target: bytes) -> Row:
    """Who imports, exports and asks for a route target: ShowRtGroup."""
    replicator = core.replicator
    return {
        "rtarget": ext_community.text(target),
        "import_members": sorted(instance.name for instance in replicator.importers.get(target, ())),
        "export_members": sorted(instance.name for instance in replicator.exporters.get(target, ())),
        "peers_interested": sorted(source.name for source in core.route_targets.interested(target)),
    }
