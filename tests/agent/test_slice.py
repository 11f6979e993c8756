"""Two hosts, a scripted control node: what is said, and whether machines reach each other."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from contrail_emulator.vrouter_model.rows import BridgeRoute, InetRoute, MplsLabel, NextHop, Vif, Vxlan

GATEWAY = "00:00:5e:00:01:00"
RED = "default-domain:demo:red"


def two_hosts(world: Any, config: Any, mode: str = "l3", *encapsulations: str) -> tuple[Any, Any, Any, Any]:
    config.settings(*(encapsulations or ("MPLSoUDP",)))
    network = config.network("red", "10.1.0.0/24", mode)
    one = config.machine("compute-1", "vm1", network, "10.1.0.3")
    two = config.machine("compute-2", "vm2", network, "10.1.0.4")
    first = world.host("compute-1", "10.0.0.1", config)
    second = world.host("compute-2", "10.0.0.2", config)
    first.add(one)
    second.add(two)
    world.run(1)
    return first, one, second, two


def echo(source: Any, address: str, destination: str, mac: str = GATEWAY, sequence: int = 1) -> bytes:
    return bytes(
        Ether(src=source.mac, dst=mac) / IP(src=address, dst=destination) / ICMP(id=7, seq=sequence) / b"hello"
    )


def test_machines_on_two_hosts_ping(world: Any, config: Any) -> None:
    first, one, second, two = two_hosts(world, config)
    first.send(one, echo(one, "10.1.0.3", "10.1.0.4"))
    (request,) = second.frames(two)
    packet = Ether(request)
    assert packet[IP].dst == "10.1.0.4" and packet[IP].ttl == 63 and packet.dst == two.mac
    reply = Ether(src=two.mac, dst=GATEWAY) / IP(src="10.1.0.4", dst="10.1.0.3") / ICMP(type=0, id=7, seq=1) / b"hello"
    second.send(two, bytes(reply))
    (answer,) = first.frames(one)
    assert Ether(answer)[ICMP].type == 0 and Ether(answer).dst == one.mac
    assert not first.agent.ksync.errors and not second.agent.ksync.errors
    assert not first.vrouter.drops and not second.vrouter.drops
    outer = Ether(world.wire[0])
    assert outer[IP].src == "10.0.0.1" and outer[IP].dst == "10.0.0.2"


def test_what_is_said_first_is_the_subscription(world: Any, config: Any) -> None:
    two_hosts(world, config)
    log = [line for line in world.nodes[0].log if line.startswith("compute-1")]
    assert log[0] == "compute-1 subscribe virtual-router:default-global-system-config:compute-1"
    subscribe = log.index(f"compute-1 subscribe {RED}:red 1")
    publish = log.index(f"compute-1 associate 1/1/{RED}:red/10.1.0.3/32")
    assert subscribe < publish


def test_route_stanzas_are_the_reference_s(world: Any, config: Any) -> None:
    two_hosts(world, config)
    raw = b"".join(world.nodes[0].raw).decode().replace("\n", "")
    assert (
        '<iq type="set" from="compute-1" to="network-control@contrailsystems.com/bgp-peer" id="subscribe1">'
        '<pubsub xmlns="http://jabber.org/protocol/pubsub">'
        f'<subscribe node="{RED}:red"><options><instance-id>1</instance-id></options></subscribe></pubsub></iq>'
    ) in raw
    node = f"1/1/{RED}:red/10.1.0.3/32"
    assert f'id="pubsub1"><pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="{node}"><item><entry>' in raw
    assert (
        f'id="collection1"><pubsub xmlns="http://jabber.org/protocol/pubsub"><collection node="{RED}:red">'
        f'<associate node="{node}" /></collection></pubsub></iq>'
    ) in raw
    assert "<address>10.0.0.1</address><mac>02:00:0a:00:00:01</mac><label>16</label>" in raw
    assert "<local-preference>100</local-preference><med>0</med>" in raw


def test_arp_is_answered_with_the_gateway_mac(world: Any, config: Any) -> None:
    first, one, _, _ = two_hosts(world, config)
    request = Ether(src=one.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=one.mac, psrc="10.1.0.3", hwdst="00:00:00:00:00:00", pdst="10.1.0.4"
    )
    first.send(one, bytes(request))
    answers = [Ether(frame) for frame in first.frames(one)]
    assert [(a[ARP].op, a[ARP].hwsrc, a[ARP].psrc) for a in answers if ARP in a] == [(2, GATEWAY, "10.1.0.4")]


def test_traffic_raises_the_preference(world: Any, config: Any) -> None:
    first, one, _, _ = two_hosts(world, config)
    key = (f"{RED}:red", *_family(), "10.1.0.3/32")
    published = world.nodes[0].routes[key]["compute-1"]
    assert (published.local_preference, published.sequence_number) == (100, 0)
    first.send(one, echo(one, "10.1.0.3", "10.1.0.4"))
    published = world.nodes[0].routes[key]["compute-1"]
    assert (published.local_preference, published.sequence_number) == (200, 1)


def test_without_a_data_plane_objects_are_only_counted(world: Any, config: Any) -> None:
    network = config.network("red", "10.1.0.0/24", "l2_l3")
    port = config.machine("compute-1", "vm1", network, "10.1.0.3")
    counted = world.host("compute-1", "10.0.0.1", config, "none")
    counted.agent.add_port(port)
    world.run(1)
    kept = world.host("compute-2", "10.0.0.1", config)
    kept.agent.add_port(port)
    world.run(1)
    kinds = (Vif, NextHop, MplsLabel, Vxlan, BridgeRoute, InetRoute)
    numbers = {kind.__name__: len(kept.vrouter.dump(kind)) for kind in kinds}
    numbers["NextHop"] -= 1
    assert counted.plane.counts == numbers
    counted.agent.delete_port(port.uuid)
    world.run(1)
    assert counted.plane.counts["Vif"] == 3 and counted.plane.counts["MplsLabel"] == 0


def _family() -> tuple[Any]:
    from contrail_emulator.control.xmpp.family import ItemFamily

    return (ItemFamily.INET,)


def test_a_deleted_port_is_withdrawn(world: Any, config: Any) -> None:
    first, one, second, _ = two_hosts(world, config)
    first.agent.delete_port(one.uuid)
    world.run(1)
    log = world.nodes[0].log
    assert f"compute-1 dissociate 1/1/{RED}:red/10.1.0.3/32" in log
    assert f"compute-1 unsubscribe virtual-machine:{one.vm_uuid}" in log
    vrf = second.agent.oper.rib.vrfs[f"{RED}:red"]
    route = vrf.longest(4, int(IPv4Address("10.1.0.3")))
    assert route.key.length == 24
    assert not first.agent.ksync.errors


def test_numbers_that_fit_no_field_count_as_absent(world: Any, config: Any) -> None:
    """A row may hold any; what no peer could read is never published (the mock node reads all, and would raise)."""
    host, port, *_ = two_hosts(world, config, "l2_l3", "VXLAN", "MPLSoUDP")
    said = len(world.nodes[0].raw)
    for number in (-1, 1 << 24, 1 << 32, 1 << 64, 10**30):
        with host.agent.graph.batch():
            for key in (("virtual-network", RED), ("virtual-machine-interface", "default-domain:demo:vm1-port")):
                properties = dict(host.agent.graph.get(*key).properties)
                properties["virtual_network_properties"] = {
                    "forwarding_mode": "l2_l3",
                    "vxlan_network_identifier": number,
                    "network_id": number,
                }
                properties["virtual_network_network_id"] = number
                properties["virtual_machine_interface_properties"] = {"local_preference": number}
                host.agent.graph.put(*key, properties)
        world.run(1)
    assert len(world.nodes[0].raw) > said, "the changes did reach the agent"
    assert not host.agent.ksync.errors and host.agent.vif_index(port.uuid) is not None
