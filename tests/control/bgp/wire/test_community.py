"""Communities of 4 and 8 bytes: the printed forms of reference/bgp.md 3.2 and 3.3."""

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import community, ext_community

COMMUNITIES = [
    ("accept-own", 0xFFFF0001),
    ("llgr-stale", 0xFFFF0006),
    ("no-llgr", 0xFFFF0007),
    ("accept-own-nexthop", 0xFFFF0008),
    ("no-reoriginate", 0xFFFFF000),
    ("no-export", 0xFFFFFF01),
    ("no-advertise", 0xFFFFFF02),
    ("no-export-subconfed", 0xFFFFFF03),
    ("64512:100", 64512 << 16 | 100),
]


@pytest.mark.parametrize(("text", "value"), COMMUNITIES)
def test_community(text: str, value: int) -> None:
    assert community.parse(text) == value
    assert community.text(value) == text


def test_the_names_a_control_node_parses() -> None:
    assert community.parse("LlgrStale") == community.LLGR_STALE
    assert community.parse("NoLlgr") == community.NO_LLGR
    with pytest.raises(ValueError, match="llgr-stale"):
        community.parse("llgr-stale", contrail_names=True)


def test_the_tag_of_a_4_byte_as_with_the_defect() -> None:
    """reference/bgp.md 3.3."""
    assert ext_community.tag(4200000000, 5, overwrites_as=True).hex() == "8284fa5600050000"
    assert ext_community.tag(64512, 5, overwrites_as=True) == ext_community.tag(64512, 5)


@given(s.u32)
def test_community_round_trip(value: int) -> None:
    assert community.parse(community.text(value)) == value


@pytest.mark.parametrize(
    "text", ["", "1", ":", "1:", ":1", "65536:1", "1:65536", "a:1", "1:2:3", "-1:1", "no-such", "٣:1"]
)
def test_not_a_community(text: str) -> None:
    with pytest.raises(ValueError):
        community.parse(text)


EXT_COMMUNITIES = [
    ("target:64512:100", "0002fc0000000064"),
    ("target:10.0.0.1:3", "01020a0000010003"),
    ("target:4200000000:5", "0202fa56ea000005"),
    ("target:64512L:5", "02020000fc000005"),
    ("soo:64512:100", "0003fc0000000064"),
    ("soo:10.0.0.1:3", "01030a0000010003"),
    ("soo:4200000000:5", "0203fa56ea000005"),
    ("source-as:64512:0", "0009fc0000000000"),
    ("source-as:4200000000:0", "0209fa56ea000000"),
    ("rt-import:10.0.0.1:3", "010b0a0000010003"),
    ("encapsulation:gre", "030c000000000002"),
    ("encapsulation:vxlan", "030c000000000008"),
    ("encapsulation:nvgre", "030c000000000009"),
    ("encapsulation:mpls", "030c00000000000a"),
    ("encapsulation:mpls-o-gre", "030c00000000000b"),
    ("encapsulation:vxlan-gpe", "030c00000000000c"),
    ("encapsulation:udp", "030c00000000000d"),
    ("encapsulation:native", "030c000000000010"),
    ("defaultgw:0", "030d000000000000"),
    ("load-balance:field-hash", "03aaf80000000000"),
    ("load-balance:source-bias", "03aaf80080000000"),
    ("mobility:sticky:7", "0600010000000007"),
    ("mobility:non-sticky:8", "0600000000000008"),
    ("esilabel:aa:16", "0601000000000100"),
    ("esilabel:sa:16", "0601010000000100"),
    ("esimport:aa:bb:cc:dd:ee:ff", "0602aabbccddeeff"),
    ("rtrmac:aa:bb:cc:dd:ee:ff", "0603aabbccddeeff"),
    ("etree:leaf:16", "0605010000000100"),
    ("etree:root:0", "0605000000000000"),
    ("evpn-mcast-flags:1", "0609000100000000"),
    ("secgroup:64512:8000001", "8004fc00007a1201"),
    ("secgroup:4200000000:7", "8204fa56ea000007"),
    ("originvn:64512:5", "8071fc0000000005"),
    ("originvn:4200000000:5", "8271fa56ea000005"),
    ("tag:64512:65537", "8084fc0000010001"),
    ("tag:4200000000:5", "8284fa56ea000005"),
    ("subcluster:64512:9", "8085fc0000000009"),
    ("subcluster:4200000000:9", "8285fa56ea000009"),
    ("c000000000050000", "c000000000050000"),
    ("4306000100000003", "4306000100000003"),
]


@pytest.mark.parametrize(("text", "raw"), EXT_COMMUNITIES)
def test_ext_community(text: str, raw: str) -> None:
    assert ext_community.parse(text).hex() == raw
    assert ext_community.text(bytes.fromhex(raw)) == text


@given(s.raw(8))
def test_every_value_has_a_text_that_reads_back_to_the_same_text(raw: bytes) -> None:
    text = ext_community.text(raw)
    assert ext_community.text(ext_community.parse(text)) == text


_printed = st.sampled_from([bytes.fromhex(raw)[:2] for _, raw in EXT_COMMUNITIES])


