"""The DNS front end: questions on UDP and TCP, agents' records on XMPP, configuration from the graph. Wiring only.

start() is to be called when the configuration is complete: until then the real one lets no agent in either
(reference/dns.md 7).
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.names import dns

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.capture import capture_datagrams, capture_factory
from contrail_emulator.base.pcap import Capture
from contrail_emulator.config.graph import Graph
from contrail_emulator.control.xmpp import dns_message
from contrail_emulator.control.xmpp.names import DNS_JID, DNS_PEER
from contrail_emulator.control.xmpp.server import ServerSettings, XmppServer
from contrail_emulator.control.xmpp.session import Session
from contrail_emulator.control.xmpp.stanza import Stanza

from . import rows, wire
from .agent_records import AgentRecords
from .config_feed import ConfigFeed
from .forwarder import Forwarder
from .listeners import DnsConnections, DnsDatagrams, Respond
from .names import is_name
from .records import ResourceRecord
from .resolver import Question, Reply, Resolver, Served
from .settings import DnsSettings
from .views import Views

PORT_ATTEMPTS: Final = 20


class DnsServer:
    """One DNS front end. ``port`` and ``xmpp_port`` are those in use once start() has fired."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: DnsSettings,
        graph: Graph,
        *,
        behaviour: Behaviour = CONTRAIL,
        rng: random.Random | None = None,
        capture: Capture | None = None,
    ) -> None:
        self.settings = settings
        self.port = settings.port
        self.xmpp_port = settings.xmpp_port
        self.views = Views(settings.host_ip or settings.address)
        self.agent_records = AgentRecords(self.views, behaviour)
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._capture = capture
        self._feed = ConfigFeed(graph, self.views)
        self._resolver = Resolver(self.views, settings.forwarders, random.Random() if rng is None else rng)
        self._forwarder = Forwarder(reactor, settings.forward_port)
        self._datagrams = DnsDatagrams(self._asked)
        self._connections = DnsConnections(self._asked, reactor.callLater)
        xmpp = ServerSettings(
            settings.hostname,
            address=settings.address,
            port=settings.xmpp_port,
            jid=DNS_JID,
            hold_time=settings.hold_time,
            tls=settings.tls,
            max_stanza=settings.max_stanza,
        )
        self._xmpp = XmppServer(reactor, xmpp, self, capture=capture)
        self._sessions: dict[str, Session] = {}
        self._ports: list[Any] = []

    @inlineCallbacks
    def start(self) -> Generator[Deferred[Any], Any, None]:
        """Fires when the ports are open; fails with CannotListenError, nothing left open, when one is taken."""
        self._feed.start()
        try:
            self._listen()
            self.xmpp_port = yield self._xmpp.listen()
        except CannotListenError:
            yield self.stop()
            raise

    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Fires when every port and connection is closed."""
        self._feed.stop()
        self._forwarder.stop()
        self._connections.close()
        ports, self._ports = self._ports, []
        yield gatherResults([maybeDeferred(port.stopListening) for port in ports])
        yield self._xmpp.stop()

    def rows(self, page: str, arguments: rows.Arguments | None = None) -> list[dict[str, object]]:
        """The rows of an introspect page: ``virtual-dns``, ``records``, ``agents`` or ``counters``. KeyError else."""
        return rows.PAGES[page](self, {} if arguments is None else arguments)

    def counted(self) -> dict[str, int]:
        """Everything that is counted, by name."""
        return {
            **self.counters,
            "connections_refused": self._connections.refused,
            "send_errors": self._datagrams.send_errors,
            "forwards_waiting": self._forwarder.waiting,
            "agents_refused": self._xmpp.refused,
            "agent_records_unserved": self.agent_records.unserved,
        }

    @property
    def sessions(self) -> Iterable[Session]:
        """Agents' sessions."""
        return self._sessions.values()

    def _listen(self) -> None:
        """UDP and TCP on one number; a free one for both when it is 0."""
        settings = self.settings
        for attempt in range(PORT_ATTEMPTS):
            factory = capture_factory(self._capture, self._connections, initiator=False)
            tcp = self._reactor.listenTCP(settings.port, factory, interface=settings.address)
            number = int(tcp.getHost().port)
            try:
                datagrams = capture_datagrams(self._capture, self._datagrams)
                udp = self._reactor.listenUDP(number, datagrams, interface=settings.address, maxPacketSize=65535)
            except CannotListenError:
                tcp.stopListening()
                if settings.port or attempt == PORT_ATTEMPTS - 1:
                    raise
                continue
            self._ports = [tcp, udp]
            self.port = number
            return

    # --- Questions ----------------------------------------------------------------------------------------------------

    def _asked(self, data: bytes, respond: Respond, over_tcp: bool) -> None:
        request = wire.read(data)
        if request is None:
            self._count("dropped", "no question: {size} bytes", size=len(data))
            return
        limit = wire.TCP_LIMIT if over_tcp else request.limit
        self.counters["tcp" if over_tcp else "udp"] += 1
        reply = self._reply(request)
        if reply.forward is None:
            self._answer(request, reply, respond, limit)
            return
        self.counters["forwarded"] += 1
        asked = self._forwarder.ask(reply.forward)
        asked.addCallback(complete, reply)
        asked.addCallback(lambda complete: self._answer(request, complete, respond, limit))
        asked.addErrback(lambda failure: self.log.failure("forwarding failed", failure=failure))

    def _reply(self, request: wire.Request) -> Reply:
        if request.fault:
            self._count("malformed", "a question that makes no sense, id {id}", id=request.id)
            return Reply(request.fault)
        if request.opcode == dns.OP_UPDATE:
            self._count("updates_refused", "a dynamic UPDATE was refused: records come from agents and configuration")
            return Reply(dns.EREFUSED)
        if request.opcode != dns.OP_QUERY:
            return Reply(dns.ENOTIMP)
        asked = request.question
        question = Question(asked.name.name, asked.type, asked.cls, request.recursion, request.view)
        return self._resolver.resolve(question)

    def _answer(self, request: wire.Request, reply: Reply, respond: Respond, limit: int) -> None:
        self.counters[f"rcode_{reply.rcode}"] += 1
        respond(wire.write(request, reply, limit))

    def _count(self, name: str, text: str, **values: object) -> None:
        """Count an oddity; the first of its kind is logged."""
        self.counters[name] += 1
        if self.counters[name] == 1:
            self.log.info(text + " (further ones are only counted)", **values)

    # --- Agents: the Handler of the XMPP server -----------------------------------------------------------------------

    def established(self, session: Session) -> None:
        """An agent is there; it will state all its records."""
        if session.peer_name in self._sessions:
            self.agent_records.forget(session.peer_name)
        self._sessions[session.peer_name] = session

    def stanza(self, session: Session, stanza: Stanza) -> None:
        """An update from an agent; anything else is ignored."""
        if not stanza.addressed(DNS_PEER):
            return
        try:
            message = dns_message.read(stanza)
        except dns_message.DnsMessageError as error:
            agent = session.peer_name
            self._count("bad_stanzas", "{agent} sent a stanza that is ignored: {error}", agent=agent, error=error)
            return
        if isinstance(message, dns_message.DnsUpdate) and message.response_code is None:
            self.counters["agent_updates"] += 1
            self.agent_records.update(session.peer_name, message)

    def closed(self, session: Session, reason: str) -> None:
        """The agent is gone, and its records with it."""
        if self._sessions.get(session.peer_name) is session:
            del self._sessions[session.peer_name]
            self.agent_records.forget(session.peer_name)

    def unblocked(self, session: Session) -> None:
        """We send agents nothing."""


def complete(message: Any, reply: Reply) -> Reply:
    """Our part of the answer and the forwarder's; SERVFAIL when nobody answered, or nothing that can be passed on."""
    if message is None:
        return Reply(dns.ESERVER)
    try:
        reply.answers += _served(message.answers)
        reply.authority += _served(message.authority)
        reply.additional += _served(message.additional)
    except (ValueError, struct.error):
        return Reply(dns.ESERVER)
    reply.rcode = message.rCode
    return reply


def _served(headers: Iterable[Any]) -> list[Served]:
    served: list[Served] = []
    for header in headers:
        owner = header.name.name
        if not is_name(owner):
            raise ValueError(f"{owner!r} does not fit on the wire")
        if header.type != dns.OPT and header.cls == dns.IN:
            served.append((owner, ResourceRecord.make(owner, header.type, header.ttl, header.payload)))
    return served
