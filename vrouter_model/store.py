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
    NhFlag,
    NhType,
    VifType,
)
from .next_hop_rules import change_allowed, validate_next_hop
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
        self._get: dict[type, Callable[[Any], Any]] = {
            Vif: self._get_vif,
            NextHop: self._get_next_hop,
            InetRoute: self._get_inet,
            Inet6Route: self._get_inet6,
            BridgeRoute: self._get_bridge,
            MplsLabel: self._get_label,
            Vxlan: self._get_vxlan,
            VrfAssign: self._get_vrf_assign,
            Mirror: self._get_mirror,
            Vrf: self.vrfs.get,
            ForwardingClass: self.forwarding_classes.get,
            QosMap: self._get_qos_map,
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
        return self._get[kind](identity)

    def _get_vif(self, idx: int) -> Vif | None:
        vif = self.vifs.get(idx)
        return None if vif is None else vif.row

    def _get_next_hop(self, nh_id: int) -> NextHop | None:
        entry = self.next_hops.get(nh_id)
        return None if entry is None else entry.row

    def _get_inet(self, identity: tuple[int, int, int]) -> Any | None:
        vrf, prefix, _ = identity
        return self.inet.lookup(vrf, prefix).row

    def _get_inet6(self, identity: tuple[int, bytes, int]) -> Any | None:
        vrf, prefix, _ = identity
        return self.inet6.lookup(vrf, int.from_bytes(prefix, "big")).row

    def _get_bridge(self, identity: tuple[int, bytes]) -> BridgeRoute | None:
        entry = self.bridge.lookup(*identity)
        return None if entry is None else entry.row()

    def _get_label(self, label: int) -> MplsLabel | None:
        entry = self.labels.get(label)
        return None if entry is None else MplsLabel(label, entry.id)

    def _get_vxlan(self, vnid: int) -> Vxlan | None:
        entry = self.vxlans.get(vnid)
        return None if entry is None else Vxlan(vnid, entry.id)

    def _get_vrf_assign(self, identity: tuple[int, int]) -> VrfAssign | None:
        vif = self.vifs.get(identity[0])
        return None if vif is None else vif.vrf_assign.get(identity[1])

    def _get_mirror(self, index: int) -> Mirror | None:
        found = self.mirrors.get(index)
        return None if found is None else found[0]

    def _get_qos_map(self, number: int) -> QosMap | None:
        found = self.qos_maps.get(number)
        return None if found is None else found.row

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
        if not vif.virtual or row.cross_connect_idx:
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
        if not vif.virtual:
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
        if entry is not None and valid and not change_allowed(entry.row, row):
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
            code = validate_next_hop(row, devices, components, direct)
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
