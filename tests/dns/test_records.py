import ipaddress

import pytest
from twisted.names import dns

from contrail_emulator.dns.records import RecordData, RecordError, RecordRules, resource_record

RULES = RecordRules("Example.com", 300, True, (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/64")))
NO_REVERSE = RecordRules("example.com", 300, False, RULES.subnets)


@pytest.mark.parametrize(
    ("record", "owner", "rdata"),
    [
        (RecordData("VM1", dns.A, "10.1.0.3"), b"vm1.example.com", b"\x0a\x01\x00\x03"),
        (RecordData("vm1.example.com.", dns.AAAA, "fd00::3"), b"vm1.example.com", b"\xfd" + bytes(14) + b"\x03"),
        (RecordData("www_1", dns.CNAME, "vm1"), b"www_1.example.com", b"\x03vm1\x07example\x03com\x00"),
        (RecordData("www", dns.CNAME, "vm1.org."), b"www.example.com", b"\x03vm1\x03org\x00"),
        (RecordData("mail", dns.MX, "vm1", preference=7), b"mail.example.com",
         b"\x00\x07\x03vm1\x07example\x03com\x00"),
        (RecordData("sub", dns.NS, "default-domain:vdns2"), b"sub.example.com", b"\x14default-domain-vdns2\x00"),
        (RecordData("3.1.10.in-addr.arpa", dns.NS, "ns.x"), b"3.1.10.in-addr.arpa", b"\x02ns\x01x\x00"),
        (RecordData("10.1.0.3", dns.PTR, "vm1"), b"3.0.1.10.in-addr.arpa", b"\x03vm1\x07example\x03com\x00"),
        (RecordData("3.0.1.10.In-Addr.arpa.", dns.PTR, "a.b"), b"3.0.1.10.in-addr.arpa", b"\x01a\x01b\x00"),
        (RecordData("note", dns.TXT, "x" * 256), b"note.example.com", b"\xff" + b"x" * 255 + b"\x01x"),
        (RecordData("_sip._tcp", dns.SRV, "5 5060 vm1", preference=1), b"_sip._tcp.example.com",
         b"\x00\x01\x00\x05\x13\xc4\x03vm1\x07example\x03com\x00"),
        (RecordData("_sip._tcp", dns.SRV, "2 5 5060 vm1"), b"_sip._tcp.example.com",
         b"\x00\x02\x00\x05\x13\xc4\x03vm1\x07example\x03com\x00"),
    ],
)  # fmt: skip
def test_what_is_served(record: RecordData, owner: bytes, rdata: bytes) -> None:
    served = resource_record(record, RULES)
    assert (served.owner, served.type, served.ttl, served.rdata) == (owner, record.type, 300, rdata)


def test_a_records_own_ttl_is_used_as_it_is() -> None:
    assert resource_record(RecordData("a", dns.A, "1.2.3.4", ttl=0), RULES).ttl == 0
    assert resource_record(RecordData("a", dns.A, "1.2.3.4", ttl=0xFFFFFFFF), RULES).ttl == 0x7FFFFFFF


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (RecordData("", dns.A, "1.2.3.4"), "no name or no data"),
        (RecordData("vm1", dns.A, ""), "no name or no data"),
        (RecordData("vm_1", dns.A, "1.2.3.4"), "special characters"),
        (RecordData("vm 1", dns.AAAA, "::1"), "special characters"),
        (RecordData("example.com.au", dns.A, "1.2.3.4"), "outside of zone"),
        (RecordData("vm1", dns.A, "::1"), "not an IPv4 address"),
        (RecordData("vm1", dns.AAAA, "1.2.3.4"), "not an IPv6 address"),
        (RecordData("a" * 64, dns.A, "1.2.3.4"), "not a DNS name"),
        (RecordData("a..b", dns.CNAME, "x"), "not a DNS name"),
        (RecordData("www", dns.CNAME, "a" * 64), "not a DNS name"),
        (RecordData("www", dns.NS, "a" * 64), "not a DNS name"),
        (RecordData("vm1", dns.PTR, "vm1"), "neither an address nor a reverse name"),
        (RecordData("10.9.0.3", dns.PTR, "vm1"), "in no subnet"),
        (RecordData("fe80::1", dns.PTR, "vm1"), "in no subnet"),
        (RecordData("10.1.0.3", dns.PTR, "vm_1"), "special characters"),
        (RecordData("s", dns.SRV, "2 vm"), "not a priority"),
        (RecordData("s", dns.SRV, "1 2 70000 vm"), "not a priority"),
        (RecordData("s", dns.SOA, "x"), "type 6 is not installed"),
        (RecordData("s", dns.ALL_RECORDS, "x"), "type 255 is not installed"),
    ],
)
def test_what_is_not_served_says_why(record: RecordData, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        resource_record(record, RULES)


@pytest.mark.parametrize(
    "record", [RecordData("10.1.0.3", dns.PTR, "vm1"), RecordData("1.10.in-addr.arpa", dns.NS, "ns.x")]
)
def test_reverse_names_need_reverse_resolution(record: RecordData) -> None:
    with pytest.raises(RecordError, match="reverse resolution is off"):
        resource_record(record, NO_REVERSE)
