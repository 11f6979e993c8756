"""Sessions with ExaBGP, BIRD, FRR, GoBGP and OpenBGPD: the same questions to each, answered by its own `show`."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from interop.bench import OURS, THEIRS, Bench
from interop.bird_daemon import Bird
from interop.cable import Cable
from interop.daemons import INET_ROUTE, NEXT_HOP, ROUTE_DISTINGUISHER, VPN_ROUTE, Router, Seen, Session
from interop.frr_daemon import Frr
from interop.record import Record
from interop.routers import ROUTERS, installed
from interop.table import (
    COLLISION_OURS,
    COLLISION_THEIRS,
    FOUR_OCTET_AS,
    HOLD_TIME,
    MD5_REFUSED,
    MD5_THEY,
    MD5_WE,
    OUR_RESTART,
    SESSION,
    THEIR_RESTART,
)
from twisted.internet.tcp import Port

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.config.testing.servers import free_port
from contrail_emulator.control.bgp import community, ext_community, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.nlri import codec, label, label_bytes
from contrail_emulator.control.bgp.settings import GracefulRestartSettings, PeerSettings

SIGNING = [
    pytest.param(router, they_connect, id=f"{router.name}-{'they' if they_connect else 'we'}-connect")
    for router in ROUTERS
    for they_connect in (True, False)
    if they_connect or router.signs_when_listening
]
HELPING = [router for router in ROUTERS if router.helps_to_restart]
RESTARTING = [router for router in ROUTERS if router.restarts_gracefully]

INET, VPN = Family.INET, Family.INET_VPN
THEIR_INET = codec(INET).key(INET_ROUTE)
THEIR_VPN = codec(VPN).key(f"{ROUTE_DISTINGUISHER}:{VPN_ROUTE}")
OUR_NEXT_HOP = "10.255.0.1"
OUR_INET, OUR_VPN = "192.0.2.0/25", "10.1.0.0/24"
OUR_RD = "64512:5"
OUR_TARGET = "64512:200"


@pytest.fixture(params=ROUTERS, ids=lambda router: router.name)
def router(request: pytest.FixtureRequest) -> type[Router]:
    chosen: type[Router] = request.param
    return installed(chosen)


def settings(**changes: Any) -> PeerSettings:
    return PeerSettings(**{"name": "them", "address": THEIRS, "passive": True, "autonomous_system": 65001, **changes})


def meet(
    bench: Bench,
    router: type[Router],
    behaviour: Behaviour = CONTRAIL,
    speaker: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    wait: bool = True,
    **peer: Any,
) -> tuple[Peer, Router]:
    """Our speaker and their daemon as peers; established on return unless `wait` is off."""
    ours = bench.speaker(behaviour, **(speaker or {}))
    wanted = Session(**{"port": ours.port or 0, "families": router.families, **(session or {})})
    theirs = router(bench.directory, wanted)
    families = tuple(Family.from_name(name) for name in wanted.families)
    told = {"passive": wanted.connect, **peer}
    made = ours.add_peer(settings(port=theirs.port, autonomous_system=wanted.local_as, families=families, **told))
    bench.start(theirs)
    theirs.after_start()
    if wait:
        bench.up(made)
    return made, theirs


def announce(peer: Peer, family: Family, keys: Iterable[str], **fields: Any) -> None:
    """Our routes; label 77 in inet-vpn."""
    assert peer.negotiated is not None
    made = Attributes.make(
        **{
            "origin": 0,
            "as_path": AsPath.sequence(peer.local_as),
            "next_hop": IPv4Address(OUR_NEXT_HOP).packed,
            **fields,
        }
    )
    payload = b"" if family is INET else label_bytes(77, False)
    routes = [(codec(family).key(text), payload) for text in keys]
    for message in update.write(family, made, routes, peer.negotiated.as4, peer.core.behaviour):
        peer.send(message)


def announce_all(peer: Peer, families: Iterable[Family]) -> None:
    if INET in families:
        announce(peer, INET, [OUR_INET], med=30, communities=(community.parse("64512:9"),))
    announce(peer, VPN, [f"{OUR_RD}:{OUR_VPN}"], ext_communities=(ext_community.parse(f"target:{OUR_TARGET}"),))
    for family in (INET, VPN):
        peer.send_end_of_rib(family)


@pytest.mark.parametrize(
    ("behaviour", "they_connect"),
    [(CONTRAIL, True), (CONTRAIL, False), (RFC, False)],
    ids=["contrail-they-connect", "contrail-we-connect", "rfc-we-connect"],
)
def test_routes_both_ways_withdraw_and_end_of_rib(
    bench: Bench, router: type[Router], behaviour: Behaviour, they_connect: bool
) -> None:
    # In profile rfc only this announces the graceful restart capability, without which some send no End-of-RIB.
    restart = {"graceful_restart": GracefulRestartSettings(enabled=True)} if behaviour is RFC else {}
    peer, theirs = meet(bench, router, behaviour, speaker=restart, session={"connect": they_connect})
    families = [VPN] if behaviour.inet_in_mp_reach and not router.takes_inet_in_mp_reach else [INET, VPN]
    bench.until(lambda: len(bench.routes.table) == len(router.announces), "their routes")
    inet, _ = bench.routes.table["them", INET, THEIR_INET]
    assert (inet.med, inet.communities, inet.as_path.text) == (50, (65001 << 16 | 7,), "65001")
    assert inet.next_hop == IPv4Address(NEXT_HOP).packed
    if "inet-vpn" in router.announces:
        vpn, payload = bench.routes.table["them", VPN, THEIR_VPN]
        assert label(payload, False) == router.label
        assert [ext_community.text(raw) for raw in vpn.ext_communities] == ["target:64512:100"]
        assert vpn.next_hop == IPv4Address(NEXT_HOP).packed
    expected = {VPN} if behaviour.ignore_classic_end_of_rib else {INET, VPN}
    if router.says_end_of_rib:
        bench.until(lambda: bench.routes.complete == expected, "their End-of-RIB")

    announce_all(peer, families)
    bench.until(lambda: all(theirs.view(family.config_name) for family in families), "our routes over there")
    if INET in families:
        seen = Seen(next_hop=OUR_NEXT_HOP, as_path=(64512,), med=30, communities=frozenset({"64512:9"}))
        shown = {text: replace(route, local_pref=None) for text, route in theirs.view("inet").items()}
        assert shown == {OUR_INET: seen}
    (vpn_seen,) = theirs.view("inet-vpn").values()
    assert vpn_seen.next_hop == OUR_NEXT_HOP
    assert vpn_seen.targets == {OUR_TARGET}
    assert vpn_seen.label in (77, None)

    ours = {INET: OUR_INET, VPN: f"{OUR_RD}:{OUR_VPN}"}
    for family in families:
        for message in update.write_withdrawn(family, [codec(family).key(ours[family])], behaviour):
            peer.send(message)
    gone = families if router.takes_vpn_withdrawals else [INET]
    bench.until(lambda: not any(theirs.view(family.config_name) for family in gone), "our withdrawals over there")
    theirs.withdraw_inet()
    bench.until(lambda: ("them", INET, THEIR_INET) not in bench.routes.table, "their withdrawal")
    assert peer.state is State.ESTABLISHED
    assert peer.counters.flaps == 0


@pytest.mark.parametrize(("router", "they_connect"), SIGNING)
def test_md5_with_the_same_key(bench: Bench, router: type[Router], they_connect: bool, record: Record) -> None:
    meet(bench, installed(router), session={"md5": "sesame", "connect": they_connect}, md5="sesame")
    record.held(router.name, SESSION, MD5_THEY if they_connect else MD5_WE)


@pytest.mark.parametrize("ours", ["other", None])
def test_md5_with_different_keys(bench: Bench, router: type[Router], ours: str | None, record: Record) -> None:
    """We try as soon as they listen, which otherwise brings a session up in a tenth of a second."""
    session = {"md5": "sesame", "connect": not router.signs_when_listening}
    peer, _ = meet(bench, router, session=session, wait=False, md5=ours)
    bench.turn(2)
    assert peer.state in (State.ACTIVE, State.CONNECT, State.IDLE)
    assert peer.counters.established == 0
    record.held(router.name, SESSION, MD5_REFUSED)


def test_four_octet_as_numbers(bench: Bench, router: type[Router], record: Record) -> None:
    peer, theirs = meet(
        bench,
        router,
        RFC,
        speaker={"autonomous_system": 4200000002},
        session={"autonomous_system": 4200000002, "local_as": 4200000001, "connect": False},
    )
    assert peer.negotiated is not None and peer.negotiated.as4
    announce(peer, INET, [OUR_INET])
    bench.until(lambda: OUR_INET in theirs.view("inet"), "our route over there")
    assert theirs.view("inet")[OUR_INET].as_path == (4200000002,)
    bench.until(lambda: ("them", INET, THEIR_INET) in bench.routes.table, "their route")
    assert bench.routes.table["them", INET, THEIR_INET][0].as_path.text == "4200000001"
    record.held(router.name, SESSION, FOUR_OCTET_AS)


@pytest.mark.parametrize(("ours", "theirs", "agreed"), [(30, 6, 6), (6, 90, 6)])
def test_hold_time_negotiation(
    bench: Bench, router: type[Router], ours: int, theirs: int, agreed: int, record: Record
) -> None:
    peer, daemon = meet(
        bench, router, speaker={"hold_time": ours}, session={"hold_time": theirs, "connect": False, "announce": False}
    )
    assert peer.negotiated is not None
    assert peer.negotiated.hold_time == agreed
    bench.until(lambda: daemon.hold_time() == agreed, "the same hold time over there")
    counters, before = peer.counters, (peer.counters.rx.keepalive, peer.counters.tx.keepalive)
    bench.until(
        lambda: counters.rx.keepalive > before[0] and counters.tx.keepalive > before[1],
        "keepalives both ways",
        seconds=agreed,
    )
    assert peer.state is State.ESTABLISHED
    record.held(router.name, SESSION, HOLD_TIME)


@pytest.mark.parametrize("they_are_higher", [True, False], ids=["higher", "lower"])
def test_collision_keeps_the_connection_of_the_higher_identifier(
    bench: Bench, router: type[Router], they_are_higher: bool, record: Record
) -> None:
    """They connect and are stopped; we accept only once our own connection is there too: both ends have two.

    RFC 4271 6.8 and RFC 6286 choose: that of the speaker with the higher identifier stays.
    """
    identifier = "10.255.1.2" if they_are_higher else "10.254.1.2"
    session = {"router_id": identifier, "announce": False}
    peer, theirs = meet(bench, router, session=session, wait=False, passive=False)
    ports = bench.speakers[0].port or 0, theirs.port
    (listener,) = (port for port in bench.reactor.getReaders() if isinstance(port, Port))
    bench.reactor.removeReader(listener)
    wait_for_connection(THEIRS, OURS, ports[0])
    theirs.kill(signal.SIGSTOP)
    try:
        bench.until(lambda: peer.state is State.OPEN_SENT, "our connection")
        both = between(ports)
        assert len(both) == 2
        bench.reactor.addReader(listener)
        bench.turn(0.1)
    finally:
        theirs.kill(signal.SIGCONT)
    bench.up(peer)
    bench.until(lambda: len(between(ports)) == 1, "one connection")
    bench.turn(0.5)
    assert peer.state is State.ESTABLISHED
    assert peer.counters.flaps == 0
    assert peer.local_address is not None and peer.remote_address is not None
    survivor = peer.local_address[1], peer.remote_address[1]
    assert between(ports) == {survivor}
    assert (survivor in both) is (they_are_higher or router.takes_second_connection)
    assert (survivor[0] == ports[0]) is they_are_higher
    assert (survivor[1] == ports[1]) is not they_are_higher
    if survivor in both:
        record.held(router.name, SESSION, COLLISION_THEIRS if they_are_higher else COLLISION_OURS)


def between(listening: tuple[int, int]) -> set[tuple[int, int]]:
    """Ports of the connections of this test: one end is where we listen, or where they do."""
    return {pair for pair in connections(OURS, THEIRS) if pair[0] == listening[0] or pair[1] == listening[1]}


def connections(local: str, remote: str) -> set[tuple[int, int]]:
    """Ports (local, remote) of the kernel's established TCP connections between two addresses."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = [IPv4Address(address).packed[::-1].hex().upper() for address in (local, remote)]
    ends = [(*line[1].split(":"), *line[2].split(":")) for line in lines if line[3] == "01"]
    return {(int(port, 16), int(other, 16)) for here, port, there, other in ends if [here, there] == wanted}


