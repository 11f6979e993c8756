"""When a lab has converged: every session up, every machine's interface active, every route where traffic needs it.

Nothing here asks a daemon whether it believes to be done: what must be there follows from the lab file alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from .model import ControlNode, GatewayRoute, LabFile, Network
from .objects import instance_name
from .status import Goal, LabStatus, SessionStatus

if TYPE_CHECKING:
    from .lab import Lab

CONTROL_NODES_PER_AGENT = 2
ESTABLISHED = "Established"


def status_of(lab: Lab) -> LabStatus:
    """The lab's sessions and goals at this moment."""
    return LabStatus(lab.reactor.seconds() - lab.started, tuple(sessions_of(lab)), tuple(_goals(lab)))


def connected(network: Network, other: Network) -> bool:
    """Whether routes of `other` reach `network`: they are the same, or share a route target."""
    return network is other or bool(set(network.route_targets) & set(other.route_targets))


def imported(network: Network, route: GatewayRoute) -> bool:
    """Whether a router's VPN route reaches the network."""
    return route.family == "inet-vpn" and bool(set(network.route_targets) & set(route.route_targets))


def wanted_prefixes(lab: Lab, network: Network) -> set[str]:
    """The prefixes that an agent with a machine in `network` must have in its routing instance."""
    return _wanted(lab, network, _hosts(lab))


def _hosts(lab: Lab) -> dict[str, list[str]]:
    """The prefixes of each network's machines. Read once for all networks: there may be thousands of machines."""
    hosts: dict[str, list[str]] = {network.name: [] for network in lab.file.networks}
    for agent in lab.file.agents:
        for machine in agent.machines:
            hosts[machine.network].append(f"{lab.addresses[machine.name]}/32")
    return hosts


def _wanted(lab: Lab, network: Network, hosts: Mapping[str, list[str]]) -> set[str]:
    wanted: set[str] = set()
    for other in lab.file.networks:
        if connected(network, other):
            wanted.update(hosts[other.name])
    for peer in lab.file.bgp_peers:
        wanted.update(str(route.prefix) for route in peer.routes if imported(network, route))
    return wanted


def sessions_of(lab: Lab) -> Iterator[SessionStatus]:
    """The lab's sessions alone: with thousands of machines that is much less work than the goals."""
    yield from _bgp(lab)
    yield from _xmpp(lab)
    if lab.dns is not None:
        connected_agents = {session.peer_name for session in lab.dns.sessions}
        for agent in lab.file.agents:
            up = f"{agent.name}/dns" in connected_agents
            yield SessionStatus("DNS", "dns", agent.name, ESTABLISHED if up else "not connected yet", up)


def mesh(nodes: Sequence[ControlNode]) -> Iterator[tuple[str, str]]:
    """The control nodes that peer: all, or with route reflectors each pair that has one (reference/config.md 5.6)."""
    reflected = any(node.cluster_id for node in nodes)
    for one, two in combinations(nodes, 2):
        if not reflected or one.cluster_id or two.cluster_id:
            yield one.name, two.name


def _bgp(lab: Lab) -> Iterator[SessionStatus]:
    """Each session once, as the first control node of the two sees it."""
    external = {peer.name for peer in lab.file.bgp_peers if peer.kind == "external"}
    kinds = {peer.name: f"{peer.kind}, AS {peer.autonomous_system}" for peer in lab.file.bgp_peers}
    wanted = [*mesh(lab.file.control_nodes)]
    wanted += [(node.name, peer.name) for node in lab.file.control_nodes for peer in lab.file.bgp_peers]
    seen: set[frozenset[str]] = set()
    for name, control in lab.control.items():
        plane = control.plane
        for peer in plane.speaker.peers.values() if plane is not None else ():
            pair = frozenset((name, peer.name))
            if plane is None or pair in seen:
                continue
            seen.add(pair)
            row = plane.peers.row(peer.name)
            state = peer.state.value
            up = state == ESTABLISHED or peer.name in external
            routes = (row.get("routes_in"), row.get("routes_out"))
            error = str(peer.rows().get("last_error") or "")
            yield SessionStatus("BGP", name, peer.name, state, up, *routes, kinds.get(peer.name, ""), error)
    for one, two in wanted:
        if frozenset((one, two)) not in seen:
            yield SessionStatus("BGP", one, two, "not configured yet", two in external)


