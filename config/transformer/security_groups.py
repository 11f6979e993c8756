"""The two access lists of a security group (reference/config.md 5.5)."""

from collections.abc import Iterator
from typing import Any

from contrail_emulator.config.graph import Graph, Node

from .access_lists import protocol_number

INGRESS = "ingress-access-control-list"
EGRESS = "egress-access-control-list"
LOCAL, ANY = "local", "any"
EVERY_PORT = {"start_port": 0, "end_port": 65535}
Rule = dict[str, Any]


def group_rules(graph: Graph, group: Node) -> tuple[list[Rule], list[Rule]]:
    """The rules of the ingress and the egress list."""
    ingress: list[Rule] = []
    egress: list[Rule] = []
    for rule in (group.properties.get("security_group_entries") or {}).get("policy_rule") or []:
        for source in rule.get("src_addresses") or []:
            for sink in rule.get("dst_addresses") or []:
                if sink.get("security_group") == LOCAL:
                    target = ingress
                elif source.get("security_group") == LOCAL:
                    target = egress
                else:
                    continue
                target.extend(_rules(graph, rule, source, sink))
    return ingress, egress


def mentions(group: Node, name: str) -> bool:
    """Does a group's rule name another group?"""
    for rule in (group.properties.get("security_group_entries") or {}).get("policy_rule") or []:
        for address in (*(rule.get("src_addresses") or []), *(rule.get("dst_addresses") or [])):
            if address.get("security_group") == name:
                return True
    return False


def _rules(graph: Graph, rule: Rule, source: Rule, sink: Rule) -> Iterator[Rule]:
    first, second = _address(graph, source), _address(graph, sink)
    if first is None or second is None:
        return
    ethertype = rule.get("ethertype")
    for source_port in rule.get("src_ports") or [EVERY_PORT]:
        for sink_port in rule.get("dst_ports") or [EVERY_PORT]:
            yield {
                "match_condition": {
                    "ethertype": ethertype,
                    "protocol": protocol_number(rule.get("protocol"), ethertype),
                    "src_address": first,
                    "src_port": source_port,
                    "dst_address": second,
                    "dst_port": sink_port,
                },
                "action_list": {"simple_action": "pass"},
                "rule_uuid": rule.get("rule_uuid"),
                "direction": rule.get("direction") or ">",
            }


def _address(graph: Graph, address: Rule) -> Rule | None:
    """An address of the match; None when it names a group that is not known."""
    name = address.get("security_group")
    if not name:
        return address
    if name == LOCAL:
        return {**address, "security_group": None}
    if name == ANY:
        return {**address, "security_group": "-1"}
    other = graph.get("security-group", name)
    number = other.properties.get("security_group_id") if other is not None and other.present else None
    return None if number is None else {**address, "security_group": str(number)}
