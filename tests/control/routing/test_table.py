"""Paths in tables: insertion, replacement, removal, stale marks, counts."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import community
from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.routing import Flag, Path, Source, SourceKind
from contrail_emulator.control.routing.selection import compare

if TYPE_CHECKING:
    from control.routing.conftest import Bench

TABLE = "inet.0"


def order(bench: Bench, prefix: str = "10.0.0.0/8", table: str = TABLE) -> list[str]:
    route = bench.core.tables[table].routes.get(bench.prefix(prefix))
    return [path.source.name for path in route.paths()] if route is not None else []


def put(
    bench: Bench, source: Source, prefix: str = "10.0.0.0/8", flags: int = 0, path_id: int = 0, **fields: Any
) -> None:
    fields.setdefault("as_path", AsPath.sequence(*([source.autonomous_system] if source.ebgp else [])))
    bench.core.update(
        TABLE, source, bench.prefix(prefix), bench.attributes(**fields), flags=int(flags), path_id=path_id
    )


def test_paths_stand_best_first_and_move_when_they_change(bench: Bench) -> None:
    a, b, c = (bench.ebgp(name, 65000 + i, i) for i, name in enumerate("abc", 1))
    for source, preference in ((a, 100), (b, 300), (c, 200)):
        put(bench, source, local_pref=preference)
    assert order(bench) == ["b", "c", "a"]
    put(bench, a, local_pref=250)
    assert order(bench) == ["b", "a", "c"]
    bench.core.withdraw(TABLE, b, bench.prefix("10.0.0.0/8"))
    assert order(bench) == ["a", "c"]
    put(bench, a, local_pref=250, flags=Flag.AS_PATH_LOOPED)
    assert order(bench) == ["c", "a"]
    bench.core.withdraw_source(c)
    bench.core.withdraw_source(a)
    bench.flush()
    bench.assert_empty()


def test_path_ids_tell_paths_of_one_source_apart(bench: Bench) -> None:
    a = bench.ebgp("a")
    put(bench, a, path_id=1)
    put(bench, a, path_id=2)
    assert order(bench) == ["a", "a"]
    assert bench.core.withdraw(TABLE, a, bench.prefix("10.0.0.0/8"), path_id=1)
    assert not bench.core.withdraw(TABLE, a, bench.prefix("10.0.0.0/8"), path_id=7)
    assert order(bench) == ["a"]


def test_another_rule_for_med_orders_paths_anew(bench: Bench) -> None:
    core, sink = bench.core, bench.join(TABLE)
    a, b, c = (bench.ebgp(name, 65000 + i, i) for i, name in enumerate("abc", 1))
    for source, med in ((a, 30), (b, 10), (c, 20)):
        put(bench, source, med=med)
    put(bench, b, "11.0.0.0/8")
    bench.flush()
    assert order(bench) == ["a", "b", "c"]
    core.reconfigure(replace(core.settings, always_compare_med=True))
    bench.flush()
    assert order(bench) == ["b", "c", "a"] and core.tables[TABLE].paths == 4
    assert sink.attributes(bench.prefix("10.0.0.0/8")).med == 10 and len(sink.log) == 3
    core.reconfigure(replace(core.settings, always_compare_med=False, cluster_id=7))
    bench.flush()
    assert order(bench) == ["a", "b", "c"] and sink.attributes(bench.prefix("10.0.0.0/8")).med == 30
    for other in (replace(core.settings, router_id=9), replace(core.settings, autonomous_system=9)):
        with pytest.raises(ValueError, match="instead of"):
            core.reconfigure(other)


def test_infeasible_paths_are_kept_and_not_told(bench: Bench) -> None:
    sink = bench.join(TABLE)
    a = bench.ebgp("a")
    put(bench, a)
    bench.flush()
    assert len(sink.rib) == 1
    put(bench, a, flags=Flag.AS_PATH_LOOPED)
    bench.flush()
    assert order(bench) == ["a"] and not sink.rib


def test_an_unchanged_update_is_no_change(bench: Bench) -> None:
    sink = bench.join(TABLE)
    put(bench, bench.ebgp("a"))
    bench.flush()
    (source,) = bench.core.tables[TABLE].sources
    put(bench, source)
    assert bench.core.idle
    bench.flush()
    assert len(sink.log) == 1


def test_intransitive_med_has_one_result_per_arrival_order(bench: Bench, make_bench: type[Bench]) -> None:
    """RFC 3345's circle: a beats b by MED, b beats c by router id, c beats a by router id."""
    sources = {
        "a": (bench.ebgp("a", 65001, 3), 10),
        "b": (bench.ebgp("b", 65001, 1), 20),
        "c": (bench.ebgp("c", 65002, 2), 0),
    }
    for arrival in itertools.permutations(sources):
        fresh = make_bench()
        expected: list[str] = []
        for name in arrival:
            source, med = sources[name]
            put(fresh, source, med=med, local_pref=100)
            paths = {path.source.name: path for path in _paths(fresh)}
            at = next((i for i, other in enumerate(expected) if compare(paths[name], paths[other]) < 0), len(expected))
            expected.insert(at, name)
            assert order(fresh) == expected


