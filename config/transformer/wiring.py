"""Walks that several derivations share: which network, which instance, which names."""

from contrail_emulator.config.graph import Graph, Node
from contrail_emulator.config.writer.logical_routers import INTERNAL_NETWORK, VXLAN_ROUTING, internal_name
from contrail_emulator.config.writer.names import uuid_in

INSTANCE_OF = "virtual-network-routing-instance"
INTERFACE_NETWORK = "virtual-machine-interface-virtual-network"


def global_as(graph: Graph) -> int | None:
    """The autonomous system of the installation, or None before it is known."""
    for node in graph.nodes("global-system-config"):
        number = node.properties.get("autonomous_system")
        if isinstance(number, int):
            return number
    return None


def network_of(instance: Node) -> Node | None:
    """The network a routing instance belongs to."""
    network = instance.neighbour("virtual-network", INSTANCE_OF)
    return network if network is not None and network.present else None


def default_instance(network: Node) -> Node | None:
    """A network's default routing instance."""
    for instance in network.neighbours("routing-instance", INSTANCE_OF):
        if instance.present and instance.properties.get("routing_instance_is_default"):
            return instance
    return None


def project_of(name: str) -> str:
    """The project part of a network's or policy's name."""
    return name.rpartition(":")[0]


def route_targets(node: Node, name: str) -> list[str]:
    """The texts of a route target list property."""
    return (node.properties.get(name) or {}).get("route_target") or []


def routes_vxlan(router: Node) -> bool:
    """Does a logical router have an internal network for its routes, instead of joining those of its interfaces?"""
    return router.properties.get("logical_router_type") == VXLAN_ROUTING


def internal_network(router: Node) -> str | None:
    """The name of the network that the API server makes for a router that routes VXLAN (reference/config.md 5.7)."""
    uuid = uuid_in(router.properties.get("id_perms"))
    return None if uuid is None else ":".join(internal_name(router.name.split(":"), uuid))


def networks_of_router(router: Node) -> list[Node]:
    """The networks that a logical router's interfaces are in."""
    found: dict[Node, None] = {}
    for interface in router.neighbours("virtual-machine-interface", "logical-router-interface"):
        found.update(dict.fromkeys(interface.neighbours("virtual-network", INTERFACE_NETWORK)))
    return list(found)


def routers_of_network(graph: Graph, network: Node) -> list[Node]:
    """The logical routers whose targets a network gets: those that join it, or the one whose internal network it is."""
    found: dict[Node, None] = {}
    for interface in network.neighbours("virtual-machine-interface", INTERFACE_NETWORK):
        for router in interface.neighbours("logical-router", "logical-router-interface"):
            if router.present and not routes_vxlan(router):
                found[router] = None
    if network.name.startswith(f"{project_of(network.name)}:{INTERNAL_NETWORK}"):
        for router in graph.nodes("logical-router"):
            if router.present and routes_vxlan(router) and internal_network(router) == network.name:
                found[router] = None
    return list(found)
