"""Operational tables: the order of arrival leaves no trace; small machines and tables on their own."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from contrail_emulator.agent.channels.config_channel import ConfigReceiver
from contrail_emulator.agent.oper.acl import AccessList, AddressMatch, Endpoint, Rule, Verdict, judge
from contrail_emulator.agent.oper.indices import Indices, NoFreeIndex
from contrail_emulator.agent.oper.interfaces import VmInterface
from contrail_emulator.agent.oper.labels import multicast_range
from contrail_emulator.agent.oper.nexthop import Ecmp, Encap, Flood, Interface, Member, NextHop, NextHops, Tunnel
from contrail_emulator.agent.oper.oper import Oper
from contrail_emulator.agent.oper.preference import FLAP_LIMIT, TRANSITIONS, Event, Preference, State
from contrail_emulator.agent.oper.prefix import Prefix, PrefixTable, parse, prefix
from contrail_emulator.agent.oper.resolve import Resolver, merge
from contrail_emulator.agent.settings import AgentSettings
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import load
from contrail_emulator.control.xmpp.config_message import (
    DELETE,
    UPDATE,
    Change,
    ConfigLink,
    ConfigMessage,
    NodeName,
    write,
)
from contrail_emulator.control.xmpp.stanza import parse as parse_stanza


class Quiet:
    """A listener that only remembers what the data plane would hold."""

    def __init__(self) -> None:
        self.next_hops: dict[int, NextHop] = {}

    def next_hop_changed(self, index: int, next_hop: NextHop, present: bool) -> None:
        if present:
            assert index not in self.next_hops
            self.next_hops[index] = next_hop
        else:
            del self.next_hops[index]

    def label_changed(self, label: int, next_hop: NextHop | None) -> None: ...

    def vxlan_changed(self, vni: int, next_hop: NextHop | None) -> None: ...

    def interface_changed(self, interface: VmInterface, present: bool) -> None: ...

    def vrf_changed(self, vrf: Any, present: bool) -> None: ...

    def broadcast_changed(self, vrf: Any, wanted: bool) -> None: ...

    def route_changed(self, vrf: Any, key: Any, route: Any) -> None: ...

    def bridge_changed(self, vrf: Any, mac: bytes, entry: Any) -> None: ...

    def advert_changed(self, vrf: Any, table: Any, key: Any, advert: Any) -> None: ...

    def flushed(self) -> None: ...


class Tables:
    def __init__(self) -> None:
        self.graph = Graph()
        self.receiver = ConfigReceiver(self.graph, load())
        self.listener = Quiet()
        self.clock = Clock()
        self.oper = Oper(AgentSettings("compute-1", "10.0.0.1"), self.listener, self.clock)

    def apply(self, operation: str, units: list[Any]) -> None:
        message = ConfigMessage.of(Change(operation, unit) for unit in units)
        self.receiver.receive(parse_stanza(write(message, "default-global-system-config:compute-1")))

    def links(self) -> set[str]:
        return {link.name for node in self.graph.nodes() for link in node.links()}

    def picture(self) -> dict[str, Any]:
        """Everything that is known, with names for indices."""
        self.oper.recompute(self.graph)
        names = {vrf.index: vrf.name for vrf in self.oper.rib.vrfs.values()}
        labels = {self.oper.labels.find(owner): owner for owner in self.oper.labels}

        def text(value: NextHop) -> str:
            if isinstance(value, Interface):
                port = self.oper.by_vif.get(value.vif)
                return f"{port.uuid if port else value.vif} {names[value.vrf]} {value.bridge} {value.policy}"
            if isinstance(value, Flood):
                return f"{value.kind} {names[value.vrf]} {sorted(text(m.next_hop) for m in value.members)}"
            return type(value).__name__

        routes: dict[Any, Any] = {}
        for vrf in self.oper.rib.vrfs.values():
            for table, route in vrf.routes():
                paths = [(p.peer, p.attributes, labels.get(p.local.label) if p.local else None) for p in route.paths]
                routes[vrf.name, table, route.key] = (text(route.next_hop), paths, route.advert is not None)
            for mac, entry in vrf.bridge.items():
                routes[vrf.name, "bridge", mac] = (text(entry.next_hop), [], False)
        interfaces = {
            uuid: (one.why, one.vrf_name, one.ipv4_active, one.l2_active, one.policy, one.config)
            for uuid, one in self.oper.interfaces.items()
        }
        return {"routes": routes, "interfaces": interfaces, "owners": set(labels.values()), "vrfs": set(names.values())}


def sample(new_config: Any) -> tuple[Any, list[Any]]:
    config = new_config()
    config.settings("VXLAN", "MPLSoUDP")
    group = config.group("web", 8000001, [], [])
    red = config.network("red", "10.1.0.0/24", "l2_l3", 5)
    blue = config.network("blue", "10.2.0.0/24", "l3", 6)
    pairs = {
        "allowed_address_pair": [
            {"ip": {"ip_prefix": "10.1.0.100", "ip_prefix_len": 32}, "mac": "", "address_mode": "active-active"}
        ]
    }
    ports = [
        config.machine(
            "compute-1", "vm1", red, "10.1.0.3", (group,), virtual_machine_interface_allowed_address_pairs=pairs
        ),
        config.machine("compute-1", "vm2", red, "10.1.0.4"),
        config.machine("compute-1", "vm3", blue, "10.2.0.5", (group,)),
    ]
    return config, ports


def expected(new_config: Any) -> dict[str, Any]:
    config, ports = sample(new_config)
    tables = Tables()
    for port in ports:
        tables.oper.add_port(port)
    tables.apply(UPDATE, config.units)
    return tables.picture()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_any_order_of_arrival_gives_the_same_tables(new_config: Any, seed: int) -> None:
    config, ports = sample(new_config)
    rng = random.Random(seed)
    tables = Tables()
    events: list[Any] = [*config.units, *ports]
    rng.shuffle(events)
    removed = []
    for event in events:
        if hasattr(event, "vm_uuid"):
            tables.oper.add_port(event)
        else:
            tables.apply(UPDATE, [event])
            if rng.random() < 0.1:
                tables.apply(DELETE, [event])
                removed.append(event)
        if rng.random() < 0.3:
            tables.oper.recompute(tables.graph)
    tables.apply(UPDATE, removed)
    assert tables.picture() == expected(new_config)


def test_the_sample_is_worth_comparing(new_config: Any) -> None:
    picture = expected(new_config)
    assert all(why == "" for why, *_ in picture["interfaces"].values())
    assert len(picture["routes"]) > 20 and len(picture["owners"]) == 6


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_when_all_is_gone_nothing_is_left(new_config: Any, seed: int) -> None:
    config, ports = sample(new_config)
    rng = random.Random(seed)
    tables = Tables()
    empty = tables.picture()
    held = dict(tables.listener.next_hops)
    for port in ports:
        tables.oper.add_port(port)
    tables.apply(UPDATE, config.units)
    tables.oper.recompute(tables.graph)
    gone: list[Any] = [*config.units, *ports]
    rng.shuffle(gone)
    for event in gone:
        if hasattr(event, "vm_uuid"):
            tables.oper.delete_port(event.uuid)
        else:
            tables.apply(DELETE, [event])
        if rng.random() < 0.3:
            tables.oper.recompute(tables.graph)
    assert tables.picture() == empty
    assert not list(tables.graph.nodes())
    assert tables.listener.next_hops == held


# --- activation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drop", "why"),
    [
        ("virtual-machine-interface", "no configuration"),
        ("virtual-machine-interface-virtual-network", "no virtual network"),
        ("virtual-machine-interface-routing-instance", "no VRF"),
        ("virtual-network-routing-instance", "no VRF"),
    ],
)
def test_what_is_missing_keeps_an_interface_down(new_config: Any, drop: str, why: str) -> None:
    config = new_config()
    network = config.network("red", "10.1.0.0/24")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    tables = Tables()
    tables.oper.add_port(port)
    kept = [unit for unit in config.units if drop not in (getattr(unit, "metadata", ""), getattr(unit, "type", ""))]
    tables.apply(UPDATE, kept)
    tables.oper.recompute(tables.graph)
    one = tables.oper.interfaces[port.uuid]
    assert (one.active, one.why) == (False, why)
    tables.apply(UPDATE, config.units)
    tables.oper.recompute(tables.graph)
    assert tables.oper.interfaces[port.uuid].active


def test_without_an_address_an_interface_is_active_but_not_for_ipv4(new_config: Any) -> None:
    config = new_config()
    network = config.network("red", "10.1.0.0/24", "l2_l3")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    tables = Tables()
    tables.oper.add_port(port)
    tables.apply(UPDATE, [unit for unit in config.units if getattr(unit, "type", "") != "instance-ip"])
    tables.oper.recompute(tables.graph)
    one = tables.oper.interfaces[port.uuid]
    assert (one.active, one.ipv4_active, one.l2_active) == (True, False, True)


# --- path preference --------------------------------------------------------------------------------------------------


def test_the_preference_machine() -> None:
    machine = Preference()
    assert (machine.state, machine.preference, machine.sequence, machine.waits) == (State.WAIT, 100, 0, True)
    assert machine.traffic_seen(0.0)
    assert (machine.state, machine.preference, machine.sequence) == (State.SEEN, 200, 1)
    assert not machine.traffic_seen(1.0)
    assert not machine.heard(1)
    assert machine.heard(7) and (machine.preference, machine.sequence) == (100, 1)
    assert machine.traffic_seen(50.0) and (machine.preference, machine.sequence) == (200, 8)
    assert Preference(active_active=True).preference == 200
    fixed = Preference(150)
    assert fixed.preference == 150 and not fixed.traffic_seen(0.0) and not fixed.heard(9) and fixed.preference == 150


def test_flapping_is_damped() -> None:
    machine = Preference()
    now, moves = 0.0, 0
    for number in range(60):
        moves += machine.traffic_seen(now)
        machine.heard(100 + number)
        now += 0.5
    assert FLAP_LIMIT < moves < 20
    assert machine.held and machine.retry(machine.hold_until) and machine.state is State.SEEN
    machine.heard(1000)
    assert machine.traffic_seen(now + 400)


def test_held_traffic_counts_when_the_hold_is_over(new_config: Any) -> None:
    config = new_config()
    port = config.machine("compute-1", "vm1", config.network("red", "10.1.0.0/24"), "10.1.0.3")
    tables = Tables()
    tables.oper.add_port(port)
    tables.apply(UPDATE, config.units)
    tables.oper.recompute(tables.graph)
    address = parse("10.1.0.3")
    machine = tables.oper.preference(port.uuid, address, 0, False)
    for number in range(FLAP_LIMIT + 2):
        tables.oper.traffic_seen(port.uuid, address)
        machine.heard(100 * number + 100)
    assert not tables.oper.traffic_seen(port.uuid, address) and machine.preference == 100
    tables.clock.advance(40)
    assert machine.preference == 200


def test_the_table_names_every_move() -> None:
    assert set(TRANSITIONS) == {
        (State.WAIT, Event.TRAFFIC),
        (State.WAIT, Event.RETRY),
        (State.SEEN, Event.BETTER),
    }


# --- encapsulations and composites ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priorities", "offered", "chosen"),
    [
        ((Encap.VXLAN, Encap.UDP), (Encap.GRE, Encap.UDP), Encap.UDP),
        ((Encap.UDP, Encap.GRE), (Encap.GRE, Encap.UDP), Encap.UDP),
        ((), (Encap.UDP, Encap.GRE), Encap.GRE),
        ((Encap.GRE,), (Encap.VXLAN,), Encap.VXLAN),
        ((), (), Encap.GRE),
        ((Encap.UDP,), (), Encap.GRE),
    ],
)
def test_the_choice_of_encapsulation(priorities: Any, offered: Any, chosen: Encap) -> None:
    resolver = Resolver(1, Encap.GRE, lambda label: None)
    resolver.priorities = priorities
    assert resolver.encap(offered) is chosen


def members(*labels: int) -> tuple[Member, ...]:
    return tuple(Member(Tunnel(1, label, Encap.UDP), label) for label in labels)


def test_members_of_a_composite_keep_their_places() -> None:
    before = Ecmp(merge(None, members(1, 2, 3)))
    assert before.members == members(1, 2, 3)
    without = Ecmp(merge(before, members(1, 3)))
    assert [m.label if m else None for m in without.members] == [1, None, 3]
    again = Ecmp(merge(without, members(3, 9, 1, 8)))
    assert [m.label if m else None for m in again.members] == [1, 9, 3, 8]
    assert merge(again, members(1)) == members(1)


@given(st.lists(st.sets(st.integers(1, 9), min_size=1), max_size=12))
def test_a_composite_has_what_is_wanted(steps: list[set[int]]) -> None:
    value: NextHop | None = None
    for step in steps:
        places = merge(value, members(*sorted(step)))
        value = Ecmp(places)
        assert {m.label for m in places if m} == step and (not places or places[-1] is not None)


# --- small tables -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from("th"), st.integers(0, 6))))
def test_next_hops_live_while_they_are_held(steps: list[tuple[str, int]]) -> None:
    present: dict[int, NextHop] = {}

    def changed(index: int, value: NextHop, here: bool) -> None:
        assert (index in present) is not here
        if here:
            present[index] = value
        else:
            del present[index]

    table = NextHops(changed)
    held: list[NextHop] = []
    for what, number in steps:
        value: NextHop = Tunnel(1, number, Encap.UDP) if number < 5 else Ecmp(members(1, 2, number))
        if what == "t":
            table.hold(value)
            held.append(value)
        elif value in held:
            table.release(value)
            held.remove(value)
        table.settle()
    expected = set(held) | {m.next_hop for value in held if isinstance(value, Ecmp) for m in value.members if m}
    assert set(present.values()) == expected
    assert all(table.index(value) == index for index, value in present.items())


def test_a_freed_index_waits_until_the_data_plane_knows() -> None:
    table = NextHops(lambda index, value, here: None)
    one, two = Tunnel(1, 1, Encap.UDP), Tunnel(1, 2, Encap.UDP)
    first = table.hold(one)
    table.release(one)
    assert table.hold(two) != first
    table.settle()
    assert table.hold(one) == first


def test_indices_run_out_and_come_back() -> None:
    table: Indices[str] = Indices(3, 5)
    assert (table.take("a"), table.take("b"), table.take("a")) == (3, 4, 3)
    with pytest.raises(NoFreeIndex):
        table.take("c")
    assert table.release("a") == 3 and table.release("a") is None
    assert table.take("c") == 3


prefixes = st.builds(
    lambda a, n: prefix(4, a, n), st.integers(0, (1 << 32) - 1), st.sampled_from([0, 1, 8, 23, 24, 32])
)


@given(st.lists(st.tuples(st.booleans(), prefixes), max_size=40), st.integers(0, (1 << 32) - 1))
def test_the_longest_prefix_is_the_naive_one(steps: list[tuple[bool, Prefix]], address: int) -> None:
    table: PrefixTable[Prefix] = PrefixTable()
    naive: set[Prefix] = set()
    for add, key in steps:
        if add:
            table.set(key, key)
            naive.add(key)
        else:
            assert (table.pop(key) is not None) is (key in naive)
            naive.discard(key)
    for target in (address, *(key.address for key in naive)):
        found = [key for key in naive if key.covers(target)]
        assert table.longest(4, target) == max(found, key=lambda key: key.length, default=None)


def test_prefixes_as_text() -> None:
    assert parse("10.1.2.3/24").text == "10.1.2.0/24"
    assert parse("2001:db8::1").text == "2001:db8::1/128"
    for bad in ("10.0.0.0/33", "x", "10.0.0.0/", "10.0.0.0/-1"):
        with pytest.raises(ValueError):
            parse(bad)


def test_label_ranges_of_the_reference() -> None:
    assert multicast_range(0, 5120, 4096) == (4609, 5119)
    assert multicast_range(1, 5120, 4096) == (4098, 4608)
    assert multicast_range(0, 100000, 4096) == (95904, 99999)


# --- access lists -----------------------------------------------------------------------------------------------------


def end(address: str, port: int = 1, **more: Any) -> Endpoint:
    found = parse(address)
    return Endpoint(found.version, found.address, port, **more)


ANY = AddressMatch()


def test_first_match_decides_and_no_match_denies() -> None:
    deny = Rule("d", 6, ANY, (), ANY, ((22, 22),), Verdict.DENY)
    allow = Rule("p", -1, AddressMatch((parse("10.0.0.0/8"),)), (), ANY, (), Verdict.PASS)
    lists = [AccessList("a", "", (deny, allow))]
    here, there = end("10.1.1.1"), end("192.0.2.1", 22)
    assert judge(lists, 6, here, there).rule == "d"
    assert judge(lists, 17, here, there).rule == "p"
    assert judge(lists, 17, there, here).verdict is Verdict.DENY
    assert judge([], 17, there, here).verdict is Verdict.PASS
    assert judge([AccessList("a", "", ())], 17, there, here).verdict is Verdict.DENY


def test_what_an_address_match_looks_at() -> None:
    assert AddressMatch(vn="any").matches(end("10.0.0.1"))
    assert AddressMatch(vn="red").matches(end("10.0.0.1", vns=("blue", "red")))
    assert not AddressMatch(vn="red").matches(end("10.0.0.1"))
    assert AddressMatch(security_group=7).matches(end("10.0.0.1", security_groups=(7,)))
    assert not AddressMatch(security_group=7).matches(end("10.0.0.1", security_groups=(8,)))
    assert AddressMatch(security_group=-1).matches(end("10.0.0.1"))
    assert not AddressMatch((parse("10.0.0.0/8"),)).matches(end("2001:db8::1"))
    six = Rule("", -1, ANY, (), ANY, (), Verdict.PASS, 6)
    assert not six.matches(17, end("10.0.0.1"), end("10.0.0.2"))


def test_a_link_to_a_node_of_an_unknown_type_is_dropped() -> None:
    """As the real agent's parser drops it: it has no table for that end (reference/xmpp.md 3.2)."""
    tables = Tables()
    port, network = NodeName("virtual-machine-interface", "p"), NodeName("virtual-network", "n")
    nonsense = NodeName("nonsense", "x")
    for left, right in ((port, nonsense), (nonsense, port), (nonsense, nonsense)):
        tables.apply(UPDATE, [ConfigLink(left, right, "virtual-machine-interface-virtual-network")])
    assert len(tables.graph) == 0 and tables.receiver.counters["unknown types"] == 3
    tables.apply(UPDATE, [ConfigLink(port, network, "virtual-machine-interface-virtual-network")])
    assert tables.links() == {"virtual-machine-interface-virtual-network"}
    tables.apply(DELETE, [ConfigLink(network, port, "virtual-machine-interface-virtual-network")])
    assert len(tables.graph) == 0
