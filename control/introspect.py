"""What the control node shows over introspect: neighbours, agents, instances, routes, configuration, update groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contrail_emulator.base.introspect import Page, PageError

if TYPE_CHECKING:
    from .node import ControlNode, Plane

Arguments = Mapping[str, str]
Row = dict[str, Any]
MAX_ROUTES = 10_000
YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")


def pages(node: ControlNode) -> Sequence[Page]:
    """The control node's pages (docs/introspect.md)."""
    return (
        Page("neighbors", lambda arguments: neighbors(node), "BGP peers: state, families, timers, counters"),
        Page("agents", lambda arguments: agents(node), "vRouter agents: subscriptions, routes, last error"),
        Page("instances", lambda arguments: instances(node), "routing instances: targets, network, tables"),
        Page(
            "routes",
            lambda arguments: routes(node, arguments),
            "routes?table=…&prefix=…&longer=true&longest=true&source=…&protocol=…",
            ("table", "prefix", "longer", "longest", "source", "protocol"),
        ),
        Page("tables", lambda arguments: tables(node), "tables: prefixes and paths"),
        Page(
            "config",
            lambda arguments: config(node, arguments),
            "configuration graph: config?type=…&name=…",
            ("type", "name"),
        ),
        Page(
            "update-groups", lambda arguments: update_groups(node), "update groups: members, pending routes, messages"
        ),
        Page("identity", lambda arguments: identity(node), "who this control node is"),
    )


def neighbors(node: ControlNode) -> list[Row]:
    plane = node.plane
    if plane is None:
        return []
    return [{**peer.rows(), **plane.peers.row(peer.name)} for peer in plane.speaker.peers.values()]


def agents(node: ControlNode) -> list[Mapping[str, Any]]:
    return node.plane.agents.rows() if node.plane is not None else []


def instances(node: ControlNode) -> list[Row]:
    return list(_plane(node).core.instance_rows()) if node.plane is not None else []


def routes(node: ControlNode, arguments: Arguments) -> list[Row]:
    """Routes of one table, or of all: `prefix` exactly, or with `longer` everything below it, or with `longest` the
    longest match of each table."""
    core = _plane(node).core
    table = arguments.get("table")
    if table is not None and table not in core.tables:
        raise PageError(f"no table {table!r}", 404)
    names = [table] if table is not None else list(core.tables)
    found: list[Row] = []
    faults: list[ValueError] = []
    for name in names:
        try:
            rows = core.rows(
                name,
                prefix=arguments.get("prefix"),
                longer=_flag(arguments, "longer"),
                longest=_flag(arguments, "longest"),
                source=arguments.get("source"),
                protocol=arguments.get("protocol"),
            )
            for row in rows:
                found.append({"table": name, **row})
                if len(found) >= MAX_ROUTES:
                    return found
        except ValueError as error:  # this table's family has no IP prefixes; others may
            faults.append(error)
    if len(faults) == len(names) > 0:
        raise PageError(f"{faults[0]} for {table or 'any table'}")
    return found


def _flag(arguments: Arguments, name: str) -> bool:
    given = arguments.get(name, "").lower()
    if given not in (*YES, *NO):
        raise PageError(f"{name}={given}: expected true or false")
    return given in YES


def tables(node: ControlNode) -> list[Row]:
    return list(_plane(node).core.table_rows()) if node.plane is not None else []


def update_groups(node: ControlNode) -> list[Row]:
    return list(_plane(node).core.group_rows()) if node.plane is not None else []


def config(node: ControlNode, arguments: Arguments) -> list[Row]:
    """Nodes of the configuration graph with their links; secrets are not shown."""
    graph = node.client.graph
    wanted = arguments.get("name")
    return [
        {
            "type": found.type,
            "name": found.name,
            "properties": _without_secrets(found.properties),
            "links": [
                {"via": link.name, "to": f"{(other := link.other(found)).type}:{other.name}"} for link in found.links()
            ],
        }
        for found in graph.nodes(arguments.get("type"))
        if found.present and wanted in (None, found.name)
    ]


def identity(node: ControlNode) -> Row:
    plane = node.plane
    if plane is None:
        return {"name": node.settings.name, "configured": False}
    who = plane.identity
    return {
        "name": node.settings.name,
        "configured": node.client.synced,
        "router_id": who.router_id,
        "autonomous_system": who.autonomous_system,
        "local_autonomous_system": who.local_as,
        "cluster_id": who.cluster_id,
        "config": dict(node.client.counters),
    }


def _plane(node: ControlNode) -> Plane:
    if node.plane is None:
        raise PageError("the control node has no configuration of its own yet", 503)
    return node.plane


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "…" if key in ("key", "password", "auth_data") else _without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value
