"""From a question and a view to a reply, or to servers that must be asked first. Does no I/O."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from twisted.names import dns

from .names import canonical
from .records import ResourceRecord
from .views import Views
from .virtual_dns import VirtualDns
from .zone import Found, Verdict, Zone

MAX_ALIASES: Final = 16
MAX_VIEWS: Final = 16


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the name as it was sent, type and class, recursion desired, and the view the TXT names."""

    name: bytes
    type: int
    rr_class: int = dns.IN
    recursion: bool = True
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """Ask these servers (IPv4 or IPv6 text) for that name; their answer completes the reply."""

    name: bytes
    type: int
    servers: tuple[str, ...]


Served = tuple[bytes, ResourceRecord]
"""A record with its owner as it is to be written."""


@dataclass(slots=True)
class Reply:
    """When ``forward`` is set the rest must be asked elsewhere; ``rcode`` is then for the case that nobody answers."""

    rcode: int = dns.OK
    authoritative: bool = False
    answers: list[Served] = field(default_factory=list)
    authority: list[Served] = field(default_factory=list)
    additional: list[Served] = field(default_factory=list)
    forward: Forward | None = None


@dataclass(slots=True)
class _Located:
    """Where the chain of views ends for a name: in a zone, at servers to ask, or nowhere."""

    server: VirtualDns | None = None
    zone: Zone | None = None
    found: Found | None = None
    servers: tuple[str, ...] = ()
    rcode: int = dns.ESERVER


class Resolver:
    """``forwarders`` are asked for what no view knows; ``rng`` shuffles record sets in order ``random``."""

    def __init__(self, views: Views, forwarders: Sequence[str], rng: random.Random) -> None:
        self._views = views
        self._forwarders = tuple(forwarders)
        self._rng = rng

    def resolve(self, question: Question) -> Reply:
        """The reply as far as our own views know it."""
        if question.rr_class not in (dns.IN, dns.ANY) or question.type in (dns.AXFR, dns.IXFR):
            return Reply(dns.EREFUSED)
        server: VirtualDns | None
        if question.view is None:
            server = self._views.external(canonical(question.name))
            if server is None:
                return self._outside(question)
        else:
            server = self._views.by_view(question.view)
            if server is None:
                return Reply(dns.EREFUSED)
        return self._follow(server, question)

    def _outside(self, question: Question) -> Reply:
        """The default view knows nothing of the name."""
        if not question.recursion:
            return Reply(dns.EREFUSED)
        reply = Reply(dns.ESERVER)
        if self._forwarders:
            reply.forward = Forward(question.name, question.type, self._forwarders)
        return reply

    def _follow(self, server: VirtualDns, question: Question) -> Reply:
        """Follow aliases, each from the view where the one before was found."""
        reply = Reply()
        written, seen = question.name, set[bytes]()
        for _ in range(MAX_ALIASES):
            name = canonical(written)
            if name in seen:
                break
            seen.add(name)
            located = self._locate(server, name, question.type, question.recursion)
            if located.found is None or located.zone is None or located.server is None:
                self._leave(reply, located, written, question)
                break
            if not reply.answers:
                reply.authoritative = located.found.verdict is not Verdict.REFERRAL
            server = located.server
            target = self._take(reply, located.server, located.zone, located.found, written)
            if target is None:
                break
            written = target
        return reply

    def _leave(self, reply: Reply, located: _Located, written: bytes, question: Question) -> None:
        """The name is in no zone of ours: ask others, or say that there is no way to know."""
        if located.servers:
            reply.forward = Forward(written, question.type, located.servers)
            reply.rcode = dns.ESERVER
        elif not reply.answers:
            reply.rcode = located.rcode

    def _take(
        self, reply: Reply, server: VirtualDns, zone: Zone, found: Found, written: bytes
    ) -> bytes | None:
        """Put what a zone says into the reply; gives the name to go on with, if there is one."""
        match found.verdict:
            case Verdict.ANSWER:
                ordered = self._ordered(server, zone, found)
                reply.answers += [(written, record) for record in ordered]
                reply.additional += self._glue(server, ordered)
            case Verdict.ALIAS:
                (alias,) = found.records
                reply.answers.append((written, alias))
                return bytes(alias.payload.name.name)
            case Verdict.REFERRAL:
                reply.authority += [(found.owner, record) for record in found.records]
                reply.additional += self._glue(server, found.records)
            case Verdict.NO_DATA | Verdict.NO_NAME:
                soa = zone.soa
                reply.authority.append((soa.owner, soa.with_ttl(min(soa.ttl, zone.settings.negative_ttl))))
                if found.verdict is Verdict.NO_NAME:
                    reply.rcode = dns.ENAME
        return None

    def _locate(self, server: VirtualDns, name: bytes, rr_type: int, recursion: bool) -> _Located:
        """Follow next-virtual-DNS and delegations to views; each view is entered once."""
        visited: set[str] = set()
        here: VirtualDns | None = server
        while here is not None and here.fq_name not in visited and len(visited) < MAX_VIEWS:
            visited.add(here.fq_name)
            zone = here.zone_of(name)
            if zone is not None:
                found = zone.lookup(name, rr_type)
                jump = self._delegated(found, recursion) if found.verdict is Verdict.REFERRAL else None
                if jump is None:
                    return _Located(here, zone, found)
                if isinstance(jump, tuple):
                    return _Located(servers=jump)
                here = jump
                continue
            if not recursion:
                return _Located(rcode=dns.EREFUSED)
            following = here.data.next if here.data is not None else ""
            if not following or is_address(following):
                return _Located(servers=(following,) if following else self._forwarders)
            here = self._views.by_next(following)
        return _Located()

    def _delegated(self, found: Found, recursion: bool) -> VirtualDns | tuple[str, ...] | None:
        """A delegation to one of our views, or to an address when we may recurse; None for an ordinary referral."""
        targets = [bytes(record.payload.name.name) for record in found.records]
        for target in targets:
            server = self._views.by_name_server(target)
            if server is not None:
                return server
        addresses = tuple(target.decode() for target in targets if is_address(target.decode("ascii", "replace")))
        return addresses if addresses and recursion else None

    def _ordered(self, server: VirtualDns, zone: Zone, found: Found) -> list[ResourceRecord]:
        order = server.data.record_order if server.data is not None else "fixed"
        if order == "fixed" or len(found.records) < 2:
            return found.records
        turn = zone.turn(found.owner)
        ordered: list[ResourceRecord] = []
        for _, members in groupby(sorted(found.records, key=_type), key=_type):
            rrset = list(members)
            if order == "random":
                self._rng.shuffle(rrset)
            else:
                rrset = rrset[turn % len(rrset) :] + rrset[: turn % len(rrset)]
            ordered += rrset
        return ordered

    @staticmethod
    def _glue(server: VirtualDns, records: Sequence[ResourceRecord]) -> list[Served]:
        """Addresses of the hosts that NS, MX and SRV records name, as far as this view has them."""
        glue: dict[Served, None] = {}
        for record in records:
            if record.type in (dns.NS, dns.MX):
                target = record.payload.name.name
            elif record.type == dns.SRV:
                target = record.payload.target.name
            else:
                continue
            name = canonical(target)
            zone = server.zone_of(name)
            if zone is not None:
                for rr_type in (dns.A, dns.AAAA):
                    found = zone.glue(name, rr_type)
                    glue.update(dict.fromkeys((target, address) for address in found))
        return list(glue)


def is_address(text: str) -> bool:
    """True for the text of an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _type(record: ResourceRecord) -> int:
    return record.type
