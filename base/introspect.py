"""The HTTP side of every daemon: a list of pages, each page as JSON, Prometheus metrics, a health check.

``GET /`` HTML, ``GET /json/<page>?name=value`` JSON, ``GET /metrics``, ``GET /healthz``, and Contrail's typed XML under
``GET /Snh_<Request>?...`` when the daemon gives it. Errors are one-line JSON objects: ``{"error": "..."}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from klein import Klein
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException

from .metrics import CONTENT_TYPE, Metrics

JSON = Any
"""What json.dumps takes: a page gives a list of objects, or one object."""

Arguments = Mapping[str, str]


class PageError(ValueError):
    """Raised by a page for arguments it cannot answer: the text goes to the asker with status 400, or the one given."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its name in the path, what gives its content (a value or a Deferred), and a line about it.

    `arguments` are those it takes, None takes any; others are an error of the asker.
    """

    name: str
    rows: Callable[[Arguments], JSON]
    summary: str = ""
    arguments: tuple[str, ...] | None = ()


class Introspect:
    """Serves the pages of one daemon. A page that raises is logged and counted and harms nothing else.

    ``typed_xml(request_name, arguments)`` gives the XML of ``/Snh_<request_name>``, or None for an unknown one.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        title: str,
        pages: Sequence[Page],
        metrics: Metrics,
        typed_xml: Callable[[str, Arguments], bytes | None] | None = None,
    ) -> None:
        self.title = title
        self._reactor = reactor
        self._pages = {page.name: page for page in pages}
        self._metrics = metrics
        self._typed_xml = typed_xml
        self._failures = metrics.counter("introspect_failures_total", "Pages that raised", ["page"])
        self._port: IListeningPort | None = None
        site: Any = _Site
        wrap: Any = WrappingFactory
        self.factory = wrap(site(self._app().resource(), reactor=reactor))
        self.factory.noisy = False

    def add(self, page: Page) -> None:
        """One more page; the name replaces an earlier page of that name."""
        self._pages[page.name] = page

    def listen(self, port: int, interface: str = "127.0.0.1") -> Deferred[int]:
        """Begin to serve; fires with the port number in use (0 takes a free one), fails with CannotListenError."""

        def bind() -> int:
            listening = self._reactor.listenTCP(port, self.factory, interface=interface)
            self._port = listening
            return int(listening.getHost().port)

        return maybeDeferred(bind)

    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Close the port and every connection; fires when the port is free."""
        port, self._port = self._port, None
        for connection in list(self.factory.protocols):  # idle keep-alive connections too
            connection.loseConnection()
        if port is not None:
            yield maybeDeferred(port.stopListening)

    def _app(self) -> Klein:
        app = Klein()
        app.route("/", methods=["GET"])(self._index)
        app.route("/json/<page>", methods=["GET"])(self._json)
        app.route("/metrics", methods=["GET"])(self._render_metrics)
        app.route("/healthz", methods=["GET"])(self._health)
        app.route("/Snh_<request_name>", methods=["GET"])(self._typed)
        app.handle_errors(HTTPException)(self._http_error)
        app.handle_errors(PageError)(self._page_error)
        return app

    def _index(self, request: IRequest) -> bytes:
        _set_type(request, b"text/html; charset=utf-8")
        rows = "".join(
            f'<tr><td><a href="json/{quote(name, safe="")}">{escape(name)}</a></td>'
            f"<td>{escape(page.summary)}</td></tr>\n"
            for name, page in self._pages.items()
        )
        title = escape(self.title)
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            "<style>body{font-family:sans-serif;margin:2em}td{padding:.2em 1.5em .2em 0}</style></head>\n"
            f"<body><h1>{title}</h1>\n<table>\n{rows}</table>\n"
            '<p><a href="metrics">metrics</a> <a href="healthz">healthz</a></p>\n</body></html>\n'
        ).encode()

    def _json(self, request: IRequest, page: str) -> Deferred[bytes]:
        known = self._pages.get(page)
        if known is None:
            raise PageError(f"no page {page!r}; there are {', '.join(self._pages)}", 404)
        arguments = _arguments(request)
        if known.arguments is not None and not arguments.keys() <= set(known.arguments):
            strange = ", ".join(sorted(arguments.keys() - set(known.arguments)))
            raise PageError(f"{page}: unknown: {strange}; expected {', '.join(known.arguments) or 'no arguments'}")
        answer: Deferred[JSON] = maybeDeferred(known.rows, arguments)
        answer.addCallback(_dump)
        answer.addErrback(self._broken, page)
        answer.addCallback(_typed_as(request, b"application/json"))
        return answer

    def _typed(self, request: IRequest, request_name: str) -> Deferred[bytes]:
        typed_xml = self._typed_xml
        if typed_xml is None:
            raise PageError("this daemon has no typed XML pages", 404)
        answer: Deferred[bytes | None] = maybeDeferred(typed_xml, request_name, _arguments(request))

        def known(document: bytes | None) -> bytes:
            if document is None:
                raise PageError(f"no request {request_name!r}", 404)
            return document

        found = answer.addCallback(known)
        found.addErrback(self._broken, "Snh_" + request_name)
        found.addCallback(_typed_as(request, b"text/xml; charset=utf-8"))
        return found

    def _render_metrics(self, request: IRequest) -> Deferred[bytes]:
        answer: Deferred[bytes] = maybeDeferred(self._metrics.render)
        answer.addErrback(self._broken, "metrics")
        answer.addCallback(_typed_as(request, CONTENT_TYPE.encode()))
        return answer

    def _health(self, request: IRequest) -> bytes:
        _set_type(request, b"text/plain; charset=utf-8")
        return b"ok\n"

    def _broken(self, failure: Failure, page: str) -> Failure:
        """A page's own complaint goes on; anything else is our fault: log it, count it, answer 500."""
        if isinstance(failure.value, PageError):
            return failure
        self.log.failure("introspect page {page} failed", failure=failure, page=page)
        self._failures.labels(page).inc()
        raise PageError(f"page {page!r} failed: {type(failure.value).__name__}; the log has the details", 500)

    def _http_error(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        status = error.code if isinstance(error, HTTPException) and error.code is not None else 500
        return _error(request, status, getattr(error, "name", "error"))

    def _page_error(self, request: IRequest, failure: Failure) -> bytes:
        error = failure.value
        return _error(request, error.status if isinstance(error, PageError) else 500, str(error))


class _Site(Site):
    """twisted.web's site, without a line per request on the log."""

    noisy = False
    displayTracebacks = False  # noqa: N815 - Twisted's name

    def log(self, request: Any) -> None:
        """No access log."""


def _arguments(request: IRequest) -> dict[str, str]:
    """The query as text, the last of several equal names. Raises PageError when it is not UTF-8."""
    try:
        return {name.decode(): values[-1].decode() for name, values in (request.args or {}).items()}
    except UnicodeDecodeError:
        raise PageError("arguments: expected UTF-8 text") from None


def _dump(rows: JSON) -> bytes:
    return json.dumps(rows, default=str).encode() + b"\n"


def _typed_as(request: IRequest, content_type: bytes) -> Callable[[bytes], bytes]:
    def set_type(body: bytes) -> bytes:
        _set_type(request, content_type)
        return body

    return set_type


def _error(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    _set_type(request, b"application/json")
    return json.dumps({"error": text}).encode() + b"\n"


def _set_type(request: Any, content_type: bytes) -> None:
    request.setHeader(b"content-type", content_type)
