"""Route-target filtering (RFC 4684) with GoBGP, in both directions. Debian's FRR and BIRD have no such family."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest
from interop.bench import THEIRS, Bench
from interop.daemons import Session
from interop.gobgp_daemon import GoBgp
from interop.routing_node import AS, Node

from contrail_emulator.control.bgp import ext_community, update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec, label_bytes
from contrail_emulator.control.routing import InstanceSettings, Source, SourceKind

VPN, TARGETS = Family.INET_VPN, Family.ROUTE_TARGET
RED, BLUE = "64512:100", "64512:200"
RED_PREFIX, BLUE_PREFIX = "10.1.0.0/24", "10.2.0.0/24"
NEXT_HOP = "10.255.1.3"


@pytest.fixture
def node(bench: Bench) -> Node:
    return Node(bench)


@pytest.fixture
def router(bench: Bench, node: Node) -> GoBgp:
    """Established as an iBGP client with inet-vpn and route-target."""
    if (reason := GoBgp.missing()) is not None:
        pytest.skip(reason)
    families = ("inet-vpn", "route-target")
    theirs = GoBgp(bench.directory, Session(port=node.port, families=families, local_as=AS, announce=False))
    peer = node.add_peer("them", THEIRS, families=(VPN, TARGETS))
    bench.start(theirs)
    bench.up(peer)
    return theirs


def prefixes(router: GoBgp) -> set[str]:
    """VPN routes it has from us."""
    return set(router.view("inet-vpn"))


def test_they_get_what_they_ask_for(bench: Bench, node: Node, router: GoBgp) -> None:
    client = node.add_client(families=(VPN,))
    for number, (prefix, target) in enumerate(((RED_PREFIX, RED), (BLUE_PREFIX, BLUE))):
        made = Attributes.make(
            next_hop=IPv4Address(NEXT_HOP).packed,
            local_pref=100,
            ext_communities=(ext_community.parse(f"target:{target}"),),
        )
        routes = [(codec(VPN).key(f"64512:{number + 5}:{prefix}"), label_bytes(77 + number, False))]
        for message in update.write(VPN, made, routes, True):
            client.send(message)
    bench.until(lambda: len(node.core.tables["bgp.l3vpn.0"].routes) == 2, "both routes in our table")
    router._gobgp("vrf", "add", "red", "rd", "64512:1", "rt", "both", RED)
    bench.until(lambda: prefixes(router) == {RED_PREFIX}, "the route with the target asked for")
    bench.turn(1.0)
    assert prefixes(router) == {RED_PREFIX}
    router._gobgp("vrf", "add", "blue", "rd", "64512:2", "rt", "both", BLUE)
    bench.until(lambda: prefixes(router) == {RED_PREFIX, BLUE_PREFIX}, "the other route, asked for later")
    router._gobgp("vrf", "del", "red")
    bench.until(lambda: prefixes(router) == {BLUE_PREFIX}, "the first route is withdrawn")


def test_we_get_what_an_agent_asks_for(bench: Bench, node: Node, router: GoBgp) -> None:
    """GoBGP knows our agent's targets and sends only routes that carry one."""
    for prefix, target, number in ((RED_PREFIX, RED, 1), (BLUE_PREFIX, BLUE, 2)):
        route = [prefix, "label", str(1000 + number), "rd", f"65001:{number}", "rt", target, "nexthop", "10.255.1.2"]
        router._gobgp("global", "rib", "add", "-a", "vpnv4", *route)
    blue = ext_community.parse(f"target:{BLUE}")
    settings = InstanceSettings(
        name="default-domain:demo:blue:blue",
        index=1,
        virtual_network="default-domain:demo:blue",
        virtual_network_index=4,
        import_targets=frozenset((blue,)),
        export_targets=frozenset((blue,)),
    )
    node.core.add_instance(settings)
    agent = Source(SourceKind.XMPP, "compute-1")
    node.core.subscribe(settings.name, agent)

    def asked() -> set[str]:
        shown = json.loads(router._gobgp("global", "rib", "-a", "rtc", "-j"))
        return {path["nlri"]["prefix"] for paths in shown.values() for path in paths}

    bench.until(lambda: f"{AS}:{BLUE}" in asked(), "our target over there")
    assert f"{AS}:{RED}" not in asked()
    table = node.core.tables["bgp.l3vpn.0"].routes
    wanted = {codec(VPN).key(f"65001:2:{BLUE_PREFIX}")}
    bench.until(lambda: set(table) == wanted, "the agent's route")
    bench.turn(1.0)
    assert set(table) == wanted
    instance = node.core.tables["default-domain:demo:blue:blue.inet.0"]
    assert set(instance.routes) == {codec(Family.INET).key(BLUE_PREFIX)}
    node.core.unsubscribe(settings.name, agent)
    bench.until(lambda: f"{AS}:{BLUE}" not in asked(), "our target is withdrawn")
