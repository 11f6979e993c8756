"""The object store: every table an agent programs, with the kernel module's validity rules (reference/vrouter.md 2-4).

Each operation answers 0 or a negative errno. A refused request leaves the tables as they were.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

from .flags import (
    DISCARD_NH,
    MAX_FORWARDING_CLASSES,
    MAX_LABELS,
    MAX_MIRRORS,
    MAX_NEXT_HOPS,
    MAX_QOS_MAPS,
    MAX_VIFS,
    MAX_VNI,
    MAX_VRFS,
    NO_VLAN,
    VRF_ASSIGN_VLANS,
    ZERO_MAC,
    Family,
    NhFlag,
    NhType,
    VifType,
)
from .rows import (
    BridgeRoute,
    ForwardingClass,
    Inet6Route,
    InetRoute,
    Mirror,
    MplsLabel,
    NextHop,
    QosMap,
    Vif,
    Vrf,
    VrfAssign,
    Vxlan,
)
from .tables.interface import Interface
from .tables.next_hop import Component, NextHopEntry
from .tables.qos import QosEntry
from .tables.routes import BridgeTable, InetTable, Route

_WORD = 0xFFFFFFFF
_FABRIC_KINDS = int(NhFlag.COMPOSITE_FABRIC | NhFlag.COMPOSITE_EVPN | NhFlag.COMPOSITE_TOR)
_MCAST_PARTS = _FABRIC_KINDS | int(NhFlag.COMPOSITE_ENCAP)


class ObjectStore:
    """Everything but flows, whose semantics are `flow_set`'s."""

    def __init__(self) -> None:
        self.vifs: dict[int, Interface] = {}
        self.next_hops: dict[int, NextHopEntry] = {}
        self.labels: dict[int, NextHopEntry] = {}
        self.vxlans: dict[int, NextHopEntry] = {}
        self.mirrors: dict[int, tuple[Mirror, NextHopEntry]] = {}
        self.vrfs: dict[int, Vrf] = {}
        self.forwarding_classes: dict[int, ForwardingClass] = {}
        self.qos_maps: dict[int, QosEntry] = {}
        self.bridge = BridgeTable()
        self.agent_vif: Interface | None = None
        self.vhost: Interface | None = None
        self.discard = NextHopEntry(NextHop(DISCARD_NH, NhType.DISCARD))
        self.inet = InetTable[InetRoute](32, self.discard)
        self.inet6 = InetTable[Inet6Route](128, self.discard)
        self.next_hops[DISCARD_NH] = self.discard
        self._add: dict[type, Callable[[Any], int]] = {
            Vif: self.add_vif,
            NextHop: self.add_next_hop,
            InetRoute: self.add_inet,
            Inet6Route: self.add_inet,
            BridgeRoute: self.add_bridge,
            MplsLabel: self.add_label,
            Vxlan: self.add_vxlan,
            VrfAssign: self.add_vrf_assign,
            Mirror: self.add_mirror,
            Vrf: self.add_vrf,
            ForwardingClass: self.add_forwarding_class,
            QosMap: self.add_qos_map,
        }
        self._delete: dict[type, Callable[[Any], int]] = {
            Vif: self.delete_vif,
            NextHop: self.delete_next_hop,
            InetRoute: self.delete_inet,
            Inet6Route: self.delete_inet,
            BridgeRoute: self.delete_bridge,
            MplsLabel: self.delete_label,
            Vxlan: self.delete_vxlan,
            VrfAssign: self.delete_vrf_assign,
            Mirror: self.delete_mirror,
            Vrf: self.delete_vrf,
            ForwardingClass: lambda row: _remove(self.forwarding_classes, row.id),
            QosMap: lambda row: _remove(self.qos_maps, row.id),
        }
        self._dump: dict[type, Callable[[], Iterator[Any]]] = {
            Vif: lambda: (self.vifs[idx].row for idx in sorted(self.vifs)),
            NextHop: lambda: (self.next_hops[nh_id].row for nh_id in sorted(self.next_hops)),
            InetRoute: lambda: (route.row for route in self.inet.values()),
            Inet6Route: lambda: (route.row for route in self.inet6.values()),
            BridgeRoute: lambda: (entry.row() for entry in self.bridge.values()),
            MplsLabel: lambda: (MplsLabel(label, self.labels[label].id) for label in sorted(self.labels)),
            Vxlan: lambda: (Vxlan(vnid, self.vxlans[vnid].id) for vnid in sorted(self.vxlans)),
            VrfAssign: self._dump_vrf_assign,
            Mirror: lambda: (self.mirrors[index][0] for index in sorted(self.mirrors)),
            Vrf: lambda: (self.vrfs[idx] for idx in sorted(self.vrfs)),
            ForwardingClass: lambda: (self.forwarding_classes[number] for number in sorted(self.forwarding_classes)),
            QosMap: lambda: (self.qos_maps[number].row for number in sorted(self.qos_maps)),
        }

    # The four operations

    def add(self, row: Any) -> int:
        return self._add[type(row)](row)

    def delete(self, row: Any) -> int:
        return self._delete[type(row)](row)

    def dump(self, kind: type) -> Iterator[Any]:
        return self._dump[kind]()

    def get(self, kind: type, identity: Any) -> Any | None:
        """One object by its row's `identity`. For inet and inet6 a longest prefix lookup, as `rt --get` does."""
        if kind is InetRoute:
            vrf, prefix, _ = identity
            return self.inet.lookup(vrf, prefix).row
        if kind is Inet6Route:
            vrf, prefix, _ = identity
            return self.inet6.lookup(vrf, int.from_bytes(prefix, "big")).row
        if kind is BridgeRoute:
            vrf, mac = identity
            entry = self.bridge.lookup(vrf, mac)
            return None if entry is None else entry.row()
        return next((row for row in self.dump(kind) if row.identity == identity), None)

    def reset(self) -> list[Interface]:
        """RESET: empty every table (the discard next hop stays). Returns the interfaces that went."""
        gone = list(self.vifs.values())
        for vif in gone:
            vif.alive = False
        self.vifs.clear()
        self.next_hops.clear()
        self.next_hops[DISCARD_NH] = self.discard
        for table in (self.labels, self.vxlans, self.mirrors, self.vrfs, self.forwarding_classes, self.qos_maps):
            table.clear()
        self.bridge.clear()
        self.inet.clear()
        self.inet6.clear()
        self.agent_vif = self.vhost = None
        return gone

    # Interfaces

    def add_vif(self, row: Vif) -> int:
        if not 0 <= row.idx < MAX_VIFS or row.type not in VifType.__members__.values():
            return -errno.EINVAL
        if not 0 <= row.vrf < MAX_VRFS or len(row.mac) != 6 or len(row.ip6) != 16 or not 0 <= row.ip <= _WORD:
            return -errno.EINVAL
        if not 0 <= row.ovlan_id <= NO_VLAN or not 0 <= row.vlan_id <= NO_VLAN:
            return -errno.EINVAL
        if row.type is VifType.VIRTUAL_VLAN and row.parent_vif_idx not in self.vifs:
            return -errno.EINVAL
        if len(row.cross_connect_idx) > 3:
            return -errno.EINVAL
        vif = self.vifs.get(row.idx)
        if vif is None:
            vif = self.vifs[row.idx] = Interface(row)
        else:
            self._detach_sub_interface(vif)
            vif.apply(Interface.merged(vif.row, row))
        self._attach_sub_interface(vif)
        if vif.agent:
            self.agent_vif = vif
        elif vif.type is VifType.HOST:
            self.vhost = vif
        self._connect_cross_links()
        return 0

    def delete_vif(self, row: Vif) -> int:
        vif = self.vifs.pop(row.idx, None)
        if vif is None:
            return -errno.ENODEV
        vif.alive = False
        self._detach_sub_interface(vif)
        if self.agent_vif is vif:
            self.agent_vif = None
        if self.vhost is vif:
            self.vhost = None
        self._connect_cross_links()
        return 0

    def _attach_sub_interface(self, vif: Interface) -> None:
        if vif.type is not VifType.VIRTUAL_VLAN:
            return
        vif.parent = self.vifs.get(vif.row.parent_vif_idx)
        if vif.parent is None:
            return
        for mac in vif.row.src_mac or (b"",):
            vif.parent.sub_interfaces[(vif.row.vlan_id, mac)] = vif

    def _detach_sub_interface(self, vif: Interface) -> None:
        if vif.parent is None:
            return
        for key in [key for key, child in vif.parent.sub_interfaces.items() if child is vif]:
            del vif.parent.sub_interfaces[key]
        vif.parent = None

    def _connect_cross_links(self) -> None:
        """vhost and the physical interfaces are cross-connected: by the row's list, else by their types."""
        physical = tuple(vif for vif in self.vifs.values() if vif.fabric)
        for vif in self.vifs.values():
            if vif.row.cross_connect_idx:
                found = (self.vifs.get(idx) for idx in vif.row.cross_connect_idx)
                vif.xconnect_vifs = tuple(other for other in found if other is not None)
            elif vif.type is VifType.HOST:
                vif.xconnect_vifs = physical[:1]
            elif vif.fabric:
                vif.xconnect_vifs = () if self.vhost is None else (self.vhost,)

    # Next hops

    def add_next_hop(self, row: NextHop) -> int:
        if not 0 <= row.id < MAX_NEXT_HOPS or row.type not in NhType.__members__.values():
            return -errno.EINVAL
        entry = self.next_hops.get(row.id)
        valid = bool(row.flags & NhFlag.VALID)
        if entry is not None and valid and not _change_allowed(entry.row, row):
            return -errno.EINVAL
        devices: tuple[Interface | None, ...] = tuple(self.vifs.get(idx) for idx in row.encap_oif_id)
        components: tuple[Component, ...] = ()
        direct: NextHopEntry | None = None
        if valid:
            if row.type is NhType.COMPOSITE:
                if len(row.nh_list) != len(row.label_list):
                    return -errno.EINVAL
                components = tuple(
                    Component(index, self.next_hops.get(nh_id), label)
                    for index, (nh_id, label) in enumerate(zip(row.nh_list, row.label_list, strict=True))
                )
            if row.flags & NhFlag.INDIRECT and row.nh_list:
                direct = self.next_hops.get(row.nh_list[0])
            code = _validate_next_hop(row, devices, components, direct)
            if code:
                return code
        if entry is None:
            entry = self.next_hops[row.id] = NextHopEntry(row)
        entry.apply(row, devices, components, direct)
        return 0

    def delete_next_hop(self, row: NextHop) -> int:
        if row.id == DISCARD_NH or row.id not in self.next_hops:
            return -errno.EINVAL
        self.next_hops.pop(row.id).alive = False
        return 0

    # Routes

    def add_inet(self, row: InetRoute | Inet6Route) -> int:
        table, prefix = self._inet_table(row)
        if not 0 <= row.vrf < MAX_VRFS or not 0 <= row.prefix_len <= table.bits or not 0 <= prefix < 1 << table.bits:
            return -errno.EINVAL
        next_hop = self.next_hops.get(row.nh_id)
        if next_hop is None:
            return -errno.ENOENT
        route = Route(row, next_hop)
        if next_hop.type is NhType.TUNNEL and route.label < 0:
            return -errno.EINVAL
        if row.mac != ZERO_MAC and self.bridge.lookup(row.vrf, row.mac) is None:
            return -errno.ENOENT
        table.set(row.vrf, prefix, row.prefix_len, route)
        return 0

    def delete_inet(self, row: InetRoute | Inet6Route) -> int:
        table, prefix = self._inet_table(row)
        if not 0 <= row.vrf < MAX_VRFS or not 0 <= row.prefix_len <= table.bits or not 0 <= prefix < 1 << table.bits:
            return -errno.EINVAL
        return 0 if table.remove(row.vrf, prefix, row.prefix_len) is not None else -errno.ENOENT

    def _inet_table(self, row: InetRoute | Inet6Route) -> tuple[InetTable[Any], int]:
        if isinstance(row, InetRoute):
            return self.inet, row.prefix
        return self.inet6, int.from_bytes(row.prefix, "big") if len(row.prefix) == 16 else -1

    def add_bridge(self, row: BridgeRoute) -> int:
        if row.mac == ZERO_MAC or len(row.mac) != 6 or not 0 <= row.vrf < MAX_VRFS:
            return -errno.EINVAL
        next_hop = self.next_hops.get(row.nh_id)
        if next_hop is None:
            return -errno.ENOENT
        self.bridge.set(row.vrf, row.mac, next_hop, row.label, int(row.label_flags))
        return 0

    def delete_bridge(self, row: BridgeRoute) -> int:
        return 0 if self.bridge.remove(row.vrf, row.mac) is not None else -errno.ENOENT

    # Labels, VNIs, VRFs and mirrors

    def add_label(self, row: MplsLabel) -> int:
        next_hop = self.next_hops.get(row.nh_id)
        if not 0 <= row.label < MAX_LABELS or next_hop is None:
            return -errno.EINVAL
        self.labels[row.label] = next_hop
        return 0

    def delete_label(self, row: MplsLabel) -> int:
        """Deleting clears the slot; an empty slot is no error."""
        if not 0 <= row.label < MAX_LABELS:
            return -errno.EINVAL
        self.labels.pop(row.label, None)
        return 0

    def add_vxlan(self, row: Vxlan) -> int:
        next_hop = self.next_hops.get(row.nh_id)
        if not 0 <= row.vnid < MAX_VNI or next_hop is None:
            return -errno.EINVAL
        self.vxlans[row.vnid] = next_hop
        return 0

    def delete_vxlan(self, row: Vxlan) -> int:
        return 0 if self.vxlans.pop(row.vnid, None) is not None else -errno.EINVAL

    def add_vrf_assign(self, row: VrfAssign) -> int:
        vif = self.vifs.get(row.vif_index)
        if vif is None or not 0 <= row.vlan_id < VRF_ASSIGN_VLANS or not 0 <= row.vrf < MAX_VRFS:
            return -errno.EINVAL
        vif.vrf_assign[row.vlan_id] = row
        return 0

    def delete_vrf_assign(self, row: VrfAssign) -> int:
        vif = self.vifs.get(row.vif_index)
        if vif is None or vif.vrf_assign.pop(row.vlan_id, None) is None:
            return -errno.EINVAL
        return 0

    def _dump_vrf_assign(self) -> Iterator[VrfAssign]:
        for idx in sorted(self.vifs):
            assigned = self.vifs[idx].vrf_assign
            for vlan in sorted(assigned):
                yield assigned[vlan]

    def add_mirror(self, row: Mirror) -> int:
        next_hop = self.next_hops.get(row.nh_id)
        if not 0 <= row.index < MAX_MIRRORS or next_hop is None:
            return -errno.EINVAL
        self.mirrors[row.index] = (row, next_hop)
        return 0

    def delete_mirror(self, row: Mirror) -> int:
        return 0 if self.mirrors.pop(row.index, None) is not None else -errno.EINVAL

    def add_vrf(self, row: Vrf) -> int:
        if not 0 <= row.idx < MAX_VRFS:
            return -errno.EINVAL
        self.vrfs[row.idx] = row
        return 0

    def delete_vrf(self, row: Vrf) -> int:
        return _remove(self.vrfs, row.idx)

    # Marking

    def add_forwarding_class(self, row: ForwardingClass) -> int:
        marks = 0 <= row.dscp < 64 and 0 <= row.mpls_qos < 8 and 0 <= row.dotonep < 8
        if not 0 <= row.id < MAX_FORWARDING_CLASSES or not marks:
            return -errno.EINVAL
        self.forwarding_classes[row.id] = row
        return 0

    def add_qos_map(self, row: QosMap) -> int:
        kinds = ((row.dscp, 64), (row.mpls_qos, 8), (row.dotonep, 8))
        sound = all(0 <= value < limit for pairs, limit in kinds for value, _ in pairs)
        if not 0 <= row.id < MAX_QOS_MAPS or not sound:
            return -errno.EINVAL
        self.qos_maps[row.id] = QosEntry(row)
        return 0


