"""Bad items, with the outcome that reference/xmpp.md 6 gives for each side and family."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.item_rules import check_next_hops, read_notified, read_published
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop, OlistNextHop

HOP = NextHop("192.0.2.7", 25, ("gre",), tags=(1,))
TREE = OlistNextHop("192.0.2.7", "4100-4999", ("gre",))
GOOD: dict[ItemFamily, Entry] = {
    ItemFamily.INET: UnicastEntry(ItemFamily.INET, "10.1.1.3/32", (HOP,), security_groups=(5,)),
    ItemFamily.INET_LABELED: UnicastEntry(ItemFamily.INET_LABELED, "10.1.1.3/32", (HOP,), security_groups=(5,)),
    ItemFamily.INET6: UnicastEntry(ItemFamily.INET6, "2001:db8::3/128", (HOP,), security_groups=(5,)),
    ItemFamily.E_VPN: EnetEntry(
        "02:aa:bb:cc:dd:01", "10.1.1.3/32", 0, "", "", 0, (HOP,), security_groups=(5,), local_preference=100
    ),
    ItemFamily.ERM_VPN: McastEntry("255.255.255.255", "0.0.0.0", 7, "", (TREE,), (OlistNextHop("192.0.2.9", "77"),)),
    ItemFamily.MVPN: MvpnEntry(
        "232.1.1.1", "10.1.1.9", 7, OlistNextHop("192.0.2.7", "0"), (OlistNextHop("192.0.2.9", "77"),)
    ),
}
UNICAST = (ItemFamily.INET, ItemFamily.INET_LABELED, ItemFamily.INET6)

Change = tuple[str, str]


def changed(family: ItemFamily, old: str, new: str) -> etree._Element:
    text = GOOD[family].to_xml().decode()
    assert old in text, f"{old} is not in the good item"
    return etree.fromstring(text.replace(old, new, 1))


# What makes a control node drop an item, by what is wrong: syntax and nlri.
SYNTAX_UNICAST: list[Change] = [
    ("<label>25</label>", "<label>x</label>"),
    ("<label>25</label>", "<label>-1</label>"),
    ("<label>25</label>", "<label> 25</label>"),
    ("<label>25</label>", "<label>0x19</label>"),
    ("<label>25</label>", "<label>2.5</label>"),
    ("<vni>0</vni>", "<vni>none</vni>"),
    ("<tag>1</tag>", "<tag>a</tag>"),
    ("<security-group>5</security-group>", "<security-group>five</security-group>"),
    ("<local-preference>0</local-preference>", "<local-preference>high</local-preference>"),
    ("<med>0</med>", "<med>1e3</med>"),
    ("<sequence-number>0</sequence-number>", "<sequence-number>\u0663</sequence-number>"),
    ('seqno="0"', 'seqno="first"'),
    ("<version>1</version>", "<version>one</version>"),
    ("<safi>", "<safi>x"),
    ("<af>", "<af>+"),
]
NLRI_UNICAST: list[Change] = [
    ("/32</address>", "</address>"),
    ("/32</address>", "/33</address>"),
    ("/32</address>", "/</address>"),
    ("/32</address>", "/255.255.255.255</address>"),
    ("<address>10.1.1.3", "<address>10.1.1"),
    ("<address>10.1.1.3", "<address>10.1.1.256"),
    ("<address>10.1.1.3", "<address>"),
    ("<address>10.1.1.3", "<address>2001:db8::3"),
    ("<address>10.1.1.3", "<address>vm-3"),
    ("<af>1</af>", "<af>2</af>"),
    ("<af>1</af>", ""),
    ("<safi>", "<safi>9"),
    ("<nlri>", "<nlri/><other>"),
]
NLRI_INET6: list[Change] = [
    ("/128</address>", "</address>"),
    ("/128</address>", "/129</address>"),
    ("/128</address>", "/</address>"),
    ("<address>2001:db8::3", "<address>2001:db8::3::"),
    ("<address>2001:db8::3", "<address>2001:db8::g"),
    ("<address>2001:db8::3/128", "<address>10.1.1.3/32"),
    ("<address>2001:db8::3", "<address>"),
    ("<address>2001:db8::3", "<address>[2001:db8::3]"),
    ("<af>2</af>", "<af>1</af>"),
    ("<af>2</af>", "<af>25</af>"),
    ("<safi>1</safi>", "<safi>4</safi>"),
]
NLRI_ENET: list[Change] = [
    ("<mac>02:aa:bb:cc:dd:01</mac>", "<mac></mac>"),
    ("<mac>02:aa:bb:cc:dd:01</mac>", "<mac>02:aa:bb:cc:dd</mac>"),
    ("<mac>02:aa:bb:cc:dd:01</mac>", "<mac>02:aa:bb:cc:dd:01:02</mac>"),
    ("<mac>02:aa:bb:cc:dd:01</mac>", "<mac>02:aa:bb:cc:dd:zz</mac>"),
    ("<mac>02:aa:bb:cc:dd:01</mac>", "<mac>02-aa-bb-cc-dd-01</mac>"),
    ("<address>10.1.1.3/32", "<address>10.1.1.3"),
    ("<address>10.1.1.3/32", "<address>10.1.1.3/24"),
    ("<address>10.1.1.3/32", "<address>10.1.1.3/33"),
    ("<address>10.1.1.3/32", "<address>2001:db8::3/64"),
    ("<address>10.1.1.3/32", "<address>somewhere/32"),
    ("<af>25</af>", "<af>1</af>"),
    ("<safi>242</safi>", "<safi>70</safi>"),
    ("<safi>242</safi>", ""),
    ("<ethernet-tag>0</ethernet-tag>", "<ethernet-tag>-</ethernet-tag>"),
    ("<flags>0</flags>", "<flags>all</flags>"),
    ("<label>25</label>", "<label>x</label>"),
    ("<l3-label>0</l3-label>", "<l3-label>x</l3-label>"),
    ("<security-group>5</security-group>", "<security-group>x</security-group>"),
]
NLRI_TREE: list[Change] = [
    ("<group>255.255.255.255</group>", "<group></group>"),
    ("<group>255.255.255.255</group>", "<group>255.255.255</group>"),
    ("<group>255.255.255.255</group>", "<group>ff02::1</group>"),
    ("<group>255.255.255.255</group>", "<group>all</group>"),
    ("<group>255.255.255.255</group>", ""),
    ("<source>0.0.0.0</source>", "<source>0.0.0</source>"),
    ("<source>0.0.0.0</source>", "<source>x</source>"),
    ("<source>0.0.0.0</source>", "<source>::1</source>"),
    ("<source-label>7</source-label>", "<source-label>x</source-label>"),
    ("<af>1</af>", "<af>2</af>"),
    ("<safi>241</safi>", "<safi>243</safi>"),
    ("<safi>241</safi>", "<safi>none</safi>"),
]
NLRI_JOIN: list[Change] = [
    ("<group>232.1.1.1</group>", "<group></group>"),
    ("<group>232.1.1.1</group>", "<group>232.1.1</group>"),
    ("<group>232.1.1.1</group>", "<group>ff3e::1</group>"),
    ("<source>10.1.1.9</source>", "<source></source>"),
    ("<source>10.1.1.9</source>", ""),
    ("<source>10.1.1.9</source>", "<source>ten</source>"),
    ("<route-type>7</route-type>", "<route-type>6</route-type>"),
    ("<route-type>7</route-type>", "<route-type>seven</route-type>"),
    ("<route-type>7</route-type>", ""),
    ("<label>0</label>", "<label>x</label>"),
    ("<af>1</af>", "<af>2</af>"),
    ("<safi>5</safi>", "<safi>129</safi>"),
]
PUBLISHED = (
    [(ItemFamily.INET, *change) for change in SYNTAX_UNICAST + NLRI_UNICAST]
    + [(ItemFamily.INET_LABELED, *change) for change in SYNTAX_UNICAST + NLRI_UNICAST]
    + [(ItemFamily.INET6, *change) for change in SYNTAX_UNICAST + NLRI_INET6]
    + [(ItemFamily.E_VPN, *change) for change in NLRI_ENET]
    + [(ItemFamily.ERM_VPN, *change) for change in NLRI_TREE]
    + [(ItemFamily.MVPN, *change) for change in NLRI_JOIN]
)


@pytest.mark.parametrize(("family", "old", "new"), PUBLISHED)
def test_a_control_node_drops_the_item(family: ItemFamily, old: str, new: str) -> None:
    element = changed(family, old, new) if new != "<nlri/><other>" else etree.fromstring("<entry><nlri/></entry>")
    with pytest.raises(ItemError) as caught:
        read_published(family, element)
    assert not caught.value.ends_message, "later items of the stanza are still handled"
    assert 0 < len(caught.value.text) < 200


@pytest.mark.parametrize("family", list(GOOD), ids=lambda family: family.name)
def test_the_good_ones_pass(family: ItemFamily) -> None:
    element = etree.fromstring(GOOD[family].to_xml())
    assert read_published(family, element) == GOOD[family]
    check_next_hops(GOOD[family], master=False)
    if family not in (ItemFamily.ERM_VPN,):
        assert read_notified(family, element) == GOOD[family]


# Next hops: looked at when an item is added, and only then.
NEXT_HOPS = [
    ("no next-hop", UNICAST, {"next_hops": ()}, False),
    ("two next-hops", UNICAST, {"next_hops": (HOP, HOP)}, False),
    ("no address", UNICAST, {"next_hops": (HOP._replace(address=""),)}, False),
    ("0.0.0.0", UNICAST, {"next_hops": (HOP._replace(address="0.0.0.0"),)}, False),
    ("an IPv6 next hop", UNICAST, {"next_hops": (HOP._replace(address="2001:db8::7"),)}, False),
    ("no address at all", UNICAST, {"next_hops": (HOP._replace(address="compute-7"),)}, False),
    ("no address family", UNICAST, {"next_hops": (HOP._replace(af=0),)}, False),
    ("another address family", UNICAST, {"next_hops": (HOP._replace(af=25),)}, False),
    ("label 0 in a VRF", UNICAST, {"next_hops": (HOP._replace(label=0),)}, False),
    ("a label of 25 bits", UNICAST, {"next_hops": (HOP._replace(label=1 << 24),)}, False),
    ("a label in the master instance", (ItemFamily.INET,), {}, True),
    ("no label in inet.3", (ItemFamily.INET_LABELED,), {"next_hops": (HOP._replace(label=0),)}, True),
    ("no next-hop", (ItemFamily.E_VPN,), {"next_hops": ()}, False),
    ("two next-hops", (ItemFamily.E_VPN,), {"next_hops": (HOP, HOP)}, False),
    ("no address", (ItemFamily.E_VPN,), {"next_hops": (HOP._replace(address=""),)}, False),
    ("0.0.0.0", (ItemFamily.E_VPN,), {"next_hops": (HOP._replace(address="0.0.0.0"),)}, False),
    ("no address family", (ItemFamily.E_VPN,), {"next_hops": (HOP._replace(af=0),)}, False),
    ("a label of 25 bits", (ItemFamily.E_VPN,), {"next_hops": (HOP._replace(label=1 << 24),)}, False),
    ("a bad router MAC", (ItemFamily.E_VPN,), {"next_hops": (HOP._replace(mac="router"),)}, False),
    ("a bad replicator", (ItemFamily.E_VPN,), {"replicator_address": "x"}, False),
    ("no next-hop", (ItemFamily.ERM_VPN,), {"next_hops": ()}, False),
    ("two next-hops", (ItemFamily.ERM_VPN,), {"next_hops": (TREE, TREE)}, False),
    ("no address", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(address=""),)}, False),
    ("no address family", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(af=0),)}, False),
    ("one label", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label="4100"),)}, False),
    ("no labels", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label=""),)}, False),
    ("a range from 0", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label="0-10"),)}, False),
    ("a range downwards", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label="20-10"),)}, False),
    ("a range of three", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label="1-2-3"),)}, False),
    ("a range of words", (ItemFamily.ERM_VPN,), {"next_hops": (TREE._replace(label="a-b"),)}, False),
    ("a bad address", (ItemFamily.MVPN,), {"next_hop": OlistNextHop("compute-7", "0")}, False),
    ("an IPv6 next hop", (ItemFamily.MVPN,), {"next_hop": OlistNextHop("::1", "0")}, False),
]


@pytest.mark.parametrize(
    ("family", "change", "master"),
    [
        pytest.param(family, change, master, id=f"{family.name} {why}")
        for why, families, change, master in NEXT_HOPS
        for family in families
    ],
)
def test_a_control_node_drops_an_item_with_a_bad_next_hop(
    family: ItemFamily, change: dict[str, object], master: bool
) -> None:
    entry: Entry = GOOD[family]._replace(**change)  # type: ignore[arg-type] # one dict for four classes
    read_published(family, etree.fromstring(entry.to_xml()))  # a delete would be accepted
    with pytest.raises(ItemError):
        check_next_hops(entry, master)


def test_the_master_instance_wants_no_label() -> None:
    bare = UnicastEntry(ItemFamily.INET, "10.1.1.3/32", (HOP._replace(label=0),))
    check_next_hops(bare, master=True)
    check_next_hops(GOOD[ItemFamily.INET_LABELED], master=True)


# What a control node takes although it looks wrong.
TOLERATED = [
    (ItemFamily.INET, "<version>1</version>", ""),
    (ItemFamily.INET, "<version>1</version>", "<version></version>"),
    (ItemFamily.INET, "<version>1</version>", "<version>1 \n</version>"),
    (ItemFamily.INET, "<version>1</version>", "<version>1</version><surprise><a/></surprise>"),
    (ItemFamily.INET, '<mobility sticky="false" seqno="0" />', ""),
    (ItemFamily.INET, '<mobility sticky="false" seqno="0" />', '<mobility sticky="TRUE" />'),
    (ItemFamily.INET, "<sub-protocol>interface</sub-protocol>", ""),
    (ItemFamily.INET, "<virtual-network></virtual-network>", "<virtual-network/>"),
    (ItemFamily.INET, "<next-hops>", "<next-hops><comment>x</comment>"),
    (ItemFamily.INET6, "<community-tag-list />", ""),
    (ItemFamily.E_VPN, "<address>10.1.1.3/32", "<address>0.0.0.0/0"),
    (ItemFamily.E_VPN, "<address>10.1.1.3/32", "<address>::/0"),
    (ItemFamily.E_VPN, "<address>10.1.1.3/32", "<address>"),
    (ItemFamily.E_VPN, "<address>10.1.1.3/32", "<address>2001:db8::3/128"),
    (
        ItemFamily.E_VPN,
        "<mac>02:aa:bb:cc:dd:01</mac><address>10.1.1.3/32",
        "<mac>00:00:00:00:00:00</mac><address>10.1.1.0/24",
    ),
    (
        ItemFamily.E_VPN,
        "<mac>02:aa:bb:cc:dd:01</mac><address>10.1.1.3/32",
        "<mac>0:0:0:0:0:0</mac><address>2001:db8::/64",
    ),
    (
        ItemFamily.E_VPN,
        "<address>10.1.1.3/32</address><group></group>",
        "<address>10.1.1.0/24</address><group>232.1.1.1</group>",
    ),
    (ItemFamily.E_VPN, "<etree-leaf>false</etree-leaf>", "<etree-leaf>yes</etree-leaf>"),
    (ItemFamily.ERM_VPN, "<source>0.0.0.0</source>", "<source></source>"),
    (ItemFamily.MVPN, "<olist>", "<olist><note/>"),
]


@pytest.mark.parametrize(("family", "old", "new"), TOLERATED)
def test_a_control_node_takes_what_is_only_odd(family: ItemFamily, old: str, new: str) -> None:
    entry = read_published(family, changed(family, old, new))
    check_next_hops(entry, master=False)


@pytest.mark.parametrize("field", ["group", "source"])
@pytest.mark.parametrize("value", ["x", "1.2.3", "1.2.3.4.5", "255.255.255.256", "::g"])
def test_a_bad_evpn_group_or_source_becomes_zero(field: str, value: str) -> None:
    element = changed(ItemFamily.E_VPN, f"<{field}></{field}>", f"<{field}>{value}</{field}>")
    entry = read_published(ItemFamily.E_VPN, element)
    assert isinstance(entry, EnetEntry)
    assert getattr(entry, field) == "0.0.0.0"


def test_only_the_text_true_is_true() -> None:
    for text, truth in (("true", True), ("True", False), ("1", False), (" true", False), ("", False)):
        element = changed(ItemFamily.E_VPN, "<etree-leaf>false", f"<etree-leaf>{text}")
        entry = read_published(ItemFamily.E_VPN, element)
        assert isinstance(entry, EnetEntry) and entry.etree_leaf is truth


# The agent's side: what drops the item, and what drops the rest of the message with it.
AGENT_ITEM = [
    (ItemFamily.INET, "<label>25</label>", "<label>x</label>"),
    (ItemFamily.INET, "<med>0</med>", "<med>x</med>"),
    (ItemFamily.INET, "<address>192.0.2.7", "<address>x"),
    (ItemFamily.INET, "<address>192.0.2.7", "<address>"),
    (ItemFamily.INET, "<next-hops>", "<no-hops>"),
    (ItemFamily.INET, "<local-preference>0", "<local-preference>-0"),
    (ItemFamily.INET, "<security-group>5", "<security-group>x"),
    (ItemFamily.INET, "<tag>1", "<tag>x"),
    (ItemFamily.INET, 'seqno="0"', 'seqno="x"'),
    (ItemFamily.INET, "<sequence-number>0", "<sequence-number>x"),
    (ItemFamily.INET6, "<label>25</label>", "<label>x</label>"),
    (ItemFamily.INET6, "<address>192.0.2.7", "<address>192.0.2"),
    (ItemFamily.INET6, "<next-hops>", "<no-hops>"),
    (ItemFamily.INET6, "<vni>0", "<vni>x"),
    (ItemFamily.INET6, "<med>0", "<med>x"),
    (ItemFamily.INET6, "<version>1", "<version>x"),
    (ItemFamily.E_VPN, "<label>25</label>", "<label>x</label>"),
    (ItemFamily.E_VPN, "<l3-label>0", "<l3-label>x"),
    (ItemFamily.E_VPN, "<address>192.0.2.7", "<address>x"),
    (ItemFamily.E_VPN, "<next-hops>", "<no-hops>"),
    (ItemFamily.E_VPN, "<ethernet-tag>0", "<ethernet-tag>x"),
    (ItemFamily.E_VPN, "<flags>0", "<flags>x"),
    (ItemFamily.ERM_VPN, "<source-label>7", "<source-label>x"),
    (ItemFamily.ERM_VPN, "<address>192.0.2.9", "<address>x"),
    (ItemFamily.ERM_VPN, "<label>77", "<label>x"),
    (ItemFamily.ERM_VPN, "<label>77", "<label>4-1"),
    (ItemFamily.ERM_VPN, "<label>77", "<label>-77"),
    (ItemFamily.ERM_VPN, "<af>1</af><address>192.0.2.9", "<af>x</af><address>192.0.2.9"),
    (ItemFamily.MVPN, "<route-type>7", "<route-type>x"),
    (ItemFamily.MVPN, "<address>192.0.2.9", "<address>x"),
    (ItemFamily.MVPN, "<label>77", "<label>x"),
    (ItemFamily.MVPN, "<label>0", "<label>x"),
    (ItemFamily.MVPN, "<af>1</af><address>192.0.2.9", "<af>x</af><address>192.0.2.9"),
]
AGENT_MESSAGE = (
    [(ItemFamily.INET, *change) for change in NLRI_UNICAST if "address" in change[0]]
    + [(ItemFamily.INET6, *change) for change in NLRI_INET6 if "address" in change[0]]
    + [
        (ItemFamily.E_VPN, *change)
        for change in NLRI_ENET
        if ("address" in change[0] or "<mac>" in change[0]) and not change[1].endswith(("/24", "/64"))
    ]
    + [(ItemFamily.ERM_VPN, *change) for change in NLRI_TREE if "group" in change[0] or "<source>" in change[0]]
    + [(ItemFamily.MVPN, *change) for change in NLRI_JOIN if "group" in change[0] or "source" in change[0]]
    + [(ItemFamily.E_VPN, "<group></group>", "<group>all</group>")]
)


def _closed_tags(family: ItemFamily, old: str, new: str) -> etree._Element:
    text = GOOD[family].to_xml().decode()
    assert old in text
    text = text.replace(old, new, 1)
    if new == "<no-hops>":
        text = text.replace("</next-hops>", "</no-hops>", 1)
    return etree.fromstring(text)


@pytest.mark.parametrize(("family", "old", "new"), AGENT_ITEM)
def test_an_agent_skips_the_item(family: ItemFamily, old: str, new: str) -> None:
    with pytest.raises(ItemError) as caught:
        read_notified(family, _closed_tags(family, old, new))
    assert not caught.value.ends_message


@pytest.mark.parametrize(("family", "old", "new"), AGENT_MESSAGE)
def test_an_agent_drops_the_rest_of_the_message(family: ItemFamily, old: str, new: str) -> None:
    with pytest.raises(ItemError) as caught:
        read_notified(family, changed(family, old, new))
    assert caught.value.ends_message


def test_an_agent_takes_what_a_control_node_would_not() -> None:
    two = UnicastEntry(ItemFamily.INET, "10.1.1.3/32", (HOP, HOP._replace(address="192.0.2.8")))
    assert read_notified(ItemFamily.INET, etree.fromstring(two.to_xml())) == two, "ECMP is several next hops"
    plain = UnicastEntry(ItemFamily.INET, "10.1.1.3/32", (HOP._replace(label=0),))
    assert read_notified(ItemFamily.INET, etree.fromstring(plain.to_xml())) == plain
    olist = EnetEntry("ff:ff:ff:ff:ff:ff", "0.0.0.0/32", 5, "0.0.0.0", "0.0.0.0", olist=(HOP,))
    assert read_notified(ItemFamily.E_VPN, etree.fromstring(olist.to_xml())) == olist


@pytest.mark.parametrize(
    ("node", "family", "rest"),
    [
        ("1/1/default-domain:demo:red:red", ItemFamily.INET, "default-domain:demo:red:red"),
        ("25/242/02:aa:bb:cc:dd:01,10.1.1.3/32", ItemFamily.E_VPN, "02:aa:bb:cc:dd:01,10.1.1.3/32"),
        ("1/241/a/b/c", ItemFamily.ERM_VPN, "a/b/c"),
        ("25/70/red", None, "red"),
        ("1/243/red", None, "red"),
        ("01/1/red", None, "red"),
        ("1/1", None, ""),
        ("red", None, ""),
        ("", None, ""),
        ("//", None, ""),
    ],
)
def test_nodes_are_split_at_the_first_two_slashes(node: str, family: ItemFamily | None, rest: str) -> None:
    assert split_node(node) == (family, rest)


xml_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
NAMES = """
nlri af safi address mac group source label next-hops next-hop next-hop olist leaf-olist tag tag-list mobility
security-group-list security-group source-label route-type ethernet-tag flags x
"""
tags = st.sampled_from(NAMES.split())
values = xml_text | st.sampled_from(["1", "25", "242", "10.1.1.3/32", "192.0.2.7", "02:aa:bb:cc:dd:01", "0.0.0.0"])


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> etree._Element:
    element = etree.Element(draw(tags))
    element.text = draw(values) or None
    if draw(st.booleans()):
        element.set(draw(st.sampled_from(["sticky", "seqno", "id"])), draw(values))
    for _ in range(draw(st.integers(0, 4)) if depth else 0):
        element.append(draw(trees(depth - 1)))
    return element


@settings(max_examples=60, deadline=None)
@given(children=st.lists(trees(2), max_size=4), family=st.sampled_from(list(ItemFamily)), master=st.booleans())
def test_any_tree_gives_an_entry_or_an_item_error(
    children: list[etree._Element], family: ItemFamily, master: bool
) -> None:
    entry = etree.Element("entry")
    entry.extend(children)
    for read in (read_published, read_notified):
        try:
            found = read(family, entry)
            assert found.family is family
            check_next_hops(found, master)
        except ItemError as error:
            assert error.text


@settings(max_examples=150, deadline=None)
@given(data=st.data(), family=st.sampled_from(list(GOOD)))
def test_a_good_item_with_one_text_changed(data: st.DataObject, family: ItemFamily) -> None:
    entry = etree.fromstring(GOOD[family].to_xml())
    leaves = [element for element in entry.iter() if len(element) == 0]
    data.draw(st.sampled_from(leaves)).text = data.draw(values) or None
    for read in (read_published, read_notified):
        try:
            check_next_hops(read(family, entry), False)
        except ItemError as error:
            assert error.text
