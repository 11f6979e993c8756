"""Chains of views, the default view, delegations, aliases, record order: all without a socket."""

import ipaddress
import random
from collections import Counter
from typing import Any

import pytest
from twisted.names import dns

from contrail_emulator.dns.records import RecordData
from contrail_emulator.dns.resolver import Forward, Question, Reply, Resolver
from contrail_emulator.dns.views import Views
from contrail_emulator.dns.virtual_dns import VirtualDns, VirtualDnsData

FORWARDERS = ("192.0.2.53", "192.0.2.54")
V1 = "default-domain-v1"


class World:
    """Servers by short name, all in default-domain."""

    def __init__(self, forwarders: tuple[str, ...] = FORWARDERS) -> None:
        self.views = Views("10.9.9.9")
        self.resolver = Resolver(self.views, forwarders, random.Random(1))

    def server(self, name: str, domain: str, *records: RecordData, next: str = "", **options: object) -> VirtualDns:
        made = self.views.ensure(f"default-domain:{name}")
        properties = {"domain_name": domain, "record_order": "fixed", "next_virtual_DNS": next, **options}
        made.configure(VirtualDnsData.read(properties))
        for number, record in enumerate(records):
            made.state(("config", str(number)), record)
        self.views.settle(made)
        return made

    def ask(
        self, name: str, rr_type: int = dns.A, view: str | None = V1, recursion: bool = True, rr_class: int = dns.IN
    ) -> Reply:
        return self.resolver.resolve(Question(name.encode(), rr_type, rr_class, recursion, view))


def a(name: str, address: str = "10.1.0.3") -> RecordData:
    return RecordData(name, dns.A, address)


def texts(reply: Reply) -> list[str]:
    return [
        f"{owner.decode()} {dns.QUERY_TYPES[record.type]} {printed(record.payload)}" for owner, record in reply.answers
    ]


def printed(payload: Any) -> str:
    return str(payload.dottedQuad() if hasattr(payload, "dottedQuad") else payload.name)


def test_the_view_is_chosen_byte_by_byte() -> None:
    world = World()
    world.server("v1", "example.com", a("vm"))
    world.server("v2", "example.com", a("vm", "10.2.0.3"))
    assert texts(world.ask("vm.example.com")) == ["vm.example.com A 10.1.0.3"]
    assert texts(world.ask("vm.example.com", view="default-domain-v2")) == ["vm.example.com A 10.2.0.3"]
    for view in ("default-domain:v1", "Default-Domain-V1", "default-domain-v3", ""):
        assert world.ask("vm.example.com", view=view).rcode == dns.EREFUSED


def test_the_answer_repeats_the_letters_of_the_question() -> None:
    world = World()
    world.server("v1", "Example.com", a("vm"))
    reply = world.ask("vM.eXample.COM")
    assert texts(reply) == ["vM.eXample.COM A 10.1.0.3"] and reply.authoritative


def test_nothing_of_that_name_or_type_gives_the_soa_with_the_negative_ttl() -> None:
    world = World()
    world.server("v1", "example.com", a("vm"), default_ttl_seconds=500, soa_record={"negative_cache_ttl_seconds": 7})
    for name, rr_type, rcode in (("no.example.com", dns.A, dns.ENAME), ("vm.example.com", dns.MX, dns.OK)):
        reply = world.ask(name, rr_type)
        ((owner, soa),) = reply.authority
        assert (reply.rcode, reply.answers, owner, soa.type, soa.ttl) == (rcode, [], b"example.com", dns.SOA, 7)
        assert reply.authoritative


def test_a_server_without_a_domain_has_no_view() -> None:
    world = World()
    for domain in ("", "exa_mple.com", "a..b"):
        world.server("v1", domain, a("vm"))
        assert world.ask("vm").rcode == dns.EREFUSED


