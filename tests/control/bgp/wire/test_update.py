"""UPDATE there and back: every family, packing, next hops, End-of-RIB, what a section cache may share."""

from dataclasses import replace
from typing import Any

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import nlri, update
from contrail_emulator.control.bgp.attributes import Aggregator, AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import HEADER_SIZE, MAX_SIZE, MessageError, frame, read_header
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.next_hop import read_next_hop, write_next_hop
from contrail_emulator.control.bgp.nlri import Route

HOP = bytes((10, 0, 0, 1))
HOP6 = bytes.fromhex("20010db8000000000000000000000001")
PLAIN = Attributes.make(local_pref=100, next_hop=HOP)
PROFILES = pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])


def session(as4: bool = True, families: list[Family] | None = None, ibgp: bool = True) -> Negotiated:
    return Negotiated(families or list(Family), as4=as4, local_as=64512, peer_as=64512 if ibgp else 65001)


def bodies(messages: list[bytes]) -> list[bytes]:
    """The bodies of whole messages, whose headers must be right."""
    for message in messages:
        assert read_header(message[:HEADER_SIZE]) == (len(message), 2)
    return [message[HEADER_SIZE:] for message in messages]


def read(messages: list[bytes], behaviour: Behaviour = CONTRAIL, as4: bool = True) -> list[update.Received]:
    agreed = session(as4)
    return [update.read(body, agreed, behaviour) for body in bodies(messages)]


def _unusual(behaviour: Behaviour, route: Route) -> bool:
    """A prefix route with ESI, gateway or tag, which a control node ignores or reads as another."""
    key, payload = route
    return (
        behaviour is CONTRAIL and key[:1] == b"\x05" and len(payload) > 16 and bool(any(payload[:-3]) or any(key[9:13]))
    )


@st.composite
def advertisements(draw: st.DrawFn) -> tuple[Family, Attributes, list[Route], bool, Behaviour]:
    family = draw(s.families)
    behaviour = draw(st.sampled_from((CONTRAIL, RFC)))
    routes = draw(
        st.lists(s.routes[family].filter(lambda route: not _unusual(behaviour, route)), min_size=1, max_size=8)
    )
    attributes = draw(s.attributes(rfc=behaviour is RFC))
    return family, attributes, routes, draw(st.booleans()), behaviour


@given(advertisements())
def test_round_trip(case: tuple[Family, Attributes, list[Route], bool, Behaviour]) -> None:
    family, attributes, routes, as4, behaviour = case
    received = read(update.write(family, attributes, routes, as4, behaviour), behaviour, as4=as4)
    if family is Family.ERM_VPN:
        attributes = attributes.replace(next_hop=b"")
    assert all(each.faults == [] and each.unreach == [] and each.end_of_rib is None for each in received)
    assert [reach.family for each in received for reach in each.reach] == [family] * len(received)
    assert {reach.attributes for each in received for reach in each.reach} == {attributes}
    assert [route for each in received for reach in each.reach for route in reach.routes] == routes


@given(
    s.families.flatmap(lambda f: st.tuples(st.just(f), st.lists(s.routes[f], min_size=1, max_size=8))),
    st.sampled_from((CONTRAIL, RFC)),
)
def test_withdrawn_round_trip(case: tuple[Family, list[Route]], behaviour: Behaviour) -> None:
    family, routes = case
    keys = [key for key, _ in routes if not _unusual(behaviour, (key, bytes(17)))]
    received = read(update.write_withdrawn(family, keys, behaviour), behaviour)
    assert [unreach.family for each in received for unreach in each.unreach] == [family] * len(received)
    assert [key for each in received for unreach in each.unreach for key in unreach.keys] == keys
    assert all(each.faults == [] and each.reach == [] and each.end_of_rib is None for each in received)


@PROFILES
@pytest.mark.parametrize("family", list(Family))
def test_many_routes_fill_messages(family: Family, behaviour: Behaviour) -> None:
    """As few messages as possible, none above 4096 bytes; the attribute section is the same in each."""
    routes = _many(family, 2000)
    messages = update.write(family, PLAIN, routes, True, behaviour)
    size = len(nlri.codec(family).write(*routes[-1]))
    assert all(MAX_SIZE - size < len(message) <= MAX_SIZE for message in messages[:-1])
    received = read(messages, behaviour)
    assert [route for each in received for route in each.reach[0].routes] == routes
    assert len({id(each.reach[0].attributes) for each in received}) == 1
    withdrawals = update.write_withdrawn(family, [key for key, _ in routes], behaviour)
    assert len(withdrawals) <= len(messages)
    again = read(withdrawals, behaviour)
    assert [key for each in again for key in each.unreach[0].keys] == [key for key, _ in routes]