def wait_for_connection(source: str, destination: str, port: int) -> None:
    """Until somebody at `source` is connected to this port; our reactor does not turn meanwhile."""
    end = time.monotonic() + 60
    while not any(remote == port for _, remote in connections(source, destination)):
        assert time.monotonic() < end, "they do not connect"
        time.sleep(0.02)


@pytest.mark.parametrize("router", RESTARTING, ids=lambda router: router.name)
def test_graceful_restart_keeps_and_sweeps(bench: Bench, router: type[Router], record: Record) -> None:
    installed(router)
    bench.routes.send_end_of_rib = True
    helper = GracefulRestartSettings(enabled=True, helper=True)
    peer, theirs = meet(
        bench, router, RFC, speaker={"graceful_restart": helper}, session={"graceful_restart": 60, "connect": False}
    )
    bench.until(lambda: len(bench.routes.table) == len(router.announces), "their routes")
    assert peer.core.helper.obstacle() is None, peer.core.helper.obstacle()
    assert peer.core.helper.announced.time == 60
    theirs.stop(signal.SIGKILL)
    bench.until(lambda: peer.state is not State.ESTABLISHED, "the loss")
    assert bench.routes.told[-1] == "closed gracefully"
    theirs.start()
    theirs.after_start()
    bench.up(peer)
    bench.until(lambda: "sweep" in bench.routes.told, "End-of-RIB of all families", seconds=90)
    assert peer.state is State.ESTABLISHED
    assert peer.rows()["flap_count"] == 1
    assert peer.negotiated is not None, "without it no UPDATE is read any more"
    record.held(router.name, SESSION, THEIR_RESTART)


