"""An instance deleted at any moment: nothing stays behind, and what others derived from it is derived anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import AsPath, Edge
from contrail_emulator.control.routing import core as core_module
from contrail_emulator.control.routing.ermvpn_key import NATIVE, ErmVpnKey

if TYPE_CHECKING:
    from control.routing.conftest import Bench

T1 = "target:64512:1"
VPN = "bgp.l3vpn.0"


def test_a_tree_that_waits_to_be_built_is_forgotten_with_its_instance(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush may stop between hearing of a native route and building the tree: see `RoutingCore.later`."""
    monkeypatch.setattr(core_module, "STEP", 1)
    bench.add("blue", 1, [T1], [T1])
    agent = bench.agent("agent", 1)
    key = ErmVpnKey(NATIVE, rd.parse("192.0.2.1:1"), bytes(4), bytes(4), b"\xff" * 4).write()
    edge = Edge(bytes([192, 0, 2, 1]), ((1000, 1099),))
    bench.core.update("blue.ermvpn.0", agent, key, bench.attributes(edge_discovery=(edge,)), rd=rd.parse("192.0.2.1:1"))
    bench.core.update("inet.0", agent, bench.prefix("10.0.0.0/8"), bench.attributes())
    assert bench.core.flush(max_items=1), "the native route is heard of, the tree not built"
    bench.core.delete_instance("blue")
    bench.core.withdraw_source(agent)
    bench.flush()
    bench.assert_empty()
    assert len(bench.core.label_blocks) == 0


def test_a_target_that_became_unambiguous_gives_its_network(bench: Bench) -> None:
    """Two networks import and export the target, so a third cannot know where a route is from; then one is deleted."""
    bench.add("blue", 1, [T1], [T1])
    bench.add("red", 2, [T1], [T1])
    bench.add("watch", 3, [T1])
    router = bench.ebgp("router")
    attributes = bench.attributes(T1, as_path=AsPath.sequence(65001))
    bench.core.update(VPN, router, bench.vpn("65001:1", "203.0.113.0/24"), attributes, b"\x00\x10\x01")
    bench.flush()

    def origin() -> set[str]:
        best = bench.core.tables["watch.inet.0"].routes[bench.prefix("203.0.113.0/24")].best
        assert best is not None
        texts = map(ext_community.text, best.attributes.ext_communities)
        return {text for text in texts if text.startswith("originvn")}

    assert origin() == set()
    bench.core.delete_instance("red")
    bench.flush()
    assert origin() == {"originvn:64512:101"}
