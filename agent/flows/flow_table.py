"""All flows of one agent.

Set up on traps, judged again when routes change, forgotten when idle (reference/agent.md 8, 16).
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from twisted.logger import Logger

from ..ksync import DataPlane, Flow, FlowAction, FlowDrop, FlowFlag, FlowKey
from ..oper.interfaces import VmInterface
from ..oper.oper import Oper
from ..oper.prefix import Prefix
from ..oper.vrf import Vrf
from ..settings import AgentSettings
from .flow import FlowPair, Side
from .packet import Trap
from .setup import Answer, Question, answer, is_link_local, question

_ACTIVE = FlowFlag.ACTIVE
_PAIRED = FlowFlag.ACTIVE | FlowFlag.RFLOW_VALID


class FlowTable:
    """Flows by key, either entry's. `counters` says how traps ended."""

    log = Logger()

    def __init__(
        self, clock: Any, settings: AgentSettings, oper: Oper, data_plane: DataPlane, uuid: Callable[[], UUID]
    ) -> None:
        self._clock = clock
        self._oper = oper
        self._data_plane = data_plane
        self._uuid = uuid
        self._timers = settings.timers
        self._limit = settings.max_vm_flows
        self._used: Counter[str] = Counter()
        self._pairs: dict[FlowKey, FlowPair] = {}
        self._changed: set[tuple[int, Prefix]] = set()
        self._recheck_all = False
        self._scan: Any = None
        self.counters: Counter[str] = Counter()

    # --- traps --------------------------------------------------------------------------------------------------------

    def miss(self, trap: Trap) -> None:
        """FLOW_MISS or FLOW_ACTION_HOLD: decide, and tell the data plane both entries."""
        self.counters["traps"] += 1
        asked = question(self._oper, trap)
        if asked is None:
            self.counters["not IP"] += 1
            return
        found = answer(self._oper, asked)
        if self._limit and asked.ingress and self._used[found.interface] >= self._limit:
            found = found._replace(reason=FlowDrop.FLOW_LIMIT, short=True)
        pair = FlowPair(self._uuid(), asked, found, self._clock.seconds())
        pair.forward.index, pair.forward.gen_id = trap.params[0], trap.params[5]
        for key in (found.forward.key, found.reverse.key):
            old = self._pairs.get(key)
            if old is not None:
                self._forget(old)
                self._reuse(pair.reverse, old)
        if found.reason is not None:
            self.counters[found.reason.name] += 1
        self._pairs[found.forward.key] = self._pairs[found.reverse.key] = pair
        self._used[found.interface] += 1
        if self._install(pair):
            self._start_scan()
            self._traffic(asked, found)

    @staticmethod
    def _reuse(side: Side, known: FlowPair) -> None:
        for old in (known.forward, known.reverse):
            if old.key == side.key:
                side.index, side.gen_id = old.index, old.gen_id

    def _traffic(self, asked: Question, found: Answer) -> None:
        """A machine that sends owns the address it sends from."""
        if asked.ingress and not found.short and found.source_route is not None and not is_link_local(asked.ip):
            key = found.source_route.key
            if isinstance(key, Prefix):
                self._oper.traffic_seen(found.interface, key)

    # --- the data plane -----------------------------------------------------------------------------------------------

    def _install(self, pair: FlowPair) -> bool:
        """The reverse entry first, so that what the forward one held finds both in place."""
        if not self._set(pair, pair.reverse, _ACTIVE, -1):
            return False
        if not self._set(pair, pair.forward, _PAIRED, pair.reverse.index):
            return False
        return self._set(pair, pair.reverse, _PAIRED, pair.forward.index)

    def _set(self, pair: FlowPair, side: Side, flags: FlowFlag, rindex: int) -> bool:
        """A stale index or an entry that exists already is no failure: the answer says where it is now."""
        response = self._data_plane.flow_set(pair.row(side, flags, rindex))
        if response.code == -errno.EEXIST or (response.code in (-errno.EBADF, -errno.ENOENT) and side.index >= 0):
            side.index, side.gen_id = response.index, response.gen_id
            if response.code == -errno.ENOENT:
                side.index = -1
            response = self._data_plane.flow_set(pair.row(side, flags, rindex))
        if response.code < 0:
            name = f"errno {-response.code}"
            self.counters[name] += 1
            if self.counters[name] == 1:
                self.log.warn("data plane refused a flow: errno {code}", code=-response.code)
            return False
        side.index, side.gen_id = response.index, response.gen_id
        return True

    def _delete(self, pair: FlowPair) -> None:
        for side in (pair.forward, pair.reverse):
            if side.index >= 0:
                row = Flow(side.key, side.index, side.gen_id, FlowAction.DROP, FlowFlag(0), vrf=side.half.vrf)
                self._data_plane.flow_set(row)
        self._forget(pair)

    def _forget(self, pair: FlowPair) -> None:
        if self._pairs.get(pair.forward.key) is pair:
            self._used[pair.answer.interface] -= 1
        for side in (pair.forward, pair.reverse):
            if self._pairs.get(side.key) is pair:
                del self._pairs[side.key]

    # --- changes ------------------------------------------------------------------------------------------------------

    def route_changed(self, vrf: Vrf, key: Prefix) -> None:
        if self._pairs:
            self._changed.add((vrf.index, key))

    def interface_changed(self, interface: VmInterface, present: bool) -> None:
        """Flows of an interface that is gone go; a change of policy is judged again."""
        if not self._pairs:
            return
        if present and interface.active:
            self._recheck_all = True
            return
        for pair in list(self.pairs()):
            if pair.answer.interface == interface.uuid:
                self._delete(pair)

    def flushed(self) -> None:
        """Tables are consistent again: ask anew about every flow that a change may concern."""
        if not self._changed and not self._recheck_all:
            return
        changed, self._changed = self._changed, set()
        everything, self._recheck_all = self._recheck_all, False
        for pair in list(self.pairs()):
            if everything or _concerned(pair, changed):
                self._judge_again(pair)

    def _judge_again(self, pair: FlowPair) -> None:
        found = answer(self._oper, pair.asked)
        if found.forward.key != pair.forward.key or found.reverse.key != pair.reverse.key:
            self._delete(pair)  # the next packet sets it up as things are now
        elif found[:3] != pair.answer[:3]:
            pair.replace(found)
            self._install(pair)

    # --- ageing -------------------------------------------------------------------------------------------------------

    def _start_scan(self) -> None:
        if self._scan is None:
            self._scan = self._clock.callLater(self._timers.flow_scan, self._age)

    def _age(self) -> None:
        """Runs only while there are flows."""
        self._scan = None
        now = self._clock.seconds()
        for pair in list(self.pairs()):
            moved, gone = False, False
            for side in (pair.forward, pair.reverse):
                stats = self._data_plane.flow_packets(side.key)
                if stats is None:
                    gone = True
                elif stats[0] != side.packets:
                    side.packets = stats[0]
                    moved = True
            if moved:
                pair.last_seen = now
            if gone or now >= self._ends(pair):
                self.counters["aged"] += 1
                self._delete(pair)
        if self._pairs:
            self._start_scan()

    def _ends(self, pair: FlowPair) -> float:
        """When a flow is to be forgotten: a short one soon after it came, whatever traffic it still sees."""
        if pair.answer.short:
            return pair.setup_time + self._timers.short_flow_timeout
        key = pair.forward.key
        for protocol, port, seconds in self._oper.configuration.globals.flow_ageing:
            if protocol in (-1, key.proto) and (not port or port in (key.sport, key.dport)):
                return pair.last_seen + seconds
        return pair.last_seen + self._timers.flow_timeout

    def stop(self) -> None:
        if self._scan is not None:
            self._scan.cancel()
            self._scan = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def pairs(self) -> Iterator[FlowPair]:
        """Every pair once."""
        return (pair for key, pair in list(self._pairs.items()) if pair.forward.key == key)

    def __len__(self) -> int:
        return len(self._pairs)


def _concerned(pair: FlowPair, changed: set[tuple[int, Prefix]]) -> bool:
    ip = pair.asked.ip
    return any(
        key.version == ip.version and (key.covers(ip.source) or key.covers(ip.destination)) for _, key in changed
    )
