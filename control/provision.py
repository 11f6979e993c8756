"""What the configuration graph means to a control node: follows it, and tells what became different.

Reading single objects is in `provision_read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from twisted.logger import Logger

from contrail_emulator.config.graph import Changes, Graph, Node
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.routing import MASTER_INSTANCE, InstanceSettings

from .provision_read import (
    BGP_ROUTER,
    DEFAULT_HOLD_TIME,
    GLOBAL_QOS,
    GLOBAL_SYSTEM,
    ROUTING_INSTANCE,
    VIRTUAL_NETWORK,
    Identity,
    read_dscp,
    read_identity,
    read_instance,
    read_peer,
    read_xmpp_hold_time,
)

T = TypeVar("T")


class Provisioned(Protocol):
    """Who is told. Each call comes once per change; `identity_changed(None)` means there is none (any more)."""

    def identity_changed(self, identity: Identity | None) -> None: ...
    def xmpp_hold_time_changed(self, seconds: int) -> None: ...
    def dscp_changed(self, dscp: int) -> None: ...
    def peer_changed(self, settings: PeerSettings) -> None: ...
    def peer_removed(self, name: str) -> None: ...
    def instance_changed(self, settings: InstanceSettings) -> None: ...
    def instance_removed(self, name: str) -> None: ...


class Provisioner:
    """Follows the graph and tells `told` what became different. `hostname` names our own bgp-router."""

    log = Logger()

    def __init__(self, graph: Graph, hostname: str, told: Provisioned) -> None:
        self.identity: Identity | None = None
        self.xmpp_hold_time = DEFAULT_HOLD_TIME
        self.dscp = 0
        self.peers: dict[str, PeerSettings] = {}
        self.instances: dict[str, InstanceSettings] = {}
        self._graph = graph
        self._self_name = f"{MASTER_INSTANCE}:{hostname}"
        self._told = told
        self._indices = _Indices()
        self._complained: set[str] = set()
        self._unsubscribe = graph.subscribe(self._changed)
        self._evaluate_identity()
        self._evaluate_hold_time()
        self._evaluate_dscp()
        self._evaluate_instances([node.name for node in graph.nodes(ROUTING_INSTANCE)])
        self._evaluate_peers()

    def stop(self) -> None:
        """Follow the graph no longer."""
        self._unsubscribe()

    def _changed(self, changes: Changes) -> None:
        instances: dict[str, None] = {}
        routers = system = marks = False
        for node in changes.touched():
            routers = routers or node.type in (BGP_ROUTER, "bgp-peering")
            system = system or node.type == GLOBAL_SYSTEM
            marks = marks or node.type == GLOBAL_QOS
            instances.update(dict.fromkeys(_instances_near(node)))
        for link in changes.unlinked:
            for end in (link.left, link.right):
                instances.update(dict.fromkeys(_instances_near(end)))
        if routers or system:
            self._evaluate_identity()
        if system:
            self._evaluate_hold_time()
        if marks:
            self._evaluate_dscp()
        if instances:
            self._evaluate_instances(instances)
        if routers or system:
            self._evaluate_peers()

    def _evaluate_identity(self) -> None:
        identity = self._quietly(self._self_name, lambda: read_identity(self._graph, self._self_name))
        if identity != self.identity:
            self.identity = identity
            self._told.identity_changed(identity)

    def _evaluate_hold_time(self) -> None:
        seconds = self._quietly("xmpp-hold-time", lambda: read_xmpp_hold_time(self._graph)) or DEFAULT_HOLD_TIME
        if seconds != self.xmpp_hold_time:
            self.xmpp_hold_time = seconds
            self._told.xmpp_hold_time_changed(seconds)

    def _evaluate_dscp(self) -> None:
        dscp = self._quietly("control-traffic-dscp", lambda: read_dscp(self._graph)) or 0
        if dscp != self.dscp:
            self.dscp = dscp
            self._told.dscp_changed(dscp)

    def _evaluate_instances(self, names: Iterable[str]) -> None:
        for name in names:
            node = self._graph.get(ROUTING_INSTANCE, name)
            if node is None or not node.present:
                self._indices.release(name)
                if self.instances.pop(name, None) is not None:
                    self._told.instance_removed(name)
                continue
            index = 0 if name == MASTER_INSTANCE else self._indices.take(name)
            read = partial(read_instance, self._graph, node, index, self._complain)
            settings = self._quietly(name, read)
            if settings is not None and self.instances.get(name) != settings:
                self.instances[name] = settings
                self._told.instance_changed(settings)

    def _evaluate_peers(self) -> None:
        wanted: dict[str, PeerSettings] = {}
        own = self._graph.get(BGP_ROUTER, self._self_name)
        if self.identity is not None and own is not None:
            for settings in self._read_peers(own, self.identity):
                wanted[settings.name] = settings
        for name in self.peers.keys() - wanted.keys():
            del self.peers[name]
            self._told.peer_removed(name)
        for name, settings in wanted.items():
            if self.peers.get(name) != settings:
                self.peers[name] = settings
                self._told.peer_changed(settings)

    def _read_peers(self, own: Node, identity: Identity) -> Iterator[PeerSettings]:
        for peering in own.neighbours("bgp-peering"):
            for remote in peering.neighbours(BGP_ROUTER):
                if remote is own or not remote.present or _parent(remote) != MASTER_INSTANCE:
                    continue
                value = peering.properties.get("value") or {}
                for session in value.get("session") or [{}]:
                    read = partial(read_peer, own, remote, session, identity)
                    found = self._quietly(f"{remote.name} {session.get('uuid') or ''}".strip(), read)
                    if found is not None:
                        yield found

    def _quietly(self, name: str, read: Callable[[], T]) -> T | None:
        """What `read` gives, or None and one complaint when the configuration of `name` makes no sense."""
        try:
            value = read()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._complain(name, error)
            return None
        self._complained.discard(name)
        return value

    def _complain(self, name: str, error: Exception) -> None:
        """Once, until it makes sense again."""
        if name not in self._complained:
            self._complained.add(name)
            self.log.error("configuration of {name} can't be used: {error}", name=name, error=error)


class _Indices:
    """The lowest free number from 1 on for each name; 0 is the master instance's."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._used: set[int] = set()
        self._lowest = 1

    def take(self, name: str) -> int:
        if name not in self._taken:
            while self._lowest in self._used:
                self._lowest += 1
            self._taken[name] = self._lowest
            self._used.add(self._lowest)
        return self._taken[name]

    def release(self, name: str) -> None:
        index = self._taken.pop(name, None)
        if index is not None:
            self._used.discard(index)
            self._lowest = min(self._lowest, index)


def _instances_near(node: Node) -> Iterator[str]:
    """Routing instances whose settings may depend on this node."""
    if node.type == ROUTING_INSTANCE:
        yield node.name
        for connection in node.neighbours("connection"):
            yield from (other.name for other in connection.neighbours(ROUTING_INSTANCE))
        yield from (other.name for other in node.neighbours(ROUTING_INSTANCE, via="connection"))
    elif node.type in (VIRTUAL_NETWORK, "connection"):
        yield from (other.name for other in node.neighbours(ROUTING_INSTANCE))
    elif node.type == "instance-target":
        for other in node.neighbours(ROUTING_INSTANCE):
            yield from _instances_near(other)


def _parent(node: Node) -> str:
    return node.name.rpartition(":")[0]
