"""Any entry an agent publishes, as a route of a table: picks the translation by the entry's type and route type."""

from __future__ import annotations

from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry

from .item import FAMILIES, ItemRoute, Publisher, enet_key, enet_route, unicast_key, unicast_route
from .multicast_item import (
    mcast_key,
    mcast_route,
    mvpn_key,
    mvpn_route,
    selective_key,
    selective_route,
)


def add_route(entry: Entry, publisher: Publisher) -> ItemRoute:
    """The route of an entry that passed `item_rules.check_next_hops`.

    Raises:
        ItemError: the item is dropped.
    """
    match entry:
        case UnicastEntry():
            return unicast_route(entry, publisher)
        case EnetEntry():
            return selective_route(entry) if entry.group else enet_route(entry, publisher)
        case McastEntry():
            return mcast_route(entry, publisher)
        case MvpnEntry():
            return mvpn_route(entry, publisher)


def delete_key(entry: Entry, publisher: Publisher) -> tuple[Family, bytes]:
    """(family, key) of the route that a dissociated entry names; its next hops don't count.

    Raises:
        ItemError: the item is dropped.
    """
    match entry:
        case UnicastEntry():
            return FAMILIES[entry.family], unicast_key(entry)
        case EnetEntry():
            return Family.E_VPN, selective_key(entry) if entry.group else enet_key(entry, publisher)
        case McastEntry():
            return Family.ERM_VPN, mcast_key(entry, publisher)
        case MvpnEntry():
            return Family.INET_MVPN, mvpn_key(entry, publisher)