def _xmpp(lab: Lab) -> Iterator[SessionStatus]:
    """Each agent has sessions with two control nodes; with more of them it chooses, and what lacks is said last."""
    names = [node.name for node in lab.file.control_nodes]
    wanted = min(CONTROL_NODES_PER_AGENT, len(names))
    established: Counter[str] = Counter()
    lacking: dict[str, list[str]] = {}
    for name in names:
        control = lab.control.get(name)
        plane = control.plane if control is not None else None
        rows = {row["peer"]: row for row in plane.agents.rows()} if plane is not None else {}
        for agent in lab.file.agents:
            row = rows.get(agent.name, {})
            state = str(row.get("state", "not connected yet"))
            up = state == ESTABLISHED
            established[agent.name] += up
            if up or len(names) == wanted:
                yield SessionStatus("XMPP", name, agent.name, state, up, row.get("routes_in"), row.get("routes_out"))
            else:
                lacking.setdefault(agent.name, []).append(name)
    for agent_name, others in lacking.items():
        for _ in range(wanted - established[agent_name]):
            yield SessionStatus("XMPP", " or ".join(others), agent_name, "not connected yet", False)


def _goals(lab: Lab) -> Iterator[Goal]:
    yield _machines(lab)
    yield _agent_routes(lab)
    for name, router in lab.routers.items():
        learnt = router.learnt
        if learnt is not None and any(peer.name == name and "inet-vpn" in peer.families for peer in lab.file.bgp_peers):
            yield _router_routes(lab.file, name, learnt, lab)
    if lab.dns is not None:
        yield _names(lab)


def _machines(lab: Lab) -> Goal:
    wanted = reached = 0
    missing = ""
    for agent in lab.file.agents:
        compute = lab.computes.get(agent.name)
        for machine in agent.machines:
            wanted += 1
            plugged = compute is not None and compute.has(machine.name)
            if compute is not None and plugged and compute.active(machine.name):
                reached += 1
            elif not missing:
                why = compute.why_inactive(machine.name) if compute is not None and plugged else "no agent"
                missing = f"{machine.name}: {why}"
    return Goal("machines connected", reached, wanted, missing)


def _agent_routes(lab: Lab) -> Goal:
    wanted = reached = 0
    missing = ""
    hosts = _hosts(lab)
    needs = {network.name: _wanted(lab, network, hosts) for network in lab.file.networks}
    for agent in lab.file.agents:
        compute = lab.computes.get(agent.name)
        tables = compute.tables() if compute is not None else {}
        for name in dict.fromkeys(machine.network for machine in agent.machines):
            network = lab.file.network(name)
            if network.forwarding_mode == "l2":
                continue
            needed = needs[name]
            have = tables.get(instance_name(lab.file, network), set())
            wanted += len(needed)
            reached += len(needed & have)
            if not missing and needed - have:
                missing = f"{agent.name}: {name}: {', '.join(sorted(needed - have))}"
    return Goal("routes at agents", reached, wanted, missing)


def _router_routes(file: LabFile, name: str, learnt: set[str], lab: Lab) -> Goal:
    wanted = {
        f"{lab.addresses[machine.name]}/32"
        for agent in file.agents
        for machine in agent.machines
        if file.network(machine.network).forwarding_mode != "l2"
    }
    missing = wanted - learnt
    return Goal(f"routes at {name}", len(wanted) - len(missing), len(wanted), ", ".join(sorted(missing)))


def _names(lab: Lab) -> Goal:
    assert lab.dns is not None
    wanted = {machine.name for agent in lab.file.agents for machine in agent.machines}
    rows = lab.dns.rows("records")
    known = {str(row["rec_name"]) for row in rows if row["installed"] and row["rec_type"] == "A"} & wanted
    return Goal("names in DNS", len(known), len(wanted), ", ".join(sorted(wanted - known)))
