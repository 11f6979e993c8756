"""The TCP connections a peer holds: one outbound, one inbound, or the one that became the session."""

from __future__ import annotations

from collections.abc import Iterator

from .framing import Framer


class Connection:
    """One TCP connection as a core sees it. `up` is False while an outbound one is still connecting."""

    __slots__ = ("framer", "inbound", "number", "up")

    def __init__(self, number: int, inbound: bool, framer: Framer) -> None:
        self.number = number
        self.inbound = inbound
        self.up = inbound
        self.framer = framer


class Connections:
    """At most one of each kind. `session` is the one chosen; from then on it is neither `outbound` nor `inbound`."""

    __slots__ = ("_last", "inbound", "outbound", "session")

    def __init__(self) -> None:
        self.outbound: Connection | None = None
        self.inbound: Connection | None = None
        self.session: Connection | None = None
        self._last = 0

    def new(self, inbound: bool, framer: Framer) -> Connection:
        """A connection with a number of its own, not yet held."""
        self._last += 1
        return Connection(self._last, inbound, framer)

    def __iter__(self) -> Iterator[Connection]:
        return (connection for connection in (self.session, self.inbound, self.outbound) if connection is not None)

    def find(self, number: int) -> Connection | None:
        """The held connection of that number; None when it was given up meanwhile."""
        session = self.session
        if session is not None and session.number == number:  # nearly always
            return session
        return next((connection for connection in self if connection.number == number), None)

    def to_notify(self) -> Connection | None:
        """Where a NOTIFICATION goes that answers no message: the session, else inbound, else outbound if it is up."""
        return next((connection for connection in self if connection.up), None)

    @property
    def collide(self) -> bool:
        return self.outbound is not None and self.inbound is not None

    def assign(self, connection: Connection) -> None:
        """This one becomes the session."""
        self.forget(connection)
        self.session = connection

    def forget(self, connection: Connection) -> None:
        if connection is self.session:
            self.session = None
        elif connection is self.inbound:
            self.inbound = None
        elif connection is self.outbound:
            self.outbound = None
