"""Flows: both entries, verdicts of policies and groups, reasons of short flows, changes, ageing."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from contrail_emulator.agent.ksync import FlowAction, FlowDrop
from contrail_emulator.vrouter_model.rows import Flow, FlowFlag

GATEWAY = "00:00:5e:00:01:00"
RED = "default-domain:demo:red"


def udp(port: Any, source: str, target: str, sport: int = 1000, dport: int = 2000) -> bytes:
    return bytes(Ether(src=port.mac, dst=GATEWAY) / IP(src=source, dst=target) / UDP(sport=sport, dport=dport) / b"x")


def rule(source: Any = None, destination: Any = None, protocol: str = "any", action: str = "pass", **ports: Any) -> Any:
    match = {
        "protocol": protocol,
        "src_address": source or {"virtual_network": "any"},
        "dst_address": destination or {"virtual_network": "any"},
        "src_port": {"start_port": 0, "end_port": 65535},
        "dst_port": ports or {"start_port": 0, "end_port": 65535},
    }
    return {"match_condition": match, "action_list": {"simple_action": action}, "rule_uuid": "11111111"}


ALLOW_OUT = [rule({"security_group": ""}, {"security_group": "-1"})]


def one_host(world: Any, config: Any, groups: tuple[str, ...] = ()) -> tuple[Any, Any, Any]:
    network = config.network("red", "10.1.0.0/24")
    one = config.machine("compute-1", "vm1", network, "10.1.0.3", groups)
    two = config.machine("compute-1", "vm2", network, "10.1.0.4", groups)
    host = world.host("compute-1", "10.0.0.1", config)
    return host, host.add(one), host.add(two)


def reasons(host: Any) -> list[FlowDrop | None]:
    return [pair.answer.reason for pair in host.agent.flows.pairs()]


def test_two_entries_each_the_other_s_reverse(world: Any, config: Any) -> None:
    host, one, two = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert len(host.frames(two)) == 1
    forward, reverse = sorted(host.vrouter.dump(Flow), key=lambda row: row.key.sport)
    assert (forward.rindex, reverse.rindex) == (reverse.index, forward.index)
    assert forward.action is reverse.action is FlowAction.FORWARD
    assert forward.flags & FlowFlag.RFLOW_VALID and reverse.flags & FlowFlag.RFLOW_VALID
    keys = {port.uuid: host.agent.oper.flow_key_next_hop(host.agent.oper.interfaces[port.uuid]) for port in (one, two)}
    assert (forward.key.nh_id, reverse.key.nh_id) == (keys[one.uuid], keys[two.uuid])
    assert forward.src_nh_index == keys[one.uuid] and reverse.src_nh_index == keys[two.uuid]
    (pair,) = host.agent.flows.pairs()
    assert pair.answer.local and pair.asked.ingress
    assert pair.answer.source_vn == pair.answer.destination_vn == RED
    host.send(two, udp(two, "10.1.0.4", "10.1.0.3", 2000, 1000))
    assert len(host.frames(one)) == 1
    assert host.agent.flows.counters["traps"] == 1


def test_no_destination_route_is_a_short_flow(world: Any, config: Any) -> None:
    host, one, _ = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.77"))
    host.send(one, udp(one, "10.1.0.3", "192.0.2.1"))
    assert reasons(host) == [FlowDrop.NO_DST_ROUTE] * 2
    assert {row.drop_reason for row in host.vrouter.dump(Flow)} == {FlowDrop.NO_DST_ROUTE}
    assert host.vrouter.drops.total() == 2
    world.run(11)
    assert not host.vrouter.dump(Flow) and not len(host.agent.flows)


def test_no_source_route_is_a_short_flow(world: Any, config: Any) -> None:
    host, one, _ = one_host(world, config)
    host.send(one, udp(one, "192.0.2.9", "10.1.0.4"))
    assert reasons(host) == [FlowDrop.NO_SRC_ROUTE]


def test_a_spoofed_source_fails_the_reverse_path_check(world: Any, config: Any) -> None:
    host, one, two = one_host(world, config)
    host.send(one, udp(one, "10.1.0.4", "10.1.0.3"))
    assert host.frames(one) == [] and host.frames(two) == []
    assert [drop.name for drop in host.vrouter.drops] == ["INVALID_SOURCE"]


def test_ipv6_has_flows_too(world: Any, config: Any) -> None:
    host, one, _ = one_host(world, config)
    frame = Ether(src=one.mac, dst=GATEWAY) / IPv6(src="2001:db8::3", dst="2001:db8::4") / ICMPv6EchoRequest(id=4)
    host.send(one, bytes(frame))
    assert reasons(host) == [FlowDrop.NO_SRC_ROUTE]
    assert host.agent.flows.counters.keys() <= {"traps", "NO_SRC_ROUTE"}


@pytest.mark.parametrize(
    ("ingress", "egress", "expected"),
    [
        ([rule({"security_group": "8000001"})], ALLOW_OUT, None),
        ([rule({"security_group": "8000009"})], ALLOW_OUT, FlowDrop.OUT_SG),
        ([rule({"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}}, protocol="17")], ALLOW_OUT, None),
        ([rule(protocol="6")], ALLOW_OUT, FlowDrop.OUT_SG),
        ([rule(start_port=2000, end_port=2000)], ALLOW_OUT, None),
        ([rule(start_port=2001, end_port=2009)], ALLOW_OUT, FlowDrop.OUT_SG),
        ([], ALLOW_OUT, FlowDrop.OUT_SG),
        ([rule()], [], FlowDrop.SG),
    ],
)
def test_security_groups(world: Any, config: Any, ingress: Any, egress: Any, expected: FlowDrop | None) -> None:
    group = config.group("web", 8000001, ingress, egress)
    host, one, two = one_host(world, config, (group,))
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert reasons(host) == [expected]
    assert len(host.frames(two)) == (0 if expected else 1)
    if expected:
        assert {row.drop_reason for row in host.vrouter.dump(Flow)} == {expected}


def test_a_group_judges_what_comes_from_the_fabric(world: Any, config: Any) -> None:
    group = config.group("web", 8000001, [rule({"security_group": "8000001"})], ALLOW_OUT)
    network = config.network("red", "10.1.0.0/24")
    one = config.machine("compute-1", "vm1", network, "10.1.0.3")
    two = config.machine("compute-2", "vm2", network, "10.1.0.4", (group,))
    first, second = world.host("compute-1", "10.0.0.1", config), world.host("compute-2", "10.0.0.2", config)
    first.add(one)
    second.add(two)
    world.run(1)
    first.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert reasons(first) == [None] and reasons(second) == [FlowDrop.SG]
    assert second.frames(two) == []
    second.send(two, udp(two, "10.1.0.4", "10.1.0.3", 5, 6))
    assert len(first.frames(one)) == 1, "what the machine begins itself may come back"


def test_network_policy(world: Any, config: Any) -> None:
    acl = config.node(
        "access-control-list",
        f"{RED}:red",
        access_control_list_entries={"dynamic": False, "acl_rule": [rule(protocol="17", action="deny"), rule()]},
    )
    config.link("virtual-network-access-control-list", ("virtual-network", RED), ("access-control-list", acl))
    host, one, two = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    host.send(one, bytes(Ether(src=one.mac, dst=GATEWAY) / IP(src="10.1.0.3", dst="10.1.0.4") / ICMP(id=3)))
    assert sorted(str(reason) for reason in reasons(host)) == sorted([str(FlowDrop.POLICY), "None"])
    assert len(host.frames(two)) == 1


def test_flows_are_judged_again_when_groups_change(world: Any, config: Any, new_config: Any) -> None:
    group = config.group("web", 8000001, [rule()], ALLOW_OUT)
    host, one, two = one_host(world, config, (group,))
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert len(host.frames(two)) == 1
    change = new_config()
    change.group("web", 8000001, [], ALLOW_OUT)
    world.nodes[0].reconfigure("compute-1", change)
    world.run(1)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert host.frames(two) == []
    assert reasons(host) == [FlowDrop.OUT_SG]


def test_flows_follow_their_routes(world: Any, config: Any) -> None:
    host, one, two = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    host.agent.delete_port(two.uuid)
    world.run(1)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert reasons(host) == [FlowDrop.NO_DST_ROUTE]


def test_a_deleted_port_takes_its_flows(world: Any, config: Any) -> None:
    host, one, _ = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    host.agent.delete_port(one.uuid)
    world.run(1)
    assert not host.vrouter.dump(Flow) and not len(host.agent.flows)


def test_idle_flows_age_and_used_ones_stay(world: Any, config: Any) -> None:
    host, one, _ = one_host(world, config)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4", 1))
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4", 2))
    for _ in range(15):
        world.run(15)
        host.send(one, udp(one, "10.1.0.3", "10.1.0.4", 2))
    assert {pair.forward.key.sport for pair in host.agent.flows.pairs()} == {2}
    assert len(host.vrouter.dump(Flow)) == 2
    world.run(200)
    assert not host.vrouter.dump(Flow)


def test_a_closed_tcp_flow_is_forgotten(world: Any, config: Any) -> None:
    host, one, two = one_host(world, config)

    def tcp(port: Any, source: str, target: str, sport: int, dport: int, flags: str, seq: int, ack: int) -> None:
        packet = IP(src=source, dst=target) / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack)
        host.send(port, bytes(Ether(src=port.mac, dst=GATEWAY) / packet))

    tcp(one, "10.1.0.3", "10.1.0.4", 1, 80, "S", 100, 0)
    tcp(two, "10.1.0.4", "10.1.0.3", 80, 1, "SA", 500, 101)
    tcp(one, "10.1.0.3", "10.1.0.4", 1, 80, "A", 101, 501)
    tcp(one, "10.1.0.3", "10.1.0.4", 1, 80, "FA", 101, 501)
    tcp(two, "10.1.0.4", "10.1.0.3", 80, 1, "FA", 501, 102)
    tcp(one, "10.1.0.3", "10.1.0.4", 1, 80, "A", 102, 502)
    world.run(30)
    assert not len(host.agent.flows)
    assert all(row.flags & FlowFlag.EVICTED for row in host.vrouter.dump(Flow))


def test_an_inactive_interface_is_a_reason(world: Any, config: Any, new_config: Any) -> None:
    host, one, _ = one_host(world, config)
    vif = host.agent.vif_index(one.uuid)
    host.agent.oper.by_vif.pop(vif)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4"))
    assert reasons(host) == [FlowDrop.UNAVAILABLE_INTF]


def test_the_flows_of_a_machine_are_limited(world: Any, config: Any) -> None:
    network = config.network("red", "10.1.0.0/24")
    ports = [config.machine("compute-1", f"vm{n}", network, f"10.1.0.{n}") for n in (3, 4)]
    host = world.host("compute-1", "10.0.0.1", config, max_vm_flows=2)
    one, two = (host.add(port) for port in ports)
    for sport in (1, 2, 3):
        host.send(one, udp(one, "10.1.0.3", "10.1.0.4", sport))
    assert reasons(host) == [None, None, FlowDrop.FLOW_LIMIT]
    assert len(host.frames(two)) == 2
    world.run(200)
    host.send(one, udp(one, "10.1.0.3", "10.1.0.4", 4))
    assert reasons(host) == [None]
