"""XMPP in the demo's capture: TCP's payload put together, framed and parsed here, held against reference/xmpp.md."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from lxml import etree
from pcap.conftest import BLUE, GATEWAY_PREFIX, DemoRun
from pcap.evidence import Stream, Tshark, streams

CONTROL = "network-control@contrailsystems.com"
DNS = "network-dns@contrailsystems.com"
RED = "default-domain:demo:red:red"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
KEEPALIVE = b"\xc8\x80"
NAMESPACE = "http://etherx.jabber.org/streams"
OPEN = '<stream:stream from="{}" to="{}" {}version="1.0" xml:lang="en" xmlns="{}" xmlns:stream="{}" {{1,2}}>'
STANZA = re.compile(rb"(?:<\?xml [^>]*\?>)?\s*<(iq|message)\b.*?</\1\s*>", re.DOTALL)


def opening(sender: str, receiver: str, reply: bool) -> re.Pattern[bytes]:
    """Section 1.2: the attributes in their order, the stream's namespace last, blanks before the end."""
    middle = 'id="\\+\\+123" ' if reply else ""
    text = OPEN.format(sender, receiver, middle, "jabber:client" if reply else "", NAMESPACE)
    return re.compile(text.replace(".", r"\.").encode())


def sessions(demo: DemoRun, port: int) -> dict[str, Stream]:
    """The XMPP connections to a port, by agent."""
    bound = {str(agent.bind): agent.name for agent in demo.file.agents}
    return {bound[stream.client[0]]: stream for stream in streams(demo.path) if stream.server[1] == port}


@pytest.fixture(scope="module")
def control(demo: DemoRun) -> dict[str, Stream]:
    return sessions(demo, demo.file.control_nodes[0].xmpp_port)


@pytest.fixture(scope="module")
def naming(demo: DemoRun) -> dict[str, Stream]:
    assert demo.file.dns is not None
    return sessions(demo, demo.file.dns.xmpp_port)


def stanzas(said: bytes) -> Iterator[etree._Element]:
    """Each stanza after the stream's header as a document of its own (section 1.3)."""
    body = said[said.index(b">") + 1 :]
    rest = STANZA.sub(b"", body).replace(KEEPALIVE, b"")
    assert rest.strip() == b"", "between stanzas there are blanks and keepalives only"
    for found in STANZA.finditer(body):
        yield etree.fromstring(found[0].strip())


def test_every_stream_opens_as_the_reference_says(control: dict[str, Stream], naming: dict[str, Stream]) -> None:
    assert set(control) == set(naming) == {"compute-1", "compute-2"}
    for name in control:
        assert opening(name, CONTROL, reply=False).match(control[name].sent)
        assert opening("control-1", name, reply=True).match(control[name].answered)
        assert opening(f"{name}/dns", DNS, reply=False).match(naming[name].sent)
        assert opening("dns", f"{name}/dns", reply=True).match(naming[name].answered)
        for said in (control[name].sent, naming[name].sent):
            assert said[said.index(b">") + 1 :].lstrip().startswith(KEEPALIVE), "a client sends one at once (1.6)"


def test_tshark_follows_the_same_bytes(demo: DemoRun, tshark: Tshark, control: dict[str, Stream]) -> None:
    stream = control["compute-1"]
    chosen = f"ip.src == {stream.client[0]} && tcp.srcport == {stream.client[1]}"
    rows = tshark.fields(demo.path, f"tcp.len > 0 && {chosen}", "tcp.payload")
    assert bytes.fromhex("".join(cell for (cells,) in rows for cell in cells)) == stream.sent
    pair = ",".join(f"{host}:{port}" for host, port in (stream.client, stream.server))
    packets = tshark.run(demo.path, "-q", "-z", f"follow,tcp,raw,{pair}")
    lines = [line for line in packets.splitlines() if re.fullmatch(r"\t?(?:[0-9a-f]{2})+", line)]
    assert bytes.fromhex("".join(line for line in lines if line.startswith("\t"))) == stream.answered
    assert bytes.fromhex("".join(line for line in lines if not line.startswith("\t"))) == stream.sent


@pytest.mark.parametrize(("agent", "instances"), [("compute-1", {BLUE, RED}), ("compute-2", {BLUE})])
def test_agents_subscribe(control: dict[str, Stream], agent: str, instances: set[str]) -> None:
    """Section 2.2: once each, before anything is published, with an id of its own."""
    numbers: dict[str, str] = {}
    for stanza in stanzas(control[agent].sent):
        for element in stanza.iter(f"{PUBSUB}subscribe"):
            if stanza.get("to") != f"{CONTROL}/bgp-peer":
                continue
            assert stanza.tag == "iq" and stanza.get("type") == "set" and stanza.get("from") == agent
            assert re.fullmatch(r"subscribe\d+", str(stanza.get("id")))
            node = str(element.get("node"))
            assert node not in numbers
            numbers[node] = str(element.findtext(f"{PUBSUB}options/{PUBSUB}instance-id"))
        for element in stanza.iter(f"{PUBSUB}collection"):
            assert element.get("node") in numbers, "published only after its subscribe"
    assert instances <= set(numbers)
    assert all(number.isdigit() for number in numbers.values()) and len(set(numbers.values())) == len(numbers)


