"""The forwarding model: the tables an agent programs and the packets that meet them.

Nothing here touches a socket or a clock of its own: frames come in through `receive`, leave through the callbacks given
to `connect`, and meet the agent through `attach_agent` and `from_agent`.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .accounting import Totals, VrfStats
from .drops import Drop
from .flags import FLOW_ENTRIES, FLOW_OVERFLOW_ENTRIES, AgentCommand
from .flow_set import flow_set
from .fragments import Fragments
from .packet import Packet
from .pipeline import agent, flow_action, interface_input, reinject
from .rows import Flow, FlowKey, FlowResponse, Row, Vif
from .store import ObjectStore
from .tables.flows import FlowEntry, FlowTable, lookup_key
from .tables.interface import Interface

T = TypeVar("T")

DropHook = Callable[[Drop, int, bytes, str], None]
"""(reason, index of the ingress vif or -1, the frame as received, detail such as the flow's `NoDstRt`)."""


class VRouter:
    """One vRouter. `clock` gives seconds; `rng` seeds the hash that chooses outer UDP source ports.

    The agent's side: `add`, `change`, `delete` answer 0 or a negative errno; `flow_set` answers a `FlowResponse`; `get`
    and `dump` read back; `attach_agent(trap)` receives packets with the 30-byte agent header, `from_agent` takes them.

    A frame trapped from the fabric is the outer frame, as it was received: the agent reads label and tunnel from it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        flow_entries: int = FLOW_ENTRIES,
        flow_overflow_entries: int = FLOW_OVERFLOW_ENTRIES,
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.hash_seed = rng.getrandbits(32)
        self.store = ObjectStore()
        self.flows = FlowTable(flow_entries, flow_overflow_entries)
        self.drops: Counter[Drop] = Counter()
        self.on_drop: DropHook | None = None
        self.totals = Totals()
        self.vrf_stats: defaultdict[int, VrfStats] = defaultdict(VrfStats)
        self.traps: Counter[AgentCommand] = Counter()
        self.unconditional_close_on_rst = False
        self.ip6_underlay = False
        self.fragments = Fragments(clock, self._count_held, self._release_fragment, self._expire_fragment)
        self._trap: Callable[[bytes], None] | None = None
        self._transmit: dict[int, Callable[[bytes], None]] = {}
        self._ip_id = 0
        self._depth = 0
        self._evictions: list[FlowEntry] = []

    # What the agent programs

    def add(self, row: Row) -> int:
        """Add, or change what exists; 0 or a negative errno. For flows see `flow_set`."""
        if isinstance(row, Flow):
            return self.flow_set(row).code
        code = self.store.add(row)
        if isinstance(row, Vif) and code == 0:
            self.store.vifs[row.idx].transmit = self._transmit.get(row.idx)
            self.ip6_underlay = self.store.vhost is not None and any(self.store.vhost.row.ip6)
        return code

    change = add

    def delete(self, row: Row) -> int:
        """Delete by identity; other fields do not matter. A flow is found by `index`, or by key when that is -1."""
        if isinstance(row, Flow):
            entry = self.flows.get(row.index) if row.index >= 0 else self.flows.find(lookup_key(row.key))
            if entry is None:
                return self.flow_set(Flow(row.key, row.index, row.gen_id, flags=type(row.flags)(0))).code
            gen_id = row.gen_id if row.index >= 0 else entry.gen_id
            return self.flow_set(Flow(row.key, entry.index, gen_id, flags=type(row.flags)(0))).code
        return self.store.delete(row)

    def flow_set(self, row: Flow) -> FlowResponse:
        """FLOW_SET with its full answer: index and generation of the entry, or of the one that exists (-EEXIST)."""
        return flow_set(self, row)

    def get(self, kind: type[T], identity: Any) -> T | None:
        """One row by its `identity`; inet and inet6 routes by longest prefix; a flow by key or by index."""
        found: Any
        if kind is Flow:
            entry = self.flow(identity)
            found = None if entry is None else entry.row()
        else:
            found = self.store.get(kind, identity)
        return cast("T | None", found)

    def dump(self, kind: type[T]) -> list[T]:
        """Every row of one kind, in the order of its key."""
        rows: list[Any]
        rows = [entry.row() for entry in self.flows.values()] if kind is Flow else list(self.store.dump(kind))
        return rows

    def reset(self) -> None:
        """RESET: empty every table and release what was held. Counters and connections stay."""
        for entry in self.flows.clear():
            self.release_held(entry)
        self.fragments.clear()
        self.store.reset()

    def interface(self, vif_index: int) -> Interface | None:
        """The live interface: counters, drops and link state beside its row."""
        return self.store.vifs.get(vif_index)

    def flow(self, key: FlowKey | int) -> FlowEntry | None:
        """The live flow entry by key or index, with its packet and byte counters."""
        return self.flows.get(key) if isinstance(key, int) else self.flows.find(lookup_key(key))

    # Ports and the agent

    def connect(self, vif_index: int, transmit: Callable[[bytes], None] | None) -> None:
        """Give a vif the callback for frames that leave through it; None disconnects. The vif may be added later."""
        if transmit is None:
            self._transmit.pop(vif_index, None)
        else:
            self._transmit[vif_index] = transmit
        vif = self.store.vifs.get(vif_index)
        if vif is not None:
            vif.transmit = transmit

    def attach_agent(self, trap: Callable[[bytes], None] | None) -> None:
        """Where trapped packets go: Ethernet(14), agent header(30), original frame."""
        self._trap = trap

    def receive(self, vif_index: int, frame: bytes) -> None:
        """One frame, link layer header first, that arrived on a vif. Never raises, whatever the bytes."""
        vif = self.store.vifs.get(vif_index)
        self.totals.received += 1
        if vif is None:
            self._count_drop(None, Drop.INVALID_IF, frame, "")
            return
        self._depth += 1
        interface_input.receive(self, vif, Packet(frame, vif))
        self._leave()

    def from_agent(self, packet: bytes) -> None:
        """One packet from the agent: Ethernet(14), agent header(30), frame; commands SWITCH and ROUTE."""
        self.totals.injected += 1
        self._depth += 1
        agent.receive(self, packet)
        self._leave()

    # What the stages of the pipeline use

    def drop(self, packet: Packet, reason: Drop, detail: str = "") -> None:
        self._count_drop(packet.vif, reason, packet.frame, detail)

    def drop_without_interface(self, reason: Drop, frame: bytes) -> None:
        self._count_drop(None, reason, frame, "")

    def clone(self, packet: Packet) -> Packet:
        self.totals.cloned += 1
        return packet.copy()

    def deliver_trap(self, reason: AgentCommand, data: bytes) -> None:
        """Hand a trap to the agent. The stage that trapped is done with the packet before this is called."""
        self.totals.trapped += 1
        self.traps[reason] += 1
        if self._trap is not None:
            self._trap(data)

    @property
    def has_agent(self) -> bool:
        return self._trap is not None

    def next_ip_id(self) -> int:
        self._ip_id = self._ip_id + 1 & 0xFFFF or 1
        return self._ip_id

    def release_held(self, entry: FlowEntry) -> None:
        """Send on what a flow held, in order, by the entry's action as it is now."""
        packets, entry.held = entry.held, []
        if not packets:
            return
        self._depth += 1
        self.totals.held -= len(packets)
        for packet in packets:
            reinject.resume(self, packet, entry)
        self._leave()

    def uplink_mtu(self) -> int | None:
        """The smallest MTU of the physical interfaces, None without one."""
        return min((vif.mtu for vif in self.store.vifs.values() if vif.fabric), default=None)

    def schedule_eviction(self, entry: FlowEntry) -> None:
        """Evict a dead flow once the packet in hand has been dealt with."""
        self._evictions.append(entry)

    def _leave(self) -> None:
        """The outermost call ends: what had to wait for the packet in hand is done now."""
        self._depth -= 1
        if self._depth:
            return
        if self._evictions:
            evictions, self._evictions = self._evictions, []
            for entry in evictions:
                flow_action.evict(self, entry)
        if self.fragments.pending:
            self.fragments.release_ready()
            self.fragments.sweep()

    def _count_held(self, packet: Packet) -> None:
        self.totals.held += 1

    def _release_fragment(self, packet: Packet) -> None:
        self.totals.held -= 1
        reinject.resume(self, packet, None)

    def _expire_fragment(self, packet: Packet) -> None:
        self.totals.held -= 1
        self.drop(packet, Drop.FRAGMENTS)

    def _count_drop(self, vif: Interface | None, reason: Drop, frame: bytes, detail: str) -> None:
        self.totals.dropped += 1
        self.drops[reason] += 1
        if vif is not None:
            vif.drops[reason] += 1
        if self.on_drop is not None and reason is not Drop.CLONED_ORIGINAL:
            self.on_drop(reason, -1 if vif is None else vif.idx, frame, detail)
