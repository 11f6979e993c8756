"""Other servers while the agent runs (SIGHUP): sessions to those that stay live on, roles and routes move."""

from __future__ import annotations

from typing import Any

import pytest
from agent.test_control_nodes import NODE, RED, config_node, remote, route, start

from contrail_emulator.agent.settings import DnsServerAddress
from contrail_emulator.control.xmpp import pubsub


def servers(*nodes: Any) -> list[tuple[str, int]]:
    return [(node.address, 5269) for node in nodes]


def connected(host: Any, world: Any) -> list[Any]:
    """The nodes by slot."""
    channels = sorted(host.agent.controller.channels, key=lambda channel: channel.index)
    return [next(node for node in world.nodes if node.address == channel.address) for channel in channels]


def begin(make_world: Any, config: Any, nodes: int, use: int) -> tuple[Any, Any]:
    """A world where the agent first knows only `use` of the nodes."""
    world = make_world(nodes)
    host, _ = start(world, config, control_nodes=tuple(servers(*world.nodes[:use])))
    return world, host


@pytest.mark.parametrize("backwards", [False, True])
def test_the_same_servers_change_nothing(make_world: Any, config: Any, backwards: bool) -> None:
    world, host = begin(make_world, config, 2, 2)
    controller = host.agent.controller
    before = list(controller.channels), controller.servers[:], [len(node.log) for node in world.nodes]
    controller.move(servers(*world.nodes)[:: -1 if backwards else 1])
    world.run(5)
    assert (list(controller.channels), controller.servers, [len(node.log) for node in world.nodes]) == before


def test_a_session_to_a_server_that_stays_is_not_touched(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 3, 2)
    one, two, three = world.nodes
    kept = next(channel for channel in host.agent.controller.channels if channel.address == one.address)
    session, said = kept.session, len(one.log)
    host.agent.controller.move(servers(three, one))
    world.run(1)
    assert set(connected(host, world)) == {one, three}
    assert kept.session is session and kept in host.agent.controller.channels
    assert not any("subscribe default-domain" in line for line in one.log[said:])
    assert two.clients == [] and kept.counters["ready"] == 1
    assert f"compute-1 associate {NODE}/10.1.0.3/32" in three.log


@pytest.mark.parametrize("stays", [False, True])
def test_roles_move_with_the_session(make_world: Any, config: Any, stays: bool) -> None:
    world, host = begin(make_world, config, 3, 2)
    old = config_node(world, host)
    other = next(node for node in world.nodes[:2] if node is not old)
    sequence = host.agent.receiver.sequence
    host.agent.controller.move(servers(world.nodes[2], *([other] if stays else [])))
    world.run(20)
    now = other if stays else world.nodes[2]
    assert config_node(world, host) is now and host.agent.controller.builder.address == now.address
    assert host.agent.receiver.sequence == sequence + 1
    assert "compute-1 subscribe virtual-router:default-global-system-config:compute-1" in now.log
    assert f"compute-1 associate 1/241/{RED}:red/255.255.255.255" in now.log
    assert route(host, "10.1.0.3/32") is not None


def test_routes_of_a_replaced_server_stay_until_the_new_one_has_told_its_own(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 2, 1)
    one, two = world.nodes
    one.items("compute-1", NODE, remote("10.1.0.8/32"), remote("10.1.0.9/32"))
    host.agent.controller.move(servers(two))
    world.run(1)
    assert connected(host, world) == [two]
    assert route(host, "10.1.0.9/32") is not None
    two.items("compute-1", NODE, remote("10.1.0.8/32"))
    two.send("compute-1", pubsub.empty_event_body())
    world.run(1)
    assert [path.peer.name for path in route(host, "10.1.0.8/32").paths] == [two.address]
    assert route(host, "10.1.0.9/32") is None


def test_a_server_without_successor_takes_its_routes_along(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 2, 2)
    one, two = world.nodes
    one.items("compute-1", NODE, remote("10.1.0.8/32"), remote("10.1.0.9/32"))
    two.items("compute-1", NODE, remote("10.1.0.8/32"))
    host.agent.controller.move(servers(two))
    world.run(1)
    assert connected(host, world) == [two] and one.clients == []
    assert [path.peer.name for path in route(host, "10.1.0.8/32").paths] == [two.address]
    assert route(host, "10.1.0.9/32") is None


