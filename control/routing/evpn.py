"""Inclusive multicast of one VRF's EVPN table (reference/bgp.md 4.9).

An agent's broadcast MAC route becomes an inclusive multicast route towards BGP, and is answered with the list of those
to whom the agent has to replicate: nodes without edge replication, or every node when the agent itself has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes, PmsiTunnel, pmsi
from contrail_emulator.control.bgp.label import read_label

from .attribute_set import AttributeSet
from .groups import Export, UpdateGroup
from .olist import Olist, OlistEntry
from .path import INFEASIBLE
from .source import Source, SourceKind
from .table import Route, Table
from .vpn_keys import INCLUSIVE_MULTICAST, IP_PREFIX, MAC_IP, is_broadcast

if TYPE_CHECKING:
    from .core import RoutingCore

IGMP_PROXY = 1
_MAX_VNI = 0xFFFFFF


class MulticastNode:
    """Someone who takes part in the broadcast domain: from its own route, or from its inclusive multicast route."""

    __slots__ = (
        "address",
        "edge_replication",
        "encapsulations",
        "label",
        "leaf",
        "replicator",
        "replicator_address",
        "tag",
    )

    def __init__(self, attributes: Attributes, label: int, tag: int) -> None:
        tunnel = attributes.pmsi
        flags = tunnel.flags if tunnel is not None else 0
        kind = flags & pmsi.AR_TYPE_MASK
        self.address = attributes.next_hop
        self.label = label
        self.tag = tag
        self.encapsulations = ext_community.encapsulations(attributes.ext_communities)
        self.edge_replication = bool(flags & pmsi.EDGE_REPLICATION_SUPPORTED)
        self.replicator = kind == pmsi.AR_REPLICATOR
        self.leaf = kind == pmsi.AR_LEAF
        self.replicator_address = tunnel.identifier if tunnel is not None else b""

    @property
    def entry(self) -> OlistEntry:
        return OlistEntry(self.address, self.label, self.encapsulations)


def is_valid(tunnel: PmsiTunnel | None) -> bool:
    """Whether an inclusive multicast route's tunnel is one that agents can replicate to."""
    if tunnel is None:
        return False
    kind = tunnel.flags & pmsi.AR_TYPE_MASK
    if tunnel.type == pmsi.INGRESS_REPLICATION:
        return kind == pmsi.AR_REGULAR or (kind == pmsi.AR_REPLICATOR and bool(tunnel.flags & pmsi.LEAF_INFO_REQUIRED))
    return tunnel.type == pmsi.ASSISTED_REPLICATION and kind == pmsi.AR_LEAF


class LocalNode(NamedTuple):
    """An agent's broadcast route: what was made of it, and of which attributes and payload."""

    node: MulticastNode
    inclusive_key: bytes
    """Of the inclusive multicast route; empty when the agent gave no label."""
    path_id: int
    shared: AttributeSet
    payload: bytes


