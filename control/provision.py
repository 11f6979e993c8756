"""What the configuration graph means to a control node: its own identity, its BGP peers, its routing instances
(reference/bgp.md 4.1, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Protocol, TypeVar

from twisted.logger import Logger

from contrail_emulator.config.graph import Changes, Graph, Node
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.settings import FamilySettings, GracefulRestartSettings, PeerSettings
from contrail_emulator.control.routing import InstanceSettings

MASTER_INSTANCE = "default-domain:default-project:ip-fabric:__default__"
DEFAULT_AS = 64512
DEFAULT_FAMILIES = (Family.INET, Family.INET_VPN)
ROUTING_INSTANCE, BGP_ROUTER, VIRTUAL_NETWORK = "routing-instance", "bgp-router", "virtual-network"
GLOBAL_SYSTEM = "global-system-config"
Value = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the control node is. `autonomous_system` is the global AS, used in targets and origin-vn; `local_as` the one it peers with."""

    autonomous_system: int
    local_as: int
    router_id: str
    cluster_id: int = 0
    hold_time: int = 90
    four_byte_as: bool = False
    admin_down: bool = False
    always_compare_med: bool = False
    graceful_restart: GracefulRestartSettings = GracefulRestartSettings(time=0, long_lived_time=0)
    xmpp_helper: bool = False
    end_of_rib_timeout: float = 300.0
    xmpp_hold_time: int = 90


class Provisioned(Protocol):
    """Who is told. Each call comes once per change; `identity_changed(None)` means there is none (any more)."""

    def identity_changed(self, identity: Identity | None) -> None: ...
    def peer_changed(self, settings: PeerSettings) -> None: ...
    def peer_removed(self, name: str) -> None: ...
    def instance_changed(self, settings: InstanceSettings) -> None: ...
    def instance_removed(self, name: str) -> None: ...


class Provisioner:
    """Follows the graph and tells `told` what became different. `hostname` names our own bgp-router."""

    log = Logger()

    def __init__(self, graph: Graph, hostname: str, told: Provisioned) -> None:
        self.identity: Identity | None = None
        self.peers: dict[str, PeerSettings] = {}
        self.instances: dict[str, InstanceSettings] = {}
        self._graph = graph
        self._self_name = f"{MASTER_INSTANCE}:{hostname}"
        self._told = told
        self._indices = _Indices()
        self._complained: set[str] = set()
        self._unsubscribe = graph.subscribe(self._changed)
        self._evaluate_identity()
        self._evaluate_instances([node.name for node in graph.nodes(ROUTING_INSTANCE)])
        self._evaluate_peers()

    def stop(self) -> None:
        self._unsubscribe()

    def _changed(self, changes: Changes) -> None:
        instances: dict[str, None] = {}
        routers = system = False
        for node in changes.touched():
            routers = routers or node.type in (BGP_ROUTER, "bgp-peering")
            system = system or node.type == GLOBAL_SYSTEM
            instances.update(dict.fromkeys(_instances_near(node)))
        for link in changes.unlinked:
            for end in (link.left, link.right):
                instances.update(dict.fromkeys(_instances_near(end)))
        if routers or system:
            self._evaluate_identity()
        if instances:
            self._evaluate_instances(instances)
        if routers or system:
            self._evaluate_peers()

    def _evaluate_identity(self) -> None:
        identity = self._quietly(self._self_name, lambda: read_identity(self._graph, self._self_name))
        if identity != self.identity:
            self.identity = identity
            self._told.identity_changed(identity)

    def _evaluate_instances(self, names: Iterable[str]) -> None:
        for name in names:
            node = self._graph.get(ROUTING_INSTANCE, name)
            if node is None or not node.present:
                if self.instances.pop(name, None) is not None:
                    self._indices.release(name)
                    self._told.instance_removed(name)
                continue
            index = 0 if name == MASTER_INSTANCE else self._indices.take(name)
            settings = self._quietly(name, lambda node=node, index=index: read_instance(self._graph, node, index))  # type: ignore[misc]
            if settings is not None and self.instances.get(name) != settings:
                self.instances[name] = settings
                self._told.instance_changed(settings)

    def _evaluate_peers(self) -> None:
        wanted: dict[str, PeerSettings] = {}
        own = self._graph.get(BGP_ROUTER, self._self_name)
        if self.identity is not None and own is not None:
            for settings in self._read_peers(own, self.identity):
                wanted[settings.name] = settings
        for name in self.peers.keys() - wanted.keys():
            del self.peers[name]
            self._told.peer_removed(name)
        for name, settings in wanted.items():
            if self.peers.get(name) != settings:
                self.peers[name] = settings
                self._told.peer_changed(settings)

    def _read_peers(self, own: Node, identity: Identity) -> Iterator[PeerSettings]:
        for peering in own.neighbours("bgp-peering"):
            for remote in peering.neighbours(BGP_ROUTER):
                if remote is own or not remote.present or _parent(remote) != MASTER_INSTANCE:
                    continue
                value = peering.properties.get("value") or {}
                found = self._quietly(
                    remote.name,
                    lambda remote=remote, value=value: list(read_peers(own, remote, value, identity)),  # type: ignore[misc]
                )
                yield from found or ()

    def _quietly(self, name: str, read: Callable[[], T]) -> T | None:
        """What `read` gives, or None and one complaint when the configuration of `name` makes no sense."""
        try:
            value = read()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if name not in self._complained:
                self._complained.add(name)
                self.log.error("configuration of {name} can't be used: {error}", name=name, error=error)
            return None
        self._complained.discard(name)
        return value