def _remove(table: dict[int, Any], number: int) -> int:
    return 0 if table.pop(number, None) is not None else -errno.ENOENT


def _change_allowed(old: NextHop, new: NextHop) -> bool:
    """A change keeps the type, the length of the encapsulation and whether the next hop is indirect."""
    if new.type is not old.type or (new.encap and len(new.encap) != len(old.encap)):
        return False
    return not (new.flags ^ old.flags) & NhFlag.INDIRECT


def _validate_next_hop(
    row: NextHop,
    devices: tuple[Interface | None, ...],
    components: tuple[Component, ...],
    direct: NextHopEntry | None,
) -> int:
    """The rules of each type; 0 or a negative errno."""
    has_device = any(device is not None for device in devices)
    if row.flags & NhFlag.INDIRECT:
        if row.type is not NhType.TUNNEL or not row.flags & NhFlag.TUNNEL_PBB or len(row.nh_list) > 1:
            return -errno.EINVAL
        if row.nh_list and direct is None:
            return -errno.EINVAL
    match row.type:
        case NhType.DEAD:
            return -errno.EINVAL
        case NhType.ENCAP:
            return _validate_encap(row, has_device)
        case NhType.TUNNEL:
            return _validate_tunnel(row, has_device)
        case NhType.RCV:
            return 0 if has_device else -errno.ENODEV
        case NhType.COMPOSITE:
            return _validate_composite(row, components)
    return 0


