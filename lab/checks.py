"""What a lab should do once it has converged, tried with real packets: derived from the lab file, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from .convergence import imported, wanted_prefixes
from .errors import LabError
from .machine import NoAnswer
from .model import BgpPeer, GatewayRoute, Machine
from .objects import instance_name

if TYPE_CHECKING:
    from .lab import Lab

Placed = tuple[str, Machine]
"""An agent's name and a machine on it."""
WITHDRAW_SECONDS = 10.0
CHECK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, whether it held, and what was seen."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns what was seen, or raises CheckFailed with it."""

    name: str
    run: Callable[[], Awaitable[str]]


class CheckFailed(Exception):
    """A check did not hold; `str()` is what was seen instead."""


async def run(check: Check, reactor: Any) -> CheckResult:
    """Runs one check; a fault of the lab itself fails it too, and so does one that never ends."""

    async def attempt() -> str:
        return await check.run()

    running = Deferred.fromCoroutine(attempt())
    running.addTimeout(CHECK_SECONDS, reactor)
    try:
        return CheckResult(check.name, True, await running)
    except DeferredTimeout:
        return CheckResult(check.name, False, f"not done within {CHECK_SECONDS:g} s")
    except (CheckFailed, LabError, NoAnswer) as error:
        return CheckResult(check.name, False, str(error))


def checks(lab: Lab) -> Iterator[Check]:
    """What can be tried with this lab: reachability within and between networks, a gateway's route, a name."""
    placed = [
        (agent.name, machine)
        for agent in lab.file.agents
        for machine in agent.machines
        if agent.dataplane == "model"
        and machine.port == "memory"
        and lab.file.network(machine.network).forwarding_mode != "l2"
    ]
    pair = _neighbours(placed)
    if pair is not None:
        here, there = pair[0][1].name, pair[1][1].name
        yield Check(f"{here} pings {there}", partial(_reaches, lab, here, there))
    apart = _apart(lab, placed)
    if apart is not None:
        here, there = apart[0][1].name, apart[1][1].name
        yield Check(f"{here} cannot reach {there} (another network)", partial(_does_not_reach, lab, here, there))
    through = _gateway_route(lab, [machine for _, machine in placed])
    if through is not None:
        name, peer, route = through
        where = f"{name}'s packet to {_inside(route)} leaves towards {peer.name}"
        yield Check(where, partial(_leaves_tunnelled, lab, name, peer, route))
    if lab.file.dns is not None and pair is not None:
        here, there = pair[0][1].name, pair[1][1].name
        full = f"{there}.{lab.file.dns.domain}"
        yield Check(f"{full} resolves for {here}", partial(_resolves, lab, here, there, full))
    if through is not None:
        name, peer, route = through
        title = f"withdrawing {route.prefix} at {peer.name} removes it from the agents"
        yield Check(title, partial(_withdrawn, lab, peer, route))


async def _reaches(lab: Lab, here: str, there: str) -> str:
    compute = lab.compute_of(here)
    before = compute.drops.copy()
    result = await lab.machines[here].ping(lab.addresses[there], count=1)
    if result.received != 1:
        raise CheckFailed(f"no answer from {lab.addresses[there]}{_drops(compute.drops - before)}")
    return f"{lab.addresses[there]} answered in {result.times[0] * 1000:.1f} ms"


async def _does_not_reach(lab: Lab, here: str, there: str) -> str:
    compute = lab.compute_of(here)
    before = compute.drops.copy()
    result = await lab.machines[here].ping(lab.addresses[there], count=1, timeout=1.0)
    lost = compute.drops - before
    if result.received:
        raise CheckFailed(f"{lab.addresses[there]} answered")
    if not lost:
        raise CheckFailed("no answer, but nothing was dropped: the packet never reached the vRouter")
    return f"no answer from {lab.addresses[there]}; {compute.name} dropped it: {', '.join(lost)}"


async def _leaves_tunnelled(lab: Lab, name: str, peer: BgpPeer, route: GatewayRoute) -> str:
    fabric = lab.fabrics[peer.name]
    compute = lab.compute_of(name)
    target = _inside(route)
    already, before = len(fabric.received), compute.drops.copy()
    await lab.machines[name].ping(target, count=1, timeout=0.2)
    arrived = [seen for seen in list(fabric.received)[already:] if seen.packet.destination == target.packed]
    if not arrived:
        tunnel = route.next_hop or peer.router_id
        nowhere = "" if tunnel in lab.file.underlay else f"; the underlay names no address for {tunnel}"
        raise CheckFailed(f"nothing for {target} arrived at {peer.name}{_drops(compute.drops - before)}{nowhere}")
    seen = arrived[0]
    if seen.labels != (route.label,):
        raise CheckFailed(f"it arrived with labels {seen.labels}, not {route.label}")
    next_hop = route.next_hop or peer.router_id
    return f"MPLS over UDP from {seen.sender}, label {seen.labels[0]}, next hop {next_hop}"