class _Indices:
    """The lowest free number from 1 on for each name; 0 is the master instance's."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._used: set[int] = set()
        self._lowest = 1

    def take(self, name: str) -> int:
        if name not in self._taken:
            while self._lowest in self._used:
                self._lowest += 1
            self._taken[name] = self._lowest
            self._used.add(self._lowest)
        return self._taken[name]

    def release(self, name: str) -> None:
        index = self._taken.pop(name, None)
        if index is not None:
            self._used.discard(index)
            self._lowest = min(self._lowest, index)


def read_identity(graph: Graph, name: str) -> Identity | None:
    """None until both our bgp-router (with an identifier) and an AS number are configured."""
    own = graph.get(BGP_ROUTER, name)
    parameters: Value = (own.properties.get("bgp_router_parameters") if own is not None else None) or {}
    system_node = next((node for node in graph.nodes(GLOBAL_SYSTEM) if node.present), None)
    system: Value = system_node.properties if system_node is not None else {}
    global_as = system.get("autonomous_system") or (parameters.get("autonomous_system") if own is not None else None)
    identifier = parameters.get("identifier") or parameters.get("address")
    if not global_as or not identifier:
        return None
    restart: Value = system.get("graceful_restart_parameters") or {}
    enabled = bool(restart.get("enable"))
    convergence: Value = system.get("fast_convergence_parameters") or {}
    return Identity(
        autonomous_system=int(global_as),
        local_as=int(parameters.get("local_autonomous_system") or parameters.get("autonomous_system") or global_as),
        router_id=str(IPv4Address(identifier)),
        cluster_id=int(parameters.get("cluster_id") or 0),
        hold_time=int(parameters.get("hold_time") or 90),
        four_byte_as=bool(system.get("enable_4byte_as")),
        admin_down=bool(parameters.get("admin_down")),
        always_compare_med=bool(system.get("bgp_always_compare_med")),
        graceful_restart=GracefulRestartSettings(
            enabled=enabled,
            helper=enabled and bool(restart.get("bgp_helper_enable")),
            time=int(_or(restart.get("restart_time"), 300)) if restart else 0,
            long_lived_time=int(_or(restart.get("long_lived_restart_time"), 300)) if restart else 0,
        ),
        xmpp_helper=enabled and bool(restart.get("xmpp_helper_enable")),
        end_of_rib_timeout=float(_or(restart.get("end_of_rib_timeout"), 300)),
        xmpp_hold_time=int(convergence.get("xmpp_hold_time") or 90) if convergence.get("enable") else 90,
    )


def read_peers(own: Node, remote: Node, peering: Value, identity: Identity) -> Iterator[PeerSettings]:
    """One neighbour per session of the peering; without sessions one with everything at its default.

    Raises:
        ValueError: an address, AS or family that is none.
    """
    mine: Value = own.properties.get("bgp_router_parameters") or {}
    theirs: Value = remote.properties.get("bgp_router_parameters") or {}
    if not theirs or not mine:
        return
    for session in peering.get("session") or [{}]:
        attributes = _session_attributes(session, own)
        name = remote.name.removeprefix(MASTER_INSTANCE + ":")
        if session.get("uuid"):
            name = f"{name}:{session['uuid']}"
        local_as = int(attributes.get("local_autonomous_system") or identity.local_as)
        yield PeerSettings(
            name=name,
            address=str(theirs["address"]),
            port=int(theirs.get("port") or 179),
            autonomous_system=int(
                theirs.get("local_autonomous_system") or theirs.get("autonomous_system") or identity.autonomous_system
            ),
            families=_families(attributes, mine, theirs),
            passive=bool(attributes.get("passive")),
            admin_down=any(bool(value.get("admin_down")) for value in (mine, theirs, attributes)),
            hold_time=int(attributes.get("hold_time") or theirs.get("hold_time") or mine.get("hold_time") or 90),
            local_as=local_as if local_as != identity.local_as else None,
            local_address=str(mine["address"]) if mine.get("address") else None,
            md5=_md5(attributes) or _md5(theirs),
            router_type=str(theirs.get("router_type") or "router"),
            family_settings=_family_settings(attributes),
            cluster_id=identity.cluster_id,
            as_override=bool(attributes.get("as_override")),
            loop_count=int(attributes.get("loop_count") or 0),
            private_as_action=str(attributes.get("private_as_action") or ""),
            origin_override=_origin_override(attributes),
        )


def _session_attributes(session: Value, own: Node) -> Value:
    """The entry for both ends (no bgp-router named) wins over one for us, entirely (reference/bgp.md 5)."""
    entries = session.get("attributes") or []
    common = [entry for entry in entries if not entry.get("bgp_router")]
    local = [entry for entry in entries if entry.get("bgp_router") in (own.name, own.name.rsplit(":", 1)[-1])]
    return next(iter(common or local), {})


def _families(attributes: Value, mine: Value, theirs: Value) -> tuple[Family, ...]:
    """The session's list; else what both routers list, an empty remote list being no restriction; else inet and inet-vpn."""
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
    return str(override.get("origin") or "IGP") if override.get("origin_override") else None


