"""Route-target filtering: reference/bgp.md 4.6 and the scenarios of 7.1 row 21."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.routing import Source
from contrail_emulator.control.routing.route_targets import target_key

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

AUTOMATIC = ("target:10.0.0.1:1", "target:64512:7999999")


def ask(bench: Bench, source: Source, *targets: str, asn: int = 64512, path: tuple[int, ...] = ()) -> None:
    for target in bench.rt(*targets):
        attributes = Attributes.make(local_pref=100, next_hop=bytes(4), as_path=AsPath.sequence(*path))
        bench.core.update("bgp.rtarget.0", source, target_key(asn, target), attributes)
    bench.flush()


def retract(bench: Bench, source: Source, *targets: str, asn: int = 64512) -> None:
    for target in bench.rt(*targets):
        assert bench.core.withdraw("bgp.rtarget.0", source, target_key(asn, target))
    bench.flush()


def vpn_sink(bench: Bench, source: Source, filtered: bool = True, kind: str = "ibgp", **fields: object) -> Sink:
    sink = bench.join("bgp.l3vpn.0", kind, source.name, source, **fields)
    bench.leave(sink)
    bench.rejoin(sink, "bgp.l3vpn.0", bench.key(kind, **fields), filtered=filtered)
    bench.flush()
    return sink


def add_routes(bench: Bench) -> Source:
    injector = bench.ebgp("injector", 65009, 9)
    for number, targets in enumerate(
        (("target:64512:1",), ("target:64512:2",), ("target:64512:1", "target:64512:2"), ())
    ):
        bench.core.update(
            "bgp.l3vpn.0",
            injector,
            bench.vpn("65009:1", f"10.0.{number}.0/24"),
            bench.attributes(*targets, as_path=AsPath.sequence(65009)),
        )
    bench.flush()
    return injector


def seen(sink: Sink) -> set[int]:
    return {key[11] for key in sink.rib}


def test_peer_gets_what_it_asks_for_and_untagged_routes(bench: Bench) -> None:
    peer = bench.ibgp("peer")
    add_routes(bench)
    sink = vpn_sink(bench, peer)
    everything = vpn_sink(bench, bench.ibgp("plain", 2), filtered=False)
    assert seen(sink) == {3}
    assert seen(everything) == {0, 1, 2, 3}
    ask(bench, peer, "target:64512:1")
    assert seen(sink) == {0, 2, 3}
    ask(bench, peer, "target:64512:2")
    assert seen(sink) == {0, 1, 2, 3}
    retract(bench, peer, "target:64512:1")
    assert seen(sink) == {1, 2, 3}
    retract(bench, peer, "target:64512:2")
    assert seen(sink) == {3}
    assert len(everything.log) == 4, "a filter of one peer is nothing to another"
    assert sink.log.count(("reach", bench.vpn("65009:1", "10.0.2.0/24"))) == 1


def test_rfc_profile_filters_untagged_routes_too(bench: Bench, make_bench: type[Bench]) -> None:
    from contrail_emulator.base.behaviour import RFC

    strict = make_bench(RFC)
    add_routes(strict)
    assert seen(vpn_sink(strict, strict.ibgp("peer"))) == set()


def test_default_target_opens_everything(bench: Bench) -> None:
    peer = bench.ibgp("peer")
    add_routes(bench)
    sink = vpn_sink(bench, peer)
    bench.core.update("bgp.rtarget.0", peer, b"\x00", Attributes.make(local_pref=100))
    bench.flush()
    assert seen(sink) == {0, 1, 2, 3}
    bench.core.withdraw("bgp.rtarget.0", peer, b"\x00")
    bench.flush()
    assert seen(sink) == {3}


def test_routes_that_come_after_the_filter(bench: Bench) -> None:
    peer = bench.ibgp("peer")
    sink = vpn_sink(bench, peer)
    ask(bench, peer, "target:64512:2")
    injector = add_routes(bench)
    assert seen(sink) == {1, 2, 3}
    bench.core.update(
        "bgp.l3vpn.0",
        injector,
        bench.vpn("65009:1", "10.0.1.0/24"),
        bench.attributes("target:64512:5", as_path=AsPath.sequence(65009)),
    )
    bench.flush()
    assert seen(sink) == {2, 3}


def test_local_routes_pass_the_filter_by_their_export_targets(bench: Bench) -> None:
    peer, agent = bench.ibgp("peer"), bench.agent("agent")
    bench.add("blue", 1, exports=["target:64512:1"])
    sink = vpn_sink(bench, peer)
    bench.core.update("blue.inet.0", agent, bench.prefix("10.1.1.1"), bench.attributes(), b"\0\1\1", rd=bytes(8))
    bench.flush()
    assert not sink.rib
    ask(bench, peer, "target:64512:1")
    assert len(sink.rib) == 1
    bench.core.update_instance(bench.instance("blue", 1, exports=["target:64512:9"]))
    bench.flush()
    assert not sink.rib


def test_ebgp_peers_of_the_best_neighbour_as_only(bench: Bench) -> None:
    """PathSelection1b/2: two neighbour ASes ask; only those in the AS of the best eBGP path count."""
    a1, a2, b1 = bench.ebgp("a1", 65001, 1), bench.ebgp("a2", 65001, 2), bench.ebgp("b1", 65002, 3)
    add_routes(bench)
    sinks = [vpn_sink(bench, source, kind="ebgp", peer_as=source.autonomous_system) for source in (a1, a2, b1)]
    for source in (a1, a2, b1):
        ask(bench, source, "target:64512:1", asn=65100, path=(source.autonomous_system,))
    assert [seen(sink) for sink in sinks] == [{0, 2, 3}, {0, 2, 3}, {3}]
    retract(bench, a1, "target:64512:1", asn=65100)
    assert [seen(sink) for sink in sinks] == [{3}, {0, 2, 3}, {3}]
    retract(bench, a2, "target:64512:1", asn=65100)
    assert [seen(sink) for sink in sinks] == [{3}, {3}, {0, 2, 3}]


def test_subscriptions_drive_our_own_routes(bench: Bench) -> None:
    peer = bench.join("bgp.rtarget.0", "ibgp", "peer", bench.ibgp("peer"))
    bench.add("blue", 1, ["target:64512:1"], ["target:64512:1"])
    one, two = bench.agent("one"), bench.agent("two", 2)
    bench.flush()
    assert not peer.rib
    bench.core.subscribe("blue", one)
    bench.core.subscribe("blue", two)
    bench.flush()
    expected = {target_key(64512, target) for target in bench.rt("target:64512:1", *AUTOMATIC)}
    assert set(peer.rib) == expected
    assert peer.attributes(target_key(64512, bench.rt("target:64512:1")[0])).next_hop == bytes([10, 0, 0, 1])
    bench.core.unsubscribe("blue", one)
    bench.flush()
    assert set(peer.rib) == expected
    bench.core.update_instance(bench.instance("blue", 1, ["target:64512:3"]))
    bench.flush()
    assert set(peer.rib) == {target_key(64512, target) for target in bench.rt("target:64512:3", *AUTOMATIC)}
    bench.core.withdraw_source(two)
    bench.flush()
    assert not peer.rib


def test_nlri_has_the_local_as_and_the_target_the_global_one(make_bench: type[Bench]) -> None:
    bench = make_bench(local_autonomous_system=65100)
    bench.add("blue", 1, ["target:64512:1"])
    bench.core.subscribe("blue", bench.agent("one"))
    assert target_key(65100, bench.rt("target:64512:7999999")[0]) in bench.keys("bgp.rtarget.0")


def test_always_subscribe_asks_without_agents(bench: Bench) -> None:
    bench.add("blue", 4, ["target:64512:1"], always_subscribe=True)
    assert len(bench.keys("bgp.rtarget.0")) == 3
    (route, *_) = bench.core.tables["bgp.rtarget.0"].routes.values()
    assert route.best is not None and route.best.arrival.path_id == 4
    bench.core.update_instance(bench.instance("blue", 4, ["target:64512:1", "target:64512:2"], always_subscribe=True))
    assert len(bench.keys("bgp.rtarget.0")) == 4
    bench.core.update_instance(bench.instance("blue", 4, ["target:64512:1"]))
    bench.flush()
    assert not bench.keys("bgp.rtarget.0")


def test_deleting_a_subscribed_instance_leaves_nothing(bench: Bench) -> None:
    bench.add("blue", 1, ["target:64512:1"])
    bench.core.subscribe("blue", bench.agent("one"))
    bench.flush()
    bench.core.delete_instance("blue")
    bench.flush()
    bench.assert_empty()


def test_a_blocked_peer_hears_of_its_new_filter_later(bench: Bench) -> None:
    peer = bench.ibgp("peer")
    sink = vpn_sink(bench, peer)
    ask(bench, peer, "target:64512:1")
    sink.block_next = True
    add_routes(bench)
    assert sink.blocked
    ask(bench, peer, "target:64512:2")
    retract(bench, peer, "target:64512:1")
    sink.unblock()
    bench.flush()
    assert seen(sink) == {1, 2, 3}