@pytest.mark.parametrize("router", [Bird, Frr], ids=lambda router: router.name)
def test_a_new_connection_says_that_the_peer_restarted(bench: Bench, router: type[Router]) -> None:
    """RFC 4724 5: the cable is cut, so nobody hears of the daemon's end; its next connection replaces the session."""
    installed(router)
    bench.routes.send_end_of_rib = True
    helper = GracefulRestartSettings(enabled=True, helper=True)
    ours = bench.speaker(RFC, graceful_restart=helper)
    cable = Cable(bench.reactor, ours.port or 0)
    theirs = router(bench.directory, Session(port=cable.port, families=router.families, graceful_restart=60))
    peer = ours.add_peer(settings(families=tuple(Family.from_name(name) for name in router.families)))
    bench.start(theirs)
    theirs.after_start()
    try:
        bench.up(peer)
        bench.until(lambda: len(bench.routes.table) == len(router.announces), "their routes")
        bench.until(lambda: bench.routes.complete == {INET, VPN}, "their End-of-RIB")
        cable.cut()
        before = cable.connections
        theirs.stop(signal.SIGKILL)
        theirs.start()
        theirs.after_start()
        assert bench.routes.told.count("established") == 1
        bench.until(lambda: "sweep" in bench.routes.told, "a session and End-of-RIB of all families")
        assert peer.state is State.ESTABLISHED
        sequence = [line for line in bench.routes.told if not line.startswith("end-of-rib")]
        assert sequence == ["established", "closed gracefully", "established", "sweep"]
        assert cable.connections == before + 1, "the first one was taken"
        assert peer.counters.tx.notification == 0
    finally:
        cable.close()