@pytest.mark.parametrize(
    ("agent", "published"),
    [("compute-1", {"10.1.0.3/32": BLUE, "10.2.0.3/32": RED}), ("compute-2", {"10.1.0.4/32": BLUE})],
)
def test_agents_publish_in_pairs(control: dict[str, Stream], agent: str, published: dict[str, str]) -> None:
    """Section 2.3: a publish, then the collection that associates the same node byte for byte."""
    said = [stanza for stanza in stanzas(control[agent].sent) if stanza.get("to") == f"{CONTROL}/bgp-peer"]
    found: dict[str, str] = {}
    pending: tuple[str, str, etree._Element] | None = None
    for stanza in said:
        name = etree.QName(stanza[0][0]).localname
        if name == "publish":
            assert pending is None, "the pair before is complete"
            pending = (str(stanza[0][0].get("node")), str(stanza.get("id")), stanza[0][0])
        elif name == "collection":
            assert pending is not None
            node, number, publish = pending
            pending = None
            (link,) = stanza[0][0]
            assert etree.QName(link).localname in ("associate", "dissociate") and link.get("node") == node
            assert str(stanza.get("id")) == number.replace("pubsub_b", "collection").replace("pubsub", "collection")
            instance = str(stanza[0][0].get("node"))
            if not node.startswith("1/1/") or etree.QName(link).localname != "associate":
                continue
            address = publish.findtext(f".//{PUBSUB}nlri/{PUBSUB}address")
            assert node == f"1/1/{instance}/{address}"
            hop = publish.findtext(f".//{PUBSUB}next-hop/{PUBSUB}address")
            assert hop == {"compute-1": "10.255.2.1", "compute-2": "10.255.2.2"}[agent]
            assert "udp" in [each.text for each in publish.iter(f"{PUBSUB}tunnel-encapsulation")]
            found[str(address)] = instance
    assert pending is None
    assert published.items() <= found.items()


@pytest.mark.parametrize("agent", ["compute-1", "compute-2"])
def test_the_control_node_tells_what_to_do(control: dict[str, Stream], agent: str) -> None:
    """Section 2.4: items and retracts as messages; the gateway's route with label, next hop and MPLS over UDP."""
    story: list[str] = []
    prefixes = set()
    for stanza in stanzas(control[agent].answered):
        if stanza.tag != "message":
            assert stanza.tag == "iq" and stanza.get("to") == f"default-global-system-config:{agent}/config"
            continue
        assert stanza.get("from") == CONTROL and stanza.get("to") == f"{agent}/bgp-peer" and stanza.get("id") is None
        (event,) = stanza
        (items,) = event
        assert event.tag == f"{PUBSUB}event" and items.tag == f"{PUBSUB}items"
        node = str(items.get("node"))
        if node == f"1/1/{BLUE}":
            for each in items:
                prefixes.add(each.get("id"))
                if each.get("id") == GATEWAY_PREFIX:
                    story.append(etree.QName(each).localname)
                    if each.tag == f"{PUBSUB}item":
                        hop = each.find(f"{PUBSUB}entry/{PUBSUB}next-hops/{PUBSUB}next-hop")
                        assert hop is not None
                        assert hop.findtext(f"{PUBSUB}label") == "1000"
                        assert hop.findtext(f"{PUBSUB}address") == "10.255.1.1"
                        assert [kind.text for kind in hop.iter(f"{PUBSUB}tunnel-encapsulation")] == ["udp"]
    assert story == ["item", "retract", "item"]
    assert {"10.1.0.3/32", "10.1.0.4/32", GATEWAY_PREFIX} <= prefixes, "also an agent's own routes come back to it"


def test_names_reach_the_dns_server(naming: dict[str, Stream]) -> None:
    expected = {
        "compute-1": {"vm1": "10.1.0.3", "vm3": "10.2.0.3", "3.0.1.10.in-addr.arpa": "vm1.lab.example"},
        "compute-2": {"vm2": "10.1.0.4", "4.0.1.10.in-addr.arpa": "vm2.lab.example"},
    }
    for name, records in expected.items():
        entries = [entry for stanza in stanzas(naming[name].sent) for entry in stanza.iter("entry")]
        assert records.items() <= {entry.findtext("name"): entry.findtext("data") for entry in entries}.items()
