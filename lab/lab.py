"""A lab at work: configuration, control nodes, routers, agents and machines, started, watched, stopped together."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from contrail_emulator.agent.channels.decode import Decoder
from contrail_emulator.base import behaviour
from contrail_emulator.base.introspect import Introspect
from contrail_emulator.base.metrics import Metrics
from contrail_emulator.base.pcap import Capture
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.store import StoreError
from contrail_emulator.config.store.sqlite import fault_of
from contrail_emulator.config.writer import WriterError
from contrail_emulator.control.metrics import register_metrics
from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.dns import introspect as dns_introspect
from contrail_emulator.dns.server import DnsServer
from contrail_emulator.dns.settings import DnsSettings

from . import state, wireshark
from .compute import Compute
from .config_node import ConfigNode
from .convergence import sessions_of, status_of
from .errors import LabError
from .introspect import lab_pages
from .machine import Machine
from .model import BgpPeer, LabFile
from .objects import lab_uuid
from .plugging import plug
from .ports import PortPicker, line_of_listener
from .routers import KINDS, Neighbour, Router
from .routers.fabric import GatewayFabric
from .status import LabStatus, SessionStatus

POLL_SECONDS = 0.05
PAUSE_A_SECOND = 4.0
"""How long the lab is left alone for each second that it took to look at it: a large one has better things to do."""
REFRESH_SECONDS = 0.25
STOP_SECONDS = 10.0
MAX_IN_PATH = 20
"""Characters of a name in a path: routers have sockets there, and a socket's path has 107 bytes."""
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"


