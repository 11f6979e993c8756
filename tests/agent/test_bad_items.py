"""Bad items and retracts at the agent: the item is skipped, after a bad prefix the rest of its message too, no more.

(reference/xmpp.md 6; profile `rfc` skips the item alone.) At least ten of each family that an agent takes.
"""

from __future__ import annotations

from typing import Any

import pytest
from agent.test_control_nodes import RED, route, start

from contrail_emulator.agent.oper.prefix import parse
from contrail_emulator.agent.oper.vrf import Table
from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_id import entry_id
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop, OlistNextHop

INSTANCE = f"{RED}:red"
HOP = NextHop("10.0.0.9", 20, ("udp",), tags=(1,))
Change = tuple[str, str]

FIRST: dict[ItemFamily, Entry] = {
    ItemFamily.INET: UnicastEntry(ItemFamily.INET, "10.1.0.77/32", (HOP,), security_groups=(5,)),
    ItemFamily.INET_LABELED: UnicastEntry(ItemFamily.INET_LABELED, "10.1.0.77/32", (HOP,), security_groups=(5,)),
    ItemFamily.INET6: UnicastEntry(ItemFamily.INET6, "2001:db8::77/128", (HOP,), security_groups=(5,)),
    ItemFamily.E_VPN: EnetEntry("02:aa:bb:cc:dd:77", "10.1.0.77/32", next_hops=(HOP,), security_groups=(5,)),
    ItemFamily.ERM_VPN: McastEntry("239.1.1.77", source_label=7, olist=(OlistNextHop("10.0.0.9", "77", ("gre",)),)),
}
LAST: dict[ItemFamily, Entry] = {
    ItemFamily.INET: UnicastEntry(ItemFamily.INET, "10.1.0.88/32", (HOP,)),
    ItemFamily.INET_LABELED: UnicastEntry(ItemFamily.INET_LABELED, "10.1.0.88/32", (HOP,)),
    ItemFamily.INET6: UnicastEntry(ItemFamily.INET6, "2001:db8::88/128", (HOP,)),
    ItemFamily.E_VPN: EnetEntry("02:aa:bb:cc:dd:88", "10.1.0.88/32", next_hops=(HOP,)),
    ItemFamily.ERM_VPN: McastEntry("239.1.1.88", source_label=8, olist=(OlistNextHop("10.0.0.9", "88", ("gre",)),)),
}

