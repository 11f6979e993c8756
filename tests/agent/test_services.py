"""What the agent answers itself: the gateway's ping, DHCP, DNS."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether

from contrail_emulator.agent.channels.dns_channel import reverse_zone
from contrail_emulator.agent.ksync import FlowDrop
from contrail_emulator.agent.oper.prefix import host as prefix_host
from contrail_emulator.agent.settings import DnsServerAddress

GATEWAY = "00:00:5e:00:01:00"
VIRTUAL: dict[str, Any] = {
    "ipam_dns_method": "virtual-dns-server",
    "ipam_dns_server": {"virtual_dns_server_name": "default-domain:vdns"},
}


def one_machine(world: Any, config: Any, dns: bool = True, **ipam: Any) -> tuple[Any, Any]:
    network = config.network("red", "10.1.0.0/24", **ipam)
    config.node(
        "virtual-DNS",
        "default-domain:vdns",
        virtual_DNS_data={"domain_name": "lab.example", "dynamic_records_from_client": True, "default_ttl_seconds": 77},
    )
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    servers = (DnsServerAddress("192.0.2.53", 53, 8093), DnsServerAddress("192.0.2.54", 53, 8093)) if dns else ()
    host = world.host("compute-1", "10.0.0.1", config, dns_servers=servers, resolvers=(("192.0.2.60", 53),))
    host.add(port)
    world.run(1)
    return host, port


@pytest.fixture
def world(world: Any) -> Any:
    """With name servers beside the control node."""
    for address in ("192.0.2.53", "192.0.2.54"):
        node = type(world.nodes[0])(address)
        node.up = False
        world.nodes.append(node)
    return world


# --- ping of the gateway ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["10.1.0.1", "10.1.0.2"])
def test_the_gateway_answers_a_ping(world: Any, config: Any, target: str) -> None:
    host, port = one_machine(world, config)
    host.send(
        port, bytes(Ether(src=port.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst=target) / ICMP(id=5, seq=2) / b"abc")
    )
    (reply,) = host.frames(port)
    packet = Ether(reply)
    assert (packet[IP].src, packet[IP].dst, packet.dst) == (target, "10.1.0.3", port.mac)
    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (0, 5, 2)
    checked = Ether(bytes(packet))
    del checked[ICMP].chksum, checked[IP].chksum
    assert bytes(checked) == reply


def test_policy_does_not_stop_the_gateway(world: Any, config: Any) -> None:
    group = config.group("none", 8000001, [], [])
    network = config.network("red", "10.1.0.0/24")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3", (group,))
    host = world.host("compute-1", "10.0.0.1", config)
    host.add(port)
    world.run(1)
    host.send(port, bytes(Ether(src=port.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst="10.1.0.1") / ICMP(id=5)))
    assert len(host.frames(port)) == 1
    assert FlowDrop.SG not in [pair.answer.reason for pair in host.agent.flows.pairs()]


def test_a_too_big_packet_is_answered_with_the_mtu(world: Any, config: Any) -> None:
    host, port = one_machine(world, config)
    frame = bytes(Ether(src=port.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst="10.9.9.9", flags="DF") / (b"x" * 400))
    from contrail_emulator.agent.flows.packet import HEADER
    from contrail_emulator.agent.ksync import AgentCommand

    header = HEADER.pack(host.agent.vif_index(port.uuid), 1, AgentCommand.HANDLE_DF, 1400, 0, 0, 0, 0, 0)
    host.agent.traps.packet(bytes(14) + header + frame[:190])
    (answer,) = host.frames(port)
    packet = Ether(answer)
    assert (packet[ICMP].type, packet[ICMP].code, packet[ICMP].nexthopmtu, packet[IP].src) == (3, 4, 1400, "10.1.0.1")


# --- DHCP -------------------------------------------------------------------------------------------------------------


def discover(port: Any, kind: str, *options: Any, ciaddr: str = "0.0.0.0") -> bytes:
    mac = bytes.fromhex(port.mac.replace(":", ""))
    return bytes(
        Ether(src=port.mac, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(op=1, chaddr=mac, xid=0x1234, ciaddr=ciaddr)
        / DHCP(options=[("message-type", kind), *options, "end"])
    )


def options_of(frame: bytes) -> dict[str, Any]:
    found = {}
    for option in Ether(frame)[DHCP].options:
        if isinstance(option, tuple):
            found[option[0]] = option[1] if len(option) == 2 else list(option[1:])
    return found


def test_dhcp_gives_the_configured_address(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, discover(port, "discover"))
    (offer,) = host.frames(port)
    assert Ether(offer)[BOOTP].yiaddr == "10.1.0.3" and Ether(offer)[BOOTP].xid == 0x1234
    found = options_of(offer)
    assert found["message-type"] == 2
    assert (found["server_id"], found["router"], found["subnet_mask"]) == ("10.1.0.1", "10.1.0.1", "255.255.255.0")
    assert found["broadcast_address"] == "10.1.0.255"
    assert found["name_server"] == "10.1.0.2" and found["lease_time"] == 0xFFFFFFFF
    assert found["domain"] == b"lab.example" and found["hostname"] == b"vm1"
    host.send(port, discover(port, "request", ("requested_addr", "10.1.0.3")))
    (ack,) = host.frames(port)
    assert options_of(ack)["message-type"] == 5


def test_dhcp_refuses_another_address(world: Any, config: Any) -> None:
    host, port = one_machine(world, config)
    host.send(port, discover(port, "request", ("requested_addr", "10.1.0.9")))
    (nak,) = host.frames(port)
    assert options_of(nak)["message-type"] == 6 and Ether(nak)[BOOTP].yiaddr == "0.0.0.0"


def test_dhcp_options_of_the_machine_come_first(world: Any, config: Any) -> None:
    network = config.network(
        "red",
        "10.1.0.0/24",
        ipam_dns_method="tenant-dns-server",
        ipam_dns_server={"tenant_dns_server_address": {"ip_address": ["192.0.2.7"]}},
        dhcp_option_list={"dhcp_option": [{"dhcp_option_name": "42", "dhcp_option_value": "192.0.2.1"}]},
    )
    options = {
        "dhcp_option": [
            {"dhcp_option_name": "ntp-servers", "dhcp_option_value": "192.0.2.2"},
            {"dhcp_option_name": "interface-mtu", "dhcp_option_value": "1400"},
        ]
    }
    routes = {"route": [{"prefix": "192.0.2.128/25", "next_hop": "10.1.0.9"}]}
    port = config.machine(
        "compute-1",
        "vm1",
        network,
        "10.1.0.3",
        virtual_machine_interface_dhcp_option_list=options,
        virtual_machine_interface_host_routes=routes,
    )
    host = world.host("compute-1", "10.0.0.1", config)
    host.add(port)
    host.send(port, discover(port, "discover"))
    found = options_of(host.frames(port)[0])
    assert found["NTP_server"] == "192.0.2.2" and found["interface-mtu"] == 1400
    assert found["name_server"] == "192.0.2.7"
    assert found["classless_static_routes"] == ["192.0.2.128/25:10.1.0.9"]


# --- DNS --------------------------------------------------------------------------------------------------------------


def ask(port: Any, name: str, ident: int = 99, **more: Any) -> bytes:
    packet = DNS(id=ident, rd=1, qd=DNSQR(qname=name), **more)
    return bytes(
        Ether(src=port.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst="10.1.0.2") / UDP(sport=4000, dport=53) / packet
    )


def answers(host: Any, port: Any) -> list[DNS]:
    return [Ether(frame)[DNS] for frame in host.frames(port)]


def test_a_query_goes_to_every_server_with_its_view(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, ask(port, "vm2"))
    (udp,) = world.clock.udp
    queries = [(DNS(data), address) for data, address in udp.written]
    assert [address for _, address in queries] == [("192.0.2.53", 53), ("192.0.2.54", 53)]
    assert {query.qd[0].qname for query, _ in queries} == {b"vm2.lab.example."}
    assert {query.ar[0].rrname for query, _ in queries} == {b"view."}
    assert {bytes(query.ar[0].rdata[0]) for query, _ in queries} == {b"view=default-domain-vdns"}
    assert udp.interface == "10.0.0.1" and len({query.id for query, _ in queries}) == 2


def answer_to(query: bytes, rcode: int = 0, name: bytes = b"vm2.lab.example.") -> bytes:
    found = DNS(query)
    records = DNSRR(rrname=name, type="A", ttl=5, rdata="10.1.0.4") if rcode == 0 else []
    return bytes(DNS(id=found.id, qr=1, rd=1, ra=1, rcode=rcode, qd=found.qd, an=records))


def test_the_first_good_answer_wins_and_the_short_name_comes_back(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, ask(port, "vm2"))
    (udp,) = world.clock.udp
    (first, one), (second, two) = udp.written
    udp.protocol.datagramReceived(answer_to(first, 3), one)
    assert answers(host, port) == []
    udp.protocol.datagramReceived(answer_to(second), two)
    (got,) = answers(host, port)
    assert (got.id, got.rcode, got.qd[0].qname, got.an[0].rrname, got.an[0].rdata) == (
        99,
        0,
        b"vm2.",
        b"vm2.",
        "10.1.0.4",
    )
    udp.protocol.datagramReceived(answer_to(first), one)
    assert answers(host, port) == [] and host.agent.dns_relay.counters["dns_resolved"] == 1


def test_if_all_fail_the_last_failure_comes_back(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, ask(port, "nobody"))
    (udp,) = world.clock.udp
    for (data, address), code in zip(list(udp.written), (2, 3), strict=True):
        udp.protocol.datagramReceived(answer_to(data, code), address)
    assert [answer.rcode for answer in answers(host, port)] == [3]


def test_a_silent_server_is_asked_again_and_then_given_up(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, ask(port, "vm2"))
    host.send(port, ask(port, "vm2"))
    world.run(20)
    (udp,) = world.clock.udp
    assert len(udp.written) == 6
    assert answers(host, port) == []
    assert host.agent.dns_relay.counters["dns_drops"] == 1
    assert host.agent.dns_relay.counters["dns_retransmit_reqs"] == 1


def test_an_answer_from_elsewhere_is_not_believed(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    host.send(port, ask(port, "vm2"))
    (udp,) = world.clock.udp
    udp.protocol.datagramReceived(answer_to(udp.written[0][0]), ("203.0.113.1", 53))
    udp.protocol.datagramReceived(b"\x00", ("192.0.2.53", 53))
    assert answers(host, port) == []
    assert host.agent.dns_relay.counters["dns_unexpected_answers"] == 1


def test_the_default_method_asks_the_host_s_servers_without_a_view(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, ipam_dns_method="default-dns-server")
    host.send(port, ask(port, "vm2"))
    (udp,) = world.clock.udp
    ((data, address),) = udp.written
    assert address == ("192.0.2.60", 53) and DNS(data).qd[0].qname == b"vm2." and not DNS(data).ar
    udp.protocol.datagramReceived(answer_to(data, name=b"vm2."), address)
    assert [answer.rcode for answer in answers(host, port)] == [0]


@pytest.mark.parametrize(
    ("ipam", "more", "code"),
    [
        ({"ipam_dns_method": "none"}, {}, 2),
        ({"ipam_dns_method": "tenant-dns-server"}, {}, 2),
        ({"ipam_dns_method": "virtual-dns-server"}, {}, 2),
        (VIRTUAL, {"opcode": 2}, 4),
        (VIRTUAL, {"cd": 1}, 4),
    ],
)
def test_what_is_refused_at_once(world: Any, config: Any, ipam: Any, more: Any, code: int) -> None:
    host, port = one_machine(world, config, **ipam)
    host.send(port, ask(port, "vm2", **more))
    (got,) = answers(host, port)
    assert (got.id, got.rcode, got.qr) == (99, code, 1)
    assert not world.clock.udp


# --- records over XMPP ------------------------------------------------------------------------------------------------


def test_records_of_machines_are_told_and_taken_back(world: Any, config: Any) -> None:
    host, port = one_machine(world, config, **VIRTUAL)
    node = world.nodes[1]
    node.up = True
    node.clients[0].connect()
    said = b"".join(node.raw).decode()
    assert 'from="compute-1/dns" to="network-dns@contrailsystems.com/dns-peer" id="1"' in said
    assert "<virtual-dns>default-domain:vdns</virtual-dns><zone>lab.example</zone>" in said
    assert "<class>1</class><type>1</type><name>vm1</name><data>10.1.0.3</data><ttl>77</ttl>" in said
    assert "<zone>0.1.10.in-addr.arpa</zone>" in said
    assert "<type>12</type><name>3.0.1.10.in-addr.arpa</name><data>vm1.lab.example</data>" in said
    node.raw.clear()
    node.clients[0].drop()
    node.clients[0].connect()
    assert b"".join(node.raw).decode().count("<entry>") == 2, "a new session hears everything again"
    node.raw.clear()
    host.agent.delete_port(port.uuid)
    world.run(1)
    said = b"".join(node.raw).decode()
    assert "<class>254</class><type>1</type><name>vm1</name><data>10.1.0.3</data><ttl>0</ttl>" in said


@pytest.mark.parametrize(
    ("notation", "name"),
    [
        ("", "198-51-100-77.demo"),
        ("dashed-ip", "198-51-100-77"),
        ("vm-name", "vm1"),
        ("vm-name-tenant-name", "vm1.demo"),
    ],
)
def test_the_name_of_a_floating_address(world: Any, config: Any, notation: str, name: str) -> None:
    data = {"domain_name": "lab.example", "dynamic_records_from_client": True, "default_ttl_seconds": 60}
    config.node("virtual-DNS", "default-domain:vdns", virtual_DNS_data={**data, "floating_ip_record": notation or None})
    public = config.network("public", "198.51.100.0/24", **VIRTUAL)
    port = config.machine("compute-1", "vm1", config.network("red", "10.1.0.0/24"), "10.1.0.3")
    config.floating_ip("vm1", public, "198.51.100.77")
    host = world.host("compute-1", "10.0.0.1", config)
    host.add(port)
    found = host.agent.name_servers.records.records
    records = {(record.type, record.name, record.data, record.zone) for record in found}
    assert records == {
        (1, name, "198.51.100.77", "lab.example"),
        (12, "77.100.51.198.in-addr.arpa", f"{name}.lab.example", "100.51.198.in-addr.arpa"),
    }


@pytest.mark.parametrize(
    ("address", "length", "zone"),
    [
        ("10.1.2.3", 24, "2.1.10.in-addr.arpa"),
        ("10.1.2.3", 20, "2.1.10.in-addr.arpa"),
        ("10.1.2.3", 28, "3.2.1.10.in-addr.arpa"),
        ("10.1.2.3", 8, "10.in-addr.arpa"),
        ("2001:db8::1", 30, "8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_reverse_zones(address: str, length: int, zone: str) -> None:
    assert reverse_zone(prefix_host(address), length) == zone
