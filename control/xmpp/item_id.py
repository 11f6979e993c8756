"""Node and id strings of items: how each side names a route (reference/xmpp.md 2.3 and 2.4 tables)."""

from typing import NamedTuple

from .family import ItemFamily
from .items import ZERO_ADDRESS, EnetEntry, Entry, McastEntry, MvpnEntry

# --- The agent's nodes: publish@node and associate@node ---------------------------------------------------------------


def unicast_node(family: ItemFamily, instance: str, prefix: str, native_vrf_id: int | None = None) -> str:
    """`prefix` is `address/length`; `native_vrf_id` is appended for routes of the fabric."""
    node = family.node(f"{instance}/{prefix}")
    return node if native_vrf_id is None else f"{node}/{native_vrf_id}"


def enet_node(mac: str, prefix: str) -> str:
    """MAC/IP and type 5 routes; there is no instance in it."""
    return ItemFamily.E_VPN.node(f"{mac},{prefix}")


def enet_group_node(first: str, group: str, source: str) -> str:
    """Broadcast and S,G routes; `first` is the group (or a TSN's MAC)."""
    return ItemFamily.E_VPN.node(f"{first},{ZERO_ADDRESS}/32,{group},{source}")


def multicast_node(family: ItemFamily, instance: str, group: str) -> str:
    """ERMVPN and MVPN routes."""
    return family.node(f"{instance}/{group}")


def primary_instance_id(node: str) -> int:
    """The sixth part of an agent's inet node, 0 when absent: it forms the RD of a master-instance route."""
    parts = node.split("/")
    if len(parts) < 6 or parts[:2] not in (["1", "1"], ["1", "4"]):
        return 0
    return int(parts[5]) if parts[5].isascii() and parts[5].isdigit() and len(parts[5]) < 11 else 0


# --- The control node's ids: item@id and retract@id ------------------------------------------------------------------


def enet_id(ethernet_tag: int, mac: str, address: str, group: str = "", source: str = "") -> str:
    """`[tag-]mac,ip/len[,group,source]`; an empty address is `0.0.0.0/32`."""
    tag = f"{ethernet_tag}-" if ethernet_tag else ""
    tail = f",{group},{source or ZERO_ADDRESS}" if group not in ("", ZERO_ADDRESS) else ""
    return f"{tag}{mac},{address or ZERO_ADDRESS + '/32'}{tail}"


def mcast_id(route_distinguisher: str, group: str, source: str) -> str:
    """`<agent address>:<instance id>:<group>,<source>`."""
    return f"{route_distinguisher}:{group},{source}"


def mvpn_id(group: str, source: str) -> str:
    return f"0:0:{group},{source}"


def entry_id(entry: Entry, route_distinguisher: str = "0:0") -> str:
    """The id of an entry; `route_distinguisher` (printed) is used by ERMVPN only."""
    match entry:
        case EnetEntry():
            return enet_id(entry.ethernet_tag, entry.mac, entry.address, entry.group, entry.source)
        case McastEntry():
            return mcast_id(route_distinguisher, entry.group, entry.source)
        case MvpnEntry():
            return mvpn_id(entry.group, entry.source)
        case _:
            return entry.address


# --- How the agent reads them back ------------------------------------------------------------------------------------


class EnetKey(NamedTuple):
    """What an agent takes from the id of an EVPN retract."""

    ethernet_tag: int
    mac: str
    address: str
    group: str = ""
    source: str = ""


class GroupKey(NamedTuple):
    """What an agent takes from the id of an ERMVPN or MVPN retract."""

    group: str
    source: str


def read_enet_id(ident: str) -> EnetKey | None:
    """Tag up to `-`, MAC to the first `,`, then ip/len, then group and source if present; None for no such id."""
    tag, dash, rest = ident.partition("-")
    if not dash:
        tag, rest = "0", ident
    if not (tag.isascii() and tag.isdigit()) or len(tag) > 10:
        return None
    parts = rest.split(",")
    if len(parts) not in (2, 4) or "/" not in parts[1]:
        return None
    return EnetKey(int(tag), *parts)


def read_group_id(ident: str) -> GroupKey | None:
    """Cut at the first two `:`, then `group,source`; None when it is no such id."""
    parts = ident.split(":", 2)
    group, comma, source = parts[-1].partition(",")
    return GroupKey(group, source) if len(parts) == 3 and comma and group and source else None
