"""Quirks of the pubsub forms, and the merging of IQ pairs (reference/xmpp.md 2.2, 2.3, 2.4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import item_id, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_id import EnetKey, GroupKey
from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, MvpnEntry, UnicastEntry
from contrail_emulator.control.xmpp.pairing import PublishedItems, PublishPairing
from contrail_emulator.control.xmpp.stanza import parse

RED_3 = pubsub.Subscribe("red", 3)
RED_SILENT = pubsub.Subscribe("red", -1, True)
NS = "http://jabber.org/protocol/pubsub"


def iq(body: str, kind: str = "set", namespace: str = f' xmlns="{NS}"') -> pubsub.PubSub:
    return pubsub.read(parse(f'<iq type="{kind}"><pubsub{namespace}>{body}</pubsub></iq>'.encode()))


def message(body: str) -> pubsub.PubSub:
    return pubsub.read(parse(f'<message><event xmlns="{NS}">{body}</event></message>'.encode()))


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ('<subscribe node="red"/>', pubsub.Subscribe("red")),
        ('<subscribe node="red"/><options><instance-id>3</instance-id></options>', pubsub.Subscribe("red", 3)),
        ("<subscribe node='red'><options><instance-id> 3 </instance-id></options></subscribe>", RED_3),
        ('<subscribe node="red"><options><instance-id>x</instance-id></options></subscribe>', pubsub.Subscribe("red")),
        ("<subscribe node='red'><options><no-ribout>true</no-ribout></options></subscribe>", RED_SILENT),
        ('<subscribe node="red"><options><no-ribout>1</no-ribout></options></subscribe>', pubsub.Subscribe("red")),
        ('<subscribe node="red"><options><other/></options></subscribe>', pubsub.Subscribe("red")),
        ("<subscribe/>", pubsub.Subscribe("")),
        ('<subscribe node="red"/><unsubscribe node="blue"/>', pubsub.Subscribe("red")),
        ('<unsubscribe node="red"/>', pubsub.Unsubscribe("red")),
        ('<collection node="red"><associate node="1/1/x"/></collection>', pubsub.Collection("red", "1/1/x", True)),
        ("<collection node='r'><note/><dissociate node='1/1/x'/></collection>", pubsub.Collection("r", "1/1/x", False)),
        ('<collection node="red"><associate/></collection>', pubsub.Collection("red", "", True)),
        ('<collection node="red"/>', pubsub.EmptyCollection("red")),
        ("<collection/>", pubsub.EmptyCollection()),
        ('<publish node="1/1/x"/>', pubsub.Publish("1/1/x")),
        ("<retract/>", pubsub.Unknown("action 'retract'")),
        ("<create node='x'/>", pubsub.Unknown("action 'create'")),
        ("", pubsub.Unknown("no action in pubsub")),
    ],
)
def test_iqs(body: str, form: pubsub.PubSub) -> None:
    assert iq(body) == form
    assert iq(body, namespace="") == form, "the receivers know no namespaces"


@pytest.mark.parametrize("kind", ["get", "result", "error", ""])
def test_only_type_set_counts(kind: str) -> None:
    assert iq('<subscribe node="red"/>', kind) == pubsub.Unknown(f"iq type {kind!r}")


def test_an_iq_without_pubsub() -> None:
    assert pubsub.read(parse(b'<iq type="set"><query/></iq>')) == pubsub.Unknown("no action in pubsub")
    assert pubsub.read(parse(b'<iq type="set"></iq>')) == pubsub.Unknown("no action in pubsub")


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ("", pubsub.EndOfRib("empty")),
        ("<other/>", pubsub.EndOfRib("empty")),
        ('<items node="0/0/EndOfRib"/>', pubsub.EndOfRib("message")),
        ('<items node="1/1/red"><retract id="a"/></items>', pubsub.Retract("1/1/red", ("a",))),
        ('<items node="1/1/r"><item id="b"><entry/></item><retract id="a"/></items>', pubsub.Retract("1/1/r", ("a",))),
        ('<items node="1/1/red"><retract x="1" id="a"/><retract id="c"/></items>', pubsub.Retract("1/1/red", ("c",))),
        ('<items node="1/1/red"><retract/></items>', pubsub.Retract("1/1/red", ())),
    ],
)
def test_messages(body: str, form: pubsub.PubSub) -> None:
    assert message(body) == form


def test_items_may_be_none_at_all() -> None:
    form = message('<items node="1/1/red"><other/></items>')
    assert isinstance(form, pubsub.Items)
    assert (form.node, form.items) == ("1/1/red", ())


def test_a_message_without_event() -> None:
    assert pubsub.read(parse(b"<message><body>hello</body></message>")) == pubsub.Unknown("message without event")


def test_items_without_entry_stand_for_themselves() -> None:
    form = message('<items node="1/1/red"><item id="a"><nlri/></item><item id="b"><entry><x/></entry></item></items>')
    assert isinstance(form, pubsub.Items)
    assert [(ident, len(element)) for ident, element in form.items] == [("a", 1), ("b", 1)]


# --- Pairs ------------------------------------------------------------------------------------------------------------


def publish(node: str, items: int = 1) -> pubsub.Publish:
    form = iq(f'<publish node="{node}">{"<item><entry/></item>" * items}</publish>')
    assert isinstance(form, pubsub.Publish)
    return form


def test_a_pair_is_merged() -> None:
    pairing, first = PublishPairing(), publish("1/1/x", 2)
    assert pairing.take(first) is None
    assert pairing.take(pubsub.Collection("red", "1/1/x", True)) == PublishedItems("red", "1/1/x", True, first.entries)
    assert pairing.take(pubsub.Collection("red", "1/1/x", True)) is None, "a publish counts once"
    assert pairing.dropped == 1


def test_a_second_publish_replaces_the_first() -> None:
    pairing = PublishPairing()
    pairing.take(publish("1/1/x"))
    second = publish("1/1/y")
    assert pairing.take(second) is None
    assert pairing.dropped == 1
    assert pairing.take(pubsub.Collection("red", "1/1/x", False)) is None, "byte for byte"
    assert pairing.take(pubsub.Collection("red", "1/1/y", False)) == PublishedItems(
        "red", "1/1/y", False, second.entries
    ), "a collection that does not match leaves the publish pending"


@pytest.mark.parametrize("collection", [pubsub.EmptyCollection(), pubsub.Collection("red", "", True)])
def test_an_empty_pair_is_end_of_rib(collection: pubsub.Collection | pubsub.EmptyCollection) -> None:
    pairing = PublishPairing()
    pairing.take(publish("", 0))
    assert pairing.take(collection) == pubsub.EndOfRib("publish")


def test_items_need_associate_or_dissociate() -> None:
    pairing = PublishPairing()
    pairing.take(publish("", 1))
    assert pairing.take(pubsub.EmptyCollection("red")) is None
    assert pairing.dropped == 1


steps = st.lists(
    st.tuples(st.sampled_from(["publish", "empty", "collect", "close"]), st.sampled_from(["1/1/x", "1/1/y", ""])),
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_every_form_is_handed_on_or_counted(history: list[tuple[str, str]]) -> None:
    pairing, handed, publishes, collections = PublishPairing(), 0, 0, 0
    for action, node in history:
        form: pubsub.Publish | pubsub.Collection | pubsub.EmptyCollection
        if action in ("publish", "empty"):
            publishes += 1
            form = publish(node, 1 if action == "publish" else 0)
        else:
            collections += 1
            form = pubsub.Collection("red", node, True) if action == "collect" else pubsub.EmptyCollection()
        if pairing.take(form) is not None:
            handed += 1
    assert handed <= min(publishes, collections)
    assert collections - handed <= pairing.dropped <= publishes + collections - 2 * handed


# --- Nodes and ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (item_id.unicast_node(ItemFamily.INET, "red", "10.1.1.3/32"), "1/1/red/10.1.1.3/32"),
        (item_id.unicast_node(ItemFamily.INET_LABELED, "fabric", "10.1.1.3/32", 0), "1/4/fabric/10.1.1.3/32/0"),
        (item_id.enet_node("02:aa:bb:cc:dd:01", "10.1.1.3/32"), "25/242/02:aa:bb:cc:dd:01,10.1.1.3/32"),
        (
            item_id.enet_group_node("232.1.1.1", "232.1.1.1", "10.1.1.9"),
            "25/242/232.1.1.1,0.0.0.0/32,232.1.1.1,10.1.1.9",
        ),
        (item_id.multicast_node(ItemFamily.MVPN, "red", "232.1.1.1"), "1/5/red/232.1.1.1"),
    ],
)
def test_nodes(node: str, expected: str) -> None:
    assert node == expected


@pytest.mark.parametrize(
    ("node", "number"),
    [
        ("1/1/fabric/10.1.1.3/32/7", 7),
        ("1/4/fabric/10.1.1.3/32/7", 7),
        ("1/1/fabric/10.1.1.3/32", 0),
        ("2/1/fabric/2001:db8::3/128/7", 0),
        ("1/1/fabric/10.1.1.3/32/x", 0),
        ("1/1", 0),
    ],
)
def test_primary_instance_id(node: str, number: int) -> None:
    assert item_id.primary_instance_id(node) == number


@pytest.mark.parametrize(
    ("entry", "ident"),
    [
        (UnicastEntry(ItemFamily.INET, "10.1.1.3/32"), "10.1.1.3/32"),
        (EnetEntry("02:aa:bb:cc:dd:01", "10.1.1.3/32", 5001), "5001-02:aa:bb:cc:dd:01,10.1.1.3/32"),
        (EnetEntry("02:aa:bb:cc:dd:01", ""), "02:aa:bb:cc:dd:01,0.0.0.0/32"),
        (EnetEntry("02:aa:bb:cc:dd:01", "2001:db8::3/128", 0, "0.0.0.0"), "02:aa:bb:cc:dd:01,2001:db8::3/128"),
        (
            EnetEntry("00:00:00:00:00:00", "", 7, "232.1.1.1", "10.1.1.9"),
            "7-00:00:00:00:00:00,0.0.0.0/32,232.1.1.1,10.1.1.9",
        ),
        (McastEntry("255.255.255.255"), "192.0.2.8:3:255.255.255.255,0.0.0.0"),
        (MvpnEntry("232.1.1.1", "10.1.1.9"), "0:0:232.1.1.1,10.1.1.9"),
    ],
)
def test_ids(entry: UnicastEntry | EnetEntry | McastEntry | MvpnEntry, ident: str) -> None:
    assert item_id.entry_id(entry, "192.0.2.8:3") == ident


@pytest.mark.parametrize(
    ("ident", "key"),
    [
        ("5001-02:aa:bb:cc:dd:01,10.1.1.3/32", EnetKey(5001, "02:aa:bb:cc:dd:01", "10.1.1.3/32")),
        ("02:aa:bb:cc:dd:01,10.1.1.3/32", EnetKey(0, "02:aa:bb:cc:dd:01", "10.1.1.3/32")),
        ("7-0:0:0:0:0:0,0.0.0.0/32,232.1.1.1,1.1.1.1", EnetKey(7, "0:0:0:0:0:0", "0.0.0.0/32", "232.1.1.1", "1.1.1.1")),
        ("x-02:aa:bb:cc:dd:01,10.1.1.3/32", None),
        ("02:aa:bb:cc:dd:01", None),
        ("02:aa:bb:cc:dd:01,10.1.1.3", None),
        ("a,b/1,c", None),
        ("", None),
    ],
)
def test_enet_ids_are_read(ident: str, key: EnetKey | None) -> None:
    assert item_id.read_enet_id(ident) == key


@pytest.mark.parametrize(
    ("ident", "key"),
    [
        ("192.0.2.8:3:255.255.255.255,0.0.0.0", GroupKey("255.255.255.255", "0.0.0.0")),
        ("0:0:232.1.1.1,10.1.1.9", GroupKey("232.1.1.1", "10.1.1.9")),
        ("232.1.1.1,10.1.1.9", None),
        ("0:0:232.1.1.1", None),
        ("", None),
    ],
)
def test_group_ids_are_read(ident: str, key: GroupKey | None) -> None:
    assert item_id.read_group_id(ident) == key


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_as_id(ident: str) -> None:
    assert item_id.read_enet_id(ident) is None or "," in ident
    assert item_id.read_group_id(ident) is None or ident.count(":") >= 2
    assert item_id.primary_instance_id(ident) >= 0
