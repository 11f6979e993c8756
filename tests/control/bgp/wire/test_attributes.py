"""Attribute sets: values in, values out; canonical form; both widths of AS numbers; interning."""

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp.attributes import (
    Aggregator,
    AsPath,
    Attributes,
    InternTable,
    PmsiTunnel,
    UnknownAttribute,
)
from contrail_emulator.control.bgp.attributes import as_path as as_path_module
from contrail_emulator.control.bgp.attributes.as_path import AS_SEQUENCE, AS_SET, Segment
from contrail_emulator.control.bgp.attributes.section import Context, SectionReader
from contrail_emulator.control.bgp.attributes.table import CONTRAIL_ORDER, SPECS

HOP = bytes((10, 0, 0, 1))


def read(section: bytes, as4: bool = True, ibgp: bool = True, rfc: bool = False) -> Attributes:
    return SectionReader(section, Context(as4, ibgp, RFC if rfc else CONTRAIL)).read().attributes(HOP)


@given(st.fixed_dictionaries(dict(s.rfc_fields)))
def test_what_goes_into_make_comes_out_of_the_fields(fields: dict[str, object]) -> None:
    attributes = Attributes.make(**fields, next_hop=HOP)  # type: ignore[arg-type]  # fields by name, drawn per name
    for name, value in fields.items():
        assert getattr(attributes, name) == value
    assert attributes.next_hop == HOP


@given(s.attributes(st.just(HOP)), st.booleans())
def test_round_trip_over_the_wire_contrail(attributes: Attributes, as4: bool) -> None:
    again = read(attributes.encode(as4), as4)
    assert again == attributes
    assert again.key == attributes.key
    assert hash(again) == hash(attributes)
    assert again.as_path.numbers == attributes.as_path.numbers
    assert again.aggregator == attributes.aggregator


@given(s.attributes(st.just(HOP), rfc=True), st.booleans())
def test_round_trip_over_the_wire_rfc(attributes: Attributes, as4: bool) -> None:
    again = read(attributes.encode(as4, RFC), as4, rfc=True)
    assert again == attributes
    assert again.unknown == attributes.unknown
    assert again.large_communities == attributes.large_communities


@given(s.attributes())
def test_equality_is_by_content(one: Attributes) -> None:
    same = one.replace(next_hop=one.next_hop)
    assert same is not one
    assert same == one
    assert hash(same) == hash(one)
    assert one.replace(next_hop=b"") != one
    assert one != "something else"


def test_order_on_the_wire_of_a_control_node() -> None:
    """reference/bgp.md 3.1."""
    attributes = Attributes.make(
        origin=0,
        med=5,
        local_pref=100,
        atomic_aggregate=True,
        aggregator=Aggregator(4200000000, HOP),
        originator_id=1,
        cluster_list=(2,),
        as_path=AsPath.sequence(4200000000),
        communities=(3,),
        ext_communities=(bytes(8),),
        origin_vn_path=(bytes(8),),
        pmsi=PmsiTunnel(0, 6, b"\0\0\x01", HOP),
    )
    assert _codes(attributes.encode(as4=True)) == [1, 4, 5, 6, 7, 9, 10, 2, 8, 16, 243, 22]
    assert _codes(attributes.encode(as4=False)) == [1, 4, 5, 6, 7, 18, 9, 10, 2, 17, 8, 16, 243, 22]
    assert _codes(attributes.encode(as4=False, behaviour=RFC)) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 22, 243]


def _codes(section: bytes) -> list[int]:
    codes, offset = [], 0
    while offset < len(section):
        codes.append(section[offset + 1])
        if section[offset] & 0x10:
            offset += 4 + int.from_bytes(section[offset + 2 : offset + 4], "big")
        else:
            offset += 3 + section[offset + 2]
    return codes


def test_a_med_of_zero_is_left_out_by_a_control_node_only() -> None:
    attributes = Attributes.make(med=0)
    assert attributes.med == 0
    assert 4 not in _codes(attributes.encode(True))
    assert 4 in _codes(attributes.encode(True, RFC))


