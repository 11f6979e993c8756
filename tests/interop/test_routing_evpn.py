"""EVPN types 2, 3 and 5 through our tables: to FRR and GoBGP in their own words, and from GoBGP."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from interop.bench import THEIRS, Bench
from interop.daemons import Router, Session
from interop.frr_daemon import Frr
from interop.gobgp_daemon import GoBgp
from interop.routing_node import AS, Node

from contrail_emulator.control.bgp import ext_community, update
from contrail_emulator.control.bgp.attributes import Attributes, PmsiTunnel
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec, label, label_bytes

EVPN = Family.E_VPN
RD, TARGET, NEXT_HOP, VNI = "64512:5", "64512:200", "10.255.1.3", 5001
MAC, ADDRESS, PREFIX = "02:00:00:00:00:05", "10.1.0.5", "10.9.0.0/24"
MAC_IP_KEY, MULTICAST_KEY, PREFIX_KEY = f"2-{RD}-0-{MAC},{ADDRESS}", f"3-{RD}-0-{NEXT_HOP}", f"5-{RD}-0-{PREFIX}"
NO_ESI, NO_GATEWAY = bytes(10), bytes(4)

Routes = dict[int, dict[str, Any]]
"""By route type, what the router shows, in the words of `expected`."""


def expected(next_hop: str) -> Routes:
    common = {"rd": RD, "next_hop": next_hop, "target": TARGET, "encapsulation": 8}
    return {
        2: {**common, "mac": MAC, "ip": ADDRESS, "label": VNI},
        3: {**common, "ip": NEXT_HOP, "label": VNI},
        5: {**common, "prefix": PREFIX, "label": VNI},
    }


def gobgp_routes(router: GoBgp) -> Routes:
    shown = json.loads(router._gobgp("global", "rib", "-a", "evpn", "-j"))
    found: Routes = {}
    for path in (path for paths in shown.values() for path in paths):
        value = path["nlri"]["value"]
        attributes = {attribute["type"]: attribute for attribute in path["attrs"]}
        communities = {(c["type"], c["subtype"]): c for c in attributes[16]["value"]}
        rd = f"{value['rd']['admin']}:{value['rd']['assigned']}"
        route = {"rd": rd, "next_hop": attributes[14]["nexthop"], "target": communities[0, 2]["value"]}
        route["encapsulation"] = communities[3, 12]["tunnel_type"]
        route |= {name: value[name] for name in ("mac", "ip", "prefix") if name in value}
        kind = path["nlri"]["type"]
        route["label"] = {2: value.get("labels", [None])[0], 3: attributes.get(22, {}).get("label")}.get(kind)
        found[kind] = route if kind < 5 else route | {"label": value["label"]}
    return found


def frr_routes(router: Frr) -> Routes:
    shown = json.loads(router._vtysh("show bgp l2vpn evpn route detail json"))
    found: Routes = {}
    for rd, routes in shown.items():
        entries = [entry for name, entry in routes.items() if name != "rd"] if rd == RD else []
        for entry in entries:
            ((path,),) = entry["paths"]
            texts = dict(text.split(":", 1) for text in path["extendedCommunity"]["string"].split())
            route = {"rd": rd, "next_hop": path["nexthops"][0]["ip"], "target": texts["RT"]}
            route["encapsulation"] = int(texts["ET"])
            kind = entry["routeType"]
            if kind == 5:
                route["prefix"] = f"{entry['ip']}/{entry['ipLen']}"
            else:
                route |= {name: entry[name] for name in ("mac", "ip") if name in entry}
            route["label"] = path["pmsi"]["label"] if kind == 3 else int(path["vni"])
            found[kind] = route
    return found


def meet(bench: Bench, router: type[Router], node: Node) -> Router:
    if (reason := router.missing()) is not None:
        pytest.skip(reason)
    theirs = router(bench.directory, Session(port=node.port, families=("e-vpn",), local_as=AS, announce=False))
    peer = node.add_peer("them", THEIRS, families=(EVPN,))
    bench.start(theirs)
    bench.up(peer)
    return theirs


@pytest.mark.parametrize(
    ("router", "routes"), [(Frr, frr_routes), (GoBgp, gobgp_routes)], ids=[Frr.name, GoBgp.name]
)
def test_they_have_our_routes(bench: Bench, router: type[Router], routes: Callable[..., Routes]) -> None:
    node = Node(bench)
    theirs = meet(bench, router, node)
    client = node.add_client(families=(EVPN,))
    communities = (ext_community.parse(f"target:{TARGET}"), ext_community.encapsulation("vxlan"))
    made = Attributes.make(next_hop=IPv4Address(NEXT_HOP).packed, local_pref=100, ext_communities=communities)
    replicated = made.replace(pmsi=PmsiTunnel(0, 6, VNI.to_bytes(3, "big"), IPv4Address(NEXT_HOP).packed))
    vni = label_bytes(VNI, True)
    sent = [
        (MAC_IP_KEY, NO_ESI + vni, made),
        (MULTICAST_KEY, b"", replicated),
        (PREFIX_KEY, NO_ESI + NO_GATEWAY + vni, made),
    ]
    for text, payload, attributes in sent:
        for message in update.write(EVPN, attributes, [(codec(EVPN).key(text), payload)], True):
            client.send(message)
    bench.until(lambda: len(routes(theirs)) == 3, "three routes over there")
    assert routes(theirs) == expected(NEXT_HOP)
    keys = [codec(EVPN).key(text) for text, _, _ in sent]
    for message in update.write_withdrawn(EVPN, keys):
        client.send(message)
    bench.until(lambda: not routes(theirs), "the withdrawals over there")


def test_we_have_their_routes(bench: Bench) -> None:
    """GoBGP's routes in our table and, reflected, at another client."""
    node = Node(bench)
    theirs = meet(bench, GoBgp, node)
    assert isinstance(theirs, GoBgp)
    node.add_client(families=(EVPN,))
    common = ["rd", RD, "rt", TARGET, "encap", "vxlan"]
    add = ["global", "rib", "add", "-a", "evpn"]
    theirs._gobgp(*add, "macadv", MAC, ADDRESS, "etag", "0", "label", str(VNI), *common)
    theirs._gobgp(*add, "multicast", NEXT_HOP, "etag", "0", *common, "pmsi", "ingress-repl", str(VNI), NEXT_HOP)
    theirs._gobgp(*add, "prefix", PREFIX, "etag", "0", "label", str(VNI), *common)
    bench.until(lambda: len(bench.routes.table) == 3, "three routes at the other client")
    found = {codec(EVPN).text(key): told for (_, _, key), told in bench.routes.table.items()}
    assert set(found) == {MAC_IP_KEY, MULTICAST_KEY, PREFIX_KEY}
    for attributes, _ in found.values():
        texts = {ext_community.text(raw) for raw in attributes.ext_communities}
        assert texts == {f"target:{TARGET}", "encapsulation:vxlan"}
        assert attributes.next_hop == IPv4Address(THEIRS).packed
    for text in (MAC_IP_KEY, PREFIX_KEY):
        payload = found[text][1]
        assert label(payload[-3:], True) == VNI
    assert found[MULTICAST_KEY][0].pmsi.type == 6
    assert {row["prefix"] for row in node.core.rows("bgp.evpn.0")} == set(found)
