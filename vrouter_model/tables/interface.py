"""A vif as the data path sees it: the agent's row, what the vRouter derives from it, and counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..drops import Drop
from ..flags import VIF_OWNED_BY_VROUTER, VifFlag, VifType
from ..rows import Vif, VrfAssign

_ETHERNET_MTU = {VifType.AGENT: 1514, VifType.PHYSICAL: 1514}
_DEFAULT_MTU = 9160


class Interface:
    """One vif. Flags are unpacked into booleans when the row arrives, because every packet asks for several of them."""

    __slots__ = (
        "agent",
        "alive",
        "dhcp_enabled",
        "drop_new_flows",
        "drops",
        "etree_root",
        "fabric",
        "fabric_gateway",
        "fat_flow",
        "generation",
        "ibytes",
        "idx",
        "ierrors",
        "igmp_enabled",
        "ipackets",
        "l2_enabled",
        "l3_enabled",
        "mac",
        "mac_ip_learning",
        "mac_learn",
        "mac_proxy",
        "mcast_vrf",
        "mirror_rx",
        "mirror_tx",
        "mtu",
        "native_vlan",
        "nh_id",
        "no_arp_proxy",
        "obytes",
        "oerrors",
        "opackets",
        "parent",
        "policy",
        "row",
        "service",
        "sub_interfaces",
        "transmit",
        "type",
        "unknown_unicast_flood",
        "vhost",
        "virtual",
        "vrf",
        "vrf_assign",
        "xconnect",
        "xconnect_vifs",
    )

    def __init__(self, row: Vif) -> None:
        self.idx = row.idx
        self.type = row.type
        self.virtual = row.type in (VifType.VIRTUAL, VifType.VIRTUAL_VLAN)
        self.fabric = row.type is VifType.PHYSICAL
        self.vhost = row.type in (VifType.HOST, VifType.XEN_LL_HOST, VifType.GATEWAY)
        self.agent = row.type is VifType.AGENT
        self.alive = True
        self.generation = 0
        self.parent: Interface | None = None
        self.xconnect_vifs: tuple[Interface, ...] = ()
        self.sub_interfaces: dict[tuple[int, bytes], Interface] = {}
        """(VLAN, source MAC) -> sub-interface; an empty MAC stands for any source."""
        self.vrf_assign: dict[int, VrfAssign] = {}
        self.transmit: Callable[[bytes], None] | None = None
        self.ibytes = self.ipackets = self.ierrors = 0
        self.obytes = self.opackets = self.oerrors = 0
        self.drops: Counter[Drop] = Counter()
        self.apply(row)

    def apply(self, row: Vif) -> None:
        """Take what may change from a row; type, index and the flags the vRouter owns stay."""
        flags = int(row.flags)
        self.generation += 1
        self.vrf = row.vrf
        self.mcast_vrf = row.mcast_vrf
        self.mac = row.mac
        self.nh_id = row.nh_id
        self.mtu = row.mtu or _ETHERNET_MTU.get(row.type, _DEFAULT_MTU)
        self.fat_flow = {(rule.proto, rule.port): rule.ignore for rule in row.fat_flow}
        self.policy = bool(flags & 0x1)
        self.xconnect = bool(flags & 0x2)
        self.service = bool(flags & 0x4)
        self.mirror_rx = bool(flags & 0x8)
        self.mirror_tx = bool(flags & 0x10)
        self.l3_enabled = bool(flags & 0x40)
        self.l2_enabled = bool(flags & 0x80)
        self.dhcp_enabled = bool(flags & 0x100)
        self.native_vlan = bool(flags & 0x800)
        self.no_arp_proxy = bool(flags & 0x1000)
        self.unknown_unicast_flood = bool(flags & 0x10000)
        self.drop_new_flows = bool(flags & 0x40000)
        self.mac_learn = bool(flags & 0x80000)
        self.mac_proxy = bool(flags & 0x100000)
        self.etree_root = bool(flags & 0x200000)
        self.igmp_enabled = bool(flags & 0x2000000)
        self.fabric_gateway = bool(flags & 0x20000000)
        self.mac_ip_learning = bool(flags & 0x40000000)
        self.row = row

    @staticmethod
    def merged(old: Vif, new: Vif) -> Vif:
        """The row after a change: type and parent of the old one and the vRouter's own flags are kept."""
        owned = VIF_OWNED_BY_VROUTER
        flags = VifFlag((int(new.flags) & ~int(owned)) | (int(old.flags) & int(owned)))
        kept = {"flags": flags, "type": old.type, "parent_vif_idx": old.parent_vif_idx}
        return Vif(**{name: getattr(new, name) for name in Vif.__slots__} | kept)

    def counters(self) -> dict[str, int]:
        """Packet counters under the names of vr_interface_req."""
        return {
            "ibytes": self.ibytes,
            "ipackets": self.ipackets,
            "ierrors": self.ierrors,
            "obytes": self.obytes,
            "opackets": self.opackets,
            "oerrors": self.oerrors,
            "dpackets": sum(self.drops.values()),
        }

    def clear_counters(self) -> None:
        self.ibytes = self.ipackets = self.ierrors = 0
        self.obytes = self.opackets = self.oerrors = 0
        self.drops.clear()