def test_many_paths_stand_as_if_each_had_been_compared_with_all_before_it(bench: Bench) -> None:
    """The paths of a route target are as many as agents. The one of an eBGP peer ends what made them quick to place."""
    rng = random.Random(7)
    sources = [bench.agent(f"a{n}", n + 1) for n in range(200)] + [bench.ibgp(f"b{n}", n + 1) for n in range(100)]
    peer = bench.ebgp("e", 65001, 1)
    expected: list[Path] = []
    indexed = 0
    for step in range(1200):
        source = peer if step in (700, 800) else rng.choice(sources)
        known = next((path for path in expected if path.source is source), None)
        if known is not None:
            expected.remove(known)
        if known is not None and (source is peer or rng.random() < 0.3):
            bench.core.withdraw(TABLE, source, bench.prefix("10.0.0.0/8"))
        else:
            put(bench, source, local_pref=rng.choice((100, 100, 100, 200)))
            (route,) = bench.core.tables[TABLE].routes.values()
            path = next(path for path in route.paths() if path.source is source)
            at = next((i for i, other in enumerate(expected) if compare(path, other) < 0), len(expected))
            expected.insert(at, path)
        assert _paths(bench) == expected
        indexed += bool(bench.core.tables[TABLE]._ordered)
    assert 300 < indexed < 1100, "both ways were taken"
    for source in (*sources, peer):
        bench.core.withdraw_source(source)
    assert not bench.core.tables[TABLE]._ordered


def _paths(bench: Bench) -> list[Path]:
    return [path for route in bench.core.tables[TABLE].routes.values() for path in route.paths()]


def test_stale_paths_stay_used_until_swept(bench: Bench) -> None:
    sink = bench.join(TABLE)
    a = bench.ebgp("a")
    put(bench, a)
    put(bench, a, "20.0.0.0/8")
    bench.flush()
    bench.core.mark_stale(a)
    bench.flush()
    assert len(sink.log) == 2, "stale routes are advertised unchanged"
    put(bench, a)
    bench.core.sweep_stale(a)
    bench.flush()
    assert set(sink.rib) == {bench.prefix("10.0.0.0/8")}
    assert len(sink.log) == 3, "a route that came back unchanged is not told again"
    assert not any(path.flags for path in _paths(bench))


def test_stale_shows_on_copies_too(bench: Bench) -> None:
    bench.add("blue", 1, ["target:64512:1"])
    a = bench.ebgp("a")
    key = bench.vpn("65001:1", "10.0.0.0/8")
    attributes = bench.attributes("target:64512:1")
    bench.core.update("bgp.l3vpn.0", a, key, attributes)
    bench.flush()
    bench.core.mark_stale(a)
    (copy,) = bench.core.tables["blue.inet.0"].routes[bench.prefix("10.0.0.0/8")].paths()
    assert copy.flags == Flag.STALE
    bench.core.update("bgp.l3vpn.0", a, key, attributes)
    assert copy.flags == 0


