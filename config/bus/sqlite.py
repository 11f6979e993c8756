"""The bus across processes of one machine: a change log in the shared SQLite file, watched.

Each subscription remembers how far it has read. The log keeps the last messages only; whoever was away for longer
learns that there is a gap.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from contrail_emulator.config.store.interface import StoreError
from contrail_emulator.config.store.sqlite import connect

from .message import Message, MessageError

POLL_SECONDS = 0.02
KEPT = 100_000
TRIM_EVERY = 1_000
MESSAGES_A_POLL = 1_000


class SqliteSubscription:
    """One reader of the log, at position `seen`."""

    log = Logger()

    def __init__(
        self, bus: "SqliteBus", seen: int, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        self.poisoned = 0
        self.closed = False
        self._bus = bus
        self._seen = seen
        self._on_message = on_message
        self._on_gap = on_gap

    def read(self) -> bool:
        """Deliver what is new, at most a slice; True while more may wait."""
        first, messages = self._bus.after(self._seen, MESSAGES_A_POLL)
        if first > self._seen + 1:
            self._on_gap()
            self._seen = first - 1
        for sequence, body in messages:
            if self.closed:
                return False
            self._seen = sequence
            try:
                message = Message.decode(body)
            except MessageError as error:
                self.poisoned += 1
                self.log.warn("bus: message {sequence}: {error}", sequence=sequence, error=error)
            else:
                self._on_message(message)
        return len(messages) == MESSAGES_A_POLL

    def close(self) -> None:
        """Stop reading."""
        self.closed = True
        self._bus.forget(self)


class SqliteBus:
    """The log in the file at `path`, which may be the store's own file."""

    log = Logger()

    def __init__(self, reactor: IReactorTime, path: str, kept: int = KEPT) -> None:
        self.path = path
        self._reactor = reactor
        self._kept = kept
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._version = -1
        self._call: Any = None
        self._subscriptions: list[SqliteSubscription] = []

    @property
    def pending(self) -> int:
        """Never any: what is published is in the file."""
        return 0

    async def open(self) -> None:
        if self._writing is not None:
            return
        try:
            self._writing, self._reading = connect(self.path), connect(self.path)
            self._writing.execute(
                "CREATE TABLE IF NOT EXISTS change_log (sequence INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)"
            )
        except sqlite3.Error as error:
            await self.close()
            raise StoreError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.close()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        for connection in (self._writing, self._reading):
            if connection is not None:
                connection.close()
        self._writing = self._reading = None

    async def publish(self, message: Message) -> None:
        if self._writing is None:
            raise StoreError(f"{self.path}: not open")
        try:
            cursor = self._writing.execute("INSERT INTO change_log (body) VALUES (?)", (message.encode(),))
            sequence = cursor.lastrowid or 0
            if sequence % min(TRIM_EVERY, self._kept) == 0:
                self._writing.execute("DELETE FROM change_log WHERE sequence <= ?", (sequence - self._kept,))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        self._poll_soon(0)

    async def subscribe(
        self, queue: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> SqliteSubscription:
        if self._reading is None:
            raise StoreError(f"{self.path}: not open")
        row = self._reading.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change_log'").fetchone()
        subscription = SqliteSubscription(self, row[0] if row else 0, on_message, on_gap)
        self._subscriptions.append(subscription)
        self._version = -1
        self._poll_soon(POLL_SECONDS)
        return subscription

    def after(self, sequence: int, limit: int) -> tuple[int, list[tuple[int, bytes]]]:
        """The first sequence number in the log that is greater, and the messages from there on, at most `limit`."""
        if self._reading is None:
            return 0, []
        query = "SELECT sequence, body FROM change_log WHERE sequence > ? ORDER BY sequence LIMIT ?"
        messages = self._reading.execute(query, (sequence, limit)).fetchall()
        return (messages[0][0] if messages else 0), messages

    def forget(self, subscription: SqliteSubscription) -> None:
        """Called by a subscription that closes."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _poll_soon(self, delay: float) -> None:
        if not self._subscriptions:
            return
        if self._call is not None:
            if delay or self._call.getTime() <= self._reactor.seconds():
                return
            self._call.cancel()
        self._call = self._reactor.callLater(delay, self._poll)

    def _poll(self) -> None:
        self._call = None
        more = False
        try:
            if self._reading is not None and self._changed():
                for subscription in tuple(self._subscriptions):
                    more = subscription.read() or more
        except sqlite3.Error as error:
            self.log.warn("bus: {path}: {error}", path=self.path, error=error)
            self._version = -1
        if more:
            self._version = -1
        self._poll_soon(0 if more else POLL_SECONDS)

    def _changed(self) -> bool:
        """Has another connection written since the last poll? Costs microseconds when not."""
        if self._reading is None:
            return False
        (version,) = self._reading.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        return True
