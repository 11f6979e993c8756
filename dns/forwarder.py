"""Questions that others must answer: one socket per question, each server in turn, TCP when the answer was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.names import dns
from twisted.python.failure import Failure

from .resolver import Forward

TIMEOUTS: Final = (1.0, 3.0)
"""Seconds to wait for each server, first round and second."""
TCP_TIMEOUT: Final = 5.0
MAX_WAITING: Final = 1000


class Forwarder:
    """``waiting`` questions are under way; above MAX_WAITING none is taken."""

    log = Logger()

    def __init__(self, reactor: Any, port: int = dns.PORT) -> None:
        self._reactor = reactor
        self._port = port
        self._sockets: set[Any] = set()
        self._connectors: set[Any] = set()
        self._stopped = False
        self.waiting = 0

    def ask(self, forward: Forward) -> Deferred[Any]:
        """Fires with the dns.Message of the first server that answers, or None when nobody does."""
        if self.waiting >= MAX_WAITING:
            return succeed(None)
        self.waiting += 1
        attempts = iter([(server, seconds) for seconds in TIMEOUTS for server in forward.servers])
        answer: Deferred[Any] = self._next(forward, attempts)

        def done(result: Any) -> Any:
            self.waiting -= 1
            return result

        return answer.addBoth(done)

    def stop(self) -> None:
        """Close every socket and ask nobody any more; what is under way ends without an answer."""
        self._stopped = True
        for protocol in list(self._sockets):
            if protocol.transport is not None:
                protocol.transport.stopListening()
        for connector in list(self._connectors):
            connector.disconnect()

    def _next(self, forward: Forward, attempts: Iterator[tuple[str, float]]) -> Deferred[Any]:
        attempt = next(attempts, None)
        if attempt is None or self._stopped:
            return succeed(None)
        server, seconds = attempt
        question = dns.Query(forward.name, forward.type, dns.IN)
        asked: Deferred[Any] = maybeDeferred(self._over_udp, server, question, seconds)

        def judge(message: Any) -> Any:
            if not message.answer or message.queries != [question]:
                return self._next(forward, attempts)
            return self._over_tcp(server, question) if message.trunc else message

        def failed(failure: Failure) -> Deferred[Any] | Failure:
            if isinstance(failure.value, (dns.DNSQueryTimeoutError, OSError, ConnectionLost)):
                return self._next(forward, attempts)
            return failure

        return asked.addCallback(judge).addErrback(failed)

    def _over_udp(self, server: str, question: Any, seconds: float) -> Deferred[Any]:
        make: Any = dns.DNSDatagramProtocol
        protocol = make(self, self._reactor)
        protocol.noisy = False
        self._reactor.listenUDP(0, protocol, interface="::" if ":" in server else "")
        self._sockets.add(protocol)

        def close(result: Any) -> Any:
            self._sockets.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.stopListening()
            return result

        answered: Deferred[Any] = protocol.query((server, self._port), [question], seconds)
        return answered.addBoth(close)

    def _over_tcp(self, server: str, question: Any) -> Deferred[Any]:
        factory = _TcpQuestion(self._reactor, question)
        connector = self._reactor.connectTCP(server, self._port, factory, timeout=TCP_TIMEOUT)
        self._connectors.add(connector)

        def close(result: Any) -> Any:
            self._connectors.discard(connector)
            return result

        return factory.answered.addBoth(close)

    # The controller of DNSDatagramProtocol

    def messageReceived(self, message: Any, protocol: Any, address: Any = None) -> None:  # noqa: N802 - Twisted's name
        """An answer nobody waits for."""


class _TcpQuestion(ClientFactory):
    """One question on one connection."""

    noisy = False

    def __init__(self, reactor: Any, question: Any) -> None:
        self._reactor = reactor
        self._question = question
        self.answered: Deferred[Any] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Any:  # noqa: N802 - Twisted's name
        make: Any = dns.DNSProtocol
        return make(self, self._reactor)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        self._finish(Failure(OSError(reason.getErrorMessage())))  # type: ignore[no-untyped-call]  # Twisted's is not

    def connectionMade(self, protocol: Any) -> None:  # noqa: N802 - Twisted's name
        """The controller's side of DNSProtocol."""
        asked: Deferred[Any] = protocol.query([self._question], TCP_TIMEOUT)

        def close(result: Any) -> None:
            protocol.transport.loseConnection()
            self._finish(result)

        asked.addBoth(close)

    def connectionLost(self, protocol: Any) -> None:  # noqa: N802 - Twisted's name
        """The connection is gone; an answer that has not come by now is late, and its time-out says so."""

    def messageReceived(self, message: Any, protocol: Any, address: Any = None) -> None:  # noqa: N802 - Twisted's name
        """An answer nobody waits for."""

    def _finish(self, result: Any) -> None:
        if not self.answered.called:
            self.answered.callback(result)
