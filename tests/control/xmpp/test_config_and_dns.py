"""Configuration and DNS messages: what is left out and why, batches, subscriptions (reference/xmpp.md 3, 4)."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import config_message, dns_message
from contrail_emulator.control.xmpp.config_message import (
    Change,
    ConfigLink,
    ConfigMessage,
    ConfigNode,
    NodeName,
    VmSubscribe,
    VrSubscribe,
)
from contrail_emulator.control.xmpp.dns_message import DnsEntry, DnsMessageError, DnsUpdate
from contrail_emulator.control.xmpp.pubsub import Subscribe, Unsubscribe
from contrail_emulator.control.xmpp.stanza import StanzaError, parse

GOOD_LINK = (
    '<link><node type="a"><name>1</name></node><node type="b"><name>2</name></node><metadata type="a-b"/></link>'
)


def read(body: str, kind: str = "set") -> config_message.ReadConfig | None:
    return config_message.read(parse(f'<iq type="{kind}" to="x/config">{body}</iq>'.encode()))


@pytest.mark.parametrize(
    "bad",
    [
        '<node type="a"/>',
        '<node type="a"><value/><name>x</name></node>',
        '<node type="a"><name/></node>',
        "<node><name>x</name></node>",
        '<link><node type="a"><name>1</name></node></link>',
        '<link><node type="a"><name>1</name></node><metadata type="m"/><node type="b"><name>2</name></node></link>',
        '<link><node type="a"><name>1</name></node><node type="b"/><metadata type="m"/></link>',
        '<link><node type="a"><name>1</name></node><node type="b"><name>2</name></node></link>',
        '<link><node type="a"><name>1</name></node><node type="b"><name>2</name></node><metadata/></link>',
        "<link/>",
        "<other/>",
    ],
)
def test_a_bad_node_or_link_is_left_out_with_a_word(bad: str) -> None:
    found = read(f'<config><update>{bad}<node type="a"><name>x</name></node></update></config>')
    assert found is not None
    assert list(found.message.changes()) == [Change("update", ConfigNode("a", "x"))]
    assert len(found.faults) == 1 and found.faults[0]


def test_several_config_elements_and_blocks_in_order() -> None:
    found = read(
        f"<other/><config><update>{GOOD_LINK}</update><delete>{GOOD_LINK}</delete></config>"
        f'<config><update><node type="a"><name>1</name></node></update></config>'
    )
    assert found is not None
    link = ConfigLink(NodeName("a", "1"), NodeName("b", "2"), "a-b")
    assert list(found.message.changes()) == [
        Change("update", link),
        Change("delete", link),
        Change("update", ConfigNode("a", "1")),
    ]


@pytest.mark.parametrize(("body", "kind"), [("<pubsub/>", "set"), ("", "set"), ("<config/>", "get"), ("<config/>", "")])
def test_what_is_no_configuration(body: str, kind: str) -> None:
    assert read(body, kind) is None


def test_an_unknown_block() -> None:
    found = read("<config><replace/></config>")
    assert found is not None and found.message == ConfigMessage(()) and found.faults == ("<replace> in config",)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["update", "delete"]), st.booleans()), max_size=60), st.integers(2, 20))
def test_batches_keep_order_and_limits(history: list[tuple[str, bool]], limit: int) -> None:
    changes = []
    for at, (operation, link) in enumerate(history):
        name = NodeName("a", str(at))
        changes.append(Change(operation, ConfigLink(name, NodeName("b", "x"), "m") if link else ConfigNode(*name)))
    messages = list(config_message.batches(changes, limit))
    assert [change for message in messages for change in message.changes()] == changes
    for message in messages:
        assert 0 < sum(change.unit.units for change in message.changes()) <= limit
        operations = [block.operation for block in message.blocks]
        assert all(left != right for left, right in pairwise(operations))
    sizes = [sum(change.unit.units for change in message.changes()) for message in messages]
    assert all(size >= limit - 1 for size in sizes[:-1]), "a message is filled before the next begins"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Subscribe("virtual-router:default-global-system-config:c7"), VrSubscribe("default-global-system-config:c7")),
        (Subscribe("virtual-machine:1234"), VmSubscribe("1234")),
        (Unsubscribe("virtual-machine:1234"), VmSubscribe("1234", False)),
        (Unsubscribe("virtual-router:default-global-system-config:c7"), None),
        (Subscribe("virtual-router:"), None),
        (Subscribe("virtual-network:x"), None),
        (Subscribe("virtual-machine"), None),
        (Subscribe(""), None),
    ],
)
def test_subscriptions(form: Subscribe | Unsubscribe, expected: object) -> None:
    assert config_message.subscription(form) == expected


def test_names_are_escaped() -> None:
    name = 'a "quoted" <name> & more'
    message = ConfigMessage.of([Change("update", ConfigNode("virtual-network", name))])
    found = config_message.read(parse(config_message.write(message, 'c"7')))
    assert found is not None
    assert list(found.message.changes()) == [Change("update", ConfigNode("virtual-network", name))]


# --- DNS --------------------------------------------------------------------------------------------------------------


def dns(body: str, kind: str = "set") -> object:
    return dns_message.read(parse(f'<iq type="{kind}">{body}</iq>'.encode()))


ENTRY = "<entry><class>1</class><type>1</type><name>vm</name></entry>"
HEAD = "<virtual-dns>v</virtual-dns><zone>z</zone>"


@pytest.mark.parametrize(
    "body",
    [
        f'<dns transid="1"><update>{HEAD}<extra/></update></dns>',
        f'<dns transid="1"><update>{HEAD}{ENTRY.replace("<name>", "<flags/><name>")}</update></dns>',
        f'<dns transid="1"><update>{HEAD}{ENTRY.replace(">1<", ">x<")}</update></dns>',
        f'<dns transid="1"><update>{HEAD}{ENTRY.replace(">1<", ">-1<")}</update></dns>',
        f'<dns transid="1"><update>{HEAD}{ENTRY.replace(">1<", "><")}</update></dns>',
        f'<dns transid="1"><update>{HEAD}{ENTRY.replace("</name>", "</name><ttl>4294967296</ttl>")}</update></dns>',
        f'<dns transid="one"><update>{HEAD}</update></dns>',
        f"<dns><update>{HEAD}</update></dns>",
        '<dns transid="1"><notify/></dns>',
        f'<dns transid="1"><response><update>{HEAD}</update></response></dns>',
        f'<dns transid="1"><response code="x"><update>{HEAD}</update></response></dns>',
        '<dns transid="1"><query><zone>z</zone></query></dns>',
    ],
)
def test_a_bad_dns_message_is_rejected_as_a_whole(body: str) -> None:
    with pytest.raises(DnsMessageError) as caught:
        dns(body)
    assert 0 < len(str(caught.value)) < 200


@pytest.mark.parametrize("body", ["", "<pubsub/>", '<dns transid="1"/>', '<dns transid="1"><response code="0"/></dns>'])
def test_what_is_no_dns_message(body: str) -> None:
    assert dns(body) is None
    assert dns_message.read(parse(b"<message></message>")) is None


def test_order_and_absence_in_an_entry() -> None:
    found = dns(
        f'<dns transid="9"><update><zone>z</zone><entry><name>vm</name><priority>3</priority><type>28</type>'
        f"<class>255</class></entry>{ENTRY}<virtual-dns>v</virtual-dns></update></dns>"
    )
    assert found == DnsUpdate(9, "v", "z", (DnsEntry(255, 28, "vm", "", dns_message.ABSENT, 3), DnsEntry(1, 1, "vm")))


@pytest.mark.parametrize(
    ("entry", "delete"),
    [
        (DnsEntry(254, 1, "vm", "", 0), True),
        (DnsEntry(255, 255, "vm", "", 0), True),
        (DnsEntry(255, 1, "vm", "", 5), False),
        (DnsEntry(255, 1, "vm"), False),
        (DnsEntry(1, 1, "vm", "10.0.0.1", 0), False),
    ],
)
def test_deletes(entry: DnsEntry, delete: bool) -> None:
    assert entry.is_delete is delete


def test_at_most_twenty_entries() -> None:
    entries = tuple(DnsEntry(1, 1, f"vm{at}", "10.0.0.1", 60) for at in range(21))
    DnsUpdate(1, "v", "z", entries[:20]).to_bytes("c7/dns")
    with pytest.raises(ValueError, match="21 entries"):
        DnsUpdate(1, "v", "z", entries).to_bytes("c7/dns")


def test_transaction_ids_skip_zero() -> None:
    assert [dns_message.next_transaction_id(last) for last in (0, 1, 65534, 65535)] == [1, 2, 65535, 1]


pieces = st.lists(
    st.sampled_from(
        [
            "<dns transid='1'>", "</dns>", "<update>", "</update>", "<entry>", "</entry>", "<name>x</name>", "<config>",
            "</config>", "<delete>", "</delete>", "<node type='a'>", "</node>", "<link>", "</link>", "<metadata/>", "x",
        ]
    ),
    max_size=16,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(pieces)
def test_any_tree_is_read_or_rejected(body: str) -> None:
    try:
        stanza = parse(f'<iq type="set">{body}</iq>'.encode())
    except StanzaError:
        return
    found = config_message.read(stanza)
    assert found is None or len(found.message.blocks) <= body.count("<delete>") + body.count("<update>")
    try:
        dns_message.read(stanza)
    except DnsMessageError as error:
        assert str(error)
