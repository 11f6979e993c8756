"""Objects written as the API server writes them, through store, bus and client, down to an answer."""

import random
from typing import Any

from twisted.names import dns

from contrail_emulator.config.testing.site import DEMO, Site
from contrail_emulator.dns.config_feed import ConfigFeed
from contrail_emulator.dns.resolver import Question, Resolver
from contrail_emulator.dns.views import Views

VIEW = "default-domain-vdns1"


def answer(resolver: Resolver, name: str, rr_type: int) -> tuple[int, list[Any]]:
    reply = resolver.resolve(Question(name.encode(), rr_type, view=VIEW))
    return reply.rcode, [record.payload for _, record in reply.answers]


def test_from_the_writer_to_the_answer_and_back() -> None:
    site = Site()
    site.network("blue", "10.1.0.0/24")
    site.create(
        "virtual-DNS",
        "default-domain",
        "vdns1",
        virtual_DNS_data={
            "domain_name": "Lab.example",
            "record_order": "fixed",
            "default_ttl_seconds": 300,
            "reverse_resolution": True,
            "dynamic_records_from_client": True,
        },
    )
    record = site.create(
        "virtual-DNS-record",
        "default-domain",
        "vdns1",
        "r1",
        virtual_DNS_record_data={
            "record_name": "vm1",
            "record_type": "A",
            "record_class": "IN",
            "record_data": "10.1.0.3",
            "record_ttl_seconds": 60,
        },
    )
    site.create(
        "virtual-DNS-record",
        "default-domain",
        "vdns1",
        "r2",
        virtual_DNS_record_data={
            "record_name": "10.1.0.3",
            "record_type": "PTR",
            "record_class": "IN",
            "record_data": "vm1",
            "record_ttl_seconds": 60,
        },
    )
    client = site.client()
    views = Views("10.9.9.9")
    ConfigFeed(client.graph, views).start()
    resolver = Resolver(views, (), random.Random(1))
    rcode, (address,) = answer(resolver, "vm1.lab.example", dns.A)
    assert (rcode, address.dottedQuad()) == (dns.OK, "10.1.0.3")
    assert answer(resolver, "3.0.1.10.in-addr.arpa", dns.PTR) == (dns.ESERVER, []), "no network uses this server yet"

    ipam = site.find("network-ipam", *DEMO, "ipam")
    assert ipam is not None
    management = {
        "ipam_dns_method": "virtual-dns-server",
        "ipam_dns_server": {"virtual_dns_server_name": "default-domain:vdns1"},
    }
    site.run(site.writer.update("network-ipam", ipam["uuid"], {"network_ipam_mgmt": management}))
    site.settle()
    rcode, (name,) = answer(resolver, "3.0.1.10.in-addr.arpa", dns.PTR)
    assert (rcode, name.name.name) == (dns.OK, b"vm1.lab.example")

    site.run(site.writer.delete("virtual-DNS-record", record))
    site.settle()
    assert answer(resolver, "vm1.lab.example", dns.A) == (dns.ENAME, [])
