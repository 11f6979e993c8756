"""The four daemons as processes of their own: what each is made of, how it starts, re-reads its file and stops."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

from twisted.internet.task import deferLater
from twisted.logger import Logger

from contrail_emulator.agent.agent import Agent
from contrail_emulator.agent.ksync import DataPlane, NoDataPlane
from contrail_emulator.agent.settings import AgentSettings
from contrail_emulator.base.conf import ConfFile
from contrail_emulator.base.introspect import Introspect, Page
from contrail_emulator.base.metrics import Metrics
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.ids import IdsError
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.store import StoreError
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Writer, WriterError
from contrail_emulator.control.metrics import register_metrics
from contrail_emulator.control.node import ControlNode
from contrail_emulator.dns import introspect as dns_introspect
from contrail_emulator.dns.server import DnsServer
from contrail_emulator.lab.data_plane import ModelPlane, model_plane
from contrail_emulator.lab.state import DaemonState

from .daemons_conf import agent_conf, config_node_conf, control_conf, dns_conf
from .daemons_store import RETRY_SECONDS, Connections


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that works: the line that says so, and for `contrail-emulator show` its kind, name and introspect."""

    line: str
    state: DaemonState


class Daemon(Protocol):
    """One daemon. Made from its conf file (ConfError, TlsError), it opens nothing before `start`."""

    warnings: tuple[str, ...]

    async def start(self) -> Started:
        """Runs until it does its work. CannotListenError when a port is in use."""

    async def stop(self) -> None:
        """Closes everything, sessions cleanly."""

    def reload(self, conf: ConfFile) -> None:
        """The file was changed. ConfError: nothing is different then."""


class ControlDaemon:
    """contrail-control."""

    def __init__(self, reactor: Any, conf: ConfFile, database: Path | None, rng: Random) -> None:
        read = control_conf(conf)
        self.warnings = read.warnings
        self._connections = Connections(reactor, read.database, database, rng)
        schema = load_schema()
        backends = self._connections.backends
        queue = f"contrail-control.{read.settings.name}"
        self._client = ConfigClient(reactor, backends.store, backends.bus, schema, Graph(), queue)
        self._node = ControlNode(reactor, read.settings, self._client, schema, rng=rng)
        register_metrics(self._node)

    async def start(self) -> Started:
        await self._node.start()
        name, introspect = self._node.settings.name, self._node.introspect_port
        plane = self._node.plane
        bgp = "none yet" if plane is None else plane.speaker.port  # there is no bgp-router of our name: none is spoken
        return _started(
            "control",
            name,
            (self._node.settings.introspect_address, introspect or 0),
            f"control node {name}: bgp {bgp}, xmpp {self._node.xmpp_port}, introspect {introspect}",
        )

    async def stop(self) -> None:
        await self._node.stop()
        await self._connections.close()

    def reload(self, conf: ConfFile) -> None:
        self._connections.move(control_conf(conf).database, self._client.resync)


class DnsDaemon:
    """contrail-dns; answers by itself, without named."""

    def __init__(self, reactor: Any, conf: ConfFile, database: Path | None, rng: Random) -> None:
        read = dns_conf(conf)
        self.warnings = read.warnings
        self._connections = Connections(reactor, read.database, database, rng)
        backends, graph = self._connections.backends, Graph()
        queue = f"contrail-dns.{read.settings.hostname}"
        self._client = ConfigClient(reactor, backends.store, backends.bus, load_schema(), graph, queue)
        self._server = DnsServer(reactor, read.settings, graph, rng=rng)
        metrics = Metrics()
        dns_introspect.register_metrics(self._server, metrics)
        self._introspect = Introspect(reactor, "DNS", dns_introspect.pages(self._server), metrics)
        self._at = read.introspect

    async def start(self) -> Started:
        address, port = self._at
        listening = await self._introspect.listen(port, address)
        await self._client.start()
        await self._server.start()
        server, name = self._server, self._server.settings.hostname
        line = f"dns {name}: dns {server.port}, xmpp {server.xmpp_port}, introspect {listening}"
        return _started("dns", name, (address, listening), line)

    async def stop(self) -> None:
        self._client.stop()
        await self._introspect.stop()
        await self._server.stop()
        await self._connections.close()

    def reload(self, conf: ConfFile) -> None:
        self._connections.move(dns_conf(conf).database, self._client.resync)


