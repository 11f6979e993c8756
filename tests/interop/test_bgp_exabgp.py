"""Sessions with ExaBGP."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

import pytest
from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import ext_community, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.nlri import codec, label, label_bytes
from contrail_emulator.control.bgp.settings import PeerSettings
from interop.bench import THEIRS, Bench
from interop.daemons import INET_ROUTE, LABEL, ROUTE_DISTINGUISHER, VPN_ROUTE, Session
from interop.exabgp_daemon import ExaBgp

if (reason := ExaBgp.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

INET, VPN = Family.INET, Family.INET_VPN
THEIR_INET = codec(INET).key(INET_ROUTE)
THEIR_VPN = codec(VPN).key(f"{ROUTE_DISTINGUISHER}:{VPN_ROUTE}")


def settings(**changes: object) -> PeerSettings:
    return PeerSettings(**{"name": "exa", "address": THEIRS, "passive": True, "autonomous_system": 65001, **changes})  # type: ignore[arg-type]  # shared fields


def announce(peer: Peer, family: Family, keys: Iterable[str], **attributes: object) -> None:
    """Our routes, next hop 10.255.0.1, label 77 where the family has one."""
    made = Attributes.make(
        **{
            "origin": 0,
            "as_path": AsPath.sequence(peer.local_as),
            "next_hop": IPv4Address("10.255.0.1").packed,
            **attributes,
        }
    )
    payload = b"" if family is INET else label_bytes(77, False)
    routes = [(codec(family).key(text), payload) for text in keys]
    assert peer.negotiated is not None
    for message in update.write(family, made, routes, peer.negotiated.as4, peer.core.behaviour):
        peer.send(message, reach=len(routes))


def withdraw(peer: Peer, family: Family, keys: Iterable[str]) -> None:
    for message in update.write_withdrawn(family, [codec(family).key(text) for text in keys], peer.core.behaviour):
        peer.send(message)


@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
@pytest.mark.parametrize("they_connect", [True, False], ids=["they-connect", "we-connect"])
def test_routes_both_ways_withdraw_and_end_of_rib(bench: Bench, behaviour: Behaviour, they_connect: bool) -> None:
    speaker = bench.speaker(behaviour)
    exa = ExaBgp(bench.directory, Session(port=speaker.port or 0, connect=they_connect))
    peer = speaker.add_peer(settings(passive=they_connect, port=exa.port))
    bench.start(exa)
    bench.up(peer)
    # ExaBGP ends inet with the empty UPDATE, which a control node does not recognise (reference/bgp.md 1.9).
    expected = {VPN} if behaviour.ignore_classic_end_of_rib else {INET, VPN}
    bench.until(lambda: bench.routes.complete == expected, "their End-of-RIB")
    bench.until(lambda: len(bench.routes.table) == 2, "their routes")

    attributes, payload = bench.routes.table["exa", VPN, THEIR_VPN]
    assert label(payload, False) == LABEL
    assert attributes.next_hop == IPv4Address("10.255.1.2").packed
    assert [ext_community.text(raw) for raw in attributes.ext_communities] == ["target:64512:100"]
    inet, _ = bench.routes.table["exa", INET, THEIR_INET]
    assert (inet.med, inet.communities, inet.as_path.text) == (50, (65001 << 16 | 7,), "65001")

    target = ext_community.parse("target:64512:200")
    announce(peer, VPN, ["64512:5:10.1.0.0/24", "64512:5:10.1.1.0/24"], ext_communities=(target,))
    announce(peer, INET, ["192.0.2.0/25"], med=30)
    peer.send_end_of_rib(VPN)
    peer.send_end_of_rib(INET)
    bench.until(lambda: exa.ends_of_rib() >= {"inet", "inet-vpn"}, "our End-of-RIB over there")
    seen = exa.routes("inet-vpn")
    assert {key.split()[0] for key in seen} == {"10.1.0.0/24", "10.1.1.0/24"}
    (vpn, _) = seen.values()
    assert vpn["next-hop"] == "10.255.0.1"
    assert vpn["entry"]["rd"] == "64512:5"
    assert vpn["entry"]["label"][0][0] == 77
    assert vpn["extended-community"][0]["string"] == "target:64512:200"
    assert exa.routes("inet")["192.0.2.0/25"]["med"] == 30

    withdraw(peer, VPN, ["64512:5:10.1.0.0/24"])
    withdraw(peer, INET, ["192.0.2.0/25"])
    bench.until(lambda: len(exa.routes("inet-vpn")) == 1 and not exa.routes("inet"), "our withdrawals over there")
    exa.say(f"withdraw route {INET_ROUTE}")
    bench.until(lambda: ("exa", INET, THEIR_INET) not in bench.routes.table, "their withdrawal")
    assert peer.state is State.ESTABLISHED
    assert peer.counters.flaps == 0
