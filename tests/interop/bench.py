"""Where an interop test stands: a private reactor that turns only while the test waits, our speaker, their daemon."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from interop.daemons import Daemon
from twisted.internet.epollreactor import EPollReactor

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.pcap import Capture
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.handler import NullHandler
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.settings import SpeakerSettings
from contrail_emulator.control.bgp.speaker import Speaker
from contrail_emulator.control.bgp.timers import TimerSettings
from contrail_emulator.control.bgp.update import Received

_REACTOR: Callable[[], Any] = EPollReactor

OURS = "127.0.1.1"
THEIRS = "127.0.1.2"


class Routes(NullHandler):
    """What peers told us. `table` maps (peer, family, key) to (attributes, payload).

    `send_end_of_rib`: say so for every family when a session comes up; a restarting speaker waits for it.
    """

    def __init__(self) -> None:
        self.send_end_of_rib = False
        self.told: list[str] = []
        self.table: dict[tuple[str, Family, bytes], tuple[Any, bytes]] = {}
        self.complete: set[Family] = set()
        self.reasons: list[CloseReason] = []

    def established(self, peer: Peer) -> None:
        self.told.append("established")
        self.complete.clear()
        if self.send_end_of_rib and peer.negotiated is not None:
            for family in peer.negotiated.families:
                peer.send_end_of_rib(family)

    def received(self, peer: Peer, update: Received) -> None:
        for reach in update.reach:
            for key, payload in reach.routes:
                self.table[peer.name, reach.family, key] = reach.attributes, payload
        for unreach in update.unreach:
            for key in unreach.keys:
                self.table.pop((peer.name, unreach.family, key), None)

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        self.told.append(f"end-of-rib {family.config_name}")
        self.complete.add(family)

    def closed(self, peer: Peer, reason: CloseReason) -> None:
        self.told.append(f"closed{' gracefully' if reason.graceful else ''}")
        self.reasons.append(reason)

    def sweep_stale(self, peer: Peer) -> None:
        self.told.append("sweep")

    def long_lived_stale(self, peer: Peer) -> None:
        self.told.append("long-lived stale")


class Bench:
    """One test's speakers and daemons. `directory` is where daemons keep their files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.routes = Routes()
        self.reactor: Any = _REACTOR()
        self.daemon: Daemon
        self.speakers: list[Speaker] = []
        self._daemons: list[Daemon] = []

    def speaker(self, behaviour: Behaviour = CONTRAIL, capture: Capture | None = None, **settings: Any) -> Speaker:
        """Ours, listening on 127.0.1.1 and a free port. Its idle hold and connect times are short."""
        made = Speaker(
            self.reactor,
            SpeakerSettings(
                **{
                    "autonomous_system": 64512,
                    "router_id": "10.255.0.1",
                    "address": OURS,
                    "port": 0,
                    "hold_time": 30,
                    "timers": TimerSettings(idle_hold=0.5, connect=(0.05, 0.5)),
                    **settings,
                }
            ),
            self.routes,
            behaviour=behaviour,
            rng=Random(1),
            capture=capture,
        )
        self.speakers.append(made)
        made.listen()
        return made

    def start(self, daemon: Daemon) -> None:
        """Start a daemon; it is stopped at the end of the test."""
        self._daemons.append(daemon)
        daemon.start()

    def turn(self, seconds: float) -> None:
        """Let the reactor run for so long, and for three turns at least: a busy machine may not come back in time."""
        end = time.monotonic() + seconds
        turns = 0
        while turns < 3 or time.monotonic() < end:
            self.reactor.iterate(0.02)
            turns += 1

    def until(self, done: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
        """Let the reactor run until `done`. AssertionError with the daemons' logs when it takes longer."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                logs = "\n".join(daemon.log_text() for daemon in self._daemons)
                raise AssertionError(f"not in {seconds} s: {what}; we were told {self.routes.told}\n{logs[-6000:]}")
            self.reactor.iterate(0.02)

    def up(self, peer: Peer, seconds: float = 90.0) -> None:
        """Wait for an established session."""
        self.until(lambda: peer.state is State.ESTABLISHED, f"session with {peer.name}", seconds)

    def close(self) -> None:
        stopped = [speaker.stop() for speaker in self.speakers]
        end = time.monotonic() + 5
        while not all(deferred.called for deferred in stopped) and time.monotonic() < end:
            self.reactor.iterate(0.02)
        for daemon in self._daemons:
            daemon.stop()
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.reactor.removeAll()