def _validate_encap(row: NextHop, has_device: bool) -> int:
    if row.family not in (Family.INET, Family.BRIDGE):
        return -errno.EINVAL
    multicast = bool(row.flags & NhFlag.MCAST)
    if row.family is Family.BRIDGE and multicast:
        return -errno.EINVAL
    if row.family is Family.INET and not multicast and len(row.encap) < 6:
        return -errno.EINVAL
    return 0 if has_device else -errno.EINVAL


def _validate_tunnel(row: NextHop, has_device: bool) -> int:
    if row.family is Family.INET6 and not (len(row.tun_sip6) == 16 and len(row.tun_dip6) == 16):
        return -errno.EINVAL
    if row.family is Family.INET and not (0 < row.tun_sip <= _WORD and 0 < row.tun_dip <= _WORD):
        return -errno.EINVAL
    if not 0 <= row.tun_dport <= 0xFFFF or len(row.rw_dst_mac) != 6:
        return -errno.EINVAL
    if row.flags & NhFlag.TUNNEL_GRE:
        return 0 if has_device else -errno.ENODEV
    if row.flags & NhFlag.TUNNEL_UDP:
        return 0 if row.family in (Family.INET, Family.INET6) else -errno.EINVAL
    if row.flags & NhFlag.TUNNEL_UDP_MPLS:
        return 0 if has_device else -errno.ENODEV
    if row.flags & NhFlag.TUNNEL_VXLAN:
        if not has_device:
            return -errno.ENODEV
        return -errno.EINVAL if row.flags & NhFlag.L3_VXLAN and row.rw_dst_mac == ZERO_MAC else 0
    if row.flags & NhFlag.TUNNEL_PBB:
        return 0 if row.flags & NhFlag.INDIRECT and row.pbb_mac != ZERO_MAC else -errno.EINVAL
    return -errno.EINVAL


def _validate_composite(row: NextHop, components: tuple[Component, ...]) -> int:
    """Which components a composite of each kind accepts; a missing component is accepted everywhere."""
    flags = int(row.flags)
    members = [component.next_hop for component in components if component.next_hop is not None]
    layered = row.family in (Family.INET, Family.BRIDGE)
    if flags & _FABRIC_KINDS:
        if not layered:
            return -errno.EINVAL
        for member in members:
            if member.type is not NhType.TUNNEL or member.has(NhFlag.TUNNEL_UDP):
                return -errno.EINVAL
            if flags & int(NhFlag.COMPOSITE_TOR) and not member.has(NhFlag.TUNNEL_VXLAN):
                return -errno.EINVAL
    if flags & int(NhFlag.COMPOSITE_ENCAP):
        for member in members:
            if member.type is not NhType.ENCAP or (layered and member.family is not row.family):
                return -errno.EINVAL
            if member.has(NhFlag.MCAST) is not (member.family is Family.INET):
                return -errno.EINVAL
    if flags & int(NhFlag.MCAST):
        if not layered:
            return -errno.EINVAL
        for member in members:
            if member.type is not NhType.COMPOSITE or not member.flags & _MCAST_PARTS:
                return -errno.EINVAL
    return 0
