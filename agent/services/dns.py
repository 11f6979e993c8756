"""Relaying a machine's DNS queries to the servers of its IPAM (reference/dns.md 8)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from contrail_emulator.base.capture import capture_datagrams
from contrail_emulator.base.pcap import Capture

from ..oper.interfaces import VmInterface
from ..oper.oper import Oper
from ..oper.records import Ipam
from ..settings import AgentSettings
from . import dns_message
from .dns_message import DnsError, Message

Respond = Callable[[bytes], None]
Server = tuple[str, int]
RESOLV_CONF = "/etc/resolv.conf"
_TRY_NEXT = frozenset({2, 3, 4, 5, 9})
VIRTUAL, DEFAULT, TENANT, NONE = "virtual-dns-server", "default-dns-server", "tenant-dns-server", "none"


class _Outstanding:
    """One query of a machine. `waiting` maps our ids to the server asked; the last failure is kept for the end."""

    __slots__ = (
        "asked",
        "failure",
        "full",
        "key",
        "message",
        "respond",
        "servers",
        "timer",
        "tries",
        "view",
        "waiting",
    )

    def __init__(self, key: tuple[str, int], asked: Message, respond: Respond) -> None:
        self.key = key
        self.asked = asked
        self.respond = respond
        self.full: tuple[tuple[bytes, ...], ...] = tuple(question.name for question in asked.questions)
        self.view = ""
        self.servers: list[Server] = []
        self.waiting: dict[int, Server] = {}
        self.failure: bytes | None = None
        self.message: bytes = b""
        self.tries = 0
        self.timer: Any = None


class DnsRelay(DatagramProtocol):
    """One UDP socket per agent, opened with the first query. `counters` by outcome, named as introspect names them."""

    noisy = False
    log = Logger()

    def __init__(
        self, reactor: Any, settings: AgentSettings, oper: Oper, rng: random.Random, capture: Capture | None
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._oper = oper
        self._rng = rng
        self._capture = capture
        self.servers = settings.dns_servers
        """Name servers of the virtual zones; the next query goes to what is here then."""
        self._port: Any = None
        self._by_id: dict[int, _Outstanding] = {}
        self._outstanding: dict[tuple[str, int], _Outstanding] = {}
        self.counters: Counter[str] = Counter()

    # --- from a machine -----------------------------------------------------------------------------------------------

    def query(self, interface: VmInterface, version: int, source: int, data: bytes, respond: Respond) -> None:
        """Relay one message; `respond` is called at most once, with the message for the machine."""
        self.counters["dns_requests"] += 1
        try:
            asked = dns_message.read(data)
        except DnsError:
            self.counters["dns_drops"] += 1
            return
        if asked.is_response:
            self.counters["dns_drops"] += 1
            return
        refusal = self._refuse(interface, version, source, asked)
        if refusal is not None:
            self.counters["dns_unsupported" if refusal == dns_message.NOTIMP else "dns_failures"] += 1
            respond(dns_message.failure(asked, refusal))
            return
        key = (interface.uuid, asked.id)
        if key in self._outstanding:
            self.counters["dns_retransmit_reqs"] += 1
            return
        ipam = self._ipam(interface, version, source)
        if ipam is None or not self._open():
            self.counters["dns_failures"] += 1
            respond(dns_message.failure(asked, dns_message.SERVFAIL))
            return
        self._begin(_Outstanding(key, asked, respond), ipam)

    def _refuse(self, interface: VmInterface, version: int, source: int, asked: Message) -> int | None:
        """The code to answer at once; None to go on."""
        if asked.opcode not in (dns_message.QUERY, dns_message.UPDATE) or asked.flags & dns_message.CD:
            return dns_message.NOTIMP
        ipam = self._ipam(interface, version, source)
        if ipam is None or ipam.dns_method in (NONE, TENANT):
            return dns_message.SERVFAIL
        virtual = self._oper.configuration.virtual_dns.get(ipam.virtual_dns)
        if ipam.dns_method == VIRTUAL and virtual is None:
            return dns_message.SERVFAIL
        if asked.opcode == dns_message.UPDATE:
            refused = virtual is not None and ipam.dns_method == VIRTUAL and not virtual.dynamic_records
            return dns_message.NOTAUTH if refused else dns_message.NOTIMP
        return None

    def _ipam(self, interface: VmInterface, version: int, source: int) -> Ipam | None:
        subnet = interface.network.subnet_of(version, source) if interface.network is not None else None
        return subnet.ipam if subnet is not None else None

    # --- to the servers -----------------------------------------------------------------------------------------------

    def _begin(self, query: _Outstanding, ipam: Ipam) -> None:
        self._outstanding[query.key] = query
        virtual = self._oper.configuration.virtual_dns.get(ipam.virtual_dns) if ipam.dns_method == VIRTUAL else None
        if virtual is not None:
            query.view = dns_message.view_name(ipam.virtual_dns)
            domain = dns_message.labels(virtual.domain)
            query.full = tuple(
                (*q.name, *domain) if len(q.name) == 1 and q.type != dns_message.TYPE_NS else q.name
                for q in query.asked.questions
            )
            query.servers = [(server.address, server.udp_port) for server in self.servers]
            for server in query.servers:
                self._send(query, server)
        else:
            query.servers = list(self._settings.resolvers) or resolvers()
            self._next(query)
        if not query.waiting:
            self._finish(query, dns_message.failure(query.asked, dns_message.SERVFAIL), "dns_failures")
        else:
            query.timer = self._reactor.callLater(self._settings.timers.dns_timeout, self._expired, query)

    def _next(self, query: _Outstanding) -> bool:
        """Default method: one server after another."""
        if not query.servers:
            return False
        self._send(query, query.servers.pop(0))
        return True

    def _send(self, query: _Outstanding, server: Server) -> None:
        ident = self._rng.randrange(1, 0x10000)
        while ident in self._by_id:
            ident = self._rng.randrange(1, 0x10000)
        self._by_id[ident] = query
        query.waiting[ident] = server
        self._write(query, ident, server)

    def _write(self, query: _Outstanding, ident: int, server: Server) -> None:
        questions = tuple(q._replace(name=name) for q, name in zip(query.asked.questions, query.full, strict=True))
        data = dns_message.query(ident, questions, query.view)
        if self.transport is None:
            return
        try:
            self.transport.write(data, server)
        except OSError as error:
            self.counters["dns_send_errors"] += 1
            if self.counters["dns_send_errors"] == 1:
                self.log.warn("cannot send to name server {server}: {error}", server=server[0], error=error)

    def _expired(self, query: _Outstanding) -> None:
        """Ask again, as often as configured; then the machine gets what failed, or nothing."""
        query.timer = None
        query.tries += 1
        if query.tries <= self._settings.dns_max_retries:
            for ident, server in query.waiting.items():
                self._write(query, ident, server)
        elif query.view or not query.servers:
            self._finish(query, query.failure, "dns_drops" if query.failure is None else "dns_failures")
            return
        else:
            self._drop_ids(query)
            query.tries = 0
            self._next(query)
        query.timer = self._reactor.callLater(self._settings.timers.dns_timeout, self._expired, query)

    # --- from the servers ---------------------------------------------------------------------------------------------

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: N802 - Twisted's name
        """The first answer without an error wins; of errors only the last is relayed."""
        try:
            answer = dns_message.read(datagram)
        except DnsError:
            self.counters["dns_malformed_answers"] += 1
            return
        query = self._by_id.get(answer.id)
        if query is None or not answer.is_response or query.waiting.get(answer.id) != (addr[0], addr[1]):
            self.counters["dns_unexpected_answers"] += 1
            return
        try:
            message = self._for_machine(query, datagram)
        except DnsError:
            self.counters["dns_malformed_answers"] += 1
            return
        if answer.rcode == dns_message.NOERROR:
            self._finish(query, message, "dns_resolved")
            return
        query.failure = message
        del self._by_id[answer.id], query.waiting[answer.id]
        if query.waiting:
            return
        if not query.view and answer.rcode in _TRY_NEXT and self._next(query):
            return
        self._finish(query, message, "dns_failures")

    def _for_machine(self, query: _Outstanding, data: bytes) -> bytes:
        if query.full == tuple(question.name for question in query.asked.questions):
            return dns_message.with_id(data, query.asked.id)
        return dns_message.renamed(data, query.asked, query.full)

    def _finish(self, query: _Outstanding, message: bytes | None, outcome: str) -> None:
        self.counters[outcome] += 1
        self._drop_ids(query)
        self._outstanding.pop(query.key, None)
        if query.timer is not None and query.timer.active():
            query.timer.cancel()
        if message is not None:
            query.respond(message)

    def _drop_ids(self, query: _Outstanding) -> None:
        for ident in query.waiting:
            self._by_id.pop(ident, None)
        query.waiting.clear()

    # --- socket -------------------------------------------------------------------------------------------------------

    def _open(self) -> bool:
        if self._port is None:
            try:
                recorded = capture_datagrams(self._capture, self)
                self._port = self._reactor.listenUDP(
                    self._settings.dns_client_port, recorded, interface=self._settings.source_address
                )
            except CannotListenError as error:
                self.counters["dns_socket_errors"] += 1
                if self.counters["dns_socket_errors"] == 1:
                    self.log.error("no socket for DNS queries: {error}", error=error)
                return False
        return True

    def stop(self) -> Deferred[None]:
        """Forget what is outstanding and close the socket."""
        for query in list(self._outstanding.values()):
            if query.timer is not None and query.timer.active():
                query.timer.cancel()
        self._outstanding.clear()
        self._by_id.clear()
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        return maybeDeferred(port.stopListening).addCallback(lambda _: None)


def resolvers(path: str = RESOLV_CONF) -> list[Server]:
    """Name servers of the host; none when the file cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    words = (line.split() for line in text.splitlines())
    return [(found[1], 53) for found in words if len(found) > 1 and found[0] == "nameserver"]