async def _resolves(lab: Lab, here: str, there: str, full: str) -> str:
    answers = await lab.machines[here].resolve(full)
    if answers != [str(lab.addresses[there])]:
        raise CheckFailed(f"answered {', '.join(answers) or 'nothing'}, not {lab.addresses[there]}")
    return answers[0]


async def _withdrawn(lab: Lab, peer: BgpPeer, route: GatewayRoute) -> str:
    holders = [
        (compute, instance_name(lab.file, network))
        for compute in lab.computes.values()
        for network in lab.file.networks
        if imported(network, route) and str(route.prefix) in compute.prefixes(instance_name(lab.file, network))
    ]
    if not holders:
        raise CheckFailed(f"no agent had {route.prefix} to begin with")
    began = lab.reactor.seconds()
    await lab.routers[peer.name].withdraw(route)
    try:
        await lab.wait_for(
            f"{route.prefix} gone from {', '.join(compute.name for compute, _ in holders)}",
            lambda: not any(str(route.prefix) in compute.prefixes(instance) for compute, instance in holders),
            WITHDRAW_SECONDS,
        )
        took = lab.reactor.seconds() - began
    finally:
        await lab.routers[peer.name].announce(route)
    await lab.wait_for(
        f"{route.prefix} back at the agents",
        lambda: all(str(route.prefix) in compute.prefixes(instance) for compute, instance in holders),
        WITHDRAW_SECONDS,
    )
    names = ", ".join(dict.fromkeys(compute.name for compute, _ in holders))
    return f"gone from {names} in {took:.2f} s"


# Which machines: a lab may have thousands, and trying each pair of them would take longer than the lab lives.


def _neighbours(placed: Sequence[Placed]) -> tuple[Placed, Placed] | None:
    """Two machines of one network, if possible not on the same agent."""
    networks: dict[str, list[Placed]] = {}
    for one in placed:
        networks.setdefault(one[1].network, []).append(one)
    for first, *others in networks.values():
        for other in others:
            if other[0] != first[0]:
                return first, other
    return next(((several[0], several[1]) for several in networks.values() if len(several) > 1), None)


def _apart(lab: Lab, placed: Sequence[Placed]) -> tuple[Placed, Placed] | None:
    """A machine, and a later one to which no route of the first one's network leads.

    What holds of a network's first machine holds of its later ones: one of each network is tried.
    """
    tried: set[str] = set()
    for index, here in enumerate(placed):
        if here[1].network in tried:
            continue
        tried.add(here[1].network)
        prefixes = [IPv4Network(text) for text in wanted_prefixes(lab, lab.file.network(here[1].network))]
        hosts = {prefix.network_address for prefix in prefixes if prefix.prefixlen == prefix.max_prefixlen}
        wider = [prefix for prefix in prefixes if prefix.prefixlen < prefix.max_prefixlen]
        for there in placed[index + 1 :]:
            target = lab.addresses[there[1].name]
            if target not in hosts and not any(target in prefix for prefix in wider):
                return here, there
    return None


def _gateway_route(lab: Lab, machines: Sequence[Machine]) -> tuple[str, BgpPeer, GatewayRoute] | None:
    """A router's route that nobody else supplies and that covers no machine, with a machine that has it."""
    supplied = Counter(route.prefix for peer in lab.file.bgp_peers for route in peer.routes)
    for peer in lab.file.bgp_peers:
        for route in peer.routes:
            taken = supplied[route.prefix] > 1 or any(address in route.prefix for address in lab.addresses.values())
            for machine in machines:
                if peer.name in lab.fabrics and not taken and imported(lab.file.network(machine.network), route):
                    return machine.name, peer, route
    return None


def _inside(route: GatewayRoute) -> IPv4Address:
    """An address in the route's prefix: the fifth, as in 203.0.113.5."""
    return route.prefix[min(5, route.prefix.num_addresses - 1)]


def _drops(lost: Counter[str]) -> str:
    return f"; dropped: {', '.join(lost)}" if lost else ""
