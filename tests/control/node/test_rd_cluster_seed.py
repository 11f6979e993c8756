"""rd-cluster-seed: clusters with the same vRouter addresses have RDs of their own (reference/bgp.md 4.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from control.node.conftest import Bench, mac, route, tree

from contrail_emulator.config.graph import Graph
from contrail_emulator.control.provision_read import read_identity

SELF = "default-domain:default-project:ip-fabric:__default__:control-1"


@pytest.mark.parametrize(("seed", "expected"), [(0, "192.0.2.1:7:10.1.1.3/32"), (513, "2.1.2.1:7:10.1.1.3/32")])
def test_distinguisher_of_an_agents_route(make_bench: Callable[..., Bench], seed: int, expected: str) -> None:
    bench = make_bench()
    bench.local = dataclasses.replace(bench.local, rd_cluster_seed=seed)
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe(instance_id=7)
    agent.publish(route())
    agent.publish(mac())
    agent.publish(mac("ff:ff:ff:ff:ff:ff", "0.0.0.0/0"))
    agent.publish(tree())
    bench.flush()
    assert bench.prefixes("bgp.l3vpn.0") == [expected]
    distinguisher = expected.removesuffix(":10.1.1.3/32")
    assert bench.prefixes("bgp.evpn.0") == [
        f"2-{distinguisher}-0-02:aa:bb:cc:dd:01,10.1.1.3", "3-192.0.2.1:7-0-192.0.2.1",
    ]  # fmt: skip
    (one,) = bench.prefixes("bgp.ermvpn.0")
    assert one.startswith("1-192.0.2.1:7-"), "broadcast and trees name the agent"


def test_it_is_part_of_the_identity() -> None:
    """A control node clears its sessions when it changes (reference/xmpp.md 1.7)."""
    graph = Graph()
    parameters = {"autonomous_system": 64512, "identifier": "10.255.0.1", "address": "127.0.0.1"}
    graph.put("bgp-router", SELF, {"bgp_router_parameters": parameters})
    for seed in (None, 513):
        graph.put(
            "global-system-config",
            "default-global-system-config",
            {"autonomous_system": 64512} | ({"rd_cluster_seed": seed} if seed else {}),
        )
        identity = read_identity(graph, SELF)
        assert identity is not None and identity.rd_cluster_seed == (seed or 0)
