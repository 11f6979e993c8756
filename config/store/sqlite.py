"""The embedded store: SQLite, a file or memory.

Calls run in place: a row in a local file takes tens of microseconds, less than a thread's hand-over, and a lab on a
virtual clock stays repeatable. Several processes may share one file: write-ahead log, a busy time-out, and write times
that grow per column whoever writes.
"""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from .interface import TABLES, Cell, Delete, Mutation, Row, StoreError

KEYS_A_QUERY = 500
"""SQLite takes 999 parameters in old versions; stay well below."""

BUSY_SECONDS = 5.0


def fault_of(path: str) -> str:
    """What a user must mend before a configuration can be in the file `path`, "" when nothing.

    A file that is not there yet is none; neither is one that is locked, or cannot be looked at now.
    """
    file = Path(path)
    try:
        if file.is_dir():
            return "is a folder; expected an SQLite file"
        if not file.exists():
            return "" if file.parent.is_dir() else f"there is no folder {file.parent}"
        if not file.is_file():
            return "expected a regular file"
        if not os.access(path, os.R_OK):
            return os.strerror(errno.EACCES)
    except OSError:
        return ""
    return _no_database(path)


def _no_database(path: str) -> str:
    """By SQLite itself: were we to open and close the file, this process would lose the locks that it has on it."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as found:
            found.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        return str(error) if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB else ""
    return ""


def connect(path: str) -> sqlite3.Connection:
    """A connection as all users of the shared file make it: autocommit, write-ahead log, waiting for others' locks."""
    if fault := fault_of(path):
        raise sqlite3.OperationalError(fault)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def connect_to_read(path: str) -> sqlite3.Connection:
    """A connection that changes nothing, whatever may be done with the file.

    Where we may write, it is an ordinary one: it takes part in the write-ahead log and leaves none behind. Where we may
    not, it reads the log of whoever writes; without a log nobody does, and then the file alone is read.
    """
    if fault := fault_of(path):
        raise sqlite3.OperationalError(fault)
    if os.access(path, os.W_OK) and os.access(Path(path).absolute().parent, os.W_OK):
        how = "mode=rw"
    else:
        how = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    name = f"file:{quote(path)}?{how}"
    connection = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    connection.execute("PRAGMA query_only = 1")
    return connection


class SqliteStore:
    """A store in the file `path`, or in memory. `clock` gives seconds since 1970; write times come from it.

    `read_only`: the file and its tables must be there, and nothing is changed.
    """

    def __init__(
        self, path: str = ":memory:", clock: Callable[[], float] = time.time, *, read_only: bool = False
    ) -> None:
        self.path = path
        self._clock = clock
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._last = 0

    async def open(self) -> None:
        if self._connection is not None:
            return
        with self._told():
            if self._read_only:
                self._connection = connect_to_read(self.path)
                self._connection.execute(f"SELECT 1 FROM {next(iter(TABLES))} LIMIT 1")  # else it is no configuration
                return
            self._connection = connect(self.path)
            for table in TABLES:
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (key TEXT NOT NULL, column1 TEXT NOT NULL,"
                    " value TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (key, column1)) WITHOUT ROWID"
                )

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def rows(self, table: str, keys: Sequence[str], start: str = "") -> dict[str, Row]:
        found: dict[str, Row] = {}
        with self._told():
            for first in range(0, len(keys), KEYS_A_QUERY):
                some = keys[first : first + KEYS_A_QUERY]
                marks = ",".join("?" * len(some))
                query = (
                    f"SELECT key, column1, value, time FROM {self._table(table)}"
                    f" WHERE key IN ({marks}) AND column1 >= ? ORDER BY key, column1"
                )
                for key, column, value, written in self._open().execute(query, (*some, start)):
                    found.setdefault(key, {})[column] = Cell(value, written)
        return found

    async def columns(
        self, table: str, key: str, start: str = "", end: str | None = None, after: str | None = None, limit: int = 4096
    ) -> list[tuple[str, Cell]]:
        query = f"SELECT column1, value, time FROM {self._table(table)} WHERE key = ? AND column1 >= ?"
        values: list[str | int] = [key, start]
        if end is not None:
            query += " AND column1 < ?"
            values.append(end)
        if after is not None:
            query += " AND column1 > ?"
            values.append(after)
        values.append(limit)
        with self._told():
            cursor = self._open().execute(query + " ORDER BY column1 LIMIT ?", values)
            return [(column, Cell(value, written)) for column, value, written in cursor]

    async def write(self, mutations: Sequence[Mutation]) -> None:
        if not mutations:
            return
        with self._told():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for mutation in mutations:
                    self._apply(connection, mutation)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _apply(self, connection: sqlite3.Connection, mutation: Mutation) -> None:
        table = self._table(mutation.table)
        if isinstance(mutation, Delete):
            if mutation.column is None:
                connection.execute(f"DELETE FROM {table} WHERE key = ?", (mutation.key,))
            else:
                query = f"DELETE FROM {table} WHERE key = ? AND column1 = ?"
                connection.execute(query, (mutation.key, mutation.column))
            return
        # The clocks of two processes may differ and a clock may step back: what matters is that the time grows.
        connection.execute(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?) ON CONFLICT (key, column1) DO UPDATE"
            " SET value = excluded.value, time = MAX(excluded.time, time + 1)",
            (mutation.key, mutation.column, mutation.value, self._now()),
        )

    def _now(self) -> int:
        self._last = max(self._last + 1, int(self._clock() * 1_000_000))
        return self._last

    def _table(self, table: str) -> str:
        if table not in TABLES:
            raise StoreError(f"{self.path}: no table {table}")
        return table

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path}: not open")
        return self._connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
