"""What single objects of the configuration mean to a control node (reference/bgp.md 1.7, 4.1, 5; xmpp.md 1.6, 1.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

from contrail_emulator.base.traffic_class import MAX_DSCP
from contrail_emulator.config.graph import Graph, Node
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.settings import FamilySettings, GracefulRestartSettings, PeerSettings
from contrail_emulator.control.routing import MASTER_INSTANCE, InstanceSettings

from .channels.bgp_import import ORIGINS

DEFAULT_FAMILIES = (Family.INET, Family.INET_VPN)
DEFAULT_HOLD_TIME = 90
ROUTING_INSTANCE, BGP_ROUTER, VIRTUAL_NETWORK = "routing-instance", "bgp-router", "virtual-network"
GLOBAL_SYSTEM = "global-system-config"
GLOBAL_QOS = "global-qos-config"
NO_RESTART = GracefulRestartSettings(time=0, long_lived_time=0)
PRIVATE_AS_ACTIONS = ("", "remove", "remove-all", "replace-all")
Value = Mapping[str, Any]
Complain = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the control node is. `autonomous_system` is the global AS, used in targets and origin-vn; `local_as` the one
    it peers with. Agents must offer `subcluster` when there is one."""

    autonomous_system: int
    local_as: int
    router_id: str
    cluster_id: int = 0
    hold_time: int = 90
    four_byte_as: bool = False
    admin_down: bool = False
    always_compare_med: bool = False
    rd_cluster_seed: int = 0
    graceful_restart: GracefulRestartSettings = NO_RESTART
    xmpp_helper: bool = False
    end_of_rib_timeout: float = 300.0
    subcluster: str = ""

    def clears_agents(self, new: Identity) -> bool:
        """Whether agents' sessions end with this change (reference/bgp.md 1.7, xmpp.md 1.7).

        Not for what BGP alone is concerned with; but any setting of the whole system counts while graceful restart is
        or was enabled.
        """
        ours = replace(self, cluster_id=new.cluster_id, hold_time=new.hold_time)
        if not (self.graceful_restart.enabled or new.graceful_restart.enabled):
            ours = replace(ours, four_byte_as=new.four_byte_as, always_compare_med=new.always_compare_med)
        return ours != new


def read_identity(graph: Graph, name: str) -> Identity | None:
    """None until both our bgp-router (with an identifier) and an AS number are configured."""
    own = graph.get(BGP_ROUTER, name)
    parameters: Value = (own.properties.get("bgp_router_parameters") if own is not None else None) or {}
    system = _system(graph)
    global_as = system.get("autonomous_system") or (parameters.get("autonomous_system") if own is not None else None)
    identifier = parameters.get("identifier") or parameters.get("address")
    if not global_as or not identifier:
        return None
    restart: Value = system.get("graceful_restart_parameters") or {}
    enabled = bool(restart.get("enable"))
    restart_time = int(_or(restart.get("restart_time"), 300)) if restart else 0
    long_lived_time = int(_or(restart.get("long_lived_restart_time"), 300)) if restart else 0
    return Identity(
        autonomous_system=int(global_as),
        local_as=int(parameters.get("local_autonomous_system") or parameters.get("autonomous_system") or global_as),
        router_id=str(IPv4Address(identifier)),
        cluster_id=int(parameters.get("cluster_id") or 0),
        hold_time=int(parameters.get("hold_time") or 90),
        four_byte_as=bool(system.get("enable_4byte_as")),
        admin_down=bool(parameters.get("admin_down")),
        always_compare_med=bool(system.get("bgp_always_compare_med")),
        rd_cluster_seed=int(system.get("rd_cluster_seed") or 0),
        graceful_restart=GracefulRestartSettings(
            enabled=enabled,
            helper=enabled and bool(restart.get("bgp_helper_enable")),
            time=restart_time,
            long_lived_time=long_lived_time,
        ),
        xmpp_helper=enabled and bool(restart.get("xmpp_helper_enable")) and bool(restart_time or long_lived_time),
        end_of_rib_timeout=float(_or(restart.get("end_of_rib_timeout"), 300)),
        subcluster=_subcluster(own) if own is not None else "",
    )


