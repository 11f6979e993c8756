"""Up to two control nodes.

Configuration from one, routes from both, the broadcast tree from one (reference/agent.md 3).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from contrail_emulator.control.xmpp.stanza import Stanza

from ..oper.adverts import Advert
from ..oper.oper import Oper
from ..oper.path import Peer
from ..oper.vrf import RouteKey, Table, Vrf
from ..settings import AgentSettings
from .channel import ControlChannel
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
        self.servers = list(settings.control_nodes)
        rng.shuffle(self.servers)
        self.channels: list[ControlChannel] = []
        self.config_channel: ControlChannel | None = None
        self.builder: ControlChannel | None = None
        self.tree_sequence = 0
        self.config_complete = False
        self.receiver = receiver
        self._connect = connect
        self.decoder = decoder
        self._clients: dict[ControlChannel, ClientLike] = {}
        self._hold_time = settings.hold_time
        self._clock = clock
        self._settings = settings
        self._oper = oper
        self._machines: Counter[str] = Counter()
        self._parked: dict[int, list[Peer]] = {}
        self.routes_changed = routes_changed
        self._end_of_config = QuietTimer(clock, self._configured)
        self._cleanup = Timer(clock, self._sweep)
        self.swept = 0

    def open(self) -> None:
        """Connect to the first two servers of the shuffled list."""
        for index, (address, port) in enumerate(self.servers[:MAX_CONTROL_NODES]):
            self.channels.append(self._channel(index, address, port))

    def stop(self) -> list[Deferred[None]]:
        """End every session; what fires when their connections are gone."""
        self._end_of_config.cancel()
        self._cleanup.cancel()
        channels, self.channels = self.channels, []
        self.config_channel = self.builder = None
        for channel in channels:
            channel.stop()
        return [self._clients.pop(channel).stop() for channel in channels]

    def timed_out(self, channel: ControlChannel) -> None:
        """A server does not answer: it goes to the end of the list, and the next one that is not in use takes its slot.

        Routes of the old server stay until the new one in its slot has said End-of-RIB. With two servers nothing
        changes.
        """
        server = (channel.address, channel.port)
        if channel.is_ready or channel not in self.channels or server not in self.servers:
            return
        self.servers.remove(server)
        self.servers.append(server)
        first = self.servers[:MAX_CONTROL_NODES]
        in_use = {(other.address, other.port) for other in self.channels}
        wanted = [other for other in first if other not in in_use]
        if not wanted or server in first:
            return
        channel.stop()
        self._clients.pop(channel).stop()
        self._parked.setdefault(channel.index, []).append(channel.peer)
        self.channels[channel.index] = self._channel(channel.index, *wanted[0])

    def use_hold_time(self, seconds: int) -> None:
        """What configuration says, for all sessions from now on; 0 for the agent's own."""
        seconds = seconds or self._settings.hold_time
        if seconds != self._hold_time:
            self._hold_time = seconds
            for client in self._clients.values():
                client.set_hold_time(seconds)

    def client_of(self, channel: ControlChannel) -> ClientLike:
        return self._clients[channel]

    def _channel(self, index: int, address: str, port: int) -> ControlChannel:
        channel = ControlChannel(self._clock, index, address, port, self._settings, self._oper, self)
        client = self._clients[channel] = self._connect(channel)
        if self._hold_time != self._settings.hold_time:
            client.set_hold_time(self._hold_time)
        client.start()
        return channel

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
        others = [other for other in self.channels if other.is_ready]
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
        for peer in self._parked.pop(channel.index, []):
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

    def _ready(self) -> Iterable[ControlChannel]:
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
