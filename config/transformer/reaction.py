"""Which derivations a change touches. A unit is (kind, name)."""

from collections.abc import Iterable, Iterator

from contrail_emulator.config.graph import Changes, Graph, Node

from .policies import ANY, POLICY_LINK, networks_of, rules_of
from .routes import TABLE_LINK
from .security_groups import mentions
from .wiring import INSTANCE_OF, INTERFACE_NETWORK, internal_network, network_of, networks_of_router

Unit = tuple[str, str]

ORPHAN, INSTANCE, NETWORK, GROUP, ROUTER, TARGET, MESH, LIST = (
    "orphan",
    "instance",
    "network",
    "group",
    "router",
    "target",
    "mesh",
    "list",
)
ORDER = (ORPHAN, ROUTER, INSTANCE, NETWORK, GROUP, LIST, MESH, TARGET)
"""Numbers and targets before what refers to them; targets that nobody wants any more last."""


class Agenda:
    """Units to evaluate, each once, in ORDER and then first come."""

    def __init__(self) -> None:
        self._units: dict[str, dict[str, None]] = {kind: {} for kind in ORDER}

    def add(self, units: Iterable[Unit]) -> None:
        """Put units on the agenda."""
        for kind, name in units:
            self._units[kind][name] = None

    def pop(self) -> Unit:
        """Take the next unit; KeyError when there is none."""
        for kind, names in self._units.items():
            if names:
                name = next(iter(names))
                del names[name]
                return kind, name
        raise KeyError("nothing to do")

    def clear(self) -> None:
        """Forget everything."""
        for names in self._units.values():
            names.clear()

    def __bool__(self) -> bool:
        return any(self._units.values())


def everything(graph: Graph) -> Iterator[Unit]:
    """Every unit there is: what a start evaluates."""
    yield MESH, ""
    kinds = {
        "logical-router": ROUTER,
        "routing-instance": INSTANCE,
        "virtual-network": NETWORK,
        "security-group": GROUP,
        "access-control-list": LIST,
        "route-target": TARGET,
    }
    for type_name, kind in kinds.items():
        for node in graph.nodes(type_name):
            yield kind, node.name


def orphans(graph: Graph) -> Iterator[Unit]:
    """Routing instances that seem to have no network: what a start looks at besides."""
    for node in graph.nodes("routing-instance"):
        if node.present and network_of(node) is None:
            yield ORPHAN, node.name


def touched(graph: Graph, changes: Changes) -> Iterator[Unit]:
    """The units that a batch of changes touches."""
    for node in changes.touched():
        yield from _units(graph, node)
    routed = [link for link in (*changes.linked, *changes.unlinked) if link.name == "logical-router-interface"]
    interfaces = {end for link in routed for end in (link.left, link.right) if end.type != "logical-router"}
    for interface in interfaces:
        for network in interface.neighbours("virtual-network", INTERFACE_NETWORK):
            yield from _instances(network)
    for link in changes.unlinked:
        if link.name == INTERFACE_NETWORK and (link.left in interfaces or link.right in interfaces):
            for end in (link.left, link.right):
                yield from _instances(end) if end.type == "virtual-network" else ()


def _units(graph: Graph, node: Node) -> Iterator[Unit]:
    kind, name = node.type, node.name
    if kind == "global-system-config":
        yield from everything(graph)
    elif kind == "routing-instance":
        yield INSTANCE, name
        for network in node.neighbours("virtual-network", INSTANCE_OF):
            yield NETWORK, network.name
    elif kind == "virtual-network":
        yield from _network(graph, node) if node.present else _lists(node)
    elif kind == "network-policy":
        for network in networks_of(node):
            yield from _network(graph, network)
    elif kind == POLICY_LINK:
        for network in node.neighbours("virtual-network"):
            yield from _network(graph, network)
    elif kind == "security-group":
        yield GROUP, name
        yield from _lists(node)
        for other in graph.nodes("security-group"):
            if mentions(other, name):
                yield GROUP, other.name
    elif kind == "logical-router":
        yield ROUTER, name
        yield from _routed(graph, node)
    elif kind == "route-table":
        for network in node.neighbours("virtual-network", TABLE_LINK):
            yield from _instances(network)
    elif kind == "bgpvpn":
        for network in node.neighbours("virtual-network", "bgpvpn-network"):
            yield from _instances(network)
        for router in node.neighbours("logical-router", "bgpvpn-router"):
            yield from _routed(graph, router)
    elif kind == "route-target":
        yield TARGET, name
    elif kind in ("bgp-router", "bgp-peering", "sub-cluster", "physical-router"):
        yield MESH, ""
    elif kind == "access-control-list":
        yield LIST, name
        yield NETWORK, name.rpartition(":")[0]


def _lists(parent: Node) -> Iterator[Unit]:
    for child in parent.neighbours("access-control-list"):
        yield LIST, child.name


def _routed(graph: Graph, router: Node) -> Iterator[Unit]:
    """The instances that get a logical router's targets, or got them when it was of the other type."""
    for network in networks_of_router(router):
        yield from _instances(network)
    name = internal_network(router)
    internal = graph.get("virtual-network", name) if name is not None else None
    if internal is not None:
        yield from _instances(internal)


def _instances(network: Node) -> Iterator[Unit]:
    for instance in network.neighbours("routing-instance", INSTANCE_OF):
        yield INSTANCE, instance.name


def _network(graph: Graph, network: Node) -> Iterator[Unit]:
    """A network, its instances, and the networks whose connections or rules may depend on its policies."""
    yield NETWORK, network.name
    yield from _instances(network)
    for policy in graph.nodes("network-policy"):
        users = networks_of(policy)
        if users and (network in users or _names(policy, network.name)):
            for user in users:
                yield NETWORK, user.name
            if network in users:
                for name in _named(policy):
                    yield NETWORK, name


def _named(policy: Node) -> set[str]:
    return {
        address["virtual_network"]
        for rule in rules_of(policy)
        for address in (*(rule.get("src_addresses") or []), *(rule.get("dst_addresses") or []))
        if address.get("virtual_network")
    }


def _names(policy: Node, network: str) -> bool:
    named = _named(policy)
    if network in named or ANY in named:
        return True
    return any(
        address.get("network_policy")
        for rule in rules_of(policy)
        for address in (*(rule.get("src_addresses") or []), *(rule.get("dst_addresses") or []))
    )
