"""Introspect over in-memory transports, with the bytes a browser sends."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection

from contrail_emulator.base import log
from contrail_emulator.base.introspect import Introspect, Page, PageError
from contrail_emulator.base.metrics import Metrics


def broken(arguments: Any) -> Any:
    raise RuntimeError("secret detail")


def picky(arguments: Any) -> Any:
    raise PageError("table: expected a name")


PAGES = [
    Page("neighbors", lambda arguments: [dict(arguments)], "who <we> talk to & how", None),
    Page("later", lambda arguments: succeed([1])),
    Page("later-broken", lambda arguments: fail(RuntimeError("later"))),
    Page("broken", broken),
    Page("picky", picky, "", ("table",)),
    Page("odd", lambda arguments: {"address": IPv4Address("TCP", "10.0.0.1", 1)}),
    Page('a/"b<', lambda arguments: []),
]


def make(reactor: Any = None, **options: Any) -> Introspect:
    memory: Any = MemoryReactorClock
    return Introspect(reactor or memory(), "control-1 <lab>", PAGES, Metrics(), **options)


@pytest.fixture
def introspect() -> Introspect:
    return make()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    text = io.StringIO()
    stop = log.configure(stream=text)
    yield text
    stop()


def connect(introspect: Introspect) -> tuple[Any, Any]:
    transport: Any = StringTransportWithDisconnection
    pipe = transport()
    channel = introspect.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 9))
    pipe.protocol = channel
    channel.makeConnection(pipe)
    return channel, pipe


def get(introspect: Introspect, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Status, content type and body."""
    channel, pipe = connect(introspect)
    channel.dataReceived(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
    head, _, body = pipe.value().partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    return int(status.split()[1]), headers["content-type"], body


def test_the_root_lists_the_pages(introspect: Introspect) -> None:
    status, kind, body = get(introspect, "/")
    text = body.decode()
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert "<h1>control-1 &lt;lab&gt;</h1>" in text
    assert '<a href="json/neighbors">neighbors</a></td><td>who &lt;we&gt; talk to &amp; how</td>' in text
    assert '<a href="json/a%2F%22b%3C">a/&quot;b&lt;</a>' in text


def test_a_page_gets_its_arguments_and_answers_json(introspect: Introspect) -> None:
    status, kind, body = get(introspect, "/json/neighbors?table=bgp.l3vpn.0&prefix=10.0.0.0%2F8&prefix=x&empty=")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == [{"table": "bgp.l3vpn.0", "prefix": "x", "empty": ""}]
    assert get(introspect, "/json/later")[2] == b"[1]\n"
    assert "10.0.0.1" in json.loads(get(introspect, "/json/odd")[2])["address"]


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/json/none", 404, "no page 'none'; there are neighbors"),
        ("/nowhere", 404, "Not Found"),
        ("/json/", 404, "Not Found"),
        ("/json/picky", 400, "table: expected a name"),
        ("/json/picky?tabel=a&b=1", 400, "picky: unknown: b, tabel; expected table"),
        ("/json/broken?a=1", 400, "broken: unknown: a; expected no arguments"),
        ("/json/neighbors?a=%FF", 400, "arguments: expected UTF-8 text"),
        ("/Snh_BgpNeighborReq", 404, "no typed XML pages"),
    ],
)
def test_errors_are_one_line_of_json(introspect: Introspect, path: str, status: int, text: str) -> None:
    found, kind, body = get(introspect, path)
    assert (found, kind) == (status, "application/json")
    assert text in json.loads(body)["error"] and body.count(b"\n") == 1


@pytest.mark.parametrize("page", ["broken", "later-broken"])
def test_a_page_that_raises_is_logged_and_counted_and_the_next_one_works(
    introspect: Introspect, logged: io.StringIO, page: str
) -> None:
    status, _, body = get(introspect, f"/json/{page}")
    assert status == 500 and "RuntimeError" in json.loads(body)["error"] and b"secret detail" not in body
    assert logged.getvalue().count("\n") == 1 and f"introspect page {page} failed" in logged.getvalue()
    assert f'introspect_failures_total{{page="{page}"}} 1.0'.encode() in get(introspect, "/metrics")[2]
    assert get(introspect, "/healthz") == (200, "text/plain; charset=utf-8", b"ok\n")


def test_only_get_and_head(introspect: Introspect) -> None:
    assert get(introspect, "/", "POST")[0] == 405
    status, _, body = get(introspect, "/healthz", "HEAD")
    assert (status, body) == (200, b"")


def test_typed_xml_is_handed_through(logged: io.StringIO) -> None:
    def typed(name: str, arguments: Any) -> bytes | None:
        if name == "Boom":
            raise RuntimeError("boom")
        return b"<r>%s</r>" % arguments["x"].encode() if name == "BgpNeighborReq" else None

    introspect = make(typed_xml=typed)
    assert get(introspect, "/Snh_BgpNeighborReq?x=1") == (200, "text/xml; charset=utf-8", b"<r>1</r>")
    assert get(introspect, "/Snh_Other")[0] == 404
    assert get(introspect, "/Snh_Boom")[0] == 500


def test_pages_may_come_later(introspect: Introspect) -> None:
    introspect.add(Page("new", lambda arguments: [2]))
    assert get(introspect, "/json/new")[2] == b"[2]\n"


def result(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "has not fired"
    return results[0]


def test_listen_binds_to_the_interface_and_stop_closes_everything() -> None:
    reactor: Any = MemoryReactorClock()  # type: ignore[no-untyped-call]
    introspect = make(reactor)
    assert result(introspect.listen(8083, "127.0.0.5")) == 8083
    ((port, factory, _, interface),) = reactor.tcpServers
    assert (port, factory, interface) == (8083, introspect.factory, "127.0.0.5")
    channel, pipe = connect(introspect)
    channel.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert pipe.connected
    result(introspect.stop())
    assert not pipe.connected
    result(introspect.stop())


def test_a_port_in_use_fails_the_deferred() -> None:
    error: Any = CannotListenError

    class Reactor(MemoryReactorClock):
        def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:  # noqa: N802
            raise error(interface, port, OSError("in use"))

    made: Any = Reactor
    failure = result(make(made()).listen(80))
    assert isinstance(failure.value, CannotListenError)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"GET /json/broken HTTP/1.1\r\n", b"\r\n"])), max_size=6
    )
)
def test_any_bytes_leave_the_daemon_alive(chunks: list[bytes]) -> None:
    introspect = make()
    channel, pipe = connect(introspect)
    for chunk in chunks:
        if pipe.connected:
            channel.dataReceived(chunk)
    assert get(introspect, "/healthz")[2] == b"ok\n"
