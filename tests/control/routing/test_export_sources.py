"""Routes with one attribute set from sources of different kinds: what was derived for one is not another's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from contrail_emulator.control.bgp.attributes import AsPath

if TYPE_CHECKING:
    from control.routing.conftest import Bench

VPN = "bgp.l3vpn.0"


@pytest.mark.parametrize("order", list(itertools.permutations(("ebgp", "ibgp", "other"))))
@pytest.mark.parametrize("cluster_id", [0, 77])
def test_each_source_counts(make_bench: Callable[..., Bench], order: tuple[str, ...], cluster_id: int) -> None:
    bench = make_bench(cluster_id=cluster_id)
    sources = {"ebgp": bench.ebgp("ebgp", 65001, 1), "ibgp": bench.ibgp("ibgp", 2), "other": bench.ibgp("other", 3)}
    attributes = bench.attributes("target:64512:1", local_pref=100, as_path=AsPath.sequence(65001))
    sink = bench.join(VPN, "ibgp", "sink", cluster_id=cluster_id)
    bench.flush()
    for number, name in enumerate(order):
        bench.core.update(VPN, sources[name], bench.vpn("65001:1", f"10.0.0.{number}"), attributes, b"\0\0\1")
    bench.flush()
    told = {
        order[number]: sink.attributes(key).originator_id
        for number in range(3)
        if (key := bench.vpn("65001:1", f"10.0.0.{number}")) in sink.rib
    }
    assert told == ({"ebgp": 1, "ibgp": 2, "other": 3} if cluster_id else {"ebgp": None})