def _many(family: Family, count: int) -> list[Route]:
    codec = nlri.codec(family)
    label = nlri.label_bytes(100, False)
    forms = {
        Family.INET: "10.{a}.{b}.0/24",
        Family.INET6: "2001:db8:{a:x}:{b:x}::/64",
        Family.INET_LABELED: "10.{a}.{b}.0/24",
        Family.INET_VPN: "64512:1:10.{a}.{b}.1/32",
        Family.INET6_VPN: "64512:1:2001:db8:{a:x}:{b:x}::/64",
        Family.ROUTE_TARGET: "64512:target:64512:{n}",
        Family.E_VPN: "2-64512:1-0-02:00:00:00:{a:02x}:{b:02x},10.1.{a}.{b}",
        Family.ERM_VPN: "1-64512:1-10.0.0.1,239.1.{a}.{b},10.1.1.1",
        Family.INET_MVPN: "7-64512:1,64512,10.1.1.1,239.1.{a}.{b}",
    }
    payload = {
        Family.E_VPN: bytes(10) + label,
        Family.INET_VPN: label,
        Family.INET6_VPN: label,
        Family.INET_LABELED: label,
    }
    return [(codec.key(forms[family].format(a=n >> 8, b=n & 255, n=n)), payload.get(family, b"")) for n in range(count)]


def test_inet_goes_in_mp_reach_with_a_next_hop_beside_it() -> None:
    """reference/bgp.md 2.3, order of 3.1."""
    (body,) = bodies(update.write(Family.INET, PLAIN, [(bytes.fromhex("180a0102"), b"")], True))
    assert body.hex() == ("00000026400101004003040a00000140050400000064400200900e000d000101040a00000100180a0102")


def test_inet_goes_in_the_classic_field_in_profile_rfc() -> None:
    (body,) = bodies(update.write(Family.INET, PLAIN, [(bytes.fromhex("180a0102"), b"")], True, RFC))
    assert body.hex() == "00000015400101004002004003040a00000140050400000064180a0102"
    (body,) = bodies(update.write_withdrawn(Family.INET, [bytes.fromhex("180a0102")], RFC))
    assert body.hex() == "0004180a01020000"


def test_next_hop_stands_behind_a_long_as_path() -> None:
    long = PLAIN.replace(as_path=AsPath.sequence(*range(1, 101)))
    (message,) = update.write(Family.INET, long, [(b"\x00", b"")], True, RFC)
    assert read([message], RFC)[0].reach[0].attributes == long


def test_next_hop_stands_first_without_origin() -> None:
    (body,) = bodies(update.write(Family.INET, PLAIN.replace(origin=None), [(b"\x00", b"")], True))
    assert body[4:].hex().startswith("4003040a00000140050400000064")


@pytest.mark.parametrize(
    ("family", "end"),
    [
        (Family.INET_VPN, "000180"),
        (Family.ROUTE_TARGET, "000184"),
        (Family.E_VPN, "001946"),
        (Family.ERM_VPN, "0001f3"),
        (Family.INET, "000101"),
    ],
)
def test_end_of_rib(family: Family, end: str) -> None:
    """reference/bgp.md 1.13."""
    message = update.end_of_rib(family)
    assert message.hex() == "ff" * 16 + "001e0200000007900f0003" + end
    for behaviour in (CONTRAIL, RFC):
        (received,) = read([message], behaviour)
        assert received.end_of_rib is family
        assert received.reach == []
        assert received.unreach == []


def test_length_form_of_mp_attributes() -> None:
    """reference/bgp.md 3.1: a control node always takes the long form; profile rfc only where it is needed."""
    few, many = _many(Family.INET_VPN, 2), _many(Family.INET_VPN, 40)
    for behaviour, flags in ((CONTRAIL, b"\x90"), (RFC, b"\x80")):
        (message,) = update.write(Family.INET_VPN, PLAIN, few, True, behaviour)
        assert flags + b"\x0e" in message
        (message,) = update.write_withdrawn(Family.INET_VPN, [key for key, _ in few], behaviour)
        assert flags + b"\x0f" in message
        assert flags + b"\x0f" in update.end_of_rib(Family.E_VPN, behaviour)
        (message,) = update.write(Family.INET_VPN, PLAIN, many, True, behaviour)
        assert b"\x90\x0e" in message


