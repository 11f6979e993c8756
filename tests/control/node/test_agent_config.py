"""Which configuration an agent gets, and the differences it is sent (reference/xmpp.md 3)."""

from __future__ import annotations

import random

from control.node.conftest import Agent, Bench
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.config.graph import Graph
from contrail_emulator.control.agent_config import AgentConfig
from contrail_emulator.control.agent_filter import FOLLOWED
from contrail_emulator.control.agent_view import AgentView
from contrail_emulator.control.link_index import LinkIndex

VR1, VR2 = (f"default-global-system-config:compute-{number}" for number in (1, 2))
NET = "default-domain:demo:blue"


def vr(name: str) -> tuple[str, str]:
    return "virtual-router", name


def add_machine(graph: Graph, name: str, network: str = NET) -> None:
    """What the configuration node writes for one machine."""
    port, instance = f"default-domain:demo:{name}-port", f"{network}:ri"
    interface, net = ("virtual-machine-interface", port), ("virtual-network", network)
    with graph.batch():
        graph.put("virtual-machine", name, {"display_name": name})
        graph.put(*interface, {"display_name": port})
        graph.put("instance-ip", f"{name}-ip", {"instance_ip_address": "10.1.1.3"})
        graph.link("virtual-machine-interface-virtual-machine", interface, ("virtual-machine", name))
        graph.link("virtual-machine-interface-virtual-network", interface, net)
        graph.link(
            "virtual-machine-interface-routing-instance",
            interface,
            ("routing-instance", instance),
            {"direction": "both"},
        )
        graph.link("instance-ip-virtual-machine-interface", ("instance-ip", f"{name}-ip"), interface)
        graph.link("instance-ip-virtual-network", ("instance-ip", f"{name}-ip"), net)


def add_network(graph: Graph, name: str = NET) -> None:
    net, instance = ("virtual-network", name), ("routing-instance", f"{name}:ri")
    with graph.batch():
        graph.put(*net, {"virtual_network_network_id": 5})
        graph.put(*instance, {"display_name": "ri"})
        graph.link("virtual-network-routing-instance", net, instance)
        graph.put("route-target", "target:64512:8", {})
        graph.link("instance-target", instance, ("route-target", "target:64512:8"), {"import_export": None})


def built(bench: Bench) -> Agent:
    add_network(bench.graph)
    bench.graph.put(*vr(VR1), {"virtual_router_ip_address": "192.0.2.1"})
    add_machine(bench.graph, "vm-1")
    add_machine(bench.graph, "vm-2")
    return bench.agent()


OTHER_RELEASES = ("vn-health-check",)
OTHER_TYPES: tuple[str, ...] = ()
ATTRIBUTE = f"attr({NET}:ri,default-domain:demo:vm-1-port)"
WITH_VM_1 = [
    ("update", "instance-ip vm-1-ip"),
    ("update", f"routing-instance {NET}:ri"),
    ("update", "virtual-machine vm-1"),
    ("update", "virtual-machine-interface default-domain:demo:vm-1-port"),
    ("update", f"virtual-machine-interface-routing-instance {ATTRIBUTE}"),
    ("update", f"virtual-network {NET}"),
    ("update", "instance-ip-virtual-machine-interface: vm-1-ip -- default-domain:demo:vm-1-port"),
    ("update", f"instance-ip-virtual-network: vm-1-ip -- {NET}"),
    (
        "update",
        f"virtual-machine-interface-routing-instance: {NET}:ri -- {ATTRIBUTE}",
    ),
    (
        "update",
        f"virtual-machine-interface-routing-instance: default-domain:demo:vm-1-port -- {ATTRIBUTE}",
    ),
    ("update", "virtual-machine-interface-virtual-machine: vm-1 -- default-domain:demo:vm-1-port"),
    ("update", f"virtual-machine-interface-virtual-network: default-domain:demo:vm-1-port -- {NET}"),
    ("update", f"virtual-network-routing-instance: {NET}:ri -- {NET}"),
    ("update", f"virtual-router-virtual-machine: vm-1 -- {VR1}"),
]


def test_the_whole_of_what_an_agent_gets(bench: Bench) -> None:
    agent = built(bench)
    agent.router()
    assert agent.configuration() == [("update", f"virtual-router {VR1}")]
    agent.machine("vm-1")
    assert agent.configuration() == WITH_VM_1, "no route target, no other machine, nodes before links"


def test_a_stanza_is_addressed_to_the_virtual_router_that_was_subscribed_to(bench: Bench) -> None:
    """Whatever the agent's own name is (reference/xmpp.md 3.2)."""
    other = "default-global-system-config:compute-1.example.org"
    bench.graph.put(*vr(other), {})
    agent = bench.agent()
    agent.router(other)
    (message,) = agent.session.sent
    assert f' to="{other}/config">'.encode() in message