def test_names_outside_go_to_the_next_server_and_from_there_on() -> None:
    world = World()
    world.server("v1", "one.org", next="default-domain:v2")
    world.server("v2", "two.org", a("vm"), next="default-domain:v3")
    world.server("v3", "three.org", a("vm"), next="198.51.100.7")
    assert texts(world.ask("vm.two.org")) == ["vm.two.org A 10.1.0.3"]
    assert texts(world.ask("vm.three.org")) == ["vm.three.org A 10.1.0.3"]
    assert world.ask("vm.three.org").authoritative
    assert world.ask("no.two.org").rcode == dns.ENAME
    assert world.ask("vm.four.org").forward == Forward(b"vm.four.org", dns.A, ("198.51.100.7",))
    assert world.ask("vm.two.org", recursion=False).rcode == dns.EREFUSED
    assert world.ask("vm.one.org").rcode == dns.ENAME, "a name of one's own zone is never asked elsewhere"


def test_a_chain_that_bites_its_tail_ends() -> None:
    world = World()
    world.server("v1", "one.org", next="default-domain:v2")
    world.server("v2", "two.org", next="default-domain:v1")
    assert world.ask("vm.three.org").rcode == dns.ESERVER
    world.server("v2", "two.org", next="default-domain:v2")
    assert world.ask("vm.three.org").rcode == dns.ESERVER
    world.server("v2", "two.org", next="default-domain:gone")
    assert world.ask("vm.three.org").rcode == dns.ESERVER


def test_without_a_next_server_the_forwarders_are_asked() -> None:
    world = World()
    world.server("v1", "one.org")
    assert world.ask("www.net").forward == Forward(b"www.net", dns.A, FORWARDERS)
    alone = World(forwarders=())
    alone.server("v1", "one.org")
    assert (alone.ask("www.net").rcode, alone.ask("www.net").forward) == (dns.ESERVER, None)
    assert alone.ask("www.net", view=None).rcode == dns.ESERVER
    assert alone.ask("www.net", view=None, recursion=False).rcode == dns.EREFUSED


def test_without_a_txt_only_what_is_visible_from_outside_is_known() -> None:
    world = World()
    world.server("hidden", "hidden.org", a("vm"))
    world.server("b", "open.org", a("vm", "10.0.0.2"), external_visible=True)
    world.server("a", "open.org", a("vm", "10.0.0.1"), external_visible=True)
    reply = world.ask("vm.open.org", view=None, recursion=False)
    assert texts(reply) == ["vm.open.org A 10.0.0.1"] and reply.authoritative, "the name that sorts first wins"
    assert world.ask("vm.hidden.org", view=None).forward == Forward(b"vm.hidden.org", dns.A, FORWARDERS)
    world.server("a", "open.org", a("vm", "10.0.0.1"), external_visible=False)
    assert texts(world.ask("vm.open.org", view=None)) == ["vm.open.org A 10.0.0.2"]


def test_aliases_are_followed_through_views() -> None:
    world = World()
    world.server(
        "v1",
        "one.org",
        RecordData("www", dns.CNAME, "web"),
        RecordData("web", dns.CNAME, "vm.two.org"),
        RecordData("out", dns.CNAME, "www.net"),
        RecordData("gone", dns.CNAME, "nothing"),
        next="default-domain:v2",
    )
    world.server("v2", "two.org", a("vm"))
    assert texts(world.ask("WWW.one.org")) == [
        "WWW.one.org CNAME web.one.org",
        "web.one.org CNAME vm.two.org",
        "vm.two.org A 10.1.0.3",
    ]
    out = world.ask("out.one.org")
    assert texts(out) == ["out.one.org CNAME www.net"] and out.forward == Forward(b"www.net", dns.A, FORWARDERS)
    stays = world.ask("out.one.org", recursion=False)
    assert (stays.rcode, texts(stays), stays.forward) == (dns.OK, ["out.one.org CNAME www.net"], None)
    gone = world.ask("gone.one.org")
    assert (gone.rcode, len(gone.answers), len(gone.authority)) == (dns.ENAME, 1, 1)


def test_aliases_in_a_circle_end() -> None:
    world = World()
    world.server("v1", "one.org", RecordData("a", dns.CNAME, "b"), RecordData("b", dns.CNAME, "a"))
    assert texts(world.ask("a.one.org")) == ["a.one.org CNAME b.one.org", "b.one.org CNAME a.one.org"]
    many = World()
    many.server("v1", "one.org", *(RecordData(f"a{n}", dns.CNAME, f"a{n + 1}") for n in range(40)))
    assert len(many.ask("a0.one.org").answers) == 16


