"""Faulty UPDATEs: the code, subcode and data of reference/bgp.md 1.6, or in profile rfc the verdict of RFC 7606."""

import pytest

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import MessageError
from contrail_emulator.control.bgp.negotiation import Negotiated

ORIGIN = "40010100"
AS_PATH = "40020602010000fde9"
NEXT_HOP = "4003040a000001"
LOCAL_PREF = "40050400000064"
IBGP = ORIGIN + "400200" + LOCAL_PREF
EBGP = ORIGIN + AS_PATH
KEY = bytes.fromhex("180a0102")
MP_REACH = "800e0d000101040a00000100180a0102"
CLASSIC = "180a0102"

Error = tuple[int, int, str]


def read(
    attributes: str, classic: str = "", behaviour: Behaviour = CONTRAIL, ibgp: bool = True, as4: bool = True
) -> update.Received:
    section = bytes.fromhex(attributes)
    body = b"\x00\x00" + len(section).to_bytes(2, "big") + section + bytes.fromhex(classic)
    agreed = Negotiated(list(Family), as4=as4, local_as=64512, peer_as=64512 if ibgp else 65001)
    return update.read(body, agreed, behaviour)


def error(
    attributes: str, classic: str = "", behaviour: Behaviour = CONTRAIL, ibgp: bool = True, as4: bool = True
) -> Error:
    with pytest.raises(MessageError) as caught:
        read(attributes, classic, behaviour, ibgp, as4)
    return caught.value.code, caught.value.subcode, caught.value.data.hex()


# --- profile contrail: every fault resets --------------------------------------------------------------------------


