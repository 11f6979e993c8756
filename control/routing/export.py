"""What a group advertises of a route: policy towards peers and towards agents (reference/bgp.md 1.9-1.11, 3.2, 4.7).

The edits depend on the attribute set, on the group's key and on what kind of source the path has; they are done once
for each such combination and kept with the attribute set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from contrail_emulator.control.bgp import community, ext_community
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.attributes.attributes import REFLECTED, reflection
from contrail_emulator.control.bgp.attributes.table import AttributeType
from contrail_emulator.control.bgp.family import Family

from . import as_path_edits, evpn, origin_vn
from .attribute_set import MISSING, AttributeSet
from .ermvpn_key import NATIVE
from .group_key import GroupKey
from .groups import Export, Recent, Slot, UpdateGroup
from .path import INFEASIBLE, LLGR_STALE, Path
from .source import Source
from .table import Route

if TYPE_CHECKING:
    from .core import RoutingCore

DEFAULT_LOCAL_PREF: Final = 100
_LOCAL_PREF: Final = int(AttributeType.LOCAL_PREF)
_STRIPPED: Final = 1 << AttributeType.EXTENDED_COMMUNITIES | 1 << AttributeType.ORIGIN_VN_PATH
_UNFIT: Final = REFLECTED | 1 << AttributeType.COMMUNITIES
"""Attributes that ask for more than a reflector's plain answer, or forbid it."""
_MAX_SLOTS: Final = 1024
_NO_EXPORT: Final = (community.NO_EXPORT, community.NO_EXPORT_SUBCONFED)
_UNICAST: Final = (Family.INET, Family.INET6)


class BgpExport:
    """The exporter of groups that encode BGP: the best path, edited."""

    def __init__(self, core: RoutingCore) -> None:
        self._core = core

    def __call__(self, group: UpdateGroup, route: Route) -> Export | None:
        best = route.best
        if best is None or best.flags & INFEASIBLE:
            return None
        shared = best.shared
        source = best.source
        stale = best.flags & LLGR_STALE
        recent = group.recent
        if (
            recent is None
            or recent.source is not source
            or recent.stale != stale
            or recent.generation != self._core.generation
        ):
            recent = group.recent = self._recent(group, source, stale)
        if recent.shared is not shared:
            recent.shared = shared
            recent.attributes = self._derive(group, best, recent.slot)
            if group.members.filtered:
                self._filter(group, recent, shared)
        attributes, mask = recent.attributes, recent.mask
        if attributes is None or (group.carries_trees and route.key[0] == NATIVE):
            return None
        if group.reflects:
            mask = recent.reflected if best.next is None else mask & ~self._suppliers(group, best)
        elif group.key.as_override:
            mask &= ~group.members.by_source.get(source, 0)
        return attributes, best.payload, mask

    @staticmethod
    def _suppliers(group: UpdateGroup, best: Path) -> int:
        """A reflector sends a route to no peer that supplied a usable path for it (reference/bgp.md 1.11).

        Paths that were reflected already do not count: two reflectors with one client would else withdraw from and
        tell each other in turns for ever.
        """
        bits = group.members.by_source.get(best.source, 0)
        path = best.next
        while path is not None:
            if not path.flags & INFEASIBLE and not path.shared.attributes.cluster_list:
                bits |= group.members.by_source.get(path.source, 0)
            path = path.next
        return bits

    def _recent(self, group: UpdateGroup, source: Source, stale: int) -> Recent:
        """For a source and a mark of its paths, before the first attribute set."""
        slot = group.slots.get((source, stale))
        if slot is None:
            if len(group.slots) >= _MAX_SLOTS:
                group.slots.clear()
            slot = group.slots[source, stale] = self._slot(group, source, stale)
        return Recent(source, stale, self._core.generation, slot, group.members)

    def _filter(self, group: UpdateGroup, recent: Recent, shared: AttributeSet) -> None:
        """Who of a group with route-target filters is to have the routes of a set."""
        members = group.members
        mask = members.all
        if not self._unfiltered(shared.attributes):
            mask &= ~members.filtered | members.interested(shared.targets)
        recent.mask = mask
        recent.reflected = mask & ~members.by_source.get(recent.source, 0)

    def _unfiltered(self, attributes: Attributes) -> bool:
        """A route without extended communities goes whatever targets were asked for (reference/bgp.md 4.6)."""
        return not attributes.ext_communities and self._core.behaviour.untagged_routes_bypass_route_target_filter

    def _derive(self, group: UpdateGroup, path: Path, slot: Slot) -> Attributes | None:
        shared = path.shared
        core = self._core
        found = shared.recall(slot.memo, core.generation)
        if found is not MISSING:
            kept: Attributes | None = found
            return kept
        attributes = shared.attributes
        edited: Attributes | None
        if slot.added and not attributes.present & slot.unfit and attributes.present >> _LOCAL_PREF & 1:
            edited = attributes.reflected(slot.added)
        else:
            originator = path.source.router_id or core.settings.router_id
            edited = self._edit(group.key, group.table.family, path, originator)
        shared.remember(slot.memo, edited)
        return edited

    def _slot(self, group: UpdateGroup, source: Source, stale: int) -> Slot:
        """Says where `_edit` would do no more than add ORIGINATOR_ID and CLUSTER_LIST: most of what is reflected."""
        key = group.key
        originator = (source.router_id or self._core.settings.router_id) if key.cluster_id else 0
        memo = group.policy, source.ibgp, originator, stale
        others = key.private_as_action or key.default_tunnel_encap or key.next_hop
        if key.peer_type != "ibgp" or not key.cluster_id or not source.ibgp or stale or others:
            return Slot(memo, b"", 0)
        unfit = _UNFIT | _STRIPPED if group.table.family in _UNICAST else _UNFIT
        return Slot(memo, reflection(originator, (key.cluster_id,)), unfit)

    def _edit(self, key: GroupKey, family: Family, path: Path, originator: int) -> Attributes | None:
        """The attributes to send, or None when the route does not go to this group at all."""
        attributes = path.shared.attributes
        communities = attributes.communities
        if community.NO_ADVERTISE in communities:
            return None
        if key.peer_type == "ibgp":
            edited = self._to_ibgp(key, path, originator)
        else:
            if any(value in communities for value in _NO_EXPORT):
                return None
            edited = self._to_ebgp(key, path)
        if edited is None:
            return None
        if path.llgr_stale and family is not Family.ROUTE_TARGET:
            edited = _llgr(edited, key)
        if (
            family in _UNICAST
            and edited.present & _STRIPPED
            and self._core.behaviour.strip_unicast_ext_communities
        ):
            kept = tuple(value for value in edited.ext_communities if origin_vn.is_origin_vn(value))
            edited = edited.replace(ext_communities=kept, origin_vn_path=())
        if key.default_tunnel_encap:
            edited = edited.replace(ext_communities=replace_encapsulations(edited, key.default_tunnel_encap))
        if key.next_hop and family is not Family.ROUTE_TARGET:
            edited = edited.replace(next_hop=key.next_hop)
        return attributes if edited == attributes else edited

    def _to_ibgp(self, key: GroupKey, path: Path, originator: int) -> Attributes | None:
        attributes = path.shared.attributes
        if path.source.ibgp and not key.cluster_id:
            return None
        edited = attributes
        if not attributes.present >> _LOCAL_PREF & 1:
            edited = edited.replace(local_pref=DEFAULT_LOCAL_PREF)
        if key.private_as_action:
            edited = edited.replace(as_path=as_path_edits.remove_private(edited.as_path, key, replacement=None))
        if key.cluster_id:
            if key.cluster_id in attributes.cluster_list:
                return None
            if path.source.ibgp or self._core.behaviour.cluster_list_on_all_ibgp:
                own = attributes.originator_id
                edited = edited.replace(
                    originator_id=originator if own is None else own,
                    cluster_list=(key.cluster_id, *attributes.cluster_list),
                )
        return edited

    def _to_ebgp(self, key: GroupKey, path: Path) -> Attributes | None:
        attributes = path.shared.attributes
        as_path: AsPath = attributes.as_path
        if not key.as_override and as_path.count(key.peer_as):
            return None
        med = attributes.med if not as_path.numbers else None
        if key.as_override:
            as_path = as_path_edits.replace(as_path, key.peer_as, key.local_as)
        if key.private_as_action:
            as_path = as_path_edits.remove_private(as_path, key, replacement=key.local_as)
        return attributes.replace(
            as_path=as_path.prepend(key.local_as), local_pref=None, med=med, originator_id=None, cluster_list=()
        )


