"""Floating addresses are translated both ways; several ways to one address share flows."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from contrail_emulator.agent.ksync import FlowAction
from contrail_emulator.vrouter_model.rows import Flow, FlowFlag, NextHop, NhFlag

GATEWAY = "00:00:5e:00:01:00"
PUBLIC = "default-domain:demo:public"


def udp(port: Any, source: str, target: str, sport: int = 1000, dport: int = 2000) -> bytes:
    return bytes(Ether(src=port.mac, dst=GATEWAY) / IP(src=source, dst=target) / UDP(sport=sport, dport=dport) / b"x")


def floating(world: Any, config: Any, hosts: int) -> tuple[Any, Any, Any, Any]:
    """vm1 is private, with a floating address; vm2 is public, on the same host or on another."""
    config.settings("MPLSoUDP")
    private = config.network("private", "10.1.0.0/24")
    public = config.network("public", "198.51.100.0/24")
    one = config.machine("compute-1", "vm1", private, "10.1.0.3")
    two = config.machine(f"compute-{hosts}", "vm2", public, "198.51.100.4")
    config.floating_ip("vm1", public, "198.51.100.77")
    first = world.host("compute-1", "10.0.0.1", config)
    second = world.host("compute-2", "10.0.0.2", config) if hosts == 2 else first
    first.add(one)
    second.add(two)
    world.run(1)
    return first, one, second, two


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_floating_address_works_from_outside(world: Any, config: Any, hosts: int) -> None:
    first, one, second, two = floating(world, config, hosts)
    second.send(two, udp(two, "198.51.100.4", "198.51.100.77"))
    (request,) = first.frames(one)
    assert (Ether(request)[IP].src, Ether(request)[IP].dst) == ("198.51.100.4", "10.1.0.3")
    first.send(one, udp(one, "10.1.0.3", "198.51.100.4", 2000, 1000))
    (reply,) = second.frames(two)
    assert (Ether(reply)[IP].src, Ether(reply)[IP].dst) == ("198.51.100.77", "198.51.100.4")
    assert {row.action for row in first.vrouter.dump(Flow)} == {FlowAction.NAT}
    assert not first.vrouter.drops and not second.vrouter.drops


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_machine_leaves_with_its_floating_address(world: Any, config: Any, hosts: int) -> None:
    first, one, second, two = floating(world, config, hosts)
    ping = Ether(src=one.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst="198.51.100.4") / ICMP(id=5, seq=1) / b"hello"
    first.send(one, bytes(ping))
    (request,) = second.frames(two)
    assert (Ether(request)[IP].src, Ether(request)[IP].dst) == ("198.51.100.77", "198.51.100.4")
    pong = Ether(src=two.mac, dst=GATEWAY) / IP(src="198.51.100.4", dst="198.51.100.77") / ICMP(type=0, id=5, seq=1)
    second.send(two, bytes(pong / b"hello"))
    (reply,) = first.frames(one)
    packet = Ether(reply)
    assert (packet[IP].src, packet[IP].dst) == ("198.51.100.4", "10.1.0.3")
    again = Ether(bytes(packet))
    del again[IP].chksum, again[ICMP].chksum
    assert bytes(again) == reply, "checksums are right after translation"
    flags = {row.flags & (FlowFlag.SNAT | FlowFlag.DNAT | FlowFlag.VRFT) for row in first.vrouter.dump(Flow)}
    assert flags == {FlowFlag.SNAT | FlowFlag.VRFT, FlowFlag.DNAT | FlowFlag.VRFT}


def test_a_floating_address_is_published_in_its_own_network(world: Any, config: Any) -> None:
    floating(world, config, 2)
    assert f"compute-1 associate 1/1/{PUBLIC}:public/198.51.100.77/32" in world.nodes[0].log


PAIR = {
    "allowed_address_pair": [
        {"ip": {"ip_prefix": "10.1.0.100", "ip_prefix_len": 32}, "mac": "", "address_mode": "active-active"}
    ]
}


def shared(world: Any, config: Any, places: tuple[int, ...]) -> tuple[Any, list[Any], dict[int, Any]]:
    """A client on compute-1, and one machine at each of `places` that also owns 10.1.0.100."""
    config.settings("MPLSoUDP")
    network = config.network("red", "10.1.0.0/24")
    client = config.machine("compute-1", "client", network, "10.1.0.3")
    ports = [
        (place, config.machine(f"compute-{place}", f"vm{n}", network, f"10.1.0.{10 + n}", (), **_pair()))
        for n, place in enumerate(places)
    ]
    hosts = {n: world.host(f"compute-{n}", f"10.0.0.{n}", config) for n in sorted({1, *places})}
    hosts[1].add(client)
    for place, port in ports:
        hosts[place].add(port)
    world.run(1)
    return client, ports, hosts


def _pair() -> dict[str, Any]:
    return {"virtual_machine_interface_allowed_address_pairs": PAIR}


@pytest.mark.parametrize("places", [(2, 3), (1, 2), (1, 1), (2, 2), (1, 1, 2)])
def test_flows_spread_over_all_ways_and_come_back(world: Any, config: Any, places: tuple[int, ...]) -> None:
    client, ports, hosts = shared(world, config, places)
    reached: dict[str, int] = {}
    for sport in range(1000, 1040):
        hosts[1].send(client, udp(client, "10.1.0.3", "10.1.0.100", sport))
        got = [(place, port, frame) for place, port in ports for frame in hosts[place].frames(port)]
        assert len(got) == 1, (sport, [host.vrouter.drops for host in hosts.values()])
        place, port, _ = got[0]
        reached[port.uuid] = reached.get(port.uuid, 0) + 1
        hosts[place].send(port, udp(port, "10.1.0.100", "10.1.0.3", 2000, sport))
        assert len(hosts[1].frames(client)) == 1
        hosts[1].send(client, udp(client, "10.1.0.3", "10.1.0.100", sport))
        assert [len(hosts[p].frames(q)) for p, q in ports] == [int(q is port) for _, q in ports], "a flow stays"
    assert len(reached) == len(ports) and min(reached.values()) > 2
    for host in hosts.values():
        assert not host.agent.ksync.errors and not {k for k in host.agent.flows.counters if k.startswith("errno")}


def test_a_way_that_goes_leaves_the_others_in_place(world: Any, config: Any) -> None:
    client, ports, hosts = shared(world, config, (2, 3, 4))
    composite = [row for row in hosts[1].vrouter.dump(NextHop) if row.flags & NhFlag.COMPOSITE_ECMP]
    assert [len(row.nh_list) for row in composite] == [3]
    place, port = ports[1]
    hosts[place].agent.delete_port(port.uuid)
    world.run(1)
    (after,) = [row for row in hosts[1].vrouter.dump(NextHop) if row.flags & NhFlag.COMPOSITE_ECMP]
    assert len([nh for nh in after.nh_list if nh >= 0]) == 2
    kept = [nh for nh in after.nh_list if nh >= 0]
    assert [composite[0].nh_list.index(nh) for nh in kept] == [after.nh_list.index(nh) for nh in kept]
    for sport in range(1000, 1010):
        hosts[1].send(client, udp(client, "10.1.0.3", "10.1.0.100", sport))
        assert sum(len(hosts[p].frames(q)) for p, q in ports if q is not port) == 1


def test_ipv6_between_hosts(world: Any, config: Any) -> None:
    network = config.network("red", "10.1.0.0/24")
    ports = {}
    for number in (1, 2):
        ports[number] = config.machine(f"compute-{number}", f"vm{number}", network, f"10.1.0.{number + 2}")
        config.node("instance-ip", f"six-{number}", instance_ip_address=f"2001:db8::{number}")
        me = ("virtual-machine-interface", f"default-domain:demo:vm{number}-port")
        config.link("instance-ip-virtual-machine-interface", ("instance-ip", f"six-{number}"), me)
    hosts = {n: world.host(f"compute-{n}", f"10.0.0.{n}", config) for n in (1, 2)}
    for number, port in ports.items():
        hosts[number].add(port)
    world.run(1)
    echo = IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest(id=3, seq=1, data=b"six")
    hosts[1].send(ports[1], bytes(Ether(src=ports[1].mac, dst=GATEWAY) / echo))
    (got,) = hosts[2].frames(ports[2])
    assert Ether(got)[IPv6].dst == "2001:db8::2"
    assert not hosts[1].vrouter.drops and not hosts[2].vrouter.drops
