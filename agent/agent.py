"""One vRouter agent: wiring only.

Configuration and routes come in over XMPP, rows go to the data plane, adverts go out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.pcap import Capture
from contrail_emulator.config.graph import Changes, Graph
from contrail_emulator.config.schema import load
from contrail_emulator.control.xmpp.client import ClientSettings, XmppClient
from contrail_emulator.control.xmpp.core import DEFAULT_HOLD_TIME
from contrail_emulator.control.xmpp.names import DNS_JID
from contrail_emulator.control.xmpp.tls import TlsContext

from .channels.channel import ControlChannel, Server
from .channels.config_channel import ConfigReceiver
from .channels.controller import ClientLike, Controller
from .channels.decode import Decoder
from .channels.dns_channel import DnsChannel
from .channels.name_servers import NameServers
from .flows.flow_table import FlowTable
from .introspect import open_introspect
from .ksync import DataPlane, KSync
from .oper.adverts import Advert
from .oper.interfaces import VmInterface
from .oper.nexthop import NextHop
from .oper.oper import Oper
from .oper.prefix import Prefix
from .oper.vrf import BridgeEntry, Route, RouteKey, Table, Vrf
from .port import Port
from .port_api import PortApi
from .services.dns import DnsRelay
from .services.services import Services
from .settings import AgentSettings, DnsServerAddress
from .traps import TrapHandler

__all__ = ["Agent", "AgentSettings", "Port"]

LONGEST_WAIT = 0.25
"""Seconds that a recomputation waits for more configuration at most."""

Connect = Callable[[ControlChannel | DnsChannel], ClientLike]


class Agent:
    """A stand-in of contrail-vrouter-agent.

    `data_plane` is a `ksync.DataPlane`; `rng` shuffles the server list and drives back-off; `uuid` names flows.
    Nothing is opened before `start`; `connect` replaces the XMPP client, for tests over transports of their own.
    `decoder` may be shared by all agents of a process: what one has read the others need not read again.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: AgentSettings,
        data_plane: DataPlane,
        *,
        rng: random.Random,
        uuid: Callable[[], UUID],
        capture: Capture | None = None,
        connect: Connect | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        """Raises TlsError when the certificate files cannot be used."""
        self.settings = settings
        self._tls = None if settings.tls is None else TlsContext(settings.tls, server=False)
        self._dns_tls = None if settings.dns_tls is None else TlsContext(settings.dns_tls, server=False)
        self.data_plane = data_plane
        self.graph = Graph()
        self._reactor = reactor
        self._rng = rng
        self._capture = capture
        self._connect = connect or self._xmpp_client
        self._turn: Any = None
        self._first_session = True
        self._recompute = False
        self._cost = 0.0
        self.started = False
        self.ksync = KSync(settings, data_plane)
        self.oper = Oper(settings, self, reactor)
        self.receiver = ConfigReceiver(self.graph, load())
        self.controller = Controller(
            reactor, settings, self.oper, self.receiver, rng, self._routes_changed, self._connect, decoder or Decoder(0)
        )
        self.name_servers = NameServers(settings, self._connect)
        self.flows = FlowTable(reactor, settings, self.oper, data_plane, uuid)
        self.dns_relay = DnsRelay(reactor, settings, self.oper, rng, capture)
        self.services = Services(settings, self.oper, data_plane, self.dns_relay)
        self.traps = TrapHandler(self.oper, self.flows, self.services)
        self.port_api = PortApi(reactor, settings, self)
        self._introspect: Any = None
        self.introspect_port: int | None = None
        self.port_api_port: int | None = None
        self._unsubscribe = self.graph.subscribe(self._graph_changed)

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Deferred[None]:
        """Bring up the data plane, the port API, introspect, then the sessions; fires when the ports are open.

        Fails with CannotListenError when one is in use.
        """
        self.data_plane.attach(self.traps.packet)
        self.ksync.start(self.oper.next_hops)
        self.started = True
        self._run(True)
        opened = gatherResults([self._open_introspect(), self._open_port_api()], consumeErrors=True)

        def connect(_: object) -> None:
            if not self.started:
                return
            self.controller.open()
            self.name_servers.open()

        return opened.addCallbacks(connect, _first_failure)

    def stop(self) -> Deferred[None]:
        """Close every session, socket and timer. Learned state and the data plane's tables stay as they are."""
        self.data_plane.attach(None)
        self._unsubscribe()
        self.started = False
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self.flows.stop()
        self.oper.stop()
        ended: list[Deferred[Any]] = [*self.controller.stop(), *self.name_servers.stop()]
        ended += [self.dns_relay.stop(), self.port_api.stop()]
        if self._introspect is not None:
            ended.append(self._introspect.stop())
        return DeferredList(ended, consumeErrors=True).addCallback(lambda _: None)

    def move(self, control_nodes: Sequence[Server], dns_servers: Sequence[DnsServerAddress]) -> None:
        """Use other servers, as at SIGHUP; sessions to those that stay are not touched (reference/agent.md 3.1)."""
        self.controller.move(control_nodes)
        self.name_servers.move(dns_servers)
        self.dns_relay.servers = tuple(dns_servers)

    def _open_introspect(self) -> Deferred[None]:
        if self.settings.introspect_port is None:
            return succeed(None)
        self._introspect = open_introspect(self._reactor, self)

        def listening(port: int) -> None:
            self.introspect_port = port

        opened: Deferred[int] = self._introspect.listen(self.settings.introspect_port, self.settings.introspect_address)
        return opened.addCallback(listening)

    def _open_port_api(self) -> Deferred[None]:
        if self.settings.port_api_port is None:
            return succeed(None)

        def listening(port: int) -> None:
            self.port_api_port = port

        return self.port_api.listen(self.settings.port_api_port, self.settings.port_api_address).addCallback(listening)

    def _xmpp_client(self, channel: ControlChannel | DnsChannel) -> ClientLike:
        settings = self.settings
        if isinstance(channel, DnsChannel):
            client = ClientSettings(
                channel.name,
                channel.server.address,
                channel.server.xmpp_port,
                DNS_JID,
                settings.source_address,
                tls=self._dns_tls,
                max_stanza=settings.max_stanza,
                behaviour=settings.behaviour,
            )
        else:
            client = ClientSettings(
                settings.name,
                channel.address,
                channel.port,
                bind_address=settings.source_address,
                subcluster=settings.subcluster_name,
                hold_time=self._first_hold_time(),
                tls=self._tls,
                max_stanza=settings.max_stanza,
                behaviour=settings.behaviour,
            )
        return XmppClient(self._reactor, client, channel, rng=self._rng, capture=self._capture)

    def _first_hold_time(self) -> float:
        """A real agent's first session, of all it ever makes, has 90 s whatever is configured."""
        first, self._first_session = self._first_session, False
        if first and self.settings.behaviour.first_session_ignores_hold_time:
            return DEFAULT_HOLD_TIME
        return self.settings.hold_time

    # --- ports --------------------------------------------------------------------------------------------------------

    @property
    def ports(self) -> dict[str, Port]:
        return self.oper.ports

    def add_port(self, port: Port) -> None:
        """A machine's interface appeared; adding a uuid again replaces it."""
        old = self.oper.ports.get(port.uuid)
        if old == port:
            return
        if old is not None:
            self.controller.machine_removed(old.vm_uuid)
        self.oper.add_port(port)
        self.controller.machine_added(port.vm_uuid)
        self._schedule(True)

    def delete_port(self, uuid: str) -> bool:
        """The interface is gone: its routes are withdrawn. False when it is unknown."""
        port = self.oper.delete_port(uuid)
        if port is None:
            return False
        self.controller.machine_removed(port.vm_uuid)
        self._schedule(True)
        return True

    def vif_index(self, port_uuid: str) -> int | None:
        """The vif of a port, once there is one."""
        interface = self.oper.interfaces.get(port_uuid)
        return interface.index if interface is not None else None

    # --- turns --------------------------------------------------------------------------------------------------------

    def _graph_changed(self, changes: Changes) -> None:
        self._schedule(True)

    def _routes_changed(self) -> None:
        self._schedule(False)

    def _schedule(self, recompute: bool) -> None:
        """Work once per reactor turn, however many stanzas came in it; what took long is not done again at once."""
        self._recompute = self._recompute or recompute
        if self._turn is None and self.started:
            self._turn = self._reactor.callLater(self._cost if self._recompute else 0, self._run_turn)

    def _run_turn(self) -> None:
        self._turn = None
        self._run(self._recompute)

    def _run(self, recompute: bool) -> None:
        self._recompute = False
        if recompute:
            began = self._reactor.seconds()
            self.oper.recompute(self.graph)
            found = self.oper.configuration.globals
            self.controller.use_hold_time(found.hold_time)
            self.controller.use_dscp(found.dscp)
            self.name_servers.use_dscp(found.dscp)
            self._cost = min(self._reactor.seconds() - began, LONGEST_WAIT)
            self.name_servers.update(self.oper)
        else:
            self.oper.flush()

    # --- listener of the operational tables ---------------------------------------------------------------------------

    def next_hop_changed(self, index: int, next_hop: NextHop, present: bool) -> None:
        self.ksync.next_hop_changed(index, next_hop, present)

    def label_changed(self, label: int, next_hop: NextHop | None) -> None:
        self.ksync.label_changed(label, next_hop)

    def vxlan_changed(self, vni: int, next_hop: NextHop | None) -> None:
        self.ksync.vxlan_changed(vni, next_hop)

    def interface_changed(self, interface: VmInterface, present: bool) -> None:
        self.ksync.interface_changed(interface, present)
        self.flows.interface_changed(interface, present)

    def vrf_changed(self, vrf: Vrf, present: bool) -> None:
        self.ksync.vrf_changed(vrf, present)
        self.controller.vrf_changed(vrf, present)

    def broadcast_changed(self, vrf: Vrf, wanted: bool) -> None:
        self.controller.broadcast_changed(vrf, wanted)

    def route_changed(self, vrf: Vrf, key: Prefix, route: Route | None) -> None:
        self.ksync.route_changed(vrf, key, route)
        self.flows.route_changed(vrf, key)

    def bridge_changed(self, vrf: Vrf, mac: bytes, entry: BridgeEntry | None) -> None:
        self.ksync.bridge_changed(vrf, mac, entry)

    def advert_changed(self, vrf: Vrf, table: Table, key: RouteKey, advert: Advert | None) -> None:
        self.controller.advert_changed(vrf, table, key, advert)

    def flushed(self) -> None:
        self.ksync.flush()
        self.flows.flushed()


def _first_failure(failure: Failure) -> Failure:
    """What went wrong, not that something did."""
    return failure.value.subFailure if isinstance(failure.value, FirstError) else failure