def test_differences(bench: Bench) -> None:
    agent = built(bench)
    agent.router()
    agent.machine("vm-1")
    agent.configuration()
    bench.graph.put("virtual-machine-interface", "default-domain:demo:vm-1-port", {"display_name": "x"})
    assert agent.configuration() == [("update", "virtual-machine-interface default-domain:demo:vm-1-port")]
    bench.graph.put("virtual-machine-interface", "default-domain:demo:vm-2-port", {"display_name": "x"})
    bench.graph.put("route-target", "target:64512:8", {"display_name": "x"})
    assert agent.configuration() == []
    bench.graph.put("virtual-network", NET, {})
    assert agent.configuration() == [("update", f"virtual-network {NET}")], "a full replacement, now without properties"
    agent.machine("vm-1", subscribe=False)
    gone = agent.configuration()
    assert sorted(gone) == sorted(("delete", text) for _, text in WITH_VM_1)
    kinds = [": " in text for _, text in gone]
    assert kinds == sorted(kinds, reverse=True), "links before nodes"


def test_batches_have_at_most_sixteen_units(bench: Bench) -> None:
    agent = built(bench)
    agent.router()
    agent.session.sent.clear()
    agent.machine("vm-1")
    assert len(agent.session.sent) == 2, "6 nodes and 8 links are 22 units"
    assert all(b'to="default-global-system-config:compute-1/config"' in message for message in agent.session.sent)


def test_a_machine_subscribed_before_it_exists(bench: Bench) -> None:
    agent = bench.agent()
    agent.router()
    agent.machine("vm-1")
    assert agent.configuration() == []
    bench.graph.put(*vr(VR1), {})
    assert agent.configuration() == [("update", f"virtual-router {VR1}")]
    add_network(bench.graph)
    add_machine(bench.graph, "vm-1")
    assert agent.configuration() == WITH_VM_1


def test_an_object_that_goes_takes_what_hung_on_it_along(bench: Bench) -> None:
    agent = built(bench)
    agent.router()
    agent.machine("vm-1")
    agent.configuration()
    bench.graph.remove("virtual-machine", "vm-1")
    found = agent.configuration()
    assert ("delete", "virtual-machine vm-1") in found
    assert all(operation == "delete" and "vm-1" in text for operation, text in found)
    bench.graph.put("virtual-machine", "vm-1", {"display_name": "vm-1"})
    assert ("update", "virtual-machine vm-1") in agent.configuration()


def test_two_agents_and_what_they_share(bench: Bench) -> None:
    one = built(bench)
    two = bench.agent(2)
    bench.graph.put(*vr(VR2), {})
    one.router(VR1)
    two.router(VR2)
    one.machine("vm-1")
    two.machine("vm-2")
    one.configuration()
    assert ("update", f"virtual-network {NET}") in two.configuration()
    bench.graph.put("virtual-network", NET, {"display_name": "x"})
    for agent in (one, two):
        assert agent.configuration() == [("update", f"virtual-network {NET}")]
    add_machine(bench.graph, "vm-3")
    assert one.configuration() == two.configuration() == []
    bench.graph.remove("instance-ip", "vm-2-ip")
    assert one.configuration() == [] and two.configuration() != []


def test_odd_subscriptions_are_ignored_and_counted(bench: Bench) -> None:
    one, two = built(bench), bench.agent(2)
    one.machine("vm-1")
    one.machine("vm-1", subscribe=False)
    one.router()
    one.router()
    one.router(VR2)
    one.machine("vm-1")
    one.machine("vm-1")
    one.machine("vm-9", subscribe=False)
    assert one.channel.counters["config_requests_ignored"] == 6
    two.router(VR1)
    assert two.channel.counters["config_requests_ignored"] == 1 and two.configuration() == []
    two.channel.closed()
    bench.graph.put(*vr(VR1), {"display_name": "x"})
    assert ("update", f"virtual-router {VR1}") in one.configuration(), "the second session took nothing along"
    assert one.session.closed == two.session.closed == ""


def test_the_next_session_begins_anew(bench: Bench) -> None:
    first = built(bench)
    first.router()
    first.machine("vm-1")
    first.channel.closed()
    first.session.sent.clear()
    bench.graph.put("virtual-network", NET, {"display_name": "x"})
    assert first.configuration() == []
    again = bench.agent()
    again.router()
    assert again.configuration() == [("update", f"virtual-router {VR1}")], "machines are forgotten with the session"
    again.machine("vm-1")
    assert again.configuration() == WITH_VM_1


