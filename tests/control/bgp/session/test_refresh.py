"""ROUTE-REFRESH between two speakers (RFC 2918, 7313; profile contrail knows none)."""

from __future__ import annotations

import pytest
from control.bgp.session.memory import MemoryNetwork
from control.bgp.session.pair import Node, join

from contrail_emulator.base.behaviour import RFC
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import RouteRefresh


def test_route_refresh_in_profile_rfc() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1, RFC), Node(network, 2, RFC)
    join(network, left, right)
    left.peer.send(RouteRefresh(1, 1).encode() + RouteRefresh(25, 70).encode())
    network.run(0.1)
    assert right.recorder.told[-1] == "refresh inet"
    assert right.peer.counters.rx.route_refresh == 2
    assert right.up


def test_many_requests_for_a_family_at_once_are_one() -> None:
    """Each costs a walk through the whole table."""
    network = MemoryNetwork()
    left, right = Node(network, 1, RFC), Node(network, 2, RFC)
    join(network, left, right)
    left.peer.send((RouteRefresh(1, 1).encode() + RouteRefresh(1, 128).encode()) * 25)
    network.run(0.1)
    assert right.recorder.told.count("refresh inet") == right.recorder.told.count("refresh inet-vpn") == 1
    assert right.peer.counters.rx.route_refresh == 50


def test_a_peer_that_asks_and_does_not_read_waits_for_its_routes() -> None:
    """Requests must not pile up behind a transport that takes no more."""
    network = MemoryNetwork()
    left, right = Node(network, 1, RFC), Node(network, 2, RFC)
    join(network, left, right)
    (lazy,) = [transport for transport in network.live if transport.getHost().host == left.address]
    lazy.pauseProducing()
    while right.peer.send(update.end_of_rib(Family.INET, RFC)):
        pass
    for _ in range(100):
        left.peer.send(RouteRefresh(1, 1).encode())
        network.run(0.1)
    assert right.peer.counters.rx.route_refresh == 100
    assert "refresh inet" not in right.recorder.told
    lazy.resumeProducing()
    network.run(0.1)
    assert right.recorder.told.count("refresh inet") == 1


@pytest.mark.parametrize("subtype", [1, 2, 9])
def test_begin_and_end_of_a_route_refresh_ask_for_nothing(subtype: int) -> None:
    """RFC 7313: 1 and 2 mark the peer's own answer, others are ignored."""
    network = MemoryNetwork()
    left, right = Node(network, 1, RFC), Node(network, 2, RFC)
    join(network, left, right)
    left.peer.send(RouteRefresh(1, 1, subtype).encode())
    network.run(0.1)
    assert not any(line.startswith("refresh") for line in right.recorder.told)
    assert right.peer.counters.rx.route_refresh == 1
    assert right.up


def test_route_refresh_resets_in_profile_contrail() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.peer.send(RouteRefresh(1, 1).encode())
    network.run(0.1)
    assert left.recorder.reasons[-1].text == "received 1/3 message header error: bad message type"
