"""What goes to which peer: reference/bgp.md 1.9-1.11, 3.2, 4.7 and the scenarios of 7.1 rows 14 to 17."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from control.bgp.wire import strategies as wire
from control.routing.conftest import Bench
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import community, ext_community
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.routing import Flag, Source
from contrail_emulator.control.routing.export import BgpExport

if TYPE_CHECKING:
    from control.routing.conftest import Sink

VPN = "bgp.l3vpn.0"
KEY = bytes(8) + bytes([24, 203, 0, 113])
NEXT_HOP = bytes([192, 0, 2, 1])


def tell(
    bench: Bench, source: Source, *path: int, table: str = VPN, key: bytes = KEY, flags: int = 0, **fields: Any
) -> None:
    """`path` are the AS numbers; the rest are attributes."""
    if source.ebgp and not path:
        path = (source.autonomous_system,)
    fields.setdefault("local_pref", 100)
    attributes = Attributes.make(next_hop=NEXT_HOP, as_path=AsPath.sequence(*path), **fields)
    bench.core.update(table, source, key, attributes, b"\0\0\1" if table == VPN else b"", flags=int(flags))
    bench.flush()


def told(sink: Sink, key: bytes = KEY) -> Attributes | None:
    return sink.rib[key][0][0] if key in sink.rib else None


def one(
    bench: Bench, source: Source, peer_type: str, *path: int, group: dict[str, Any] | None = None, **fields: Any
) -> Attributes | None:
    """What one peer of this type is told of one route."""
    sink = bench.join(VPN, peer_type, **(group or {}))
    tell(bench, source, *path, **fields)
    return told(sink)


# --- who gets it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "cluster_id", "expected"),
    [
        ("ibgp", 0, {"ebgp"}),
        ("ebgp", 0, {"ibgp", "ebgp"}),
        ("xmpp", 0, {"ibgp", "ebgp"}),
        ("ibgp", 9, {"ibgp", "ebgp"}),
    ],
)
def test_split_horizon(make_bench: Callable[..., Bench], kind: str, cluster_id: int, expected: set[str]) -> None:
    bench = make_bench(cluster_id=cluster_id)
    source = {"ibgp": bench.ibgp("s"), "ebgp": bench.ebgp("s", 65009), "xmpp": bench.agent("s")}[kind]
    sinks = {
        "ibgp": bench.join(VPN, "ibgp", "i", cluster_id=cluster_id),
        "ebgp": bench.join(VPN, "ebgp", "e"),
    }
    tell(bench, source)
    assert {name for name, sink in sinks.items() if sink.rib} == expected


def test_never_back_to_a_peer_with_a_usable_path(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(cluster_id=9)
    peers = [bench.ibgp(f"p{i}", i) for i in range(3)]
    sinks = [bench.join(VPN, "ibgp", peer.name, peer, cluster_id=9) for peer in peers]
    tell(bench, peers[0], local_pref=200)
    tell(bench, peers[1])
    assert [bool(sink.rib) for sink in sinks] == [False, False, True]
    tell(bench, peers[1], flags=Flag.CLUSTER_LIST_LOOPED)
    assert [bool(sink.rib) for sink in sinks] == [False, True, True]
    assert len(sinks[2].log) == 1


def test_route_targets_go_back_to_their_sender(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(cluster_id=9)
    peer = bench.ibgp("p")
    sink = bench.join("bgp.rtarget.0", "ibgp", "p", peer, cluster_id=9)
    tell(bench, peer, table="bgp.rtarget.0", key=b"\x00")
    assert b"\x00" in sink.rib


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (community.NO_ADVERTISE, set()),
        (community.NO_EXPORT, {"ibgp"}),
        (community.NO_EXPORT_SUBCONFED, {"ibgp"}),
        (community.ACCEPT_OWN, {"ibgp", "ebgp"}),
    ],
)
def test_communities_that_limit_export(bench: Bench, value: int, expected: set[str]) -> None:
    sinks = {kind: bench.join(VPN, kind, kind) for kind in ("ibgp", "ebgp")}
    tell(bench, bench.ebgp("s", 65009), communities=(value,))
    assert {kind for kind, sink in sinks.items() if sink.rib} == expected


def test_communities_mean_nothing_to_agents(bench: Bench) -> None:
    bench.add("blue", 1)
    agent = bench.agent("one")
    sink = bench.join("blue.inet.0", "xmpp", "one", agent)
    tell(bench, agent, table="blue.inet.0", key=b"\x08\x0a", communities=(community.NO_ADVERTISE,))
    assert b"\x08\x0a" in sink.rib, "and the publisher gets its own route back"


def test_sender_side_loop_check(bench: Bench) -> None:
    assert one(bench, bench.ebgp("s", 65009), "ebgp", 65009, 65001) is None


# --- iBGP ------------------------------------------------------------------------------------------------------------


def test_to_ibgp_unchanged_but_for_local_preference(bench: Bench) -> None:
    got = one(bench, bench.ebgp("s", 65009), "ibgp", local_pref=None, med=7)
    assert got is not None
    assert (got.local_pref, got.med, got.next_hop, got.as_path.text) == (100, 7, NEXT_HOP, "65009")
    assert got.originator_id is None and got.cluster_list == ()


@pytest.mark.parametrize("kind", ["ibgp", "ebgp", "xmpp"])
def test_a_reflector_marks_everything(make_bench: Callable[..., Bench], kind: str) -> None:
    bench = make_bench(cluster_id=9)
    source = {"ibgp": bench.ibgp("s", 5), "ebgp": bench.ebgp("s", 65009, 5), "xmpp": bench.agent("s")}[kind]
    got = one(bench, source, "ibgp", group={"cluster_id": 9})
    assert got is not None
    assert got.cluster_list == (9,)
    assert got.originator_id == (0x0A000001 if kind == "xmpp" else 5)


def test_a_reflector_adds_to_what_is_there(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(cluster_id=9)
    got = one(bench, bench.ibgp("s", 5), "ibgp", group={"cluster_id": 9}, originator_id=3, cluster_list=(8,))
    assert got is not None and (got.originator_id, got.cluster_list) == (3, (9, 8))


def test_a_reflector_does_not_send_what_came_through_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(cluster_id=9)
    assert one(bench, bench.ibgp("s", 5), "ibgp", group={"cluster_id": 9}, cluster_list=(8, 9)) is None


def test_a_reflector_of_profile_rfc_marks_what_it_reflects_only(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(RFC, cluster_id=9)
    got = one(bench, bench.ebgp("s", 65009), "ibgp", group={"cluster_id": 9})
    assert got is not None and got.cluster_list == () and got.originator_id is None
    other = make_bench(RFC, cluster_id=9)
    got = one(other, other.ibgp("s", 5), "ibgp", group={"cluster_id": 9})
    assert got is not None and got.cluster_list == (9,) and got.originator_id == 5


# --- eBGP ------------------------------------------------------------------------------------------------------------


def test_to_ebgp(bench: Bench) -> None:
    got = one(
        bench, bench.ibgp("s"), "ebgp", 65009, med=7, originator_id=3, cluster_list=(4,), local_pref=200,
        ext_communities=bench.rt("target:1:1"), communities=(community.ACCEPT_OWN,),
    )  # fmt: skip
    assert got is not None
    assert (got.next_hop, got.as_path.text) == (NEXT_HOP, "64512 65009")
    assert (got.med, got.local_pref, got.originator_id, got.cluster_list) == (None, None, None, ())
    assert got.ext_communities == bench.rt("target:1:1") and got.communities == (community.ACCEPT_OWN,)


def test_med_survives_with_an_empty_as_path(bench: Bench) -> None:
    """EBgpRetainMed1: the route comes from an agent, here or behind another control node."""
    for source in (bench.agent("a"), bench.ibgp("b")):
        got = one(bench, source, "ebgp", med=7)
        assert got is not None and got.med == 7 and got.as_path.text == "64512"


def test_forced_next_hop(bench: Bench) -> None:
    got = one(bench, bench.ibgp("s"), "ebgp", group={"next_hop": bytes([10, 9, 8, 7])})
    assert got is not None and got.next_hop == bytes([10, 9, 8, 7])


def test_as_override(bench: Bench) -> None:
    got = one(bench, bench.ebgp("s", 65009), "ebgp", 65009, 65001, 65001, group={"as_override": True})
    assert got is not None and got.as_path.text == "64512 65009 64512 64512"


def test_as_override_still_not_back_to_the_same_peer(bench: Bench) -> None:
    one_, two = bench.ebgp("one", 65001, 1), bench.ebgp("two", 65001, 2)
    sinks = [bench.join(VPN, "ebgp", source.name, source, as_override=True) for source in (one_, two)]
    tell(bench, one_)
    assert [bool(sink.rib) for sink in sinks] == [False, True]


@pytest.mark.parametrize(
    ("action", "path", "expected"),
    [
        ("", (64600, 100, 64601), "64512 64600 100 64601"),
        ("remove", (64600, 64601, 100, 64602), "64512 100 64602"),
        ("remove", (64600, 65001, 64602), None),  # the peer's own AS: the loop check has it first
        ("remove-all", (64600, 100, 64601), "64512 100"),
        ("remove-all", (64600,), "64512"),
        ("replace-all", (64600, 100, 4200000001), "64512 64512 100 64512"),
        ("remove-all", (64511, 65535, 4199999999, 4294967295), "64512 64511 65535 4199999999 4294967295"),
    ],
)
def test_private_as_numbers_to_ebgp(bench: Bench, action: str, path: tuple[int, ...], expected: str | None) -> None:
    got = one(bench, bench.ibgp("s"), "ebgp", *path, group={"private_as_action": action})
    assert (got.as_path.text if got is not None else None) == expected


def test_the_peers_own_private_as_stays(bench: Bench) -> None:
    group = {"private_as_action": "remove-all", "as_override": False, "peer_as": 64600}
    as_override = {**group, "as_override": True}
    assert one(bench, bench.ibgp("s"), "ebgp", 64601, 64600, group=group) is None
    got = one(bench, bench.ibgp("s"), "ebgp", 64601, 64600, group=as_override)
    assert got is not None and got.as_path.text == "64512"


@pytest.mark.parametrize(
    ("action", "path", "expected"),
    [
        ("remove", (64600, 100, 64601), "100 64601"),
        ("remove-all", (64600, 100, 64601), "100"),
        ("replace-all", (64600, 100, 64601), "100 100 100"),
        ("replace-all", (64600,), ""),
    ],
)
def test_private_as_numbers_to_ibgp(bench: Bench, action: str, path: tuple[int, ...], expected: str) -> None:
    got = one(bench, bench.ebgp("s", 64600), "ibgp", *path, group={"private_as_action": action})
    assert got is not None and got.as_path.text == expected


def test_remove_stops_at_the_peers_as(bench: Bench) -> None:
    got = one(bench, bench.ebgp("s", 64600), "ibgp", 64600, 64512, 64601, group={"private_as_action": "remove"})
    assert got is not None and got.as_path.text == "64512 64601"


def test_default_encapsulations_replace_the_routes_own(bench: Bench) -> None:
    mine = (ext_community.encapsulation("gre"), *bench.rt("target:1:1"))
    got = one(bench, bench.ibgp("s"), "ebgp", group={"default_tunnel_encap": ("udp", "vxlan")}, ext_communities=mine)
    assert got is not None
    assert set(ext_community.encapsulations(got.ext_communities)) == {"udp", "vxlan"}
    assert bench.rt("target:1:1")[0] in got.ext_communities


# --- unicast ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["inet.0", "inet6.0"])
def test_unicast_keeps_no_extended_community_but_origin_vn(make_bench: Callable[..., Bench], table: str) -> None:
    origin = ext_community.origin_vn(64512, 5)
    for behaviour, expected in ((None, (origin,)), (RFC, tuple(sorted((origin, ext_community.encapsulation("gre")))))):
        bench = make_bench() if behaviour is None else make_bench(behaviour)
        sink = bench.join(table, "ibgp")
        communities = (origin, ext_community.encapsulation("gre"))
        key = bytes([8, 10])
        tell(bench, bench.agent("a"), table=table, key=key, ext_communities=communities, origin_vn_path=(origin,))
        got = told(sink, key)
        assert got is not None and tuple(sorted(got.ext_communities)) == expected
        assert got.origin_vn_path == (() if behaviour is None else (origin,))


# --- LLGR ------------------------------------------------------------------------------------------------------------


def stale_route(bench: Bench, **fields: Any) -> dict[str, Attributes | None]:
    sinks = {
        f"{kind} {llgr}": bench.join(VPN, kind, f"{kind} {llgr}", llgr=llgr)
        for kind in ("ibgp", "ebgp")
        for llgr in (True, False)
    }
    source = bench.ebgp("s", 65009)
    tell(bench, source, **fields)
    bench.core.mark_stale(source)
    bench.core.mark_llgr_stale(source)
    bench.flush()
    return {name: told(sink) for name, sink in sinks.items()}


def test_llgr_stale_routes_by_what_the_peer_understands(bench: Bench) -> None:
    got = stale_route(bench)
    for kind in ("ibgp", "ebgp"):
        with_llgr = got[f"{kind} True"]
        assert with_llgr is not None and with_llgr.communities == (community.LLGR_STALE,)
    assert got["ibgp True"] is not None and got["ibgp True"].local_pref == 100
    plain = got["ibgp False"]
    assert plain is not None and (plain.local_pref, plain.communities) == (0, (community.NO_EXPORT,))


def test_llgr_stale_by_community(bench: Bench) -> None:
    sink = bench.join(VPN, "ibgp", llgr=False)
    tell(bench, bench.ebgp("s", 65009), communities=(community.LLGR_STALE, community.ACCEPT_OWN))
    got = told(sink)
    assert got is not None and got.local_pref == 0
    assert set(got.communities) == {community.ACCEPT_OWN, community.NO_EXPORT}


def test_llgr_does_not_touch_route_targets(bench: Bench) -> None:
    sink = bench.join("bgp.rtarget.0", "ibgp")
    tell(bench, bench.ebgp("s", 65009), table="bgp.rtarget.0", key=b"\x00", communities=(community.LLGR_STALE,))
    got = told(sink, b"\x00")
    assert got is not None and got.local_pref == 100 and got.communities == (community.LLGR_STALE,)


# --- how it is done --------------------------------------------------------------------------------------------------


def test_edits_are_made_once_per_attribute_set(bench: Bench) -> None:
    for kind in ("ibgp", "ebgp"):
        for number in range(3):
            bench.join(VPN, kind, f"{kind}{number}")
    source = bench.ebgp("s", 65009)
    attributes = bench.attributes("target:1:1", as_path=AsPath.sequence(65009))
    routes = [(bytes(8) + bytes([24, 10, 0, n]), b"\0\0\1") for n in range(50)]
    bench.core.update_many(VPN, source, attributes, routes)
    bench.flush()
    groups = list(bench.core.tables[VPN].groups.values())
    assert len(groups) == 2
    for group in groups:
        adverts = [group.find(route) for route in bench.core.tables[VPN].routes.values()]
        assert len({id(advert.attributes) for advert in adverts if advert is not None}) == 1
        assert all(advert is not None and advert.attributes != attributes for advert in adverts)


def test_one_message_serves_all_members(bench: Bench) -> None:
    sinks = [bench.join(VPN, "ibgp", f"s{number}") for number in range(5)]
    bench.flush()
    tell(bench, bench.ebgp("s", 65009))
    (group,) = bench.core.tables[VPN].groups.values()
    assert group.counters["messages"] == 1 and group.counters["deliveries"] == 5
    assert all(sink.rib for sink in sinks)


# --- a reflector's quick way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("ibgp", {}),
        ("ibgp", {"private_as_action": "remove"}),
        ("ibgp", {"next_hop": bytes((10, 9, 9, 9))}),
        ("ibgp", {"default_tunnel_encap": ("vxlan",)}),
        ("ebgp", {}),
    ],
)
@given(attributes=wire.attributes(), flags=st.sampled_from((0, int(Flag.LLGR_STALE))))
def test_the_quick_way_derives_what_the_thorough_one_does(
    behaviour: Behaviour, kind: str, group: dict[str, Any], attributes: Attributes, flags: int
) -> None:
    for table, key in (("inet.0", KEY[8:]), (VPN, KEY)):
        bench = Bench(behaviour, cluster_id=9)
        source = bench.ibgp("a") if kind == "ibgp" else bench.ebgp("a")
        membership = bench.join(table, "ibgp", cluster_id=9, **group).membership
        assert membership is not None and membership.group is not None
        bench.core.update(table, source, key, attributes, b"\0\0\1" if table == VPN else b"", flags=flags)
        path = bench.core.tables[table].routes[key].best
        assert path is not None
        update_group, exporter = membership.group, BgpExport(bench.core)
        thorough = exporter._edit(update_group.key, update_group.table.family, path, source.router_id)
        told = exporter(update_group, path.route)
        assert (told[0] if told is not None else None) == thorough