class Lab:
    """Everything of one lab in this process (routers are child processes).

    `start` brings it up, `converge` waits until it does what it should, `stop` takes all of it down again.
    `capture` is a pcapng file that gets every byte; `directory` keeps the routers' files and is made (and removed)
    when not given and needed; `advertise` leaves the state file for `show` and `ping`.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        file: LabFile,
        *,
        capture: Path | None = None,
        directory: Path | None = None,
        rng: Random | None = None,
        advertise: bool = True,
    ) -> None:
        self.reactor = reactor
        self.rng = rng or Random()
        self.file = _with_ports(file, PortPicker(self.rng, _others))
        self.directory = directory
        self.capture_path = capture or file.capture
        self.capture: Capture | None = None
        self.config: ConfigNode | None = None
        self.control: dict[str, ControlNode] = {}
        self.routers: dict[str, Router] = {}
        self.fabrics: dict[str, GatewayFabric] = {}
        self.computes: dict[str, Compute] = {}
        self.dns: DnsServer | None = None
        self.addresses: dict[str, IPv4Address] = {}
        self.started = reactor.seconds()
        self.progress = ""
        """How far `start` is, for whoever waits."""
        self.say: Callable[[str], None] | None = None
        """Who is told what the user should know of the start; None: the log."""
        self._keep_directory = directory is not None
        self._advertise = advertise
        self._state_file: Path | None = None
        self._introspect: Introspect | None = None
        self._dns_client: ConfigClient | None = None
        self._dns_introspect: Introspect | None = None
        self._dns_introspect_port = 0
        self._stopped: Deferred[None] | None = None

    @property
    def machines(self) -> dict[str, Machine]:
        return {name: machine for compute in self.computes.values() for name, machine in compute.machines.items()}

    def _tell(self, progress: str) -> None:
        self.progress = progress

    def compute_of(self, machine: str) -> Compute:
        """The compute node a machine runs on.

        Raises:
            LabError: there is no such machine.
        """
        for compute in self.computes.values():
            if machine in compute.machines:
                return compute
            if compute.has(machine):
                raise LabError(f"machine {machine} is on a TAP device; what is behind it acts for itself")
        raise LabError(f"no machine is called {machine} (there is: {', '.join(self.machines) or 'none'})")

    # Life

    async def start(self) -> None:
        """Starts everything; returns when all of it runs, converged or not.

        Raises:
            LabError: something is in the way; what was started is stopped again.
        """
        try:
            await self._start()
        except CannotListenError as error:
            await self.stop()
            line = line_of_listener(self.file, error.interface, error.port)
            where = f"{error.interface} port {error.port}"
            raise LabError(f"{line}cannot listen on {where}: {_reason(error)}{_others()}") from error
        except (WriterError, StoreError) as error:
            await self.stop()
            raise LabError(f"configuration: {error}") from error
        except LabError:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._need_database()
        self._make_routers()
        if self.capture_path is not None:
            self.capture = self._open_capture(self.capture_path)
        for router in self.routers.values():
            await router.start()
        schema = load_schema()
        self.config = ConfigNode(self.reactor, self.file, schema, self.rng, self._tell, self.say)
        await self.config.start()
        await self._start_control_nodes(self.config)
        await self._start_dns(self.config)
        await self._allocate(self.config)
        await self._start_computes()
        if self._advertise:
            await self._announce()

    def _need_database(self) -> None:
        """What is wrong with the configuration's file is said before anything has been started."""
        path = self.file.config.path
        if path is not None and (fault := fault_of(str(path))):
            raise LabError(f"{self.file.line_of('config', 'path')}config.path: {path}: {fault}")

    def _open_capture(self, path: Path) -> Capture:
        line = self.file.line_of("capture") if path == self.file.capture else ""
        if not path.name:
            raise LabError(f"{line}capture: expected the name of a file")
        try:
            if path.is_file() and path.stat().st_size and not _is_capture(path):
                raise LabError(f"{line}capture {path}: is there already and is no capture; not overwritten")
            wireshark.write_profile(path, self.file)
            return Capture(path, time.time)
        except OSError as error:
            raise LabError(f"{line}capture {path}: {error.strerror}") from error

    def _make_routers(self) -> None:
        launched = [peer for peer in self.file.bgp_peers if peer.kind != "external"]
        if not launched:
            return
        if self.directory is None:
            prefix = f"contrail-emulator-{self.file.name[:MAX_IN_PATH]}-"
            self.directory = Path(tempfile.mkdtemp(prefix=prefix))
        neighbours = [
            Neighbour(node.name, node.address, node.bgp_port, self.file.autonomous_system)
            for node in self.file.control_nodes
        ]
        for number, peer in enumerate(launched):
            folder = peer.name if len(peer.name) <= MAX_IN_PATH else f"{peer.name[:MAX_IN_PATH]}~{number}"
            try:
                router = _router_class(peer)(self.reactor, peer, neighbours, self.directory / folder)
                router.need()
            except LabError as error:
                line = self.file.line_of("bgp_peers", self.file.bgp_peers.index(peer), "kind")
                raise LabError(f"{line}{error}") from error
            router.awaited = True
            router.remove_directory = None if self._keep_directory else self.directory
            self.routers[peer.name] = router
            fabric = GatewayFabric(self.file.data_side(peer))
            fabric.listen(self.reactor, None)
            self.fabrics[peer.name] = fabric

    async def _start_control_nodes(self, config: ConfigNode) -> None:
        for node in self.file.control_nodes:
            control = ControlNode(
                self.reactor,
                ControlSettings(
                    name=node.name,
                    address=str(node.address),
                    bgp_port=node.bgp_port,
                    xmpp_port=node.xmpp_port,
                    introspect_port=node.introspect_port,
                    introspect_address=str(node.address),
                ),
                config.client(self.reactor, Graph(), f"contrail-control.{node.name}"),
                config.schema,
                rng=self.rng,
                behaviour=behaviour.profile(self.file.behaviour),
                capture=self.capture,
            )
            register_metrics(control)
            self.control[node.name] = control
            await control.start()

    async def _start_dns(self, config: ConfigNode) -> None:
        if self.file.dns is None:
            return
        dns = self.file.dns
        graph = Graph()
        self._dns_client = config.client(self.reactor, graph, "contrail-dns.lab")
        self.dns = DnsServer(
            self.reactor,
            DnsSettings(
                hostname="dns",
                address=str(dns.address),
                port=dns.port,
                xmpp_port=dns.xmpp_port,
            ),
            graph,
            capture=self.capture,
        )
        await self._dns_client.start()
        await self.dns.start()
        metrics = Metrics()
        dns_introspect.register_metrics(self.dns, metrics)
        self._dns_introspect = Introspect(self.reactor, "DNS", dns_introspect.pages(self.dns), metrics)
        self._dns_introspect_port = await self._dns_introspect.listen(dns.introspect_port, str(dns.address))

    async def _allocate(self, config: ConfigNode) -> None:
        for agent in self.file.agents:
            for machine in agent.machines:
                given = machine.address or await config.address_of(lab_uuid(self.file.name, "address", machine.name))
                self.addresses[machine.name] = IPv4Address(given)

    async def _start_computes(self) -> None:
        underlay = dict(self.file.underlay)
        for agent in self.file.agents:
            assert agent.tunnel_address is not None and agent.bind is not None
            underlay.setdefault(agent.tunnel_address, agent.bind)
        nodes = tuple((str(node.address), node.xmpp_port) for node in self.file.control_nodes)
        decoder = Decoder()
        for agent in self.file.agents:
            compute = Compute(
                self.reactor, self.file, agent, nodes, underlay, rng=self.rng, capture=self.capture, decoder=decoder
            )
            self.computes[agent.name] = compute
            await compute.start()
        placed = [(self.computes[agent.name], machine) for agent in self.file.agents for machine in agent.machines]
        await plug(self.reactor, placed, self.addresses, self._tell)

    async def _announce(self) -> None:
        """Opens the lab's own introspect and leaves the state file for `show` and `ping`."""
        self._introspect = Introspect(self.reactor, f"lab {self.file.name}", lab_pages(self), Metrics())
        port = await self._introspect.listen(0)
        daemons = [state.DaemonState("lab", self.file.name, f"http://127.0.0.1:{port}")]
        for name, control in self.control.items():
            if control.introspect_port is not None:
                daemons.append(
                    state.DaemonState("control", name, f"http://{control.settings.address}:{control.introspect_port}")
                )
        for name, compute in self.computes.items():
            if compute.agent.introspect_port is not None:
                daemons.append(
                    state.DaemonState("agent", name, f"http://{compute.file.bind}:{compute.agent.introspect_port}")
                )
        if self._dns_introspect is not None and self.file.dns is not None:
            daemons.append(
                state.DaemonState("dns", "dns", f"http://{self.file.dns.address}:{self._dns_introspect_port}")
            )
        self._state_file = state.write(state.LabState(self.file.name, os.getpid(), tuple(daemons)))

    def stop(self) -> Deferred[None]:
        """Closes every session cleanly, ends every router, removes what the lab left; safe more than once."""
        if self._stopped is None:
            self._stopped = Deferred.fromCoroutine(self._stop())
        return self._stopped

    async def _stop(self) -> None:
        if self._state_file is not None:
            self._state_file.unlink(missing_ok=True)
        steps: list[Callable[[], Awaitable[Any]]] = []
        steps.append(self._stop_computes)
        if self._dns_client is not None:
            self._dns_client.stop()
        if self._dns_introspect is not None:
            steps.append(self._dns_introspect.stop)
        if self.dns is not None:
            steps.append(self.dns.stop)
        steps += [control.stop for control in self.control.values()]
        if self.config is not None:
            steps.append(self.config.stop)
        if self._introspect is not None:
            steps.append(self._introspect.stop)
        steps += [fabric.stop for fabric in self.fabrics.values()]
        for step in steps:
            await self._bounded(step)
        await gatherResults([router.stop() for router in self.routers.values()], consumeErrors=True)
        if self.capture is not None:
            self.capture.close()
        if self.directory is not None and not self._keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _stop_computes(self) -> None:
        """All agents at once, so that a control node has nobody left to tell of those that leave."""
        stopping = [Deferred.fromCoroutine(compute.stop()) for compute in self.computes.values()]
        await gatherResults(stopping, consumeErrors=True)

    async def _bounded(self, step: Callable[[], Awaitable[Any]]) -> None:
        """One step of stopping: neither its fault nor its slowness keeps the rest from being stopped."""

        async def run() -> None:
            await step()

        done = Deferred.fromCoroutine(run())
        done.addTimeout(STOP_SECONDS, self.reactor)
        done.addErrback(lambda failure: self.log.failure("while the lab was stopped", failure=failure))
        await done

    # Watching

    def status(self) -> LabStatus:
        """Sessions and goals now."""
        return status_of(self)

    def sessions(self) -> tuple[SessionStatus, ...]:
        """Sessions alone now."""
        return tuple(sessions_of(self))

    async def converge(self, timeout: float, watch: Callable[[LabStatus], None] = lambda status: None) -> LabStatus:
        """Waits until every session is up and every route is where it should be; End-of-RIB timers are not waited for.

        Raises:
            LabError: not within `timeout` seconds; the text says what was awaited.
        """
        deadline = self.reactor.seconds() + timeout
        refreshed = 0.0
        while True:
            looked = self.reactor.seconds()
            status = self.status()
            watch(status)
            spent = self.reactor.seconds() - looked
            if status.converged:
                return status
            for router in self.routers.values():
                if router.failed is not None:
                    raise LabError(router.failed)
            if self.reactor.seconds() >= deadline:
                raise LabError(f"not converged after {timeout:g} s; still awaited: {status.awaited}")
            if self.reactor.seconds() >= refreshed + REFRESH_SECONDS:
                refreshed = self.reactor.seconds()
                for router in self.routers.values():
                    await router.refresh()
            await deferLater(self.reactor, max(POLL_SECONDS, PAUSE_A_SECOND * spent), lambda: None)

    async def wait_for(self, what: str, condition: Callable[[], bool], timeout: float) -> None:
        """Waits until `condition()` holds.

        Raises:
            LabError: not within `timeout` seconds.
        """
        deadline = self.reactor.seconds() + timeout
        while not condition():
            if self.reactor.seconds() >= deadline:
                raise LabError(f"after {timeout:g} s still not so: {what}")
            await deferLater(self.reactor, POLL_SECONDS / 5, lambda: None)


