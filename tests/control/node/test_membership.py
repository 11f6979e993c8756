"""The membership matrix of reference/xmpp.md 6: what an agent may do to an instance, and what ends its session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from control.node.conftest import BLUE, Agent, Bench, mac, route, tree

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.channels.agent import AgentChannel
from contrail_emulator.control.xmpp import names, pubsub
from contrail_emulator.control.xmpp.items import Entry, MvpnEntry

TABLE = f"{BLUE}.inet.0"
RED = "default-domain:demo:red:red"
MASTER = names.MASTER_INSTANCE


def test_a_route_comes_back_to_its_publisher_and_to_others(bench: Bench) -> None:
    bench.add_instance()
    one, two = bench.agent(1), bench.agent(2)
    for agent in (one, two):
        agent.subscribe()
    one.publish(route())
    bench.flush()
    for agent in (one, two):
        items, gone = agent.hear()
        assert list(items) == ["1/1 10.1.1.3/32"] and gone == []
    one.publish(route(), add=False)
    bench.flush()
    assert two.hear() == ({}, ["10.1.1.3/32"])


def faults() -> list[tuple[str, Callable[[Agent], None]]]:
    return [
        ("subscribed twice", lambda agent: (agent.subscribe(), agent.subscribe())[0]),
        ("subscribed twice", lambda agent: (agent.subscribe(), agent.subscribe(no_ribout=True))[0]),
        ("without being subscribed", lambda agent: agent.unsubscribe()),
        ("without being subscribed", lambda agent: agent.unsubscribe("default-domain:demo:none:none")),
        ("without being subscribed", lambda agent: agent.publish(route())),
        ("without being subscribed", lambda agent: agent.publish(route(), add=False)),
        ("without being subscribed", lambda agent: agent.publish(mac())),
        ("without being subscribed", lambda agent: agent.publish(tree())),
        ("without being subscribed", lambda agent: agent.publish(MvpnEntry("232.1.1.1", "10.1.1.9"))),
        ("without being subscribed", lambda agent: agent.publish(route(), instance="no:such:instance:x")),
        (
            "without being subscribed",
            lambda agent: (agent.subscribe(), agent.unsubscribe(), agent.publish(route()))[0],
        ),
        ("without being subscribed", lambda agent: (agent.subscribe(instance_id=-1), agent.publish(route()))[0]),
    ]


@pytest.mark.parametrize("number", range(len(faults())))
def test_a_fault_closes_the_session_and_in_profile_rfc_only_counts(
    number: int, make_bench: Callable[..., Bench]
) -> None:
    says, act = faults()[number]
    for behaviour in (CONTRAIL, RFC):
        bench = make_bench(behaviour)
        bench.add_instance()
        agent = bench.agent()
        act(agent)
        bench.flush()
        assert says in agent.channel.last_error
        if behaviour is CONTRAIL:
            assert says in agent.session.closed
        else:
            assert agent.session.closed == "" and agent.channel.counters["subscription_errors"] == 1


def test_subscribe_unsubscribe_subscribe_in_quick_order(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.unsubscribe()
    agent.subscribe(instance_id=9)
    agent.publish(route())
    bench.flush()
    assert agent.session.closed == ""
    assert bench.prefixes("bgp.l3vpn.0") == ["192.0.2.1:9:10.1.1.3/32"]


def test_routes_wait_for_an_instance_that_does_not_exist(bench: Bench) -> None:
    agent = bench.agent()
    agent.subscribe()
    assert agent.channel.waiting
    agent.publish(route(label=20))
    agent.publish(route(label=21))
    agent.publish(route("10.1.1.4/32"))
    agent.publish(route("10.1.1.4/32"), add=False)
    agent.publish(mac())
    agent.publish(tree())
    assert agent.channel.row()["routes_in"] == 3
    bench.add_instance()
    bench.flush()
    assert bench.prefixes(TABLE) == ["10.1.1.3/32"]
    assert bench.paths(TABLE, "10.1.1.3/32")[0]["label"] == 21, "the last one counts"
    assert len(bench.prefixes(f"{BLUE}.evpn.0")) == 1 and len(bench.prefixes(f"{BLUE}.ermvpn.0")) >= 1
    assert not agent.channel.waiting


def test_two_publishes_of_one_node_string_both_wait(bench: Bench) -> None:
    """The family comes from the node string, the prefix from the item: equal strings are not equal routes."""
    agent = bench.agent()
    agent.subscribe()
    agent.publish(route("10.1.1.3/32"), node="1/1/same")
    agent.publish(route("10.1.1.4/32"), node="1/1/same")
    bench.add_instance()
    bench.flush()
    assert bench.prefixes(TABLE) == ["10.1.1.3/32", "10.1.1.4/32"]


def test_unsubscribing_forgets_what_waited(bench: Bench) -> None:
    agent = bench.agent()
    agent.subscribe()
    agent.publish(route())
    agent.unsubscribe()
    bench.add_instance()
    bench.flush()
    assert bench.prefixes(TABLE) == [] and agent.session.closed == ""


def test_a_dissociate_for_an_instance_that_was_deleted_is_accepted(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.publish(route())
    bench.flush()
    bench.remove_instance()
    agent.publish(route(), add=False)
    assert agent.session.closed == ""
    bench.add_instance()
    bench.flush()
    assert bench.prefixes(TABLE) == []


def test_routes_come_back_with_their_instance(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    group = mac(group="239.1.1.1")
    for entry in (route(), mac(), group):
        agent.publish(entry)
    bench.flush()
    before = [bench.prefixes(f"{BLUE}.{name}") for name in ("inet.0", "evpn.0")]
    agent.hear()
    bench.remove_instance()
    bench.flush()
    bench.add_instance()
    bench.flush()
    assert [bench.prefixes(f"{BLUE}.{name}") for name in ("inet.0", "evpn.0")] == before
    items, _ = agent.hear()
    assert "1/1 10.1.1.3/32" in items
    agent.publish(group, add=False)
    bench.flush()
    assert not any(prefix.startswith("6-") for prefix in bench.prefixes(f"{BLUE}.evpn.0"))


def test_no_ribout_is_told_nothing(bench: Bench) -> None:
    bench.add_instance()
    quiet, other = bench.agent(1), bench.agent(2)
    quiet.subscribe(no_ribout=True)
    other.subscribe()
    quiet.publish(route())
    bench.flush()
    assert quiet.session.sent == []
    assert list(other.hear()[0]) == ["1/1 10.1.1.3/32"]


def test_everything_goes_with_the_session(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    for entry in (route(), route("2001:db8::3/128"), mac(), tree(), MvpnEntry("232.1.1.1", "10.1.1.9")):
        agent.publish(entry)
    bench.flush()
    assert bench.prefixes("bgp.rtarget.0")
    assert bench.core.attributes
    agent.channel.closed()
    bench.agents.clear()
    bench.flush()
    for name in bench.core.tables:
        assert bench.prefixes(name) == [], name
    assert len(bench.core.attributes) == 0


def test_the_master_instance_takes_plain_routes_only(bench: Bench) -> None:
    agent, other = bench.agent(1), bench.agent(2)
    for one in (agent, other):
        one.subscribe(MASTER, 0)
    agent.publish(route("203.0.113.7/32", label=0), instance=MASTER)
    agent.publish(mac(), instance=MASTER)
    agent.publish(tree(), instance=MASTER)
    bench.flush()
    assert agent.session.closed == ""
    assert bench.prefixes("inet.0") == ["203.0.113.7/32"]
    assert bench.prefixes("bgp.evpn.0") == [] and bench.prefixes("bgp.ermvpn.0") == []
    assert agent.channel.counters["items_without_table"] == 2
    assert list(other.hear()[0]) == ["1/1 203.0.113.7/32"]
    tables = {membership.group.table.name for s in other.channel.subscriptions.values() for membership in s.memberships
              if membership.group is not None}  # fmt: skip
    assert tables == {"inet.0", "inet6.0", "inet.3"}, "an agent never hears VPN tables"


def test_a_primary_instance_id_gives_a_master_route_its_rd(bench: Bench) -> None:
    agent = bench.agent()
    agent.subscribe(MASTER, 0)
    agent.publish(route("203.0.113.7/32", label=0), instance=MASTER, node="1/1/a:b:c:d/203.0.113.7/32/5")
    bench.flush()
    (path,) = bench.core.tables["inet.0"].routes[b"\x20\xcb\x00\x71\x07"].paths()
    assert path.rd == bytes.fromhex("0001c00002010005")
    assert path.attributes.ext_communities == ()


def test_stanzas_for_others_are_ignored(bench: Bench) -> None:
    agent = bench.agent()
    agent.feed(pubsub.Subscribe(BLUE, 1).to_bytes("compute-1", "network-control@contrailsystems.com/other", "x"))
    agent.feed(b'<iq type="get" to="a/bgp-peer"><pubsub><subscribe node="x"/></pubsub></iq>')
    agent.feed(b'<iq type="set" to="a/bgp-peer"><pubsub><unknown node="x"/></pubsub></iq>')
    agent.feed(b'<iq type="set" to="a/bgp-peer"></iq>')
    assert agent.channel.subscriptions == {} and agent.session.closed == ""
    assert agent.channel.counters["stanzas_ignored"] == 3


def test_dispatch_by_substring_is_a_peculiarity(make_bench: Callable[..., Bench]) -> None:
    to = "default-global-system-config:x/bgp-peer-more"
    for behaviour, heard in ((CONTRAIL, True), (RFC, False)):
        bench = make_bench(behaviour)
        agent = bench.agent()
        agent.feed(pubsub.Subscribe(BLUE, 1).to_bytes("compute-1", to, "x"))
        assert (BLUE in agent.channel.subscriptions) is heard


def test_items_of_an_unknown_family_are_counted(bench: Bench) -> None:
    agent = bench.agent()
    for node in ("9/9/x", "no-slash", "1/1"):
        agent.publish_raw(node, [route().to_xml()])
    assert agent.session.closed == "" and agent.channel.counters["items_of_unknown_family"] == 3


@pytest.mark.parametrize("form", ["pair", "message"])
def test_end_of_rib_in_both_forms(form: str, make_bench: Callable[..., Bench]) -> None:
    deaf = dataclasses.replace(CONTRAIL, ignore_message_end_of_rib=True)
    for behaviour, message_counts in ((CONTRAIL, True), (deaf, False)):
        heard: list[AgentChannel] = []
        agent = make_bench(behaviour).agent()
        agent.channel.on_end_of_rib = lambda agent=agent, heard=heard: heard.append(agent.channel)  # type: ignore[misc]
        data = pubsub.end_of_rib_pair if form == "pair" else pubsub.end_of_rib_message
        agent.feed(data("compute-1", "network-control@contrailsystems.com/bgp-peer"))
        expected = form == "pair" or message_counts
        assert agent.channel.end_of_rib_received is expected and bool(heard) is expected


def test_row_of_an_agent(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe(instance_id=3)
    agent.subscribe(RED, 4)
    entries: list[Entry] = [route(), mac(), MvpnEntry("232.1.1.1", "10.1.1.9")]
    for entry in entries:
        agent.publish(entry)
    bench.flush()
    row = agent.channel.row()
    assert row["state"] == "Established" and row["routes_in"] == 3 and row["routes_out"] == 2
    assert [(one["name"], one["state"], one["route_distinguisher"]) for one in row["routing_instances"]] == [
        (BLUE, "subscribed", "192.0.2.1:3"),
        (RED, "pending", "192.0.2.1:4"),
    ]
    assert row["counters"]["items_mvpn_in"] == 1


def test_a_stanza_in_another_agent_s_name(bench: Bench) -> None:
    """Nothing compares `from` with the session (reference/xmpp.md 1.5): who sends it is whose route it is."""
    bench.add_instance()
    one, two = bench.agent(1), bench.agent(2)
    two.subscribe()
    one.feed(pubsub.Subscribe(BLUE, 1).to_bytes("compute-2", "compute-2/bgp-peer", "x"))
    node = f"1/1/{BLUE}/10.1.1.3/32"
    one.feed(pubsub.Publish.write(node, [route().to_xml()], "compute-2", "compute-2/bgp-peer", "x"))
    one.feed(pubsub.Collection(BLUE, node, True).to_bytes("compute-2", "compute-2/bgp-peer", "x"))
    bench.flush()
    (path,) = bench.paths(TABLE, "10.1.1.3/32")
    assert path["source"] == "compute-1"
    assert (one.channel.row()["routes_in"], two.channel.row()["routes_in"]) == (1, 0)
    assert one.session.closed == two.session.closed == ""
