"""Two control nodes: who configures, what survives a lost session, what is swept, in which order all is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from contrail_emulator.agent.settings import Timers
from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.config_message import DELETE
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.stanza import parse

RED = "default-domain:demo:red"
FABRIC = "default-domain:default-project:ip-fabric:__default__"
NODE = f"1/1/{RED}:red"


def remote(address: str, label: int = 20, **more: Any) -> UnicastEntry:
    hop = NextHop("10.0.0.9", label, ("udp",), RED)
    return UnicastEntry(ItemFamily.INET, address, (hop,), local_preference=100, **more)


def start(world: Any, config: Any, **settings: Any) -> tuple[Any, Any]:
    network = config.network("red", "10.1.0.0/24")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    host = world.host("compute-1", "10.0.0.1", config, "none", **settings)
    host.agent.add_port(port)
    world.run(1)
    return host, port


def route(host: Any, prefix: str) -> Any:
    from contrail_emulator.agent.oper.prefix import parse

    return host.agent.oper.rib.vrfs[f"{RED}:red"].inet.get(parse(prefix))


def config_node(world: Any, host: Any) -> Any:
    channel = host.agent.controller.config_channel
    return None if channel is None else next(n for n in world.nodes if n.address == channel.address)


def test_configuration_comes_from_one_and_routes_go_to_both(make_world: Any, config: Any) -> None:
    world = make_world(2)
    start(world, config)
    asked = [sum("subscribe virtual-router:" in line for line in node.log) for node in world.nodes]
    assert sorted(asked) == [0, 1]
    for node in world.nodes:
        assert f"compute-1 associate {NODE}/10.1.0.3/32" in node.log
        assert f"compute-1 subscribe {RED}:red 1" in node.log
    trees = [sum("associate 1/241" in line for line in node.log) for node in world.nodes]
    assert sorted(trees) == [0, 1]


def test_configuration_of_the_other_control_node_is_ignored(make_world: Any, config: Any, new_config: Any) -> None:
    world = make_world(2)
    host, _ = start(world, config)
    other = next(node for node in world.nodes if node is not config_node(world, host))
    change = new_config()
    change.network("blue", "10.2.0.0/24")
    other.reconfigure("compute-1", change)
    world.run(1)
    assert f"{RED[:-3]}blue:blue" not in host.agent.oper.rib.vrfs
    config_node(world, host).reconfigure("compute-1", change)
    world.run(1)
    assert "default-domain:demo:blue:blue" in host.agent.oper.rib.vrfs


def test_the_other_takes_over(make_world: Any, config: Any) -> None:
    world = make_world(2)
    host, port = start(world, config)
    first = config_node(world, host)
    sequence = host.agent.receiver.sequence
    first.fall()
    world.run(1)
    second = config_node(world, host)
    assert second is not first and host.agent.receiver.sequence == sequence + 1
    tail = second.log[-3:]
    assert "compute-1 subscribe virtual-router:default-global-system-config:compute-1" in tail
    assert f"compute-1 subscribe virtual-machine:{port.vm_uuid}" in tail
    assert f"compute-1 associate 1/241/{RED}:red/255.255.255.255" in tail
    assert route(host, "10.1.0.3/32") is not None


def test_nothing_is_lost_when_the_last_control_node_goes(world: Any, config: Any) -> None:
    host, port = start(world, config)
    world.nodes[0].items("compute-1", NODE, remote("10.1.0.9/32"))
    world.run(1)
    world.nodes[0].fall()
    world.run(4000)
    assert route(host, "10.1.0.9/32").active.peer.kind.name == "BGP"
    assert host.agent.oper.interfaces[port.uuid].active
    assert host.agent.controller.config_channel is None


def test_a_new_session_says_everything_again_and_stale_routes_go_at_the_end(world: Any, config: Any) -> None:
    host, port = start(world, config)
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"), remote("10.1.0.10/32"))
    world.run(1)
    node.fall()
    world.run(5)
    node.log.clear()
    node.rise()
    world.run(1)
    assert node.log[:2] == [
        "compute-1 subscribe virtual-router:default-global-system-config:compute-1",
        f"compute-1 subscribe virtual-machine:{port.vm_uuid}",
    ]
    assert not any(line.startswith(f"compute-1 subscribe {RED}") for line in node.log), "known VRFs wait"
    world.run(16)
    assert f"compute-1 subscribe {RED}:red 1" in node.log
    assert f"compute-1 associate {NODE}/10.1.0.3/32" in node.log
    node.items("compute-1", NODE, remote("10.1.0.10/32"))
    assert route(host, "10.1.0.9/32") is not None
    node.send("compute-1", pubsub.empty_event_body())
    world.run(1)
    assert route(host, "10.1.0.9/32") is None
    assert route(host, "10.1.0.10/32") is not None


def test_without_end_of_rib_the_timer_decides(world: Any, config: Any) -> None:
    host, _ = start(world, config)
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    node.fall()
    node.rise()
    world.run(30)
    assert route(host, "10.1.0.9/32") is not None
    world.run(40)
    assert route(host, "10.1.0.9/32") is None


def test_a_long_outage_takes_only_what_an_older_session_left(world: Any, config: Any) -> None:
    """The sequence grows with the next session only: 30 days later, the last session's routes are still not older."""
    host, _ = start(world, config, timers=Timers(long_lived_stale=1000, end_of_rib_rx_fallback=500))
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.8/32"), remote("10.1.0.9/32"))
    world.run(1)
    node.fall()
    world.run(10)
    node.rise()
    world.run(1)
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    node.fall()
    world.run(900)
    assert route(host, "10.1.0.8/32") is not None, "neither End-of-RIB nor its timer came"
    world.run(200)
    assert route(host, "10.1.0.8/32") is None
    world.run(5000)
    assert route(host, "10.1.0.9/32").active.peer.kind.name == "BGP"
    (channel,) = host.agent.controller.channels
    assert channel.counters["stale paths deleted"] == 2, "with it the own route as it was told back then"


