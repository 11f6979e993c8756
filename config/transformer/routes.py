"""Static routes of a network's default instance, from its route tables (reference/config.md 5.7)."""

from typing import Any

from contrail_emulator.config.graph import Node

from .wiring import network_of

TABLE_LINK = "virtual-network-route-table"


def static_routes(instance: Node) -> list[dict[str, Any]]:
    """The routes of the tables attached to the network whose next hop is an address, by prefix; first table wins."""
    network = network_of(instance)
    if network is None or not instance.properties.get("routing_instance_is_default"):
        return []
    found: dict[str, dict[str, Any]] = {}
    for table in sorted(network.neighbours("route-table", TABLE_LINK), key=lambda node: node.name):
        for route in (table.properties.get("routes") or {}).get("route") or []:
            prefix, next_hop = route.get("prefix"), route.get("next_hop")
            if route.get("next_hop_type") == "ip-address" and prefix and next_hop:
                communities = (route.get("community_attributes") or {}).get("community_attribute") or []
                entry = {"prefix": prefix, "next_hop": next_hop, "route_target": [], "community": communities}
                found.setdefault(prefix, entry)
    return [found[prefix] for prefix in sorted(found)]
