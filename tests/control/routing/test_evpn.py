"""EVPN: replication by origin-vn, and ingress replication lists (reference/bgp.md 4.2, 4.9, 7.1 row 24)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import AsPath, PmsiTunnel, pmsi
from contrail_emulator.control.bgp.label import label_bytes
from contrail_emulator.control.routing import Source

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

TARGET = "target:64512:1"
VXLAN = ext_community.encapsulation("vxlan")
MAC = bytes.fromhex("02aabbccdd01")
ESI = bytes(10)
EDGE = pmsi.EDGE_REPLICATION_SUPPORTED


def mac_key(distinguisher: bytes, mac: bytes = MAC, ip: bytes = b"", tag: int = 0) -> bytes:
    return b"\x02" + distinguisher + tag.to_bytes(4, "big") + mac + bytes([len(ip) * 8]) + ip


def broadcast_key(number: int, tag: int = 0) -> bytes:
    return mac_key(rd.parse(f"192.0.2.{number}:1"), b"\xff" * 6, tag=tag)


def imet_key(number: int, tag: int = 0, instance_id: int = 1) -> bytes:
    address = bytes([192, 0, 2, number])
    return b"\x03" + rd.parse(f"192.0.2.{number}:{instance_id}") + tag.to_bytes(4, "big") + b"\x20" + address


def broadcast(
    bench: Bench,
    agent: Source,
    number: int,
    flags: int = 0,
    kind: int = pmsi.INGRESS_REPLICATION,
    tag: int = 0,
    replicator: int = 0,
) -> None:
    attributes = bench.attributes(
        next_hop=f"192.0.2.{number}",
        extra=(VXLAN,),
        local_pref=100,
        pmsi=PmsiTunnel.make(flags, kind, 5000 + number, bytes([192, 0, 2, replicator or number]), True),
    )
    payload = ESI + label_bytes(5000 + number, True)
    bench.core.update(
        "blue.evpn.0", agent, broadcast_key(number, tag), attributes, payload, rd=rd.parse(f"192.0.2.{number}:1")
    )


def imet(bench: Bench, source: Source, number: int, flags: int = 0, target: str = TARGET, **fields: Any) -> None:
    attributes = bench.attributes(
        target,
        next_hop=f"192.0.2.{number}",
        extra=(VXLAN,),
        pmsi=PmsiTunnel.make(
            flags, fields.pop("kind", 6), 5000 + number, bytes([192, 0, 2, fields.pop("id", number)]), True
        ),
        as_path=AsPath.sequence(65001),
    )
    bench.core.update("bgp.evpn.0", source, imet_key(number), attributes, b"")


def receivers(sink: Sink, number: int) -> list[int]:
    olist = sink.olists.get(broadcast_key(number))
    return [entry.address[3] for entry in olist.entries] if olist is not None else []


@pytest.fixture
def blue(bench: Bench) -> Bench:
    bench.add("blue", 1, [TARGET], [TARGET])
    return bench


def agents(bench: Bench, count: int) -> tuple[list[Source], list[Sink]]:
    sources = [bench.agent(f"agent{i}", i) for i in range(1, count + 1)]
    return sources, [bench.join("blue.evpn.0", "xmpp", source.name, source) for source in sources]


def test_broadcast_route_becomes_inclusive_multicast(blue: Bench) -> None:
    (agent,), (sink,) = agents(blue, 1)
    router = blue.join("bgp.evpn.0", "ebgp", "router")
    broadcast(blue, agent, 1, flags=EDGE)
    blue.flush()
    assert set(router.rib) == {imet_key(1)}
    attributes = router.attributes(imet_key(1))
    assert attributes.pmsi is not None
    assert (attributes.pmsi.flags, attributes.pmsi.label_value(True)) == (EDGE, 5001)
    assert attributes.next_hop == bytes([192, 0, 2, 1])
    texts = {ext_community.text(value) for value in attributes.ext_communities}
    assert texts == {TARGET, "encapsulation:vxlan", "originvn:64512:101", "evpn-mcast-flags:1"}
    assert not sink.log, "neither its own broadcast route without receivers nor a type 3 goes to an agent"
    blue.core.withdraw("blue.evpn.0", agent, broadcast_key(1))
    blue.flush()
    assert not router.rib


def test_receivers_are_those_without_edge_replication(blue: Bench) -> None:
    (one, two), (first, second) = agents(blue, 2)
    router = blue.ebgp("router")
    broadcast(blue, one, 1, flags=EDGE)
    broadcast(blue, two, 2, flags=0)
    imet(blue, router, 9)
    imet(blue, router, 8, flags=EDGE)
    blue.flush()
    assert receivers(first, 1) == [2, 9]
    assert receivers(second, 2) == [1, 8, 9]
    assert {len(sink.olists) for sink in (first, second)} == {1}, "an agent hears of its own route only"
    entry = first.olists[broadcast_key(1)].entries[0]
    assert (entry.label, entry.encapsulations) == (5002, ("vxlan",))
    broadcast(blue, two, 2, flags=EDGE)
    blue.flush()
    assert receivers(first, 1) == [9]
    assert receivers(second, 2) == [9]
    blue.core.withdraw_source(router)
    blue.flush()
    assert not first.olists and not second.olists
    assert first.log[-1][0] == "unreach"


def test_invalid_tunnels_are_no_receivers(blue: Bench) -> None:
    (one,), (first,) = agents(blue, 1)
    router = blue.ebgp("router")
    broadcast(blue, one, 1)
    imet(blue, router, 9, kind=1)
    imet(blue, router, 8, flags=pmsi.AR_REPLICATOR)
    imet(blue, router, 7, flags=pmsi.AR_REPLICATOR | pmsi.LEAF_INFO_REQUIRED)
    blue.flush()
    assert receivers(first, 1) == [7]


def test_assisted_replication(blue: Bench) -> None:
    (replicator, leaf), (first, second) = agents(blue, 2)
    broadcast(blue, replicator, 1, flags=pmsi.AR_REPLICATOR | pmsi.LEAF_INFO_REQUIRED)
    broadcast(blue, leaf, 2, flags=pmsi.AR_LEAF, kind=pmsi.ASSISTED_REPLICATION, replicator=1)
    imet(blue, blue.ebgp("router"), 9)
    blue.flush()
    olist = first.olists[broadcast_key(1)]
    assert [entry.address[3] for entry in olist.entries] == [9]
    assert [entry.address[3] for entry in olist.leaves] == [2]
    assert not second.olists, "a leaf knows its replicator"


def test_pbb_filters_by_tag(bench: Bench) -> None:
    bench.add("blue", 1, [TARGET], [TARGET], pbb_evpn_enable=True)
    (one, two, three), (first, *_) = agents(bench, 3)
    broadcast(bench, one, 1, tag=7)
    broadcast(bench, two, 2, tag=7)
    broadcast(bench, three, 3, tag=8)
    bench.flush()
    assert [entry.address[3] for entry in first.olists[broadcast_key(1, 7)].entries] == [2]


def test_a_new_tunnel_address_replaces_the_inclusive_route(blue: Bench) -> None:
    (agent,), _ = agents(blue, 1)
    router = blue.join("bgp.evpn.0", "ebgp", "router")
    broadcast(blue, agent, 1)
    blue.flush()
    attributes = blue.attributes(next_hop="192.0.2.77", extra=(VXLAN,), local_pref=100)
    blue.core.update("blue.evpn.0", agent, broadcast_key(1), attributes, ESI + label_bytes(9, True))
    blue.flush()
    assert set(router.rib) == {imet_key(77)}
    assert router.attributes(imet_key(77)).pmsi == PmsiTunnel(0, 6, label_bytes(9, True), bytes([192, 0, 2, 77]))


def test_mac_routes_reach_agents_and_routers_with_rd(blue: Bench) -> None:
    (one,), (first,) = agents(blue, 1)
    router = blue.join("bgp.evpn.0", "ebgp", "router")
    source_rd = rd.parse("192.0.2.1:1")
    key = mac_key(bytes(8), ip=bytes([10, 1, 1, 3]))
    blue.core.update("blue.evpn.0", one, key, blue.attributes(local_pref=100), ESI + b"\0\0\1", rd=source_rd)
    blue.flush()
    assert set(first.rib) == {key}
    assert set(router.rib) == {mac_key(source_rd, ip=bytes([10, 1, 1, 3]))}


@pytest.mark.parametrize(
    ("communities", "expected"),
    [
        ((), {"blue", "both"}),  # derived: the target maps to exactly one network
        ((ext_community.origin_vn(64512, 500),), set()),  # our AS, another network
        ((ext_community.origin_vn(65001, 500),), {"blue", "both"}),  # a foreign one counts for nothing
        ((ext_community.origin_vn(64512, 101),), {"blue", "both"}),
    ],
)
def test_evpn_import_needs_the_vrfs_own_network(
    bench: Bench, communities: tuple[bytes, ...], expected: set[str]
) -> None:
    bench.add("blue", 1, [TARGET], [TARGET])
    bench.add("both", 2, [TARGET], [TARGET], vn=101)
    bench.add("other", 3, [TARGET])
    attributes = bench.attributes(TARGET, extra=communities, as_path=AsPath.sequence(65001))
    bench.core.update("bgp.evpn.0", bench.ebgp("router"), mac_key(rd.parse("65001:1")), attributes, ESI + b"\0\0\1")
    bench.flush()
    assert {name for name in ("blue", "both", "other") if bench.keys(f"{name}.evpn.0")} == expected
    if expected:
        assert bench.keys("blue.evpn.0") == {mac_key(bytes(8))}


def test_prefix_routes_leak_by_target_alone(bench: Bench) -> None:
    bench.add("blue", 1, [TARGET], [TARGET])
    bench.add("other", 2, [TARGET])
    agent = bench.agent("agent")
    prefix = b"\x05" + bytes(8) + bytes(4) + bytes([24, 10, 1, 1, 0])
    bench.core.update(
        "blue.evpn.0", agent, prefix, bench.attributes(), ESI + bytes(4) + b"\0\0\1", rd=rd.parse("192.0.2.1:1")
    )
    bench.core.update(
        "blue.evpn.0", agent, mac_key(bytes(8)), bench.attributes(), ESI + b"\0\0\1", rd=rd.parse("192.0.2.1:1")
    )
    bench.flush()
    assert bench.keys("other.evpn.0") == {prefix}
    assert {key[0] for key in bench.keys("bgp.evpn.0")} == {2, 5}


def test_segment_routes_stay_where_they_are(blue: Bench) -> None:
    router = blue.ebgp("router")
    attributes = blue.attributes(TARGET, as_path=AsPath.sequence(65001))
    blue.core.update("bgp.evpn.0", router, b"\x04" + rd.parse("65001:1") + ESI + b"\x20" + bytes(4), attributes)
    blue.flush()
    assert not blue.keys("blue.evpn.0")


def test_per_segment_discovery_is_imported_without_targets(blue: Bench) -> None:
    router = blue.ebgp("router")
    for tag, number, target in (
        (b"\xff" * 4, 1, TARGET),
        (bytes(4), 2, TARGET),
        (b"\xff" * 4, 3, "target:64512:7999999"),
    ):
        key = b"\x01" + rd.parse(f"65001:{number}") + bytes([number]) * 10 + tag
        attributes = blue.attributes(target, extra=(VXLAN,), as_path=AsPath.sequence(65001))
        blue.core.update("bgp.evpn.0", router, key, attributes, bytes(3))
    blue.flush()
    assert {key[9] for key in blue.keys("blue.evpn.0")} == {1, 3}
    for route in blue.core.tables["blue.evpn.0"].routes.values():
        assert route.best is not None and not route.best.shared.targets and not route.best.replicas


def test_everything_goes_with_the_agents(blue: Bench) -> None:
    sources, sinks = agents(blue, 3)
    for number, source in enumerate(sources, 1):
        broadcast(blue, source, number)
    blue.flush()
    for source, sink in zip(sources, sinks, strict=True):
        blue.leave(sink)
        blue.core.withdraw_source(source)
    blue.flush()
    blue.core.delete_instance("blue")
    blue.flush()
    blue.assert_empty()


def test_an_instance_deleted_under_its_agents(blue: Bench) -> None:
    sources, _ = agents(blue, 3)
    for number, source in enumerate(sources, 1):
        broadcast(blue, source, number)
    blue.flush()
    blue.core.delete_instance("blue")
    blue.flush()
    blue.assert_empty()
    assert not blue.core.managers


def test_pbb_switched_on_while_agents_are_there(bench: Bench) -> None:
    bench.add("blue", 1, [TARGET], [TARGET])
    (one, two), (sink, _) = agents(bench, 2)
    broadcast(bench, one, 1, tag=5)
    broadcast(bench, two, 2, tag=6)
    bench.flush()
    assert [entry.address[3] for entry in sink.olists[broadcast_key(1, 5)].entries] == [2]
    bench.core.update_instance(bench.instance("blue", 1, [TARGET], [TARGET], pbb_evpn_enable=True))
    bench.flush()
    assert broadcast_key(1, 5) not in sink.olists
