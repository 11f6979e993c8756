"""Which BGP routers peer with which (reference/config.md 5.6)."""

from dataclasses import dataclass
from typing import Any

from contrail_emulator.config.graph import Graph, Node

from .wiring import global_as

CONTRAIL_VENDORS = frozenset({"", "contrail"})
ATTRIBUTE: dict[str, Any] = {"session": [{"attributes": [{"address_families": {"family": []}}]}]}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mesh:
    """`wanted` pairs to add where absent; `unwanted` pairs to take away where present; routers whose AS is not ours."""

    wanted: tuple[Pair, ...]
    unwanted: tuple[Pair, ...]
    wrong_as: tuple[str, ...]


def _parameters(router: Node) -> dict[str, Any]:
    return router.properties.get("bgp_router_parameters") or {}


def _is_contrail(router: Node) -> bool:
    return (_parameters(router).get("vendor") or "").lower() in CONTRAIL_VENDORS


def _is_service(router: Node) -> bool:
    return (_parameters(router).get("router_type") or "").startswith("bgpaas")


def _sub_cluster(router: Node) -> str | None:
    cluster = router.neighbour("sub-cluster", "bgp-router-sub-cluster")
    return cluster.name if cluster is not None else None


def _fabric(router: Node) -> str | None:
    device = router.neighbour("physical-router", "physical-router-bgp-router")
    fabric = device.neighbour("fabric", "physical-router-fabric") if device is not None else None
    return fabric.name if fabric is not None else None


def _starts_peerings(router: Node, autonomous_system: int) -> bool:
    """Is this router peered with every other one? Those of a sub-cluster or fabric are, whatever their AS."""
    own = _is_contrail(router) or _parameters(router).get("autonomous_system") == autonomous_system
    return own or _sub_cluster(router) is not None or _fabric(router) is not None


def mesh(graph: Graph) -> Mesh:
    """The mesh over all BGP routers that have parameters. Pairs are names in order."""
    autonomous_system = global_as(graph)
    config = next(graph.nodes("global-system-config"), None)
    routers = [
        node
        for node in graph.nodes("bgp-router")
        if node.present and node.properties.get("bgp_router_parameters") and not _is_service(node)
    ]
    if autonomous_system is None or config is None:
        return Mesh((), (), ())
    ours = [router for router in routers if _is_contrail(router)]
    wrong = tuple(sorted(r.name for r in ours if _parameters(r).get("autonomous_system") != autonomous_system))
    if config.properties.get("ibgp_auto_mesh") is False:
        return Mesh((), (), wrong)
    inside = [router for router in routers if _starts_peerings(router, autonomous_system)]
    reflectors = {router for router in routers if _parameters(router).get("cluster_id")}
    node_reflects = any(_is_contrail(router) for router in reflectors)
    wanted: set[Pair] = set()
    unwanted: set[Pair] = set()
    for one in inside:
        for two in routers:
            if one is two or _sub_cluster(one) != _sub_cluster(two):
                continue
            pair = (min(one.name, two.name), max(one.name, two.name))
            between_nodes = _is_contrail(one) and _is_contrail(two)
            needless = bool(reflectors) and two in inside
            if one in reflectors or two in reflectors:
                needless = None not in (_fabric(one), _fabric(two)) and _fabric(one) != _fabric(two)
            if needless and not (between_nodes and not node_reflects):
                unwanted.add(pair)
            else:
                wanted.add(pair)
    return Mesh(tuple(sorted(wanted)), tuple(sorted(unwanted)), wrong)
