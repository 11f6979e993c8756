"""From the configuration graph to virtual DNS servers, their records and their subnets (reference/dns.md 4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from twisted.logger import Logger

from contrail_emulator.config.graph import Changes, Graph, Node

from .names import Network
from .records import TYPES, RecordData
from .views import Views
from .virtual_dns import VirtualDnsData

SERVER: Final = "virtual-DNS"
RECORD: Final = "virtual-DNS-record"
IPAM: Final = "network-ipam"
IPAM_LINK: Final = "virtual-network-network-ipam"
RECORD_LINK: Final = "virtual-DNS-virtual-DNS-record"


class ConfigFeed:
    """Keeps ``views`` as the graph says, from start() to stop()."""

    log = Logger()

    def __init__(self, graph: Graph, views: Views) -> None:
        self._graph = graph
        self._views = views
        self._unsubscribe: Callable[[], None] | None = None
        self._record_owner: dict[str, str] = {}
        self._ipam_server: dict[str, str] = {}
        self._ipams_of: dict[str, set[str]] = {}

    def start(self) -> None:
        """Take what the graph has, and follow it."""
        self._unsubscribe = self._graph.subscribe(self._changed)
        self._take(node for name in (SERVER, IPAM, RECORD) for node in self._graph.nodes(name))

    def stop(self) -> None:
        """Follow no more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _changed(self, changes: Changes) -> None:
        self._take(changes.touched())

    def _take(self, nodes: Iterable[Node]) -> None:
        touched: dict[str, None] = {}
        ipams: dict[str, None] = {}
        for node in nodes:
            if node.type == SERVER:
                self._take_server(node)
                touched[node.name] = None
            elif node.type == RECORD:
                touched.update(dict.fromkeys(self._take_record(node)))
            elif node.type == IPAM:
                touched.update(dict.fromkeys(self._take_ipam(node)))
                ipams[node.name] = None
            elif node.type == IPAM_LINK:
                ipams.update((other.name, None) for other in node.neighbours(IPAM))
        servers = {self._ipam_server[name]: None for name in ipams if name in self._ipam_server}
        for fq_name in {**touched, **servers}:
            server = self._views.get(fq_name)
            if server is None and fq_name in self._ipams_of:
                server = self._views.ensure(fq_name)
            if server is not None:
                server.set_subnets(self._subnets(fq_name))
                self._views.settle(server)

    def _take_server(self, node: Node) -> None:
        properties = node.properties.get("virtual_DNS_data") if node.present else None
        data = VirtualDnsData.read(properties) if isinstance(properties, Mapping) else None
        server = self._views.get(node.name)
        if data is not None or server is not None:
            self._views.ensure(node.name).configure(data)

    def _take_record(self, node: Node) -> set[str]:
        """State or retract the record; gives the servers it concerns."""
        before = self._record_owner.pop(node.name, None)
        properties = node.properties.get("virtual_DNS_record_data") if node.present else None
        parent = node.neighbour(SERVER, RECORD_LINK)
        after: str | None = None
        data = _record_data(properties) if isinstance(properties, Mapping) else None
        if data is not None and parent is not None:
            after = self._record_owner[node.name] = parent.name
        if before is not None and before != after:
            self._views.ensure(before).retract(("config", node.name))
        if after is not None and data is not None:
            server = self._views.ensure(after)
            source = str(properties.get("record_source_name") or "") if isinstance(properties, Mapping) else ""
            statement = server.statements.get(("config", node.name))
            if statement is None or (statement.data, statement.source_name) != (data, source):
                server.state(("config", node.name), data, source)
        return {name for name in (before, after) if name is not None}

    def _take_ipam(self, node: Node) -> set[str]:
        """Note which server the IPAM names; gives the servers it concerns."""
        before = self._ipam_server.pop(node.name, None)
        after = _server_name(node.properties.get("network_ipam_mgmt")) if node.present else ""
        if before is not None and before != after:
            self._ipams_of[before].discard(node.name)
            if not self._ipams_of[before]:
                del self._ipams_of[before]
        if after:
            self._ipam_server[node.name] = after
            self._ipams_of.setdefault(after, set()).add(node.name)
        return {name for name in (before, after) if name}

    def _subnets(self, fq_name: str) -> tuple[Network, ...]:
        """The subnets of every network that uses an IPAM of this server: v4 before v6, then by prefix."""
        found: set[Network] = set()
        for name in self._ipams_of.get(fq_name, ()):
            ipam = self._graph.get(IPAM, name)
            for link in ipam.neighbours(IPAM_LINK) if ipam is not None else ():
                found.update(_link_subnets(link.properties.get("value")))
        return tuple(sorted(found, key=lambda net: (net.version, int(net.network_address), net.prefixlen)))


def _record_data(properties: Mapping[str, Any]) -> RecordData | None:
    """The record of the JSON value, None when its type is none we know or its class is not IN."""
    kind = TYPES.get(str(properties.get("record_type") or "").upper())
    if kind is None or str(properties.get("record_class") or "IN").upper() != "IN":
        return None
    return RecordData(
        name=str(properties.get("record_name") or ""),
        type=kind,
        data=str(properties.get("record_data") or ""),
        ttl=_whole(properties.get("record_ttl_seconds")),
        preference=_whole(properties.get("record_mx_preference")) & 0xFFFF,
    )


def _server_name(management: object) -> str:
    if not isinstance(management, Mapping):
        return ""
    server = management.get("ipam_dns_server")
    return str(server.get("virtual_dns_server_name") or "") if isinstance(server, Mapping) else ""


def _link_subnets(value: object) -> Iterable[Network]:
    subnets = value.get("ipam_subnets") if isinstance(value, Mapping) else None
    for entry in subnets if isinstance(subnets, list) else ():
        subnet = entry.get("subnet") if isinstance(entry, Mapping) else None
        if isinstance(subnet, Mapping):
            text = f"{subnet.get('ip_prefix')}/{subnet.get('ip_prefix_len')}"
            try:
                yield ipaddress.ip_network(text, strict=False)
            except ValueError:
                ConfigFeed.log.warn("{text} is not a subnet; no reverse zone for it", text=text)


def _whole(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and value > 0 else 0
