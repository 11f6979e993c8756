"""A control node in numbers, for Prometheus: sums of what its pages show, taken when somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from contrail_emulator.base.metrics import Samples

from .introspect import agents, neighbors

if TYPE_CHECKING:
    from .node import ControlNode
    from .routing.table import Table

ESTABLISHED = "Established"


def register_metrics(node: ControlNode) -> None:
    """Adds the numbers to the node's own registry (docs/introspect.md).

    Peers are told apart, of which there are few; agents and tables are summed, of which there may be thousands.
    """

    def each_peer(read: Callable[[Mapping[str, Any]], float]) -> Callable[[], Samples]:
        return lambda: [((row["peer"],), read(row)) for row in neighbors(node)]

    def all_agents(field: str) -> Callable[[], Samples]:
        return lambda: [((), sum(row.get(field, 0) for row in agents(node)))]

    def agent_states() -> Samples:
        return _summed((str(row["state"]), 1) for row in agents(node))

    def tables() -> Iterable[Table]:
        return node.plane.core.tables.values() if node.plane is not None else ()

    def by_family(size: Callable[[Table], int]) -> Callable[[], Samples]:
        return lambda: _summed((table.family.config_name, size(table)) for table in tables())

    def messages() -> Samples:
        for row in neighbors(node):
            for direction, field in (("received", "rx_proto_stats"), ("sent", "tx_proto_stats")):
                for kind, count in row[field].items():
                    if kind not in ("total", "octets"):
                        yield (row["peer"], direction, kind), count

    add = node.metrics.sampled
    add("control_bgp_up", "1: established", ["peer"], each_peer(lambda row: row["state"] == ESTABLISHED))
    add("control_bgp_flaps", "Sessions that ended", ["peer"], each_peer(lambda row: row["flap_count"]))
    add("control_bgp_routes_in", "Routes from a peer", ["peer"], each_peer(lambda row: row["routes_in"]))
    add("control_bgp_routes_out", "Routes to a peer", ["peer"], each_peer(lambda row: row["routes_out"]))
    add("control_bgp_messages", "BGP messages", ["peer", "direction", "type"], messages)
    add("control_agents", "Agents, those that left included", ["state"], agent_states)
    add("control_agents_routes_in", "Routes from all agents", [], all_agents("routes_in"))
    add("control_agents_routes_out", "Routes to all agents", [], all_agents("routes_out"))
    add("control_agents_flaps", "Agents' sessions that ended", [], all_agents("flap_count"))
    add("control_instances", "Routing instances", [], lambda: [((), len({table.instance.name for table in tables()}))])
    add("control_prefixes", "Prefixes in all tables", ["family"], by_family(lambda table: len(table.routes)))
    add("control_paths", "Paths in all tables", ["family"], by_family(lambda table: table.paths))
    add("control_update_groups", "Update groups", ["family"], by_family(lambda table: len(table.groups)))
    add(
        "control_updates_pending", "Routes that wait to be told", ["family"],
        by_family(lambda table: sum(group.pending for group in table.groups.values())),
    )  # fmt: skip


def _summed(pairs: Iterable[tuple[str, int]]) -> Samples:
    sums: Counter[str] = Counter()
    for label, value in pairs:
        sums[label] += value
    return [((label,), value) for label, value in sums.items()]
