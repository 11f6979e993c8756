"""Path selection against the order of reference/bgp.md 4.3 (and 7.1 row 18)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import community, ext_community
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.routing import CoreSettings, Flag, Path, RoutingCore, Source, SourceKind
from contrail_emulator.control.routing.attribute_set import AttributeTable
from contrail_emulator.control.routing.path import Arrival
from contrail_emulator.control.routing.selection import compare, compare_preference
from contrail_emulator.control.routing.table import Route

ROUTE = Route(RoutingCore(CoreSettings(autonomous_system=64512, router_id=1), {}).tables["inet.0"], b"\x00")
STICKY = ext_community.mac_mobility(True, 0)
ORIGIN_VN = (ext_community.origin_vn(64512, 5),)


def source(kind: str = "BGP", router_id: int = 1, address: int = 1, ebgp: bool = True) -> Source:
    return Source(
        SourceKind(kind),
        "s",
        router_id=router_id,
        address=address.to_bytes(4, "big"),
        autonomous_system=65001,
        ebgp=ebgp and kind == "BGP",
    )


def path(
    where: Source | None = None, flags: int = 0, path_id: int = 0, table: AttributeTable | None = None, **fields: Any
) -> Path:
    fields.setdefault("local_pref", 100)
    fields["as_path"] = AsPath(fields.pop("path", ((2, (65001,)),)))
    shared = (AttributeTable() if table is None else table).acquire(Attributes.make(**fields))
    return Path(ROUTE, where or source(), shared, b"", int(flags), Arrival(path_id, b"", 0.0))


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


PREFERENCES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("feasible", {"local_pref": 1}, {"local_pref": 200, "flags": Flag.AS_PATH_LOOPED}),
    ("feasible", {}, {"flags": Flag.NO_NEIGHBOR_AS}),
    ("feasible", {}, {"flags": Flag.NO_TUNNEL_ENCAP}),
    ("feasible", {}, {"flags": Flag.ORIGINATOR_ID_LOOPED}),
    ("feasible", {}, {"flags": Flag.RESOLVE_NEXTHOP}),
    ("feasible", {}, {"flags": Flag.ROUTING_POLICY_REJECT}),
    ("feasible", {}, {"flags": Flag.CLUSTER_LIST_LOOPED}),
    ("feasible", {}, {"flags": Flag.CHECK_GLOBAL_ERM_VPN_ROUTE}),
    (
        "local preference before E-Tree",
        {"local_pref": 101, "ext_communities": (ext_community.etree(True, 0),)},
        {"local_pref": 100},
    ),
    ("missing local preference is 100", {"local_pref": None}, {"local_pref": 99}),
    (
        "root before leaf, whatever the sequence",
        {"ext_communities": (ext_community.etree(False, 0),)},
        {"ext_communities": (ext_community.etree(True, 0), ext_community.mac_mobility(False, 9))},
    ),
    ("non-sticky before sticky (PathCompareSticky1)", {}, {"ext_communities": (ext_community.mac_mobility(True, 7),)}),
    (
        "higher sequence",
        {"ext_communities": (ext_community.mac_mobility(False, 2),)},
        {"ext_communities": (ext_community.mac_mobility(False, 1),)},
    ),
    (
        "fresh before LLGR-stale by flag",
        {"path": ((2, (65001, 1, 2)),)},
        {"flags": Flag.LLGR_STALE},
    ),
    ("fresh before LLGR-stale by community", {"origin": 2}, {"communities": (community.LLGR_STALE,)}),
    ("shorter AS path", {"path": ((2, (65001,)),), "origin": 2}, {"path": ((2, (65001, 2)),)}),
    ("a set counts one", {"path": ((2, (65001,)), (1, (5, 6, 7)))}, {"path": ((2, (65001, 2, 3)),)}),
    (
        "AS path counts with one ORIGIN_VN_PATH",
        {"path": ((2, (65001,)),), "origin": 2, "origin_vn_path": ORIGIN_VN},
        {"path": ((2, (65001, 2)),)},
    ),
    (
        "AS path does not count with two ORIGIN_VN_PATHs",
        {"path": ((2, (65001, 2)),), "origin_vn_path": ORIGIN_VN},
        {"path": ((2, (65001,)),), "origin_vn_path": ORIGIN_VN, "origin": 1},
    ),
    ("IGP before EGP", {"origin": 0, "med": 9}, {"origin": 1}),
    ("EGP before incomplete", {"origin": 1}, {"origin": 2}),
    ("lower MED of one neighbour AS", {"med": 5}, {"med": 6}),
    ("no MED is 0", {}, {"med": 1}),
]

TIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("real before aliased", {"where": source(router_id=9)}, {"flags": Flag.ALIASED}),
    ("local before a peer's", {"where": source("Local", 9)}, {"where": source("XMPP")}),
    ("Local before Aggregate", {"where": source("Local")}, {"where": source("Aggregate")}),
    ("Aggregate before StaticRoute", {"where": source("Aggregate"), "path_id": 9}, {"where": source("StaticRoute")}),
    ("StaticRoute before ServiceChain", {"where": source("StaticRoute")}, {"where": source("ServiceChain")}),
    (
        "lower path id of local paths",
        {"where": source("Local"), "path_id": 1},
        {"where": source("Local"), "path_id": 2},
    ),
    ("XMPP before BGP", {"where": source("XMPP", 9), "path_id": 9}, {"where": source()}),
    ("eBGP before iBGP", {"where": source(router_id=9), "path_id": 9}, {"where": source(ebgp=False)}),
    ("lower path id", {"where": source(router_id=9), "path_id": 1}, {"path_id": 2}),
    ("lower router id", {"where": source(router_id=1, address=9)}, {"where": source(router_id=2)}),
    (
        "originator id stands for the router id",
        {"where": source(router_id=9), "originator_id": 1},
        {"where": source(router_id=2)},
    ),
    (
        "shorter cluster list",
        {"where": source(address=9), "originator_id": 1, "cluster_list": (1,)},
        {"originator_id": 1, "cluster_list": (1, 2)},
    ),
    ("lower peer address", {"where": source(address=1)}, {"where": source(address=2)}),
]

NO_DIFFERENCE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a stale path is as good as any", {}, {"flags": Flag.STALE}),
    ("MED of different neighbour ASes", {"med": 5}, {"med": 6, "path": ((2, (65002,)),)}),
    ("MED without a neighbour AS", {"med": 5, "path": ()}, {"med": 6, "path": ()}),
    ("next hop", {"next_hop": bytes(4)}, {"next_hop": bytes([1, 2, 3, 4])}),
]


def named(cases: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("better", "worse"), [pytest.param(b, w, id=name) for name, b, w in cases])


@named(PREFERENCES)
def test_preference(better: dict[str, Any], worse: dict[str, Any]) -> None:
    a, b = path(**better), path(**worse)
    assert (sign(compare_preference(a, b)), sign(compare_preference(b, a))) == (-1, 1)
    assert (sign(compare(a, b)), sign(compare(b, a))) == (-1, 1)


@named(TIES)
def test_ties_are_of_equal_cost(better: dict[str, Any], worse: dict[str, Any]) -> None:
    a, b = path(**better), path(**worse)
    assert compare_preference(a, b) == compare_preference(b, a) == 0
    assert (sign(compare(a, b)), sign(compare(b, a))) == (-1, 1)


@named(NO_DIFFERENCE)
def test_what_does_not_count(better: dict[str, Any], worse: dict[str, Any]) -> None:
    assert compare(path(**better), path(**worse)) == 0


def test_always_compare_med() -> None:
    a, b = path(med=5), path(med=6, path=((2, (65002,)),))
    assert compare(a, b) == 0 and compare(a, b, True) < 0 < compare(b, a, True)


def test_rfc_profile_prefers_the_sticky_path() -> None:
    table = AttributeTable(sticky_loses=False)
    assert compare(path(table=table, ext_communities=(STICKY,)), path(table=table)) < 0


def test_shared_attributes_still_see_llgr_flags() -> None:
    table = AttributeTable()
    fresh, stale = path(table=table), path(table=table, flags=Flag.LLGR_STALE)
    assert fresh.shared is stale.shared
    assert compare(fresh, stale) < 0 < compare(stale, fresh)


kinds = st.sampled_from(["BGP", "XMPP", "Local", "Aggregate"])
sources = st.builds(source, kinds, st.integers(1, 3), st.integers(1, 3), st.booleans())
fields = st.fixed_dictionaries(
    {
        "where": sources,
        "flags": st.sampled_from([0, 0, 0, int(Flag.AS_PATH_LOOPED), int(Flag.LLGR_STALE), int(Flag.ALIASED)]),
        "path_id": st.integers(0, 2),
        "local_pref": st.sampled_from([100, 200]),
        "origin": st.integers(0, 2),
        "med": st.sampled_from([None, 1, 2]),
        "path": st.lists(st.sampled_from([65001, 65002]), max_size=3).map(lambda n: ((2, tuple(n)),) if n else ()),
        "ext_communities": st.sampled_from([(), (STICKY,), (ext_community.mac_mobility(False, 3),)]),
        "cluster_list": st.lists(st.integers(1, 2), max_size=2).map(tuple),
        "originator_id": st.sampled_from([None, 2]),
        "origin_vn_path": st.sampled_from([(), ORIGIN_VN]),
    }
)


@given(fields, fields, st.booleans())
def test_antisymmetric_always(one: dict[str, Any], two: dict[str, Any], always: bool) -> None:
    a, b = path(**dict(one)), path(**dict(two))
    assert sign(compare(a, b, always)) == -sign(compare(b, a, always))
    assert compare(a, a, always) == 0


@given(st.tuples(fields, fields, fields))
def test_total_order_when_med_is_always_compared(three: tuple[dict[str, Any], ...]) -> None:
    """Without ORIGIN_VN_PATH: where only some paths have one, AS path length is compared for some pairs only."""
    paths = [path(**{**dict(each), "origin_vn_path": ()}) for each in three]
    for a, b, c in itertools.permutations(paths):
        if compare(a, b, True) <= 0 and compare(b, c, True) <= 0:
            assert compare(a, c, True) <= 0
