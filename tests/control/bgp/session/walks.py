"""Random walks through whole sessions: a peer that says anything at any time, a clock that jumps, and what must hold.

One of our speakers stands in a network in memory; the peer is played by scripted connections both ways. After each step
the state machine must be able to go on by itself, and at the end of a walk a proper peer must get a session that lives.
`python tests/control/bgp/session/walks.py --walks 20000 --seed 7` runs a night's worth; a failed walk says its seed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from control.bgp.session.core import KEEPALIVE, an_open, notification, restart
from control.bgp.session.memory import MemoryNetwork, MemoryPort
from control.bgp.session.pair import FAMILIES, Node, Recorder
from control.bgp.wire import fuzzing
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Protocol

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.graceful_restart import Phase
from contrail_emulator.control.bgp.message import MARKER, RouteRefresh, frame, read_header
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.notification import Cease
from contrail_emulator.control.bgp.peer import PeerCore
from contrail_emulator.control.bgp.settings import FamilySettings, GracefulRestartSettings
from contrail_emulator.control.bgp.timers import Timer, TimerSettings

_PEER: Final = "127.0.1.2"
_ROUTES: Final = update.write(
    Family.INET, Attributes.make(next_hop=bytes((10, 0, 0, 1)), local_pref=100), [(b"\x08\x0a", b"")], True
)[0]
_END_OF_RIBS: Final = b"".join(update.end_of_rib(family) for family in FAMILIES)
_NAMES: Final = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "route_refresh"}
_JUMPS: Final = (0.0, 0.001, 0.1, 1.0, 2.5, 5.1, 16.0, 31.0, 61.0, 91.0, 241.0, 301.0, 1300.0)


class Script(Protocol):
    """A connection of the peer that says what it is told to."""

    def __init__(self, open_ones: list[Script]) -> None:
        self._open_ones = open_ones

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self._open_ones.append(self)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        self._open_ones.remove(self)


class _Scripts(ClientFactory):
    def __init__(self, open_ones: list[Script]) -> None:
        self._open_ones = open_ones

    def buildProtocol(self, addr: IAddress | None) -> Script:  # noqa: N802 - Twisted's name
        return Script(self._open_ones)


class Watcher(Recorder):
    """A handler that checks what it is told: sessions begin and end in turns, stale routes end in a sweep."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self.up = False
        self.stale = False
        self.complete: set[Family] = set()
        self.counts: Counter[str] = Counter()
        self.pending: list[Deferred[None]] = []
        self.slow = False

    def _later(self) -> Deferred[None] | None:
        if not self.slow or self._rng.random() < 0.5:
            return None
        self.pending.append(Deferred())
        return self.pending[-1]

    def established(self, peer: Peer) -> None:
        assert not self.up
        assert peer.negotiated is not None
        self.up = True
        self.complete.clear()
        self.counts["established"] += 1

    def received(self, peer: Peer, update: Any) -> None:
        assert self.up
        assert peer.negotiated is not None
        self.counts["reach"] += sum(len(reach.routes) for reach in update.reach)
        self.counts["unreach"] += sum(len(gone.keys) for gone in update.unreach)

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        assert self.up
        assert family not in self.complete
        self.complete.add(family)

    def closed(self, peer: Peer, reason: CloseReason) -> Deferred[None] | None:
        assert self.up
        self.up = False
        self.stale = reason.graceful
        self.counts["closed"] += 1
        self.counts["closed gracefully"] += reason.graceful
        self.counts[f"closed by {f'{reason.code}/{reason.subcode}' if reason.sent else 'them'}"] += 1
        return self._later()

    def long_lived_stale(self, peer: Peer) -> Deferred[None] | None:
        assert self.stale
        assert not self.up
        self.counts["long-lived stale"] += 1
        return self._later()

    def sweep_stale(self, peer: Peer) -> Deferred[None] | None:
        assert self.stale
        self.stale = False
        self.counts["swept while up" if self.up else "swept"] += 1
        return self._later()

    def refresh(self, peer: Peer, family: Family) -> None:
        assert self.up

    def unblocked(self, peer: Peer) -> None:
        assert not peer.blocked
        self.counts["unblocked"] += 1


