"""The flow table: entries by index and by key, generations, hold queues (reference/vrouter.md 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..flags import (
    FLOW_BUCKET,
    FLOW_ENTRIES,
    FLOW_OVERFLOW_ENTRIES,
    FLOW_OWNED_BY_VROUTER,
    NO_MIRROR,
    NO_QOS,
    FlowAction,
    FlowExtFlag,
    FlowFlag,
)
from ..rows import Flow, FlowKey
from .flow_hash import flow_hash

if TYPE_CHECKING:
    from ..packet import Packet

LookupKey = tuple[int, int | bytes, int | bytes, int, int, int]
"""(key next hop, source, destination, protocol, source port, destination port): computed for every packet."""


_EVICTED_REMEMBERED = 4096
_BINDS_PORT = int(FlowFlag.LINK_LOCAL | FlowFlag.BGP_SERVICE)


def lookup_key(key: FlowKey) -> LookupKey:
    return (key.nh_id, key.sip, key.dip, key.proto, key.sport, key.dport)


class FlowEntry:
    """One flow. The agent may read it directly, as a real agent reads the mapped flow table."""

    __slots__ = (
        "action",
        "bytes",
        "drop_reason",
        "dvrf",
        "ecmp_nh_index",
        "evict_candidate",
        "evicted",
        "extflags",
        "flags",
        "gen_id",
        "held",
        "index",
        "key",
        "lookup_key",
        "mir_id",
        "new_flow",
        "packets",
        "pcap_meta_data",
        "qos_id",
        "rindex",
        "sec_mir_id",
        "src_info",
        "src_nh_index",
        "tcp_ack",
        "tcp_flags",
        "tcp_seq",
        "ttl",
        "udp_src_port",
        "underlay_ecmp_index",
        "vrf",
    )

    def __init__(self, index: int, key: LookupKey, gen_id: int) -> None:
        self.index = index
        self.lookup_key = key
        self.key = FlowKey(*key)
        self.gen_id = gen_id
        self.action = FlowAction.DROP
        self.flags = int(FlowFlag.ACTIVE)
        self.new_flow = True
        """NEW_FLOW: set until the first trap or FLOW_SET; tells a new flow from one put back to hold."""
        self.evict_candidate = False
        self.evicted = False
        self.extflags = 0
        self.vrf = 0
        self.dvrf = 0
        self.rindex = -1
        self.src_nh_index = 0
        self.ecmp_nh_index = -1
        self.underlay_ecmp_index = -1
        self.mir_id = NO_MIRROR
        self.sec_mir_id = NO_MIRROR
        self.qos_id = NO_QOS
        self.ttl = 0
        self.drop_reason = 0
        self.pcap_meta_data = b""
        self.udp_src_port = 0
        self.src_info = 0
        self.tcp_flags = 0
        self.tcp_seq = 0
        self.tcp_ack = 0
        self.bytes = 0
        self.packets = 0
        self.held: list[Packet] = []

    def has(self, flag: FlowFlag) -> bool:
        return bool(self.flags & int(flag))

    def row(self) -> Flow:
        flags = self.flags
        if self.new_flow:
            flags |= int(FlowFlag.NEW_FLOW)
        if self.evict_candidate:
            flags |= int(FlowFlag.EVICT_CANDIDATE)
        if self.evicted:
            flags |= int(FlowFlag.EVICTED)
        return Flow(
            key=self.key,
            index=self.index,
            gen_id=self.gen_id,
            action=self.action,
            flags=FlowFlag(flags),
            extflags=FlowExtFlag(self.extflags),
            vrf=self.vrf,
            dvrf=self.dvrf,
            rindex=self.rindex,
            src_nh_index=self.src_nh_index,
            ecmp_nh_index=self.ecmp_nh_index,
            underlay_ecmp_index=self.underlay_ecmp_index,
            mir_id=self.mir_id,
            sec_mir_id=self.sec_mir_id,
            qos_id=self.qos_id,
            ttl=self.ttl,
            drop_reason=self.drop_reason,
            pcap_meta_data=self.pcap_meta_data,
        )

    def take(self, row: Flow) -> None:
        """Copy what FLOW_SET may change; `rindex` and mirrors are settled by the caller."""
        owned = int(FLOW_OWNED_BY_VROUTER)
        self.action = row.action
        self.flags = (int(row.flags) & ~owned) | int(FlowFlag.ACTIVE)
        self.extflags = int(row.extflags)
        self.vrf = row.vrf
        self.dvrf = row.dvrf if int(row.flags) & int(FlowFlag.VRFT) else row.vrf
        self.src_nh_index = row.src_nh_index
        if self.ecmp_nh_index == -1:
            self.ecmp_nh_index = row.ecmp_nh_index
        self.underlay_ecmp_index = row.underlay_ecmp_index
        self.qos_id = row.qos_id
        self.ttl = row.ttl
        self.drop_reason = row.drop_reason if row.action is FlowAction.DROP else 0
        self.pcap_meta_data = row.pcap_meta_data
        self.new_flow = False


def _bound_port(entry: FlowEntry) -> tuple[int, int]:
    return entry.key.proto, entry.key.sport if entry.key.proto == 1 else entry.key.dport


class FlowTable:
    """A hash of four-entry buckets with an overflow area behind it; only used slots take memory."""

    def __init__(self, entries: int = FLOW_ENTRIES, overflow: int = FLOW_OVERFLOW_ENTRIES) -> None:
        self.entries = entries
        self.overflow = overflow
        self.created = 0
        self.deleted = 0
        self.held = 0
        self._by_key: dict[LookupKey, FlowEntry] = {}
        self._by_index: dict[int, FlowEntry] = {}
        self._generations: dict[int, int] = {}
        self._evicted: dict[int, None] = {}
        self._bound_ports: dict[tuple[int, int], int] = {}
        self._free_overflow: list[int] = []
        self._next_overflow = entries

    def find(self, key: LookupKey) -> FlowEntry | None:
        return self._by_key.get(key)

    def get(self, index: int) -> FlowEntry | None:
        return self._by_index.get(index)

    def add(self, key: LookupKey) -> FlowEntry | None:
        """A new entry in the first free slot of the key's bucket, else in the overflow area; None when all are used."""
        index = self._free_slot(key)
        if index is None:
            return None
        generation = (self._generations.get(index, 0) + 1) & 0xFF
        self._generations[index] = generation
        entry = FlowEntry(index, key, generation)
        self._by_key[key] = entry
        self._by_index[index] = entry
        self._evicted.pop(index, None)
        self.created += 1
        return entry

    def remove(self, entry: FlowEntry) -> None:
        """Take an entry out altogether; its slot's generation stays."""
        self._forget_key(entry)
        if self._by_index.get(entry.index) is entry:
            del self._by_index[entry.index]
            entry.flags &= ~int(FlowFlag.ACTIVE)
            if entry.index >= self.entries:
                self._free_overflow.append(entry.index)
            self.deleted += 1

    def evict(self, entry: FlowEntry) -> None:
        """The data path's own removal. Its slot counts as evicted until it is used again."""
        self.remove(entry)
        entry.evict_candidate = False
        entry.evicted = True
        self._evicted[entry.index] = None
        if len(self._evicted) > _EVICTED_REMEMBERED:
            del self._evicted[next(iter(self._evicted))]

    def was_evicted(self, index: int) -> bool:
        """Whether the data path gave this slot back and nothing uses it since: an agent's request for it is late."""
        return index in self._evicted

    def _forget_key(self, entry: FlowEntry) -> None:
        self._unbind_port(entry)
        if self._by_key.get(entry.lookup_key) is entry:
            del self._by_key[entry.lookup_key]

    def port_is_bound(self, protocol: int, port: int) -> bool:
        """Whether a link-local or BGP-as-a-service flow is bound to a local port (for ICMP: an identifier)."""
        return (protocol, port) in self._bound_ports

    def bind_port(self, entry: FlowEntry) -> None:
        """Keep the bound ports in step with the flags of `entry`."""
        self._unbind_port(entry)
        if entry.flags & _BINDS_PORT and isinstance(entry.key.sip, int):
            self._bound_ports[_bound_port(entry)] = entry.index

    def _unbind_port(self, entry: FlowEntry) -> None:
        if self._bound_ports.get(_bound_port(entry)) == entry.index:
            del self._bound_ports[_bound_port(entry)]

    def values(self) -> Iterator[FlowEntry]:
        for index in sorted(self._by_index):
            yield self._by_index[index]

    def __len__(self) -> int:
        return len(self._by_index)

    def clear(self) -> list[FlowEntry]:
        """Empty the table; generations are kept. Returns what was in it."""
        entries = list(self.values())
        for entry in entries:
            self.remove(entry)
        self.held = 0
        self._evicted.clear()
        return entries

    def _free_slot(self, key: LookupKey) -> int | None:
        bucket = flow_hash(FlowKey(*key).pack()) % self.entries
        bucket -= bucket % FLOW_BUCKET
        for index in range(bucket, min(bucket + FLOW_BUCKET, self.entries)):
            if index not in self._by_index:
                return index
        if self._free_overflow:
            return self._free_overflow.pop()
        if self._next_overflow < self.entries + self.overflow:
            self._next_overflow += 1
            return self._next_overflow - 1
        return None