CONTRAIL_FAULTS: list[tuple[str, str, str, Error]] = [
    ("duplicate attribute", IBGP + ORIGIN + MP_REACH, "", (3, 1, "")),
    ("duplicate MP_REACH", IBGP + MP_REACH + MP_REACH, "", (3, 1, "")),
    ("attribute header is cut", IBGP + "4001", "", (3, 1, "")),
    ("long attribute header is cut", IBGP + "500100", "", (3, 1, "")),
    ("attribute overruns the section", IBGP + "40050500000064", "", (3, 1, "")),
    ("unknown well-known", IBGP + "406301ab" + MP_REACH, "", (3, 2, "406301ab")),
    ("no NEXT_HOP", IBGP, CLASSIC, (3, 3, "03")),
    ("no ORIGIN", "400200" + LOCAL_PREF + NEXT_HOP, CLASSIC, (3, 3, "01")),
    ("no AS_PATH", ORIGIN + LOCAL_PREF + NEXT_HOP, CLASSIC, (3, 3, "02")),
    ("no LOCAL_PREF from iBGP", ORIGIN + "400200" + MP_REACH, "", (3, 3, "05")),
    ("no attribute at all", "", CLASSIC, (3, 3, "03")),
    ("ORIGIN optional", "c0010100" + "400200" + LOCAL_PREF + MP_REACH, "", (3, 4, "c0010100")),
    ("MED transitive", IBGP + "c0040400000001" + MP_REACH, "", (3, 4, "c0040400000001")),
    ("COMMUNITIES not transitive", IBGP + "80080400000001" + MP_REACH, "", (3, 4, "80080400000001")),
    ("ATOMIC_AGGREGATE partial", IBGP + "600600" + MP_REACH, "", (3, 4, "600600")),
    ("ATOMIC_AGGREGATE with a long length", IBGP + "50060000" + MP_REACH, "", (3, 4, "50060000")),
    ("MP_REACH transitive", IBGP + "c0" + MP_REACH[2:], "", (3, 4, "c0" + MP_REACH[2:])),
    ("MP_UNREACH well-known", "400f03000180", "", (3, 4, "400f03000180")),
    ("ORIGIN of 2 bytes", "4001020000" + "400200" + LOCAL_PREF + MP_REACH, "", (3, 5, "4001020000")),
    ("NEXT_HOP of 5 bytes", IBGP + "4003050a00000100", CLASSIC, (3, 5, "4003050a00000100")),
    ("MED of 3 bytes", IBGP + "800403000001" + MP_REACH, "", (3, 5, "800403000001")),
    ("LOCAL_PREF of 0 bytes", ORIGIN + "400200" + "400500" + MP_REACH, "", (3, 5, "400500")),
    ("ATOMIC_AGGREGATE of 1 byte", IBGP + "40060100" + MP_REACH, "", (3, 5, "40060100")),
    ("AGGREGATOR of 6 bytes with 4-byte AS", IBGP + "c00706fde90a000001" + MP_REACH, "", (3, 5, "c00706fde90a000001")),
    ("AGGREGATOR of 7 bytes", IBGP + "c0070700fde90a000001" + MP_REACH, "", (3, 5, "c0070700fde90a000001")),
    ("COMMUNITIES of 5 bytes", IBGP + "c008050000000100" + MP_REACH, "", (3, 5, "c008050000000100")),
    ("ORIGINATOR_ID of 3 bytes", IBGP + "800903000001" + MP_REACH, "", (3, 5, "800903000001")),
    ("CLUSTER_LIST of 6 bytes", IBGP + "800a06000000010000" + MP_REACH, "", (3, 5, "800a06000000010000")),
    ("EXT_COMMUNITIES of 4 bytes", IBGP + "c0100400000001" + MP_REACH, "", (3, 5, "c0100400000001")),
    ("PMSI_TUNNEL of 4 bytes", IBGP + "c0160400060000" + MP_REACH, "", (3, 5, "c0160400060000")),
    ("AS4_AGGREGATOR of 6 bytes", IBGP + "c01206fde90a000001" + MP_REACH, "", (3, 5, "c01206fde90a000001")),
    ("AS4_PATH that overruns", IBGP + "c0110402020001" + MP_REACH, "", (3, 5, "c0110402020001")),
    ("Edge Discovery without an element", IBGP + "c0f100" + MP_REACH, "", (3, 5, "c0f100")),
    ("Edge Discovery with an IPv6 address", IBGP + "c0f106100a00000100" + MP_REACH, "", (3, 5, "c0f106100a00000100")),
    (
        "Edge Discovery with half a label block",
        IBGP + "c0f10a040a0000010400000001" + MP_REACH,
        "",
        (3, 5, "c0f10a040a0000010400000001"),
    ),
    ("Edge Forwarding that is cut", IBGP + "c0f205040a000001" + MP_REACH, "", (3, 5, "c0f205040a000001")),
    ("ORIGIN_VN_PATH of 7 bytes", IBGP + "c0f3078071fc00000000" + MP_REACH, "", (3, 5, "c0f3078071fc00000000")),
    ("ORIGIN 3", "40010103" + "400200" + LOCAL_PREF + MP_REACH, "", (3, 6, "40010103")),
    ("NEXT_HOP 0.0.0.0", IBGP + "40030400000000", CLASSIC, (3, 8, "40030400000000")),
    (
        "next hop of 16 bytes for inet-vpn",
        IBGP + "800e1500018010" + "00" * 17,
        "",
        (3, 9, "800e1500018010" + "00" * 17),
    ),
    (
        "next hop of 48 bytes for inet6-vpn",
        IBGP + "800e3500028030" + "00" * 49,
        "",
        (3, 9, "800e3500028030" + "00" * 49),
    ),
    ("next hop of 16 bytes for e-vpn", IBGP + "800e1500194610" + "00" * 17, "", (3, 9, "800e1500194610" + "00" * 17)),
    ("unknown AFI/SAFI", IBGP + "800e09400447040a00000100", "", (3, 9, "800e09400447040a00000100")),
    ("MP_REACH too short", IBGP + "800e0400010104", "", (3, 9, "800e0400010104")),
    ("MP_REACH with a next hop that overruns", IBGP + "800e08000101040a000001", "", (3, 9, "800e08000101040a000001")),
    ("MP_REACH with a cut prefix", IBGP + "800e0b000101040a00000100180a", "", (3, 9, "800e0b000101040a00000100180a")),
    ("MP_UNREACH too short", "800f020001", "", (3, 9, "800f020001")),
    ("MP_UNREACH with a cut prefix", "800f05000101180a", "", (3, 9, "800f05000101180a")),
    ("classic NLRI with a cut prefix", IBGP + NEXT_HOP, "180a", (3, 10, "")),
]


@pytest.mark.parametrize(
    ("_why", "attributes", "classic", "expected"), CONTRAIL_FAULTS, ids=[f[0] for f in CONTRAIL_FAULTS]
)
def test_contrail_resets(_why: str, attributes: str, classic: str, expected: Error) -> None:
    assert error(attributes, classic) == expected


