"""Access lists of networks, from their policies (reference/config.md 5.4)."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from contrail_emulator.config.graph import Graph, Node
from contrail_emulator.config.writer.initial import IP_FABRIC

from .policies import ANY, policies_of, resolve, rules_of

PROTOCOLS = {"icmp": "1", "tcp": "6", "udp": "17", "icmp6": "58", "icmpv6": "58", "sctp": "132"}
IPV6_ICMP = "58"
OWN_RULE = "00000000-0000-0000-0000-100000000001"
DENY_RULE = "00000000-0000-0000-0000-100000000002"
FABRIC = ":".join(IP_FABRIC)
PROVIDER_LINK = "virtual-network-provider-network"
EVERY_PORT = {"start_port": -1, "end_port": -1}
Rule = dict[str, Any]


def protocol_number(name: str | None, ethertype: str | None) -> str:
    """A protocol as access lists have it: a number as text, or `any`."""
    text = (name or ANY).lower()
    if text == "icmp" and ethertype == "IPv6":
        return IPV6_ICMP
    return PROTOCOLS.get(text, text)


def entries_hash(entries: dict[str, Any]) -> int:
    """A number that changes with the entries, the same in every process."""
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def network_rules(graph: Graph, network: Node, logical_routers: bool = True, dynamic: bool = False) -> list[Rule]:
    """The rules of a network's static or dynamic list; none when no policy is attached.

    A provider network, a network linked to one and one with fabric SNAT have a static list also without a policy.
    """
    policies = policies_of(graph, network, dynamic)
    if not policies and (dynamic or not _is_special(graph, network)):
        return []
    rules = [expanded for policy in policies for rule in rules_of(policy) for expanded in _expand(graph, network, rule)]
    rules = _without_covered(rules)
    if not dynamic:
        rules.extend(_tail(network, rules, logical_routers))
    return rules


def _expand(graph: Graph, network: Node, rule: Rule) -> Iterator[Rule]:
    """The product of source and destination ports and addresses."""
    ethertype = rule.get("ethertype")
    for source_port in rule.get("src_ports") or [EVERY_PORT]:
        for sink_port in rule.get("dst_ports") or [EVERY_PORT]:
            for source_entry in rule.get("src_addresses") or []:
                for sink_entry in rule.get("dst_addresses") or []:
                    for source in resolve(graph, network, source_entry):
                        for sink in resolve(graph, network, sink_entry):
                            if not _involved(network, source, sink):
                                continue
                            yield {
                                "match_condition": {
                                    "ethertype": ethertype,
                                    "protocol": protocol_number(rule.get("protocol"), ethertype),
                                    "src_address": source,
                                    "src_port": source_port,
                                    "dst_address": sink,
                                    "dst_port": sink_port,
                                },
                                "action_list": dict(rule.get("action_list") or {"simple_action": "pass"}),
                                "rule_uuid": rule.get("rule_uuid"),
                                "direction": rule.get("direction") or "<>",
                            }


def _involved(network: Node, source: Rule, sink: Rule) -> bool:
    names = (source.get("virtual_network"), sink.get("virtual_network"))
    if network.name in names or ANY in names:
        return True
    return all(bool(side.get("subnet") or side.get("subnet_list")) for side in (source, sink))


def _covers(first: Rule, second: Rule) -> bool:
    """Is everything that `second` matches matched by `first`?"""
    if first["direction"] != second["direction"]:
        return False
    one, two = first["match_condition"], second["match_condition"]
    if one["protocol"] not in (ANY, two["protocol"]) or one["ethertype"] not in (None, two["ethertype"]):
        return False
    for side in ("src_address", "dst_address"):
        if one[side] != two[side] and one[side].get("virtual_network") != ANY:
            return False
    return all(_port_covers(one[side], two[side]) for side in ("src_port", "dst_port"))


def _port_covers(one: Rule, two: Rule) -> bool:
    if one.get("start_port") in (-1, 0) and one.get("end_port") in (-1, 65535):
        return True
    if two.get("start_port") == -1:
        return False
    return bool(one["start_port"] <= two["start_port"] and two["end_port"] <= one["end_port"])


def _without_covered(rules: list[Rule]) -> list[Rule]:
    kept: list[Rule] = []
    for rule in rules:
        if not any(_covers(earlier, rule) for earlier in kept):
            kept.append(rule)
    return kept


def _plain(source: str, sink: str, action: str, rule_uuid: str, direction: str = ">") -> Rule:
    return {
        "match_condition": {
            "ethertype": None,
            "protocol": ANY,
            "src_address": {"virtual_network": source},
            "src_port": dict(EVERY_PORT),
            "dst_address": {"virtual_network": sink},
            "dst_port": dict(EVERY_PORT),
        },
        "action_list": {"simple_action": action},
        "rule_uuid": rule_uuid,
        "direction": direction,
    }


def _providers(network: Node) -> list[str]:
    """The provider networks that a network is linked to; the link is the same from either end."""
    return sorted(other.name for other in network.neighbours("virtual-network", PROVIDER_LINK))


def _is_special(graph: Graph, network: Node) -> bool:
    if any(policies_of(graph, network, dynamic=True)):
        return False
    properties = network.properties
    return bool(properties.get("is_provider_network") or properties.get("fabric_snat") or _providers(network))


def _without_subnet(address: Rule) -> Rule:
    """An address of a deny copy: one of a network is the whole network."""
    if not address.get("virtual_network"):
        return address
    return {name: value for name, value in address.items() if name not in ("subnet", "subnet_list")}


def _tail(network: Node, rules: list[Rule], logical_routers: bool) -> list[Rule]:
    """Own traffic passes; then, for networks that a router may join, what no rule allows is denied rule by rule."""
    tail = [_plain(network.name, network.name, "pass", OWN_RULE)]
    if network.properties.get("fabric_snat"):
        tail.append(_plain(network.name, FABRIC, "pass", OWN_RULE, "<>"))
        tail.append(_plain(network.name, ANY, "deny", DENY_RULE, "<>"))
    if not logical_routers:
        return [*tail, _plain(ANY, ANY, "deny", DENY_RULE)]
    for rule in rules:
        match = {**rule["match_condition"], "protocol": ANY}
        match["src_address"] = _without_subnet(match["src_address"])
        match["dst_address"] = _without_subnet(match["dst_address"])
        match["src_port"], match["dst_port"] = dict(EVERY_PORT), dict(EVERY_PORT)
        tail.append({**rule, "match_condition": match, "action_list": {"simple_action": "deny"}})
    shut = [ANY] if network.properties.get("is_provider_network") else _providers(network)
    tail.extend(_plain(network.name, other, "deny", DENY_RULE, "<>") for other in shut)
    return [*_without_covered(tail), _plain(ANY, ANY, "pass", OWN_RULE)]
