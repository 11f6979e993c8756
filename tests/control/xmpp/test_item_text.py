"""The fast way to read items gives what the slow way gives, for anything that is well formed."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import item_rest, item_text, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import COMPACT, TABBED, EnetEntry, Entry, Layout, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.stanza import StanzaError, parse

HOP = NextHop("192.0.2.7", 25, ("gre", "udp"), "default-domain:demo:red", (65537,))
INET = [
    UnicastEntry(ItemFamily.INET, f"10.1.1.{at}/32", (HOP,), security_groups=(8000002,), local_preference=100)
    for at in range(4)
]
MAC_HOP = HOP._replace(virtual_network="")
ENET = [
    EnetEntry(f"02:aa:bb:cc:dd:{at:02x}", "10.1.1.3/32", at, "0.0.0.0", "0.0.0.0", 0, (MAC_HOP,)) for at in range(4)
]


def message(entries: Sequence[UnicastEntry | EnetEntry]) -> bytes:
    rendered = [(f"id {at}", entry.to_xml(TABBED)) for at, entry in enumerate(entries)]
    return pubsub.message_header("compute-8") + pubsub.items_body(entries[0].family.node("red"), rendered)


def both(raw: bytes, family: ItemFamily) -> tuple[list[object], list[object]]:
    form = pubsub.read(parse(raw))
    assert isinstance(form, pubsub.Items)
    return (
        [_plain(pair) for pair in item_text.notified_entries(form, family)],
        [_plain(pair) for pair in item_text.notified_entries(form._replace(raw=b""), family)],
    )


def _plain(pair: tuple[str, Entry | ItemError]) -> object:
    ident, found = pair
    return ident, (found.text, found.ends_message) if isinstance(found, ItemError) else found


@pytest.mark.parametrize("entries", [INET, ENET], ids=["inet", "evpn"])
def test_our_own_messages_go_the_fast_way(entries: Sequence[UnicastEntry | EnetEntry]) -> None:
    raw = message(entries)
    assert [found for _, found in item_text._quickly(raw, entries[0].family)] == entries
    fast, slow = both(raw, entries[0].family)
    assert fast == slow


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<af>1</af>", b"<af>x</af>"),
        (b"10.1.1.2/32</address>", b"10.1.1.2/33</address>"),
        (b"10.1.1.2/32</address>", b"&#49;0.1.1.2/32</address>"),
        (b"<address>10.1.1.2/32", b"<!-- --><address>10.1.1.2/32"),
        (b"<address>10.1.1.2/32", b"<extra/><address>10.1.1.2/32"),
        (b"<safi>1</safi>", b"<safi>1</safi><nlri/>"),
        (b"</nlri>", b"</nlri><nlri><address>10.9.9.9/32</address></nlri>"),
        (b"<label>25</label>", b"<label>x</label>"),
        (b"<label>25</label>", b"<label><entry></entry></label>"),
        (b"192.0.2.7", b"not an address"),
        (b"<version>1</version>", b"<version><![CDATA[1]]></version>"),
        (b"<version>1</version>", b"<?pi x?><version>1</version>"),
        (b"<med>0</med>", b"<med/>"),
        (b"<next-hops>", b'<next-hops xmlns="urn:x">'),
        (b'<item id="id 2">', b'<item id="id&#32;2">'),
        (b'<item id="id 2">', b'<item x="1" id="id 2">'),
        (b'<item id="id 2">', b'<item id="id\t2">'),
        (b'<item id="id 2">', b"<other/><item id='id 2'>"),
        (b'<items node="1/1/red">', b'<items node="1/1/red" a=">">'),
        (b'<items node="1/1/red">', b'<items node="1/1/red">text'),
        (b"</items>", b"</items><items/>"),
        (b"</item>", b"<entry/></item>"),
        (b"<message ", b"<presence/><message "),
    ],
)
def test_odd_messages(old: bytes, new: bytes) -> None:
    raw = message(INET)
    assert old in raw
    for changed in (raw.replace(old, new, 1), raw.replace(old, new)):
        fast, slow = both(changed, ItemFamily.INET)
        assert fast == slow


@pytest.mark.parametrize(
    "behind", [(b"192.0.2.7", b"no address"), (b"<label>25<", b"<label>x<"), (b"<med>0<", b"<med>x<")]
)
@pytest.mark.parametrize("key", [b"10.1.1.3/33</address>", b"10.1.1.3/3x</address>"])
@pytest.mark.parametrize("entries", [INET, ENET], ids=["inet", "evpn"])
def test_a_bad_key_beside_another_fault(
    entries: Sequence[UnicastEntry | EnetEntry], key: bytes, behind: tuple[bytes, bytes]
) -> None:
    """A bad next hop is looked at after the key, a number that is none before it."""
    good = b"10.1.1.3/32</address>"
    for changed in (message(entries[::-1]).replace(good, key, 1), message(entries).replace(good, key)):
        for raw in (changed.replace(*behind, 1), changed.replace(*behind)):
            fast, slow = both(raw, entries[0].family)
            assert raw != changed and fast == slow


def test_what_is_kept_of_messages_has_a_bound() -> None:
    long = INET[0]._replace(community_tags=("x" * 20,) * 1000)
    before = item_text._unicast_rest.cache_info().currsize
    fast, slow = both(message([long]), ItemFamily.INET)
    assert fast == slow == [("id 0", long)]
    assert item_text._unicast_rest.cache_info().currsize == before


NUMBERS = st.sampled_from([0, 1, 25, 0xFFFFFFFF])
WORDS = st.sampled_from(["", "gre", "a b", "caf\u00e9", "10.0.0.1", "x&y", "<"])
HOPS = st.builds(
    NextHop,
    st.sampled_from(["192.0.2.7", "2001:db8::7"]), NUMBERS, st.lists(WORDS, max_size=3).map(tuple), WORDS,
    st.lists(NUMBERS, max_size=2).map(tuple), WORDS, NUMBERS, NUMBERS, NUMBERS, NUMBERS,
)  # fmt: skip
SOME_HOPS = st.lists(HOPS, min_size=1, max_size=3).map(tuple)
UNICAST = st.builds(
    UnicastEntry,
    st.just(ItemFamily.INET), st.just("10.1.1.1/32"), SOME_HOPS, NUMBERS, WORDS, st.booleans(), NUMBERS, NUMBERS,
    st.lists(NUMBERS, max_size=3).map(tuple), st.lists(WORDS, max_size=3).map(tuple), NUMBERS, NUMBERS,
    st.lists(WORDS, max_size=2).map(tuple), WORDS.filter(bool), WORDS.filter(bool),
)  # fmt: skip
EVPN = st.builds(
    EnetEntry,
    st.just("02:aa:bb:cc:dd:01"), st.just("10.1.1.3/32"), NUMBERS, st.just(""), st.just(""), NUMBERS, SOME_HOPS,
    st.just(()) | SOME_HOPS, WORDS, st.booleans(), NUMBERS, NUMBERS, st.lists(NUMBERS, max_size=3).map(tuple),
    NUMBERS, NUMBERS, st.booleans(), st.booleans(), st.just(()) | SOME_HOPS, WORDS, st.booleans(),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(entries=st.lists(UNICAST, min_size=1, max_size=3) | st.lists(EVPN, min_size=1, max_size=3))
def test_any_items_read_the_same(entries: list[UnicastEntry | EnetEntry]) -> None:
    fast, slow = both(message(entries), entries[0].family)
    assert fast == slow


@pytest.mark.parametrize("layout", [COMPACT, TABBED], ids=["compact", "tabbed"])
def test_what_is_written_is_read_without_a_parser(layout: Layout) -> None:
    """Two hops, of which one names nothing; all lists filled once and empty once."""
    bare = HOP._replace(encapsulations=(), tags=(), virtual_network="")
    balanced = INET[0]._replace(load_balance_fields=("l4-protocol",), community_tags=("no-export",))
    for entry in (INET[0], balanced._replace(next_hops=(HOP, bare), security_groups=())):
        assert item_rest.read_unicast(_rest(entry.to_xml(layout))) == entry[2:]
    lists = tuple(hop._replace(virtual_network="", l3_label=7) for hop in (HOP, bare))
    for enet in (ENET[0], ENET[0]._replace(next_hops=(), olist=lists, leaf_olist=lists[:1], security_groups=(4,))):
        assert item_rest.read_enet(_rest(enet.to_xml(layout))) == enet[6:]


def _rest(entry: bytes) -> bytes:
    return entry.partition(b"</nlri>")[2].removesuffix(b"</entry>")


@settings(max_examples=150, deadline=None)
@given(data=st.data(), evpn=st.booleans())
def test_any_well_formed_damage_reads_the_same(data: st.DataObject, evpn: bool) -> None:
    raw = message(ENET[:2]) if evpn else message(INET[:2])
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(raw)))
        cut = data.draw(st.integers(0, 3))
        new = data.draw(st.sampled_from([b"", b" ", b"x", b"1", b"\n", b"&amp;", b"<a/>", b"\r", b"<nlri/>", b"<!--"]))
        raw = raw[:at] + new + raw[at + cut :]
    try:
        form = pubsub.read(parse(raw))
    except StanzaError:
        return
    if isinstance(form, pubsub.Items):
        fast, slow = both(raw, ItemFamily.E_VPN if evpn else ItemFamily.INET)
        assert fast == slow
