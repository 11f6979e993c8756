"""Bad items: each is dropped alone, the session stays, other routes stay (reference/xmpp.md 6)."""

from __future__ import annotations

import pytest
from control.node.conftest import BLUE, Bench, mac, route, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp.items import MvpnEntry

HUGE = b"99999999999"


def hop(address: bytes = b"192.0.2.1", label: bytes = b"25", af: bytes = b"1", more: bytes = b"") -> bytes:
    return b"<next-hop><af>%b</af><address>%b</address><label>%b</label>%b</next-hop>" % (af, address, label, more)


def unicast(
    address: bytes = b"10.1.1.9/32", hops: bytes = hop(), af: bytes = b"1", safi: bytes = b"1", more: bytes = b""
) -> bytes:
    return b"<entry><nlri><af>%b</af><safi>%b</safi><address>%b</address></nlri><next-hops>%b</next-hops>%b</entry>" % (
        af,
        safi,
        address,
        hops,
        more,
    )


def enet(
    mac: bytes = b"02:aa:bb:cc:dd:09",
    address: bytes = b"10.1.1.9/32",
    hops: bytes = hop(),
    safi: bytes = b"242",
    nlri: bytes = b"",
    more: bytes = b"",
) -> bytes:
    return (
        b"<entry><nlri><af>25</af><safi>%b</safi><mac>%b</mac><address>%b</address>%b</nlri>"
        b"<next-hops>%b</next-hops>%b</entry>" % (safi, mac, address, nlri, hops, more)
    )


def mcast(
    group: bytes = b"239.1.1.9", source: bytes = b"0.0.0.0", hops: bytes = hop(label=b"7000-7009"), af: bytes = b"1"
) -> bytes:
    return (
        b"<entry><nlri><af>%b</af><safi>241</safi><group>%b</group><source>%b</source></nlri>"
        b"<next-hops>%b</next-hops></entry>" % (af, group, source, hops)
    )


def mvpn(
    group: bytes = b"239.1.1.9", source: bytes = b"10.1.1.7", kind: bytes = b"7", hop: bytes = b"", safi: bytes = b"5"
) -> bytes:
    return (
        b"<entry><nlri><af>1</af><safi>%b</safi><group>%b</group><source>%b</source><route-type>%b</route-type></nlri>"
        b"%b</entry>" % (safi, group, source, kind, hop)
    )


def group(number: bytes) -> bytes:
    return b"<security-group-list><security-group>%b</security-group></security-group-list>" % number