def test_what_was_not_given_is_not_there() -> None:
    attributes = Attributes.make()
    assert attributes.encode(True).hex() == "40010100400200"
    assert attributes.origin == 0
    assert attributes.as_path == AsPath()
    assert (attributes.med, attributes.local_pref, attributes.aggregator, attributes.pmsi) == (None, None, None, None)
    assert (attributes.communities, attributes.ext_communities, attributes.cluster_list) == ((), (), ())
    assert attributes.replace(origin=None).origin is None
    assert attributes.replace(med=7).replace(med=None) == attributes


def test_long_values_have_the_long_form() -> None:
    attributes = Attributes.make(communities=tuple(range(100)), unknown=(UnknownAttribute(0xE0, 99, bytes(300)),))
    assert bytes.fromhex("d0080190") in attributes.encode(True)
    assert bytes.fromhex("f063012c") in attributes.encode(True)
    assert read(attributes.encode(True), rfc=True).communities == tuple(range(100))


def test_communities_are_sorted_and_unique() -> None:
    """reference/bgp.md 3.1; profile `rfc` keeps what came."""
    section = bytes.fromhex("400101004002004005040000000ac0080c000000030000000100000003")
    assert read(section).communities == (1, 3)
    assert read(section, rfc=True).communities == (3, 1, 3)
    assert read(section.replace(bytes.fromhex("0000000300000001"), bytes.fromhex("0000000100000003"))) == read(section)
    assert Attributes.make(communities=(3, 1, 3)).communities == (1, 3)


def test_tables_agree() -> None:
    assert len(set(CONTRAIL_ORDER)) == len(CONTRAIL_ORDER)
    assert set(CONTRAIL_ORDER) == set(SPECS) - {3, 14, 15}


def test_repr_names_what_is_there() -> None:
    shown = repr(Attributes.make(med=5, next_hop=HOP))
    assert "med=5" in shown
    assert "0a000001" in shown
    assert "local_pref" not in shown


# --- AS paths ------------------------------------------------------------------------------------------------------


@given(s.segments)
def test_as_path_round_trip(segments: list[Segment]) -> None:
    path = AsPath(segments)
    again = AsPath.from_bytes(path.raw)
    assert again == path
    assert again.segments == tuple(segments)
    assert hash(again) == hash(path)


def test_as_path_values() -> None:
    path = AsPath([(AS_SEQUENCE, (65001, 65002)), (AS_SET, (65003, 65004))])
    assert (path.length, path.first, path.text) == (3, 65001, "65001 65002 {65003 65004}")
    assert path.count(65004) == 1
    assert path.numbers == (65001, 65002, 65003, 65004)
    assert AsPath([(3, (1, 2)), (4, (3,))]).text == "(1 2) [3]"
    assert AsPath([(3, (1, 2)), (AS_SEQUENCE, (3,))]).length == 1
    assert AsPath([(AS_SET, (1,))]).first == 0
    assert AsPath().first == 0
    assert AsPath.sequence() == AsPath()
    assert repr(path) == "AsPath('65001 65002 {65003 65004}')"


@given(s.as_paths, s.asn)
def test_prepend(path: AsPath, asn: int) -> None:
    longer = path.prepend(asn)
    assert longer.numbers == (asn, *path.numbers)
    assert longer.length == path.length + 1
    assert longer.first == asn


def test_prepend_to_a_full_segment() -> None:
    path = AsPath.sequence(*range(1, 256)).prepend(7)
    assert path.segments[0] == (AS_SEQUENCE, (7,))
    assert len(path.segments[1][1]) == 255
    with pytest.raises(ValueError, match="255"):
        AsPath.sequence(*range(256))


MERGES = [
    ("the tail is replaced", [(2, (65001, 23456, 23456))], [(2, (70000, 80000))], "65001 70000 80000"),
    ("all is replaced", [(2, (23456,))], [(2, (70000,))], "70000"),
    ("longer than the path: ignored", [(2, (23456,))], [(2, (1, 70000))], "23456"),
    ("a set counts one", [(2, (1, 2)), (1, (3, 23456))], [(1, (3, 70000))], "1 2 {3 70000}"),
    ("cut inside a sequence", [(2, (1, 2, 23456))], [(2, (2, 70000))], "1 2 70000"),
    ("a set in front stays", [(1, (9, 8)), (2, (23456,))], [(2, (70000,))], "{9 8} 70000"),
    ("confederation segments stay", [(3, (9,)), (2, (1, 23456))], [(2, (70000,))], "(9) 1 70000"),
    ("confederation in AS4_PATH is dropped", [(2, (1, 23456))], [(3, (9,)), (2, (70000,))], "1 70000"),
    ("nothing to merge", [(2, (1,))], [(3, (9,))], "1"),
]


