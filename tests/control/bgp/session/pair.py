"""Two speakers in memory, and a handler that writes down what it was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from control.bgp.session.memory import MemoryNetwork
from twisted.internet.defer import Deferred

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.settings import PeerSettings, SpeakerSettings
from contrail_emulator.control.bgp.speaker import Speaker
from contrail_emulator.control.bgp.update import Received

FAMILIES = (Family.INET, Family.INET_VPN, Family.ROUTE_TARGET)


class Recorder:
    """A Handler. `told` has one line per event, `routes` every Received; `closing` is what close events return."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.routes: list[Received] = []
        self.reasons: list[CloseReason] = []
        self.closing: Deferred[None] | None = None
        self.on_unblocked: Callable[[], None] = lambda: None
        self.on_received: Callable[[Peer, Received], None] = lambda peer, update: None

    def established(self, peer: Peer) -> None:
        self.told.append(f"established {peer.name}")

    def received(self, peer: Peer, update: Received) -> None:
        self.routes.append(update)
        self.on_received(peer, update)

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        self.told.append(f"end-of-rib {family.config_name}{' assumed' if assumed else ''}")

    def closed(self, peer: Peer, reason: CloseReason) -> Deferred[None] | None:
        self.told.append(f"closed {peer.name}{' gracefully' if reason.graceful else ''}")
        self.reasons.append(reason)
        return self.closing

    def long_lived_stale(self, peer: Peer) -> Deferred[None] | None:
        self.told.append("long-lived stale")
        return self.closing

    def sweep_stale(self, peer: Peer) -> Deferred[None] | None:
        self.told.append("sweep")
        return self.closing

    def unblocked(self, peer: Peer) -> None:
        self.told.append("unblocked")
        self.on_unblocked()

    def refresh(self, peer: Peer, family: Family) -> None:
        self.told.append(f"refresh {family.config_name}")


class Node:
    """A speaker with its recorder, listening on its own loopback address, port 179."""

    def __init__(self, network: MemoryNetwork, number: int, behaviour: Behaviour = CONTRAIL, **settings: Any) -> None:
        self.address = f"127.0.1.{number}"
        self.recorder = Recorder()
        self.settings = SpeakerSettings(
            **{
                "autonomous_system": 64512,
                "router_id": f"10.0.0.{number}",
                "address": self.address,
                **settings,
            }
        )
        self.speaker = Speaker(network, self.settings, self.recorder, behaviour=behaviour, rng=Random(number))
        self.speaker.listen()

    def peer_settings(self, other: Node, **changes: Any) -> PeerSettings:
        settings = PeerSettings(
            name=f"to-{other.address}",
            address=other.address,
            autonomous_system=other.settings.autonomous_system,
            families=FAMILIES,
        )
        return replace(settings, **changes)

    def add(self, other: Node, **changes: Any) -> Peer:
        return self.speaker.add_peer(self.peer_settings(other, **changes))

    @property
    def peer(self) -> Peer:
        """Its only peer."""
        (peer,) = self.speaker.peers.values()
        return peer

    @property
    def up(self) -> bool:
        return self.peer.state is State.ESTABLISHED


def join(network: MemoryNetwork, left: Node, right: Node, **changes: Any) -> None:
    """Make them peers, the right one passive, and wait until both are established."""
    right.add(left, passive=True, **changes)
    left.add(right, **changes)
    network.run_until(lambda: left.up and right.up)