BAD_INET = [
    b"<entry/>",
    unicast(af=b"2"),
    unicast(safi=b"4"),
    unicast(af=b"one"),
    unicast(address=b""),
    unicast(address=b"10.1.1.9"),
    unicast(address=b"10.1.1.9/33"),
    unicast(address=b"10.1.1.999/32"),
    unicast(address=b"2001:db8::1/128"),
    unicast(hops=b""),
    unicast(hops=hop() + hop(b"192.0.2.2")),
    unicast(hops=hop(label=b"0")),
    unicast(hops=hop(label=b"16777216")),
    unicast(hops=hop(label=b"1048576")),
    unicast(hops=hop(label=b"-1")),
    unicast(hops=hop(b"0.0.0.0")),
    unicast(hops=hop(b"")),
    unicast(hops=hop(b"2001:db8::1")),
    unicast(hops=hop(af=b"7")),
    unicast(more=b"<local-preference>%b</local-preference>" % HUGE),
    unicast(more=b"<med>%b</med>" % HUGE),
    unicast(more=b"<sequence-number>%b</sequence-number>" % HUGE),
    unicast(more=b'<mobility sticky="true" seqno="x"/>'),
    unicast(more=group(HUGE)),
    unicast(hops=hop(more=b"<tag-list><tag>%b</tag></tag-list>" % HUGE)),
]
BAD_INET6 = [
    unicast(b"10.1.1.9/32", af=b"2"),
    unicast(b"2001:db8::9/128", af=b"1"),
    unicast(b"2001:db8::9/129", af=b"2"),
    unicast(b"2001:db8::9", af=b"2"),
    unicast(b"2001:db8::g/128", af=b"2"),
    unicast(b"", af=b"2"),
    unicast(b"2001:db8::9/128", hop(label=b"0"), af=b"2"),
    unicast(b"2001:db8::9/128", b"", af=b"2"),
    unicast(b"2001:db8::9/128", hop() + hop(), af=b"2"),
    unicast(b"2001:db8::9/128", hop(b"2001:db8::1"), af=b"2"),
    unicast(b"2001:db8::9/128", hop(label=b"x"), af=b"2"),
]
BAD_LABELED = [
    b"<entry/>",
    unicast(safi=b"1"),
    unicast(af=b"2", safi=b"4"),
    unicast(safi=b"four"),
    unicast(address=b"10.1.1.9", safi=b"4"),
    unicast(address=b"10.1.1.9/33", safi=b"4"),
    unicast(address=b"2001:db8::1/128", safi=b"4"),
    unicast(hops=b"", safi=b"4"),
    unicast(hops=hop() + hop(b"192.0.2.2"), safi=b"4"),
    unicast(hops=hop(label=b"0"), safi=b"4"),
    unicast(hops=hop(label=b"1048576"), safi=b"4"),
    unicast(hops=hop(b"0.0.0.0"), safi=b"4"),
    unicast(hops=hop(b"2001:db8::1"), safi=b"4"),
    unicast(more=b"<med>%b</med>" % HUGE, safi=b"4"),
]
BAD_EVPN = [
    b"<entry/>",
    enet(safi=b"70"),
    enet(mac=b""),
    enet(mac=b"02:aa:bb:cc:dd"),
    enet(mac=b"02:aa:bb:cc:dd:zz"),
    enet(address=b"10.1.1.9"),
    enet(address=b"10.1.1.0/24"),
    enet(address=b"10.1.1.9/99"),
    enet(address=b"nowhere/32"),
    enet(hops=b""),
    enet(hops=hop() + hop()),
    enet(hops=hop(b"0.0.0.0")),
    enet(hops=hop(b"2001:db8::1")),
    enet(hops=hop(label=b"16777216")),
    enet(hops=hop(more=b"<l3-label>1048576</l3-label>")),
    enet(hops=hop(more=b"<mac>02:aa</mac>")),
    enet(nlri=b"<ethernet-tag>%b</ethernet-tag>" % HUGE),
    enet(nlri=b"<ethernet-tag>%b</ethernet-tag><group>239.1.1.1</group>" % HUGE),
    enet(mac=b"ff:ff:ff:ff:ff:ff", more=b"<replicator-address>x</replicator-address>"),
    enet(more=b"<med>%b</med>" % HUGE),
    enet(more=group(HUGE)),
    enet(more=b"<sequence-number>%b</sequence-number>" % HUGE),
]
BAD_ERMVPN = [
    b"<entry/>",
    mcast(af=b"2"),
    mcast(group=b""),
    mcast(group=b"239.1.1"),
    mcast(group=b"ff0e::1"),
    mcast(source=b"x"),
    mcast(hops=b""),
    mcast(hops=hop(label=b"7000-7009") * 2),
    mcast(hops=hop(label=b"7000")),
    mcast(hops=hop(label=b"0-9")),
    mcast(hops=hop(label=b"9-8")),
    mcast(hops=hop(label=b"a-b")),
    mcast(hops=hop(label=b"7000-1048576")),
    mcast(hops=hop(b"0.0.0.0", b"7000-7009")),
    mcast(hops=hop(b"x", b"7000-7009")),
]
BAD_MVPN = [
    b"<entry/>",
    mvpn(safi=b"241"),
    mvpn(group=b""),
    mvpn(source=b""),
    mvpn(group=b"x"),
    mvpn(source=b"2001:db8::1"),
    mvpn(kind=b"6"),
    mvpn(kind=b""),
    mvpn(kind=b"seven"),
    mvpn(hop=hop(b"0.0.0.0")),
    mvpn(hop=hop(b"2001:db8::1")),
    mvpn(hop=hop(af=b"9")),
]
CASES = [
    ("1/1", BAD_INET),
    ("1/4", BAD_LABELED),
    ("2/1", BAD_INET6),
    ("25/242", BAD_EVPN),
    ("1/241", BAD_ERMVPN),
    ("1/5", BAD_MVPN),
]


def everything(bench: Bench) -> dict[str, list[str]]:
    return {name: bench.prefixes(name) for name in bench.core.tables}


def test_there_are_ten_cases_for_each_family() -> None:
    assert all(len(set(entries)) >= 10 for _, entries in CASES)


@pytest.mark.parametrize(("family", "entries"), CASES, ids=[family for family, _ in CASES])
def test_each_bad_item_is_dropped_alone(family: str, entries: list[bytes], bench: Bench) -> None:
    bench.add_instance()
    agent, other = bench.agent(1), bench.agent(2)
    for one in (agent, other):
        one.subscribe()
    for good in (route(), mac(), tree(), MvpnEntry("232.1.1.1", "10.1.1.9")):
        agent.publish(good)
        other.publish(good)
    bench.flush()
    before = everything(bench)
    for number, entry in enumerate(entries, 1):
        agent.publish_raw(f"{family}/{BLUE}/x", [entry])
        assert agent.channel.counters["items_dropped"] == number, entry
        bench.flush()
        assert everything(bench) == before, entry
        assert agent.session.closed == "", entry
        assert agent.channel.last_error.startswith(f"item {family}/"), entry