def test_no_server_at_all_and_one_again(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 1, 1)
    (one,) = world.nodes
    one.items("compute-1", NODE, remote("10.1.0.9/32"))
    host.agent.controller.move([])
    world.run(1)
    assert host.agent.controller.channels == [] and host.agent.controller.config_channel is None
    assert route(host, "10.1.0.9/32") is None
    assert [path.peer.kind.name for path in route(host, "10.1.0.3/32").paths] == ["LOCAL_VM_PORT"]
    one.log.clear()
    host.agent.controller.move(servers(one))
    world.run(20)
    assert connected(host, world) == [one]
    assert f"compute-1 associate {NODE}/10.1.0.3/32" in one.log


@pytest.mark.parametrize("leaves", [0, 1])
def test_a_free_slot_is_taken_and_its_labels_with_it(make_world: Any, config: Any, leaves: int) -> None:
    """Each slot has its own range of multicast labels: that of the session that stays does not change."""
    world, host = begin(make_world, config, 3, 2)
    controller = host.agent.controller
    first = connected(host, world)
    stays, slot = first[1 - leaves], 1 - leaves
    controller.move(servers(stays))
    world.run(1)
    controller.move(servers(stays, world.nodes[2]))
    world.run(1)
    assert {channel.index: channel.address for channel in controller.channels} == {
        slot: stays.address, leaves: world.nodes[2].address,
    }  # fmt: skip


def test_a_slot_that_is_not_the_first_in_the_list_is_replaced(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 4, 2)
    controller = host.agent.controller
    stays = connected(host, world)[1]
    controller.move(servers(stays))
    controller.move(servers(stays, world.nodes[2]))
    world.run(1)
    spare = next(channel for channel in controller.channels if channel.address == world.nodes[2].address)
    world.nodes[2].fall()
    controller.servers.append((world.nodes[3].address, 5269))
    controller.timed_out(spare)
    world.run(1)
    assert connected(host, world)[spare.index] is world.nodes[3]


def test_of_many_servers_those_in_use_stay(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 5, 5)
    used = connected(host, world)
    unused = next(node for node in world.nodes if node not in used)
    host.agent.controller.move(servers(*(node for node in reversed(world.nodes) if node is not unused)))
    world.run(1)
    assert connected(host, world) == used
    assert set(host.agent.controller.servers[:2]) == set(servers(*used))


def test_a_list_for_an_agent_that_has_not_started_or_has_ended(make_world: Any, config: Any) -> None:
    world, host = begin(make_world, config, 2, 1)
    host.agent.stop()
    host.agent.controller.move(servers(world.nodes[1]))
    host.agent.name_servers.move([DnsServerAddress(world.nodes[0].address)])
    world.run(1)
    assert [node.clients for node in world.nodes] == [[], []]


def test_a_server_that_gets_its_slot_back_keeps_what_it_says_now(make_world: Any, config: Any) -> None:
    """Three servers of which two fail in turn: what the first one says in its next session is not the old one's."""
    world, host = begin(make_world, config, 3, 3)
    controller = host.agent.controller
    channel = controller.channels[0]
    one = connected(host, world)[0]
    third = next(node for node in world.nodes if node not in connected(host, world))
    one.items("compute-1", NODE, remote("10.1.0.8/32"), remote("10.1.0.9/32"))
    third.up = False
    one.fall()
    controller.timed_out(channel)
    one.rise()
    controller.timed_out(controller.channels[0])
    world.run(1)
    assert connected(host, world)[0] is one
    one.items("compute-1", NODE, remote("10.1.0.9/32"))
    one.send("compute-1", pubsub.empty_event_body())
    world.run(1)
    assert one.address in [path.peer.name for path in route(host, "10.1.0.9/32").paths]
    assert route(host, "10.1.0.8/32") is None


def test_two_servers_of_one_address_are_two_peers(world: Any, config: Any) -> None:
    address = world.nodes[0].address
    world.nodes[0].up = False
    host, _ = start(world, config, control_nodes=((address, 5269), (address, 5270)))
    names = {channel.peer.name for channel in host.agent.controller.channels}
    assert names == {f"{address}:5269", f"{address}:5270"}


def test_name_servers(make_world: Any, config: Any) -> None:
    world = make_world(4)
    one, two, three = (DnsServerAddress(node.address) for node in world.nodes[:3])
    host, _ = start(world, config, control_nodes=tuple(servers(world.nodes[3])), dns_servers=(one, two))
    kept = host.agent.name_servers.channels[1]
    session = kept.session
    assert session is not None
    moved = DnsServerAddress(two.address, 1053)
    host.agent.move(servers(world.nodes[3]), [moved, three, one])
    world.run(1)
    assert [channel.server for channel in host.agent.name_servers.channels] == [moved, three]
    assert kept.session is session and kept.counters["ready"] == 1
    assert world.nodes[0].clients == []
    assert host.agent.dns_relay.servers == (moved, three, one)
