from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from contrail_emulator.dns.records import ResourceRecord, rr
from contrail_emulator.dns.zone import Verdict, Zone, ZoneSettings

ZONE = b"example.com"


def record(owner: bytes, payload: Any, ttl: int = 60) -> ResourceRecord:
    return ResourceRecord.make(owner, payload.TYPE, ttl, payload)


def a(owner: bytes, address: str = "10.0.0.1", ttl: int = 60) -> ResourceRecord:
    return record(owner, rr.Record_A(address), ttl)


def alias(owner: bytes, target: bytes) -> ResourceRecord:
    return record(owner, rr.Record_CNAME(target))


def zone(*records: ResourceRecord) -> Zone:
    made = Zone(ZONE, ZoneSettings("Example.com", ttl=120, negative_ttl=100, host_ip="10.9.9.9"))
    for each in records:
        made.add(each)
    return made


def test_the_template_is_that_of_the_zone_file() -> None:
    made = zone()
    soa = made.soa.payload
    assert (soa.mname.name, soa.rname.name) == (b"contrail-ns.Example.com", b"contrail-mx.Example.com")
    assert (soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum) == (54, 10800, 900, 604800, 100)
    assert made.soa.ttl == 120
    (server,) = made.lookup(ZONE, dns.NS).records
    assert server.payload.name.name == b"contrail-ns.Example.com"
    (address,) = made.lookup(b"contrail-ns.example.com", dns.A).records
    assert address.payload.dottedQuad() == "10.9.9.9"


def test_a_reverse_zone_has_no_host() -> None:
    made = Zone(b"1.10.in-addr.arpa", ZoneSettings("example.com"))
    assert made.lookup(b"contrail-ns.1.10.in-addr.arpa", dns.A).verdict is Verdict.NO_NAME
    assert len(made) == 1


def test_verdicts() -> None:
    made = zone(a(b"vm.example.com"), alias(b"www.example.com", b"vm.example.com"), a(b"deep.below.example.com"))
    assert made.lookup(b"vm.example.com", dns.A).verdict is Verdict.ANSWER
    assert made.lookup(b"vm.example.com", dns.AAAA).verdict is Verdict.NO_DATA
    assert made.lookup(b"www.example.com", dns.A).verdict is Verdict.ALIAS
    assert made.lookup(b"www.example.com", dns.CNAME).verdict is Verdict.ANSWER
    assert made.lookup(b"www.example.com", dns.ALL_RECORDS).verdict is Verdict.ANSWER
    assert made.lookup(b"below.example.com", dns.A).verdict is Verdict.NO_DATA
    assert made.lookup(b"none.example.com", dns.A).verdict is Verdict.NO_NAME
    assert [each.type for each in made.lookup(ZONE, dns.ALL_RECORDS).records] == [dns.SOA, dns.NS]


def test_the_same_record_of_two_makers_stays_until_both_are_gone() -> None:
    made = zone(a(b"vm.example.com"), a(b"vm.example.com"))
    assert len(made.lookup(b"vm.example.com", dns.A).records) == 1
    assert made.remove(a(b"vm.example.com"))
    assert made.lookup(b"vm.example.com", dns.A).verdict is Verdict.ANSWER
    assert made.remove(a(b"vm.example.com"))
    assert made.lookup(b"vm.example.com", dns.A).verdict is Verdict.NO_NAME
    assert not made.remove(a(b"vm.example.com"))


def test_one_ttl_a_set_and_no_doubles() -> None:
    stated = [("10.0.0.1", 60), ("10.0.0.1", 30), ("10.0.0.2", 90)]
    made = zone(*(a(b"vm.example.com", address, ttl) for address, ttl in stated))
    found = made.lookup(b"vm.example.com", dns.A).records
    assert [(each.payload.dottedQuad(), each.ttl) for each in found] == [("10.0.0.1", 30), ("10.0.0.2", 30)]


def test_an_alias_stands_alone_and_who_came_first_decides() -> None:
    first = zone(alias(b"x.example.com", b"a.b"), a(b"x.example.com"), alias(b"x.example.com", b"c.d"))
    assert [each.type for each in first.lookup(b"x.example.com", dns.ALL_RECORDS).records] == [dns.CNAME]
    second = zone(a(b"x.example.com"), alias(b"x.example.com", b"a.b"))
    assert second.lookup(b"x.example.com", dns.CNAME).verdict is Verdict.NO_DATA
    second.remove(a(b"x.example.com"))
    assert second.lookup(b"x.example.com", dns.A).verdict is Verdict.ALIAS


def test_names_below_a_delegation_are_referred() -> None:
    cut = record(b"sub.example.com", rr.Record_NS(b"ns.sub.example.com"))
    made = zone(cut, a(b"ns.sub.example.com"))
    for name in (b"sub.example.com", b"a.b.sub.example.com", b"ns.sub.example.com"):
        found = made.lookup(name, dns.A)
        assert (found.verdict, found.owner, found.records) == (Verdict.REFERRAL, b"sub.example.com", [cut])
    assert [each.owner for each in made.glue(b"ns.sub.example.com", dns.A)] == [b"ns.sub.example.com"]


def test_wildcards_stand_for_names_that_do_not_exist() -> None:
    made = zone(a(b"*.example.com"), a(b"x.y.example.com"))
    assert made.lookup(b"any.example.com", dns.A).verdict is Verdict.ANSWER
    assert made.lookup(b"any.any.example.com", dns.A).verdict is Verdict.ANSWER
    assert made.lookup(b"any.example.com", dns.MX).verdict is Verdict.NO_DATA
    assert made.lookup(b"y.example.com", dns.A).verdict is Verdict.NO_DATA
    assert made.lookup(b"z.y.example.com", dns.A).verdict is Verdict.NO_NAME


labels = st.sampled_from([b"a", b"b", b"c"])
owners = st.lists(labels, min_size=1, max_size=3).map(lambda parts: b".".join([*parts, ZONE]))
changes = st.lists(st.tuples(st.booleans(), owners, st.sampled_from(["10.0.0.1", "10.0.0.2"])), max_size=40)


@given(changes, owners)
def test_any_history_is_as_if_only_what_is_left_had_been_added(
    history: list[tuple[bool, bytes, str]], asked: bytes
) -> None:
    made, left = zone(), list[ResourceRecord]()
    for adding, owner, address in history:
        each = a(owner, address)
        if adding:
            made.add(each)
            left.append(each)
        else:
            assert made.remove(each) is (each in left)
            if each in left:
                left.remove(each)
    fresh = zone(*left)
    found, expected = made.lookup(asked, dns.A), fresh.lookup(asked, dns.A)
    assert (found.verdict, sorted(found.records, key=repr)) == (expected.verdict, sorted(expected.records, key=repr))
    exists = any(each.owner == asked or each.owner.endswith(b"." + asked) for each in left)
    assert (found.verdict is Verdict.NO_NAME) is not exists
    assert made.serial >= fresh.serial