class EvpnManager:
    """The broadcast domain of one VRF. Hears of every changed route of its table, and exports broadcast routes."""

    def __init__(self, core: RoutingCore, table: Table) -> None:
        self._core = core
        self._table = table
        self._source = Source(SourceKind.LOCAL, "evpn")
        self._local: dict[Route, LocalNode] = {}
        self._remote: dict[Route, MulticastNode] = {}

    # --- routes in ---------------------------------------------------------------------------------------------------

    def changed(self, route: Route) -> None:
        """A route of the table changed."""
        if route.key[0] == MAC_IP:
            if is_broadcast(route.key):
                self._broadcast_changed(route)
        elif route.key[0] == INCLUSIVE_MULTICAST:
            self._inclusive_changed(route)

    def _broadcast_changed(self, route: Route) -> None:
        best = route.best
        old = self._local.get(route)
        if best is not None and (best.flags & INFEASIBLE or len(best.attributes.next_hop) != 4):
            best = None
        if old is not None:
            if best is not None and best.shared is old.shared and best.payload == old.payload:
                return
            del self._local[route]
        key, path_id = b"", 0
        if best is not None:
            attributes = best.attributes
            vxlan = ext_community.is_vxlan(attributes.ext_communities)
            label_bytes = best.payload[10:13]
            tag = int.from_bytes(route.key[9:13], "big")
            node = MulticastNode(attributes, read_label(label_bytes, vxlan) if label_bytes else 0, tag)
            address = node.address
            path_id = int.from_bytes(route.key[3:7], "big")
            key = bytes((INCLUSIVE_MULTICAST,)) + b"\x00\x01" + address + route.key[7:13] + b"\x20" + address
            if node.label:
                tunnel = attributes.pmsi or PmsiTunnel(0, pmsi.INGRESS_REPLICATION, label_bytes, address)
                tunnel = tunnel._replace(label=label_bytes, identifier=tunnel.identifier or address)
                self._originate(key, attributes, tunnel, path_id)
            else:
                key = b""
            self._local[route] = LocalNode(node, key, path_id, best.shared, best.payload)
        if old is not None and old.inclusive_key and (old.inclusive_key != key or old.path_id != path_id):
            self._table.withdraw(self._source, (old.inclusive_key,), old.path_id)

    def _originate(self, key: bytes, attributes: Attributes, tunnel: PmsiTunnel, path_id: int) -> None:
        flags = ext_community.multicast_flags(IGMP_PROXY)
        kept = tuple(value for value in attributes.ext_communities if value != flags)
        shared = self._core.attributes.acquire(attributes.replace(pmsi=tunnel, ext_communities=(*kept, flags)))
        self._table.update(self._source, shared, ((key, b""),), path_id, key[1:9], 0)
        self._core.attributes.release(shared)

    def _inclusive_changed(self, route: Route) -> None:
        best = route.best
        old = self._remote.pop(route, None)
        node: MulticastNode | None = None
        if best is not None and not best.flags & INFEASIBLE:
            attributes = best.attributes
            tunnel = attributes.pmsi
            if is_valid(tunnel):
                assert tunnel is not None
                vxlan = ext_community.is_vxlan(attributes.ext_communities)
                tag = int.from_bytes(route.key[9:13], "big")
                label = tunnel.label_value(vxlan)
                if vxlan and 0 < tag <= _MAX_VNI and self._core.behaviour.ethernet_tag_as_vni:
                    label = tag
                node = self._remote[route] = MulticastNode(attributes, label, tag)
        for changed in (old, node):
            if changed is not None:
                self._notify(changed)

    def _notify(self, remote: MulticastNode) -> None:
        """Tell the local routes whose list `remote` may be on."""
        for route, (local, *_) in self._local.items():
            if remote.leaf:
                concerned = local.replicator
            else:
                concerned = not local.leaf and not (local.edge_replication and remote.edge_replication)
            if concerned and not route.dirty:
                self._core.mark(route)

    # --- lists out ---------------------------------------------------------------------------------------------------

    def olist(self, route: Route) -> Olist | None:
        """To whom the publisher of a broadcast route replicates; None when to nobody."""
        found = self._local.get(route)
        best = route.best
        if found is None or best is None or found.node.leaf:
            return None
        local = found.node
        pbb = self._table.instance.settings.pbb_evpn_enable
        entries: list[OlistEntry] = []
        leaves: list[OlistEntry] = []
        for node in self._remote.values():
            if node.leaf:
                if local.replicator and node.replicator_address == local.address:
                    leaves.append(node.entry)
            elif node.address == local.address or (local.edge_replication and node.edge_replication):
                continue
            elif not (pbb and node.tag and node.tag != local.tag):
                entries.append(node.entry)
        if not entries and not leaves:
            return None
        return Olist(best.attributes, best.payload, tuple(sorted(entries)), tuple(sorted(leaves)))

    def export(self, group: UpdateGroup, route: Route) -> Export | None:
        """The list of a broadcast route, to its publisher alone."""
        olist = self.olist(route)
        best = route.best
        if olist is None or best is None:
            return None
        return olist, b"", group.members.by_source.get(best.source, 0)

    def rows(self) -> dict[str, int]:
        """Counts for introspect (ShowEvpnTable)."""
        nodes = list(self._remote.values())
        return {
            "im_routes": len(nodes),
            "regular_nves": sum(not node.edge_replication and not node.leaf for node in nodes),
            "ar_replicators": sum(node.replicator for node in nodes),
            "ar_leafs": sum(node.leaf for node in nodes),
        }

    def close(self) -> None:
        """The table is gone."""
        self._local.clear()
        self._remote.clear()


def is_for_agents(key: bytes) -> bool:
    """Whether an EVPN route is sent to every agent of the instance: MAC/IP and prefix routes are."""
    return key[0] == IP_PREFIX or (key[0] == MAC_IP and not is_broadcast(key))
