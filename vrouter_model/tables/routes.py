"""Routes as the data path sees them: inet and inet6 per VRF, bridge routes in one table keyed by (MAC, VRF)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from ..flags import BRIDGE_OWNED_BY_VROUTER, NO_LABEL, ZERO_MAC, BridgeFlag
from ..rows import BridgeRoute, Inet6Route, InetRoute
from .lpm import PrefixTable
from .next_hop import NextHopEntry

R = TypeVar("R", InetRoute, Inet6Route)


class Route:
    """One inet or inet6 route. `label` is -1 unless the row's label was marked valid."""

    __slots__ = ("arp_flood", "arp_proxy", "arp_trap", "label", "mac", "next_hop", "prefix_len", "row")

    def __init__(self, row: InetRoute | Inet6Route | None, next_hop: NextHopEntry) -> None:
        flags = 0 if row is None else int(row.label_flags)
        self.row = row
        self.next_hop = next_hop
        self.prefix_len = 0 if row is None else row.prefix_len
        self.label = row.label if row is not None and flags & 0x1 else NO_LABEL
        self.arp_proxy = bool(flags & 0x2)
        self.arp_trap = bool(flags & 0x4)
        self.arp_flood = bool(flags & 0x8)
        self.mac = ZERO_MAC if row is None else row.mac


class InetTable(Generic[R]):
    """Routes of one address family in all VRFs. An address nothing covers meets the default route: discard."""

    def __init__(self, bits: int, discard: NextHopEntry) -> None:
        self.bits = bits
        self.default = Route(None, discard)
        self._vrfs: dict[int, PrefixTable[Route]] = {}

    def set(self, vrf: int, prefix: int, length: int, route: Route) -> None:
        table = self._vrfs.get(vrf)
        if table is None:
            table = self._vrfs[vrf] = PrefixTable(self.bits)
        table.set(prefix, length, route)

    def remove(self, vrf: int, prefix: int, length: int) -> Route | None:
        table = self._vrfs.get(vrf)
        if table is None:
            return None
        route = table.remove(prefix, length)
        if not len(table):
            del self._vrfs[vrf]
        return route

    def exact(self, vrf: int, prefix: int, length: int) -> Route | None:
        table = self._vrfs.get(vrf)
        return None if table is None else table.exact(prefix, length)

    def lookup(self, vrf: int, address: int) -> Route:
        table = self._vrfs.get(vrf)
        if table is None:
            return self.default
        return table.lookup(address) or self.default

    def values(self) -> Iterator[Route]:
        for vrf in sorted(self._vrfs):
            yield from self._vrfs[vrf].values()

    def __len__(self) -> int:
        return sum(len(table) for table in self._vrfs.values())

    def clear(self) -> None:
        self._vrfs.clear()


class BridgeEntry:
    """One bridge route. `flags` holds the agent's bits and the two the data path owns (VALID, MAC_NEW)."""

    __slots__ = ("flags", "index", "label", "mac", "next_hop", "packets", "vrf")

    def __init__(self, vrf: int, mac: bytes, index: int) -> None:
        self.vrf = vrf
        self.mac = mac
        self.index = index
        self.flags = int(BridgeFlag.VALID)
        self.label = NO_LABEL
        self.packets = 0
        self.next_hop: NextHopEntry

    def has(self, flag: BridgeFlag) -> bool:
        return bool(self.flags & int(flag))

    def row(self) -> BridgeRoute:
        flags = BridgeFlag(self.flags & ~int(BRIDGE_OWNED_BY_VROUTER))
        return BridgeRoute(self.vrf, self.mac, self.next_hop.id, self.label, flags)


class BridgeTable:
    """(MAC, VRF) -> entry. Indices are handed out in order and name an entry in MAC_LEARN traps."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, int], BridgeEntry] = {}
        self._next_index = 0

    def lookup(self, vrf: int, mac: bytes) -> BridgeEntry | None:
        return self._entries.get((mac, vrf))

    def set(self, vrf: int, mac: bytes, next_hop: NextHopEntry, label: int, flags: int) -> BridgeEntry:
        """Add or change. Of `flags` what the data path owns is masked; a new next hop clears MAC_MOVED."""
        entry = self._entries.get((mac, vrf))
        agent_flags = flags & ~int(BRIDGE_OWNED_BY_VROUTER)
        if entry is None:
            entry = self._entries[(mac, vrf)] = BridgeEntry(vrf, mac, self._next_index)
            self._next_index += 1
        elif entry.next_hop is not next_hop:
            agent_flags &= ~int(BridgeFlag.MAC_MOVED)
        entry.flags = agent_flags | int(BridgeFlag.VALID)
        entry.label = label if flags & int(BridgeFlag.LABEL_VALID) else NO_LABEL
        entry.next_hop = next_hop
        return entry

    def learn(self, vrf: int, mac: bytes, next_hop: NextHopEntry) -> BridgeEntry:
        """A provisional entry the data path makes for a MAC it has never seen; the agent confirms or deletes it."""
        entry = self.set(vrf, mac, next_hop, NO_LABEL, 0)
        entry.flags |= int(BridgeFlag.MAC_NEW)
        return entry

    def remove(self, vrf: int, mac: bytes) -> BridgeEntry | None:
        return self._entries.pop((mac, vrf), None)

    def values(self) -> Iterator[BridgeEntry]:
        return iter(sorted(self._entries.values(), key=lambda entry: (entry.vrf, entry.mac)))

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        self._entries.clear()