def _llgr(attributes: Attributes, key: GroupKey) -> Attributes:
    """RFC 9494 4.6, in a control node's way: a peer without LLGR gets the route with the lowest preference."""
    communities = attributes.communities
    if key.llgr:
        if community.LLGR_STALE in communities:
            return attributes
        return attributes.replace(communities=(*communities, community.LLGR_STALE))
    kept = tuple(value for value in communities if value not in (community.LLGR_STALE, community.NO_EXPORT))
    edited = attributes.replace(communities=(*kept, community.NO_EXPORT))
    return edited.replace(local_pref=0) if key.peer_type == "ibgp" else edited


def replace_encapsulations(attributes: Attributes, names: tuple[str, ...]) -> tuple[bytes, ...]:
    """The extended communities with these encapsulations instead of the route's own."""
    kept = tuple(value for value in attributes.ext_communities if not ext_community.is_encapsulation(value))
    return kept + tuple(ext_community.encapsulation(name) for name in names)


class XmppExport:
    """The exporter of groups of agents: all paths of equal cost, to everyone, the publisher included.

    Broadcast and multicast routes are answered to their publisher, with a replication list.
    """

    def __init__(self, core: RoutingCore) -> None:
        self._core = core

    def __call__(self, group: UpdateGroup, route: Route) -> Export | None:
        best = route.best
        if best is None or best.flags & INFEASIBLE:
            return None
        if group.carries_lists and not (
            group.table.family is Family.E_VPN and evpn.is_for_agents(route.key)
        ):
            manager = self._core.managers.get(group.table)
            return manager.export(group, route) if manager is not None else None
        if best.next is None:
            return best.shared.attributes, best.payload, group.members.all
        seen: dict[tuple[bytes, bytes], Path] = {}
        for path in route.ecmp_paths():
            seen.setdefault((path.shared.attributes.next_hop, path.payload), path)
        if len(seen) == 1:
            return best.shared.attributes, best.payload, group.members.all
        return (
            tuple(path.shared.attributes for path in seen.values()),
            tuple(path.payload for path in seen.values()),
            group.members.all,
        )