def _reason(error: CannotListenError) -> str:
    return str(getattr(error.socketError, "strerror", None) or error.socketError)


def _others() -> str:
    """Who may have a port that is in use."""
    others = ", ".join(f"{lab.name} (pid {lab.pid})" for lab in state.running() if lab.pid != os.getpid())
    return f"; running here: lab {others}" if others else ""


def _is_capture(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == PCAPNG_MAGIC


def _router_class(peer: BgpPeer) -> type[Router]:
    kind = KINDS.get(peer.kind)
    if kind is None:
        raise LabError(f"bgp_peers: {peer.name}: a lab cannot start {peer.kind} (it can: {', '.join(KINDS)})")
    return kind


def _with_ports(file: LabFile, picker: PortPicker) -> LabFile:
    """The file with every port 0 replaced by a free one, and every other one known to be free."""

    def port(address: IPv4Address | None, wanted: int, what: str, *place: str | int, datagram: bool = False) -> int:
        return picker.pick(str(address), wanted, datagram, f"{file.line_of(*place)}{what}: {place[-1]}")

    nodes = tuple(
        node.model_copy(
            update={
                name: port(node.address, getattr(node, name), f"control node {node.name}", "control_nodes", index, name)
                for name in ("bgp_port", "xmpp_port")
            }
        )
        for index, node in enumerate(file.control_nodes)
    )
    peers = tuple(
        peer
        if peer.kind == "external"
        else peer.model_copy(
            update={"port": port(peer.address, peer.port, f"router {peer.name}", "bgp_peers", index, "port")}
        )
        for index, peer in enumerate(file.bgp_peers)
    )
    dns = file.dns
    if dns is not None:
        dns = dns.model_copy(
            update={
                "port": port(dns.address, dns.port, "dns", "dns", "port", datagram=True),
                "xmpp_port": port(dns.address, dns.xmpp_port, "dns", "dns", "xmpp_port"),
            }
        )
    return file.model_copy(update={"control_nodes": nodes, "bgp_peers": peers, "dns": dns})


__all__ = ["Lab"]