def test_a_session_in_time_stops_the_clock_of_the_long_outage(world: Any, config: Any) -> None:
    host, _ = start(world, config, timers=Timers(long_lived_stale=100, end_of_rib_rx_fallback=5000))
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    for _ in range(3):
        node.fall()
        world.run(60)
        node.rise()
        world.run(60)
    assert route(host, "10.1.0.9/32") is not None
    node.send("compute-1", pubsub.empty_event_body())
    world.run(1)
    assert route(host, "10.1.0.9/32") is None


def test_without_graceful_restart_the_last_session_s_routes_stay_too(world: Any, config: Any) -> None:
    config.settings(graceful_restart=False)
    host, _ = start(world, config)
    world.nodes[0].items("compute-1", NODE, remote("10.1.0.9/32"))
    world.nodes[0].fall()
    world.run(100)
    assert route(host, "10.1.0.9/32") is not None, "stale is what is strictly older (reference/agent.md 3.4)"


def test_of_two_control_nodes_one_is_lost_and_its_paths_stay_beside_the_other_s(make_world: Any, config: Any) -> None:
    world = make_world(2)
    host, _ = start(world, config)
    for node in world.nodes:
        node.items("compute-1", NODE, remote("10.1.0.9/32"))
    world.nodes[0].fall()
    world.run(1000)
    both = sorted(node.address for node in world.nodes)
    assert sorted(path.peer.name for path in route(host, "10.1.0.9/32").paths) == both
    world.nodes[0].rise()
    world.run(2)
    world.nodes[0].send("compute-1", pubsub.empty_event_body())
    world.run(1)
    assert [path.peer.name for path in route(host, "10.1.0.9/32").paths] == [world.nodes[1].address]


@pytest.mark.parametrize("strict", [False, True])
def test_the_named_end_of_rib(world: Any, config: Any, strict: bool) -> None:
    behaviour = RFC if not strict else _strict()
    host, _ = start(world, config, behaviour=behaviour)
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    node.fall()
    node.rise()
    node.send("compute-1", pubsub.end_of_rib_body())
    world.run(1)
    assert (route(host, "10.1.0.9/32") is not None) is strict


def _strict() -> Any:
    from dataclasses import replace

    return replace(RFC, agent_ignores_named_end_of_rib=True)


