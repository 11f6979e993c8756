"""The lab's own pages: its status, and `ping` from a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from contrail_emulator.base.introspect import Page, PageError

from .errors import LabError

if TYPE_CHECKING:
    from .lab import Lab

MAX_COUNT = 1000


def lab_pages(lab: Lab) -> Sequence[Page]:
    return (
        Page("status", lambda arguments: asdict(lab.status()), "sessions, and what is still awaited"),
        Page(
            "ping",
            lambda arguments: Deferred.fromCoroutine(_ping(lab, arguments)),
            "ping?machine=…&address=…&count=…",
            ("machine", "address", "count"),
        ),
    )


async def _ping(lab: Lab, arguments: Mapping[str, str]) -> dict[str, Any]:
    try:
        name, address = arguments["machine"], IPv4Address(arguments["address"])
        count = int(arguments.get("count", "1"))
    except (KeyError, ValueError) as error:
        raise PageError(f"ping: expected machine, address and count: {error}") from error
    if not 1 <= count <= MAX_COUNT:
        raise PageError(f"ping: count: expected 1 to {MAX_COUNT}")
    try:
        compute = lab.compute_of(name)
    except LabError as error:
        raise PageError(str(error), 404) from error
    before = compute.drops.copy()
    result = await compute.machines[name].ping(address, count)
    lost = compute.drops - before
    return {
        "sent": result.sent,
        "received": result.received,
        "times": result.times,
        "drops": [f"{compute.name} dropped {number}: {reason}" for reason, number in lost.items()]
        if result.received < result.sent
        else [],
    }
