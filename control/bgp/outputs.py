"""What a PeerCore asks of its adapter and tells it. A decoded UPDATE is an output too: the `Received` itself."""

from __future__ import annotations

from dataclasses import dataclass

from .close_reason import CloseReason
from .family import Family
from .update import Received


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Connect to the peer; answer with `connected` or `connect_failed` and this number."""

    connection: int


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes on a connection."""

    connection: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close once written bytes are out, or stop connecting. The core has forgotten the connection."""

    connection: int


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The peer is established on this connection."""

    connection: int


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The established session ended. Answer with `close_finished` when its routes are dealt with."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """A family is complete: the peer said so, or its time-out ended (`assumed`). Once per family and session."""

    family: Family
    assumed: bool


@dataclass(frozen=True, slots=True)
class LongLivedStale:
    """The restart time is over without the peer: stale routes become long-lived stale. Answer with `close_finished`."""


@dataclass(frozen=True, slots=True)
class SweepStale:
    """Delete what is still stale. Answer with `close_finished`."""


@dataclass(frozen=True, slots=True)
class RefreshRequested:
    """The peer asks for all routes of a family again (RFC 2918)."""

    family: Family


Output = (
    OpenConnection
    | Write
    | CloseConnection
    | SessionUp
    | SessionDown
    | EndOfRib
    | LongLivedStale
    | SweepStale
    | RefreshRequested
    | Received
)
