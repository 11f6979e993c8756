"""What we emit has the shapes of the reference (order, types, optionality); any entry renders and reads to itself."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from contrail_emulator.control.xmpp import config_message, dns_message, pubsub, stanza
from contrail_emulator.control.xmpp.config_message import Change, ConfigLink, ConfigNode, NodeName
from contrail_emulator.control.xmpp.dns_message import ABSENT, DnsEntry, DnsQuery, DnsUpdate
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_rules import read, read_notified
from contrail_emulator.control.xmpp.items import COMPACT, TABBED, EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import Layout, NextHop, OlistNextHop

Validate = Callable[[bytes], None]

number = st.integers(0, 2**32 - 1)
# Texts of names: what XML can carry; a carriage return or a tab would come back as a line feed or a space.
name = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
word = name.filter(lambda text: bool(text))
encapsulations = st.lists(st.sampled_from(["gre", "udp", "vxlan", "mpls", "native"]), max_size=3).map(tuple)
address4 = st.ip_addresses(v=4).map(str)
address6 = st.ip_addresses(v=6).map(str)
mac = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
texts = st.lists(name, max_size=2).map(tuple)
numbers = st.lists(number, max_size=3).map(tuple)
unicast_hop = st.builds(
    NextHop, address4, number, encapsulations, name, numbers, mac, number, st.just(0), number, st.sampled_from([1, 2])
)
enet_hop = st.builds(
    NextHop, address4, number, encapsulations, st.just(""), numbers, mac, st.just(0), number, number, st.just(1)
)
ranges = st.tuples(number, number).map(lambda pair: f"{pair[0]}-{pair[1]}")
tree_hop = st.builds(OlistNextHop, address4, ranges | number.map(str), encapsulations, st.just(1))
join_hop = st.builds(OlistNextHop, address4, number.map(str), encapsulations, number)


def prefixes(address: st.SearchStrategy[str], longest: int) -> st.SearchStrategy[str]:
    return st.tuples(address, st.integers(0, longest)).map(lambda pair: f"{pair[0]}/{pair[1]}")


def hops(hop: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(hop, max_size=3).map(tuple)


def unicast(family: ItemFamily, prefix: st.SearchStrategy[str]) -> st.SearchStrategy[UnicastEntry]:
    return st.builds(
        UnicastEntry,
        st.just(family),
        prefix,
        hops(unicast_hop),
        number,
        name,
        st.booleans(),
        number,
        number,
        numbers,
        texts,
        number,
        number,
        texts,
        word,
        word,
    )


inet = unicast(ItemFamily.INET, prefixes(address4, 32))
labelled = unicast(ItemFamily.INET_LABELED, prefixes(address4, 32))
inet6 = unicast(ItemFamily.INET6, prefixes(address6, 128))
enet = st.builds(
    EnetEntry,
    mac,
    prefixes(address4, 32) | prefixes(address6, 128) | st.just(""),
    number,
    address4 | st.just(""),
    address4 | st.just(""),
    number,
    hops(enet_hop),
    hops(enet_hop),
    name,
    st.booleans(),
    number,
    number,
    numbers,
    number,
    number,
    st.booleans(),
    st.booleans(),
    hops(enet_hop),
    name,
    st.booleans(),
)
mcast = st.builds(McastEntry, address4, address4, number, address4 | st.just(""), hops(tree_hop), hops(tree_hop))
mvpn = st.builds(MvpnEntry, address4, address4, st.sampled_from([5, 7]), join_hop, hops(join_hop))
entries: st.SearchStrategy[Entry] = inet | labelled | inet6 | enet | mcast | mvpn
layouts = st.sampled_from([COMPACT, TABBED])


@settings(max_examples=100, deadline=None)
@given(entry=entries, layout=layouts)
def test_any_entry_reads_to_itself(entry: Entry, layout: Layout) -> None:
    assert read(entry.family, etree.fromstring(entry.to_xml(layout))) == entry


@settings(max_examples=40, deadline=None)
@given(entry=entries, instance=word, ident=word)
def test_any_item_message_has_the_shape(validate: Validate, entry: Entry, instance: str, ident: str) -> None:
    message = pubsub.message_header("agent") + pubsub.items_body(
        entry.family.node(instance), [(ident, entry.to_xml(TABBED))] * 2
    )
    validate(message)
    form = pubsub.read(stanza.parse(message))
    assert isinstance(form, pubsub.Items)
    assert form.node == entry.family.node(instance)
    assert [found for found, _ in form.items] == [ident] * 2
    assert [read(entry.family, element) for _, element in form.items] == [entry] * 2


@settings(max_examples=40, deadline=None)
@given(entry=entries, node=word, sender=word, ident=word)
def test_any_publish_has_the_shape(validate: Validate, entry: Entry, node: str, sender: str, ident: str) -> None:
    node = entry.family.node(node)
    message = pubsub.Publish.write(node, [entry.to_xml()], sender, "control/bgp-peer", ident)
    validate(message)
    found = stanza.parse(message)
    form = pubsub.read(found)
    assert (found.from_, found.id) == (sender, ident)
    assert isinstance(form, pubsub.Publish)
    assert (form.node, [read(entry.family, element) for element in form.entries]) == (node, [entry])


@settings(max_examples=25, deadline=None)
@given(node=word, instance_id=st.integers(0, 2**31), no_ribout=st.booleans(), leave=st.booleans())
def test_any_subscription(validate: Validate, node: str, instance_id: int, no_ribout: bool, leave: bool) -> None:
    form = (pubsub.Unsubscribe if leave else pubsub.Subscribe)(node, instance_id, no_ribout)
    message = form.to_bytes("agent", "control/bgp-peer", "subscribe1")
    validate(message)
    assert pubsub.read(stanza.parse(message)) == form


@settings(max_examples=25, deadline=None)
@given(instance=word, node=word, associate=st.booleans())
def test_any_collection(validate: Validate, instance: str, node: str, associate: bool) -> None:
    form = pubsub.Collection(instance, f"1/1/{node}", associate)
    message = form.to_bytes("agent", "control/bgp-peer", "collection1")
    validate(message)
    assert pubsub.read(stanza.parse(message)) == form


@settings(max_examples=25, deadline=None)
@given(node=word, ids=st.lists(word, min_size=1, max_size=5))
def test_any_retract(validate: Validate, node: str, ids: list[str]) -> None:
    message = pubsub.message_header("agent") + pubsub.retract_body(f"1/1/{node}", ids)
    validate(message)
    assert pubsub.read(stanza.parse(message)) == pubsub.Retract(f"1/1/{node}", tuple(ids))


node_names = st.builds(NodeName, word, word)
properties = st.lists(
    st.sampled_from([b"<display-name>red</display-name>", b"<id-perms><enable>true</enable></id-perms>"]), max_size=2
).map(tuple)
nodes = st.tuples(word, word, properties).map(lambda parts: ConfigNode(*parts))
bare_nodes = st.tuples(word, word).map(lambda parts: ConfigNode(*parts))
updates = st.builds(Change, st.just("update"), nodes)
deletes = st.builds(Change, st.just("delete"), bare_nodes)
links = st.builds(Change, st.sampled_from(["update", "delete"]), st.builds(ConfigLink, node_names, node_names, word))


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(updates | deletes | links, min_size=1, max_size=40))
def test_any_configuration(validate: Validate, changes: list[Change]) -> None:
    read_back: list[Change] = []
    for message in config_message.batches(changes):
        assert sum(change.unit.units for change in message.changes()) <= config_message.MAX_UNITS
        text = config_message.write(message, "default-global-system-config:compute-7")
        validate(text)
        found = config_message.read(stanza.parse(text))
        assert found is not None and found.faults == ()
        read_back += found.message.changes()
    assert [(change.operation, _identity(change.unit)) for change in read_back] == [
        (change.operation, _identity(change.unit)) for change in changes
    ]


def _identity(unit: config_message.Unit) -> object:
    if isinstance(unit, ConfigLink):
        return unit
    elements = [etree.tostring(element, with_tail=False) for element in unit.elements]
    return unit.type, unit.name, elements or list(unit.properties)


records = st.builds(
    DnsEntry,
    st.sampled_from([1, 254, 255]),
    st.integers(1, 255),
    name,
    name,
    number | st.just(ABSENT),
    number | st.just(ABSENT),
)


@settings(max_examples=100, deadline=None)
@given(
    transaction=st.integers(1, 65535),
    virtual_dns=name,
    zone=name,
    held=st.lists(records, max_size=20).map(tuple),
    code=st.none() | st.integers(0, 9),
    query=st.booleans(),
)
def test_any_dns_message(
    validate: Validate,
    transaction: int,
    virtual_dns: str,
    zone: str,
    held: tuple[DnsEntry, ...],
    code: int | None,
    query: bool,
) -> None:
    message: DnsUpdate | DnsQuery
    if query:
        message = DnsQuery(transaction, virtual_dns, held, code)
    else:
        message = DnsUpdate(transaction, virtual_dns, zone, held, code)
    text = message.to_bytes("compute-7/dns")
    validate(text)
    assert dns_message.read(stanza.parse(text)) == message


@pytest.mark.parametrize("broken", [b"<label>x</label>", b"<mac></mac><af>1</af>", b""])
def test_the_schema_can_fail(validate: Validate, broken: bytes) -> None:
    entry = UnicastEntry(ItemFamily.INET, "10.0.0.0/8", (NextHop("192.0.2.1", 3),)).to_xml(TABBED)
    message = pubsub.message_header("agent") + pubsub.items_body("1/1/red", [("1", entry)])
    with pytest.raises(etree.DocumentInvalid):
        validate(message.replace(b"<label>3</label>", broken))


@settings(max_examples=100, deadline=None)
@given(entry=inet | inet6)
def test_an_agent_takes_any_unicast_entry_with_a_next_hop(entry: UnicastEntry) -> None:
    if entry.next_hops:
        assert read_notified(entry.family, etree.fromstring(entry.to_xml())) == entry
