"""A control node between BGP peers, without configuration or agents: speaker, channels and routing core."""

from __future__ import annotations

from ipaddress import IPv4Address
from random import Random
from typing import Any

from interop.bench import OURS, Bench

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.settings import PeerSettings, SpeakerSettings
from contrail_emulator.control.bgp.speaker import Speaker
from contrail_emulator.control.bgp.timers import TimerSettings
from contrail_emulator.control.channels.bgp_encoder import BgpEncoder
from contrail_emulator.control.channels.bgp_peer import Local
from contrail_emulator.control.channels.bgp_peers import BgpPeers
from contrail_emulator.control.flusher import Flusher
from contrail_emulator.control.routing import CoreSettings, RoutingCore

AS = 64512
ROUTER_ID = "10.255.0.1"
OTHER_CLIENT = "127.0.1.3"
OTHER_ID = "10.255.1.3"


class Node:
    """Listens on OURS. With `cluster_id` it is a route reflector. It waits one second for a peer's route targets."""

    def __init__(self, bench: Bench, behaviour: Behaviour = CONTRAIL, cluster_id: str = ROUTER_ID) -> None:
        router_id, cluster = int(IPv4Address(ROUTER_ID)), int(IPv4Address(cluster_id))
        self.bench = bench
        self.flusher = Flusher(bench.reactor, lambda: None, lambda: None)
        settings = CoreSettings(autonomous_system=AS, router_id=router_id, cluster_id=cluster)
        self.core = RoutingCore(settings, {"bgp": BgpEncoder(behaviour)}, behaviour, self.flusher.wake)
        self.flusher.drive(self.core)
        local = Local(
            autonomous_system=AS,
            router_id=router_id,
            cluster_id=cluster,
            started=bench.reactor.seconds(),
            end_of_rib_timeout=5.0,
            hold_back_end_of_rib=behaviour.hold_back_end_of_rib,
            configured=lambda: True,
        )
        self.speaker = Speaker(
            bench.reactor,
            SpeakerSettings(
                autonomous_system=AS,
                router_id=ROUTER_ID,
                address=OURS,
                port=0,
                hold_time=30,
                timers=TimerSettings(idle_hold=0.5, connect=(0.05, 0.5), route_target_end_of_rib=1.0),
            ),
            BgpPeers(bench.reactor, self.core, local),
            behaviour=behaviour,
            rng=Random(1),
            capture=None,
        )
        bench.speakers.append(self.speaker)
        self.speaker.listen()

    @property
    def port(self) -> int:
        assert self.speaker.port is not None
        return self.speaker.port

    def add_peer(self, name: str, address: str, **settings: Any) -> Peer:
        """A peer that connects to us; in our own AS unless said otherwise."""
        wanted = {"autonomous_system": AS, "passive": True, **settings}
        return self.speaker.add_peer(PeerSettings(name=name, address=address, **wanted))

    def add_client(self, behaviour: Behaviour = CONTRAIL, **settings: Any) -> Peer:
        """A second client: a speaker of ours that has no tables. What it hears is in `bench.routes`; established."""
        here = self.add_peer("other", OTHER_CLIENT, **settings)
        speaker = self.bench.speaker(behaviour, address=OTHER_CLIENT, router_id=OTHER_ID)
        there = speaker.add_peer(
            PeerSettings(
                name="node", address=OURS, port=self.port, autonomous_system=AS, families=here.settings.families
            )
        )
        self.bench.up(there)
        return there