def test_old_configuration_is_swept_after_the_dump(world: Any, config: Any, new_config: Any) -> None:
    host, _ = start(world, config)
    node = world.nodes[0]
    extra = new_config()
    extra.network("blue", "10.2.0.0/24")
    node.reconfigure("compute-1", extra)
    world.run(1)
    node.fall()
    world.run(300)
    assert "default-domain:demo:blue:blue" in host.agent.oper.rib.vrfs, "kept while nobody says otherwise"
    node.rise()
    world.run(30)
    assert "default-domain:demo:blue:blue" in host.agent.oper.rib.vrfs
    world.run(100)
    assert "default-domain:demo:blue:blue" not in host.agent.oper.rib.vrfs
    assert f"{RED}:red" in host.agent.oper.rib.vrfs
    assert "compute-1 unsubscribe default-domain:demo:blue:blue" in node.log


def test_deleted_configuration_withdraws_and_unsubscribes(world: Any, config: Any) -> None:
    host, _ = start(world, config)
    node = world.nodes[0]
    node.reconfigure("compute-1", config, DELETE)
    world.run(1)
    assert list(host.agent.oper.rib.vrfs) == [FABRIC]
    withdrawn = node.log.index(f"compute-1 dissociate {NODE}/10.1.0.3/32")
    assert withdrawn < node.log.index(f"compute-1 unsubscribe {RED}:red")
    assert not list(host.agent.graph.nodes())


def test_end_of_rib_is_sent_after_silence(world: Any, config: Any) -> None:
    start(world, config)
    node = world.nodes[0]
    world.run(20)
    assert not any("end-of-rib" in line for line in node.log)
    world.run(65)
    assert node.log.count("compute-1 end-of-rib message") == 1
    assert f"compute-1 subscribe {FABRIC} 0" in node.log


def test_without_graceful_restart_nothing_waits(world: Any, config: Any) -> None:
    config.settings(graceful_restart=False)
    host, _ = start(world, config)
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    world.run(1)
    node.fall()
    node.log.clear()
    node.rise()
    world.run(1)
    assert f"compute-1 associate {NODE}/10.1.0.3/32" in node.log
    assert "compute-1 end-of-rib message" in node.log
    assert route(host, "10.1.0.9/32") is None


def test_a_server_that_does_not_answer_is_replaced(make_world: Any, config: Any) -> None:
    world = make_world(3)
    host, _ = start(world, config)
    controller = host.agent.controller
    dead = controller.channels[0]
    node = next(node for node in world.nodes if node.address == dead.address)
    node.items("compute-1", NODE, remote("10.1.0.9/32"))
    world.run(1)
    node.fall()
    dead.timed_out(None)
    world.run(1)
    assert dead not in controller.channels and len(controller.channels) == 2
    assert {channel.address for channel in controller.channels} == {n.address for n in world.nodes if n is not node}
    assert all(channel.is_ready for channel in controller.channels)
    assert route(host, "10.1.0.9/32") is not None
    world.run(70)
    assert route(host, "10.1.0.9/32") is None


def test_with_two_servers_a_silent_one_is_tried_on(make_world: Any, config: Any) -> None:
    world = make_world(2)
    host, _ = start(world, config)
    channels = list(host.agent.controller.channels)
    world.nodes[0].fall()
    for channel in channels:
        channel.timed_out(None)
    assert host.agent.controller.channels == channels


def test_two_ports_of_a_machine_subscribe_it_once(world: Any, config: Any) -> None:
    host, port = start(world, config)
    from dataclasses import replace

    other = replace(port, uuid="22222222-2222-4222-8222-222222222222", name="tap9")
    host.agent.add_port(other)
    line = f"compute-1 subscribe virtual-machine:{port.vm_uuid}"
    assert world.nodes[0].log.count(line) == 1
    host.agent.delete_port(port.uuid)
    assert f"compute-1 unsubscribe virtual-machine:{port.vm_uuid}" not in world.nodes[0].log
    host.agent.delete_port(other.uuid)
    assert f"compute-1 unsubscribe virtual-machine:{port.vm_uuid}" in world.nodes[0].log


def test_a_retract_and_what_is_left_of_it(world: Any, config: Any) -> None:
    host, _ = start(world, config)
    node = world.nodes[0]
    node.items("compute-1", NODE, remote("10.1.0.9/32"), remote("10.2.0.0/16"))
    node.send("compute-1", pubsub.retract_body(NODE, ["10.1.0.9/32", "nonsense", "10.1.0.9"]))
    world.run(1)
    assert route(host, "10.1.0.9/32") is None and route(host, "10.2.0.0/16") is not None
    assert host.agent.controller.channels[0].importer.counters["bad retracts"] == 2


