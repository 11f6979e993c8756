"""NLRI of every family: round trips, printed forms, what is skipped and what cannot be cut."""

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import esi, nlri, rd
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import NlriError, Route, evpn

RD = "10.0.0.1:5"
RAW_RD = bytes.fromhex("00010a0000010005")

PRINTED = [
    (Family.INET, "10.1.2.0/23", "170a0102"),
    (Family.INET, "0.0.0.0/0", "00"),
    (Family.INET6, "2001:db8::/33", "2120010db800"),
    (Family.INET_LABELED, "10.255.0.1/32", "200aff0001"),
    (Family.INET_VPN, "10.0.0.1:5:10.1.2.3/32", "00010a0000010005200a010203"),
    (Family.INET_VPN, "64512:70000:10.0.0.0/8", "0000fc0000011170080a"),
    (Family.INET6_VPN, "4200000000:7:2001:db8::/32", "0002fa56ea0000072020010db8"),
    (Family.ROUTE_TARGET, "0:target:0:0", "00"),
    (Family.ROUTE_TARGET, "64512:target:64512:100", "600000fc000002fc0000000064"),
    (Family.ROUTE_TARGET, "64512:target:10.0.0.1:3", "600000fc0001020a0000010003"),
    (Family.ERM_VPN, "1-10.0.0.1:5-10.255.0.1,239.1.1.1,10.1.1.1", "011600010a00000100050aff0001200a01010120ef010101"),
    (Family.ERM_VPN, "2-10.0.0.1:5-10.255.0.1,239.1.1.1,0.0.0.0", "021600010a00000100050aff0001200000000020ef010101"),
    (Family.E_VPN, "1-10.0.0.1:5-zero_esi-4294967295", "0100010a000001000500000000000000000000ffffffff"),
    (Family.E_VPN, "1-10.0.0.1:5-max_esi-0", "0100010a0000010005ffffffffffffffffffff00000000"),
    (Family.E_VPN, "1-10.0.0.1:5-64512:9-0", "0100010a0000010005050000fc00000000090000000000"),
    (Family.E_VPN, "1-10.0.0.1:5-10.0.0.9:9-0", "0100010a0000010005040a000009000000090000000000"),
    (Family.E_VPN, "1-10.0.0.1:5-00:01:02:03:04:05:06:07:08:09-7", "0100010a00000100050001020304050607080900000007"),
    (Family.E_VPN, "2-10.0.0.1:5-0-aa:bb:cc:dd:ee:ff,0.0.0.0", "0200010a000001000500000000aabbccddeeff00"),
    (Family.E_VPN, "2-10.0.0.1:5-7-aa:bb:cc:dd:ee:ff,10.1.1.1", "0200010a000001000500000007aabbccddeeff200a010101"),
    (
        Family.E_VPN,
        "2-10.0.0.1:5-0-aa:bb:cc:dd:ee:ff,2001:db8::1",
        "0200010a000001000500000000aabbccddeeff8020010db8000000000000000000000001",
    ),
    (Family.E_VPN, "3-10.0.0.1:5-0-10.2.2.2", "0300010a000001000500000000200a020202"),
    (Family.E_VPN, "4-10.0.0.1:5-zero_esi-10.2.2.2", "0400010a000001000500000000000000000000200a020202"),
    (Family.E_VPN, "5-10.0.0.1:5-0-10.1.0.0/16", "0500010a000001000500000000100a010000"),
    (Family.E_VPN, "5-10.0.0.1:5-0-2001:db8::/32", "0500010a0000010005000000002020010db8000000000000000000000000"),
    (Family.E_VPN, "6-10.0.0.1:5-0-239.1.1.1-10.2.2.2", "0600010a0000010005000000000020ef010101200a020202"),
    (
        Family.E_VPN,
        "6-10.0.0.1:5-0-10.1.1.1-239.1.1.1-10.2.2.2",
        "0600010a000001000500000000200a01010120ef010101200a020202",
    ),
    (Family.INET_MVPN, "1-10.0.0.1:5,10.2.2.2", "010c00010a00000100050a020202"),
    (Family.INET_MVPN, "2-10.0.0.1:5,64512", "020c00010a00000100050000fc00"),
    (Family.INET_MVPN, "3-10.0.0.1:5,10.1.1.1,239.1.1.1,10.2.2.2", "031600010a0000010005200a01010120ef0101010a020202"),
    (
        Family.INET_MVPN,
        "4-3-10.0.0.1:5,10.1.1.1,239.1.1.1,10.2.2.2,10.3.3.3",
        "041c031600010a0000010005200a01010120ef0101010a0202020a030303",
    ),
    (Family.INET_MVPN, "4-2-10.0.0.1:5,64512,10.3.3.3", "0412020c00010a00000100050000fc000a030303"),
    (Family.INET_MVPN, "5-10.0.0.1:5,10.1.1.1,239.1.1.1", "051200010a0000010005200a01010120ef010101"),
    (Family.INET_MVPN, "6-10.0.0.1:5,64512,10.1.1.1,239.1.1.1", "061600010a00000100050000fc00200a01010120ef010101"),
    (Family.INET_MVPN, "7-10.0.0.1:5,64512,10.1.1.1,239.1.1.1", "071600010a00000100050000fc00200a01010120ef010101"),
]