def read_instance(graph: Graph, node: Node, index: int) -> InstanceSettings:
    """A routing instance with the targets of its connections (reference/bgp.md 4.1).

    Raises:
        ValueError: a route target that does not parse.
    """
    imports, exports = _targets(node, connected=False)
    for connection in node.neighbours("connection"):
        for other in connection.neighbours(ROUTING_INSTANCE):
            if other is not node:
                imports |= _targets(other, connected=True)[1]
    for other in node.neighbours(ROUTING_INSTANCE, via="connection"):
        imports |= _targets(other, connected=True)[1]
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


def _targets(node: Node, connected: bool) -> tuple[set[bytes], set[bytes]]:
    """(imported, exported) of one instance; of a connected one only targets with neither restriction count."""
    imports: set[bytes] = set()
    exports: set[bytes] = set()
    for link in node.neighbours("instance-target"):
        direction = (link.properties.get("value") or {}).get("import_export")
        for target in link.neighbours("route-target"):
            value = ext_community.route_target(target.name)
            if direction != "export" and not (connected and direction):
                imports.add(value)
            if direction != "import" and not (connected and direction):
                exports.add(value)
    return imports, exports


def _instances_near(node: Node) -> Iterator[str]:
    """Routing instances whose settings may depend on this node."""
    if node.type == ROUTING_INSTANCE:
        yield node.name
        for connection in node.neighbours("connection"):
            yield from (other.name for other in connection.neighbours(ROUTING_INSTANCE))
        yield from (other.name for other in node.neighbours(ROUTING_INSTANCE, via="connection"))
    elif node.type in (VIRTUAL_NETWORK, "connection"):
        yield from (other.name for other in node.neighbours(ROUTING_INSTANCE))
    elif node.type == "instance-target":
        for other in node.neighbours(ROUTING_INSTANCE):
            yield from _instances_near(other)


def _parent(node: Node) -> str:
    return node.name.rpartition(":")[0]


def _or(value: Any, default: int) -> Any:
    return default if value is None else value