@pytest.mark.parametrize(
    "as_path", ["400200", "4002020200", "400208020002010000fde9"], ids=["empty", "empty segment", "empty first"]
)
def test_empty_as_path_from_ebgp(as_path: str) -> None:
    assert error(ORIGIN + as_path + MP_REACH, ibgp=False) == (3, 11, "")
    assert read(ORIGIN + as_path + LOCAL_PREF + MP_REACH).reach[0].routes == [(KEY, b"")]


@pytest.mark.parametrize("as_path", ["4002050201000000", "40020102", "40020602020000fde9"])
def test_as_path_that_overruns(as_path: str) -> None:
    assert error(ORIGIN + as_path + LOCAL_PREF + MP_REACH) == (3, 11, as_path)


def test_as_path_of_the_other_width() -> None:
    assert error(ORIGIN + AS_PATH + LOCAL_PREF + MP_REACH, as4=False) == (3, 11, AS_PATH)
    assert error(ORIGIN + "4002040201fde9" + LOCAL_PREF + MP_REACH, as4=True) == (3, 11, "4002040201fde9")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "empty"),
        ("000000", "3 bytes"),
        ("00010000", "withdrawn overruns"),
        ("00000001", "attributes overrun"),
        ("ffffffff", "both"),
        ("00000004400101", "attributes overrun by one"),
    ],
)
@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
def test_lengths_that_overrun_the_message(body: str, why: str, behaviour: Behaviour) -> None:
    """RFC 4271 6.3, RFC 7606 section 4: nothing can be located."""
    with pytest.raises(MessageError) as caught:
        update.read(bytes.fromhex(body), Negotiated(list(Family)), behaviour)
    assert (caught.value.code, caught.value.subcode) == (3, 1)


def test_data_of_a_large_attribute_fits_a_notification() -> None:
    large = IBGP + "900e0f00400447040a00000100" + "00" * (0xF00 - 9)
    assert len(error(large)[2]) // 2 <= 4096 - 21


def test_what_a_control_node_lets_pass() -> None:
    """Partial and extended-length bits are free; a bad prefix is skipped; unknown optional attributes are dropped."""
    received = read("5001000100" + "400200" + LOCAL_PREF + "e0080400000001" + "e063017f" + "80640101" + MP_REACH)
    assert received.faults == []
    assert received.reach[0].attributes.unknown == ()
    assert received.reach[0].attributes.communities == (1,)
    skipped = read(IBGP + "800e13000101040a00000100210a00000100180a0102")
    assert skipped.reach[0].routes == [(KEY, b"")]
    assert skipped.faults == ["inet: prefix length 33 at byte 0 ignored"]
    assert read(IBGP + NEXT_HOP, "210a00000100" + CLASSIC).reach[0].routes == [(KEY, b"")]


def test_large_community_is_unknown_to_a_control_node() -> None:
    section = IBGP + "c0200c000000010000000200000003" + MP_REACH
    assert read(section).reach[0].attributes.large_communities == ()
    assert read(section, behaviour=RFC).reach[0].attributes.large_communities == ((1, 2, 3),)
    assert read(IBGP + "c0200d" + "00" * 13 + MP_REACH).reach[0].attributes.large_communities == ()


def test_unknown_transitive_attributes_are_passed_on_in_profile_rfc() -> None:
    """RFC 4271 5: with the Partial bit; a non-transitive one is ignored quietly."""
    received = read(IBGP + "c06301ab" + "806401cd" + MP_REACH, behaviour=RFC)
    assert received.faults == []
    attributes = received.reach[0].attributes
    assert attributes.unknown == ((0xE0, 99, b"\xab"),)
    assert attributes.encode(True, RFC).hex().endswith("e06301ab")


@pytest.mark.parametrize(
    "attribute",
    ["e0080400000001", "e0100800020001000000ff", "e0200c000000010000000200000003", "e00708000111700a000001"],
    ids=["COMMUNITIES", "EXT_COMMUNITIES", "LARGE_COMMUNITY", "AGGREGATOR"],
)
def test_the_partial_bit_stays_set_in_profile_rfc(attribute: str) -> None:
    """RFC 4271 5: set by an earlier AS it MUST NOT be cleared; a control node writes the flags of its table."""
    attributes = read(IBGP + attribute + MP_REACH, behaviour=RFC).reach[0].attributes
    assert attribute in attributes.encode(True, RFC).hex()
    assert attribute in attributes.replace(med=7).encode(True, RFC).hex()
    assert attributes != read(IBGP + "c0" + attribute[2:] + MP_REACH, behaviour=RFC).reach[0].attributes
    assert "e008" in attributes.replace(communities=(9,)).encode(True, RFC).hex() or not attribute.startswith("e008")
    assert ("e007" in attributes.encode(False, RFC).hex()) is attribute.startswith("e007")
    if attribute[2:4] != "20":
        assert attribute[2:] in read(IBGP + attribute + MP_REACH).reach[0].attributes.encode(True).hex()
        assert attribute not in read(IBGP + attribute + MP_REACH).reach[0].attributes.encode(True).hex()


