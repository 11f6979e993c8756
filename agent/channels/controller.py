"""Up to two control nodes.

Configuration from one, routes from both, the broadcast tree from one (reference/agent.md 3).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from contrail_emulator.control.xmpp.stanza import Stanza

from ..oper.adverts import Advert
from ..oper.oper import Oper
from ..oper.path import Peer, PeerKind
from ..oper.vrf import RouteKey, Table, Vrf
from ..settings import AgentSettings
from .channel import ControlChannel, Server
from .config_channel import ConfigReceiver
from .decode import Decoder
from .importer import TREE_PEER
from .timers import QuietTimer, Timer

MAX_CONTROL_NODES = 2
EVERY_SEQUENCE = 1 << 62


class ClientLike(Protocol):
    """What is used of control.xmpp's XmppClient."""

    def start(self) -> None: ...

    def stop(self) -> Deferred[None]: ...

    def rows(self) -> dict[str, object]: ...

    def set_hold_time(self, seconds: float) -> None: ...

    def set_dscp(self, dscp: int) -> None: ...


class Controller:
    """Who is config server, who builds the tree, and what follows when a session comes or goes.

    `connect` makes the client of a channel; `routes_changed` is called when received routes changed tables.
    """

    def __init__(
        self,
        clock: Any,
        settings: AgentSettings,
        oper: Oper,
        receiver: ConfigReceiver,
        rng: random.Random,
        routes_changed: Callable[[], None],
        connect: Callable[[ControlChannel], ClientLike],
        decoder: Decoder,
    ) -> None:
        self.servers = list(dict.fromkeys(settings.control_nodes))
        rng.shuffle(self.servers)
        self.channels: list[ControlChannel] = []
        """One a slot. A slot that no server is left for is not here: `index` of a channel says which it has."""
        self.config_channel: ControlChannel | None = None
        self.builder: ControlChannel | None = None
        self.tree_sequence = 0
        self.config_complete = False
        self.receiver = receiver
        self._connect = connect
        self.decoder = decoder
        self._clients: dict[ControlChannel, ClientLike] = {}
        self._hold_time = settings.hold_time
        self._dscp = 0
        self._clock = clock
        self._settings = settings
        self._oper = oper
        self._rng = rng
        self._machines: Counter[str] = Counter()
        self._parked: dict[int, dict[Peer, int]] = {}
        """By slot: servers that lost it and whose routes still stay, with the sequence of their last session."""
        self._ending: set[Deferred[None]] = set()
        self._opened = False
        self.routes_changed = routes_changed
        self._end_of_config = QuietTimer(clock, self._configured)
        self._cleanup = Timer(clock, self._sweep)
        self.swept = 0

    def open(self) -> None:
        """Connect to the first two servers of the shuffled list."""
        self._opened = True
        for index, server in enumerate(self.servers[:MAX_CONTROL_NODES]):
            self.channels.append(self._channel(index, server))

    def stop(self) -> list[Deferred[None]]:
        """End every session; what fires when their connections are gone."""
        self._opened = False
        self._end_of_config.cancel()
        self._cleanup.cancel()
        channels, self.channels = self.channels, []
        self.config_channel = self.builder = None
        for channel in channels:
            self._end(channel)
        return list(self._ending)

    def move(self, servers: Sequence[Server]) -> None:
        """Use another list of servers, as a SIGHUP with another list does (reference/agent.md 3.1).

        Servers in use that stay keep their slot and session; the others are shuffled behind them. A slot whose server
        is gone goes to the next one: what the old one said stays until the new one has said End-of-RIB. Where there is
        no next one, it goes with the session. The same servers in another order change nothing.
        """
        wanted = list(dict.fromkeys(servers))
        if set(wanted) == set(self.servers):
            return
        kept = [channel.server for channel in self.channels if channel.server in wanted]
        others = [server for server in wanted if server not in kept]
        self._rng.shuffle(others)
        self.servers = [*kept, *others]
        if not self._opened:
            return
        new = others[: MAX_CONTROL_NODES - len(kept)]
        gone = [channel for channel in self.channels if channel.server not in wanted]
        for channel in gone:
            if new:
                self._replace(channel, new.pop(0))
            else:
                self._remove(channel)
        for index in {*range(MAX_CONTROL_NODES)}.difference(channel.index for channel in self.channels):
            if new:
                self.channels.append(self._channel(index, new.pop(0)))
        for channel in gone:  # at last: none of them gets what another one was chosen for
            self._end(channel)

    def timed_out(self, channel: ControlChannel) -> None:
        """A server does not answer: it goes to the end of the list, and the next one that is not in use takes its slot.

        Routes of the old server stay until the new one in its slot has said End-of-RIB. With two servers nothing
        changes.
        """
        server = channel.server
        if channel.is_ready or channel not in self.channels or server not in self.servers:
            return
        self.servers.remove(server)
        self.servers.append(server)
        first = self.servers[:MAX_CONTROL_NODES]
        in_use = {other.server for other in self.channels}
        wanted = [other for other in first if other not in in_use]
        if wanted and server not in first:
            self._replace(channel, wanted[0])
            self._end(channel)

    def use_hold_time(self, seconds: int) -> None:
        """What configuration says, for all sessions from now on; 0 for the agent's own."""
        seconds = seconds or self._settings.hold_time
        if seconds != self._hold_time:
            self._hold_time = seconds
            for client in self._clients.values():
                client.set_hold_time(seconds)

    def use_dscp(self, dscp: int) -> None:
        """How all sessions are marked from now on."""
        if dscp != self._dscp:
            self._dscp = dscp
            for client in self._clients.values():
                client.set_dscp(dscp)

    def client_of(self, channel: ControlChannel) -> ClientLike:
        return self._clients[channel]

    def _channel(self, index: int, server: Server) -> ControlChannel:
        peer = Peer(PeerKind.BGP, self._peer_name(server))
        channel = ControlChannel(self._clock, index, server, peer, self._settings, self._oper, self)
        for parked in self._parked.values():  # what it said when it had a slot before, is its own again
            channel.sequence = max(channel.sequence, parked.pop(channel.peer, 0))
        client = self._clients[channel] = self._connect(channel)
        if self._hold_time != self._settings.hold_time:
            client.set_hold_time(self._hold_time)
        if self._dscp:
            client.set_dscp(self._dscp)
        client.start()
        return channel

    def _peer_name(self, server: Server) -> str:
        """Its address; with the port when another server of the list has the same address."""
        alone = sum(other[0] == server[0] for other in self.servers) == 1
        return server[0] if alone else f"{server[0]}:{server[1]}"

    def _replace(self, channel: ControlChannel, server: Server) -> None:
        """Give the channel's slot to another server; the routes of the old one stay for now."""
        self._parked.setdefault(channel.index, {})[channel.peer] = channel.sequence
        self.channels[self.channels.index(channel)] = self._channel(channel.index, server)

    def _remove(self, channel: ControlChannel) -> None:
        """Give the channel's slot to nobody: then nobody will say that its routes are stale, and they go now."""
        self.channels.remove(channel)
        for peer in (channel.peer, *self._parked.pop(channel.index, {})):
            self._oper.rib.withdraw_stale(peer, EVERY_SEQUENCE)
        self.routes_changed()

    def _end(self, channel: ControlChannel) -> None:
        """Close a session that is none of `channels` any more."""
        channel.stop()
        ended = self._clients.pop(channel).stop()
        self._ending.add(ended)
        ended.addBoth(lambda _: self._ending.discard(ended))
        self._hand_over(channel)

    # --- sessions (channel.ChannelOwner) ------------------------------------------------------------------------------

    def ready(self, channel: ControlChannel) -> None:
        if self.config_channel is None:
            self._become_config_server(channel)
        else:
            channel.walk()
            if self.config_complete:
                self._start_end_of_rib_tx(channel)
        if self.builder is None:
            self._become_builder(channel)
        channel.end_of_rib_rx.set(self._end_of_rib_rx_time())

    def not_ready(self, channel: ControlChannel, reason: str) -> None:
        if channel not in self.channels:
            return  # replaced or stopped
        channel.stale_timer.set(self._stale_time())
        self._hand_over(channel)

    def _hand_over(self, channel: ControlChannel) -> None:
        """Another session, if there is one, takes what this one was chosen for."""
        others = self._ready()
        if self.config_channel is channel:
            self._end_of_config.cancel()
            self._cleanup.cancel()
            self.config_channel = None
            if others:
                self._become_config_server(others[0])
        if self.builder is channel:
            self.builder = None
            if others:
                self._become_builder(others[0])

    def is_builder(self, channel: ControlChannel) -> bool:
        return self.builder is channel

    def configuration(self, channel: ControlChannel, stanza: Stanza) -> None:
        if channel is not self.config_channel:
            channel.counters["configuration from the other control node"] += 1
        elif self.receiver.receive(stanza):
            channel.counters["configuration"] += 1
            self._end_of_config.touch()

    def end_of_rib(self, channel: ControlChannel) -> None:
        """What the peer did not say again in this session is gone."""
        channel.end_of_rib_rx.cancel()
        flushed = self._oper.rib.withdraw_stale(channel.peer, channel.sequence)
        for peer in self._parked.pop(channel.index, {}):
            flushed += self._oper.rib.withdraw_stale(peer, EVERY_SEQUENCE)
        if self.is_builder(channel):
            flushed += self._oper.rib.withdraw_stale(TREE_PEER, self.tree_sequence)
        channel.counters["stale paths deleted"] += flushed
        if flushed:
            self.routes_changed()

    # --- machines -----------------------------------------------------------------------------------------------------

    def machine_added(self, uuid: str) -> None:
        """One more interface of a virtual machine: the first one asks for its configuration."""
        self._machines[uuid] += 1
        if self._machines[uuid] == 1 and self.config_channel is not None:
            self.config_channel.subscribe_machine(uuid)

    def machine_removed(self, uuid: str) -> None:
        self._machines[uuid] -= 1
        if self._machines[uuid] <= 0:
            del self._machines[uuid]
            if self.config_channel is not None:
                self.config_channel.subscribe_machine(uuid, False)

    # --- what the operational tables tell -----------------------------------------------------------------------------

    def vrf_changed(self, vrf: Vrf, present: bool) -> None:
        for channel in self._ready():
            if present:
                channel.exporter.subscribe(vrf)
            else:
                channel.exporter.unsubscribe(vrf)

    def advert_changed(self, vrf: Vrf, table: Table, key: RouteKey, advert: Advert | None) -> None:
        for channel in self._ready():
            if channel.exporter.say(vrf.name, (table, key), advert):
                channel.end_of_rib_tx.touch()

    def broadcast_changed(self, vrf: Vrf, wanted: bool) -> None:
        if self.builder is not None:
            self.builder.say_tree(vrf.name, wanted)

    # --- roles --------------------------------------------------------------------------------------------------------

    def _ready(self) -> list[ControlChannel]:
        return [channel for channel in self.channels if channel.is_ready]

    def _become_config_server(self, channel: ControlChannel) -> None:
        self.config_channel = channel
        self.receiver.new_session()
        channel.subscribe_configuration()
        for uuid in sorted(self._machines):
            channel.subscribe_machine(uuid)
        restart = self._oper.configuration.globals.graceful_restart
        timers = self._settings.timers
        quiet = timers.config_inactivity if restart.enabled else 0.0
        self._end_of_config.start(quiet, timers.config_fallback if restart.enabled else 0.0)

    def _become_builder(self, channel: ControlChannel) -> None:
        self.builder = channel
        self.tree_sequence += 1
        for name in self._oper.broadcast_vrfs:
            channel.say_tree(name, True)

    def _configured(self) -> None:
        """The dump is over: old VRFs are announced to the config server too, leftovers wait for their sweep."""
        self.config_complete = True
        if self.config_channel is not None:
            self.config_channel.walk()
        self._cleanup.set(self._settings.timers.stale_config_cleanup)
        for channel in self._ready():
            self._start_end_of_rib_tx(channel)

    def _sweep(self) -> None:
        self.swept += self.receiver.sweep()

    # --- times --------------------------------------------------------------------------------------------------------

    def _start_end_of_rib_tx(self, channel: ControlChannel) -> None:
        enabled = self._oper.configuration.globals.graceful_restart.enabled
        timers = self._settings.timers
        channel.end_of_rib_tx.start(
            timers.end_of_rib_tx_inactivity if enabled else 0.0, timers.end_of_rib_tx_fallback if enabled else 0.0
        )

    def _end_of_rib_rx_time(self) -> float:
        restart = self._oper.configuration.globals.graceful_restart
        if not restart.enabled:
            return 0.0
        return restart.end_of_rib_timeout or self._settings.timers.end_of_rib_rx_fallback

    def _stale_time(self) -> float:
        restart = self._oper.configuration.globals.graceful_restart
        if not restart.enabled:
            return 0.0
        return restart.long_lived_time or self._settings.timers.long_lived_stale