@pytest.mark.parametrize(("_why", "old", "new", "merged"), MERGES, ids=[case[0] for case in MERGES])
def test_merge_of_as4_path(_why: str, old: list[Segment], new: list[Segment], merged: str) -> None:
    """RFC 6793 4.2.3."""
    raw = as_path_module.merge(AsPath(old).raw, AsPath(new).raw)
    assert AsPath.from_bytes(raw).text == merged


def test_merge_joins_no_more_than_a_segment_holds() -> None:
    old = AsPath([(2, tuple([1] * 200)), (2, tuple([23456] * 100))])
    merged = AsPath.from_bytes(as_path_module.merge(old.raw, AsPath([(2, tuple([70000] * 100))]).raw))
    assert [len(numbers) for _, numbers in merged.segments] == [200, 100]


OLD_SPEAKER = "4001010040050400000064"


@pytest.mark.parametrize(
    ("section", "path", "aggregator"),
    [
        ("4002040201fde9", "65001", None),
        ("4002060202fde95ba0c01106020100011170", "65001 70000", None),
        ("4002060202fde95ba0c01106020100011170c00706fde90a000001", "65001 70000", (65001, HOP)),
        ("4002060202fde95ba0c01106020100011170c007065ba00a000001c01208000111700a000001", "65001 70000", (70000, HOP)),
        ("4002060202fde95ba0c01106020100011170c00706fde90a000001c01208000111700a000001", "65001 23456", (65001, HOP)),
    ],
)
def test_as4_attributes_from_an_old_speaker(section: str, path: str, aggregator: tuple[int, bytes] | None) -> None:
    attributes = read(bytes.fromhex(OLD_SPEAKER + section), as4=False)
    assert attributes.as_path.text == path
    assert attributes.aggregator == aggregator


def test_as4_attributes_from_a_new_speaker_are_ignored() -> None:
    """RFC 6793 4.1."""
    section = bytes.fromhex(OLD_SPEAKER + "40020602010000fde9c01106020100011170c01208000111700a000001")
    attributes = read(section, as4=True)
    assert attributes.as_path.text == "65001"
    assert attributes.aggregator is None


def test_to_an_old_speaker() -> None:
    """AS_TRANS, and the truth beside it only where it is needed."""
    small = Attributes.make(as_path=AsPath.sequence(65001), aggregator=Aggregator(65001, HOP))
    assert _codes(small.encode(as4=False)) == [1, 7, 2]
    wide = small.replace(as_path=AsPath([(3, (5,)), (2, (65001, 70000))]), aggregator=Aggregator(70000, HOP))
    section = wide.encode(as4=False).hex()
    assert "40020a030100050202fde95ba0" in section
    assert "c0110a02020000fde900011170" in section
    assert "c007065ba00a000001" in section
    assert "c01208000111700a000001" in section


# --- intern table --------------------------------------------------------------------------------------------------


def test_intern_table_counts() -> None:
    table = InternTable()
    first, second = Attributes.make(med=1), Attributes.make(med=1)
    assert table.intern(first) is first
    assert table.intern(second) is first
    assert table.references(second) == 2
    table.release(second)
    assert len(table) == 1
    table.release(first)
    assert len(table) == 0
    assert table.references(first) == 0
    with pytest.raises(KeyError):
        table.release(first)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_intern_table_is_empty_when_all_are_released(meds: list[int]) -> None:
    table = InternTable()
    sets = [Attributes.make(med=med) for med in meds]
    held = [table.intern(attributes) for attributes in sets]
    assert len(table) == len({attributes.key for attributes in sets})
    for attributes in held:
        table.release(attributes)
    assert len(table) == 0


def test_sets_with_the_same_bytes_but_another_next_hop_differ() -> None:
    """The key must not let the next hop's bytes run into the attributes."""
    one = Attributes.of_values({}, HOP)
    other = Attributes.of_values({}, HOP + bytes(12))
    assert one.key != other.key
