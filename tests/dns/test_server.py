"""The whole front end over loopback: dig and dnspython ask, an agent of control.xmpp states records."""

import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.update
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.names import dns as twisted_dns
from twisted.protocols.basic import Int16StringReceiver

from contrail_emulator.base.introspect import Introspect
from contrail_emulator.base.metrics import Metrics
from contrail_emulator.base.pcap import Capture
from contrail_emulator.config.graph import Graph
from contrail_emulator.control.xmpp.client import ClientSettings, XmppClient
from contrail_emulator.control.xmpp.dns_message import DnsEntry, DnsUpdate
from contrail_emulator.control.xmpp.names import DNS_JID
from contrail_emulator.dns import DnsServer, DnsSettings
from contrail_emulator.dns.introspect import pages, register_metrics
from contrail_emulator.dns.resolver import Reply
from contrail_emulator.dns.server import complete

V1 = "default-domain:v1"
VIEW = '"view=default-domain-v1"'
ADDRESS = "127.0.0.1"


def configure(graph: Graph, name: str = V1, domain: str = "example.com", **options: Any) -> None:
    graph.put("virtual-DNS", name, {"virtual_DNS_data": {"domain_name": domain, "record_order": "fixed", **options}})


def state(graph: Graph, rr_type: str, name: str, data: str, parent: str = V1, **options: Any) -> None:
    value = {"record_name": name, "record_type": rr_type, "record_class": "IN", "record_data": data, **options}
    full = f"{parent}:{rr_type}-{name}-{data}"
    graph.put("virtual-DNS-record", full, {"virtual_DNS_record_data": value})
    graph.link("virtual-DNS-virtual-DNS-record", ("virtual-DNS", parent), ("virtual-DNS-record", full))