def test_a_blocked_agent_gets_the_latest_state_only(bench: Bench) -> None:
    agent = built(bench)
    agent.router()
    agent.machine("vm-1")
    agent.configuration()
    agent.session.blocked = True
    bench.graph.put("virtual-network", NET, {"display_name": "1"})
    assert agent.configuration() == [("update", f"virtual-network {NET}")]
    for text in "2345":
        bench.graph.put("virtual-network", NET, {"display_name": text})
    add_machine(bench.graph, "vm-7")
    agent.machine("vm-7")
    agent.machine("vm-7", subscribe=False)
    assert agent.session.sent == []
    agent.session.blocked = False
    agent.channel.unblocked()
    assert b"<display-name>5</display-name>" in agent.session.sent[0]
    assert agent.configuration() == [("update", f"virtual-network {NET}")]


def views(bench: Bench, count: int) -> list[AgentView]:
    made = []
    for number in range(count):
        bench.graph.put(*vr(f"vr-{number}"), {})
        view = bench.config.connect(f"compute-{number}", lambda _: True)
        bench.config.subscribe_router(view, f"vr-{number}")
        add_machine(bench.graph, f"vm-{number}")
        bench.config.subscribe_machine(view, f"vm-{number}")
        made.append(view)
    return made


def test_a_change_walks_only_for_the_agents_it_concerns(bench: Bench) -> None:
    """All share one network of more interfaces than any node may have without being a hub."""
    add_network(bench.graph)
    all_views = views(bench, 80)
    before = [view.walks for view in all_views]
    interface = ("virtual-machine-interface", "default-domain:demo:vm-3-port")
    bench.graph.put(*interface, {"display_name": "x"})
    bench.graph.put("virtual-network", NET, {"display_name": "x"})
    assert [view.walks for view in all_views] == before, "a mere property"
    bench.graph.put("security-group", "default-domain:demo:sg", {})
    bench.graph.link(
        "virtual-machine-interface-security-group", interface, ("security-group", "default-domain:demo:sg")
    )
    bench.graph.put("instance-ip", "another", {})
    bench.graph.link("instance-ip-virtual-machine-interface", ("instance-ip", "another"), interface)
    bench.graph.link("instance-ip-virtual-network", ("instance-ip", "another"), ("virtual-network", NET))
    walked = {number for number, view in enumerate(all_views) if view.walks != before[number]}
    assert walked == {3}


def test_names_of_the_table_are_names_of_the_schema(bench: Bench) -> None:
    """But for links of releases that the schema does not cover."""
    kinds = bench.schema.types.values()
    links = {entry.link for kind in kinds for entry in kind.references.values()}
    links |= {entry.link for kind in kinds for entry in kind.children.values()}
    followed = {name for names in FOLLOWED.values() for name in names}
    assert followed - links - bench.schema.types.keys() == set(OTHER_RELEASES)
    assert FOLLOWED.keys() - bench.schema.types.keys() - links == set(OTHER_TYPES)
    assert "route-target" not in FOLLOWED and "network-policy" not in FOLLOWED


TYPES = ["virtual-router", "virtual-machine", "virtual-machine-interface", "virtual-network", "instance-ip", "project",
         "security-group", "access-control-list", "route-target", "routing-instance"]  # fmt: skip
LINKS = ["virtual-router-virtual-machine", "virtual-machine-interface-virtual-machine",
         "virtual-machine-interface-virtual-network", "instance-ip-virtual-network",
         "project-virtual-machine-interface",
         "instance-ip-virtual-machine-interface", "security-group-access-control-list", "instance-target",
         "virtual-machine-interface-security-group", "virtual-network-routing-instance"]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), few=st.sampled_from([0, 2, 64]))
def test_differences_add_up_to_a_fresh_walk(seed: int, few: int) -> None:
    """After any changes an agent has been told exactly what a new one would be told."""
    rng = random.Random(seed)
    bench = Bench()
    graph = bench.graph
    bench.config._index = LinkIndex(few)
    nodes = [(kind, f"{kind}-{number}") for kind in TYPES for number in range(2)]
    old = [bench.config.connect(f"compute-{number}", lambda _: rng.random() < 0.9) for number in range(2)]
    for number, view in enumerate(old):
        bench.config.subscribe_router(view, f"virtual-router-{number}")
    for _ in range(120):
        with graph.batch():
            for _ in range(rng.randrange(1, 4)):
                action = rng.random()
                name, left, right = rng.choice(LINKS), rng.choice(nodes), rng.choice(nodes)
                if action < 0.3:
                    graph.put(*rng.choice(nodes), {"display_name": rng.choice("abc")})
                elif action < 0.75:
                    graph.link(name, left, right)
                elif action < 0.9:
                    graph.unlink(name, left, right)
                else:
                    graph.remove(*rng.choice(nodes))
    fresh = AgentConfig(graph, bench.schema)
    for number, view in enumerate(old):
        bench.config.unblocked(view)
        new = fresh.connect(f"compute-{number}", lambda _: True)
        fresh.subscribe_router(new, f"virtual-router-{number}")
        assert view.sent_nodes == new.sent_nodes and view.sent_links == new.sent_links
        assert view.interest == new.interest