def test_the_classic_end_of_rib() -> None:
    """reference/bgp.md 1.9: a control node does not recognise it."""
    message = update.end_of_rib(Family.INET, RFC)
    assert message.hex() == "ff" * 16 + "00170200000000"
    assert read([message], RFC)[0].end_of_rib is Family.INET
    assert read([message], CONTRAIL)[0].end_of_rib is None
    (received,) = [update.read(message[HEADER_SIZE:], session(families=[Family.E_VPN]), RFC)]
    assert received.end_of_rib is None


def test_nothing_behind_an_end_of_rib_is_read() -> None:
    """reference/bgp.md 1.9: the loop over the attributes returns."""
    reach = bytes.fromhex("4001010040050400000064400200")
    unreach = bytes.fromhex("800f03000180")
    inet = bytes.fromhex("800e0d000101040a00000100180a0102")
    first = update.read(_body(reach + unreach + inet), session(), CONTRAIL)
    assert first.end_of_rib is Family.INET_VPN
    assert first.reach == []
    second = update.read(_body(reach + inet + unreach), session(), CONTRAIL)
    assert second.end_of_rib is Family.INET_VPN
    assert len(second.reach) == 1


def test_what_tells_of_routes_is_no_end_of_rib_in_profile_rfc() -> None:
    """RFC 4724 section 2: nothing is in it but the attribute, so routes beside an empty one count."""
    ibgp = bytes.fromhex("4001010040050400000064400200")
    unreach = bytes.fromhex("800f03000180")
    inet = bytes.fromhex("800e0d000101040a00000100180a0102")
    classic = bytes.fromhex("4003040a000001")
    route = bytes.fromhex("180a0102")
    beside = _body(ibgp + classic + unreach, b"", route)
    for body in (_body(ibgp + unreach + inet), _body(ibgp + inet + unreach), beside):
        received = update.read(body, session(), RFC)
        assert received.end_of_rib is None
        assert [reach.routes for reach in received.reach] == [[(route, b"")]]
    received = update.read(_body(unreach, route), session(), RFC)
    assert received.end_of_rib is None
    assert len(received.unreach) == 1
    assert update.read(_body(ibgp + unreach), session(), RFC).end_of_rib is Family.INET_VPN


def _body(attributes: bytes, withdrawn: bytes = b"", classic: bytes = b"") -> bytes:
    return len(withdrawn).to_bytes(2, "big") + withdrawn + len(attributes).to_bytes(2, "big") + attributes + classic


@PROFILES
def test_reach_unreach_and_the_classic_fields_in_one_message(behaviour: Behaviour) -> None:
    attributes = bytes.fromhex(
        "40010100800f07000101180a09014002004003040a00000240050400000064800e0d000101040a00000100180a0102"
    )
    received = update.read(_body(attributes, b"\x08\x0b", b"\x08\x0c"), session(), behaviour)
    assert [(u.family, u.keys) for u in received.unreach] == [
        (Family.INET, [b"\x08\x0b"]),
        (Family.INET, [bytes.fromhex("180a0901")]),
    ]
    hops = [(reach.attributes.next_hop, reach.routes) for reach in received.reach]
    assert hops == [
        (bytes((10, 0, 0, 2)), [(b"\x08\x0c", b"")]),
        (HOP, [(bytes.fromhex("180a0102"), b"")]),
    ]
    assert repr(received.reach[0]).startswith("Reach(inet, ")
    assert repr(received.unreach[0]) == "Unreach(inet, 1 routes)"


def test_attributes_are_shared_between_messages_of_a_session() -> None:
    one = update.write(Family.INET, PLAIN, [(b"\x08\x0a", b"")], True)
    other = update.write(Family.INET, PLAIN, [(b"\x08\x0b", b"")], True)
    vpn = update.write(Family.INET_VPN, PLAIN, _many(Family.INET_VPN, 1), True)
    first, second, third = (each.reach[0].attributes for each in read(one + other + vpn))
    assert first is second
    assert first == third


