"""Stream opens and TLS stanzas (reference/xmpp.md 1.2, 1.4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.stream import StreamError, StreamOpen

JID = "network-control@contrailsystems.com"
OPEN = stream.open_bytes("compute-7", JID)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (OPEN, StreamOpen("compute-7", JID)),
        (b'<?xml version="1.0"?>' + OPEN, StreamOpen("compute-7", JID)),
        (b'<?xml version="1.0"?>\n' + OPEN, StreamOpen("compute-7", JID)),
        (stream.reply_bytes("ctrl-1", "compute-7"), StreamOpen("ctrl-1", "compute-7", "++123", "jabber:client")),
        (stream.open_bytes("a", "b", "edge-1"), StreamOpen("a", "b", "", "edge-1")),
        (OPEN.replace(b"compute-7", b"a&lt;&#65;b"), StreamOpen("a<Ab", JID)),
        (OPEN.replace(b"compute-7", b"a\tb"), StreamOpen("a b", JID)),
        (OPEN.replace(b"compute-7", "caf\u00e9".encode()), StreamOpen("caf\u00e9", JID)),
        (OPEN.replace(b"version=", b"id='7' version="), StreamOpen("compute-7", JID, "7")),
        (OPEN.replace(b'"', b"'"), StreamOpen("compute-7", JID)),
        (b'<stream:stream xmlns:stream="http://etherx.jabber.org/streams">', StreamOpen("", "")),
    ],
)
def test_opens(frame: bytes, expected: StreamOpen) -> None:
    assert stream.read_open(frame) == expected


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"<?xml version='1.0'?>" + OPEN, id="declaration in single quotes"),
        pytest.param(b"<presence/>" + OPEN, id="something before it"),
        pytest.param(OPEN.replace(b'to="', b"to="), id="malformed attribute"),
        pytest.param(OPEN.replace(b"from", b"to"), id="attribute twice"),
        pytest.param(OPEN.replace(b"compute-7", b"\xff\xfe"), id="invalid UTF-8"),
        pytest.param(OPEN.replace(b"compute-7", b"&unknown;"), id="unknown entity"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_bad_opens(frame: bytes) -> None:
    with pytest.raises(StreamError):
        stream.read_open(frame)


def test_an_open_fits_in_1024_bytes() -> None:
    spare = stream.MAX_OPEN - len(stream.open_bytes("", "b"))
    assert len(stream.open_bytes("x" * spare, "b")) == 1024
    with pytest.raises(StreamError, match="1025 bytes"):
        stream.open_bytes("x" * (spare + 1), "b")
    with pytest.raises(StreamError):
        stream.reply_bytes("ctrl", "x" * 1000)


@pytest.mark.parametrize(
    "without", [b"<stream:features>", b"<starttls", b"<required", b"urn:ietf:params:xml:ns:xmpp-tls"]
)
def test_features_need_their_exact_texts(without: bytes) -> None:
    stream.check_features(stream.FEATURES)
    with pytest.raises(StreamError):
        stream.check_features(stream.FEATURES.replace(without, b"<other"))


def test_tls_stanzas_need_their_namespace() -> None:
    stream.check_tls(stream.STARTTLS)
    stream.check_tls(stream.PROCEED)
    with pytest.raises(StreamError):
        stream.check_tls(b"<starttls />")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=50))
def test_any_name_survives(name: str, to: str, subcluster: str) -> None:
    found = stream.read_open(stream.open_bytes(name, to, subcluster))
    clean = stream.read_open(stream.open_bytes(found.from_, found.to, found.default_namespace))
    assert clean == found


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_an_open_or_a_stream_error(data: bytes) -> None:
    for frame in (data, b"<stream:stream " + data + b">"):
        try:
            assert isinstance(stream.read_open(frame), StreamOpen)
        except StreamError as error:
            assert str(error)