def test_the_bgp_path_wins_over_the_own_one_and_leads_to_the_machine(world: Any, config: Any) -> None:
    host, _ = start(world, config)
    own = route(host, "10.1.0.3/32")
    assert [path.peer.kind.name for path in own.paths] == ["BGP", "LOCAL_VM_PORT"]
    assert type(own.next_hop).__name__ == "Interface"


def test_an_own_label_that_nobody_has_is_no_way(world: Any, config: Any) -> None:
    host, _ = start(world, config)
    entry = remote("10.1.0.77/32", 900)._replace(next_hops=(NextHop("10.0.0.1", 900, ("udp",), RED),))
    world.nodes[0].items("compute-1", NODE, entry)
    world.run(1)
    assert type(route(host, "10.1.0.77/32").next_hop).__name__ == "Discard"


def test_a_better_sequence_takes_the_address_away(world: Any, config: Any) -> None:
    host, port = start(world, config)
    node = world.nodes[0]
    address = host.agent.oper.interfaces[port.uuid].address4
    assert host.agent.oper.traffic_seen(port.uuid, address)
    told = node.routes[(f"{RED}:red", ItemFamily.INET, "10.1.0.3/32")]
    assert (told["compute-1"].local_preference, told["compute-1"].sequence_number) == (200, 1)
    node.items("compute-1", NODE, remote("10.1.0.3/32", mobility_sequence=5, sequence_number=5))
    world.run(1)
    assert (told["compute-1"].local_preference, told["compute-1"].sequence_number) == (100, 1)
    assert host.agent.oper.traffic_seen(port.uuid, address)
    assert (told["compute-1"].local_preference, told["compute-1"].sequence_number) == (200, 6)


def test_timers_are_the_reference_s() -> None:
    timers = Timers()
    assert (timers.config_inactivity, timers.config_fallback, timers.stale_config_cleanup) == (15, 900, 100)
    assert (timers.end_of_rib_tx_inactivity, timers.end_of_rib_tx_fallback, timers.end_of_rib_rx_fallback) == (
        15,
        60,
        60,
    )
    assert (timers.long_lived_stale, timers.flow_timeout, timers.dns_timeout) == (30 * 86400, 180, 3)


@pytest.mark.parametrize("profile", [CONTRAIL, RFC])
def test_after_a_bad_prefix(world: Any, config: Any, profile: Any) -> None:
    """Profile `contrail` gives up the rest of the message, `rfc` only the item; a hop of IPv6 costs the item alone."""
    host, _ = start(world, config, behaviour=profile)
    odd = remote("10.1.0.8/32")._replace(next_hops=(NextHop("2001:db8::1", 20, ("udp",), RED),))
    world.nodes[0].items(
        "compute-1",
        NODE,
        remote("10.1.0.7/32"),
        odd,
        remote("10.1.0.9/32"),
        remote("10.1.0.10/64"),
        remote("10.1.0.11/32"),
    )
    world.run(1)
    taken = [text for text in ("7", "8", "9", "10", "11") if route(host, f"10.1.0.{text}/32") is not None]
    assert taken == (["7", "9"] if profile is CONTRAIL else ["7", "9", "11"])


def test_agents_of_one_process_share_what_is_read(world: Any, config: Any, new_config: Any) -> None:
    first, _ = start(world, config)
    other = new_config()
    other.network("red", "10.1.0.0/24")
    second = world.host("compute-2", "10.0.0.2", other, "none")
    world.run(1)
    hits = world.decoder.hits
    for agent in ("compute-1", "compute-2"):
        world.nodes[0].items(agent, NODE, remote("10.1.0.9/32"))
    world.run(1)
    assert world.decoder.hits == hits + 1
    assert route(first, "10.1.0.9/32").paths[0].attributes is route(second, "10.1.0.9/32").paths[0].attributes


