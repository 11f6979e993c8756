"""How a daemon keeps its graph equal to the store: everything once, then what the bus says changed.

The order is the real control node's (reference/config.md 1.6, 2.3): queue first, then all names, then all rows, then
end of configuration; after that a message only says which row to read again.
"""

from collections import deque
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from .bus import Bus, Message, Subscription
from .feeder import Feeder
from .graph import Graph
from .ids import IdsError
from .layout import NAME_TABLE, READER_START, UUID_TABLE
from .schema import Schema
from .store import Row, Store, StoreError

NAMES_A_PAGE = 4096
ROWS_A_READ = 256
READS_AHEAD = 4
RESTART_SECONDS = 5.0
STORE_RETRY_SECONDS = 1.0
RETRY_SECONDS = 0.1
RETRY_DOUBLINGS = 20


class ConfigClient:
    """Feeds `graph`. `queue` names the queue on the bus (`contrail-control.<hostname>`).

    `synced` is True from end of configuration on. `counters` are for introspection: messages, rows, deletes, retries,
    unknown_types, store_errors, syncs.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        store: Store,
        bus: Bus,
        schema: Schema,
        graph: Graph,
        queue: str = "contrail-control",
    ) -> None:
        self.graph = graph
        self.feeder = Feeder(schema, graph)
        self.synced = False
        self.counters: dict[str, int] = dict.fromkeys(
            ("messages", "rows", "deletes", "retries", "unknown_types", "store_errors", "syncs"), 0
        )
        self._reactor = reactor
        self._store = store
        self._bus = bus
        self._schema = schema
        self._queue = queue
        self._pending: dict[str, None] = {}
        self._retries: dict[str, int] = {}
        self._timers: dict[str, Any] = {}
        self._subscription: Subscription | None = None
        self._running = False
        self._failing = False
        self._work: Deferred[None] | None = None
        self._working = False
        self._started: Deferred[None] | None = None
        self._gap = False

    def start(self) -> Deferred[None]:
        """Begin; the Deferred fires at end of configuration. What cannot be reached is tried again for ever."""
        self._running = True
        started = self._started = Deferred()
        self._begin(self._connect())
        return started

    def resync(self) -> None:
        """Read everything again, as after a gap: when servers changed, or to repair drift."""
        self._on_gap()

    def stop(self) -> None:
        """End: no more reads and timers. The graph stays as it is."""
        self._running = False
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._pending.clear()
        if self._work is not None:
            self._work.cancel()

    # -- the one coroutine that works

    def _begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        self._working = True
        done = Deferred.fromCoroutine(self._run(work))
        self._work = done
        done.addErrback(self._failed)
        done.addBoth(self._done)

    async def _run(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        await work
        while self._running:
            if self._gap:
                self._gap = False
                await self._connect()
            elif self._pending and self.synced:
                await self._drain()
            else:
                return

    def _failed(self, failure: Failure) -> None:
        if self._running or not isinstance(failure.value, CancelledError):
            self.log.failure("configuration client", failure)

    def _done(self, _result: None) -> None:
        self._working = False

    async def _connect(self) -> None:
        while self._running:
            try:
                await self._bus.open()
                if self._subscription is None:
                    self._subscription = await self._bus.subscribe(self._queue, self._on_message, self._on_gap)
                await self._store.open()
                await self._sync()
            except (StoreError, IdsError, ConnectionError) as error:
                self._fails(error)
                await deferLater(self._reactor, RESTART_SECONDS)
            else:
                self._failing = False
                return

    def _fails(self, error: Exception) -> None:
        """Counted each time, said once until it works again."""
        self.counters["store_errors"] += 1
        if not self._failing:
            self._failing = True
            self.log.warn("configuration: {error}; trying again", error=error)

    async def _sync(self) -> None:
        """Read all names, then all rows; those known before and gone now resolve to deletions."""
        self.counters["syncs"] += 1
        indexed: dict[str, None] = {}
        for object_type in sorted(self._schema.by_object_type):
            after: str | None = None
            while True:
                page = await self._store.columns(NAME_TABLE, object_type, after=after, limit=NAMES_A_PAGE)
                for column, _ in page:
                    name, _, uuid = column.rpartition(":")
                    self.feeder.learn(uuid, object_type, name)
                    indexed[uuid] = None
                if len(page) < NAMES_A_PAGE:
                    break
                after = page[-1][0]
        self._pending.update(dict.fromkeys(self.feeder.uuids()))
        self._pending.update(indexed)
        await self._drain()
        if not self.synced and self._running:
            self.synced = True
            started, self._started = self._started, None
            if started is not None:
                started.callback(None)

    async def _drain(self) -> None:
        """Read pending rows, reading ahead of what is applied, a slice per turn of the reactor, until none is left."""
        reading: deque[tuple[list[str], Deferred[dict[str, Row]]]] = deque()
        try:
            while (self._pending or reading) and self._running:
                while self._pending and len(reading) < READS_AHEAD:
                    uuids = [uuid for uuid, _ in zip(self._pending, range(ROWS_A_READ), strict=False)]
                    for uuid in uuids:
                        del self._pending[uuid]
                    work = self._store.rows(UUID_TABLE, uuids, READER_START)
                    reading.append((uuids, Deferred.fromCoroutine(work)))
                uuids, rows = reading.popleft()
                await self._take(uuids, rows)
                if self._pending or reading:
                    await deferLater(self._reactor, 0)
        finally:
            for uuids, rows in reading:  # cancelled, or a bug: what was asked for is asked for again
                self._pending.update(dict.fromkeys(uuids))
                rows.addErrback(lambda failure: None)
                rows.cancel()

    async def _take(self, uuids: list[str], reading: Deferred[dict[str, Row]]) -> None:
        try:
            rows = await reading
        except StoreError as error:
            self._pending.update(dict.fromkeys(uuids))
            self._fails(error)
            await deferLater(self._reactor, STORE_RETRY_SECONDS)
            return
        self._failing = False
        with self.graph.batch():
            for uuid in uuids:
                self._apply(uuid, rows.get(uuid))

    def _apply(self, uuid: str, row: Row | None) -> None:
        self.counters["rows" if row is not None else "deletes"] += 1
        applied = self.feeder.apply(uuid, row)
        self._pending.update(dict.fromkeys(applied.again))
        if applied.unresolved:
            self._retry_later(uuid, applied.unresolved)
        else:
            self._retries.pop(uuid, None)
            timer = self._timers.pop(uuid, None)
            if timer is not None:
                timer.cancel()

    # -- references to what nobody knows

    def _retry_later(self, uuid: str, targets: list[str]) -> None:
        if uuid in self._timers:
            return
        count = self._retries.get(uuid, 0)
        self._retries[uuid] = min(count + 1, RETRY_DOUBLINGS)
        self._timers[uuid] = self._reactor.callLater(RETRY_SECONDS * 2**count, self._retry, uuid, tuple(targets))

    def _retry(self, uuid: str, targets: tuple[str, ...]) -> None:
        del self._timers[uuid]
        self.counters["retries"] += 1
        self._read_again(targets)  # a target whose message was lost is learnt here
        self._read_again((uuid,))

    # -- the bus

    def _on_message(self, message: Message) -> None:
        self.counters["messages"] += 1
        if self._schema.find(message.type) is None:
            self.counters["unknown_types"] += 1
            return
        if message.oper in ("CREATE", "UPDATE"):
            self._read_again(self.feeder.learn(message.uuid, message.type, ":".join(message.fq_name)))
        self._read_again((message.uuid,))

    def _on_gap(self) -> None:
        self._gap = True
        if not self._working and self.synced:
            self._begin(self._drain())

    def _read_again(self, uuids: Any) -> None:
        self._pending.update(dict.fromkeys(uuids))
        if not self._working and self.synced and self._pending and self._running:
            self._begin(self._drain())