# What makes the agent skip the item …
UNICAST: list[Change] = [
    ("<label>20</label>", "<label>x</label>"),
    ("<label>20</label>", "<label>-1</label>"),
    ("<label>20</label>", "<label>16777216</label>"),
    ("<address>10.0.0.9", "<address>"),
    ("<address>10.0.0.9", "<address>10.0.0"),
    ("<address>10.0.0.9", "<address>2001:db8::9"),
    ("<address>10.0.0.9", "<address>compute-9"),
    ("<next-hops>", "<next-hops/><other>"),
    ("<vni>0", "<vni>x"),
    ("<tag>1", "<tag>x"),
    ("<security-group>5", "<security-group>x"),
    ("<med>0", "<med>1e3"),
    ("<local-preference>0", "<local-preference>high"),
    ("<sequence-number>0", "<sequence-number>x"),
    ('seqno="0"', 'seqno="x"'),
]
ENET: list[Change] = [
    ("<label>20</label>", "<label>x</label>"),
    ("<label>20</label>", "<label>99999999999</label>"),
    ("<address>10.0.0.9", "<address>"),
    ("<address>10.0.0.9", "<address>2001:db8::9"),
    ("<address>10.0.0.9", "<address>10.0.0"),
    ("<next-hops>", "<next-hops/><other>"),
    ("<ethernet-tag>0", "<ethernet-tag>x"),
    ("<flags>0", "<flags>x"),
    ("<l3-label>0", "<l3-label>x"),
    ("<security-group>5", "<security-group>x"),
    ("<local-preference>0", "<local-preference>-1"),
]
TREE: list[Change] = [
    ("<source-label>7", "<source-label>x"),
    ("<source-label>7", "<source-label>-7"),
    ("<label>77", "<label>x"),
    ("<label>77", "<label>-77"),
    ("<label>77", "<label>70-77"),
    ("<label>77", "<label>99999999"),
    ("<address>10.0.0.9", "<address>x"),
    ("<address>10.0.0.9", "<address>"),
    ("<address>10.0.0.9", "<address>10.0.0.9.9"),
    ("<address>10.0.0.9", "<address>2001:db8::9"),
    ("<af>1</af><address>", "<af>x</af><address>"),
]
# … and the rest of the message.
PREFIX: list[Change] = [
    ("77/32</address>", "77</address>"),
    ("77/32</address>", "77/33</address>"),
    ("77/32</address>", "77/x</address>"),
    ("10.1.0.77", "10.1.0.777"),
    ("10.1.0.77", "10.1.0"),
    ("10.1.0.77", "2001:db8::77"),
    ("10.1.0.77/32", ""),
]
PREFIX6: list[Change] = [
    ("77/128</address>", "77</address>"),
    ("77/128</address>", "77/129</address>"),
    ("2001:db8::77", "2001:db8::g"),
    ("2001:db8::77", "2001:db8::77::"),
    ("2001:db8::77/128", "10.1.0.77/32"),
    ("2001:db8::77/128", ""),
]
ADDRESS: list[Change] = [
    ("10.1.0.77/32", "10.1.0.77"),
    ("10.1.0.77/32", "10.1.0.77/33"),
    ("10.1.0.77/32", "nowhere/32"),
    ("02:aa:bb:cc:dd:77", ""),
    ("02:aa:bb:cc:dd:77", "02:aa:bb:cc:dd"),
    ("02:aa:bb:cc:dd:77", "02:aa:bb:cc:dd:zz"),
]
GROUP: list[Change] = [
    ("<group>239.1.1.77", "<group>"),
    ("<group>239.1.1.77", "<group>239.1.1"),
    ("<group>239.1.1.77", "<group>ff0e::1"),
    ("<group>239.1.1.77", "<group>all"),
    ("<source>0.0.0.0", "<source>x"),
]
ITEM = {
    ItemFamily.INET: UNICAST,
    ItemFamily.INET_LABELED: UNICAST,
    ItemFamily.INET6: UNICAST,
    ItemFamily.E_VPN: ENET,
    ItemFamily.ERM_VPN: TREE,
}
MESSAGE = {
    ItemFamily.INET: PREFIX,
    ItemFamily.INET_LABELED: PREFIX,
    ItemFamily.INET6: PREFIX6,
    ItemFamily.E_VPN: ADDRESS,
    ItemFamily.ERM_VPN: GROUP,
}
CASES = [
    pytest.param(family, change, ends, id=f"{family.name} {change[0]} {change[1]}")
    for table, ends in ((ITEM, False), (MESSAGE, True))
    for family, changes in table.items()
    for change in changes
]


def holds(host: Any, entry: Entry) -> bool:
    """Whether the agent has a path for it."""
    vrf = host.agent.oper.rib.vrfs[INSTANCE]
    match entry:
        case UnicastEntry():
            table = Table.INET if entry.family is not ItemFamily.INET6 else Table.INET6
            return vrf.get(table, parse(entry.address)) is not None
        case McastEntry():
            return vrf.get(Table.MULTICAST, parse(f"{entry.group}/32")) is not None
        case EnetEntry():
            return any(key.mac.hex(":") == entry.mac for key in vrf.evpn)
    raise AssertionError(entry)


def test_there_are_ten_cases_for_each_family() -> None:
    for family in FIRST:
        assert len({*ITEM[family], *MESSAGE[family]}) >= 10


@pytest.mark.parametrize("profile", [CONTRAIL, RFC], ids=["contrail", "rfc"])
@pytest.mark.parametrize(("family", "change", "ends"), CASES)
def test_a_bad_item(
    world: Any, config: Any, family: ItemFamily, change: Change, ends: bool, profile: Behaviour
) -> None:
    host, _ = start(world, config, behaviour=profile)
    (channel,) = host.agent.controller.channels
    first, last = FIRST[family], LAST[family]
    text = first.to_xml().decode()
    assert change[0] in text, "the change is one"
    bad = text.replace(change[0], change[1], 1)
    if change[1].endswith("<other>"):
        bad = bad.replace("</next-hops>", "</other>", 1)
    node = family.node(INSTANCE)
    body = pubsub.items_body(node, [("x", bad.encode()), (entry_id(last), last.to_xml())])
    world.nodes[0].send("compute-1", body)
    world.run(1)
    given_up = ends and profile is CONTRAIL
    counters = channel.importer.counters
    assert (counters["bad items"], counters["items after a bad prefix"]) == (1, int(given_up))
    assert not holds(host, first) and holds(host, last) is not given_up
    assert channel.is_ready and route(host, "10.1.0.3/32") is not None
    world.nodes[0].send("compute-1", pubsub.items_body(node, [(entry_id(e), e.to_xml()) for e in (first, last)]))
    world.run(1)
    assert holds(host, first) and holds(host, last), "the next message is taken whole"