class ConfigNodeDaemon:
    """contrail-schema, and what contrail-api does at its first start: the objects every system has."""

    log = Logger()

    def __init__(self, reactor: Any, conf: ConfFile, database: Path | None, rng: Random) -> None:
        read = config_node_conf(conf)
        self.warnings = read.warnings
        self._reactor = reactor
        self._connections = Connections(reactor, read.database, database, rng)
        schema, backends = load_schema(), self._connections.backends
        assert backends.ids is not None
        self.writer = Writer(backends.store, backends.bus, backends.ids, schema, uuid=uuid.uuid4, clock=time.time)
        self._transformer = Transformer(
            reactor,
            backends.store,
            backends.bus,
            backends.ids,
            schema,
            self.writer,
            name=read.name,
            logical_routers=read.logical_routers,
        )
        self._introspect = Introspect(
            reactor, "config node", [Page("transformer", lambda _: self._rows(), "The schema transformer")], Metrics()
        )
        self._at = read.introspect
        self._name = read.name

    async def start(self) -> Started:
        address, port = self._at
        listening = await self._introspect.listen(port, address)
        await self._connections.open()
        await self._initialise()
        self._transformer.start()  # not waited for: it may wait behind another one
        return _started("config", self._name, (address, listening), f"config node: introspect {listening}")

    async def _initialise(self) -> None:
        """The objects of a first start; two config nodes may do it at once, then one of them tries again."""
        while True:
            try:
                await self.writer.initialise()
            except (WriterError, StoreError, IdsError) as error:
                self.log.warn("first objects: {error}; trying again", error=error)
                await deferLater(self._reactor, RETRY_SECONDS, lambda: None)
            else:
                return

    async def stop(self) -> None:
        self._transformer.stop()
        await self._introspect.stop()
        await self._connections.close()

    def reload(self, conf: ConfFile) -> None:
        self._connections.move(config_node_conf(conf).database, self._transformer.evaluate_everything)

    def _rows(self) -> list[dict[str, object]]:
        return [{"active": self._transformer.active, **self._transformer.counters}]


class AgentDaemon:
    """contrail-vrouter-agent, with the data plane model or none. Ports are announced over its port API."""

    log = Logger()

    def __init__(self, reactor: Any, conf: ConfFile, database: Path | None, rng: Random) -> None:
        read = agent_conf(conf)
        self.warnings = read.warnings
        self.settings = read.settings
        data_plane: DataPlane = NoDataPlane()
        self._plane: ModelPlane | None = None
        if read.data_plane == "model":
            self._plane = model_plane(reactor, rng, read.settings.source_address, dict(read.underlay))
            data_plane = self._plane.data_plane
        self._agent = Agent(
            reactor,
            read.settings,
            data_plane,
            rng=rng,
            uuid=lambda: uuid.UUID(int=rng.getrandbits(128), version=4),
        )

    async def start(self) -> Started:
        if self._plane is not None:
            self._plane.fabric.start()
        await self._agent.start()
        agent, name = self._agent, self.settings.name
        line = f"agent {name}: introspect {agent.introspect_port}, port API {agent.port_api_port}"
        return _started("agent", name, (self.settings.introspect_address, agent.introspect_port or 0), line)

    async def stop(self) -> None:
        await self._agent.stop()
        if self._plane is not None:
            await self._plane.fabric.stop()

    def reload(self, conf: ConfFile) -> None:
        read, name = agent_conf(conf).settings, self.settings.name
        if read == self.settings:
            self.log.info("agent {name}: nothing is changed", name=name)
            return
        moved = replace(self.settings, control_nodes=read.control_nodes, dns_servers=read.dns_servers)
        if moved != self.settings:
            self._agent.move(moved.control_nodes, moved.dns_servers)
            self.settings = moved
            self.log.info("agent {name}: moved to {servers}", name=name, servers=_listed(moved))
        if read != moved:
            self.log.warn("agent {name}: what changed beside the lists of servers takes a restart", name=name)


def _listed(settings: AgentSettings) -> str:
    controls = [f"{address}:{port}" for address, port in settings.control_nodes]
    return " ".join([*controls, *(f"{server.address}:{server.udp_port}" for server in settings.dns_servers)]) or "none"


def _started(kind: str, name: str, introspect: tuple[str, int], line: str) -> Started:
    address, port = introspect
    host = f"[{address}]" if ":" in address else address
    return Started(line, DaemonState(kind, name, f"http://{host}:{port}"))
