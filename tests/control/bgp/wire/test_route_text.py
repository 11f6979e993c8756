"""Routes as lines of text: what is written is read back, and what is wrong is said in one line."""

from __future__ import annotations

import pytest
from control.bgp.wire import strategies
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import ext_community, nlri, route_text
from contrail_emulator.control.bgp.attributes import Aggregator, AsPath, Attributes, UnknownAttribute
from contrail_emulator.control.bgp.family import Family

HOP = bytes((10, 255, 1, 1))
WORDED = st.fixed_dictionaries(
    {
        name: strategies.fields[name]
        for name in ("origin", "med", "local_pref", "communities", "ext_communities")
    }
    | {"as_path": st.lists(strategies.asn, max_size=6).map(lambda numbers: AsPath.sequence(*numbers))}
)


@given(strategies.families.flatmap(lambda family: st.tuples(st.just(family), strategies.routes[family])), WORDED)
def test_every_line_is_read_back(route: tuple[Family, nlri.Route], fields: dict[str, object]) -> None:
    family, pair = route
    attributes = Attributes.make(next_hop=HOP, **fields)  # type: ignore[arg-type]  # drawn by name
    line = route_text.text(family, attributes, pair)
    shown, plus, _ = line.partition(" plus ")
    assert not plus or family is Family.E_VPN  # a gateway
    read = route_text.parse(shown)
    assert read.family is family
    assert route_text.text(*read) == shown
    assert "\n" not in line


@pytest.mark.parametrize(
    ("line", "family", "key", "label", "vxlan"),
    [
        ("203.0.113.0/24 next-hop 10.255.1.1", Family.INET, "203.0.113.0/24", 0, False),
        ("203.0.113.0/24 label 17 next-hop 10.255.1.1", Family.INET_LABELED, "203.0.113.0/24", 17, False),
        ("203.0.113.0/24 next-hop 10.255.1.1 rd 1:2 label 1000", Family.INET_VPN, "1:2:203.0.113.0/24", 1000, False),
        ("2001:db8::/32 next-hop 2001:db8::1", Family.INET6, "2001:db8::/32", 0, False),
        ("2001:db8::/32 rd 1:2 label 3 next-hop ::ffff:10.0.0.1", Family.INET6_VPN, "1:2:2001:db8::/32", 3, False),
        (
            "e-vpn 2-1:2-0-02:00:00:00:00:01,10.1.1.1 label 1000000 next-hop 10.255.1.1 encapsulation:vxlan",
            Family.E_VPN,
            "2-1:2-0-02:00:00:00:00:01,10.1.1.1",
            1000000,
            True,
        ),
    ],
)
def test_lines(line: str, family: Family, key: str, label: int, vxlan: bool) -> None:
    read = route_text.parse(line)
    assert read.family is family
    assert nlri.codec(family).text(read.route[0]) == key
    assert nlri.label(read.route[1], vxlan) == label


def test_all_words() -> None:
    line = (
        "10.0.0.0/8 rd 1:2 label 16 next-hop 10.255.1.1 origin egp as-path 65001,4200000000 med 0 local-pref 7 "
        "community 65001:7,no-export target:64512:100 0300000000000000"
    )
    family, attributes, route = route_text.parse(line)
    assert attributes == Attributes.make(
        origin=1,
        as_path=AsPath.sequence(65001, 4200000000),
        next_hop=HOP,
        med=0,
        local_pref=7,
        communities=(65001 << 16 | 7, 0xFFFFFF01),
        ext_communities=(ext_community.route_target("64512:100"), bytes.fromhex("0300000000000000")),
    )
    assert route_text.parse(route_text.text(family, attributes, route)).attributes == attributes


def test_what_no_word_exists_for_is_named() -> None:
    attributes = Attributes.make(
        next_hop=HOP, aggregator=Aggregator(65001, HOP), unknown=(UnknownAttribute(0xE0, 99, b"x"),)
    )
    line = route_text.text(Family.INET, attributes, (nlri.codec(Family.INET).key("10.0.0.0/8"), b""))
    assert line == "10.0.0.0/8 next-hop 10.255.1.1 plus AGGREGATOR, attribute 99"


def test_segment_and_second_label_of_a_mac_route() -> None:
    line = (
        "e-vpn 2-1:2-0-02:00:00:00:00:01,10.1.1.1 label 100 esi 65001:7 l3-label 200 next-hop 10.255.1.1 "
        "encapsulation:vxlan"
    )
    read = route_text.parse(line)
    assert (nlri.label(read.route[1], True), nlri.l3_label(read.route[1], True)) == (100, 200)
    assert route_text.text(*read) == line


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no route"),
        ("e-vpn", "e-vpn: no route"),
        ("10.0.0.0/8", "a next-hop is needed"),
        ("10.0.0.0/33 next-hop 10.0.0.1", "'33' is not a valid netmask"),
        ("10.0.0.0/8 next-hop", "next-hop: no value"),
        ("10.0.0.0/8 next-hop 10.0.0.1 next-hop 10.0.0.2", "next-hop twice"),
        ("10.0.0.0/8 next-hop 10.0.0.1 colour blue", "inet: colour not understood"),
        ("10.0.0.0/8 next-hop 2001:db8::1", "inet: a next hop of 16 bytes"),
        ("10.0.0.0/8 rd 1:2 next-hop 10.0.0.1", "a label is needed"),
        ("10.0.0.0/8 label 1048576 next-hop 10.0.0.1", "label 1048576: expected 20 bits"),
        ("10.0.0.0/8 next-hop 10.0.0.1 med -1", "not a number: '-1'"),
        ("10.0.0.0/8 next-hop 10.0.0.1 med 4294967296", "4294967296: expected 32 bits"),
        ("10.0.0.0/8 next-hop 10.0.0.1 origin mars", "origin mars: expected igp, egp, incomplete"),
        ("10.0.0.0/8 next-hop 10.0.0.1 nonsense:1", "unknown kind of extended community: 'nonsense:1'"),
        ("10.0.0.0/8 next-hop 10.0.0.1 community " + ",".join(f"1:{n}" for n in range(1100)), "bytes are left"),
        ("e-vpn 3-1:2-0-10.0.0.1 label 5 next-hop 10.0.0.1", "e-vpn: label not understood"),
    ],
)
def test_wrong_lines(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        route_text.parse(line)
    assert "\n" not in str(raised.value)


def test_a_text_has_remarks_and_its_errors_line_numbers() -> None:
    text = ["# routes\n", "\n", "10.0.0.0/8 next-hop 10.0.0.1 # the first\n", "10.0.0.0/8\n"]
    lines = route_text.read(text)
    assert next(lines).family is Family.INET
    with pytest.raises(ValueError, match="line 4: a next-hop is needed"):
        next(lines)


@given(st.text())
def test_any_text_is_a_route_or_a_value_error(text: str) -> None:
    try:
        read = route_text.parse(f"10.0.0.0/8 next-hop 10.0.0.1 {text}")
    except ValueError as wrong:
        assert "\n" not in str(wrong)
    else:
        assert read.route[0].endswith(b"\x08\x0a")
