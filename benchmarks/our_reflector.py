"""Our side of the reflection benchmark: speaker, channels and routing core of a control node, without configuration.

    python benchmarks/our_reflector.py ADDRESS PORT FAMILY CLIENT_ADDRESS... [--profile FILE]

Says `ready` when it listens, ends on SIGTERM. The profile is cProfile's.
"""

from __future__ import annotations

import argparse
import cProfile
import sys
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).parent))

from bgp_messages import AS
from twisted.internet import reactor as installed_reactor

from contrail_emulator.base.behaviour import CONTRAIL
from contrail_emulator.base.garbage import tune
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.settings import PeerSettings, SpeakerSettings
from contrail_emulator.control.bgp.speaker import Speaker
from contrail_emulator.control.channels.bgp_encoder import BgpEncoder
from contrail_emulator.control.channels.bgp_peer import Local
from contrail_emulator.control.channels.bgp_peers import BgpPeers
from contrail_emulator.control.flusher import Flusher
from contrail_emulator.control.routing import CoreSettings, RoutingCore


def start(reactor: Any, address: str, port: int, family: Family, clients: list[str]) -> None:
    """The daemon: route reflector for all clients."""
    router_id = int(IPv4Address("10.255.0.1"))

    def pause() -> None:
        for peer in speaker.peers.values():
            peer.pause_reading()

    def resume() -> None:
        for peer in speaker.peers.values():
            peer.resume_reading()

    flusher = Flusher(reactor, pause, resume)
    core = RoutingCore(
        CoreSettings(autonomous_system=AS, router_id=router_id, cluster_id=router_id),
        {"bgp": BgpEncoder(CONTRAIL)},
        CONTRAIL,
        flusher.wake,
    )
    flusher.drive(core)
    local = Local(
        autonomous_system=AS,
        router_id=router_id,
        cluster_id=router_id,
        started=reactor.seconds(),
        end_of_rib_timeout=30.0,
        hold_back_end_of_rib=CONTRAIL.hold_back_end_of_rib,
        configured=lambda: True,
    )
    settings = SpeakerSettings(
        autonomous_system=AS, router_id="10.255.0.1", address=address, port=port, hold_time=600
    )
    speaker = Speaker(
        reactor, settings, BgpPeers(reactor, core, local), behaviour=CONTRAIL, rng=Random(1), capture=None
    )
    for client in clients:
        speaker.add_peer(
            PeerSettings(name=client, address=client, passive=True, autonomous_system=AS, families=(family,))
        )
    speaker.listen().addCallback(lambda _: print("ready", flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("family")
    parser.add_argument("clients", nargs="+")
    parser.add_argument("--profile")
    options = parser.parse_args()
    reactor: Any = installed_reactor
    family = Family.from_name(options.family)
    reactor.callWhenRunning(start, reactor, options.address, options.port, family, options.clients)
    tune()
    if not options.profile:
        reactor.run()
        return
    profile = cProfile.Profile()
    profile.runcall(reactor.run)
    profile.dump_stats(options.profile)


if __name__ == "__main__":
    main()