def test_a_cache_stays_bounded() -> None:
    agreed = session()
    for number in range(3000):
        attributes = Attributes.make(local_pref=number, next_hop=HOP)
        (body,) = bodies(update.write(Family.INET, attributes, [(b"\x00", b"")], True))
        assert update.read(body, agreed, CONTRAIL).reach[0].attributes == attributes
    assert agreed.sections is not None
    assert len(agreed.sections) <= 1024


def test_many_next_hops_of_one_section_stay_bounded() -> None:
    agreed = session()
    for number in range(200):
        attributes = PLAIN.replace(next_hop=bytes((10, 0, 0, number)))
        (body,) = bodies(update.write(Family.INET_VPN, attributes, _many(Family.INET_VPN, 1), True))
        assert update.read(body, agreed, CONTRAIL).reach[0].attributes == attributes
    assert agreed.sections is not None
    assert len(agreed.sections) == 1


def test_families_that_are_not_negotiated_are_skipped() -> None:
    agreed = session(families=[Family.E_VPN])
    for messages in (
        update.write(Family.INET, PLAIN, [(b"\x00", b"")], True),
        update.write(Family.INET, PLAIN, [(b"\x00", b"")], True, RFC),
        update.write_withdrawn(Family.INET, [b"\x00"]),
        update.write_withdrawn(Family.INET, [b"\x00"], RFC),
        [update.end_of_rib(Family.INET)],
    ):
        (body,) = bodies(messages)
        received = update.read(body, agreed, CONTRAIL)
        assert received.reach == []
        assert received.unreach == []
        assert received.end_of_rib is None
        assert received.faults == ["inet is not negotiated: routes ignored"]


# --- next hops -----------------------------------------------------------------------------------------------------

MAPPED = "0" * 20 + "ffff0a000001"
LOCAL = "fe800000000000000000000000000001"


@pytest.mark.parametrize(
    ("family", "field", "hop"),
    [
        (Family.INET, "0a000001", HOP),
        (Family.INET_VPN, "00000000000000000a000001", HOP),
        (Family.INET6, MAPPED, HOP),
        (Family.INET6, HOP6.hex(), HOP6),
        (Family.INET6, HOP6.hex() + LOCAL, HOP6),
        (Family.INET6, LOCAL + HOP6.hex(), HOP6),
        (Family.INET6, LOCAL + MAPPED, HOP),
        (Family.INET6, LOCAL + LOCAL, bytes.fromhex(LOCAL)),
        (Family.INET6_VPN, "00" * 8 + MAPPED, HOP),
        (Family.INET6_VPN, "00" * 8 + HOP6.hex(), b""),
        (Family.ERM_VPN, "0a000001", b""),
        (Family.E_VPN, "0a000001", HOP),
    ],
)
def test_next_hop_as_a_control_node_reads_it(family: Family, field: str, hop: bytes) -> None:
    """reference/bgp.md 2.2."""
    assert read_next_hop(family, bytes.fromhex(field), CONTRAIL) == hop


@pytest.mark.parametrize(
    ("family", "field", "hop"),
    [
        (Family.INET6_VPN, "00" * 8 + HOP6.hex(), HOP6),
        (Family.INET6_VPN, "00" * 8 + HOP6.hex() + "00" * 8 + LOCAL, HOP6),
        (Family.E_VPN, HOP6.hex(), HOP6),
    ],
)
def test_next_hop_in_profile_rfc(family: Family, field: str, hop: bytes) -> None:
    assert read_next_hop(family, bytes.fromhex(field), RFC) == hop


@pytest.mark.parametrize("family", [f for f in Family if f is not Family.ERM_VPN])
def test_next_hop_round_trip(family: Family) -> None:
    assert read_next_hop(family, write_next_hop(family, HOP), CONTRAIL) == HOP
    if family in (Family.INET6, Family.INET6_VPN, Family.E_VPN):
        assert read_next_hop(family, write_next_hop(family, HOP6), RFC) == HOP6
    elif family in (Family.ROUTE_TARGET, Family.INET_MVPN):
        assert write_next_hop(family, HOP6) == HOP6
    else:
        with pytest.raises(ValueError, match="16 bytes"):
            write_next_hop(family, HOP6)
    with pytest.raises(ValueError, match="0 bytes"):
        write_next_hop(family, b"")


# --- limits and defects --------------------------------------------------------------------------------------------


