"""Rules of the policies of a network, in order, and the networks they connect (reference/config.md 5.3)."""

from typing import Any

from contrail_emulator.config.graph import Graph, Node

from .wiring import project_of

POLICY_LINK = "virtual-network-network-policy"
ANY = "any"
LOCAL = "local"
LAST = 1 << 31


def policies_of(graph: Graph, network: Node, dynamic: bool = False) -> list[Node]:
    """The policies attached to a network by (major, minor) of the attachment; those with a timer when `dynamic`."""
    found = []
    for middle in network.neighbours(POLICY_LINK, POLICY_LINK):
        attribute = middle.properties.get("value") or {}
        timer = attribute.get("timer") or {}
        if dynamic != any(value is not None for value in timer.values()):
            continue
        sequence = attribute.get("sequence")
        order = (LAST, LAST) if not sequence else (sequence.get("major") or 0, sequence.get("minor") or 0)
        policy = middle.neighbour("network-policy", POLICY_LINK)
        if policy is not None and policy.present:
            found.append((order, policy.name, policy))
    return [policy for _, _, policy in sorted(found, key=lambda entry: entry[:2])]


def networks_of(policy: Node) -> list[Node]:
    """The networks a policy is attached to."""
    return [
        network
        for middle in policy.neighbours(POLICY_LINK, POLICY_LINK)
        for network in middle.neighbours("virtual-network", POLICY_LINK)
        if network.present
    ]


def rules_of(policy: Node) -> list[dict[str, Any]]:
    """A policy's rules."""
    return (policy.properties.get("network_policy_entries") or {}).get("policy_rule") or []


def resolve(graph: Graph, network: Node, address: dict[str, Any]) -> list[dict[str, Any]]:
    """One address of a rule as seen from `network`: `local` named, a policy as the networks that use it."""
    if address.get("network_policy"):
        policy = graph.get("network-policy", address["network_policy"])
        users = sorted(user.name for user in networks_of(policy)) if policy is not None else []
        return [{**address, "network_policy": None, "virtual_network": name} for name in users]
    if address.get("virtual_network") == LOCAL:
        return [{**address, "virtual_network": network.name}]
    return [address]


def _connects(rule: dict[str, Any]) -> bool:
    action = rule.get("action_list") or {}
    return action.get("simple_action") != "deny" and not action.get("apply_service")


def connected(graph: Graph, network: Node) -> set[str]:
    """The networks that this network's policies name as the other side; `any` for all."""
    found: set[str] = set()
    for policy in policies_of(graph, network) + policies_of(graph, network, dynamic=True):
        for rule in rules_of(policy):
            if not _connects(rule):
                continue
            sources = [a for entry in rule.get("src_addresses") or [] for a in resolve(graph, network, entry)]
            sinks = [a for entry in rule.get("dst_addresses") or [] for a in resolve(graph, network, entry)]
            for source in sources:
                for sink in sinks:
                    here, there = source.get("virtual_network"), sink.get("virtual_network")
                    if here in (network.name, ANY) and there:
                        found.add(there)
                    if there in (network.name, ANY) and here:
                        found.add(here)
    found.discard(network.name)
    return found


def lists(graph: Graph, network: Node, other: Node, cache: dict[Node, set[str]] | None = None) -> bool:
    """Does `network` list `other`? `any` means the networks of its project and those that name it."""
    cache = {} if cache is None else cache
    names = cache.setdefault(network, connected(graph, network)) if network not in cache else cache[network]
    if other.name in names:
        return True
    if ANY not in names:
        return False
    if project_of(network.name) == project_of(other.name):
        return True
    if other not in cache:
        cache[other] = connected(graph, other)
    return network.name in cache[other]


def connections(graph: Graph, network: Node) -> list[Node]:
    """The networks connected to this one: each of the two lists the other."""
    cache: dict[Node, set[str]] = {network: connected(graph, network)}
    names = cache[network]
    if not names:
        return []
    candidates = (
        [node for node in graph.nodes("virtual-network") if node.present]
        if ANY in names
        else [node for name in names if (node := graph.get("virtual-network", name)) is not None and node.present]
    )
    return [
        other
        for other in candidates
        if other is not network and lists(graph, network, other, cache) and lists(graph, other, network, cache)
    ]
