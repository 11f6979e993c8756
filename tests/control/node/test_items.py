"""Items in, paths, items out: nothing an agent says is lost on the way (reference/xmpp.md 2.3, 2.4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from control.node.conftest import BLUE, NETWORK, Bench, hop, mac, route, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.channels.private_values import read_all
from contrail_emulator.control.routing import Source, SourceKind
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, MvpnEntry, NextHop, UnicastEntry

HASH_FIELDS = (
    "l3-source-address", "l3-destination-address", "l4-protocol", "l4-source-port", "l4-destination-port",
)  # fmt: skip
u32 = st.integers(0, 0xFFFFFFFF)
labels = st.integers(1, 0xFFFFF)
groups = st.lists(st.integers(1, 0xFFFFFFFF), max_size=4, unique=True)
encapsulations = st.lists(st.sampled_from(["gre", "udp", "mpls", "nvgre", "native"]), min_size=1, unique=True)
addresses = st.integers(1, 0xFFFFFFFE).map(lambda number: str(IPv4Address(number)))
macs = (
    st.binary(min_size=6, max_size=6).filter(lambda raw: any(raw) and raw != b"\xff" * 6).map(lambda raw: raw.hex(":"))
)


@st.composite
def unicast_entries(draw: st.DrawFn) -> UnicastEntry:
    if draw(st.booleans()):
        length = draw(st.integers(0, 32))
        number = draw(u32) >> (32 - length) << (32 - length) if length else 0
        family, prefix = ItemFamily.INET, f"{IPv4Address(number)}/{length}"
    else:
        length = draw(st.integers(0, 128))
        number = draw(st.integers(0, 2**128 - 1)) >> (128 - length) << (128 - length) if length else 0
        family, prefix = ItemFamily.INET6, f"{IPv6Address(number)}/{length}"
    sequence = draw(u32)
    return UnicastEntry(
        family,
        prefix,
        next_hops=(
            NextHop(
                draw(addresses),
                draw(labels),
                tuple(draw(encapsulations)),
                tags=tuple(draw(groups)),
            ),
        ),
        sticky=draw(st.booleans()),
        mobility_sequence=sequence,
        sequence_number=draw(st.just(sequence)),
        security_groups=tuple(draw(groups)),
        community_tags=tuple(
            draw(
                st.lists(st.sampled_from(["no-export", "no-reoriginate", "accept-own", "64512:7", "1:2"]), unique=True)
            )
        ),
        local_preference=draw(st.integers(1, 0xFFFFFFFF)),
        med=draw(st.integers(1, 0xFFFFFFFF)),
        load_balance_fields=tuple(name for name in HASH_FIELDS if draw(st.booleans())),
        load_balance_decision=draw(st.sampled_from(["field-hash", "source-bias"])),
    )


@st.composite
def enet_entries(draw: st.DrawFn) -> EnetEntry:
    vxlan = draw(st.booleans())
    bits = draw(st.sampled_from(["none", "inet", "inet6", "type 5"]))
    address = "00:00:00:00:00:00" if bits == "type 5" else draw(macs)
    prefix = {
        "none": "0.0.0.0/32",
        "inet": draw(addresses) + "/32",
        "inet6": f"{IPv6Address(draw(st.integers(1, 2**128 - 1)))}/128",
        "type 5": "10.9.0.0/16",
    }[bits]
    sequence = draw(u32)
    return EnetEntry(
        address,
        prefix,
        ethernet_tag=draw(st.integers(0, 0xFFFFFFFF)),
        next_hops=(
            NextHop(
                draw(addresses),
                draw(st.integers(0, 0xFFFFFF if vxlan else 0xFFFFF)),
                ("vxlan",) if vxlan else tuple(draw(encapsulations)),
                tags=tuple(draw(groups)),
                mac=draw(st.one_of(st.just(""), macs)),
                l3_label=0 if bits == "type 5" else draw(st.integers(0, 0xFFFFF)),
            ),
        ),
        sticky=draw(st.booleans()),
        mobility_sequence=sequence,
        sequence_number=sequence,
        security_groups=tuple(draw(groups)),
        local_preference=draw(st.integers(1, 0xFFFFFFFF)),
        med=draw(st.integers(1, 0xFFFFFFFF)),
        etree_leaf=draw(st.booleans()),
    )


def echo(bench: Bench, entry: Any) -> Any:
    """What the publisher hears of its own route."""
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.publish(entry)
    bench.flush()
    items, _ = agent.hear()
    assert agent.channel.last_error == ""
    (element,) = items.values()
    return (
        UnicastEntry.from_xml(element, entry.family) if isinstance(entry, UnicastEntry) else EnetEntry.from_xml(element)
    )


def ordered(entry: Any) -> Any:
    """With what has no order sorted: it travels as sets."""
    (first,) = entry.next_hops
    changes = {
        "next_hops": (
            first._replace(encapsulations=tuple(sorted(first.encapsulations)), tags=tuple(sorted(first.tags))),
        ),
        "security_groups": tuple(sorted(entry.security_groups)),
    }
    if isinstance(entry, UnicastEntry):
        changes["community_tags"] = tuple(sorted(entry.community_tags))
    return entry._replace(**changes)


@settings(max_examples=60, deadline=None)
@given(entry=unicast_entries(), asn=st.sampled_from([64512, 4200000000]))
def test_every_field_of_a_unicast_item_survives(entry: UnicastEntry, asn: int) -> None:
    found = ordered(echo(Bench(autonomous_system=asn), entry))
    fields = entry.load_balance_fields
    if entry.load_balance_decision == "field-hash" and set(fields) in (set(), set(HASH_FIELDS)):
        fields = ()
    elif not fields:
        fields = HASH_FIELDS
    wanted = ordered(entry)
    wanted = wanted._replace(
        load_balance_fields=fields,
        virtual_network=NETWORK,
        next_hops=(wanted.next_hops[0]._replace(virtual_network=NETWORK),),
    )
    assert found == wanted


@settings(max_examples=60, deadline=None)
@given(entry=enet_entries(), asn=st.sampled_from([64512, 4200000000]))
def test_every_field_of_an_evpn_item_survives(entry: EnetEntry, asn: int) -> None:
    found = ordered(echo(Bench(autonomous_system=asn), entry))
    assert found == ordered(entry)._replace(group="0.0.0.0", source="0.0.0.0", virtual_network=NETWORK)


def test_med_follows_local_preference_only_where_contrail_does(make_bench: Callable[..., Bench]) -> None:
    for preference, derived in ((0, 0), (100, 200), (200, 100), (300, 0xFFFFFFFF - 300)):
        assert echo(make_bench(), route(local_preference=preference)).med == derived
        assert echo(make_bench(RFC), route(local_preference=preference)).med == 0
    assert echo(make_bench(), route(local_preference=100, med=7)).med == 7


@pytest.mark.parametrize(("text", "printed"), [("LlgrStale", "llgr-stale"), ("NoLlgr", "no-llgr")])
def test_llgr_names_round_trip_unless_the_defect_is_on(
    text: str, printed: str, make_bench: Callable[..., Bench]
) -> None:
    slip = dataclasses.replace(CONTRAIL, llgr_names_do_not_round_trip=True)
    for behaviour, again in ((CONTRAIL, (printed,)), (slip, ())):
        assert echo(make_bench(behaviour), route(community_tags=(text,))).community_tags == (printed,)
        assert echo(make_bench(behaviour), route(community_tags=(printed,))).community_tags == again


def test_unreadable_communities_are_skipped(bench: Bench) -> None:
    assert echo(bench, route(community_tags=("what", "64512:70000", "", "64512:7"))).community_tags == ("64512:7",)


def test_no_known_encapsulation_makes_a_route_unusable(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.publish(UnicastEntry(ItemFamily.INET, "10.1.1.3/32", next_hops=(hop(1, 25, "pigeon"),)))
    bench.flush()
    assert agent.hear() == ({}, [])
    assert bench.paths(f"{BLUE}.inet.0", "10.1.1.3/32")[0]["flags"] == "NoTunnelEncap"


def test_a_label_without_any_encapsulation_goes_out_as_gre(bench: Bench) -> None:
    found = echo(bench, UnicastEntry(ItemFamily.INET, "10.1.1.3/32", next_hops=(NextHop("192.0.2.1", 25),)))
    assert found.next_hops[0].encapsulations == ("gre",)


def test_ecmp_of_two_agents(bench: Bench) -> None:
    bench.add_instance()
    agents = [bench.agent(number) for number in (1, 2)]
    for number, agent in enumerate(agents, 1):
        agent.subscribe(instance_id=number)
        agent.publish(route(number=number, label=20 + number))
    bench.flush()
    items, _ = agents[0].hear()
    entry = UnicastEntry.from_xml(items["1/1 10.1.1.3/32"], ItemFamily.INET)
    assert {(one.address, one.label, one.virtual_network) for one in entry.next_hops} == {
        ("192.0.2.1", 21, NETWORK),
        ("192.0.2.2", 22, NETWORK),
    }


# --- Multicast --------------------------------------------------------------------------------------------------------


def test_trees_of_three_agents(bench: Bench) -> None:
    """Each agent hears of itself: its own label, and whom it sends to (reference/xmpp.md 2.4)."""
    bench.add_instance()
    agents = [bench.agent(number) for number in (1, 2, 3)]
    for number, agent in enumerate(agents, 1):
        agent.subscribe(instance_id=number)
        agent.publish(tree(number, f"{number}000-{number}999"))
    bench.flush()
    told = {}
    for number, agent in enumerate(agents, 1):
        items, _ = agent.hear()
        (ident,) = items
        assert ident == f"1/241 192.0.2.{number}:{number}:255.255.255.255,0.0.0.0"
        entry = McastEntry.from_xml(items[ident])
        assert entry.next_hops == () and entry.source_label == number * 1000
        told[number] = {(one.address, one.label, one.encapsulations) for one in entry.olist}
    both = ("gre", "udp")
    assert told[1] == {("192.0.2.2", "2000", both), ("192.0.2.3", "3000", both)}
    assert told[2] == told[3] == {("192.0.2.1", "1000", both)}
    agents[0].publish(tree(1, "1000-1999"), add=False)
    bench.flush()
    assert agents[0].hear()[1] == ["192.0.2.1:1:255.255.255.255,0.0.0.0"]
    assert len(agents[1].hear()[0]) == 1
    for agent in agents[1:]:
        agent.unsubscribe()
    bench.flush()
    assert bench.prefixes(f"{BLUE}.ermvpn.0") == [] and len(bench.core.label_blocks) == 0


def test_broadcast_lists_of_two_agents(bench: Bench) -> None:
    bench.add_instance()
    agents = [bench.agent(number) for number in (1, 2)]
    everyone = "ff:ff:ff:ff:ff:ff"
    for number, agent in enumerate(agents, 1):
        agent.subscribe(instance_id=number)
        agent.publish(mac(everyone, "0.0.0.0/32", number, ethernet_tag=5001, edge_replication_not_supported=True))
    bench.flush()
    items, _ = agents[0].hear()
    (ident,) = items
    assert ident == f"25/242 5001-{everyone},0.0.0.0/32"
    entry = EnetEntry.from_xml(items[ident])
    assert entry.next_hops == () and entry.leaf_olist == ()
    assert [(one.address, one.label, one.encapsulations) for one in entry.olist] == [("192.0.2.2", 5001, ("vxlan",))]
    assert (entry.virtual_network, entry.local_preference, entry.med) == (NETWORK, 100, 0)
    agents[1].channel.closed()
    bench.flush()
    assert agents[0].hear()[1] == [f"5001-{everyone},0.0.0.0/32"]


def test_assisted_replication(bench: Bench) -> None:
    """A leaf gets no list, its replicator gets the leaf on a list of its own."""
    bench.add_instance()
    replicator, leaf = bench.agent(1), bench.agent(2)
    everyone = "ff:ff:ff:ff:ff:ff"
    replicator.subscribe(instance_id=1)
    leaf.subscribe(instance_id=2)
    replicator.publish(
        mac(everyone, "0.0.0.0/32", 1, assisted_replication_supported=True, edge_replication_not_supported=True)
    )
    leaf.publish(mac(everyone, "0.0.0.0/32", 2, replicator_address="192.0.2.1"))
    bench.flush()
    items, _ = replicator.hear()
    entry = EnetEntry.from_xml(next(iter(items.values())))
    assert entry.olist == () and [one.address for one in entry.leaf_olist] == ["192.0.2.2"]
    assert leaf.hear() == ({}, [])


@pytest.mark.parametrize(
    ("entry", "prefix"),
    [
        (MvpnEntry("232.1.1.1", "10.1.1.9"), "7-0:0,64512,10.1.1.9,232.1.1.1"),
        (MvpnEntry("232.1.1.1", "10.1.1.9", 5), "5-0:0,10.1.1.9,232.1.1.1"),
    ],
)
def test_mvpn_items_are_kept_and_shown_and_not_usable(entry: MvpnEntry, prefix: str, bench: Bench) -> None:
    bench.add_instance()
    agents = [bench.agent(1), bench.agent(2)]
    for agent in agents:
        agent.subscribe()
        agent.publish(entry)
    bench.flush()
    assert bench.prefixes(f"{BLUE}.mvpn.0") == [prefix]
    paths = bench.paths(f"{BLUE}.mvpn.0", prefix)
    assert [path["source"] for path in paths] == ["compute-1", "compute-2"]
    assert {path["flags"] for path in paths} == {"ResolveNexthop"}
    assert bench.prefixes("bgp.mvpn.0") == [] and agents[0].hear() == ({}, [])
    for agent in agents:
        agent.publish(entry, add=False)
    bench.flush()
    assert bench.prefixes(f"{BLUE}.mvpn.0") == []


def test_selective_multicast_is_the_control_nodes_own_route(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    entry = mac("ff:ff:ff:ff:ff:ff", "0.0.0.0/32", group="239.1.1.1", source="10.1.1.9", ethernet_tag=7)
    agent.publish(entry)
    bench.flush()
    (prefix,) = bench.prefixes(f"{BLUE}.evpn.0")
    assert prefix == "6-10.255.0.1:1-7-10.1.1.9-239.1.1.1-10.255.0.1"
    assert bench.paths(f"{BLUE}.evpn.0", prefix)[0]["flags"] == "CheckGlobalErmVpnRoute"
    assert agent.hear() == ({}, [])
    agent.publish(entry, add=False)
    bench.flush()
    assert bench.prefixes(f"{BLUE}.evpn.0") == []


# --- Out: what only BGP peers bring -----------------------------------------------------------------------------------


def from_bgp(bench: Bench, extra: tuple[bytes, ...] = (), **fields: Any) -> UnicastEntry:
    """What an agent hears of a route in its instance that a BGP peer told."""
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    target = ext_community.route_target("target:64512:8")
    source = Source(SourceKind.BGP, "gateway", router_id=1, address=bytes([203, 0, 113, 1]))
    parts: dict[str, Any] = {"local_pref": 100, "ext_communities": (target, *extra), **fields}
    attributes = Attributes.make(**parts)
    key = bytes.fromhex("0001c00002630001") + b"\x20" + bytes([10, 7, 0, 1])
    bench.core.update("bgp.l3vpn.0", source, key, attributes, bytes.fromhex("000191"))
    bench.flush()
    items, _ = agent.hear()
    return UnicastEntry.from_xml(items["1/1 10.7.0.1/32"], ItemFamily.INET)


def test_a_path_without_a_next_hop_still_makes_an_item(bench: Bench) -> None:
    assert from_bgp(bench).next_hops[0].address == "0.0.0.0"


def test_security_groups_of_others(make_bench: Callable[..., Bench]) -> None:
    def heard(*extra: bytes) -> tuple[int, ...]:
        return from_bgp(make_bench(), extra, next_hop=bytes([192, 0, 2, 99])).security_groups

    ours, foreign = ext_community.security_group(64512, 8000001), ext_community.security_group(64513, 8000002)
    assert heard(ours, foreign, ext_community.security_group(64513, 5)) == (8000001, 5), "5 is global"
    assert heard(ours, *ext_community.paired(ext_community.SECURITY_GROUP, 4200000000, (8000003,))) == ()


def test_an_ipv6_next_hop_is_of_family_2(bench: Bench) -> None:
    found = from_bgp(bench, next_hop=IPv6Address("2001:db8::1").packed)
    assert (found.next_hops[0].address, found.next_hops[0].af) == ("2001:db8::1", 2)


def test_mpls_over_gre_is_written_gre(bench: Bench) -> None:
    found = from_bgp(bench, (ext_community.encapsulation("mpls-o-gre"),), next_hop=bytes([192, 0, 2, 99]))
    assert found.next_hops[0].encapsulations == ("gre",)
    assert found.next_hops[0].label == 25 and found.next_hops[0].virtual_network == NETWORK


@given(
    values=st.lists(st.integers(1, 0xFFFFFFFF), max_size=5, unique=True),
    asn=st.sampled_from([64512, 70000, 4200000000]),
)
def test_private_values_are_read_as_they_were_written(values: list[int], asn: int) -> None:
    raw = ext_community.paired(ext_community.TAG, asn, values)
    assert sorted(read_all(sorted(raw), ext_community.read_tag)) == sorted((asn, value) for value in values)


def test_a_wide_value_alone_stands_for_itself() -> None:
    wide = ext_community.security_group(4200000000, 77)
    assert read_all((wide,), ext_community.read_security_group) == [(4200000000, 77)]