def _subcluster(own: Node) -> str:
    """The name of the sub-cluster that our bgp-router refers to, empty without one (reference/xmpp.md 1.2)."""
    return min((link.other(own).name for link in own.links("bgp-router-sub-cluster")), default="")


def read_xmpp_hold_time(graph: Graph) -> int:
    """Seconds; a change takes effect on live sessions, so it is no part of the identity (reference/xmpp.md 1.6)."""
    convergence: Value = _system(graph).get("fast_convergence_parameters") or {}
    if not convergence.get("enable"):
        return DEFAULT_HOLD_TIME
    return int(convergence.get("xmpp_hold_time") or DEFAULT_HOLD_TIME)


def read_dscp(graph: Graph) -> int:
    """What control traffic is marked with (reference/bgp.md 1.8). Raises ValueError for what is no DSCP."""
    marks: Value = _only(graph, GLOBAL_QOS).get("control_traffic_dscp") or {}
    dscp = int(marks.get("control") or 0)
    if not 0 <= dscp <= MAX_DSCP:
        raise ValueError(f"control_traffic_dscp: control: {dscp}: expected 0 to {MAX_DSCP}")
    return dscp


def _system(graph: Graph) -> Value:
    return _only(graph, GLOBAL_SYSTEM)


def _only(graph: Graph, type_name: str) -> Value:
    """The properties of the object of a type of which there is one."""
    node = next((node for node in graph.nodes(type_name) if node.present), None)
    return node.properties if node is not None else {}


def read_peer(own: Node, remote: Node, session: Value, identity: Identity) -> PeerSettings | None:
    """The neighbour of one session of a peering (an empty session has everything at its default); None while either
    router has no parameters.

    Raises:
        ValueError, TypeError, KeyError: an address, AS, family or other value that is none.
    """
    mine: Value = own.properties.get("bgp_router_parameters") or {}
    theirs: Value = remote.properties.get("bgp_router_parameters") or {}
    if not theirs or not mine:
        return None
    attributes = _session_attributes(session, own)
    name = remote.name.removeprefix(MASTER_INSTANCE + ":")
    if session.get("uuid"):
        name = f"{name}:{session['uuid']}"
    local_as = int(attributes.get("local_autonomous_system") or identity.local_as)
    return PeerSettings(
        name=name,
        address=str(theirs["address"]),
        port=int(theirs.get("port") or 179),
        autonomous_system=int(
            theirs.get("local_autonomous_system") or theirs.get("autonomous_system") or identity.autonomous_system
        ),
        families=_families(attributes, mine, theirs),
        passive=bool(attributes.get("passive")),
        admin_down=any(bool(value.get("admin_down")) for value in (mine, theirs, attributes)),
        hold_time=int(
            attributes.get("hold_time") or theirs.get("hold_time") or mine.get("hold_time") or DEFAULT_HOLD_TIME
        ),
        local_as=local_as if local_as != identity.local_as else None,
        local_address=str(mine["address"]) if mine.get("address") else None,
        md5=_md5(attributes) or _md5(theirs),
        router_type=str(theirs.get("router_type") or "router"),
        family_settings=_family_settings(attributes),
        cluster_id=identity.cluster_id,
        as_override=bool(attributes.get("as_override")),
        loop_count=int(attributes.get("loop_count") or 0),
        private_as_action=_one_of(PRIVATE_AS_ACTIONS, str(attributes.get("private_as_action") or "")),
        origin_override=_origin_override(attributes),
    )


def _session_attributes(session: Value, own: Node) -> Value:
    """The entry for both ends (no bgp-router named) wins over one for us, entirely (reference/bgp.md 5)."""
    entries = session.get("attributes") or []
    common = [entry for entry in entries if not entry.get("bgp_router")]
    local = [entry for entry in entries if entry.get("bgp_router") in (own.name, own.name.rsplit(":", 1)[-1])]
    return next(iter(common or local), {})


def _families(attributes: Value, mine: Value, theirs: Value) -> tuple[Family, ...]:
    """The session's list; else what both routers list (an empty remote list restricts nothing); else inet, inet-vpn."""
    listed = _family_names(attributes)
    if not listed:
        local, remote = _family_names(mine), _family_names(theirs)
        listed = [name for name in local if not remote or name in remote]
    return tuple(dict.fromkeys(Family.from_name(name) for name in listed)) or DEFAULT_FAMILIES


