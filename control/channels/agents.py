"""All agents of a control node: their sessions come and go here (reference/xmpp.md 1.7, 1.8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from contrail_emulator.control.agent_config import AgentConfig
from contrail_emulator.control.routing import RoutingCore
from contrail_emulator.control.xmpp.session import Session
from contrail_emulator.control.xmpp.stanza import Stanza

from .agent import AgentChannel
from .agent_end_of_rib import EndOfRibSender


class AgentChannels:
    """One channel per established session of an agent, and what is remembered of agents that left."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        core: RoutingCore,
        config: AgentConfig,
        autonomous_system: Callable[[], int],
        end_of_rib_timeout: float,
        started: float,
    ) -> None:
        self._clock = clock
        self._core = core
        self._config = config
        self._autonomous_system = autonomous_system
        self._end_of_rib_timeout = end_of_rib_timeout
        self._started = started
        self._channels: dict[Session, AgentChannel] = {}
        self._enders: dict[Session, EndOfRibSender] = {}
        self.flaps: Counter[str] = Counter()
        self.last_errors: dict[str, str] = {}

    def __iter__(self) -> Iterator[AgentChannel]:
        return iter(tuple(self._channels.values()))

    def established(self, session: Session) -> None:
        channel = AgentChannel(session, self._core, self._config, self._autonomous_system, self._clock.seconds)
        self._channels[session] = channel
        self._enders[session] = EndOfRibSender(
            self._clock, channel, uptime=lambda: self._clock.seconds() - self._started, timeout=self._end_of_rib_timeout
        )
        self.log.info("agent {agent} connected from {address}", agent=session.peer_name, address=session.peer_address)

    def stanza(self, session: Session, stanza: Stanza) -> None:
        channel = self._channels.get(session)
        if channel is not None:
            self._enders[session].active()
            channel.stanza(stanza)

    def closed(self, session: Session, reason: str) -> None:
        channel = self._channels.pop(session, None)
        if channel is None:
            return
        self._enders.pop(session).stop()
        self.flaps[channel.name] += 1
        self.last_errors[channel.name] = channel.last_error or reason
        channel.closed()
        self.log.info("agent {agent} left: {reason}", agent=channel.name, reason=reason)

    def unblocked(self, session: Session) -> None:
        channel = self._channels.get(session)
        if channel is not None:
            channel.unblocked()

    def instance_added(self, name: str) -> None:
        for channel in self:
            channel.instance_added(name)

    def instance_removed(self, name: str) -> None:
        for channel in self:
            channel.instance_removed(name)

    def stop(self) -> None:
        """Forget every agent; their sessions are closed by whoever owns them."""
        for session in list(self._channels):
            self.closed(session, "the control node stops")

    def rows(self) -> list[Mapping[str, Any]]:
        """For introspect: connected agents first, then those that left."""
        rows: list[Mapping[str, Any]] = []
        present = set()
        for session, channel in self._channels.items():
            present.add(channel.name)
            row = {**channel.row(), "flap_count": self.flaps[channel.name], "session": session.rows()}
            row["last_error"] = channel.last_error or self.last_errors.get(channel.name, "")
            rows.append(row)
        for name in sorted(self.flaps.keys() - present):
            rows.append(
                {
                    "peer": name,
                    "state": "Idle",
                    "flap_count": self.flaps[name],
                    "last_error": self.last_errors.get(name, ""),
                }
            )
        return rows