@pytest.mark.parametrize(("family", "text", "key"), PRINTED, ids=lambda value: str(value))
def test_printed_form_and_key(family: Family, text: str, key: str) -> None:
    codec = nlri.codec(family)
    assert codec.key(text).hex() == key
    assert codec.text(bytes.fromhex(key)) == text


@given(s.families.flatmap(lambda family: st.tuples(st.just(family), st.lists(s.routes[family], max_size=8))))
def test_round_trip(case: tuple[Family, list[Route]]) -> None:
    family, routes = case
    codec = nlri.codec(family)
    data = b"".join(codec.write(key, payload) for key, payload in routes)
    assert b"".join(codec.write_all(routes)) == data
    assert codec.read(data) == routes


@given(s.families.flatmap(lambda family: st.tuples(st.just(family), s.routes[family])))
def test_withdrawn_round_trip(case: tuple[Family, Route]) -> None:
    family, (key, _) = case
    codec = nlri.codec(family)
    for label in (b"\x00\x00\x01", b"\x80\x00\x00"):
        assert codec.read(codec.write_withdrawn(key, label), withdrawn=True) == [(key, b"")]


def _printable(case: tuple[Family, Route]) -> bool:
    """Whether the text says everything.

    A type 2 distinguisher with a small AS prints like type 0, a MAC route with address 0.0.0.0 like one without, and a
    multicast route without a group, and a 96-bit route target of AS 0, have no printed form of their own.
    """
    family, (key, _) = case
    if family is Family.ROUTE_TARGET:
        return key == b"\x00" or any(key[1:5])
    if family in (Family.INET, Family.INET6, Family.INET_LABELED):
        return True
    if family is Family.E_VPN and key[0] == 2 and key[19:] == b"\x20" + bytes(4):
        return False
    if family is Family.E_VPN and key[0] == 6 and key[14 + key[13] // 8] == 0:
        return False
    return _distinguisher(family, key)[:4] != b"\x00\x02\x00\x00"


def _distinguisher(family: Family, key: bytes) -> bytes:
    if family is Family.E_VPN:
        return key[1:9]
    if family in (Family.ERM_VPN, Family.INET_MVPN):
        return key[4:12] if family is Family.INET_MVPN and key[0] == 4 else key[2:10]
    return key[:8]


@given(s.families.flatmap(lambda family: st.tuples(st.just(family), s.routes[family])).filter(_printable))
def test_text_round_trip(case: tuple[Family, Route]) -> None:
    family, (key, _) = case
    codec = nlri.codec(family)
    assert codec.key(codec.text(key)) == key


@given(s.families, st.text(max_size=40))
def test_any_text_gives_a_key_or_a_value_error(family: Family, text: str) -> None:
    codec = nlri.codec(family)
    try:
        key = codec.key(text)
    except ValueError:
        return
    assert codec.key(codec.text(key)) == key


@pytest.mark.parametrize("family", list(Family))
@given(data=st.binary(max_size=80), withdrawn=st.booleans())
def test_any_bytes_give_routes_or_an_nlri_error(family: Family, data: bytes, withdrawn: bool) -> None:
    codec = nlri.codec(family)
    faults: list[str] = []
    try:
        routes = codec.read(data, withdrawn, faults)
    except NlriError:
        return
    assert len(routes) + len(faults) <= len(data)
    for key, payload in routes:
        assert codec.key(codec.text(key)) is not None
        again = codec.write_withdrawn(key) if withdrawn else codec.write(key, payload)
        assert codec.read(again, withdrawn) == [(key, payload)]


@pytest.mark.parametrize("family", list(Family))
@given(data=st.data())
def test_a_cut_field_is_an_nlri_error(family: Family, data: st.DataObject) -> None:
    codec = nlri.codec(family)
    key, payload = data.draw(s.routes[family].filter(lambda route: len(codec.write(*route)) > 1))
    wire = codec.write(key, payload)
    with pytest.raises(NlriError):
        codec.read(wire[: data.draw(st.integers(1, len(wire) - 1))])


def test_host_bits_are_cleared() -> None:
    assert nlri.codec(Family.INET).read(bytes.fromhex("0cffff")) == [(bytes.fromhex("0cfff0"), b"")]
    assert nlri.codec(Family.INET_VPN).read(b"\x5a\x00\x00\x11" + RAW_RD + b"\xff") == [
        (RAW_RD + b"\x02\xc0", b"\x00\x00\x11")
    ]
    assert nlri.codec(Family.INET_LABELED).read(bytes.fromhex("1a000011ff")) == [(b"\x02\xc0", b"\x00\x00\x11")]


@pytest.mark.parametrize(
    ("family", "data", "said"),
    [
        (Family.INET, "210a00000100", "prefix length 33"),
        (Family.INET6, "81" + "00" * 17, "prefix length 129"),
        (Family.INET_VPN, "79" + "00" * 16, "prefix length 121"),
        (Family.INET_VPN, "57" + "00" * 11, "prefix length 87"),
        (Family.INET_LABELED, "170000", "prefix length 23"),
    ],
)
def test_impossible_prefix_length(family: Family, data: str, said: str) -> None:
    wire = bytes.fromhex(data)
    wire += bytes(1 + (wire[0] + 7) // 8 - len(wire))
    faults: list[str] = []
    sound = nlri.codec(family).write_all(
        [(RAW_RD + b"\x00" if "vpn" in family.config_name else b"\x00", b"\x00\x00\x11")]
    )
    assert len(nlri.codec(family).read(wire + sound[0], False, faults)) == 1
    assert said in faults[0]
    with pytest.raises(NlriError, match=said):
        nlri.codec(family).read(wire)


@pytest.mark.parametrize(
    ("family", "data"),
    [
        (Family.ROUTE_TARGET, "400000fc000002fc00"),
        (Family.E_VPN, "0701ff"),
        (Family.E_VPN, "0203000000"),
        (Family.ERM_VPN, "0016" + "00" * 22),
        (Family.ERM_VPN, "0103000000"),
        (Family.INET_MVPN, "0803000000"),
        (Family.INET_MVPN, "0403010100"),
        (Family.INET_MVPN, "0512" + "00" * 18),
    ],
)
def test_a_route_nobody_understands_is_skipped(family: Family, data: str) -> None:
    faults: list[str] = []
    assert nlri.codec(family).read(bytes.fromhex(data), False, faults) == []
    assert len(faults) == 1
    assert nlri.codec(family).read(bytes.fromhex(data)) == []


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ("388000000a010101", "200a010101"),
        ("380000010a010101", "200a010101"),
        ("200a010101", "200a010101"),
        ("180a0101", "180a0101"),
        ("100a01", "100a01"),
        ("18800000", "00"),
        ("200000010a", "080a"),
        ("381234510a010101", "200a010101"),
    ],
)
def test_labeled_withdrawal_with_and_without_label(data: str, key: str) -> None:
    """A control node leaves the label out (reference/bgp.md 2.3); a withdrawal label tells the two apart."""
    assert nlri.codec(Family.INET_LABELED).read(bytes.fromhex(data), withdrawn=True) == [(bytes.fromhex(key), b"")]