def _family_names(value: Value) -> list[str]:
    return list((value.get("address_families") or {}).get("family") or [])


def _family_settings(attributes: Value) -> tuple[tuple[Family, FamilySettings], ...]:
    return tuple(
        (
            Family.from_name(entry["address_family"]),
            FamilySettings(
                loop_count=entry.get("loop_count"),
                prefix_limit=int((entry.get("prefix_limit") or {}).get("maximum") or 0),
                idle_timeout=float((entry.get("prefix_limit") or {}).get("idle_timeout") or 0),
                default_tunnel_encap=tuple(entry.get("default_tunnel_encap") or ()),
            ),
        )
        for entry in attributes.get("family_attributes") or ()
    )


def _md5(value: Value) -> str | None:
    """Only the first key of the chain is used, and only of type md5 (reference/bgp.md 1.8)."""
    data = value.get("auth_data") or {}
    keys = data.get("key_items") or []
    return str(keys[0]["key"]) if data.get("key_type") == "md5" and keys else None


def _origin_override(attributes: Value) -> str | None:
    override = attributes.get("route_origin_override") or {}
    return _one_of(tuple(ORIGINS), str(override.get("origin") or "IGP")) if override.get("origin_override") else None


def _one_of(known: tuple[str, ...], value: str) -> str:
    if value not in known:
        raise ValueError(f"{value!r}: expected one of {', '.join(filter(None, known))}")
    return value


def read_instance(graph: Graph, node: Node, index: int, complain: Complain) -> InstanceSettings:
    """A routing instance with the targets of its connections (reference/bgp.md 4.1).

    `complain` is told of each route target that does not parse, by its name; the instance goes without it.

    Raises:
        ValueError, TypeError: a property that is no number where one is wanted.
    """
    imports, exports = _targets(node, False, complain)
    for other in _connected(node):
        imports |= _targets(other, True, complain)[1]
    network = node.neighbour(VIRTUAL_NETWORK, via="virtual-network-routing-instance")
    properties: Value = (network.properties.get("virtual_network_properties") if network else None) or {}
    network_id = int(
        (network.properties.get("virtual_network_network_id") if network else 0) or properties.get("network_id") or 0
    )
    return InstanceSettings(
        name=node.name,
        index=index,
        virtual_network=network.name if network is not None else "",
        virtual_network_index=network_id,
        vxlan_id=int(properties.get("vxlan_network_identifier") or network_id),
        import_targets=frozenset(imports),
        export_targets=frozenset(exports),
        is_master=node.name == MASTER_INSTANCE,
        always_subscribe=bool(node.properties.get("routing_instance_has_pnf")),
        allow_transit=bool(properties.get("allow_transit")),
        pbb_evpn_enable=bool(network.properties.get("pbb_evpn_enable")) if network is not None else False,
    )


def _connected(node: Node) -> Iterator[Node]:
    """Instances whose exports this one imports: of a connection with a destination, only the destination does."""
    for connection in node.neighbours("connection", via="connection"):
        destination = (connection.properties.get("value") or {}).get("destination_instance")
        if destination in (None, "", node.name):
            yield from (other for other in connection.neighbours(ROUTING_INSTANCE) if other is not node)
    yield from node.neighbours(ROUTING_INSTANCE, via="connection")


def _targets(node: Node, connected: bool, complain: Complain) -> tuple[set[bytes], set[bytes]]:
    """(imported, exported) of one instance; of a connected one only targets with neither restriction count."""
    imports: set[bytes] = set()
    exports: set[bytes] = set()
    for link in node.neighbours("instance-target"):
        direction = (link.properties.get("value") or {}).get("import_export")
        for target in link.neighbours("route-target"):
            try:
                value = ext_community.route_target(target.name)
            except ValueError as error:
                complain(f"route-target {target.name}", error)
                continue
            if direction != "export" and not (connected and direction):
                imports.add(value)
            if direction != "import" and not (connected and direction):
                exports.add(value)
    return imports, exports


def _or(value: Any, default: int) -> Any:
    return default if value is None else value
