"""Where a broadcast of a VRF is copied to.

Remote routers, the distribution tree, local machines (reference/agent.md 15).
"""

from __future__ import annotations

from .nexthop import Encap, Flood, FloodKind, Member, Tunnel
from .path import NO_LABEL, Path, PeerKind
from .resolve import Resolver
from .vrf import BROADCAST_MAC, BridgeEntry, Vrf


def flood_of(vrf: Vrf, resolver: Resolver) -> BridgeEntry | None:
    """The entry of ff:ff:ff:ff:ff:ff; None while there is no local machine.

    In a network that only routes nobody is flooded to, but the entry is there: the vRouter answers ARP on its way
    through it (reference/vrouter.md 7.8).
    """
    if not vrf.has_machines:
        return None
    parts = [
        Member(Flood(kind, vrf.index, members))
        for kind, members in (
            (FloodKind.EVPN, _remote(vrf, resolver)),
            (FloodKind.FABRIC, _tree(vrf, resolver)),
            (FloodKind.LOCAL, tuple(Member(next_hop) for next_hop in vrf.local_l2)),
        )
        if members
    ]
    return BridgeEntry(Flood(FloodKind.BROADCAST, vrf.index, tuple(parts)), vrf.vni or NO_LABEL)


def _remote(vrf: Vrf, resolver: Resolver) -> tuple[Member, ...]:
    """Ingress replication: the olist of the broadcast route a control node answers with."""
    found: dict[Member, None] = {}
    for key in vrf.macs.get(BROADCAST_MAC, ()):
        for path in vrf.evpn[key].paths:
            for hop in path.hops:
                if hop.address != resolver.router_id:
                    tunnel = Tunnel(resolver.router_id, hop.address, resolver.encap(hop.encaps))
                    found[Member(tunnel, hop.label)] = None
    return tuple(sorted(found, key=_order))


def _tree_path(vrf: Vrf) -> Path | None:
    for route in vrf.multicast.values():
        for path in route.paths:
            if path.peer.kind is PeerKind.MULTICAST_FABRIC_TREE_BUILDER:
                return path
    return None


def _tree(vrf: Vrf, resolver: Resolver) -> tuple[Member, ...]:
    """The neighbours in the tree the builder made; its tunnels are MPLS."""
    path = _tree_path(vrf)
    if path is None:
        return ()
    members = []
    for hop in path.hops:
        offered = tuple(encap for encap in hop.encaps if encap in (Encap.GRE, Encap.UDP))
        members.append(Member(Tunnel(resolver.router_id, hop.address, resolver.encap(offered)), hop.label))
    return tuple(sorted(set(members), key=_order))


def tree_label(vrf: Vrf) -> int:
    """The label this router must accept from its neighbours in the tree; 0 without a tree."""
    path = _tree_path(vrf)
    return path.label if path is not None else 0


def _order(member: Member) -> tuple[int, int]:
    next_hop = member.next_hop
    return (next_hop.destination if isinstance(next_hop, Tunnel) else 0), member.label
