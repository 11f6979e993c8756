"""Path selection: the order of reference/bgp.md 4.3, first difference decides.

With MED compared only between paths of one neighbour AS the order is not transitive, in the real control node as here.
So a route keeps its paths in a list into which a new one is inserted before the first path it beats: one arrival order
has one result.
"""

from __future__ import annotations

from .path import ALIASED, INFEASIBLE, LLGR_STALE, Path


def compare(a: Path, b: Path, always_compare_med: bool = False) -> int:
    """Negative when `a` is better, positive when `b` is, 0 when nothing tells them apart."""
    return compare_preference(a, b, always_compare_med) or _tie_break(a, b)


def compare_preference(a: Path, b: Path, always_compare_med: bool = False) -> int:
    """The steps down to MED. 0 means equal cost: such paths form the ECMP set."""
    if a.flags & INFEASIBLE:
        if not b.flags & INFEASIBLE:
            return 1
    elif b.flags & INFEASIBLE:
        return -1
    x, y = a.shared, b.shared
    if x is y:
        return (a.flags & LLGR_STALE) - (b.flags & LLGR_STALE) if not x.llgr_stale else 0
    p, q = x.ranking, y.ranking
    if p.grade != q.grade:
        return -1 if p.grade < q.grade else 1
    stale_x = x.llgr_stale or bool(a.flags & LLGR_STALE)
    stale_y = y.llgr_stale or bool(b.flags & LLGR_STALE)
    if stale_x != stale_y:
        return 1 if stale_x else -1
    if p.as_length != q.as_length and not (p.has_origin_vn_path and q.has_origin_vn_path):
        return p.as_length - q.as_length
    if p.origin != q.origin:
        return p.origin - q.origin
    if p.med != q.med and (always_compare_med or (p.neighbor_as == q.neighbor_as and p.neighbor_as != 0)):
        return p.med - q.med
    return 0


def _tie_break(a: Path, b: Path) -> int:
    """What chooses among paths of equal cost."""
    if (a.flags ^ b.flags) & ALIASED:
        return 1 if a.flags & ALIASED else -1
    p, q = a.source, b.source
    if p.local != q.local:
        return -1 if p.local else 1
    if p.rank != q.rank:
        return q.rank - p.rank
    if p.local and a.arrival.path_id != b.arrival.path_id:
        return -1 if a.arrival.path_id < b.arrival.path_id else 1
    if p.xmpp != q.xmpp:
        return -1 if p.xmpp else 1
    if p.ebgp != q.ebgp:
        return -1 if p.ebgp else 1
    if a.arrival.path_id != b.arrival.path_id:
        return -1 if a.arrival.path_id < b.arrival.path_id else 1
    x, y = a.shared.attributes, b.shared.attributes
    left = x.originator_id if x.originator_id is not None else p.router_id
    right = y.originator_id if y.originator_id is not None else q.router_id
    if left != right:
        return -1 if left < right else 1
    if len(x.cluster_list) != len(y.cluster_list):
        return len(x.cluster_list) - len(y.cluster_list)
    if p.address != q.address:
        return -1 if p.address < q.address else 1
    return 0
