"""What became of every packet: drops by reason, and totals that must balance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .drops import Drop


@dataclass(slots=True)
class Totals:
    """Where packets came from and where they went.

    Each packet that enters (`received`, `injected` by the agent, or `cloned` inside) ends exactly once: `sent` out of a
    vif, `trapped` to the agent, `dropped`, or is still `held` by a flow that waits for the agent or as a fragment.
    """

    received: int = 0
    injected: int = 0
    cloned: int = 0
    sent: int = 0
    trapped: int = 0
    dropped: int = 0
    held: int = 0

    def balance(self) -> int:
        """0 when nothing was lost and nothing was counted twice."""
        return self.received + self.injected + self.cloned - self.sent - self.trapped - self.dropped - self.held


class VrfStats(Counter[str]):
    """Per VRF counters by the names of vr_vrf_stats_req (reference/vrouter.md 10)."""


def describe(reason: Drop, detail: str = "") -> str:
    """A drop for people: `Flow Action Drop (NoDstRt)`."""
    return f"{reason.label} ({detail})" if detail else reason.label


