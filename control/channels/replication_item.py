"""Replication lists as items: whom an agent sends broadcast and multicast packets to (reference/xmpp.md 2.4)."""

from __future__ import annotations

from ipaddress import ip_address

from contrail_emulator.control.bgp import rd
from contrail_emulator.control.routing.ermvpn_key import ErmVpnKey
from contrail_emulator.control.routing.olist import Olist, OlistEntry
from contrail_emulator.control.xmpp import item_id
from contrail_emulator.control.xmpp.items import TABBED, ZERO_ADDRESS, EnetEntry, McastEntry, NextHop, OlistNextHop

BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
NO_HOST = f"{ZERO_ADDRESS}/32"


def broadcast_item(key: bytes, olist: Olist, virtual_network: str, local_preference: int) -> tuple[str, bytes]:
    """(id, entry) of an agent's own EVPN broadcast route, with its lists instead of next hops."""
    tag = int.from_bytes(key[9:13], "big")
    entry = EnetEntry(
        BROADCAST_MAC,
        NO_HOST,
        ethernet_tag=tag,
        group=ZERO_ADDRESS,
        source=ZERO_ADDRESS,
        olist=tuple(_enet_hop(receiver) for receiver in olist.entries),
        leaf_olist=tuple(_enet_hop(receiver) for receiver in olist.leaves),
        virtual_network=virtual_network,
        local_preference=local_preference,
        med=olist.attributes.med or 0,
    )
    return item_id.enet_id(tag, BROADCAST_MAC, NO_HOST), entry.to_xml(TABBED)


def tree_item(key: bytes, olist: Olist) -> tuple[str, bytes]:
    """(id, entry) of an agent's own ERMVPN route: its neighbours in the tree, and the label it has to accept."""
    fields = ErmVpnKey.read(key)
    entry = McastEntry(
        str(ip_address(fields.group)),
        str(ip_address(fields.source)),
        source_label=olist.label,
        olist=tuple(
            OlistNextHop(str(ip_address(receiver.address)), str(receiver.label), _names(receiver))
            for receiver in olist.entries
        ),
    )
    return tree_id(key), entry.to_xml(TABBED)


def tree_id(key: bytes) -> str:
    """The id of an ERMVPN route: the agent's RD, group and source."""
    fields = ErmVpnKey.read(key)
    return item_id.mcast_id(rd.text(fields.rd), str(ip_address(fields.group)), str(ip_address(fields.source)))


def _enet_hop(receiver: OlistEntry) -> NextHop:
    return NextHop(str(ip_address(receiver.address)), label=receiver.label, encapsulations=_names(receiver))


def _names(receiver: OlistEntry) -> tuple[str, ...]:
    """MPLS over GRE is written `gre`; so is a list without any."""
    names = dict.fromkeys("gre" if name == "mpls-o-gre" else name for name in receiver.encapsulations)
    return tuple(names) or ("gre",)
