"""Ids and locks across processes of one machine: a table in the shared SQLite file, and file locks for elections."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.interfaces import IReactorTime

from contrail_emulator.config.store.sqlite import connect

from .tree import IdsError, NodeExists

TRY_SECONDS = 0.5


class SqliteElection:
    """A candidate: holds, or tries to get, an exclusive lock on a file. The system frees it when the process dies."""

    def __init__(self, reactor: IReactorTime, path: str, on_elected: Callable[[], None]) -> None:
        self._reactor = reactor
        self._path = path
        self._on_elected = on_elected
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._call: Any = reactor.callLater(0, self._try)

    def _try(self) -> None:
        self._call = None
        if self._file is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._call = self._reactor.callLater(TRY_SECONDS, self._try)
        else:
            self._on_elected()

    def leave(self) -> None:
        """Step down or withdraw."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._file is not None:
            os.close(self._file)
            self._file = None


class SqliteIds:
    """The tree as a table `nodes` in the file at `path`, which may be the store's own file."""

    def __init__(self, reactor: IReactorTime, path: str, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._reactor = reactor
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._elections: list[SqliteElection] = []

    async def open(self) -> None:
        if self._connection is not None:
            return
        try:
            self._connection = connect(self.path)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS nodes (parent TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,"
                " born REAL NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise IdsError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        for election in self._elections:
            election.leave()
        self._elections.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def create(self, path: str, data: str) -> None:
        parent, _, name = path.rpartition("/")
        with self._told() as connection:
            try:
                connection.execute("INSERT INTO nodes VALUES (?, ?, ?, ?)", (parent, name, data, self._clock()))
            except sqlite3.IntegrityError as error:
                raise NodeExists(path) from error

    async def get(self, path: str) -> str | None:
        row = self._row("data", path)
        return None if row is None else str(row)

    async def age(self, path: str) -> float | None:
        row = self._row("born", path)
        return None if row is None else self._clock() - float(row)

    async def delete(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        with self._told() as connection:
            cursor = connection.execute("DELETE FROM nodes WHERE parent = ? AND name = ?", (parent, name))
            return cursor.rowcount > 0

    async def children(self, path: str) -> list[str]:
        with self._told() as connection:
            rows = connection.execute("SELECT name FROM nodes WHERE parent = ? ORDER BY name", (path,))
            return [name for (name,) in rows]

    async def elect(
        self, path: str, name: str, on_elected: Callable[[], None], on_lost: Callable[[], None]
    ) -> SqliteElection:
        try:
            election = SqliteElection(self._reactor, f"{self.path}{path.replace('/', '.')}", on_elected)
        except OSError as error:
            raise IdsError(f"{self.path}: {error}") from error
        self._elections.append(election)
        return election

    def _row(self, column: str, path: str) -> str | float | None:
        parent, _, name = path.rpartition("/")
        with self._told() as connection:
            query = f"SELECT {column} FROM nodes WHERE parent = ? AND name = ?"
            row = connection.execute(query, (parent, name)).fetchone()
            return None if row is None else row[0]

    @contextmanager
    def _told(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                raise IdsError(f"{self.path}: not open")
            yield self._connection
        except sqlite3.Error as error:
            raise IdsError(f"{self.path}: {error}") from error