@pytest.mark.parametrize("router", HELPING, ids=lambda router: router.name)
def test_they_help_us_to_restart(bench: Bench, router: type[Router], record: Record) -> None:
    """We die without a word: our routes stay over there; after we are back, those we do not announce again go."""
    installed(router)
    bench.routes.send_end_of_rib = False
    restart: dict[str, Any] = {
        "port": free_port(OURS),  # nobody's while we are away
        "graceful_restart": GracefulRestartSettings(enabled=True, time=60, restarting=True),
    }
    wanted = {"graceful_restart": 60, "announce": False, "connect": False}
    peer, theirs = meet(bench, router, RFC, speaker=restart, session=wanted)
    announce(peer, INET, [OUR_INET, "192.0.2.128/25"])
    bench.until(lambda: len(theirs.view("inet")) == 2, "our routes over there")
    bench.speakers[0].stop(quietly=True)
    bench.turn(2)
    assert len(theirs.view("inet")) == 2, "they keep stale routes"

    second = bench.speaker(RFC, **restart)
    peer = second.add_peer(peer.settings)
    bench.up(peer)
    announce(peer, INET, [OUR_INET])
    for family in (INET, VPN):
        peer.send_end_of_rib(family)
    bench.until(lambda: set(theirs.view("inet")) == {OUR_INET}, "the stale route is swept")
    record.held(router.name, SESSION, OUR_RESTART)