def test_the_traffic_class_follows_configuration(world: Any, config: Any, new_config: Any) -> None:
    start(world, config)
    (client,) = world.nodes[0].clients
    name = "default-global-system-config:default-global-qos-config"
    for marks, wanted in (({"control": 56}, 56), ({"control": 64}, 0), ({"control": "7"}, 7), ({}, 0)):
        change = new_config()
        change.node("global-qos-config", name, control_traffic_dscp=marks)
        world.nodes[0].reconfigure("compute-1", change)
        world.run(1)
        assert client.dscp == wanted


def test_the_hold_time_follows_configuration(world: Any, config: Any, new_config: Any) -> None:
    """What is not enabled does not count: then it is the agent's own."""
    start(world, config)
    (client,) = world.nodes[0].clients
    assert client.hold_time == 0, "nothing was said of it"
    for enable, seconds, wanted in ((True, 9, 9), (False, 9, 90), (True, 30, 30)):
        change = new_config()
        parameters = {"enable": enable, "xmpp_hold_time": seconds}
        change.node("global-system-config", "default-global-system-config", fast_convergence_parameters=parameters)
        world.nodes[0].reconfigure("compute-1", change)
        world.run(1)
        assert client.hold_time == wanted


@pytest.mark.parametrize("profile", [CONTRAIL, RFC])
def test_a_stanza_for_another_agent(world: Any, config: Any, new_config: Any, profile: Any) -> None:
    """A real agent looks at the keyword of `to` only, and takes it; profile `rfc` ignores and counts it."""
    host, _ = start(world, config, behaviour=profile)
    (client,) = world.nodes[0].clients
    entry = remote("10.1.0.9/32")
    body = pubsub.items_body(NODE, [("10.1.0.9/32", entry.to_xml())])
    client.receive(pubsub.message_header("compute-2") + body)
    change = new_config()
    change.network("blue", "10.2.0.0/24")
    for message in change.messages("compute-2"):
        client.receive(message)
    world.run(1)
    taken = profile is CONTRAIL
    assert (route(host, "10.1.0.9/32") is not None) is taken
    assert ("default-domain:demo:blue:blue" in host.agent.oper.rib.vrfs) is taken
    (channel,) = host.agent.controller.channels
    assert bool(channel.counters["ignored stanzas"]) is not taken and channel.is_ready


@pytest.mark.parametrize("ignores", [False, True])
def test_the_first_session_of_an_agent(world: Any, config: Any, ignores: bool) -> None:
    from dataclasses import replace

    host, _ = start(world, config, hold_time=30, behaviour=replace(CONTRAIL, first_session_ignores_hold_time=ignores))
    (channel,) = host.agent.controller.channels
    real: Any = host.agent._xmpp_client  # what Agent makes without a `connect` of the test's own
    times = [real(channel).core.hold_time for _ in range(3)]
    assert times == [90 if ignores else 30, 30, 30]


def test_all_that_an_agent_says_has_the_shape_of_the_reference(make_world: Any, config: Any) -> None:
    """The schema of the tests of control.xmpp, on what a life of an agent gives: coming, moving, changing, leaving."""
    schema = etree.RelaxNG(etree.parse(str(Path(__file__).parents[1] / "control" / "xmpp" / "stanzas.rng")))
    world = make_world(2)
    public = config.network("public", "198.51.100.0/24", "l2_l3")
    network = config.network("red", "10.1.0.0/24", "l2_l3")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    config.floating_ip("vm1", public, "198.51.100.77")
    host = world.host("compute-1", "10.0.0.1", config, "none")
    host.agent.add_port(port)
    world.run(90)
    host.agent.oper.traffic_seen(port.uuid, host.agent.oper.interfaces[port.uuid].address4)
    world.nodes[0].fall()
    world.run(5)
    world.nodes[0].rise()
    world.run(90)
    host.agent.delete_port(port.uuid)
    config_node(world, host).reconfigure("compute-1", config, DELETE)
    world.run(5)
    said = [raw for node in world.nodes for raw in node.raw]
    for raw in said:
        schema.assertValid(etree.fromstring(raw.strip()))
    forms = {type(pubsub.read(parse(raw))).__name__ for raw in said}
    assert forms == {"Subscribe", "Unsubscribe", "Publish", "Collection", "EndOfRib"}
    families = {raw.split(b'publish node="')[1].split(b"/")[0] for raw in said if b'publish node="' in raw}
    assert families == {b"1", b"25"}
