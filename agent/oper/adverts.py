"""What this agent says about its own routes: a local path -> the entry that is published (reference/agent.md 5)."""

from __future__ import annotations

from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop

from .nexthop import Encap
from .path import Local, Path
from .prefix import Prefix
from .vrf import BROADCAST_MAC, EvpnKey, RouteKey, Table

Advert = UnicastEntry | EnetEntry | McastEntry
MPLS_ENCAPS = (Encap.GRE.value, Encap.UDP.value)
VXLAN_ENCAPS = (Encap.VXLAN.value,)
BROADCAST_NODE = "255.255.255.255,0.0.0.0/32,255.255.255.255,0.0.0.0"
BROADCAST_GROUP = "255.255.255.255"


def mac_text(mac: bytes) -> str:
    return mac.hex(":")


class Advertiser:
    """Builds entries for one router. `address` is the router id as text, `mac` vhost0's."""

    __slots__ = ("address", "mac")

    def __init__(self, address: str, mac: bytes) -> None:
        self.address = address
        self.mac = mac_text(mac)

    def advert(self, table: Table, key: RouteKey, paths: tuple[Path, ...]) -> Advert | None:
        """The entry for the best exported local path; None when there is nothing to say."""
        for path in paths:
            local = path.local
            if local is None or not local.exported:
                continue
            if isinstance(key, EvpnKey):
                return self._broadcast(key, local) if key.mac == BROADCAST_MAC else self._evpn(key, path, local)
            if table in (Table.INET, Table.INET6):
                return self._inet(key, path, local)
        return None

    def _inet(self, key: Prefix, path: Path, local: Local) -> UnicastEntry:
        attributes = path.attributes
        hop = NextHop(
            self.address,
            local.label,
            MPLS_ENCAPS,
            attributes.vns[0] if attributes.vns else "",
            attributes.tags,
            self.mac,
        )
        return UnicastEntry(
            ItemFamily.INET if key.version == 4 else ItemFamily.INET6,
            key.text,
            (hop,),
            sequence_number=attributes.sequence,
            security_groups=attributes.security_groups,
            community_tags=attributes.communities,
            local_preference=attributes.preference,
            sub_protocol="interface" if key.is_host else "interface-static",
        )

    def _evpn(self, key: EvpnKey, path: Path, local: Local) -> EnetEntry:
        attributes = path.attributes
        return EnetEntry(
            mac_text(key.mac),
            key.address.text,
            key.tag,
            next_hops=(self._enet_hop(local),),
            security_groups=attributes.security_groups,
            sequence_number=attributes.sequence,
            local_preference=attributes.preference,
        )

    def _broadcast(self, key: EvpnKey, local: Local) -> EnetEntry:
        return EnetEntry(
            mac_text(key.mac), key.address.text, key.tag, next_hops=(self._enet_hop(local),), local_preference=100
        )

    def _enet_hop(self, local: Local) -> NextHop:
        if local.vni:
            return NextHop(self.address, local.vni, VXLAN_ENCAPS)
        return NextHop(self.address, local.label, MPLS_ENCAPS)


def node(vrf: str, advert: Advert) -> str:
    """The item node string of an advert (reference/xmpp.md 2.3)."""
    if isinstance(advert, EnetEntry):
        if advert.mac == mac_text(BROADCAST_MAC):
            return advert.family.node(BROADCAST_NODE)
        return advert.family.node(f"{advert.mac},{advert.address}")
    if isinstance(advert, McastEntry):
        return advert.family.node(f"{vrf}/{advert.group}")
    return advert.family.node(f"{vrf}/{advert.address}")
