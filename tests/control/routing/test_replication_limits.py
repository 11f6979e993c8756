"""What replication leaves as it came, and what it leaves where it is (reference/bgp.md 4.2, 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import AsPath, Edge, PmsiTunnel
from contrail_emulator.control.routing import Flag, Source, SourceKind
from contrail_emulator.control.routing.ermvpn_key import LOCAL_TREE, NATIVE, ErmVpnKey

if TYPE_CHECKING:
    from control.routing.conftest import Bench

T1, T2 = "target:64512:1", "target:64512:2"
VPN = "bgp.l3vpn.0"
DISTINGUISHER = rd.parse("192.0.2.1:1")


def from_source(bench: Bench, source: Source, prefix: str, *extra: bytes, flags: int = 0) -> None:
    attributes = bench.attributes(extra=extra, local_pref=100)
    bench.core.update(
        "blue.inet.0", source, bench.prefix(prefix), attributes, b"\0\0\1", rd=DISTINGUISHER, flags=int(flags)
    )


def origin_vns(bench: Bench, table: str, key: bytes) -> set[str]:
    best = bench.core.tables[table].routes[key].best
    assert best is not None
    texts = map(ext_community.text, best.attributes.ext_communities)
    return {text for text in texts if text.startswith("originvn")}


@pytest.fixture
def blue(bench: Bench) -> Bench:
    bench.add("blue", 1, [T1], [T1])
    return bench


def test_an_origin_vn_that_is_there_stays(blue: Bench) -> None:
    from_source(blue, blue.agent("one"), "10.1.1.3", ext_community.origin_vn(64512, 9))
    blue.flush()
    assert origin_vns(blue, VPN, blue.vpn("192.0.2.1:1", "10.1.1.3")) == {"originvn:64512:9"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Local", {"originvn:64512:101"}),
        ("Aggregate", {"originvn:64512:101"}),
        ("XMPP", {"originvn:64512:101"}),
        ("StaticRoute", set()),
        ("ServiceChain", set()),
    ],
)
def test_only_what_originates_in_the_vrf_gets_its_origin_vn(blue: Bench, kind: str, expected: set[str]) -> None:
    """Though another source has the same attribute set."""
    others = {"XMPP": "StaticRoute"}.get(kind, "XMPP")
    from_source(blue, Source(SourceKind(others), "other"), "10.9.9.9")
    blue.flush()
    from_source(blue, Source(SourceKind(kind), "source"), "10.1.1.3")
    blue.flush()
    assert origin_vns(blue, VPN, blue.vpn("192.0.2.1:1", "10.1.1.3")) == expected


def test_an_aliased_path_is_not_copied(blue: Bench) -> None:
    from_source(blue, blue.agent("one"), "10.1.1.3", flags=Flag.ALIASED)
    from_source(blue, blue.agent("two"), "10.1.1.4")
    blue.flush()
    assert blue.keys(VPN) == {blue.vpn("192.0.2.1:1", "10.1.1.4")}


def test_a_segments_discovery_route_of_another_network_needs_the_segments_target(blue: Bench) -> None:
    blue.add("other", 2, [T1])
    key = b"\x01" + rd.parse("65001:1") + bytes(10) + b"\xff" * 4
    attributes = blue.attributes(T1, as_path=AsPath.sequence(65001))
    blue.core.update("bgp.evpn.0", blue.ebgp("router"), key, attributes, bytes(3))
    blue.flush()
    assert blue.keys("blue.evpn.0")
    assert not blue.keys("other.evpn.0"), "it imports the target, but the route is of blue's network"


def test_inclusive_routes_of_one_originator_keep_their_distinguishers(blue: Bench) -> None:
    """Only of MAC, prefix and discovery routes the RD is set to zero in a VRF."""
    keys = {b"\x03" + rd.parse(f"65001:{number}") + bytes(4) + b"\x20\xc0\0\2\1" for number in (1, 2)}
    for number, key in enumerate(sorted(keys)):
        attributes = blue.attributes(
            T1, as_path=AsPath.sequence(65001), pmsi=PmsiTunnel.make(0, 6, 17, bytes([192, 0, 2, 1]), False)
        )
        blue.core.update("bgp.evpn.0", blue.ebgp("router", router_id=number), key, attributes)
    blue.flush()
    assert blue.keys("blue.evpn.0") == keys


def test_native_multicast_routes_stay_in_their_vrf(blue: Bench) -> None:
    key = ErmVpnKey(NATIVE, DISTINGUISHER, bytes(4), bytes(4), b"\xff" * 4).write()
    edge = Edge(bytes([192, 0, 2, 1]), ((1000, 1099),))
    blue.core.update("blue.ermvpn.0", blue.agent("one"), key, blue.attributes(edge_discovery=(edge,)), rd=DISTINGUISHER)
    blue.flush()
    assert {key[0] for key in blue.keys("bgp.ermvpn.0")} == {LOCAL_TREE}