def test_attributes_that_leave_no_room() -> None:
    big = PLAIN.replace(communities=tuple(range(1010)))
    with pytest.raises(update.AttributesTooLong):
        update.write(Family.INET_VPN, big, _many(Family.INET_VPN, 1), True)
    (message,) = update.write(
        Family.INET_VPN, PLAIN.replace(communities=tuple(range(990))), _many(Family.INET_VPN, 1), True
    )
    assert len(message) <= MAX_SIZE


def test_nothing_gives_no_message() -> None:
    assert update.write(Family.INET, PLAIN, [], True) == []
    assert update.write_withdrawn(Family.INET, []) == []


def test_withdraw_label() -> None:
    """reference/bgp.md 2.3; RFC 8277 2.4."""
    key = nlri.codec(Family.INET_VPN).key("64512:1:10.0.0.0/8")
    assert b"\x60\x00\x00\x01" in update.write_withdrawn(Family.INET_VPN, [key])[0]
    assert b"\x60\x80\x00\x00" in update.write_withdrawn(Family.INET_VPN, [key], RFC)[0]


@pytest.mark.parametrize("label", ["800000", "000000", "000001", "003e91", "0a0001"])
@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/7", "10.128.0.0/9", "10.1.1.1/32"])
def test_a_withdrawn_label_is_ignored_in_profile_rfc(label: str, prefix: str) -> None:
    """RFC 8277 2.4: three bytes, whatever they say. Up to /8 profile contrail takes unusual ones for a prefix."""
    key = nlri.codec(Family.INET_LABELED).key(prefix)
    (message,) = update.write_withdrawn(Family.INET_LABELED, [key], RFC)
    message = message.replace(b"\x80\x00\x00" + key[1:], bytes.fromhex(label) + key[1:])
    for twice in (message, message):
        (received,) = read([twice], RFC)
        assert [(found.family, found.keys) for found in received.unreach] == [(Family.INET_LABELED, [key])]
        assert received.faults == []


def test_a_withdrawal_too_short_for_a_label_has_none_in_either_profile() -> None:
    """Nothing else it could be: no reason to end a session with a control node that leaves labels out."""
    message = frame(2, bytes.fromhex("0000 0009 800f06 000104 10 0a01"))
    for behaviour in (CONTRAIL, RFC):
        (received,) = read([message], behaviour)
        assert [found.keys for found in received.unreach] == [[bytes.fromhex("100a01")]]


def test_defects_are_off_unless_asked_for() -> None:
    key = nlri.codec(Family.INET_LABELED).key("10.0.0.1/32")
    defective = replace(CONTRAIL, withdraw_labeled_without_label=True, packed_evpn_l3_label_lost=True)
    assert update.write_withdrawn(Family.INET_LABELED, [key])[0].endswith(bytes.fromhex("380000010a000001"))
    assert update.write_withdrawn(Family.INET_LABELED, [key], defective)[0].endswith(bytes.fromhex("200a000001"))
    routes = [(key, payload + b"\x00\x00\x71") for key, payload in _many(Family.E_VPN, 3)]
    (kept,) = read(update.write(Family.E_VPN, PLAIN, routes, True))
    assert kept.reach[0].routes == routes
    (lost,) = read(update.write(Family.E_VPN, PLAIN, routes, True, defective))
    assert [nlri.l3_label(payload, False) for _, payload in lost.reach[0].routes] == [7, 0, 0]


# --- the quick way: announcements that repeat earlier attributes ----------------------------------------------------

SOUND = bytes.fromhex("4001010040020040050400000064")
SPANNING = bytes.fromhex("40010100400200c00808000000010000000240050400000064")
MP = bytes.fromhex("800e0d000101040a00000100180a0102")


def test_a_place_inside_an_attribute_is_not_taken_for_mp_reach() -> None:
    """What looks like MP_REACH where the last message had it may lie inside another attribute."""
    for offset in range(len(SPANNING) + 1):
        agreed = session()
        update.read(_body(SPANNING + MP), agreed, RFC)
        update.read(_body(SOUND[:14] + MP), agreed, RFC)
        assert agreed.sections is not None
        agreed.sections.mp_offset = offset
        tricky = _body(SPANNING[:offset] + MP + SPANNING[offset:])
        assert _outcome(tricky, agreed) == _outcome(tricky, session())


def _outcome(body: bytes, agreed: Negotiated, behaviour: Behaviour = RFC) -> object:
    try:
        received = update.read(body, agreed, behaviour)
    except MessageError as error:
        return error.code, error.subcode, error.data
    reach = [(r.family, r.attributes.key, r.routes) for r in received.reach]
    return reach, [(u.family, u.keys) for u in received.unreach], received.end_of_rib, received.faults


