"""Every form on the wire against a file written by hand from reference/xmpp.md, byte for byte but for white space."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from contrail_emulator.control.xmpp import config_message, dns_message, item_id, pubsub, stanza, stream
from contrail_emulator.control.xmpp.config_message import Block, ConfigLink, ConfigMessage, ConfigNode, NodeName
from contrail_emulator.control.xmpp.dns_message import DnsEntry, DnsQuery, DnsUpdate
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_rules import read_notified, read_published
from contrail_emulator.control.xmpp.items import TABBED, EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry
from contrail_emulator.control.xmpp.names import MASTER_INSTANCE, virtual_router_name
from contrail_emulator.control.xmpp.next_hop import NextHop, OlistNextHop

GOLDEN = Path(__file__).parent / "golden"
AGENT = "compute-7"
CONTROL_NODE = "network-control@contrailsystems.com"
BGP = f"{CONTROL_NODE}/bgp-peer"
RED = "default-domain:demo:red:red"
RED_NETWORK = "default-domain:demo:red"
GROUP = ("gre", "udp")
MACHINE = "6d7c3a52-11aa-4c6e-9d55-0b2c8f6f0a01"
ROUTER = "default-global-system-config:compute-7"

PUBLISHED_INET = UnicastEntry(
    ItemFamily.INET,
    "10.1.1.3/32",
    (NextHop("192.0.2.7", 25, GROUP, RED_NETWORK, (65537,), "52:54:00:aa:00:07"),),
    security_groups=(8000002,),
    local_preference=100,
)
PUBLISHED_INET6 = UnicastEntry(
    ItemFamily.INET6, "2001:db8::3/128", (NextHop("192.0.2.7", 25, ("udp",), RED_NETWORK),), local_preference=200
)
PUBLISHED_MAC = EnetEntry(
    "02:aa:bb:cc:dd:01",
    "10.1.1.3/32",
    next_hops=(NextHop("192.0.2.7", 5001, ("vxlan",)),),
    security_groups=(8000002,),
    local_preference=100,
)
PUBLISHED_BROADCAST = EnetEntry(
    "ff:ff:ff:ff:ff:ff",
    "0.0.0.0/32",
    5001,
    next_hops=(NextHop("192.0.2.7", 5001, ("vxlan",)),),
    local_preference=100,
)
PUBLISHED_TREE = McastEntry("255.255.255.255", next_hops=(OlistNextHop("192.0.2.7", "4100-4999", GROUP),))
PUBLISHED_JOIN = MvpnEntry("232.1.1.1", "10.1.1.9", 7, OlistNextHop("192.0.2.7", "0"))

PUBLISHED_LABELLED = UnicastEntry(
    ItemFamily.INET_LABELED,
    "10.255.0.7/32",
    (NextHop("192.0.2.7", 25, ("mpls",), "default-domain:default-project:ip-fabric"),),
    local_preference=100,
)
PUBLISHED_PREFIX = EnetEntry(
    "00:00:00:00:00:00",
    "10.1.1.0/24",
    next_hops=(NextHop("192.0.2.7", 5001, ("vxlan",), mac="52:54:00:aa:00:07"),),
    local_preference=200,
    etree_leaf=True,
)
PUBLISHED_SELECTIVE = EnetEntry(
    "ff:ff:ff:ff:ff:ff",
    "0.0.0.0/32",
    group="232.1.1.1",
    source="10.1.1.9",
    next_hops=(NextHop("192.0.2.7", 5001, ("vxlan",)),),
    local_preference=100,
    edge_replication_not_supported=True,
    assisted_replication_supported=True,
    replicator_address="192.0.2.200",
)

NOTIFIED_INET = UnicastEntry(
    ItemFamily.INET,
    "10.1.1.3/32",
    (NextHop("192.0.2.7", 25, GROUP, RED_NETWORK, (65537,)),),
    virtual_network=RED_NETWORK,
    security_groups=(8000002,),
    local_preference=100,
    med=200,
)
NOTIFIED_INET6 = UnicastEntry(
    ItemFamily.INET6,
    "2001:db8::3/128",
    (NextHop("192.0.2.7", 25, ("udp",), "unresolved"),),
    virtual_network="unresolved",
    local_preference=200,
    med=100,
)
NOTIFIED_ECMP = UnicastEntry(
    ItemFamily.INET,
    "10.1.1.0/24",
    (
        NextHop("192.0.2.7", 25, ("gre",), RED_NETWORK, (65537, 131073)),
        NextHop("192.0.2.9", 31, ("udp", "native"), "default-domain:demo:blue"),
    ),
    virtual_network=RED_NETWORK,
    sticky=True,
    mobility_sequence=7,
    sequence_number=7,
    security_groups=(4, 8000002),
    community_tags=("no-export", "64512:7"),
    local_preference=200,
    med=100,
    load_balance_fields=("l3-source-address", "l4-protocol"),
    load_balance_decision="source-bias",
)
NOTIFIED_MAC = EnetEntry(
    "02:aa:bb:cc:dd:01",
    "10.1.1.3/32",
    5001,
    "0.0.0.0",
    "0.0.0.0",
    next_hops=(NextHop("192.0.2.7", 5001, ("vxlan",)),),
    virtual_network=RED_NETWORK,
    sticky=True,
    mobility_sequence=4,
    sequence_number=4,
    local_preference=100,
    med=200,
)
NOTIFIED_BROADCAST = EnetEntry(
    "ff:ff:ff:ff:ff:ff",
    "0.0.0.0/32",
    5001,
    "0.0.0.0",
    "0.0.0.0",
    olist=(NextHop("192.0.2.9", 5001, ("vxlan",)),),
    virtual_network=RED_NETWORK,
    local_preference=100,
    med=200,
)
NOTIFIED_LABELLED = UnicastEntry(
    ItemFamily.INET_LABELED,
    "10.255.0.7/32",
    (NextHop("192.0.2.7", 3, ("gre",), "default-domain:default-project:ip-fabric"),),
    virtual_network="default-domain:default-project:ip-fabric",
    local_preference=100,
    med=200,
)
NOTIFIED_TREE = McastEntry(
    "255.255.255.255", source_label=5002, olist=(OlistNextHop("192.0.2.7", "4101", ("gre",)),)
)
NOTIFIED_JOIN = MvpnEntry("232.1.1.1", "10.1.1.9")

CONFIG = ConfigMessage(
    (
        Block(
            "update",
            (
                ConfigNode(
                    "virtual-router", ROUTER, (b"<virtual-router-ip-address>192.0.2.7</virtual-router-ip-address>",)
                ),
                ConfigNode("virtual-machine", MACHINE),
                ConfigLink(
                    NodeName("virtual-router", ROUTER),
                    NodeName("virtual-machine", MACHINE),
                    "virtual-router-virtual-machine",
                ),
                ConfigNode(
                    "virtual-machine-interface-routing-instance",
                    f"attr(default-domain:demo:port-1,{RED})",
                    (b"<value><direction>both</direction></value>",),
                ),
            ),
        ),
        Block(
            "delete",
            (
                ConfigLink(
                    NodeName("virtual-machine-interface", "default-domain:demo:port-1"),
                    NodeName("security-group", "default-domain:demo:old"),
                    "virtual-machine-interface-security-group",
                ),
                ConfigNode("security-group", "default-domain:demo:old"),
            ),
        ),
    )
)
UPDATE = DnsUpdate(
    17,
    "default-domain:vdns1",
    "example.org",
    (DnsEntry(1, 1, "vm1", "10.1.1.3", 86400, 0), DnsEntry(254, 1, "vm0", "10.1.1.2", 0, 0)),
)
RESPONSE = DnsUpdate(17, "default-domain:vdns1", "example.org", (), 0)
QUERY = DnsQuery(18, "default-domain:vdns1", (DnsEntry(1, 1, "vm1"),))
ANSWER = DnsQuery(18, "default-domain:vdns1", (DnsEntry(1, 1, "vm1", "10.1.1.3", 86400, 0),), 0)

RETRACTED = {
    ItemFamily.INET: ("10.1.1.3/32", "10.1.1.4/32"),
    ItemFamily.INET_LABELED: ("10.255.0.7/32",),
    ItemFamily.INET6: ("2001:db8::3/128", "2001:db8::/64"),
    ItemFamily.E_VPN: (
        item_id.enet_id(5001, "02:aa:bb:cc:dd:01", "10.1.1.3/32"),
        item_id.enet_id(0, "02:aa:bb:cc:dd:01", ""),
        item_id.enet_id(0, "00:00:00:00:00:00", "10.1.1.0/24"),
        item_id.enet_id(0, "ff:ff:ff:ff:ff:ff", "0.0.0.0/32", "232.1.1.1", "10.1.1.9"),
    ),
    ItemFamily.ERM_VPN: (item_id.mcast_id("192.0.2.8:3", "255.255.255.255", "0.0.0.0"),),
    ItemFamily.MVPN: (item_id.mvpn_id("232.1.1.1", "10.1.1.9"),),
}
FILES = {
    ItemFamily.INET: "inet",
    ItemFamily.INET_LABELED: "labelled",
    ItemFamily.INET6: "inet6",
    ItemFamily.E_VPN: "evpn",
    ItemFamily.ERM_VPN: "ermvpn",
    ItemFamily.MVPN: "mvpn",
}

INET_NODE = item_id.unicast_node(ItemFamily.INET, RED, "10.1.1.3/32")
MAC_NODE = item_id.enet_node("02:aa:bb:cc:dd:01", "10.1.1.3/32")


def publish(node: str, entry: Entry, ident: str) -> bytes:
    return pubsub.Publish.write(node, [entry.to_xml()], AGENT, BGP, ident)


def notify(family: ItemFamily, entries: list[tuple[str, Entry]]) -> bytes:
    body = pubsub.items_body(family.node(RED), [(ident, entry.to_xml(TABBED)) for ident, entry in entries])
    return pubsub.message_header("compute-8") + body


EMITTED = {
    "agent-stream-open": stream.open_bytes(AGENT, CONTROL_NODE),
    "agent-stream-open-subcluster": stream.open_bytes(AGENT, CONTROL_NODE, "edge-1"),
    "agent-stream-open-dns": stream.open_bytes("compute-7/dns", "network-dns@contrailsystems.com"),
    "control-node-stream-reply": stream.reply_bytes("ctrl-1", AGENT),
    "control-node-features": stream.FEATURES,
    "agent-starttls": stream.STARTTLS,
    "control-node-proceed": stream.PROCEED,
    "agent-subscribe": pubsub.Subscribe(RED, 3).to_bytes(AGENT, BGP, "subscribe4"),
    "agent-subscribe-no-ribout": pubsub.Subscribe(RED, 3, True).to_bytes(AGENT, BGP, "subscribe5"),
    "agent-unsubscribe": pubsub.Unsubscribe(RED, 3).to_bytes(AGENT, BGP, "subscribe6"),
    "agent-publish-inet": publish(INET_NODE, PUBLISHED_INET, "pubsub11"),
    "agent-associate-inet": pubsub.Collection(RED, INET_NODE, True).to_bytes(AGENT, BGP, "collection11"),
    "agent-dissociate-inet": pubsub.Collection(RED, INET_NODE, False).to_bytes(AGENT, BGP, "collection12"),
    "agent-publish-inet6": publish(
        item_id.unicast_node(ItemFamily.INET6, RED, "2001:db8::3/128"), PUBLISHED_INET6, "pubsub13"
    ),
    "agent-publish-evpn-mac": publish(MAC_NODE, PUBLISHED_MAC, "pubsub_l25"),
    "agent-associate-evpn-mac": pubsub.Collection(RED, MAC_NODE, True).to_bytes(AGENT, BGP, "collection_l25"),
    "agent-publish-evpn-broadcast": publish(
        item_id.enet_group_node("255.255.255.255", "255.255.255.255", "0.0.0.0"), PUBLISHED_BROADCAST, "pubsub_l26"
    ),
    "agent-publish-evpn-prefix": publish(
        item_id.enet_node("00:00:00:00:00:00", "10.1.1.0/24"), PUBLISHED_PREFIX, "pubsub_l27"
    ),
    "agent-publish-evpn-selective": publish(
        item_id.enet_group_node("232.1.1.1", "232.1.1.1", "10.1.1.9"), PUBLISHED_SELECTIVE, "pubsub_l28"
    ),
    "agent-publish-labelled": publish(
        item_id.unicast_node(ItemFamily.INET_LABELED, MASTER_INSTANCE, "10.255.0.7/32", 1),
        PUBLISHED_LABELLED,
        "pubsub16",
    ),
    "agent-publish-ermvpn": publish(
        item_id.multicast_node(ItemFamily.ERM_VPN, RED, "255.255.255.255"), PUBLISHED_TREE, "pubsub_b14"
    ),
    "agent-publish-mvpn": publish(
        item_id.multicast_node(ItemFamily.MVPN, RED, "232.1.1.1"), PUBLISHED_JOIN, "pubsub_b15"
    ),
    "agent-end-of-rib-publish": pubsub.end_of_rib_pair(AGENT, BGP).splitlines()[0],
    "agent-end-of-rib-collection": pubsub.end_of_rib_pair(AGENT, BGP).splitlines()[1],
    "agent-end-of-rib-message": pubsub.end_of_rib_message(AGENT, BGP),
    "control-node-end-of-rib": pubsub.message_header(AGENT) + pubsub.end_of_rib_body(),
    "control-node-end-of-rib-empty": pubsub.message_header(AGENT) + pubsub.empty_event_body(),
    "control-node-items-inet": notify(ItemFamily.INET, [("10.1.1.3/32", NOTIFIED_INET)]),
    "control-node-items-inet-ecmp": notify(ItemFamily.INET, [("10.1.1.0/24", NOTIFIED_ECMP)]),
    "control-node-items-inet6": notify(ItemFamily.INET6, [("2001:db8::3/128", NOTIFIED_INET6)]),
    "control-node-items-labelled": notify(ItemFamily.INET_LABELED, [("10.255.0.7/32", NOTIFIED_LABELLED)]),
    "control-node-items-evpn": notify(
        ItemFamily.E_VPN,
        [(item_id.entry_id(entry), entry) for entry in (NOTIFIED_MAC, NOTIFIED_BROADCAST)],
    ),
    "control-node-items-ermvpn": notify(
        ItemFamily.ERM_VPN, [(item_id.entry_id(NOTIFIED_TREE, "192.0.2.8:3"), NOTIFIED_TREE)]
    ),
    "control-node-items-mvpn": notify(ItemFamily.MVPN, [(item_id.entry_id(NOTIFIED_JOIN), NOTIFIED_JOIN)]),
    **{
        f"control-node-retract-{FILES[family]}": pubsub.message_header("compute-8")
        + pubsub.retract_body(family.node(RED), ids)
        for family, ids in RETRACTED.items()
    },
    "agent-subscribe-virtual-router": config_message.VrSubscribe(ROUTER).to_bytes(AGENT),
    "agent-subscribe-virtual-machine": config_message.VmSubscribe(MACHINE).to_bytes(AGENT),
    "agent-unsubscribe-virtual-machine": config_message.VmSubscribe(MACHINE, False).to_bytes(AGENT),
    "control-node-config": config_message.write(CONFIG, virtual_router_name(AGENT)),
    "agent-dns-update": UPDATE.to_bytes("compute-7/dns"),
    "dns-update-response": RESPONSE.to_bytes("dns-1", "compute-7/dns/dns-peer"),
    "agent-dns-query": QUERY.to_bytes("compute-7/dns"),
    "dns-query-response": ANSWER.to_bytes("dns-1", "compute-7/dns/dns-peer"),
}
TABBED_FORMS = sorted(
    name for name in EMITTED if name.startswith("control-node-") and name != "control-node-end-of-rib-empty"
)


def bare(text: bytes) -> bytes:
    """Without the white space between elements, and self-closed elements in one spelling."""
    return re.sub(rb"\s*/>", b"/>", re.sub(rb">\s+<", b"><", text.strip()))


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.xml").read_bytes()


def read(name: str) -> pubsub.PubSub:
    return pubsub.read(stanza.parse(golden(name)))


def test_every_golden_file_is_emitted() -> None:
    assert {path.stem for path in GOLDEN.glob("*.xml")} == set(EMITTED)


@pytest.mark.parametrize("name", sorted(EMITTED))
def test_emitted(name: str) -> None:
    assert bare(EMITTED[name]) == bare(golden(name))


@pytest.mark.parametrize("name", [name for name, text in EMITTED.items() if b"<iq" in text or b"<message" in text])
def test_the_schema_holds_for_the_file(validate: Callable[[bytes], None], name: str) -> None:
    validate(golden(name))


@pytest.mark.parametrize("name", TABBED_FORMS)
def test_a_control_node_lays_out_with_tabs(name: str) -> None:
    assert EMITTED[name].strip() == golden(name).strip()


@pytest.mark.parametrize("name", [name for name in TABBED_FORMS if "items" in name or "retract" in name])
def test_route_messages_stand_between_newlines(name: str) -> None:
    assert EMITTED[name].startswith(b"\n<message ")
    assert EMITTED[name].endswith(b"</message>\n")


def test_a_declaration_stands_only_where_the_reference_has_one() -> None:
    declared = {name for name, text in EMITTED.items() if text.lstrip().startswith(b"<?xml")}
    assert declared == {
        "control-node-features",
        "agent-starttls",
        "control-node-proceed",
        "control-node-config",
        "agent-dns-update",
        "dns-update-response",
        "agent-dns-query",
        "dns-query-response",
    }


@pytest.mark.parametrize("name", sorted(EMITTED))
def test_no_root_is_closed_in_itself(name: str) -> None:
    text = EMITTED[name].strip()
    if b"<iq" in text or b"<message" in text:
        assert text.endswith((b"</iq>", b"</message>"))


@pytest.mark.parametrize("name", [name for name in EMITTED if "stream" in name])
def test_stream_namespace_is_the_last_attribute(name: str) -> None:
    assert re.search(rb'xmlns:stream="http://etherx\.jabber\.org/streams" *>$', EMITTED[name])


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("agent-publish-inet", PUBLISHED_INET),
        ("agent-publish-inet6", PUBLISHED_INET6),
        ("agent-publish-evpn-mac", PUBLISHED_MAC),
        ("agent-publish-evpn-broadcast", PUBLISHED_BROADCAST),
        ("agent-publish-evpn-prefix", PUBLISHED_PREFIX),
        ("agent-publish-evpn-selective", PUBLISHED_SELECTIVE),
        ("agent-publish-labelled", PUBLISHED_LABELLED),
        ("agent-publish-ermvpn", PUBLISHED_TREE),
        ("agent-publish-mvpn", PUBLISHED_JOIN),
    ],
)
def test_published_items_are_read(name: str, entry: Entry) -> None:
    form = read(name)
    assert isinstance(form, pubsub.Publish)
    assert [read_published(entry.family, element) for element in form.entries] == [entry]


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("control-node-items-inet", [NOTIFIED_INET]),
        ("control-node-items-inet-ecmp", [NOTIFIED_ECMP]),
        ("control-node-items-inet6", [NOTIFIED_INET6]),
        ("control-node-items-labelled", [NOTIFIED_LABELLED]),
        ("control-node-items-evpn", [NOTIFIED_MAC, NOTIFIED_BROADCAST]),
        ("control-node-items-ermvpn", [NOTIFIED_TREE]),
        ("control-node-items-mvpn", [NOTIFIED_JOIN]),
    ],
)
def test_notified_items_are_read(name: str, entries: list[Entry]) -> None:
    form = read(name)
    assert isinstance(form, pubsub.Items)
    assert [read_notified(entries[0].family, element) for _, element in form.items] == entries
    assert form.node == entries[0].family.node(RED)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("agent-subscribe", pubsub.Subscribe(RED, 3)),
        ("agent-subscribe-no-ribout", pubsub.Subscribe(RED, 3, True)),
        ("agent-unsubscribe", pubsub.Unsubscribe(RED, 3)),
        ("agent-associate-inet", pubsub.Collection(RED, INET_NODE, True)),
        ("agent-dissociate-inet", pubsub.Collection(RED, INET_NODE, False)),
        ("agent-end-of-rib-publish", pubsub.Publish("")),
        ("agent-end-of-rib-collection", pubsub.EmptyCollection()),
        ("agent-end-of-rib-message", pubsub.EndOfRib("message")),
        ("control-node-end-of-rib", pubsub.EndOfRib("message")),
        ("control-node-end-of-rib-empty", pubsub.EndOfRib("empty")),
        *(
            (f"control-node-retract-{FILES[family]}", pubsub.Retract(family.node(RED), ids))
            for family, ids in RETRACTED.items()
        ),
        ("agent-subscribe-virtual-router", pubsub.Subscribe(f"virtual-router:{ROUTER}")),
        ("agent-unsubscribe-virtual-machine", pubsub.Unsubscribe(f"virtual-machine:{MACHINE}")),
    ],
)
def test_forms_are_read(name: str, form: pubsub.PubSub) -> None:
    assert read(name) == form


def test_configuration_is_read() -> None:
    found = config_message.read(stanza.parse(golden("control-node-config")))
    assert found is not None
    assert found.faults == ()
    assert [(change.operation, change.unit[:2]) for change in found.message.changes()] == [
        (change.operation, change.unit[:2]) for change in CONFIG.changes()
    ]
    router = found.message.blocks[0].units[0]
    assert isinstance(router, ConfigNode)
    assert [(element.tag, element.text) for element in router.elements] == [("virtual-router-ip-address", "192.0.2.7")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("agent-dns-update", UPDATE),
        ("dns-update-response", RESPONSE),
        ("agent-dns-query", QUERY),
        ("dns-query-response", ANSWER),
    ],
)
def test_dns_messages_are_read(name: str, message: DnsUpdate | DnsQuery) -> None:
    assert dns_message.read(stanza.parse(golden(name))) == message
