"""What whoever uses a Speaker implements: the events of its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from .close_reason import CloseReason
from .family import Family
from .update import Received

if TYPE_CHECKING:
    from .neighbour import Peer


class Handler(Protocol):
    """Called in the reactor's thread, in order, never from inside another call of the same peer.

    `closed`, `long_lived_stale` and `sweep_stale` may return a Deferred: until it fires the close is in progress, the
    peer does not come up again and inbound connections are refused with Cease/5. None means done.
    """

    def established(self, peer: Peer) -> None:
        """The session is up; `peer.negotiated` says what both sides agreed on."""

    def received(self, peer: Peer, update: Received) -> None:
        """Routes. Each UPDATE once, End-of-RIB not among them."""

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        """All routes of a family are there, or its time-out ended (`assumed`). Once per family and session."""

    def closed(self, peer: Peer, reason: CloseReason) -> Deferred[None] | None:
        """An established session ended.

        `reason.graceful`: mark the peer's routes stale, except those of graceful_restart.NEVER_STALE, which go at once;
        `sweep_stale` or `long_lived_stale` follows. Otherwise delete all of its routes.
        """

    def long_lived_stale(self, peer: Peer) -> Deferred[None] | None:
        """The restart time is over: stale routes become long-lived stale, those with NO_LLGR go (RFC 9494)."""

    def sweep_stale(self, peer: Peer) -> Deferred[None] | None:
        """Delete the peer's routes that are still stale: it sent all anew, or it never came back."""

    def unblocked(self, peer: Peer) -> None:
        """The transport takes bytes again after `send` returned False."""

    def refresh(self, peer: Peer, family: Family) -> None:
        """The peer wants all routes of a family again (profile rfc only)."""


class NullHandler:
    """A Handler that does nothing: to inherit from."""

    def established(self, peer: Peer) -> None:
        pass

    def received(self, peer: Peer, update: Received) -> None:
        pass

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        pass

    def closed(self, peer: Peer, reason: CloseReason) -> Deferred[None] | None:
        return None

    def long_lived_stale(self, peer: Peer) -> Deferred[None] | None:
        return None

    def sweep_stale(self, peer: Peer) -> Deferred[None] | None:
        return None

    def unblocked(self, peer: Peer) -> None:
        pass

    def refresh(self, peer: Peer, family: Family) -> None:
        pass
