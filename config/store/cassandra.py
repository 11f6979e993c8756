"""The store in Cassandra: keyspaces, tables and columns of the real API server (reference/config.md 1.1, 1.2).

The driver has threads of its own and blocks when it connects: nothing of it runs in the reactor's thread but handing
over a request. Reads and writes are QUORUM. A batch holds changes of one row only, so two rows are not changed at once.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.drivers import driver
from contrail_emulator.config.threads import Threads

from .interface import TABLES, Cell, Mutation, Put, Row, StoreError

PAGE_ROWS = 2048
KEYS_A_QUERY = 256
BATCH_STATEMENTS = 100
GC_GRACE_SECONDS = 864_000
REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
LONGEST_RECONNECT_SECONDS = 5.0


class CassandraStore:
    """`servers` in the order to try; `cluster_id` prefixes every keyspace; `clock` gives seconds since 1970.

    `replicas` defaults to the number of servers, as the real one has it.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[Endpoint],
        *,
        clock: Callable[[], float],
        user: str = "",
        password: str = "",
        cluster_id: str = "",
        replicas: int | None = None,
        ssl_context: Any = None,
    ) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._clock = clock
        self._user, self._password = user, password
        self._prefix = f"{cluster_id}_" if cluster_id else ""
        self._replicas = replicas
        self._ssl_context = ssl_context
        self._threads = Threads(reactor, "cassandra")
        self._cluster: Any = None
        self._session: Any = None
        self._statements: dict[str, Any] = {}
        self._last = 0

    async def open(self) -> None:
        if self._session is None:
            await self._threads.run(self._connect)

    async def close(self) -> None:
        cluster, self._cluster, self._session = self._cluster, None, None
        if cluster is not None:
            await self._threads.run(cluster.shutdown)
        self._threads.stop()

    async def move(self, servers: Sequence[Endpoint]) -> None:
        """A new list of servers: connect to these, then let go of the old connections."""
        old = self._cluster
        self._servers = tuple(servers)
        await self._threads.run(self._connect)
        if old is not None:
            await self._threads.run(old.shutdown)

    # -- in a thread

    def _connect(self) -> None:
        cluster_module = driver("cassandra.cluster", "cassandra-driver")
        policies = driver("cassandra.policies", "cassandra-driver")
        base = driver("cassandra", "cassandra-driver")
        profile = cluster_module.ExecutionProfile(
            load_balancing_policy=policies.RoundRobinPolicy(),
            consistency_level=base.ConsistencyLevel.QUORUM,
            request_timeout=REQUEST_SECONDS,
            row_factory=driver("cassandra.query", "cassandra-driver").tuple_factory,
        )
        credentials = None
        if self._user:
            credentials = driver("cassandra.auth", "cassandra-driver").PlainTextAuthProvider(self._user, self._password)
        cluster = cluster_module.Cluster(
            contact_points=[(server.host, server.port) for server in self._servers],
            port=self._servers[0].port,
            execution_profiles={cluster_module.EXEC_PROFILE_DEFAULT: profile},
            auth_provider=credentials,
            ssl_context=self._ssl_context,
            connect_timeout=CONNECT_SECONDS,
            control_connection_timeout=REQUEST_SECONDS,  # two seconds by itself, less than a busy database takes
            reconnection_policy=policies.ExponentialReconnectionPolicy(0.5, LONGEST_RECONNECT_SECONDS),
            protocol_version=base.ProtocolVersion.V4,
        )
        try:
            session = cluster.connect()
            session.default_fetch_size = PAGE_ROWS
            self._make(session)
            statements = self._prepare(session)
        except (base.DriverException, cluster_module.NoHostAvailable, OSError) as error:
            cluster.shutdown()
            raise StoreError(f"Cassandra {self._where()}: {_first_line(error)}") from error
        self._cluster, self._session, self._statements = cluster, session, statements

    def _make(self, session: Any) -> None:
        """Make keyspaces and tables that are missing; set the replication, as every start does."""
        replicas = self._replicas or len(self._servers)
        replication = f"{{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
        for keyspace in dict.fromkeys(TABLES.values()):
            name = f'"{self._prefix}{keyspace}"'
            session.execute(f"CREATE KEYSPACE IF NOT EXISTS {name} WITH REPLICATION = {replication}")
            session.execute(f"ALTER KEYSPACE {name} WITH REPLICATION = {replication}")
        for table in TABLES:
            session.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table(table)} (key blob, column1 blob, value text,"
                " PRIMARY KEY (key, column1)) WITH COMPACT STORAGE AND CLUSTERING ORDER BY (column1 ASC)"
                f" AND gc_grace_seconds = {GC_GRACE_SECONDS}"
            )

    def _prepare(self, session: Any) -> dict[str, Any]:
        texts = {}
        for table in TABLES:
            name = self._table(table)
            select = f"SELECT key, column1, value, writetime(value) FROM {name} WHERE"
            texts[f"rows {table}"] = f"{select} key IN ? AND column1 >= ?"
            texts[f"from {table}"] = f"{select} key = ? AND column1 >= ? LIMIT ?"
            texts[f"after {table}"] = f"{select} key = ? AND column1 > ? LIMIT ?"
            texts[f"from-before {table}"] = f"{select} key = ? AND column1 >= ? AND column1 < ? LIMIT ?"
            texts[f"after-before {table}"] = f"{select} key = ? AND column1 > ? AND column1 < ? LIMIT ?"
            texts[f"put {table}"] = f"INSERT INTO {name} (key, column1, value) VALUES (?, ?, ?) USING TIMESTAMP ?"
            texts[f"delete {table}"] = f"DELETE FROM {name} USING TIMESTAMP ? WHERE key = ? AND column1 = ?"
            texts[f"drop {table}"] = f"DELETE FROM {name} USING TIMESTAMP ? WHERE key = ?"
        return {what: session.prepare(text) for what, text in texts.items()}

    # -- in the reactor

    async def rows(self, table: str, keys: Sequence[str], start: str = "") -> dict[str, Row]:
        found: dict[str, Row] = {}
        statement = self._statement("rows", table)
        for first in range(0, len(keys), KEYS_A_QUERY):
            some = [key.encode() for key in keys[first : first + KEYS_A_QUERY]]
            for key, column, value, written in await self._execute(statement, (some, start.encode())):
                found.setdefault(key.decode(), {})[_text(column)] = Cell(value, written)
        return found

    async def columns(
        self, table: str, key: str, start: str = "", end: str | None = None, after: str | None = None, limit: int = 4096
    ) -> list[tuple[str, Cell]]:
        past = after is not None and after >= start
        what = ("after" if past else "from") + ("-before" if end is not None else "")
        values: list[Any] = [key.encode(), (after if past and after is not None else start).encode()]
        if end is not None:
            values.append(end.encode())
        rows = await self._execute(self._statement(what, table), (*values, limit))
        return [(_text(column), Cell(value, written)) for _, column, value, written in rows]

    async def write(self, mutations: Sequence[Mutation]) -> None:
        query = driver("cassandra.query", "cassandra-driver")
        for part in _by_row(mutations):
            batch = query.BatchStatement(batch_type=query.BatchType.UNLOGGED)
            for mutation in part:
                batch.add(*self._bound(mutation))
            await self._execute(batch, None)

    def _bound(self, mutation: Mutation) -> tuple[Any, tuple[Any, ...]]:
        key, table = mutation.key.encode(), mutation.table
        if isinstance(mutation, Put):
            values = (key, mutation.column.encode(), mutation.value, self._now())
            return self._statement("put", table), values
        if mutation.column is None:
            return self._statement("drop", table), (self._now(), key)
        return self._statement("delete", table), (self._now(), key, mutation.column.encode())

    def _execute(self, statement: Any, values: tuple[Any, ...] | None) -> Deferred[list[Any]]:
        """All pages of a request's result."""
        result: Deferred[list[Any]] = Deferred()
        if self._session is None:
            result.errback(StoreError(f"Cassandra {self._where()}: not open"))
            return result
        rows: list[Any] = []
        future = self._session.execute_async(statement, values)

        def page(found: Iterable[Any] | None) -> None:  # called in a thread of the driver
            rows.extend(found or ())
            if future.has_more_pages:
                future.start_fetching_next_page()
            else:
                self._reactor.callFromThread(result.callback, rows)

        def failed(error: Exception) -> None:
            told = StoreError(f"Cassandra {self._where()}: {_first_line(error)}")
            self._reactor.callFromThread(result.errback, told)

        future.add_callbacks(page, failed)
        return result

    def _statement(self, what: str, table: str) -> Any:
        if self._session is None:
            raise StoreError(f"Cassandra {self._where()}: not open")
        if table not in TABLES:
            raise StoreError(f"Cassandra {self._where()}: no table {table}")
        return self._statements[f"{what} {table}"]

    def _table(self, table: str) -> str:
        return f'"{self._prefix}{TABLES[table]}"."{table}"'

    def _now(self) -> int:
        self._last = max(self._last + 1, int(self._clock() * 1_000_000))
        return self._last

    def _where(self) -> str:
        return " ".join(map(str, self._servers))


def _text(column: bytes) -> str:
    """A column's name; what is not UTF-8 (a row of Python 2 times, damage) still gets a name."""
    return column.decode(errors="replace")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _by_row(mutations: Sequence[Mutation]) -> list[list[Mutation]]:
    """Runs of changes to one row of one table, in order, none too long for a batch."""
    parts: list[list[Mutation]] = []
    for mutation in mutations:
        last = parts[-1][-1] if parts else None
        same = last is not None and (last.table, last.key) == (mutation.table, mutation.key)
        if same and len(parts[-1]) < BATCH_STATEMENTS:
            parts[-1].append(mutation)
        else:
            parts.append([mutation])
    return parts
