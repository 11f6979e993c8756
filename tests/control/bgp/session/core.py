"""One PeerCore driven by hand: what it wrote, closed and announced, in words."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp import outputs, update
from contrail_emulator.control.bgp.capability import (
    Capability,
    FourOctetAs,
    GracefulRestart,
    LongLivedFamily,
    LongLivedGracefulRestart,
    Multiprotocol,
    RestartFamily,
)
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.graceful_restart import Phase
from contrail_emulator.control.bgp.message import Keepalive, Notification, Open, decode, read_header
from contrail_emulator.control.bgp.peer import PeerCore
from contrail_emulator.control.bgp.settings import GracefulRestartSettings, PeerSettings, SpeakerSettings

OUR_ID = "10.0.0.5"
HIGHER_ID = 0x0A000009
LOWER_ID = 0x0A000001
KEEPALIVE = Keepalive().encode()
FAMILIES = (Family.INET, Family.INET_VPN)
HELPER = GracefulRestartSettings(enabled=True, helper=True)


def an_open(
    identifier: int = HIGHER_ID,
    asn: int = 64512,
    hold_time: int = 90,
    families: tuple[Family, ...] = FAMILIES,
    restart: GracefulRestart | None = None,
    long_lived: int = 0,
    extra: tuple[Capability, ...] = (),
) -> bytes:
    """A peer's OPEN."""
    capabilities: list[Capability] = [*(Multiprotocol.of(family) for family in families), FourOctetAs(asn), *extra]
    if restart is not None:
        capabilities.append(restart)
    if long_lived:
        capabilities.append(
            LongLivedGracefulRestart(tuple(LongLivedFamily.of(family, long_lived) for family in families))
        )
    return Open.make(asn, hold_time, identifier, tuple(capabilities)).encode()


def restart(
    time: int = 120, notification: bool = True, families: tuple[Family, ...] = FAMILIES, forwarding: bool = True
) -> GracefulRestart:
    return GracefulRestart(
        time, tuple(RestartFamily.of(family, forwarding) for family in families), notification=notification
    )


class Driver:
    """A core, its clock, and everything it put out as short lines: `1: OPEN`, `1: NOTIFICATION 6/7`, `close 1`, …"""

    def __init__(self, behaviour: Behaviour = CONTRAIL, speaker: dict[str, Any] | None = None, **peer: Any) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        self.inbound = 0
        self.outbound = 0
        self.core = PeerCore(
            SpeakerSettings(**{"autonomous_system": 64512, "router_id": OUR_ID, **(speaker or {})}),
            PeerSettings(
                **{
                    "name": "peer",
                    "address": "10.1.1.1",
                    "autonomous_system": 64512,
                    "families": FAMILIES,
                    **peer,
                }
            ),
            behaviour=behaviour,
            rng=Random(7),
            started_at=0.0,
        )

    # Inputs

    def start(self) -> None:
        self.core.start(self.now)
        self.drain()

    def wait(self, seconds: float) -> None:
        """Let time pass deadline by deadline."""
        end = self.now + seconds
        while (deadline := self.core.next_deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.core.tick(self.now)
            self.drain()
        self.now = end

    def accept(self) -> int:
        self.inbound = self.core.accepted(self.now)
        self.drain()
        return self.inbound

    def connect(self) -> int:
        """The outbound connection the core asked for comes up."""
        self.core.connected(self.now, self.outbound)
        self.drain()
        return self.outbound

    def say(self, number: int, data: bytes) -> None:
        self.core.feed(number, data)
        while self.core.process(self.now, number, 16):
            self.drain()
        self.drain()

    def lose(self, number: int) -> None:
        self.core.lost(self.now, number)
        self.drain()

    def stop(self, subcode: int = 4) -> None:
        self.core.stop(self.now, subcode)
        self.drain()

    # Ways into a state

    def reach(self, state: State, **opening: Any) -> Driver:
        """Bring a fresh core into a state: by an outbound connection as far as there is a choice."""
        if state is State.IDLE:
            return self
        self.start()
        if state is State.ACTIVE:
            return self
        self.wait(0.06)
        if state is State.CONNECT:
            return self
        self.connect()
        if state is State.OPEN_SENT:
            return self
        self.say(self.outbound, an_open(**opening))
        if state is State.OPEN_CONFIRM:
            return self
        self.say(self.outbound, KEEPALIVE)
        assert self.state is State.ESTABLISHED
        return self

    # Outputs

    @property
    def state(self) -> State:
        return self.core.state

    def at(self, state: State) -> bool:
        """Whether the core is in this state now (a call, so that a type checker does not remember the answer)."""
        return self.core.state is state

    def waits_in(self, phase: Phase) -> bool:
        """Whether the helper is in this phase now."""
        return self.core.helper.phase is phase

    def take(self) -> list[str]:
        """Lines since the last time."""
        lines, self.lines = self.lines, []
        return lines

    def drain(self) -> None:
        """Turn outputs into lines; closes are dealt with at once."""
        while self.core.outputs:
            output = self.core.outputs.popleft()
            self.lines.extend(self._words(output))
            if isinstance(output, outputs.OpenConnection):
                self.outbound = output.connection
            if isinstance(output, outputs.SessionDown | outputs.LongLivedStale | outputs.SweepStale):
                self.core.close_finished(self.now)

    def _words(self, output: outputs.Output) -> list[str]:
        if isinstance(output, outputs.Write):
            return [f"{output.connection}: {name}" for name in message_names(output.data)]
        if isinstance(output, outputs.OpenConnection):
            return [f"connect {output.connection}"]
        if isinstance(output, outputs.CloseConnection):
            return [f"close {output.connection}"]
        if isinstance(output, outputs.SessionUp):
            return [f"up {output.connection}"]
        if isinstance(output, outputs.SessionDown):
            return [
                f"down{' gracefully' if output.reason.graceful else ''} {output.reason.code}/{output.reason.subcode}"
            ]
        if isinstance(output, outputs.EndOfRib):
            return [f"end-of-rib {output.family.config_name}{' assumed' if output.assumed else ''}"]
        if isinstance(output, update.Received):
            return ["update"]
        if isinstance(output, outputs.RefreshRequested):
            return [f"refresh {output.family.config_name}"]
        return ["long-lived stale" if isinstance(output, outputs.LongLivedStale) else "sweep"]


def message_names(data: bytes) -> list[str]:
    """`OPEN`, `KEEPALIVE`, `NOTIFICATION 6/7`, … of whole messages."""
    names = []
    while data:
        length, kind = read_header(data[:19])
        message = decode(kind, data[19:length])
        name = type(message).__name__.upper()
        names.append(f"{name} {message.code}/{message.subcode}" if isinstance(message, Notification) else name)
        data = data[length:]
    return names


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    return Notification(code, subcode, data).encode()


def with_settings(driver: Driver, **changes: Any) -> PeerSettings:
    return replace(driver.core.settings, **changes)