@pytest.mark.parametrize("place", [0, 4, 7, 14])
def test_the_quick_way_gives_the_same_sets_wherever_mp_reach_stands(place: int) -> None:
    agreed = session()
    first = update.read(_body(SOUND[:place] + MP + SOUND[place:]), agreed, CONTRAIL).reach[0]
    long_form = bytes.fromhex("900e000d") + MP[3:]
    again = update.read(_body(SOUND[:place] + long_form + SOUND[place:]), agreed, CONTRAIL).reach[0]
    assert again.attributes is first.attributes
    assert again.routes == first.routes == [(bytes.fromhex("180a0102"), b"")]


@PROFILES
@pytest.mark.parametrize("family", [Family.INET, Family.INET_VPN, Family.E_VPN])
def test_the_quick_way_reads_new_attribute_sets_as_the_thorough_one(family: Family, behaviour: Behaviour) -> None:
    """After one message has shown where MP_REACH_NLRI stands: sound sets, and each thing that may be out of order."""
    key = {Family.INET: "10.0.0.0/8", Family.INET_VPN: "1:2:10.0.0.0/8", Family.E_VPN: "3-1:2-0-10.0.0.1"}[family]
    route = (nlri.codec(family).key(key), b"" if family is not Family.INET_VPN else nlri.label_bytes(5, False))
    other = nlri.codec(Family.INET6).key("2001:db8::/32")
    withdrawn = bodies(update.write_withdrawn(Family.INET6, [other], behaviour))[0]

    def body(**changes: object) -> bytes:
        written = update.write(family, PLAIN.replace(**changes), [route], True, behaviour)  # type: ignore[arg-type]
        return bodies(written)[0]

    def beside(second: bytes) -> bytes:
        """A set with another message's attributes behind its own."""
        first = body(med=77)
        size = int.from_bytes(first[2:4], "big")
        section = first[4 : 4 + size] + second[4:]
        return first[:2] + len(section).to_bytes(2, "big") + section + first[4 + size :]

    sound = [body(med=number, next_hop=bytes((10, 0, 1, number))) for number in range(1, 5)]
    wrong = [
        body(med=50, local_pref=None),
        body(med=51, as_path=None),
        body(med=52).replace(b"\x40\x01\x01\x00", b"\x40\x01\x01\x07"),
        body(med=53).replace(b"\x40\x01\x01\x00", b"\x80\x01\x01\x00"),
        body(med=54).replace(family.wire + b"\x04", family.wire + b"\x05"),
        body(med=55).replace(family.wire + b"\x0c", family.wire + b"\x0b"),
        body(med=56).replace(family.wire, b"\x00\x09\x09"),
        beside(withdrawn),
        beside(body(med=78)),
        *([body(med=57, next_hop=HOP6)] if family is Family.E_VPN else []),  # too long in profile contrail
    ]
    assert len(set(wrong)) == len(wrong)
    for families in (list(Family), [one for one in Family if one is not family]):
        agreed = session(families=families)
        for message in (body(), *sound, *wrong, *sound):
            expected = _outcome(message, session(families=families), behaviour)
            assert _outcome(message, agreed, behaviour) == expected, message.hex()


@PROFILES
@given(data=st.data())
def test_a_section_of_a_known_shape_reads_as_any_other(behaviour: Behaviour, data: st.DataObject) -> None:
    """One byte of a section differs from what was read before: flags, type, length or value."""
    attributes = data.draw(s.attributes(rfc=behaviour is RFC).filter(lambda found: found.local_pref is not None))
    (first,) = bodies(update.write(Family.INET_VPN, attributes, _many(Family.INET_VPN, 1), True, behaviour))
    agreed = session()
    update.read(first, agreed, behaviour)
    place = data.draw(st.integers(4, len(first) - 1))
    changed = first[:place] + bytes((data.draw(st.integers(0, 255)),)) + first[place + 1 :]
    assert _outcome(changed, agreed, behaviour) == _outcome(changed, session(), behaviour)


