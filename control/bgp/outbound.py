"""From routes of one's own to the messages a peer gets: for users of the library that have no routing table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import update
from .attributes import Attributes
from .family import Family
from .negotiation import Negotiated
from .neighbour import Peer
from .nlri import Route
from .route_text import Announcement

DEFAULT_LOCAL_PREF = 100


def for_session(attributes: Attributes, agreed: Negotiated) -> Attributes:
    """What RFC 4271 5.1 asks of a route of our own: LOCAL_PREF inside the AS; our AS and no LOCAL_PREF outside."""
    if agreed.ibgp:
        return attributes if attributes.local_pref is not None else attributes.replace(local_pref=DEFAULT_LOCAL_PREF)
    return attributes.replace(as_path=attributes.as_path.prepend(agreed.local_as), local_pref=None)


def announce(peer: Peer, routes: Iterable[Announcement]) -> Iterator[bytes]:
    """UPDATE messages with all routes the session may carry, as few as possible, then each family's End-of-RIB.

    Nothing without a session. Raises update.AttributesTooLong where not one route fits beside its attributes.
    """
    agreed, behaviour = peer.negotiated, peer.core.behaviour
    if agreed is None:
        return
    groups: dict[tuple[Family, Attributes], list[Route]] = {}
    for family, attributes, route in routes:
        if family in agreed.families:
            groups.setdefault((family, attributes), []).append(route)
    for (family, attributes), together in groups.items():
        yield from update.write(family, for_session(attributes, agreed), together, agreed.as4, behaviour)
    for family in agreed.families:
        yield update.end_of_rib(family, behaviour)


def withdraw(peer: Peer, routes: Iterable[Announcement]) -> Iterator[bytes]:
    """UPDATE messages that withdraw the routes, as `announce`."""
    agreed, behaviour = peer.negotiated, peer.core.behaviour
    keys: dict[Family, list[bytes]] = {}
    for family, _, (key, _) in routes:
        if agreed is not None and family in agreed.families:
            keys.setdefault(family, []).append(key)
    for family, together in keys.items():
        yield from update.write_withdrawn(family, together, behaviour)
