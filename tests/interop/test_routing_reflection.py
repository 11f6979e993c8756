"""Route reflection by us: a router and a speaker of ours are clients, each hears of the other's routes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from interop.bench import THEIRS, Bench
from interop.bird_daemon import Bird
from interop.daemons import INET_ROUTE, NEXT_HOP, ROUTE_DISTINGUISHER, VPN_ROUTE, Router, Session
from interop.frr_daemon import Frr
from interop.gobgp_daemon import GoBgp
from interop.openbgpd_daemon import OpenBgpd
from interop.routing_node import AS, OTHER_ID, ROUTER_ID, Node

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp import ext_community, update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.nlri import codec, label_bytes

INET, VPN = Family.INET, Family.INET_VPN
OUR_INET = "192.0.2.0/24"
OUR_RD, OUR_VPN, OUR_TARGET = "64512:5", "10.1.0.0/24", "64512:200"
OUR_NEXT_HOP = "10.255.1.3"
THEIR_ID = "10.255.1.2"


def frr_reflected(router: Frr) -> tuple[str, str]:
    shown = json.loads(router._vtysh(f"show bgp ipv4 vpn {OUR_VPN} json"))
    (path,) = next(iter(shown.values()))["paths"]
    return path["originatorId"], path["clusterList"]["list"][0]


def gobgp_reflected(router: GoBgp) -> tuple[str, str]:
    shown = json.loads(router._gobgp("global", "rib", "-a", "vpnv4", "-j"))
    (path,) = (p for paths in shown.values() for p in paths if p["nlri"]["prefix"] == OUR_VPN)
    values = {attribute["type"]: attribute["value"] for attribute in path["attrs"] if attribute["type"] in (9, 10)}
    return values[9], values[10][0]


def bird_reflected(router: Bird) -> tuple[str, str]:
    text = router._birdc(f"show route all table vpntab4 for {OUR_RD} {OUR_VPN}")
    originator = re.search(r"BGP.originator_id: (\S+)", text)
    cluster = re.search(r"BGP.cluster_list: (\S+)", text)
    assert originator is not None and cluster is not None, text
    return originator[1], cluster[1]


def openbgpd_reflected(router: OpenBgpd) -> tuple[str, str]:
    (entry,) = json.loads(router._bgpctl("show", "rib", "vpnv4", "detail", "neighbor", router.session.address))["rib"]
    fields = {name: value for attribute in entry["attributes"] for name, value in attribute.items()}
    return fields["originator"], fields["cluster_list"][0]


ROUTERS: list[tuple[type[Router], Callable[..., tuple[str, str]]]] = [
    (Bird, bird_reflected),
    (Frr, frr_reflected),
    (GoBgp, gobgp_reflected),
    (OpenBgpd, openbgpd_reflected),
]


def meet(bench: Bench, router: type[Router], node: Node, families: tuple[str, ...]) -> Router:
    """The router as an iBGP client of ours; established."""
    if (reason := router.missing()) is not None:
        pytest.skip(reason)
    theirs = router(bench.directory, Session(port=node.port, families=families, local_as=AS))
    peer = node.add_peer("them", THEIRS, families=tuple(map(Family.from_name, families)))
    bench.start(theirs)
    theirs.after_start()
    bench.up(peer)
    return theirs


def send(peer: Peer, family: Family, key: str, attributes: Attributes) -> None:
    assert peer.negotiated is not None
    payload = label_bytes(77, False) if family is VPN else b""
    for message in update.write(family, attributes, [(codec(family).key(key), payload)], peer.negotiated.as4):
        peer.send(message)


@pytest.mark.parametrize(("router", "reflected"), ROUTERS, ids=[router.name for router, _ in ROUTERS])
def test_reflection_both_ways(bench: Bench, router: type[Router], reflected: Callable[..., tuple[str, str]]) -> None:
    behaviour = CONTRAIL if router.takes_inet_in_mp_reach else RFC
    node = Node(bench, behaviour)
    theirs = meet(bench, router, node, ("inet", "inet-vpn"))
    client = node.add_client(behaviour, families=(INET, VPN))

    # Theirs reach the other client with their originator and our cluster.
    bench.until(lambda: len(bench.routes.table) == len(router.announces), "their routes at the other client")
    keys = {INET: codec(INET).key(INET_ROUTE), VPN: codec(VPN).key(f"{ROUTE_DISTINGUISHER}:{VPN_ROUTE}")}
    for name in router.announces:
        family = Family.from_name(name)
        attributes, _ = bench.routes.table["node", family, keys[family]]
        assert attributes.next_hop == IPv4Address(NEXT_HOP).packed
        assert attributes.as_path.text == ""
        assert attributes.originator_id == int(IPv4Address(THEIR_ID))
        assert attributes.cluster_list == (int(IPv4Address(ROUTER_ID)),)

    # The other client's are in their tables, next hop and preference untouched.
    made = Attributes.make(origin=0, next_hop=IPv4Address(OUR_NEXT_HOP).packed, local_pref=200, med=30)
    target = ext_community.parse(f"target:{OUR_TARGET}")
    send(client, INET, OUR_INET, made)
    send(client, VPN, f"{OUR_RD}:{OUR_VPN}", made.replace(ext_communities=(target,)))
    bench.until(lambda: bool(theirs.view("inet") and theirs.view("inet-vpn")), "the other client's routes over there")
    assert theirs.view("inet")[OUR_INET].next_hop == OUR_NEXT_HOP
    seen = theirs.view("inet-vpn")[OUR_VPN]
    assert (seen.next_hop, len(seen.as_path), seen.med) == (OUR_NEXT_HOP, 0, 30)
    assert seen.targets == {OUR_TARGET}
    assert seen.label in (77, None)
    assert reflected(theirs) == (OTHER_ID, ROUTER_ID)

    # No route goes back to who told it.
    assert set(theirs.view("inet")) == {OUR_INET}
    assert ("node", INET, codec(INET).key(OUR_INET)) not in bench.routes.table

    theirs.withdraw_inet()
    bench.until(lambda: ("node", INET, keys[INET]) not in bench.routes.table, "their withdrawal")
    client.clear()
    bench.until(lambda: not theirs.view("inet"), "the lost client's inet route is gone")
    if router.takes_vpn_withdrawals:
        bench.until(lambda: not theirs.view("inet-vpn"), "the lost client's VPN route is gone")
