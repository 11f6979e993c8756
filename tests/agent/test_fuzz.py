"""Whatever bytes come, the agent goes on: stanzas, trapped packets, DNS and DHCP messages, JSON."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrail_emulator.agent.flows.packet import HEADER, read_ip, read_tunnel
from contrail_emulator.agent.ksync import AgentCommand
from contrail_emulator.agent.port import Port, PortError
from contrail_emulator.agent.services import dhcp, dns_message
from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.stanza import StanzaError, parse

RED = "default-domain:demo:red"
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def host(world: Any, config: Any) -> Any:
    network = config.network("red", "10.1.0.0/24", "l2_l3")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    made = world.host("compute-1", "10.0.0.1", config)
    made.add(port)
    return made


def deliver(host: Any, raw: bytes) -> None:
    """As the session does: what is no stanza never reaches the agent."""
    try:
        stanza = parse(raw)
    except StanzaError:
        return
    (channel,) = host.agent.controller.channels
    channel.stanza(channel.session, stanza)
    host.world.run(0.1)


TEXT = st.sampled_from(
    ["", "0", "1", "25", "242", "241", "4294967296", "-1", "x", "10.1.0.3/32", "10.1.0.9", "::/0", "ff:ff:ff:ff:ff:ff"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
NODES = st.sampled_from([f"{f}/{RED}:red" for f in ("1/1", "2/1", "25/242", "1/241", "1/5", "1/4", "9/9")]) | TEXT
NAMES = st.sampled_from(
    [
        *("entry", "nlri", "af", "safi", "address", "mac", "group", "source", "ethernet-tag", "source-label"),
        *("next-hops", "next-hop", "olist", "leaf-olist", "label", "tunnel-encapsulation-list", "tunnel-encapsulation"),
        *("local-preference", "sequence-number", "mobility", "security-group-list", "security-group"),
        *("virtual-network", "load-balance"),
    ]
)


def escape(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


@st.composite
def trees(draw: Any, depth: int = 4) -> str:
    name = draw(NAMES)
    if depth == 0 or draw(st.booleans()):
        return f"<{name}>{escape(draw(TEXT))}</{name}>"
    inner = "".join(draw(st.lists(trees(depth=depth - 1), max_size=4)))
    return f"<{name}>{inner}</{name}>"


@quick
@given(
    node=NODES,
    items=st.lists(st.tuples(st.sampled_from(["item", "retract"]), TEXT, st.lists(trees(), max_size=3)), max_size=3),
)
def test_any_items(host: Any, node: str, items: Any) -> None:
    body = "".join(f'<{kind} id="{escape(i)}"><entry>{"".join(inner)}</entry></{kind}>' for kind, i, inner in items)
    deliver(
        host,
        '<message from="x" to="compute-1/bgp-peer"><event xmlns="http://jabber.org/protocol/pubsub">'
        f'<items node="{escape(node)}">{body}</items></event></message>'.encode(),
    )


@quick
@given(seed=st.integers(0, 1 << 32))
def test_damaged_real_stanzas(host: Any, config: Any, seed: int) -> None:
    """Real messages with words exchanged, doubled and cut out."""
    rng = random.Random(seed)
    real = [*config.messages("compute-1"), *host.world.nodes[0].raw]
    for raw in rng.sample(real, min(4, len(real))):
        words = raw.decode().split("<")
        for _ in range(rng.randint(1, 4)):
            at, other = rng.randrange(len(words)), rng.randrange(len(words))
            action = rng.randrange(4)
            if action == 0:
                words[at], words[other] = words[other], words[at]
            elif action == 1:
                words[at] = words[other]
            elif action == 2 and len(words) > 2:
                del words[at]
            else:
                words[at] = words[at].replace("1", rng.choice(["", "-1", "99999999999", "x"]))
        deliver(host, "<".join(words).replace("/config", "/config").encode())
        body = "<".join(words).encode()
        deliver(host, pubsub.message_header("compute-1") + body)


@quick
@given(
    properties=st.lists(
        st.tuples(
            st.sampled_from(["virtual-machine-interface", "virtual-network", "instance-ip", "access-control-list"]),
            st.sampled_from(
                [
                    "id-perms",
                    "virtual-network-properties",
                    "instance-ip-address",
                    "access-control-list-entries",
                    "virtual-machine-interface-mac-addresses",
                    "nonsense",
                ]
            ),
            TEXT,
            st.lists(trees(depth=2), max_size=2),
        ),
        max_size=4,
    )
)
def test_any_configuration(host: Any, config: Any, properties: Any) -> None:
    names = {unit.type: unit.name for unit in config.units if hasattr(unit, "type")}
    nodes = "".join(
        f'<node type="{kind}"><name>{escape(names.get(kind, "a"))}</name>'
        f"<{name}>{escape(text)}{''.join(inner)}</{name}></node>"
        for kind, name, text, inner in properties
    )
    deliver(
        host,
        '<iq type="set" from="x" to="default-global-system-config:compute-1/config"><config><update>'
        f"{nodes}</update></config></iq>".encode(),
    )


@quick
@given(
    command=st.sampled_from(list(AgentCommand)) | st.integers(0, 65535),
    vif=st.sampled_from([0, 1, 2, 3, 4, 65535]),
    frame=st.binary(max_size=120),
    inner=st.sampled_from([b"", b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x81\x00\x00\x01\x08\x00"]),
    first=st.sampled_from([b"", b"\x45", b"\x60", b"\x4f"]),
)
def test_any_trapped_packet(host: Any, command: int, vif: int, frame: bytes, inner: bytes, first: bytes) -> None:
    header = HEADER.pack(vif, 1, command, 0, 6, 0, 0, 0, 1)
    host.agent.traps.packet(bytes(14) + header + bytes(12) + inner + first + frame)
    host.agent.traps.packet(frame)
    host.world.run(0.1)


@given(st.binary(max_size=200))
def test_any_packet_is_read_or_not(data: bytes) -> None:
    for start in (b"", b"\x45\x00", b"\x60"):
        read_ip(start + data)
    read_tunnel(data)
    read_tunnel(bytes(12) + b"\x08\x00\x45\x00\x00\x40\x00\x00\x00\x00\x40\x11" + data)


@given(st.binary(max_size=200))
def test_any_dns_message_is_read_or_refused(data: bytes) -> None:
    asked = dns_message.Message(1, 0, (dns_message.Question((b"a",), 1, 1),), (0, 0, 0), 20)
    for prefix in (b"", b"\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"):
        for action in (dns_message.read, lambda raw: dns_message.renamed(raw, asked, ((b"a", b"b"),))):
            try:
                action(prefix + data)
            except dns_message.DnsError:
                continue


@given(st.binary(max_size=100))
def test_any_dhcp_message_is_read_or_not(data: bytes) -> None:
    request = dhcp.read(b"\x01\x01\x06\x00" + bytes(232) + dhcp.MAGIC + data)
    if request is not None:
        given_lease = dhcp.Lease(1, 0xFFFFFF00, 255, 2, (3,), 9, "vm", "d", (), ())
        answer = dhcp.reply(request, given_lease, 2)
        assert answer is None or dhcp.read(b"\x01" + answer[1:]) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "type", "mac-address", "vn-id", "rx-vlan-id"]), inner, max_size=5)
        ),
    )
)
def test_any_json_is_a_port_or_an_error(value: Any) -> None:
    with pytest.raises(PortError):
        Port.from_json(value)