def test_a_classic_route_and_one_in_mp_reach_do_not_mix() -> None:
    """The same section bytes: once with NEXT_HOP and a classic route, once with MP_REACH and another next hop."""
    agreed = session()
    section = SOUND + bytes.fromhex("4003040a000009")
    for _ in range(2):
        classic = update.read(_body(section, classic=b"\x08\x0c"), agreed, RFC).reach[0]
        assert classic.attributes.next_hop == bytes((10, 0, 0, 9))
        assert classic.routes == [(b"\x08\x0c", b"")]
        multi = update.read(_body(section + MP), agreed, RFC).reach[0]
        assert multi.attributes.next_hop == HOP


def test_a_frame_is_kept_per_profile() -> None:
    """The writer remembers what it made of a set; another profile must not get it."""
    route = [(b"\x08\x0a", b"")]
    contrail = update.write(Family.INET, PLAIN, route, True, CONTRAIL)
    rfc = update.write(Family.INET, PLAIN, route, True, RFC)
    assert contrail != rfc
    assert update.write(Family.INET, PLAIN, route, True, CONTRAIL) == contrail
    assert update.write(Family.INET, PLAIN, route, True, RFC) == rfc
    wide = PLAIN.replace(as_path=AsPath.sequence(70000))
    assert update.write(Family.INET, wide, route, True) != update.write(Family.INET, wide, route, False)


def test_next_hop_order_without_attributes_between() -> None:
    """reference/bgp.md 3.1: NEXT_HOP right behind ORIGIN, as for an eBGP peer."""
    ebgp = Attributes.make(as_path=AsPath.sequence(65001), next_hop=HOP)
    (body,) = bodies(update.write(Family.INET, ebgp, [(b"\x08\x0a", b"")], True))
    assert body[4:].hex().startswith("400101004003040a000001400206")


_SHAPES = [
    dict(med=7, communities=(1, 2, 3)),
    dict(local_pref=5, ext_communities=(b"\x00\x02" + bytes(6), b"\x00\x02" + bytes(5) + b"\x01"), originator_id=9),
    dict(aggregator=Aggregator(65001, HOP), cluster_list=(1, 2), as_path=AsPath.sequence(65001, 65002)),
]


@PROFILES
@given(
    st.sampled_from(_SHAPES),
    st.sampled_from([Family.INET, Family.INET_VPN]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
)
def test_one_shape_read_again_says_what_the_thorough_way_says(
    behaviour: Behaviour, shape: dict[str, Any], family: Family, ibgp: bool, changes: list[tuple[int, int]]
) -> None:
    """A section of a shape seen before is cut, not parsed: whatever bytes differ in the second one, or in a withdrawal,
    the outcome is that of a session which never saw the first."""
    routes = _many(family, 2) if family is Family.INET_VPN else [(b"\x08\x0a", b""), (b"\x08\x0b", b"")]
    attributes = PLAIN.replace(**shape)
    if not ibgp:
        attributes = attributes.replace(
            local_pref=None, originator_id=None, cluster_list=(), as_path=AsPath.sequence(65001)
        )
    for messages in (
        update.write(family, attributes, routes, True, behaviour),
        update.write_withdrawn(family, [key for key, _ in routes], behaviour),
    ):
        (body,) = bodies(messages)
        changed = bytearray(body)
        for place, value in changes:
            changed[4 + place % (len(body) - 4)] = value
        agreed = session(ibgp=ibgp)
        first = _outcome(body, agreed, behaviour)
        assert first == _outcome(body, session(ibgp=ibgp), behaviour)
        assert _outcome(body, agreed, behaviour) == first
        expected = _outcome(bytes(changed), session(ibgp=ibgp), behaviour)
        assert _outcome(bytes(changed), agreed, behaviour) == expected


@PROFILES
@given(attributes=s.attributes(), family=st.sampled_from((Family.INET, Family.INET_VPN)), as4=st.booleans())
def test_the_writer_sends_what_encode_gives(
    behaviour: Behaviour, attributes: Attributes, family: Family, as4: bool
) -> None:
    (body,) = bodies(update.write(family, attributes, _many(family, 1), as4, behaviour))
    end = 4 + int.from_bytes(body[2:4], "big")
    kept = b""
    offset = 4
    while offset < end:
        size = int.from_bytes(body[offset + 2 : offset + 4], "big") + 1 if body[offset] & 0x10 else body[offset + 2]
        if body[offset + 1] not in (3, 14):
            kept += body[offset : offset + 3 + size]
        offset += 3 + size
    assert kept == attributes.encode(as4, behaviour)