@given(_printed, s.raw(6))
def test_any_body_of_a_printed_kind(head: bytes, body: bytes) -> None:
    text = ext_community.text(head + body)
    assert ext_community.text(ext_community.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "target",
        "target:",
        "target:1",
        "target:a:1",
        "target:1:4294967296",
        "target:65536:65536",
        "target:10.0.0.1:65536",
        "nosuch:1:1",
        "encapsulation:foo",
        "encapsulation:65536",
        "mobility:maybe:1",
        "esilabel:xx:1",
        "esilabel:aa:1048576",
        "esimport:aa:bb",
        "rtrmac:aa:bb:cc:dd:ee:fg",
        "secgroup:1",
        "rt-import:1:1",
        "load-balance:x",
        "0002",
        "00020000000000zz",
    ],
)
def test_not_an_ext_community(text: str) -> None:
    with pytest.raises(ValueError):
        ext_community.parse(text)


@given(st.text(max_size=30))
def test_any_text_gives_a_value_or_a_value_error(text: str) -> None:
    for parse in (ext_community.parse, ext_community.route_target):
        try:
            assert len(parse(text)) == 8
        except ValueError:
            continue


def test_route_target() -> None:
    assert ext_community.route_target("64512:100") == ext_community.route_target("target:64512:100")
    assert ext_community.is_route_target(ext_community.route_target("10.0.0.1:7"))
    assert not ext_community.is_route_target(ext_community.parse("soo:64512:100"))


def test_encapsulations() -> None:
    values = (ext_community.route_target("1:1"), ext_community.encapsulation("gre"), ext_community.encapsulation("77"))
    assert ext_community.encapsulations(values) == ("gre", "77")
    assert not ext_community.is_vxlan(values)
    assert ext_community.is_vxlan((*values, ext_community.VXLAN))


@given(s.u16, s.u32)
def test_contrail_values_of_a_2_byte_as(asn: int, value: int) -> None:
    for make, read in (
        (ext_community.security_group, ext_community.read_security_group),
        (ext_community.origin_vn, ext_community.read_origin_vn),
        (ext_community.tag, ext_community.read_tag),
        (ext_community.sub_cluster, ext_community.read_sub_cluster),
    ):
        raw = make(asn, value)
        assert read(raw) == (asn, value)
        assert read(bytes(8)) is None


@given(st.integers(0x10000, 0xFFFFFFFF), s.u16)
def test_contrail_values_of_a_4_byte_as(asn: int, value: int) -> None:
    assert ext_community.read_origin_vn(ext_community.origin_vn(asn, value)) == (asn, value)
    assert ext_community.tag(asn, value)[6:] == value.to_bytes(2, "big")


def test_origin_vn_of_two_values() -> None:
    """reference/bgp.md 3.3: AS > 65535 and index > 65535."""
    assert [raw.hex() for raw in ext_community.origin_vn_values(4200000000, 8000001)] == [
        "8271fa56ea005ba0",
        "80715ba0007a1201",
    ]
    assert ext_community.origin_vn_values(64512, 8000001) == (ext_community.origin_vn(64512, 8000001),)


def test_security_groups_of_a_4_byte_as_come_in_pairs() -> None:
    values = ext_community.paired(ext_community.SECURITY_GROUP, 4200000000, (8000001, 5))
    assert [raw.hex() for raw in values] == [
        "8204fa56ea000000",
        "80040000007a1201",
        "8204fa56ea000001",
        "8004000100000005",
    ]
    assert ext_community.paired(ext_community.TAG, 64512, (5,)) == (ext_community.tag(64512, 5),)


@given(st.booleans(), s.u32)
def test_mobility_round_trip(sticky: bool, sequence: int) -> None:
    assert ext_community.read_mac_mobility(ext_community.mac_mobility(sticky, sequence)) == (sticky, sequence)


@given(st.booleans(), st.integers(0, 0xFFFFF))
def test_label_values_round_trip(flag: bool, label: int) -> None:
    assert ext_community.read_esi_label(ext_community.esi_label(flag, label)) == (flag, label)
    assert ext_community.read_etree(ext_community.etree(flag, label)) == (flag, label)


@given(s.raw(6), s.u16, s.u32, s.u8, st.booleans())
def test_other_values_round_trip(mac: bytes, flags: int, sequence: int, fields: int, bias: bool) -> None:
    assert ext_community.read_router_mac(ext_community.router_mac(mac)) == mac
    assert ext_community.read_multicast_flags(ext_community.multicast_flags(flags)) == flags
    assert ext_community.read_local_sequence_number(ext_community.local_sequence_number(sequence)) == sequence
    assert ext_community.read_load_balance(ext_community.load_balance(fields, bias)) == (fields, bias)


def test_a_reader_refuses_another_kind() -> None:
    other = ext_community.route_target("1:1")
    for read in (
        ext_community.read_encapsulation,
        ext_community.read_load_balance,
        ext_community.read_mac_mobility,
        ext_community.read_esi_label,
        ext_community.read_router_mac,
        ext_community.read_etree,
        ext_community.read_multicast_flags,
        ext_community.read_local_sequence_number,
    ):
        assert read(other) is None
