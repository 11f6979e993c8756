"""A VRF and its route tables."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .nexthop import DISCARD, Encap, NextHop
from .path import NO_LABEL, Path
from .prefix import Prefix, PrefixTable

FABRIC_VRF = "default-domain:default-project:ip-fabric:__default__"
FABRIC_VN = "default-domain:default-project:ip-fabric"
BROADCAST_MAC = b"\xff" * 6
ZERO_MAC = bytes(6)
NO_ADDRESS = Prefix(4, 0, 32)


class Table(Enum):
    """The tables of a VRF that hold paths."""

    INET = "inet"
    INET6 = "inet6"
    EVPN = "evpn"
    MULTICAST = "multicast"


class EvpnKey(NamedTuple):
    """Ethernet tag, MAC (6 bytes), host address or 0.0.0.0/32 (for a zero MAC: any prefix)."""

    tag: int
    mac: bytes
    address: Prefix


RouteKey = Prefix | EvpnKey


class Route:
    """A prefix or MAC with its paths, best first, and where packets for it go."""

    __slots__ = ("advert", "encap", "key", "label", "next_hop", "paths")

    def __init__(self, key: RouteKey) -> None:
        self.key = key
        self.paths: tuple[Path, ...] = ()
        self.next_hop: NextHop = DISCARD
        self.label = NO_LABEL
        self.encap: Encap | None = None
        self.advert: object | None = None

    @property
    def active(self) -> Path | None:
        return self.paths[0] if self.paths else None


class BridgeEntry(NamedTuple):
    """Where frames for a MAC go."""

    next_hop: NextHop
    label: int = NO_LABEL
    vxlan: bool = False


class Vrf:
    """A routing instance on this host. `index` is also the instance-id the control node is told."""

    __slots__ = (
        "bridge",
        "evpn",
        "has_machines",
        "index",
        "inet",
        "inet6",
        "local_l2",
        "machines",
        "macs",
        "multicast",
        "name",
        "routed_only",
        "stitched",
        "tree_label",
        "vn",
        "vni",
    )

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.vn = ""
        self.vni = 0
        self.routed_only = False
        self.has_machines = False
        self.local_l2: tuple[NextHop, ...] = ()
        self.machines = False
        self.tree_label = 0
        self.inet: PrefixTable[Route] = PrefixTable()
        self.inet6: PrefixTable[Route] = PrefixTable()
        self.evpn: dict[EvpnKey, Route] = {}
        self.multicast: dict[Prefix, Route] = {}
        self.bridge: dict[bytes, BridgeEntry] = {}
        self.macs: dict[bytes, set[EvpnKey]] = {}
        self.stitched: dict[Prefix, EvpnKey] = {}

    def get(self, table: Table, key: RouteKey) -> Route | None:
        if table is Table.EVPN:
            return self.evpn.get(key) if isinstance(key, EvpnKey) else None
        if isinstance(key, EvpnKey):
            return None
        if table is Table.MULTICAST:
            return self.multicast.get(key)
        return (self.inet if table is Table.INET else self.inet6).get(key)

    def make(self, table: Table, key: RouteKey) -> Route:
        """The route, created when missing."""
        route = self.get(table, key)
        if route is None:
            route = Route(key)
            if isinstance(key, EvpnKey):
                self.evpn[key] = route
                self.macs.setdefault(key.mac, set()).add(key)
            elif table is Table.MULTICAST:
                self.multicast[key] = route
            else:
                (self.inet if table is Table.INET else self.inet6).set(key, route)
        return route

    def drop(self, table: Table, key: RouteKey) -> None:
        if isinstance(key, EvpnKey):
            self.evpn.pop(key, None)
            keys = self.macs.get(key.mac)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self.macs[key.mac]
        elif table is Table.MULTICAST:
            self.multicast.pop(key, None)
        else:
            (self.inet if table is Table.INET else self.inet6).pop(key)

    def routes(self) -> list[tuple[Table, Route]]:
        """Every route of every table."""
        found = [(Table.INET, route) for route in self.inet.values()]
        found += [(Table.INET6, route) for route in self.inet6.values()]
        found += [(Table.EVPN, route) for route in list(self.evpn.values())]
        found += [(Table.MULTICAST, route) for route in list(self.multicast.values())]
        return found

    def longest(self, version: int, address: int) -> Route | None:
        """The route that covers an address."""
        return (self.inet if version == 4 else self.inet6).longest(version, address)
