"""All agents of a control node: their sessions come and go here (reference/xmpp.md 1.7, 1.8, 1.10)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from contrail_emulator.control.agent_config import AgentConfig
from contrail_emulator.control.routing import RoutingCore
from contrail_emulator.control.xmpp.session import Session
from contrail_emulator.control.xmpp.stanza import Stanza

from .agent import AgentChannel, AgentLocal
from .agent_end_of_rib import EndOfRibSender
from .agent_restart import AgentRestart, Event, RestartTimes

REMEMBERED: Final = 10_000
"""Agents that left whose flaps are still known; whoever connects under ever new names fills no memory."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of an agent's earlier sessions."""

    flaps: int = 0
    last_error: str = ""
    address: str = ""


@dataclass(slots=True, eq=False)
class Agent:
    """An agent that is, or is expected to be, connected. `session` is None while it is away."""

    channel: AgentChannel
    session: Session | None = None
    ender: EndOfRibSender | None = None
    restart: AgentRestart | None = None


class AgentChannels:
    """One channel per agent, and what is remembered of agents that left.

    `end_of_rib_timeout` in seconds, `started` on the clock's time line; `restart` says how long an agent's routes are
    kept when its session ends, None: not at all.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        core: RoutingCore,
        config: AgentConfig,
        local: AgentLocal,
        *,
        end_of_rib_timeout: float,
        started: float,
        restart: RestartTimes | None = None,
    ) -> None:
        self._clock = clock
        self._core = core
        self._config = config
        self._local = local
        self._end_of_rib_timeout = end_of_rib_timeout
        self._started = started
        self._restart = restart
        self._agents: dict[Session, Agent] = {}
        self._away: dict[str, Agent] = {}
        self._past: OrderedDict[str, Past] = OrderedDict()

    def __iter__(self) -> Iterator[AgentChannel]:
        return (agent.channel for agent in (*self._agents.values(), *self._away.values()))

    def established(self, session: Session) -> None:
        """An agent is there; one that was away goes on where it was."""
        agent = self._returned(session) or self._arrived(session)
        agent.session = session
        agent.ender = EndOfRibSender(
            self._clock,
            agent.channel,
            uptime=lambda: self._clock.seconds() - self._started,
            timeout=self._end_of_rib_timeout,
            hold_back=self._local.behaviour.hold_back_agent_end_of_rib,
        )
        agent.channel.on_subscribed = agent.ender.subscribed
        self._agents[session] = agent
        self.log.info("agent {agent} connected from {address}", agent=session.peer_name, address=session.peer_address)

    def _arrived(self, session: Session) -> Agent:
        agent = Agent(AgentChannel(session, self._core, self._config, self._local))
        if self._restart is not None:
            restart = AgentRestart(
                self._clock, self._restart, agent.channel, lambda: self._gone(agent, "the agent did not come back")
            )
            agent.restart = restart
            agent.channel.on_end_of_rib = lambda: restart.handle(Event.COMPLETE)
        return agent

    def _returned(self, session: Session) -> Agent | None:
        agent = self._away.pop(session.peer_name, None)
        if agent is None or agent.restart is None:
            return None
        if agent.channel.address != session.peer_address:
            agent.restart.stop()
            agent.channel.closed()  # another machine of the same name: the routes of the old one mean nothing
            return None
        agent.channel.resume(session)
        agent.restart.handle(Event.RETURNED)
        return agent

    def stanza(self, session: Session, stanza: Stanza) -> None:
        """Something came."""
        agent = self._agents.get(session)
        if agent is not None and agent.ender is not None:
            agent.ender.active()
            agent.channel.stanza(stanza)

    def closed(self, session: Session, reason: str) -> None:
        """The session is over; what the agent brought goes, or waits for it to come back."""
        agent = self._agents.pop(session, None)
        if agent is None:
            return
        channel = agent.channel
        if agent.ender is not None:
            agent.ender.stop()
        agent.session = agent.ender = None
        self._remember(channel, reason)
        if agent.restart is not None:
            self._away[channel.name] = agent
            agent.restart.handle(Event.LOST)
        else:
            channel.closed()
        self.log.info("agent {agent} left: {reason}", agent=channel.name, reason=reason)

    def _remember(self, channel: AgentChannel, reason: str) -> None:
        flaps = self._past.pop(channel.name, Past()).flaps
        self._past[channel.name] = Past(flaps + 1, channel.last_error or reason, channel.address)
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)

    def _gone(self, agent: Agent, reason: str) -> None:
        self._away.pop(agent.channel.name, None)
        agent.channel.closed()
        self.log.info("agent {agent}: {reason}", agent=agent.channel.name, reason=reason)

    def unblocked(self, session: Session) -> None:
        """The agent reads again."""
        agent = self._agents.get(session)
        if agent is not None:
            agent.channel.unblocked()

    def instance_added(self, name: str) -> None:
        """An instance exists now."""
        for channel in self:
            channel.instance_added(name)

    def instance_removed(self, name: str) -> None:
        """An instance is about to go."""
        for channel in self:
            channel.instance_removed(name)

    def stop(self) -> None:
        """Forget every agent, those that are away too; sessions are closed by whoever owns them."""
        for agent in (*self._agents.values(), *self._away.values()):
            if agent.ender is not None:
                agent.ender.stop()
            if agent.restart is not None:
                agent.restart.stop()
            agent.channel.closed()
        self._agents.clear()
        self._away.clear()

    def rows(self) -> list[Mapping[str, Any]]:
        """For introspect: agents that are there, those expected back, then those that left."""
        rows: list[Mapping[str, Any]] = []
        known = set()
        for agent in (*self._agents.values(), *self._away.values()):
            channel = agent.channel
            known.add(channel.name)
            past = self._past.get(channel.name, Past())
            row = {**channel.row(), "flap_count": past.flaps}
            row["session"] = agent.session.rows() if agent.session is not None else {}
            row["restart"] = agent.restart.phase.value if agent.restart is not None else ""
            row["last_error"] = channel.last_error or past.last_error
            rows.append(row)
        for name in sorted(self._past.keys() - known):
            past = self._past[name]
            rows.append(
                {
                    "peer": name,
                    "peer_address": past.address,
                    "state": "Idle",
                    "flap_count": past.flaps,
                    "last_error": past.last_error,
                }
            )
        return rows