class Walk:
    """One speaker with one peer, and everything that may happen to it."""

    def __init__(self, seed: int, seeds: list[bytes]) -> None:
        self.rng = rng = Random(seed)
        self.seeds = seeds
        self.network = MemoryNetwork(chunk=rng.choice((None, None, 1, 7, 100)))
        self.behaviour = rng.choice((CONTRAIL, RFC))
        knobs = GracefulRestartSettings(enabled=True, helper=rng.random() < 0.8, time=rng.choice((0, 20, 120)))
        timers = TimerSettings(send_hold=20.0)
        self.node = Node(self.network, 1, self.behaviour, graceful_restart=knobs, timers=timers)
        self.restart = restart(rng.choice((0, 20, 120)), rng.random() < 0.7, FAMILIES) if rng.random() < 0.8 else None
        self.hold_time = rng.choice((90, 9, 3, 0))
        self.long_lived = rng.choice((0, 30, 600)) if self.restart is not None else 0
        self.watcher = Watcher(rng)
        self.node.speaker._handler = self.watcher
        self.scripts: list[Script] = []
        self.port: MemoryPort | None = None
        self._listen()
        other = Node(MemoryNetwork(), 2)
        limits = ((Family.INET, FamilySettings(prefix_limit=5, idle_timeout=rng.choice((0.0, 30.0)))),)
        self.settings = replace(self.node.peer_settings(other), passive=rng.random() < 0.3, family_settings=limits)
        self.peer = self.node.speaker.add_peer(self.settings)
        self.steps: tuple[Callable[[], None], ...] = (
            *(self.say,) * 12,
            *(self.greet,) * 4,
            *(self.come_up,) * 5,
            *(self.live,) * 3,
            *(self.wait,) * 4,
            *(self.jump,) * 2,
            *(self.call,) * 3,
            *(self.hang_up,) * 2,
            self.stop_reading,
            self.read_again,
            self.send,
            self.flood,
            self.pause,
            self.resume,
            self.clear,
            self.exceed,
            self.reconfigure,
            self.admin,
            self.admin_up,
            self.listening,
            self.slowness,
            self.finish_closes,
        )
        self.trail: list[str] = []

    # --- the peer -----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        factory = _Scripts(self.scripts)
        self.port = self.network.listenTCP(179, factory, interface=_PEER)

    def listening(self) -> None:
        if self.port is None:
            self._listen()
        else:
            self.port.stopListening()
            self.port = None

    def call(self) -> None:
        factory = _Scripts(self.scripts)
        self.network.connectTCP(self.node.address, 179, factory, bindAddress=(_PEER, 0))
        self.network.run(0)

    def _any(self) -> Any:
        return self.rng.choice(self.scripts).transport if self.scripts else None

    def hang_up(self) -> None:
        if (transport := self._any()) is not None:
            if self.rng.random() < 0.5:
                transport.abortConnection()
            else:
                transport.loseConnection()

    def stop_reading(self) -> None:
        if (transport := self._any()) is not None:
            transport.pauseProducing()

    def read_again(self) -> None:
        for script in self.scripts:
            transport: Any = script.transport
            transport.resumeProducing()

    def _open(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.8:
            return an_open(
                0x0A000002,
                hold_time=self.hold_time,
                families=FAMILIES,
                restart=self.restart,
                long_lived=self.long_lived,
            )
        families = FAMILIES if rng.random() < 0.5 else tuple(rng.sample(list(Family), rng.randint(1, 4)))
        asked = rng.choice((None, restart(rng.choice((0, 20, 120)), rng.random() < 0.7, families, rng.random() < 0.9)))
        return an_open(
            identifier=rng.choice((0x0A000000, 0x0A000002, 0x0A000002, 0x0A000001, 0)),
            asn=64512 if rng.random() < 0.95 else 64513,
            hold_time=rng.choice((90, 90, 9, 3, 0, 1)),
            families=families,
            restart=asked,
            long_lived=rng.choice((0, 0, 30, 600)) if asked is not None else 0,
        )

    def _words(self) -> bytes:
        rng = self.rng
        kind = rng.randrange(12)
        if kind < 3:
            return KEEPALIVE
        if kind < 5:
            return _ROUTES * rng.choice((1, 1, 3, 200))
        if kind == 5:
            return _END_OF_RIBS
        if kind == 6:
            return notification(rng.choice((1, 2, 3, 4, 5, 6, 99)), rng.randrange(12), rng.randbytes(rng.randrange(4)))
        if kind == 7:
            return RouteRefresh(1, rng.choice((1, 128, 77)), rng.choice((0, 0, 1, 2))).encode()
        if kind == 8:
            return self._open()
        if kind == 9:
            return rng.choice((MARKER, MARKER + b"\x00", fuzzing.header_case(rng), rng.randbytes(30)))
        type_, body = fuzzing.mutate(self.seeds, rng)
        return frame(type_, body)

    def say(self) -> None:
        if (transport := self._any()) is not None:
            transport.write(b"".join(self._words() for _ in range(self.rng.choice((1, 1, 2, 5)))))
            if self.rng.random() < 0.7:
                self.network.run(0)

    def greet(self) -> None:
        """What a proper peer says to come up, on one or all of its connections."""
        chosen = list(self.scripts) if self.rng.random() < 0.5 else self.scripts[-1:]
        for script in chosen:
            transport: Any = script.transport
            transport.write(self._open() + KEEPALIVE * self.rng.randrange(3))
        self.network.run(0)

    def come_up(self) -> None:
        """All that a proper peer does for a session, from the idle hold on."""
        if self.watcher.up:
            return
        self.finish_closes()
        self.admin_up()
        self.network.run(5.2)
        if not self.scripts or self.rng.random() < 0.5:
            self.call()
        for script in tuple(self.scripts):
            transport: Any = script.transport
            transport.write(self._open() + KEEPALIVE)
        self.network.run(0.1)
        for script in tuple(self.scripts):
            transport = script.transport
            transport.write(KEEPALIVE)
        self.network.run(0.1)

    def live(self) -> None:
        """A while of nothing but keepalives and routes."""
        for _ in range(self.rng.randrange(20)):
            for script in self.scripts:
                transport: Any = script.transport
                transport.write(KEEPALIVE + self.rng.choice((b"", _ROUTES, _END_OF_RIBS)))
            self.network.run(2.9)

    # --- time ---------------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        self.network.run(self.rng.choice(_JUMPS))

    def jump(self) -> None:
        """The machine slept: every timer that was due meanwhile fires late."""
        self.network.spend(self.rng.choice(_JUMPS))
        self.network.run(0)

    # --- our side -----------------------------------------------------------------------------------------------------

    def send(self) -> None:
        if self.rng.random() < 0.5:
            self.peer.send_end_of_rib(self.rng.choice(FAMILIES))
        else:
            self.peer.send(_ROUTES)

    def flood(self) -> None:
        heedless = self.rng.random() < 0.3
        for _ in range(100):
            if not self.peer.send(_ROUTES * 300) and not heedless:
                break

    def pause(self) -> None:
        self.peer.pause_reading()

    def resume(self) -> None:
        self.peer.resume_reading()

    def clear(self) -> None:
        self.peer.clear(self.rng.choice((Cease.ADMIN_RESET, Cease.HARD_RESET, Cease.UNSPECIFIC)))

    def exceed(self) -> None:
        self.peer.prefixes(Family.INET, self.rng.choice((5, 6)))

    def reconfigure(self) -> None:
        hold_time, override = self.rng.choice((3, 30, 90)), self.rng.random() < 0.5
        self.node.speaker.update_peer(replace(self.peer.settings, hold_time=hold_time, as_override=override))

    def admin(self) -> None:
        if self.rng.random() < 0.5:
            self.node.speaker.update_peer(replace(self.peer.settings, admin_down=not self.peer.settings.admin_down))
        else:
            speaker = self.node.speaker
            speaker.update(replace(speaker.settings, admin_down=not speaker.settings.admin_down))

    def admin_up(self) -> None:
        self.node.speaker.update(replace(self.node.speaker.settings, admin_down=False))
        self.node.speaker.update_peer(replace(self.peer.settings, admin_down=False))

    def slowness(self) -> None:
        self.watcher.slow = not self.watcher.slow

    def finish_closes(self) -> None:
        pending, self.watcher.pending = self.watcher.pending, []
        for deferred in pending:
            deferred.callback(None)

    # --- what must hold -----------------------------------------------------------------------------------------------

    def step(self) -> None:
        chosen = self.rng.choice(self.steps)
        self.trail.append(chosen.__name__)
        chosen()
        check_core(self.peer.core)
        self.check_told()

    def check_told(self) -> None:
        counters, watcher = self.peer.counters, self.watcher
        assert watcher.up is (self.peer.state is State.ESTABLISHED)
        assert counters.established == watcher.counts["established"]
        assert watcher.counts["established"] - watcher.counts["closed"] == watcher.up
        assert self.peer.core.close_in_progress is bool(self.watcher.pending)
        assert watcher.stale is self.peer.core.helper.waits
        assert counters.rx_updates.reach == watcher.counts["reach"]
        assert counters.rx_updates.unreach == watcher.counts["unreach"]
        self.peer.rows()

    def check_sent(self) -> None:
        """What we count is what went out, message by message. Refusals are not the peer's.

        The answer to the last words of a connection that is gone counts and goes nowhere.
        """
        counted = self.peer.counters.tx
        written: Counter[str] = Counter()
        octets = 0
        for transport in self.network.transports:
            protocol: Any = transport.protocol
            if getattr(protocol, "owner", None) is self.peer:
                octets += len(transport.sent)
                written += Counter(_NAMES[kind] for kind in message_types(transport.sent))
        for name in ("update", "route_refresh", "open", "keepalive"):
            assert getattr(counted, name) == written[name], name
        unheard = counted.notification - written["notification"]
        assert unheard >= 0
        assert (octets == counted.octets) is (unheard == 0)

    def end(self) -> None:
        """A proper peer gets a session and keeps it; after that nothing is left."""
        for script in tuple(self.scripts):
            transport: Any = script.transport
            transport.abortConnection()
        if self.port is not None:
            self.port.stopListening()
        self.watcher.slow = False
        self.finish_closes()
        self.admin_up()
        self.node.speaker.update_peer(replace(self.peer.settings, hold_time=90))
        self.peer.resume_reading()
        right = Node(self.network, 2, self.behaviour)
        right.add(self.node)
        self.network.run_until(lambda: self.watcher.up and right.up, 200)
        flaps = self.peer.counters.flaps
        self.network.run(400)
        assert self.watcher.up and right.up
        assert self.peer.counters.flaps == flaps
        assert self.watcher.complete == set(FAMILIES), "told or, after 300 s, assumed"
        assert len(self.network.live) == 2
        self.check_sent()
        stopped = [node.speaker.stop() for node in (self.node, right)]
        self.network.run(5)
        assert all(deferred.called for deferred in stopped)
        assert self.network.live == []
        assert self.network.getDelayedCalls() == []
        assert not self.watcher.up and not self.watcher.stale


def message_types(data: bytes) -> list[int]:
    """Of what we sent; the last message of a connection that was cut may be missing its end."""
    types = []
    while len(data) >= 19:
        length, kind = read_header(data[:19], RFC)
        types.append(kind)
        data = data[length:]
    return types


def check_core(core: PeerCore) -> None:
    """In every state something is there that leads out of it: no event needs to come from outside but bytes."""
    held, running = core.connections, core.timers.running
    state = core.state
    assert not core.outputs
    assert running(Timer.RESTART) is core.helper.waits
    assert (core.helper.phase is Phase.NONE) is (not core.helper.waits)
    assert core.unfinished_closes >= 0
    if state is State.IDLE:
        assert list(held) == []
        assert running(Timer.IDLE_HOLD) or core.held_down
        assert not core.blocked
    elif state is State.ACTIVE:
        assert held.session is None and held.outbound is None
        assert running(Timer.OPEN_DELAY) is (held.inbound is not None)
        assert running(Timer.CONNECT) or held.inbound is not None or core.settings.stays_passive
    elif state is State.CONNECT:
        assert held.session is None and held.outbound is not None and not held.outbound.up
        assert running(Timer.CONNECT)
        assert running(Timer.OPEN_DELAY) is (held.inbound is not None)
    elif state is State.OPEN_SENT:
        assert held.session is None and list(held) != []
        assert running(Timer.HOLD)
    else:
        assert held.session is not None and held.inbound is None and held.outbound is None
        assert core.negotiated is not None
        assert running(Timer.HOLD) is bool(core.negotiated.hold_time)
        assert running(Timer.KEEPALIVE) is bool(core.negotiated.hold_time)
        assert not running(Timer.OPEN_DELAY) and not running(Timer.CONNECT)
        assert core.negotiated.families
    if state not in (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED):
        assert not running(Timer.HOLD) and not running(Timer.KEEPALIVE) and not running(Timer.SEND_HOLD)
    if state is not State.ESTABLISHED:
        assert not any(running(Timer.END_OF_RIB, family) for family in Family)


def walk(seed: int, seeds: list[bytes], steps: int = 60) -> Counter[str]:
    """One walk: what it came through. `seeds` are message bodies to mutate (fuzzing.corpus)."""
    made = Walk(seed, seeds)
    try:
        for _ in range(steps):
            made.step()
        state = made.peer.state.value
        made.end()
    except BaseException:
        sys.stderr.write(f"walk of seed {seed}: {' '.join(made.trail)}\n")
        raise
    return Counter({state: 1}) + made.watcher.counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seeds = fuzzing.corpus()
    seen: Counter[str] = Counter()
    for number in range(options.walks):
        seen += walk(options.seed * 1_000_000 + number, seeds)
    for what, count in seen.most_common():
        sys.stdout.write(f"{count:9d}  {what}\n")


if __name__ == "__main__":
    main()