def test_the_items_here_are_bad_for_one_reason_only(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    good = [("1/1", unicast()), ("2/1", unicast(b"2001:db8::9/128", af=b"2")), ("25/242", enet()), ("1/241", mcast()),
            ("1/5", mvpn())]  # fmt: skip
    for family, entry in good:
        agent.publish_raw(f"{family}/{BLUE}/x", [entry])
    assert agent.channel.last_error == "" and agent.channel.row()["routes_in"] == len(good)


def test_later_items_of_a_publish_still_count(bench: Bench) -> None:
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.publish_raw(f"1/1/{BLUE}/x", [unicast(address=b"bad"), unicast(), unicast(b"10.1.1.8/32", hop(label=b"0"))])
    bench.flush()
    assert bench.prefixes(f"{BLUE}.inet.0") == ["10.1.1.9/32"] and agent.channel.counters["items_dropped"] == 2


def test_a_bad_item_never_closes_an_unsubscribed_session(bench: Bench) -> None:
    agent = bench.agent()
    agent.publish_raw(f"1/1/{BLUE}/x", [unicast(address=b"bad")])
    assert agent.session.closed == ""
    agent.publish_raw(f"1/1/{BLUE}/x", [unicast(hops=hop(label=b"0"))])
    assert "without being subscribed" in agent.session.closed, "next hops are looked at after membership"


texts = st.one_of(
    st.sampled_from(
        ["", "0", "1", "255", "0.0.0.0", "10.1.1.1/32", "::/0", "::1/128", "1.2.3.4", "ff:ff:ff:ff:ff:ff",
         "00:00:00:00:00:00", "99999999999999999999", "4294967295", "16777215", "5-9", "true", "vxlan", "gre",
         "1.2.3.4%x/32", "::1%eth0/128", "0x10/8", " 1", "1 "]
    ),
    st.text("0123456789.:/-abcdef %", max_size=12),
)  # fmt: skip
NAMES = [
    "af",
    "safi",
    "address",
    "group",
    "source",
    "route-type",
    "mac",
    "ethernet-tag",
    "label",
    "l3-label",
    "vni",
    "tag",
    "security-group",
    "community-tag",
    "med",
    "local-preference",
    "sequence-number",
    "replicator-address",
    "load-balance-decision",
    "tunnel-encapsulation",
]
LISTS = {"tag": "tag-list", "security-group": "security-group-list", "community-tag": "community-tag-list",
         "tunnel-encapsulation": "tunnel-encapsulation-list"}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    family=st.sampled_from(["1/1", "1/4", "2/1", "25/242", "1/241", "1/5"]),
    values=st.dictionaries(st.sampled_from(NAMES), texts, max_size=12),
    add=st.booleans(),
    exists=st.booleans(),
)
def test_no_item_hurts(family: str, values: dict[str, str], add: bool, exists: bool) -> None:
    bench = Bench()
    agent = bench.agent()
    agent.subscribe()
    if exists:
        bench.add_instance()
    afi, _, safi = family.partition("/")
    values.setdefault("af", afi)
    values.setdefault("safi", safi)

    def render(names: list[str]) -> str:
        parts = []
        for name in names:
            if name in values:
                text = f"<{name}>{values[name]}</{name}>"
                parts.append(f"<{LISTS[name]}>{text}</{LISTS[name]}>" if name in LISTS else text)
        return "".join(parts)

    inner = render(["mac", "label", "l3-label", "vni", "tag", "tunnel-encapsulation"])
    next_hop = f"<next-hop><af>1</af><address>192.0.2.1</address>{inner}</next-hop>"
    nlri = render(["af", "safi", "address", "group", "source", "route-type", "mac", "ethernet-tag"])
    entry = (
        f"<entry><nlri>{nlri}</nlri>"
        f"<next-hops>{next_hop}</next-hops>{next_hop}{render(NAMES[11:])}</entry>"
    )
    agent.publish_raw(f"{family}/{BLUE}/x", [entry.encode()], add=add)
    if not exists:
        bench.add_instance()
    bench.flush()
    assert agent.session.closed == ""
    agent.channel.closed()
    bench.agents.clear()
    bench.flush()
    assert all(prefixes == [] for prefixes in everything(bench).values())
