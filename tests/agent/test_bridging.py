"""Networks that bridge: MAC routes, broadcasts by ingress replication and by tree, VXLAN."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.vrouter_model.rows import BridgeRoute, MplsLabel, NextHop, NhFlag, Vxlan

RED = "default-domain:demo:red:red"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def two_hosts(world: Any, config: Any, *encapsulations: str) -> tuple[Any, Any, Any, Any]:
    config.settings(*encapsulations)
    network = config.network("red", "10.1.0.0/24", "l2_l3", 5001)
    one = config.machine("compute-1", "vm1", network, "10.1.0.3")
    two = config.machine("compute-2", "vm2", network, "10.1.0.4")
    first, second = world.host("compute-1", "10.0.0.1", config), world.host("compute-2", "10.0.0.2", config)
    first.add(one)
    second.add(two)
    world.run(1)
    return first, one, second, two


def arp_request(port: Any, source: str, target: str) -> bytes:
    message = ARP(op=1, hwsrc=port.mac, psrc=source, hwdst="00:00:00:00:00:00", pdst=target)
    return bytes(Ether(src=port.mac, dst=BROADCAST) / message)


@pytest.mark.parametrize("encapsulation", ["MPLSoUDP", "MPLSoGRE", "VXLAN"])
def test_arp_is_stitched_and_machines_bridge(world: Any, config: Any, encapsulation: str) -> None:
    first, one, second, two = two_hosts(world, config, encapsulation)
    first.send(one, arp_request(one, "10.1.0.3", "10.1.0.4"))
    answers = [Ether(frame)[ARP] for frame in first.frames(one)]
    assert [(a.op, a.hwsrc) for a in answers] == [(2, two.mac)]
    frame = Ether(src=one.mac, dst=two.mac) / IP(src="10.1.0.3", dst="10.1.0.4") / ICMP(id=9, seq=1) / b"data"
    first.send(one, bytes(frame))
    (got,) = second.frames(two)
    assert got == bytes(frame)
    assert not first.agent.ksync.errors and not second.agent.ksync.errors


@pytest.mark.parametrize("encapsulation", ["MPLSoUDP", "VXLAN"])
def test_a_broadcast_reaches_the_others_once(world: Any, config: Any, encapsulation: str) -> None:
    first, one, second, two = two_hosts(world, config, encapsulation)
    three = config.machine("compute-2", "vm3", "default-domain:demo:red", "10.1.0.5")
    world.nodes[0].reconfigure("compute-2", config)
    second.add(three)
    world.run(1)
    frame = Ether(src=one.mac, dst=BROADCAST) / IP(src="10.1.0.3", dst="10.1.0.255") / UDP(sport=1, dport=2) / b"x"
    first.send(one, bytes(frame))
    assert second.frames(two) == [bytes(frame)]
    assert second.frames(three) == [bytes(frame)]
    assert first.frames(one) == []
    assert not second.vrouter.drops.keys() - {d for d in second.vrouter.drops if d.name == "CLONED_ORIGINAL"}


def test_what_is_published_for_mpls(world: Any, config: Any) -> None:
    first, one, _, _ = two_hosts(world, config, "MPLSoUDP")
    routes = {
        ident: told["compute-1"]
        for (instance, family, ident), told in world.nodes[0].routes.items()
        if instance == RED and family is ItemFamily.E_VPN and "compute-1" in told
    }
    assert sorted(routes) == [
        f"{one.mac},0.0.0.0/32",
        f"{one.mac},10.1.0.3/32",
        f"{BROADCAST},0.0.0.0/32",
    ]
    route = routes[f"{one.mac},10.1.0.3/32"]
    label = first.agent.oper.labels.find(("l2", one.uuid))
    assert (route.next_hops[0].label, route.next_hops[0].encapsulations) == (label, ("gre", "udp"))
    assert route.next_hops[0].mac == "" and not route.etree_leaf
    flood = routes[f"{BROADCAST},0.0.0.0/32"]
    assert flood.next_hops[0].label == first.agent.oper.labels.find(("flood", RED))
    assert (flood.local_preference, flood.edge_replication_not_supported) == (100, False)
    node = "25/242/255.255.255.255,0.0.0.0/32,255.255.255.255,0.0.0.0"
    assert f"compute-1 associate {node}" in world.nodes[0].log


def test_what_is_published_for_vxlan(world: Any, config: Any) -> None:
    first, one, _, _ = two_hosts(world, config, "VXLAN", "MPLSoUDP")
    key = (RED, ItemFamily.E_VPN, f"5001-{one.mac},10.1.0.3/32")
    route = world.nodes[0].routes[key]["compute-1"]
    assert route.ethernet_tag == 5001
    assert (route.next_hops[0].label, route.next_hops[0].encapsulations) == (5001, ("vxlan",))
    inet = world.nodes[0].routes[(RED, ItemFamily.INET, "10.1.0.3/32")]["compute-1"]
    assert inet.next_hops[0].encapsulations == ("gre", "udp")
    assert first.vrouter.dump(Vxlan)[0].vnid == 5001


def test_a_change_of_priorities_moves_the_routes(world: Any, config: Any, new_config: Any) -> None:
    first, one, second, _ = two_hosts(world, config, "MPLSoUDP")
    change = new_config()
    change.settings("VXLAN")
    for agent in ("compute-1", "compute-2"):
        world.nodes[0].reconfigure(agent, change)
    world.run(1)
    told = {
        ident
        for (instance, family, ident), told in world.nodes[0].routes.items()
        if instance == RED and family is ItemFamily.E_VPN and "compute-1" in told
    }
    assert told == {f"5001-{one.mac},0.0.0.0/32", f"5001-{one.mac},10.1.0.3/32", f"5001-{BROADCAST},0.0.0.0/32"}
    tunnels = [row for row in second.vrouter.dump(NextHop) if row.tun_dip]
    assert {bool(row.flags & NhFlag.TUNNEL_VXLAN) for row in tunnels if row.id in _bridge_next_hops(second)} == {True}
    assert not first.agent.ksync.errors and not second.agent.ksync.errors


def _bridge_next_hops(host: Any) -> set[int]:
    return {row.nh_id for row in host.vrouter.dump(BridgeRoute)}


def test_the_tree_label_leads_to_the_flood(world: Any, config: Any) -> None:
    first, _, _, _ = two_hosts(world, config, "MPLSoUDP")
    world.nodes[0].tree("compute-1", RED, 4700, ("10.0.0.9", 4801))
    world.run(1)
    labels = {row.label: row.nh_id for row in first.vrouter.dump(MplsLabel)}
    flood = first.vrouter.get(BridgeRoute, (1, b"\xff" * 6))
    assert flood is not None and labels[4700] == flood.nh_id
    parts = first.vrouter.get(NextHop, flood.nh_id)
    kinds = [first.vrouter.get(NextHop, part).flags for part in parts.nh_list]
    assert any(flags & NhFlag.COMPOSITE_FABRIC for flags in kinds)
    world.nodes[0].tree("compute-1", RED, 0)
    world.run(1)
    assert 4700 not in {row.label for row in first.vrouter.dump(MplsLabel)}
    assert not first.agent.ksync.errors


def test_the_broadcast_tree_is_joined_at_the_builder(world: Any, config: Any) -> None:
    two_hosts(world, config, "MPLSoUDP")
    told = world.nodes[0].routes[(RED, ItemFamily.ERM_VPN, "0:0:255.255.255.255,0.0.0.0")]
    hop = told["compute-1"].next_hops[0]
    assert (hop.address, hop.label, hop.encapsulations) == ("10.0.0.1", "4609-5119", ("gre", "udp"))


def test_everything_goes_with_the_port(world: Any, config: Any) -> None:
    first, one, second, _ = two_hosts(world, config, "MPLSoUDP")
    first.agent.delete_port(one.uuid)
    world.run(1)
    assert not [key for key, told in world.nodes[0].routes.items() if "compute-1" in told]
    assert not first.vrouter.dump(MplsLabel)
    assert first.agent.ksync.errors == second.agent.ksync.errors == {}
    assert [index for index, _, _ in first.agent.oper.next_hops] == [row.id for row in first.vrouter.dump(NextHop)][1:]
