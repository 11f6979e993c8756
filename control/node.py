"""The control node: configuration, BGP, XMPP and routing, wired together. Wiring only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.introspect import Introspect
from contrail_emulator.base.metrics import Metrics
from contrail_emulator.base.pcap import Capture
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.schema import Schema
from contrail_emulator.control.bgp.notification import Cease
from contrail_emulator.control.bgp.settings import PeerSettings, SpeakerSettings
from contrail_emulator.control.bgp.speaker import Speaker
from contrail_emulator.control.routing import CoreSettings, Encoder, InstanceSettings, RoutingCore
from contrail_emulator.control.xmpp.framing import DEFAULT_MAX_STANZA
from contrail_emulator.control.xmpp.server import ServerSettings
from contrail_emulator.control.xmpp.session import Session
from contrail_emulator.control.xmpp.stanza import Stanza
from contrail_emulator.control.xmpp.tls import TlsSettings

from .agent_config import AgentConfig
from .agent_server import AgentServer
from .channels.agent import AgentLocal
from .channels.agent_restart import RestartTimes
from .channels.agents import AgentChannels
from .channels.bgp_encoder import BgpEncoder
from .channels.bgp_peer import Local
from .channels.bgp_peers import BgpPeers
from .channels.xmpp_encoder import XmppEncoder
from .flusher import Flusher
from .introspect import pages
from .provision import Provisioner
from .provision_read import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """One control node. `name` is its host name and that of its bgp-router; ports of 0 take free ones.

    With `tls`, agents must StartTLS; certificate, key and authority are PEM files. `max_stanza`, in bytes, ends the
    session of who sends more at once. Without `bgp_helper` or `xmpp_helper` restarting peers or agents lose
    their routes whatever the configuration says.
    """

    name: str
    address: str = "127.0.0.1"
    bgp_port: int = 179
    xmpp_port: int = 5269
    introspect_port: int | None = 8083
    introspect_address: str = "127.0.0.1"
    tls: TlsSettings | None = None
    max_stanza: int = DEFAULT_MAX_STANZA
    bgp_helper: bool = True
    xmpp_helper: bool = True


class Plane:
    """Everything that depends on who the control node is: routing core, BGP speaker and the channels.

    A new identity means a new plane: a real control node clears all sessions then (reference/bgp.md 1.7, xmpp.md 1.7),
    but for what BGP alone is concerned with: see `adapt`.
    """

    def __init__(self, node: ControlNode, identity: Identity) -> None:
        reactor, behaviour = node.reactor, node.behaviour
        self.identity = identity
        self._node = node
        self.flusher = Flusher(reactor, self._pause, self._resume)
        encoders: dict[str, Encoder] = {
            "bgp": BgpEncoder(behaviour),
            "xmpp": XmppEncoder(identity.autonomous_system, self._network_name, self._instance_network),
        }
        self.core = RoutingCore(
            _core_settings(identity), encoders, behaviour, self.flusher.wake
        )
        self.flusher.drive(self.core)
        self.peers = BgpPeers(reactor, self.core, _local(node, identity))
        self.agents = AgentChannels(
            reactor,
            self.core,
            node.agent_config,
            AgentLocal(
                autonomous_system=identity.autonomous_system,
                seconds=reactor.seconds,
                behaviour=behaviour,
                rd_cluster_seed=identity.rd_cluster_seed,
            ),
            end_of_rib_timeout=identity.end_of_rib_timeout,
            started=node.started,
            restart=_restart_times(identity),
        )
        self.speaker = Speaker(
            reactor,
            _speaker_settings(node, identity),
            self.peers,
            behaviour=behaviour,
            rng=node.rng,
            capture=node.capture,
        )

    def adapt(self, identity: Identity) -> bool:
        """Takes over an identity that leaves agents alone: tables and instances stay, the BGP sessions concerned are
        cleared (a new cluster id: iBGP). False, and nothing is done, when it does not.

        Raises ValueError for an identity that no speaker can have; nothing is done then.
        """
        before = self.identity
        if before.clears_agents(identity):
            return False
        speaker = _speaker_settings(self._node, identity)
        self.identity = identity
        self.core.reconfigure(_core_settings(identity))
        self.peers.take_local(_local(self._node, identity))
        for peer in self.speaker.peers.values():
            if before.always_compare_med != identity.always_compare_med or (
                peer.internal and before.cluster_id != identity.cluster_id
            ):
                peer.clear(Cease.CONFIG_CHANGE)
        if speaker != self.speaker.settings:
            self.speaker.update(speaker)
        return True

    def stop(self) -> Deferred[None]:
        """Closes every BGP session; fires when they are closed."""
        self.agents.stop()
        done = self.speaker.stop()
        self.flusher.stop()
        return done

    def _network_name(self, autonomous_system: int, index: int) -> str:
        return self.core.virtual_network_name(autonomous_system, index)

    def _instance_network(self, name: str) -> str:
        instance = self.core.instances.get(name)
        return instance.settings.virtual_network if instance is not None else ""

    def _pause(self) -> None:
        for peer in self.speaker.peers.values():
            peer.pause_reading()
        for session in self._node.xmpp.sessions.values():
            session.pause_reading()

    def _resume(self) -> None:
        for peer in self.speaker.peers.values():
            peer.resume_reading()
        for session in self._node.xmpp.sessions.values():
            session.resume_reading()


def _as_allowed(settings: ControlSettings, identity: Identity | None) -> Identity | None:
    """Helper modes are on where both the configuration and the conf file have them."""
    if identity is None:
        return None
    restart = identity.graceful_restart
    return replace(
        identity,
        graceful_restart=replace(restart, helper=restart.helper and settings.bgp_helper),
        xmpp_helper=identity.xmpp_helper and settings.xmpp_helper,
    )


def _core_settings(identity: Identity) -> CoreSettings:
    return CoreSettings(
        autonomous_system=identity.autonomous_system,
        local_autonomous_system=identity.local_as,
        router_id=int(IPv4Address(identity.router_id)),
        cluster_id=identity.cluster_id,
        always_compare_med=identity.always_compare_med,
    )


def _local(node: ControlNode, identity: Identity) -> Local:
    return Local(
        autonomous_system=identity.local_as,
        router_id=int(IPv4Address(identity.router_id)),
        cluster_id=identity.cluster_id,
        started=node.started,
        end_of_rib_timeout=identity.end_of_rib_timeout,
        hold_back_end_of_rib=node.behaviour.hold_back_end_of_rib,
        configured=lambda: node.client.synced,
    )


def _speaker_settings(node: ControlNode, identity: Identity) -> SpeakerSettings:
    return SpeakerSettings(
        autonomous_system=identity.local_as,
        router_id=identity.router_id,
        address=node.settings.address,
        port=node.settings.bgp_port,
        hold_time=identity.hold_time,
        four_byte_as=identity.four_byte_as,
        graceful_restart=identity.graceful_restart,
        end_of_rib_timeout=identity.end_of_rib_timeout,
        admin_down=identity.admin_down,
        dscp=node.xmpp.dscp,
    )


def _restart_times(identity: Identity) -> RestartTimes | None:
    """How long agents are waited for; None without helper mode."""
    if not identity.xmpp_helper:
        return None
    times = identity.graceful_restart
    return RestartTimes(
        restart=times.time, long_lived=times.long_lived_time, end_of_rib=identity.end_of_rib_timeout
    )


class ControlNode:
    """A control node. `client` feeds the graph it reads its configuration from."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: ControlSettings,
        client: ConfigClient,
        schema: Schema,
        *,
        rng: Random,
        behaviour: Behaviour = CONTRAIL,
        capture: Capture | None = None,
    ) -> None:
        """Raises TlsError when the certificate files cannot be used."""
        self.reactor = reactor
        self.settings = settings
        self.client = client
        self.behaviour = behaviour
        self.rng = rng
        self.capture = capture
        self.started = reactor.seconds()
        self.plane: Plane | None = None
        self.agent_config = AgentConfig(client.graph, schema)
        self.xmpp = AgentServer(
            reactor,
            ServerSettings(
                hostname=settings.name,
                address=settings.address,
                port=settings.xmpp_port,
                tls=settings.tls,
                max_stanza=settings.max_stanza,
            ),
            self,
            behaviour=behaviour,
            capture=capture,
        )
        self.metrics = Metrics()
        self.introspect = Introspect(reactor, f"control node {settings.name}", pages(self), self.metrics)
        self.provisioner: Provisioner | None = None
        self.introspect_port: int | None = None
        self.xmpp_port = settings.xmpp_port
        """Where agents connect; that of the settings until it listens."""
        self._instances: dict[str, InstanceSettings] = {}
        self._peers: dict[str, PeerSettings] = {}
        self._identity: Identity | None = None
        self._changing = False
        self._failure: Failure | None = None
        self._stopping = False

    async def start(self) -> None:
        """Opens the ports, reads the configuration; returns at end of configuration.

        Raises:
            CannotListenError: a port is in use.
        """
        self.xmpp_port = await self.xmpp.listen()
        if self.settings.introspect_port is not None:
            self.introspect_port = await self.introspect.listen(
                self.settings.introspect_port, self.settings.introspect_address
            )
        self.provisioner = Provisioner(self.client.graph, self.settings.name, self)
        await self.client.start()
        await self._settled()
        if self._failure is not None:
            self._failure.raiseException()

    async def stop(self) -> None:
        """Closes every session and port."""
        self._stopping = True
        if self.provisioner is not None:
            self.provisioner.stop()
        self.client.stop()
        await self._settled()
        closing = [self.xmpp.stop(), self.introspect.stop()]
        if self.plane is not None:
            closing.append(self.plane.stop())
            self.plane = None
        await DeferredList(closing, consumeErrors=True)
        self.agent_config.stop()

    async def _settled(self) -> None:
        """Returns when no change of identity is under way."""
        while self._changing:
            await deferLater(self.reactor, 0, lambda: None)

    # Told by the provisioner

    def identity_changed(self, identity: Identity | None) -> None:
        """Who we are is new: what depends on it changes, or is taken down and put up again."""
        self._identity = _as_allowed(self.settings, identity)
        if not self._changing:
            self._changing = True
            Deferred.fromCoroutine(self._change()).addErrback(self._change_failed)

    def xmpp_hold_time_changed(self, seconds: int) -> None:
        """Takes effect on live sessions (reference/xmpp.md 1.6)."""
        self.xmpp.set_hold_time(seconds)

    def dscp_changed(self, dscp: int) -> None:
        """Takes effect on live sessions (reference/bgp.md 1.8)."""
        self.xmpp.set_dscp(dscp)
        if self.plane is not None:
            self.plane.speaker.update(_speaker_settings(self, self.plane.identity))

    def peer_changed(self, settings: PeerSettings) -> None:
        known = settings.name in self._peers
        self._peers[settings.name] = settings
        if self.plane is not None:
            if known:
                self.plane.speaker.update_peer(settings)
            else:
                self.plane.speaker.add_peer(settings)

    def peer_removed(self, name: str) -> None:
        del self._peers[name]
        if self.plane is not None:
            self.plane.speaker.remove_peer(name)
            self.plane.peers.removed(name)

    def instance_changed(self, settings: InstanceSettings) -> None:
        known = settings.name in self._instances
        self._instances[settings.name] = settings
        if self.plane is not None:
            if known:
                self.plane.core.update_instance(settings)
            else:
                self._add_instance(self.plane, settings)

    def instance_removed(self, name: str) -> None:
        settings = self._instances.pop(name)
        if self.plane is not None and not settings.is_master:
            self.plane.agents.instance_removed(name)
            self.plane.core.delete_instance(name)

    def _add_instance(self, plane: Plane, settings: InstanceSettings) -> None:
        plane.core.add_instance(settings)
        plane.agents.instance_added(settings.name)

    async def _change(self) -> None:
        """Until the plane is that of the present identity: take down the old one, put up a new one."""
        while not self._stopping and self._identity != (self.plane.identity if self.plane else None):
            if self.plane is not None:
                if self._identity is not None and self.plane.adapt(self._identity):
                    continue
                plane, self.plane = self.plane, None
                self.xmpp.clear("the control node's identity changed")
                await plane.stop()
            elif self._identity is not None:
                await self._put_up(self._identity)
        self._changing = False

    async def _put_up(self, identity: Identity) -> None:
        plane = Plane(self, identity)
        await plane.speaker.listen()
        if self._stopping:
            await plane.stop()
            return
        self.plane = plane
        self.xmpp.graceful_restart_helper = identity.xmpp_helper
        self.xmpp.subcluster = identity.subcluster
        for instance in self._instances.values():
            plane.core.add_instance(instance)
        for peer in self._peers.values():
            plane.speaker.add_peer(peer)

    def _change_failed(self, failure: Failure) -> None:
        self._changing = False
        self._failure = failure
        self.log.error("control node {name}: {error}", name=self.settings.name, error=failure.getErrorMessage())

    # Told by the XMPP server: an agent gets in only while there is an identity and a complete configuration

    def established(self, session: Session) -> None:
        if self.plane is None or self.plane.identity.admin_down or not self.client.synced:
            session.close("the control node has no complete configuration yet")
            return
        self.plane.agents.established(session)
        if self.plane.flusher.paused:
            session.pause_reading()

    def stanza(self, session: Session, stanza: Stanza) -> None:
        if self.plane is not None:
            self.plane.agents.stanza(session, stanza)

    def closed(self, session: Session, reason: str) -> None:
        if self.plane is not None:
            self.plane.agents.closed(session, reason)

    def unblocked(self, session: Session) -> None:
        if self.plane is not None:
            self.plane.agents.unblocked(session)
