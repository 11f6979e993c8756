"""Parsing one stanza: well formed or StanzaError, bounded work and memory, whatever the bytes (reference/xmpp.md 6)."""

import resource
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp.stanza import Kind, Stanza, StanzaError, StanzaParser, parse
from contrail_emulator.control.xmpp.vocabulary import Vocabulary

IQ = b'<iq type="set" from="a" to="b/bgp-peer" id="1"><pubsub/></iq>'


def test_attributes() -> None:
    found = parse(IQ)
    assert (found.kind, found.type, found.from_, found.to, found.id, found.raw) == (
        Kind.IQ,
        "set",
        "a",
        "b/bgp-peer",
        "1",
        IQ,
    )
    empty = parse(b"<message></message>")
    assert (empty.kind, empty.type, empty.from_, empty.to, empty.id) == (Kind.MESSAGE, "", "", "", "")


@pytest.mark.parametrize(
    ("to", "keywords"),
    [
        ("compute-7/bgp-peer", {"bgp-peer"}),
        ("default-global-system-config:compute-7/config", {"config"}),
        ("default-global-system-config:compute-7/bgp-peer", {"config", "bgp-peer"}),
        ("network-dns@contrailsystems.com/dns-peer", {"dns-peer"}),
        ("another-agent/bgp-peer", {"bgp-peer"}),  # whose name it is does not matter
        ("compute-7", set()),
    ],
)
def test_dispatch_is_by_substring(to: str, keywords: set[str]) -> None:
    found = parse(f'<iq to="{to}"></iq>'.encode())
    assert {word for word in ("bgp-peer", "config", "dns-peer", "other-peer") if found.addressed(word)} == keywords


@pytest.mark.parametrize(
    "front",
    [
        b'<?xml version="1.0"?>\n',
        b"<?xml version='1.0' encoding='UTF-8'?>",
        b"<presence/>",
        b"<presence><show>away</show></presence>",
        b"<!-- a comment -->",
        b"text",
        b'<presence/><?xml version="1.0"?>\n',
        b"<a/><b/>",
    ],
)
def test_what_stands_in_front_is_ignored_when_it_is_well_formed(front: bytes) -> None:
    assert parse(front + IQ).id == "1"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"</stream:stream>" + IQ, id="stream end in front"),
        pytest.param(b"<stream:error></stream:error>" + IQ, id="unbound prefix in front"),
        pytest.param(b"<presence>" + IQ, id="open element in front"),
        pytest.param(b"< " + IQ, id="lone angle bracket in front"),
        pytest.param(b"<iq><a></iq>", id="not closed"),
        pytest.param(b"<iq a=1></iq>", id="no quotes"),
        pytest.param(b'<iq a="1" a="2"></iq>', id="attribute twice"),
        pytest.param(b"<iq>&nothing;</iq>", id="unknown entity"),
        pytest.param(b"<iq>\x00</iq>", id="null byte"),
        pytest.param(b"<iq>\x01</iq>", id="control character"),
        pytest.param(b"<iq>\xff\xfe</iq>", id="invalid UTF-8"),
        pytest.param(b"<iq>\xc3</iq>", id="cut UTF-8"),
        pytest.param(b"<iq>\xed\xa0\x80</iq>", id="surrogate in UTF-8"),
        pytest.param("<iq></iq>".encode("utf-16"), id="UTF-16"),
        pytest.param(b"<iq></iq><iq></iq>", id="two roots"),
        pytest.param(b"<iq><iq></iq>", id="nested iq, cut by the framer"),
        pytest.param(b"<iq><![CDATA[</iq>", id="end tag in CDATA, cut by the framer"),
        pytest.param(b"<message></iq></message>", id="wrong end tag inside"),
        pytest.param(b"<iqx></iqx>", id="another element"),
        pytest.param(b"<!DOCTYPE iq><iq></iq>", id="document type"),
        pytest.param(b'<!DOCTYPE iq SYSTEM "file:///etc/passwd"><iq></iq>', id="external subset"),
        pytest.param(b'<!DOCTYPE iq [<!ENTITY x SYSTEM "file:///etc/passwd">]><iq>&x;</iq>', id="external entity"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<iq", id="cut"),
        pytest.param(b"<iq>" + b"<a>" * 100_000 + b"</iq>", id="deep and open"),
        pytest.param(b"<iq>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</iq>", id="deep nesting"),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(StanzaError) as caught:
        parse(data)
    assert len(str(caught.value)) < 300


def test_a_billion_laughs_cost_nothing() -> None:
    lines = [b'<!ENTITY l0 "lol">']
    lines += [b'<!ENTITY l%d "%b">' % (at, b"&l%d;" % (at - 1) * 10) for at in range(1, 10)]
    bomb = b"<?xml version='1.0'?><!DOCTYPE iq [" + b"".join(lines) + b"]><iq>&l9;</iq>"
    tracemalloc.start()
    with pytest.raises(StanzaError):
        parse(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_unknown_names_do_not_fill_memory_for_ever() -> None:
    """libxml2 keeps every element name it has seen; a peer may not make it keep new ones without end."""
    refused = 0
    parser = StanzaParser(room=1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(100):
        names = b"".join(b"<n%d-%d-%b/>" % (turn, at, b"x" * 400) for at in range(500))
        try:
            parser.parse(b"<iq>" + names + b"</iq>")
        except StanzaError:
            refused += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert refused > 80
    assert grown < 16 * 1024  # KiB, where 20 MiB of names were sent
    assert parser.parse(IQ).id == "1"


@pytest.mark.parametrize(
    "odd",
    [
        b"<x%d/>",
        b'<iq x%d="1"/>',
        b"<iq x%d='1'/>",
        b'<iq x%d = "1"/>',
        b'<iq xmlns="x%d"/>',
        b"<iq xmlns = 'x%d'/>",
        b'<iq xmlns:a="x%d"/>',
        b'<iq\nx%d="1"/>',
        b'<iq x%d\n="1"/>',
        b'<iq x%d=\n"1"/>',
        b'<iq xmlns="a\nx%d"/>',
        b'<iq xmlns="\nx%d"/>',
    ],
)
def test_every_kind_of_name_is_counted(odd: bytes) -> None:
    vocabulary = Vocabulary(room=100)
    assert vocabulary.admit(odd % 1) and vocabulary.admit(odd % 1)
    assert not all(vocabulary.admit(odd % at) for at in range(100))
    assert vocabulary.admit(odd % 1), "what was seen before costs nothing"


def test_the_names_of_the_dialect_cost_nothing() -> None:
    vocabulary = Vocabulary(room=0)
    for golden in (Path(__file__).parent / "golden").glob("*items*.xml"):
        assert vocabulary.admit(golden.read_bytes()), golden


fragments = st.lists(
    st.sampled_from(
        [b"<iq", b">", b"</iq>", b"<message>", b"</message>", b' to="x"', b"&amp;", b"&#0;", b"<![CDATA[", b"]]>"]
    )
    | st.binary(max_size=10),
    max_size=15,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(fragments)
def test_any_bytes_give_a_stanza_or_a_stanza_error(data: bytes) -> None:
    for text in (data, b"<iq>" + data + b"</iq>"):
        try:
            assert isinstance(parse(text), Stanza)
        except StanzaError as error:
            assert str(error)
