"""Which route targets a routing instance imports and exports, its own aside (reference/config.md 5.2, 5.7)."""

from contrail_emulator.config.graph import Graph, Node

from .wiring import network_of, route_targets, routers_of_network, routes_vxlan

NO_TARGETS = frozenset(
    {
        "default-domain:default-project:ip-fabric:__default__",
        "default-domain:default-project:__link_local__:__link_local__",
    }
)
"""Instances that never get a target of their own."""


def configured_targets(graph: Graph, instance: Node) -> dict[str, str | None]:
    """Target -> None (both), "import" or "export", for one instance; empty unless it is its network's default one."""
    network = network_of(instance)
    if network is None or not instance.properties.get("routing_instance_is_default"):
        return {}
    imports = set(route_targets(network, "import_route_target_list"))
    exports = set(route_targets(network, "export_route_target_list"))
    both = set(route_targets(network, "route_target_list")) | (imports & exports)
    routers = routers_of_network(graph, network)
    vpns = dict.fromkeys(network.neighbours("bgpvpn", "bgpvpn-network"))
    for router in routers:
        vpns.update(dict.fromkeys(router.neighbours("bgpvpn", "bgpvpn-router")))
        both.update(route_targets(router, "configured_route_target_list"))
        if not routes_vxlan(router):
            both.update(target.name for target in router.neighbours("route-target", "logical-router-target"))
    for vpn in vpns:
        both.update(route_targets(vpn, "route_target_list"))
        imports.update(route_targets(vpn, "import_route_target_list"))
        exports.update(route_targets(vpn, "export_route_target_list"))
    both |= imports & exports
    result: dict[str, str | None] = {target: "import" for target in imports}
    result.update({target: "export" for target in exports})
    result.update(dict.fromkeys(both))
    return result
