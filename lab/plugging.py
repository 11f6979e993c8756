"""Machines are plugged in a portion at a time, as in a cloud they come one after the other.

One process has all agents and control nodes. With thousands of machines at once they would work on what they have heard
for so long without reading on that the system ended their connections (TCP user time-out), and begin anew for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.task import deferLater

from .compute import Compute
from .model import Machine

PORTION = 250
CONNECTED_SECONDS = 30.0
"""How long a portion may take before the next one comes all the same."""
POLL_SECONDS = 0.05

Placed = Sequence[tuple[Compute, Machine]]


async def plug(
    reactor: Any, placed: Placed, addresses: Mapping[str, IPv4Address], progress: Callable[[str], None]
) -> None:
    """Plugs all machines in; returns when there are no more than a portion of which nobody knows whether they work."""
    patient = True
    for first in range(0, len(placed), PORTION):
        portion = placed[first : first + PORTION]
        for compute, machine in portion:
            compute.plug(machine, addresses[machine.name])
        progress(f"machines: {first + len(portion)} of {len(placed)}")
        if first + PORTION < len(placed) and patient:
            patient = await _connected(reactor, portion)


async def _connected(reactor: Any, portion: Placed) -> bool:
    """Waits until these machines are connected. False when none was in all that time: then waiting is of no use."""
    deadline = reactor.seconds() + CONNECTED_SECONDS
    waiting = list(portion)
    while waiting and reactor.seconds() < deadline:
        await deferLater(reactor, POLL_SECONDS, lambda: None)
        waiting = [(compute, machine) for compute, machine in waiting if not compute.active(machine.name)]
    return len(waiting) < len(portion)
