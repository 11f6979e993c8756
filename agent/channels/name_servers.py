"""Sessions to up to two name servers: the first two of the list, which is not shuffled (reference/agent.md 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from ..oper.oper import Oper
from ..settings import AgentSettings, DnsServerAddress
from .controller import ClientLike
from .dns_channel import DnsChannel, DnsRecords

MAX_NAME_SERVERS = 2


class NameServers:
    """Opens and ends the sessions, and tells them all what the records are. `connect` makes the client of a channel."""

    def __init__(self, settings: AgentSettings, connect: Callable[[DnsChannel], ClientLike]) -> None:
        self.channels: list[DnsChannel] = []
        self._settings = settings
        self._connect = connect
        self.records = DnsRecords()
        self._clients: dict[DnsChannel, ClientLike] = {}
        self._ending: set[Deferred[None]] = set()
        self._servers: tuple[DnsServerAddress, ...] = settings.dns_servers
        self._opened = False
        self._dscp = 0

    def open(self) -> None:
        """Connect."""
        self._opened = True
        self.move(self._servers)

    def stop(self) -> list[Deferred[None]]:
        """End every session; what fires when their connections are gone."""
        self._opened = False
        for channel in list(self.channels):
            self._end(channel)
        return list(self._ending)

    def move(self, servers: Sequence[DnsServerAddress]) -> None:
        """Use another list of servers; sessions to those still among the first two are not touched."""
        self._servers = tuple(servers)
        if not self._opened:
            return
        wanted = {(server.address, server.xmpp_port): server for server in self._servers[:MAX_NAME_SERVERS]}
        for channel in list(self.channels):
            server = wanted.pop((channel.server.address, channel.server.xmpp_port), None)
            if server is None:
                self._end(channel)
            else:
                channel.server = server
        for server in wanted.values():
            channel = DnsChannel(self._settings, server, self.records)
            self.channels.append(channel)
            client = self._clients[channel] = self._connect(channel)
            if self._dscp:
                client.set_dscp(self._dscp)
            client.start()

    def use_dscp(self, dscp: int) -> None:
        """How all sessions are marked from now on."""
        if dscp != self._dscp:
            self._dscp = dscp
            for client in self._clients.values():
                client.set_dscp(dscp)

    def update(self, oper: Oper) -> None:
        """The interfaces changed, and with them perhaps the records."""
        self.records.replace(oper)
        for channel in self.channels:
            channel.update()

    def _end(self, channel: DnsChannel) -> None:
        self.channels.remove(channel)
        ended = self._clients.pop(channel).stop()
        self._ending.add(ended)
        ended.addBoth(lambda _: self._ending.discard(ended))