def test_the_partial_bit_of_a_well_known_attribute_is_ignored() -> None:
    """RFC 4271 4.3: it is zero there."""
    section = IBGP.replace(ORIGIN, "60010100") + "a0040400000007"
    assert read(section + MP_REACH, behaviour=RFC).reach[0].attributes.encode(True, RFC).hex() == (
        ORIGIN + "400200" + "80040400000007" + LOCAL_PREF
    )


def test_unused_flags_of_an_unknown_attribute_are_not_passed_on() -> None:
    """RFC 4271 4.3: the lower four bits MUST be zero when sent."""
    attributes = read(IBGP + "cf6301ab" + MP_REACH, behaviour=RFC).reach[0].attributes
    assert attributes.encode(True, RFC).hex().endswith("e06301ab")


def test_an_as4_path_with_an_empty_segment_leaves_no_hole_in_the_path() -> None:
    """A control node takes it; what it sends on must not be malformed."""
    section = ORIGIN + "40020602025ba0fde9" + LOCAL_PREF + "c0110c" + "020200011170" + "0000fde9" + "0200" + MP_REACH
    for behaviour in (CONTRAIL, RFC):
        path = read(section, behaviour=behaviour, as4=False).reach[0].attributes.as_path
        assert path.segments == ((2, (70000, 65001) if behaviour is CONTRAIL else (23456, 65001)),)


def test_local_pref_from_ebgp() -> None:
    assert read(EBGP + LOCAL_PREF + MP_REACH, ibgp=False).reach[0].attributes.local_pref == 100
    received = read(EBGP + LOCAL_PREF + MP_REACH, ibgp=False, behaviour=RFC)
    assert received.reach[0].attributes.local_pref is None
    assert received.faults == ["LOCAL_PREF from an eBGP peer ignored"]


def test_a_withdrawal_needs_no_attributes() -> None:
    for behaviour in (CONTRAIL, RFC):
        assert read("800f07000101180a0102", behaviour=behaviour).unreach[0].keys == [KEY]
        assert read(ORIGIN + "800f07000101180a0102", behaviour=behaviour).unreach[0].keys == [KEY]


def test_unknown_family_is_withdrawn_without_harm() -> None:
    received = read("800f0740044700000000")
    assert received.faults == ["MP_UNREACH_NLRI of unknown AFI/SAFI 16388/71 ignored"]


@pytest.mark.parametrize(
    ("route", "why"),
    [
        ("052200010a0000010005" + "01" + "00" * 9 + "00000000180a01020000000000000051", "ESI"),
        ("052200010a0000010005" + "00" * 10 + "00000000180a0102000a000009000051", "gateway"),
    ],
    ids=["ESI", "gateway"],
)
def test_prefix_routes_a_control_node_ignores(route: str, why: str) -> None:
    """reference/bgp.md 2.3, type 5."""
    reach = "800e2d001946040a00000100" + route
    assert read(IBGP + reach).reach == []
    assert "ESI or gateway is not zero" in read(IBGP + reach).faults[0]
    assert len(read(IBGP + reach, behaviour=RFC).reach[0].routes) == 1


def test_tag_of_a_prefix_route_reads_as_zero() -> None:
    reach = "800e2d001946040a00000100052200010a0000010005" + "00" * 10 + "00000007180a01020000000000000051"
    for behaviour, tag in ((CONTRAIL, 0), (RFC, 7)):
        ((key, _),) = read(IBGP + reach, behaviour=behaviour).reach[0].routes
        assert int.from_bytes(key[9:13], "big") == tag


# --- profile rfc: three verdicts -----------------------------------------------------------------------------------


