"""The forwarding model with its fabric port, as an agent uses it: in a lab and as a daemon of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from contrail_emulator.agent.ksync import ModelDataPlane
from contrail_emulator.base.pcap import Capture
from contrail_emulator.vrouter_model.ports.fabric_udp import FabricPort
from contrail_emulator.vrouter_model.vrouter import VRouter

FABRIC_VIF = 0


@dataclass(frozen=True, slots=True)
class ModelPlane:
    """A vRouter, the agent's view of it, and its port to the fabric; the owner starts and stops the port."""

    vrouter: VRouter
    data_plane: ModelDataPlane
    fabric: FabricPort


def model_plane(
    reactor: Any, rng: Random, bind: str, underlay: Mapping[str, str], capture: Capture | None = None
) -> ModelPlane:
    """`underlay`: by tunnel address, the address its fabric port is bound to."""
    vrouter = VRouter(reactor.seconds, rng)
    fabric = FabricPort(reactor, bind, dict(underlay), vrouter, FABRIC_VIF, capture)
    return ModelPlane(vrouter, ModelDataPlane(vrouter), fabric)