RETRACTS = {
    ItemFamily.INET: ["", "x", "10.1.0.88", "10.1.0.88/33", "10.1.0.88/x", "10.1.0/24", "10.1.0.88/32/1",
                      "2001:db8::88/128", "[10.1.0.88]/32", "10.1.0.88 /32"],
    ItemFamily.INET6: ["", "x", "2001:db8::88", "2001:db8::88/129", "2001:db8::88/x", "2001:db8::g/128",
                       "10.1.0.88/32", "2001:db8::88/128/1", "[2001:db8::88]/128", "::88::/128"],
    ItemFamily.E_VPN: ["", "x", "02:aa:bb:cc:dd:88", "02:aa:bb:cc:dd,10.1.0.88/32", "02:aa:bb:cc:dd:88,10.1.0.88",
                       "02:aa:bb:cc:dd:88,10.1.0.88/33", "02:aa:bb:cc:dd:zz,10.1.0.88/32", "-02:aa:bb:cc:dd:88",
                       "x-02:aa:bb:cc:dd:88,10.1.0.88/32", ",10.1.0.88/32"],
    ItemFamily.ERM_VPN: ["", "x", "239.1.1.88", "239.1.1.88,0.0.0.0", "10.0.0.1:1", "10.0.0.1:1:", "10.0.0.1:1:x,y",
                         "10.0.0.1:1:239.1.1,0.0.0.0", "10.0.0.1:1:ff0e::1,0.0.0.0", "10.0.0.1:1:,0.0.0.0"],
}  # fmt: skip


@pytest.mark.parametrize("family", list(RETRACTS), ids=lambda family: family.name)
def test_bad_retracts(world: Any, config: Any, family: ItemFamily) -> None:
    """Each is counted; good ones of the same message count too, before and after."""
    host, _ = start(world, config)
    node, (first, last) = family.node(INSTANCE), (FIRST[family], LAST[family])
    name = entry_id if family is not ItemFamily.ERM_VPN else (lambda entry: f"10.0.0.1:1:{entry.group},0.0.0.0")
    world.nodes[0].send("compute-1", pubsub.items_body(node, [("x", first.to_xml()), ("x", last.to_xml())]))
    world.run(1)
    (channel,) = host.agent.controller.channels
    for number, bad in enumerate(RETRACTS[family], 1):
        world.nodes[0].send("compute-1", pubsub.retract_body(node, [bad]))
        world.run(0.1)
        assert channel.importer.counters["bad retracts"] == number, bad
        assert holds(host, first) and holds(host, last), bad
    world.nodes[0].send("compute-1", pubsub.retract_body(node, [name(first), RETRACTS[family][1], name(last)]))
    world.run(1)
    assert not holds(host, first) and not holds(host, last)
    assert channel.is_ready


@pytest.mark.parametrize("node", ["", "1", "1/1", "1/1/", "9/9/x", "1/5/" + INSTANCE, "x/y/" + INSTANCE, "1/1/nobody"])
def test_a_node_that_means_nothing_here(world: Any, config: Any, node: str) -> None:
    host, _ = start(world, config)
    entry = FIRST[ItemFamily.INET]
    for body in (pubsub.items_body(node, [("x", entry.to_xml())]), pubsub.retract_body(node, ["10.1.0.3/32"])):
        world.nodes[0].send("compute-1", body)
    world.run(1)
    (channel,) = host.agent.controller.channels
    assert channel.is_ready and not holds(host, entry) and route(host, "10.1.0.3/32") is not None
    ignored = channel.importer.counters["unknown family"] + channel.importer.counters["unknown VRF"]
    assert ignored + channel.counters["ignored stanzas"] == 2
