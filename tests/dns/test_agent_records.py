import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.names import dns

from contrail_emulator.base.behaviour import CONTRAIL
from contrail_emulator.control.xmpp.dns_message import ABSENT, DnsEntry, DnsUpdate
from contrail_emulator.dns.agent_records import AgentRecords
from contrail_emulator.dns.views import Views
from contrail_emulator.dns.virtual_dns import VirtualDnsData

V1 = "default-domain:v1"
ZONE = "example.com"
ONE, TWO = "compute-1/dns", "compute-2/dns"


@pytest.fixture
def views() -> Views:
    made = Views("10.9.9.9")
    made.ensure(V1).configure(VirtualDnsData(ZONE, default_ttl=77))
    return made


@pytest.fixture
def records(views: Views) -> AgentRecords:
    return AgentRecords(views, CONTRAIL)


def add(name: str, data: str = "10.1.0.3", rr_type: int = dns.A, ttl: int = 60) -> DnsEntry:
    return DnsEntry(1, rr_type, name, data, ttl, 0)


def delete(name: str, data: str = "10.1.0.3", rr_type: int = dns.A, dns_class: int = 254) -> DnsEntry:
    return DnsEntry(dns_class, rr_type, name, data, 0, 0)


def update(*entries: DnsEntry, virtual_dns: str = V1, zone: str = ZONE) -> DnsUpdate:
    return DnsUpdate(1, virtual_dns, zone, entries)


def served(views: Views, name: str = V1) -> list[tuple[str, str, int, str]]:
    server = views.get(name)
    return sorted(
        (s.data.name, s.data.data, s.installed.ttl, s.source_name)
        for s in (server.statements.values() if server is not None else ())
        if s.installed is not None
    )


def test_add_change_and_delete(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("vm"), add("other", ttl=ABSENT)))
    assert served(views) == [("other", "10.1.0.3", 77, ONE), ("vm", "10.1.0.3", 60, ONE)]
    records.update(ONE, update(add("vm", ttl=5)))
    assert served(views)[1] == ("vm", "10.1.0.3", 5, ONE) and len(records) == 2
    records.update(ONE, update(delete("vm"), delete("unknown")))
    assert served(views) == [("other", "10.1.0.3", 77, ONE)]


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        (delete("vm", data=""), ["fd00::3"]),
        (delete("vm", data="", rr_type=255, dns_class=255), []),
        (delete("vm", rr_type=255), ["10.1.0.4", "fd00::3"]),
        (delete("vm", data="10.1.0.9"), ["10.1.0.3", "10.1.0.4", "fd00::3"]),
        (delete("vm")._replace(ttl=1), ["10.1.0.3", "10.1.0.4", "fd00::3"]),
    ],
)
def test_deletes_match_name_type_and_data(
    views: Views, records: AgentRecords, entry: DnsEntry, left: list[str]
) -> None:
    records.update(ONE, update(add("vm"), add("vm", "10.1.0.4"), add("vm", "fd00::3", dns.AAAA)))
    records.update(ONE, update(entry))
    assert [data for _, data, _, _ in served(views)] == left


def test_a_record_belongs_to_who_stated_it_last(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("vm")))
    records.update(TWO, update(add("vm")))
    records.update(ONE, update(delete("vm")))
    assert served(views) == [("vm", "10.1.0.3", 60, TWO)]
    assert records.forget(ONE) == 0
    assert served(views) == [("vm", "10.1.0.3", 60, TWO)]
    assert records.forget(TWO) == 1
    assert served(views) == [] and len(records) == 0


def test_a_session_that_ends_takes_its_records_along(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("a"), add("b")))
    records.update(TWO, update(add("c")))
    assert records.forget(ONE) == 2
    assert [name for name, *_ in served(views)] == ["c"]
    assert records.forget(ONE) == 0


def test_records_wait_for_their_server(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("vm"), virtual_dns="default-domain:later"))
    assert served(views, "default-domain:later") == []
    views.ensure("default-domain:later").configure(VirtualDnsData(ZONE))
    assert served(views, "default-domain:later") == [("vm", "10.1.0.3", 60, ONE)]


def test_a_server_that_is_only_named_is_forgotten_with_its_last_record(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("vm"), virtual_dns="default-domain:later"))
    records.update(ONE, update(delete("vm"), add("again"), virtual_dns="default-domain:later"))
    assert [s.data.name for s in views.ensure("default-domain:later").statements.values()] == ["again"]
    records.forget(ONE)
    assert [server.fq_name for server in views] == [V1]


@pytest.mark.parametrize("message", [update(add("vm"), virtual_dns=""), update(add("vm"), zone="")])
def test_an_update_without_server_or_zone_is_ignored(views: Views, records: AgentRecords, message: DnsUpdate) -> None:
    records.update(ONE, message)
    assert len(records) == 0 and [server.fq_name for server in views] == [V1]


def test_a_machines_own_update_names_the_view(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(add("vm"), virtual_dns="default-domain-v1"))
    assert served(views) == [("vm", "10.1.0.3", 60, ONE)]
    faithful = AgentRecords(views, dataclasses.replace(CONTRAIL, sanitised_dns_update_lost=True))
    faithful.update(TWO, update(add("lost"), virtual_dns="default-domain-v1"))
    assert [name for name, *_ in served(views)] == ["vm"]


def test_the_priority_is_the_mx_preference(views: Views, records: AgentRecords) -> None:
    records.update(ONE, update(DnsEntry(1, dns.MX, "m", "vm", 60, 10)))
    (statement,) = views.ensure(V1).statements.values()
    assert statement.data.preference == 10


entries = st.builds(
    DnsEntry,
    st.sampled_from([0, 1, 254, 255]),
    st.sampled_from([dns.A, dns.AAAA, 255, 999]),
    st.sampled_from(["vm", "b", ""]),
    st.sampled_from(["10.1.0.3", "10.1.0.4", ""]),
    st.sampled_from([0, 60]),
    st.just(0),
)


steps = st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from([V1, "x:y"]), st.one_of(entries, st.none()))


@given(st.lists(steps, max_size=30))
def test_any_history_leaves_no_more_than_what_is_owned(history: list[tuple[str, str, DnsEntry | None]]) -> None:
    views = Views("10.9.9.9")
    views.ensure(V1).configure(VirtualDnsData(ZONE))
    records = AgentRecords(views, CONTRAIL)
    for source, name, entry in history:
        if entry is None:
            records.forget(source)
            assert not list(records.of(source))
        else:
            records.update(source, update(entry, virtual_dns=name))
        stated = {(s.source_name, server.fq_name, key) for server in views for key, s in server.statements.items()}
        owned = {(one, each.virtual_dns, each.key) for one in (ONE, TWO) for each in records.of(one)}
        assert stated == owned and len(owned) == len(records)
    for source in (ONE, TWO):
        records.forget(source)
    assert [server.fq_name for server in views] == [V1] and not views.ensure(V1).statements


def test_what_cannot_be_served_is_logged_once_a_session_and_counted(views: Views, records: AgentRecords) -> None:
    with capturedLogs() as logs:
        for name in ("a", "b", "c"):
            records.update(ONE, update(add(name, data="no address")))
        records.update(TWO, update(add("d", data="no address")))
    assert [event["source"] for event in logs] == [ONE, TWO] and records.unserved == 4
    records.forget(ONE)
    with capturedLogs() as logs:
        records.update(ONE, update(add("a", data="no address"), add("vm")))
    assert [(event["name"], bool(event["reason"])) for event in logs] == [("a", True)]
    assert served(views) == [("vm", "10.1.0.3", 60, ONE)]