@pytest.mark.parametrize(
    ("payload", "label", "vni"),
    [
        ("", 0, 0),
        ("02", 0, 0),
        ("00fa11", 4001, 0xFA11),
        ("00" * 10 + "000051", 5, 0x51),
        ("00" * 10 + "000051" + "000061", 5, 0x51),
        ("00" * 14 + "000051", 5, 0x51),
        ("00" * 26 + "000051", 5, 0x51),
    ],
)
def test_label_of_a_payload(payload: str, label: int, vni: int) -> None:
    raw = bytes.fromhex(payload)
    assert nlri.label(raw, False) == label
    assert nlri.label(raw, True) == vni


def test_label_bytes() -> None:
    assert nlri.label_bytes(16, False) == bytes.fromhex("000101")
    assert nlri.label_bytes(16, True) == bytes.fromhex("000010")
    assert nlri.l3_label(bytes(13) + b"\x00\x00\x61", False) == 6
    assert nlri.l3_label(bytes(13), False) == 0
    assert nlri.with_label(bytes(16), 5, False) == bytes(10) + b"\x00\x00\x51" + bytes(3)
    with pytest.raises(ValueError, match="no label"):
        nlri.with_label(b"", 5, False)


def test_ethernet_tag_as_vni() -> None:
    """reference/bgp.md 2.3: old Junos puts the VNI into the tag."""
    codec = nlri.codec(Family.E_VPN)
    tagged = codec.key(f"2-{RD}-5000-aa:bb:cc:dd:ee:ff,0.0.0.0")
    assert evpn.vni(tagged, 7, tag_as_vni=True) == 5000
    assert evpn.vni(tagged, 7, tag_as_vni=False) == 7
    assert evpn.vni(codec.key(f"2-{RD}-0-aa:bb:cc:dd:ee:ff,0.0.0.0"), 7, tag_as_vni=True) == 7
    assert evpn.vni(codec.key(f"3-{RD}-16777216-10.0.0.1"), 7, tag_as_vni=True) == 7
    assert evpn.vni(codec.key(f"1-{RD}-zero_esi-4294967295"), 7, tag_as_vni=False) == 0
    assert evpn.vni(codec.key(f"5-{RD}-9-10.0.0.0/8"), 7, tag_as_vni=True) == 7


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("64512:70000", "0000fc0000011170"),
        ("65535:1", "0000ffff00000001"),
        ("10.0.0.1:65535", "00010a000001ffff"),
        ("65536:3", "0002000100000003"),
    ],
)
def test_route_distinguisher(text: str, raw: str) -> None:
    assert rd.parse(text).hex() == raw
    assert rd.text(bytes.fromhex(raw)) == text


def test_route_distinguisher_of_unknown_type_prints_as_hex() -> None:
    assert rd.text(bytes.fromhex("0009000102030405")) == "0009000102030405"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:",
        ":1",
        "1:2:3",
        "10.0.0.1:65536",
        "10.0.0:1",
        "256.0.0.1:1",
        "4294967296:1",
        "65536:65536",
        "a:1",
        "1:-1",
        "1:٣",
    ],
)
def test_not_a_route_distinguisher(text: str) -> None:
    with pytest.raises(ValueError):
        rd.parse(text)


@given(st.one_of(s.raw(10), st.just(bytes(10)), st.just(b"\xff" * 10), s.raw(8).map(lambda v: b"\x05" + v + b"\x00")))
def test_esi_round_trip(segment: bytes) -> None:
    assert esi.parse(esi.text(segment)) == segment