class Client:
    """Asks the server while the reactor turns."""

    def __init__(self, server: DnsServer, until: Any) -> None:
        self.server = server
        self.until = until

    def udp(self, message: dns.message.Message) -> dns.message.Message:
        return dns.message.from_wire(self.raw(message.to_wire()))

    def raw(self, data: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind((ADDRESS, 0))
            ours.setblocking(False)
            ours.sendto(data, (ADDRESS, self.server.port))
            return self._received(ours)

    def tcp(self, *messages: dns.message.Message) -> list[dns.message.Message]:
        with socket.create_connection((ADDRESS, self.server.port)) as ours:
            ours.sendall(b"".join(len(m.to_wire()).to_bytes(2, "big") + m.to_wire() for m in messages))
            ours.setblocking(False)
            data = bytearray()
            answers: list[dns.message.Message] = []
            while len(answers) < len(messages):
                data += self._received(ours)
                while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                    end = 2 + int.from_bytes(data[:2], "big")
                    answers.append(dns.message.from_wire(bytes(data[2:end])))
                    del data[:end]
            return answers

    def dig(self, *arguments: str) -> str:
        program = shutil.which("dig")
        if program is None:
            pytest.skip("dig is not installed")
        command = [program, f"@{ADDRESS}", "-p", str(self.server.port), "+tries=1", "+time=5", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            self.until(lambda: process.poll() is not None)
            assert process.stdout is not None
            return process.stdout.read()

    def _received(self, ours: socket.socket) -> bytes:
        found: list[bytes] = []

        def readable() -> bool:
            try:
                found.append(ours.recv(65535))
            except BlockingIOError:
                return False
            return True

        self.until(readable)
        return found[0]


def ask(name: str, rr_type: str = "A", view: str | None = VIEW, **options: Any) -> dns.message.Message:
    made = dns.message.make_query(name, rr_type, **options)
    if view is not None:
        made.additional.append(dns.rrset.from_text("view.", 0, "IN", "TXT", view))
    return made


def answers(message: dns.message.Message) -> list[str]:
    return [line for rrset in message.answer for line in rrset.to_text().splitlines()]


@pytest.fixture
def graph() -> Graph:
    made = Graph()
    configure(made)
    state(made, "A", "vm", "10.1.0.3", record_ttl_seconds=60)
    return made


@pytest.fixture
def server(reactor: Any, graph: Graph, run: Any) -> Iterator[DnsServer]:
    made = DnsServer(
        reactor,
        DnsSettings("dns-1", port=0, xmpp_port=0, host_ip="10.9.9.9"),
        graph,
        rng=random.Random(1),
    )
    run(made.start())
    yield made
    run(made.stop())


@pytest.fixture
def client(server: DnsServer, until: Any) -> Client:
    return Client(server, until)


def test_dnspython_gets_its_answer_over_udp_and_tcp(client: Client) -> None:
    for answer in (client.udp(ask("vm.example.com")), *client.tcp(ask("vm.example.com"))):
        assert answers(answer) == ["vm.example.com. 60 IN A 10.1.0.3"]
        assert answer.rcode() == dns.rcode.NOERROR
        assert answer.flags & (dns.flags.AA | dns.flags.RA) == dns.flags.AA | dns.flags.RA


def test_many_questions_on_one_connection(client: Client) -> None:
    questions = [ask("vm.example.com"), ask("no.example.com"), ask("vm.example.com", "TXT")]
    got = client.tcp(*questions)
    assert [each.id for each in got] == [each.id for each in questions]
    assert [each.rcode() for each in got] == [dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.NOERROR]


def test_dig_sees_what_is_visible_from_outside(client: Client, graph: Graph) -> None:
    assert "status: SERVFAIL" in client.dig("vm.example.com")
    configure(graph, external_visible=True)
    text = client.dig("vm.example.com")
    assert "status: NOERROR" in text and "flags: qr aa rd ra" in text and "EDNS: version: 0" in text
    assert "vm.example.com.\t\t60\tIN\tA\t10.1.0.3" in text and "WARNING" not in text
    soa = client.dig("+short", "+tcp", "SOA", "example.com")
    assert soa.startswith("contrail-ns.example.com. contrail-mx.example.com. 5") and "10800 900 604800 86400" in soa
    assert "status: NXDOMAIN" in client.dig("no.example.com")
    assert "status: BADVERS" not in client.dig("+edns=0", "vm.example.com")
    assert "10.1.0.3" in client.dig("+norecurse", "vm.example.com")


def test_dig_falls_back_to_tcp_when_the_answer_is_cut_off(client: Client, graph: Graph) -> None:
    with graph.batch():
        configure(graph, external_visible=True)
        for number in range(200):
            state(graph, "A", "many", f"10.2.0.{number}", record_ttl_seconds=60)
    assert client.udp(ask("many.example.com")).flags & dns.flags.TC
    assert len(client.dig("+short", "many.example.com").splitlines()) == 200
    (whole,) = client.tcp(ask("many.example.com"))
    assert len(answers(whole)) == 200


def test_all_types_reach_dig_as_they_were_stated(client: Client, graph: Graph) -> None:
    configure(graph, external_visible=True, reverse_resolution=True, default_ttl_seconds=120)
    state(graph, "AAAA", "vm", "fd00::3")
    state(graph, "CNAME", "www", "vm")
    state(graph, "MX", "mail", "vm", record_mx_preference=10)
    state(graph, "NS", "sub", "ns.sub.example.com")
    state(graph, "PTR", "10.1.0.3", "vm")
    ipam = {"network_ipam_mgmt": {"ipam_dns_server": {"virtual_dns_server_name": V1}}}
    graph.put("network-ipam", "d:p:ipam", ipam)
    subnets = {"ipam_subnets": [{"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}}]}
    graph.link("virtual-network-network-ipam", ("virtual-network", "d:p:blue"), ("network-ipam", "d:p:ipam"), subnets)
    assert client.dig("+short", "AAAA", "vm.example.com") == "fd00::3\n"
    assert client.dig("+short", "www.example.com") == "vm.example.com.\n10.1.0.3\n"
    assert client.dig("+short", "MX", "mail.example.com") == "10 vm.example.com.\n"
    assert client.dig("+short", "-x", "10.1.0.3") == "vm.example.com.\n"
    assert "sub.example.com.\t0\tIN\tNS\tns.sub.example.com." in " ".join(client.dig("x.sub.example.com").split(" "))
    assert client.dig("+short", "ANY", "vm.example.com").split() == ["10.1.0.3", "fd00::3"]


def test_unknown_views_updates_and_other_opcodes_are_refused(client: Client) -> None:
    assert client.udp(ask("vm.example.com", view='"view=default-domain-v2"')).rcode() == dns.rcode.REFUSED
    update = dns.update.UpdateMessage("example.com")
    update.add("vm2", 60, "A", "10.0.0.2")
    assert client.udp(update).rcode() == dns.rcode.REFUSED
    notify = ask("example.com", "SOA")
    notify.set_opcode(4)  # type: ignore[arg-type]  # dnspython takes the number
    assert client.udp(notify).rcode() == dns.rcode.NOTIMP
    assert answers(client.udp(ask("vm2.example.com"))) == []


def test_rubbish_harms_nothing(client: Client, until: Any) -> None:
    def all_heard(count: int) -> bool:
        return client.server.counters["udp"] + client.server.counters["dropped"] == count

    rng = random.Random(1)
    heard = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        for _ in range(300):
            ours.sendto(rng.randbytes(rng.randrange(100)), (ADDRESS, client.server.port))
            heard += 1
            until(partial(all_heard, heard))
    with socket.create_connection((ADDRESS, client.server.port)) as ours:
        ours.sendall(rng.randbytes(3000))
    assert answers(client.udp(ask("vm.example.com")))
    assert client.server.counters["malformed"] + client.server.counters["dropped"] > 100


class Agent:
    """An agent's DNS channel."""

    def __init__(self, reactor: Any, server: DnsServer, name: str, run: Any, until: Any) -> None:
        self.session: Any = None
        self.name = f"{name}/dns"
        settings = ClientSettings(self.name, ADDRESS, server.xmpp_port, to=DNS_JID)
        self.client = XmppClient(reactor, settings, self, rng=random.Random(1))
        self.client.start()
        until(lambda: self.session is not None)

    def established(self, session: Any) -> None:
        self.session = session

    def stanza(self, session: Any, stanza: Any) -> None:
        raise AssertionError(f"contrail-dns never answers: {stanza}")

    def closed(self, session: Any, reason: str) -> None:
        self.session = None

    def unblocked(self, session: Any) -> None:
        pass

    def timed_out(self, client: Any) -> None:
        raise AssertionError("no answer")

    def send(self, *entries: DnsEntry, virtual_dns: str = V1) -> None:
        self.session.send(DnsUpdate(1, virtual_dns, "example.com", entries).to_bytes(self.name))

    def send_raw(self, data: bytes) -> None:
        self.session.send(data)


def test_agents_state_records_and_take_them_along(
    reactor: Any, server: DnsServer, client: Client, run: Any, until: Any
) -> None:
    one = Agent(reactor, server, "compute-1", run, until)
    two = Agent(reactor, server, "compute-2", run, until)
    until(lambda: len(server.rows("agents")) == 2)
    record = DnsEntry(1, 1, "mobile", "10.1.0.9", 30, 0)
    one.send(record, DnsEntry(1, 1, "fixed", "10.1.0.8", 30, 0))
    until(lambda: server.counters["agent_updates"] == 1)
    assert answers(client.udp(ask("mobile.example.com"))) == ["mobile.example.com. 30 IN A 10.1.0.9"]
    two.send(record)
    until(lambda: server.counters["agent_updates"] == 2)
    one.send(record._replace(dns_class=254, ttl=0))
    until(lambda: server.counters["agent_updates"] == 3)
    assert answers(client.udp(ask("mobile.example.com"))), "the machine has moved: its old home may not take it away"
    assert {row["name"]: row["records"] for row in server.rows("agents")} == {"compute-1/dns": 1, "compute-2/dns": 1}
    run(one.client.stop())
    until(lambda: len(server.rows("agents")) == 1)
    assert client.udp(ask("fixed.example.com")).rcode() == dns.rcode.NXDOMAIN
    assert answers(client.udp(ask("mobile.example.com")))
    run(two.client.stop())
    until(lambda: not server.rows("agents"))
    assert client.udp(ask("mobile.example.com")).rcode() == dns.rcode.NXDOMAIN


def test_stanzas_that_make_no_sense_are_ignored(reactor: Any, server: DnsServer, run: Any, until: Any) -> None:
    agent = Agent(reactor, server, "compute-1", run, until)
    to = f"{DNS_JID}/dns-peer"
    for inner in ("<dns transid='x'><update/></dns>", "<dns transid='1'><update><no/></update></dns>", ""):
        agent.send_raw(f'<iq type="set" from="{agent.name}" to="{to}" id="1">{inner}</iq>'.encode())
    agent.send_raw(f'<iq type="set" from="{agent.name}" to="elsewhere" id="1"><dns/></iq>'.encode())
    agent.send(DnsEntry(1, 1, "vm9", "10.1.0.9", 30, 0))
    until(lambda: server.counters["agent_updates"] == 1)
    assert server.counters["bad_stanzas"] == 2 and agent.session is not None
    run(agent.client.stop())


def test_pages_and_metrics(server: DnsServer, client: Client) -> None:
    client.udp(ask("vm.example.com"))
    assert [page.name for page in pages(server)] == ["virtual-dns", "records", "agents", "counters"]
    shown = {page.name: page.rows({}) for page in pages(server)}
    (row,) = shown["virtual-dns"]
    assert (row["name"], row["view"], row["installed"]) == (V1, "default-domain-v1", True)
    assert row["zones"] == {"example.com": 55}
    (record,) = shown["records"]
    assert (record["rec_name"], record["rec_type"], record["source"]) == ("vm", "A", "Config")
    assert record["installed"] is True
    assert server.rows("records", {"virtual_dns": "other"}) == []
    assert {"name": "rcode_0", "value": 1} in shown["counters"]
    with pytest.raises(KeyError):
        server.rows("nothing")
    metrics = Metrics()
    register_metrics(server, metrics)
    assert b'dns_events{event="rcode_0"} 1.0' in metrics.render() and b"dns_views 1.0" in metrics.render()
    assert Introspect(None, "dns", pages(server), metrics).title == "dns"


class Elsewhere(DatagramProtocol):
    """A server of somebody else's: cuts its UDP answers off when told to, or says nothing."""

    noisy = False
    cut = False
    silent = False

    def __init__(self) -> None:
        self.asked = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: N802
        self.asked += 1
        if not self.silent and self.transport is not None:
            self.transport.write(elsewhere_answer(datagram, self.cut), addr)


def elsewhere_answer(data: bytes, cut: bool) -> bytes:
    question = dns.message.from_wire(data)
    answer = dns.message.make_response(question, recursion_available=True)
    if cut:
        answer.flags |= dns.flags.TC
    else:
        name = question.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", "A", "192.0.2.1"))
        answer.answer.append(dns.rrset.from_text(name, 5, "IN", "TYPE65280", r"\# 3 010203"))
    return answer.to_wire()


class ElsewhereTcp(Int16StringReceiver):
    def stringReceived(self, string: bytes) -> None:  # noqa: N802
        send: Any = self.sendString
        send(elsewhere_answer(string, False))


@pytest.fixture
def elsewhere(reactor: Any, run: Any) -> Iterator[tuple[Elsewhere, int]]:
    """Listens on 127.0.0.9, UDP and TCP on one port."""
    factory = Factory.forProtocol(ElsewhereTcp)
    factory.noisy = False
    tcp = reactor.listenTCP(0, factory, interface="127.0.0.9")
    protocol = Elsewhere()
    udp = reactor.listenUDP(tcp.getHost().port, protocol, interface="127.0.0.9")
    yield protocol, tcp.getHost().port
    run(tcp.stopListening())
    waited: Deferred[Any] = udp.stopListening()
    run(waited)


@pytest.fixture
def forwarding(reactor: Any, graph: Graph, run: Any, until: Any, elsewhere: tuple[Elsewhere, int]) -> Iterator[Client]:
    """A server whose next one is 127.0.0.9."""
    configure(graph, next_virtual_DNS="127.0.0.9")
    state(graph, "CNAME", "www", "www.net")
    made = DnsServer(reactor, DnsSettings("dns-1", port=0, xmpp_port=0, forward_port=elsewhere[1]), graph)
    run(made.start())
    yield Client(made, until)
    run(made.stop())


def test_what_others_know_is_asked_there(forwarding: Client, elsewhere: tuple[Elsewhere, int]) -> None:
    answer = forwarding.udp(ask("a.net"))
    assert answers(answer) == ["a.net. 5 IN A 192.0.2.1", r"a.net. 5 IN TYPE65280 \# 3 010203"]
    assert not answer.flags & dns.flags.AA
    elsewhere[0].cut = True
    assert answers(forwarding.udp(ask("b.net")))[0] == "b.net. 5 IN A 192.0.2.1"
    alias = answers(forwarding.udp(ask("www.example.com")))
    assert alias[:2] == ["www.example.com. 0 IN CNAME www.net.", "www.net. 5 IN A 192.0.2.1"]
    assert answers(forwarding.udp(ask("vm.example.com"))) == ["vm.example.com. 60 IN A 10.1.0.3"]
    assert elsewhere[0].asked == 3 and forwarding.server.counters["forwarded"] == 3


def test_an_answer_that_cannot_be_passed_on_is_none() -> None:
    message: Any = twisted_dns.Message()
    long = b"\x46" + b"a" * 70 + b"\x00"
    head = b"\x00\x00\x80\x00\x00\x00\x00\x01" + bytes(4)
    message.fromStr(head + long + b"\x00\x01\x00\x01" + bytes(4) + b"\x00\x04abcd")
    assert len(message.answers) == 1
    assert complete(message, Reply()).rcode == twisted_dns.ESERVER
    message.answers[0].name.name = b"a.net"
    assert len(complete(message, Reply()).answers) == 1


def test_nobody_answers(
    forwarding: Client, elsewhere: tuple[Elsewhere, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrail_emulator.dns.forwarder.TIMEOUTS", (0.05, 0.05))
    elsewhere[0].silent = True
    answer = forwarding.udp(ask("www.example.com"))
    assert answer.rcode() == dns.rcode.SERVFAIL and not answer.answer
    assert elsewhere[0].asked == 2


def test_stopping_while_others_are_asked(
    reactor: Any, forwarding: Client, elsewhere: tuple[Elsewhere, int], run: Any, until: Any
) -> None:
    elsewhere[0].silent = True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.sendto(ask("a.net").to_wire(), (ADDRESS, forwarding.server.port))
        until(lambda: elsewhere[0].asked)
    run(forwarding.server.stop())
    assert not [each for each in reactor.getReaders() if "DNSDatagram" in repr(each)]


def test_a_port_that_is_taken_fails_the_start_and_leaves_nothing_open(
    reactor: Any, server: DnsServer, graph: Graph, run: Any
) -> None:
    before = len(reactor.getReaders())
    for port, xmpp_port in ((server.port, 0), (0, server.xmpp_port)):
        settings = DnsSettings("x", port=port, xmpp_port=xmpp_port)
        with pytest.raises(CannotListenError):
            run(DnsServer(reactor, settings, graph).start())
        assert len(reactor.getReaders()) == before


def test_questions_and_records_are_captured(
    reactor: Any, graph: Graph, run: Any, until: Any, tmp_path: Path
) -> None:
    capture = Capture(tmp_path / "dns.pcapng")
    made = DnsServer(reactor, DnsSettings("dns-1", port=0, xmpp_port=0), graph, capture=capture)
    run(made.start())
    client = Client(made, until)
    client.udp(ask("vm.example.com"))
    client.tcp(ask("vm.example.com"))
    agent = Agent(reactor, made, "compute-1", run, until)
    agent.send(DnsEntry(1, 1, "vm9", "10.1.0.9", 30, 0))
    until(lambda: made.counters["agent_updates"])
    run(agent.client.stop())
    run(made.stop())
    capture.close()
    data = capture.path.read_bytes()
    assert data.count(b"view=default-domain-v1") == 2 and b"<name>vm9</name>" in data