WITHDRAWN: list[tuple[str, str, bool]] = [
    ("ORIGIN of 2 bytes", "4001020000" + "400200" + LOCAL_PREF, True),
    ("ORIGIN 3", "40010103" + "400200" + LOCAL_PREF, True),
    ("ORIGIN optional", "c0010100" + "400200" + LOCAL_PREF, True),
    ("no ORIGIN", "400200" + LOCAL_PREF, True),
    ("no AS_PATH", ORIGIN + LOCAL_PREF, True),
    ("no LOCAL_PREF", ORIGIN + "400200", True),
    ("AS_PATH overruns", ORIGIN + "40020602020000fde9" + LOCAL_PREF, True),
    ("AS_PATH with one byte left", ORIGIN + "40020702010000fde902" + LOCAL_PREF, True),
    ("AS_PATH with an empty segment", ORIGIN + "4002020200" + LOCAL_PREF, True),
    ("AS_PATH with segment type 5", ORIGIN + "40020605010000fde9" + LOCAL_PREF, True),
    ("AS_PATH with a confederation segment", ORIGIN + "40020603010000fde9" + LOCAL_PREF, True),
    ("AS_PATH with AS 0", ORIGIN + "400206020100000000" + LOCAL_PREF, True),
    ("empty AS_PATH from eBGP", ORIGIN + "400200", False),
    ("MED of 3 bytes", IBGP + "800403000001", True),
    ("LOCAL_PREF of 3 bytes", ORIGIN + "400200" + "400503000064", True),
    ("COMMUNITIES of 0 bytes", IBGP + "c00800", True),
    ("COMMUNITIES of 5 bytes", IBGP + "c008050000000100", True),
    ("ORIGINATOR_ID of 3 bytes", IBGP + "800903000001", True),
    ("CLUSTER_LIST of 0 bytes", IBGP + "800a00", True),
    ("EXT_COMMUNITIES of 4 bytes", IBGP + "c0100400000001", True),
    ("LARGE_COMMUNITY of 13 bytes", IBGP + "c0200d" + "00" * 13, True),
    ("PMSI_TUNNEL of 4 bytes", IBGP + "c0160400060000", True),
    ("NEXT_HOP of 5 bytes", IBGP + "4003050a00000100", True),
    ("NEXT_HOP 0.0.0.0", IBGP + "40030400000000", True),
    ("attribute that overruns the section", IBGP + MP_REACH + "c0080c00000001", True),
    ("one byte left", IBGP + MP_REACH + "c0", True),
    ("MP_REACH transitive", IBGP + "c0" + MP_REACH[2:], True),
]


@pytest.mark.parametrize(("_why", "attributes", "ibgp"), WITHDRAWN, ids=[case[0] for case in WITHDRAWN])
def test_rfc_treats_as_withdraw(_why: str, attributes: str, ibgp: bool) -> None:
    section = attributes if MP_REACH[2:] in attributes else attributes + MP_REACH
    received = read(section, behaviour=RFC, ibgp=ibgp)
    assert received.reach == []
    assert [(unreach.family, unreach.keys) for unreach in received.unreach] == [(Family.INET, [KEY])]
    assert any("treat-as-withdraw" in fault for fault in received.faults)


def test_rfc_withdraws_classic_routes_too() -> None:
    received = read(IBGP, CLASSIC, RFC)
    assert [unreach.keys for unreach in received.unreach] == [[KEY]]
    assert received.faults == ["3/3 UPDATE message error: missing well-known attribute: NEXT_HOP: treat-as-withdraw"]


UNREACH = "800f07000101180a0102"

UNLOCATED: list[tuple[str, str]] = [
    ("a fault and no route", "40010103" + "400200" + LOCAL_PREF),
    ("a fault beside a withdrawal", "40010103" + UNREACH),
    ("an overrun that may hide MP_REACH", IBGP + "c0080c00000001"),
    ("an overrun of MP_REACH itself", IBGP + "800e0f000101040a00000100180a0102"),
    ("an overrun behind a withdrawal", UNREACH + "c0080c00000001"),
    ("a fault beside an MP_REACH without a route", "40010103" + "400200" + LOCAL_PREF + "800e09000101040a00000100"),
    ("MP_UNREACH transitive beside another attribute", ORIGIN + "c0" + UNREACH[2:]),
]


@pytest.mark.parametrize(("_why", "attributes"), UNLOCATED, ids=[case[0] for case in UNLOCATED])
def test_rfc_resets_when_the_routes_to_withdraw_may_be_hidden(_why: str, attributes: str) -> None:
    """RFC 7606 5.2: beside a fault worse than attribute discard there must be a route announced, or nothing is sure."""
    assert error(attributes, behaviour=RFC) == (3, 1, "")


