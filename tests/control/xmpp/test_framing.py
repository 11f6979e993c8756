"""Framing (reference/xmpp.md 1.3): tolerant as the real receivers, the same for any split, bounded."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp.framing import MAX_HANDSHAKE, Frame, FrameKind, Framer, FramingError, Pattern

OPEN = (
    b'<stream:stream from="a" to="b" version="1.0" xml:lang="en" xmlns="" '
    b'xmlns:stream="http://etherx.jabber.org/streams"  >'
)
IQ = b'<iq type="set" from="a" to="b/bgp-peer"><pubsub/></iq>'
MESSAGE = b'<message from="a" to="b/bgp-peer"><event/></message>'
DECLARATION = b'<?xml version="1.0"?>\n'


def frames(chunks: Iterable[bytes], pattern: Pattern = Pattern.STANZA, limit: int = 1 << 20) -> list[Frame]:
    framer = Framer(limit)
    found = []
    for chunk in chunks:
        framer.feed(chunk)
        while (frame := framer.next(pattern)) is not None:
            found.append(frame)
    return found


def stanzas(chunks: Iterable[bytes], pattern: Pattern = Pattern.STANZA) -> list[bytes]:
    return [frame.data for frame in frames(chunks, pattern) if frame.kind is not FrameKind.KEEPALIVE]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(IQ, [IQ], id="one iq"),
        pytest.param(IQ + MESSAGE, [IQ, MESSAGE], id="back to back"),
        pytest.param(b"\n" + MESSAGE + b"\n\xc8\x80" + IQ, [MESSAGE, IQ], id="keepalives between"),
        pytest.param(DECLARATION + IQ, [DECLARATION + IQ], id="declaration in mid-stream"),
        pytest.param(IQ + DECLARATION + IQ, [IQ, DECLARATION + IQ], id="declaration before the second"),
        pytest.param(b"<presence/>" + IQ, [b"<presence/>" + IQ], id="unknown element is carried in front"),
        pytest.param(b"<!-- hello -->" + IQ, [b"<!-- hello -->" + IQ], id="comment is carried in front"),
        pytest.param(b"</stream:stream>" + IQ, [b"</stream:stream>" + IQ], id="stream end poisons the next"),
        pytest.param(b"<iq></iq \t\r\n>", [b"<iq></iq \t\r\n>"], id="blanks in the end tag"),
        pytest.param(b"<iq></iqx></iq>", [b"<iq></iqx></iq>"], id="a longer name is no end"),
        pytest.param(b"<iq></iq x></iq>", [b"<iq></iq x></iq>"], id="an attribute is no end"),
        pytest.param(b"<iq><iq></iq></iq>", [b"<iq><iq></iq>"], id="the first end tag counts"),
        pytest.param(b"<iq><message></message></iq>", [b"<iq><message></message></iq>"], id="the end must match"),
        pytest.param(b"<message></iq></message>", [b"<message></iq></message>"], id="the end must match 2"),
        pytest.param(b"<iq/>", [], id="a self-closed root is never recognised"),
        pytest.param(b"</stream:stream>", [], id="stream end matches nothing"),
        pytest.param(OPEN, [], id="stream open while established is not framed"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_stanzas(data: bytes, expected: list[bytes]) -> None:
    assert stanzas([data]) == expected
    assert stanzas(bytewise(data)) == expected


@pytest.mark.parametrize(
    ("pattern", "data", "whole"),
    [
        (Pattern.STREAM_OPEN, OPEN, True),
        (Pattern.STREAM_OPEN, DECLARATION + OPEN, True),
        (Pattern.STREAM_OPEN, OPEN.replace(b'"', b"'"), True),
        (Pattern.STREAM_OPEN, OPEN.replace(b"  >", b">"), True),
        (Pattern.STREAM_OPEN, OPEN.replace(b"  >", b" \r\n\t>"), True),
        (Pattern.STREAM_OPEN, OPEN.replace(b"  >", b' id="x">'), False),
        (Pattern.STREAM_OPEN, OPEN.replace(b"  >", b"/>"), False),
        (Pattern.STREAM_OPEN, IQ, False),
        (Pattern.FEATURES, b"<stream:features><starttls/></stream:features>", True),
        (Pattern.FEATURES, b"<stream:features><starttls/></stream:features  >", True),
        (Pattern.FEATURES, b"<stream:features/>", False),
        (Pattern.STARTTLS, b'<starttls xmlns="urn:x" />', True),
        (Pattern.STARTTLS, DECLARATION + b'<starttls xmlns="urn:x"/>', True),
        (Pattern.STARTTLS, b'<starttls xmlns="urn:x"></starttls>', False),
        (Pattern.PROCEED, b'<proceed xmlns="urn:x" />', True),
        (Pattern.PROCEED, b'<proceed xmlns="urn:x"></proceed>', False),
    ],
)
def test_handshake_patterns(pattern: Pattern, data: bytes, whole: bool) -> None:
    expected = [data] if whole else []
    assert stanzas([data], pattern) == expected
    assert stanzas(bytewise(data), pattern) == expected


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n", b"\t", b"\xc8\x80", b"\xc8", b"\x80\xc8 \n"])
def test_keepalive_is_any_run_of_blanks(blank: bytes) -> None:
    assert frames([blank]) == [Frame(FrameKind.KEEPALIVE, blank)]


def test_keepalive_bytes_inside_a_stanza_are_its_text() -> None:
    text = b"<iq>\xc8\x80</iq>"
    assert frames([text[:4], text[4:6], text[6:]]) == [Frame(FrameKind.STANZA, text)]


def test_the_pattern_may_change_within_one_read() -> None:
    framer = Framer()
    framer.feed(OPEN + IQ)
    first = framer.next(Pattern.STREAM_OPEN)
    second = framer.next(Pattern.STANZA)
    assert first == Frame(FrameKind.STREAM_OPEN, OPEN)
    assert second == Frame(FrameKind.STANZA, IQ)


def test_clear_forgets_half_a_stanza() -> None:
    framer = Framer()
    framer.feed(b"<iq>half")
    assert framer.next(Pattern.STANZA) is None
    framer.clear()
    framer.feed(IQ)
    assert framer.next(Pattern.STANZA) == Frame(FrameKind.STANZA, IQ)


@pytest.mark.parametrize("start", [b"<iq>", b"<presence>", b"</iq", b"<message><!--"])
def test_too_many_bytes_without_an_end(start: bytes) -> None:
    framer = Framer(max_stanza=1000)
    framer.feed(start + b"x" * (1000 - len(start)))
    assert framer.next(Pattern.STANZA) is None
    framer.feed(b"x")
    with pytest.raises(FramingError, match="more than 1000 bytes in one stanza"):
        framer.next(Pattern.STANZA)


def test_a_whole_stanza_may_be_too_large_as_well() -> None:
    framer = Framer(max_stanza=100)
    framer.feed(b"<iq>" + b"x" * 100 + b"</iq>")
    with pytest.raises(FramingError):
        framer.next(Pattern.STANZA)


def test_small_stanzas_may_come_in_a_large_read() -> None:
    framer = Framer(max_stanza=100)
    framer.feed(IQ * 50)
    assert sum(1 for _ in iter(lambda: framer.next(Pattern.STANZA), None)) == 50


def test_an_open_has_its_own_limit() -> None:
    framer = Framer()
    framer.feed(b"<stream:stream " + b"x" * MAX_HANDSHAKE)
    with pytest.raises(FramingError):
        framer.next(Pattern.STREAM_OPEN)


class Watched(bytearray):
    """Counts the bytes that searches look at."""

    searched = 0

    def find(self, wanted: bytes, start: int = 0) -> int:  # type: ignore[override] # the framer uses no more of it
        at = super().find(wanted, start)
        Watched.searched += (len(self) if at < 0 else at + len(wanted)) - start
        return at


@pytest.mark.parametrize("filler", [b"x", b"<", b"</iq ", b"</iqx>"])
def test_ten_megabytes_without_an_end_tag_cost_linear_work(filler: bytes) -> None:
    """Each byte is searched a fixed number of times, and no more is held than the limit and one read."""
    limit, chunk = 1 << 20, 512
    framer = Framer(max_stanza=limit)
    framer._buffer = Watched()  # the one thing inside that must be seen
    Watched.searched = 0
    fed = 0
    framer.feed(b"<iq>")
    data = (filler * chunk)[:chunk]
    with pytest.raises(FramingError):
        while fed < 10 << 20:
            framer.feed(data)
            fed += chunk
            framer.next(Pattern.STANZA)
    assert len(framer) <= limit + chunk
    assert Watched.searched <= 4 * limit


def test_blanks_after_an_end_tag_are_not_read_again_and_again() -> None:
    framer = Framer(max_stanza=20000)
    framer.feed(b"<iq></iq")
    for _ in range(10000):
        framer.feed(b" ")
        assert framer.next(Pattern.STANZA) is None
    assert framer._tail == len(framer)
    framer.feed(b">")
    assert framer.next(Pattern.STANZA) is not None


pieces = st.lists(
    st.sampled_from(
        [IQ, MESSAGE, DECLARATION, OPEN, b"<presence/>", b"</iq>", b"<iq", b"\xc8\x80", b"\n", b"x", b"</iq \n", b">"]
    )
    | st.binary(max_size=8),
    max_size=12,
).map(b"".join)


def essence(found: list[Frame]) -> list[Frame]:
    """Frames with each run of keepalives as one, since a run may be cut anywhere."""
    kept: list[Frame] = []
    for frame in found:
        if frame.kind is FrameKind.KEEPALIVE and kept and kept[-1].kind is FrameKind.KEEPALIVE:
            frame = Frame(frame.kind, kept.pop().data + frame.data)
        kept.append(frame)
    return kept


@settings(max_examples=300, deadline=None)
@given(data=pieces, pattern=st.sampled_from(list(Pattern)), cuts=st.lists(st.integers(0, 600), max_size=8))
def test_any_split_gives_the_same_frames(data: bytes, pattern: Pattern, cuts: list[int]) -> None:
    whole = essence(frames([data], pattern))
    assert essence(frames(bytewise(data), pattern)) == whole
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[low:high] for low, high in pairwise(edges)]
    assert essence(frames(chunks, pattern)) == whole


@settings(max_examples=200, deadline=None)
@given(data=pieces, pattern=st.sampled_from(list(Pattern)))
def test_no_byte_is_lost(data: bytes, pattern: Pattern) -> None:
    framer = Framer()
    framer.feed(data)
    taken = b""
    while (frame := framer.next(pattern)) is not None:
        assert frame.data
        taken += frame.data
    assert data.startswith(taken)
    assert len(framer) == len(data) - len(taken)