def test_a_delegation_to_a_server_of_ours_is_followed() -> None:
    world = World()
    world.server("v1", "example.com", RecordData("sub", dns.NS, "default-domain:V2"))
    world.server("V2", "sub.example.com", a("vm"))
    reply = world.ask("vm.sub.example.com", recursion=False)
    assert texts(reply) == ["vm.sub.example.com A 10.1.0.3"] and reply.authoritative


def test_a_delegation_to_an_address_is_asked_there() -> None:
    world = World()
    world.server("v1", "example.com", RecordData("sub", dns.NS, "192.0.2.9"))
    assert world.ask("vm.sub.example.com").forward == Forward(b"vm.sub.example.com", dns.A, ("192.0.2.9",))
    assert world.ask("vm.sub.example.com", recursion=False).authority


def test_any_other_delegation_is_a_referral_with_glue() -> None:
    world = World()
    world.server("v1", "example.com", RecordData("sub", dns.NS, "ns.sub.example.com"), a("ns.sub.example.com"))
    reply = world.ask("vm.sub.example.com")
    assert (reply.rcode, reply.authoritative, reply.answers) == (dns.OK, False, [])
    assert [(owner, record.type) for owner, record in reply.authority] == [(b"sub.example.com", dns.NS)]
    assert [(owner, record.type) for owner, record in reply.additional] == [(b"ns.sub.example.com", dns.A)]


def test_hosts_of_mx_and_srv_records_come_along() -> None:
    world = World()
    world.server("v1", "example.com", RecordData("m", dns.MX, "vm"), RecordData("s", dns.SRV, "1 2 3 vm"), a("vm"))
    for name, rr_type in (("m.example.com", dns.MX), ("s.example.com", dns.SRV)):
        reply = world.ask(name, rr_type)
        assert [(owner, record.type) for owner, record in reply.additional] == [(b"vm.example.com", dns.A)]


@pytest.mark.parametrize("rr_class", [dns.CH, dns.HS])
def test_other_classes_and_transfers_are_refused(rr_class: int) -> None:
    world = World()
    world.server("v1", "example.com")
    assert world.ask("example.com", dns.A, rr_class=rr_class).rcode == dns.EREFUSED
    for transfer in (dns.AXFR, dns.IXFR):
        assert world.ask("example.com", transfer).rcode == dns.EREFUSED


def addresses(reply: Reply) -> str:
    return "".join(str(record.payload.dottedQuad())[-1] for _, record in reply.answers)


@pytest.mark.parametrize(
    ("order", "expected"), [("fixed", ["123", "123", "123", "123"]), ("round-robin", ["123", "231", "312", "123"])]
)
def test_record_order(order: str, expected: list[str]) -> None:
    world = World()
    world.server("v1", "example.com", *(a("vm", f"10.0.0.{n}") for n in (1, 2, 3)), record_order=order)
    assert [addresses(world.ask("vm.example.com")) for _ in range(4)] == expected


def test_random_order_is_the_default_and_gives_every_order() -> None:
    world = World()
    world.server("v1", "example.com", *(a("vm", f"10.0.0.{n}") for n in (1, 2, 3)), record_order=None)
    seen = Counter(addresses(world.ask("vm.example.com")) for _ in range(200))
    assert len(seen) == 6 and min(seen.values()) > 10


def test_reverse_names() -> None:
    world = World()
    server = world.server("v1", "example.com", RecordData("10.1.0.3", dns.PTR, "vm"), reverse_resolution=True)
    assert world.ask("3.0.1.10.in-addr.arpa", dns.PTR).forward is not None, "no such zone yet"
    server.set_subnets((ipaddress.ip_network("10.1.0.0/22"),))
    world.views.settle(server)
    assert texts(world.ask("3.0.1.10.in-addr.arpa", dns.PTR)) == ["3.0.1.10.in-addr.arpa PTR vm.example.com"]
    assert world.ask("4.3.1.10.in-addr.arpa", dns.PTR).rcode == dns.ENAME
    assert world.ask("4.4.1.10.in-addr.arpa", dns.PTR).forward is not None