def test_rfc_withdrawals_that_need_no_reset() -> None:
    """RFC 7606 5.2: only MP_UNREACH_NLRI, or a fault of the mildest kind, or a route of a family that is not ours."""
    assert read("c0" + UNREACH[2:], behaviour=RFC).unreach[0].keys == [KEY]
    assert read(UNREACH + "40060100", behaviour=RFC).unreach[0].keys == [KEY]
    assert read("40010103" + "400200" + LOCAL_PREF + "800e0a400447040a0000010000", behaviour=RFC).reach == []


DISCARDED: list[tuple[str, str, bool]] = [
    ("ATOMIC_AGGREGATE of 1 byte", IBGP + "40060100", True),
    ("AGGREGATOR of 7 bytes", IBGP + "c0070700fde90a000001", True),
    ("AGGREGATOR of 6 bytes with 4-byte AS", IBGP + "c00706fde90a000001", True),
    ("AS4_PATH that overruns", IBGP + "c0110402020001", True),
    ("AS4_AGGREGATOR of 6 bytes", IBGP + "c01206fde90a000001", True),
    ("AS4_PATH with an empty segment", IBGP + "c011080201000111700200", True),
    ("AS4_PATH with AS 0", IBGP + "c01106020100000000", True),
    ("AS4_PATH with segment type 5", IBGP + "c01106050100011170", True),
    ("AGGREGATOR with AS 0", IBGP + "c00708000000000a000001", True),
    ("AS4_AGGREGATOR with AS 0", IBGP + "c01208000000000a000001", True),
    ("LOCAL_PREF of 3 bytes from eBGP", EBGP + "400503000064", False),
    ("ORIGINATOR_ID of 3 bytes from eBGP", EBGP + "800903000001", False),
    ("CLUSTER_LIST of 1 byte from eBGP", EBGP + "800a0101", False),
    ("second MED", IBGP + "80040400000001" + "80040400000002", True),
]


@pytest.mark.parametrize(("_why", "attributes", "ibgp"), DISCARDED, ids=[case[0] for case in DISCARDED])
def test_rfc_discards_the_attribute(_why: str, attributes: str, ibgp: bool) -> None:
    received = read(attributes + MP_REACH, behaviour=RFC, ibgp=ibgp)
    assert received.unreach == []
    assert received.reach[0].routes == [(KEY, b"")]
    assert len(received.faults) == 1
    assert received.reach[0].attributes.med in (None, 1)


RESETS: list[tuple[str, str, str, tuple[int, int]]] = [
    ("two MP_REACH", IBGP + MP_REACH + MP_REACH, "", (3, 1)),
    ("two MP_UNREACH", "800f03000180800f03000180", "", (3, 1)),
    ("unknown well-known", IBGP + "406301ab", "", (3, 2)),
    ("next-hop length", IBGP + "800e0a000101050a0000010000", "", (3, 9)),
    ("MP_REACH with a cut prefix", IBGP + "800e0b000101040a00000100180a", "", (3, 9)),
    ("MP_REACH with a prefix of 33 bits", IBGP + "800e0f000101040a00000100210a00000100", "", (3, 9)),
    ("MP_UNREACH with a prefix of 33 bits", "800f09000101210a00000100", "", (3, 9)),
    ("classic prefix of 33 bits", IBGP + NEXT_HOP, "210a00000100", (3, 10)),
    ("classic prefix that is cut", IBGP + NEXT_HOP, "180a", (3, 10)),
]


@pytest.mark.parametrize(("_why", "attributes", "classic", "expected"), RESETS, ids=[case[0] for case in RESETS])
def test_rfc_resets(_why: str, attributes: str, classic: str, expected: tuple[int, int]) -> None:
    assert error(attributes, classic, RFC)[:2] == expected


def test_rfc_ignores_an_unknown_family() -> None:
    received = read(IBGP + "800e09400447040a00000100", behaviour=RFC)
    assert received.faults == ["MP_REACH_NLRI of unknown AFI/SAFI 16388/71 ignored"]


def test_rfc_takes_longer_next_hops() -> None:
    vpn6 = (
        "800e"
        "4b"
        "000280"
        "30" + "00" * 8 + "20010db8" + "00" * 12 + "00" * 24 + "00" + "78"
        "000011" + "00010a0000010005"
        "20010db8"
    )
    section = bytes.fromhex(vpn6)
    vpn6 = section[:2].hex() + f"{len(section) - 3:02x}" + section[3:].hex()
    assert read(IBGP + vpn6, behaviour=RFC).reach[0].attributes.next_hop.hex() == "20010db8" + "00" * 12