def test_llgr_stale_loses_and_is_swept(bench: Bench) -> None:
    a, b = bench.ebgp("a", 65001, 1), bench.ebgp("b", 65002, 2)
    put(bench, a)
    put(bench, b)
    put(bench, a, "20.0.0.0/8", communities=(community.NO_LLGR,))
    bench.flush()
    assert order(bench) == ["a", "b"]
    bench.core.mark_stale(a)
    bench.core.mark_llgr_stale(a)
    bench.flush()
    assert order(bench) == ["b", "a"]
    assert order(bench, "20.0.0.0/8") == [], "NO_LLGR forbids to keep it"
    put(bench, a)
    assert order(bench) == ["a", "b"]
    bench.core.sweep_stale(a)
    assert order(bench) == ["a", "b"]
    bench.core.mark_stale(a)
    bench.core.mark_llgr_stale(a)
    bench.core.sweep_stale(a)
    assert order(bench) == ["b"]


def test_a_peer_that_flaps_for_an_hour_leaves_nothing(bench: Bench) -> None:
    bench.add("blue", 1, ["target:64512:1"], ["target:64512:1"])
    agent = bench.agent("agent")
    sink = bench.join("blue.inet.0", "xmpp", "agent", agent)
    bench.flush()
    before = bench.sizes()
    for second in range(3600):
        peer = bench.ebgp("peer", 65001, 7)
        member = bench.join("bgp.l3vpn.0", "ebgp", "peer", peer)
        for number in range(3):
            attributes = bench.attributes("target:64512:1", med=second, as_path=AsPath.sequence(65001))
            bench.core.update("bgp.l3vpn.0", peer, bench.vpn("65001:1", f"10.0.{number}.0/24"), attributes)
        if second % 3:
            bench.flush()
        bench.leave(member)
        bench.core.withdraw_source(peer)
        if second % 2:
            bench.core.flush(max_items=1)
    bench.flush()
    assert bench.sizes() == before
    assert not sink.rib


steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.booleans()), min_size=1, max_size=40
)


@given(steps)
def test_counts_and_order_hold_after_any_changes(make_bench: Any, changes: list[tuple[int, int, int, bool]]) -> None:
    bench = make_bench(always_compare_med=True)
    sources = [bench.ebgp(f"s{i}", 65000 + i, i + 1) for i in range(4)]
    for number, prefix, variant, add in changes:
        if add:
            flags = int(Flag.AS_PATH_LOOPED) if variant == 3 else 0
            put(bench, sources[number], f"10.{prefix}.0.0/16", flags=flags, local_pref=100 + variant % 2, med=variant)
        else:
            bench.core.withdraw(TABLE, sources[number], bench.prefix(f"10.{prefix}.0.0/16"))
    table = bench.core.tables[TABLE]
    assert table.paths == len(_paths(bench)) == sum(table.sources.values())
    for route in table.routes.values():
        paths = list(route.paths())
        assert all(compare(a, b, True) < 0 for a, b in itertools.pairwise(paths))
    used = {id(path.shared): path.shared for path in _paths(bench)}
    assert len(bench.core.attributes) == len(used)
    assert sum(shared.count for shared in used.values()) == table.paths


def test_what_nothing_tells_apart_stands_in_order_of_arrival(bench: Bench) -> None:
    """Two sessions with one router: a path that is told anew goes behind its equals."""
    one, two = (Source(SourceKind.BGP, name, router_id=1, address=bytes(4), autonomous_system=64512) for name in "ab")
    put(bench, one)
    put(bench, two)
    assert order(bench) == ["a", "b"]
    put(bench, one, next_hop="192.0.2.9")
    assert order(bench) == ["b", "a"]


def test_paths_of_equal_cost_need_not_stand_together(bench: Bench) -> None:
    """Where MED counts for one pair only, a worse path may stand between two of equal cost."""
    for name, autonomous_system, med in (("a", 65001, 1), ("b", 65001, 2), ("c", 65002, 5)):
        put(bench, bench.ebgp(name, autonomous_system, ord(name)), med=med)
    assert order(bench) == ["a", "b", "c"]
    (route,) = bench.core.tables[TABLE].routes.values()
    assert [path.source.name for path in route.ecmp_paths()] == ["a", "c"]
