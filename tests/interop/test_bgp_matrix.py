"""Each daemon in each family it speaks: routes both ways with all attributes, withdrawals, End-of-RIB.

One session per daemon and profile carries all families; it is iBGP, so that LOCAL_PREF is seen as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from interop.bench import THEIRS, Bench
from interop.daemons import NEXT_HOP, NEXT_HOP6, ROUTE_TARGET, ROUTES, VNI, Router, Seen, Session, Support
from interop.record import Record
from interop.routers import ROUTERS, installed
from interop.table import promise

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import community, ext_community, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes, PmsiTunnel
from contrail_emulator.control.bgp.attributes.pmsi import INGRESS_REPLICATION
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.nlri import codec, label, label_bytes
from contrail_emulator.control.bgp.settings import GracefulRestartSettings, PeerSettings

AS = 64512
OUR_HOP, OUR_HOP6 = IPv4Address("10.255.0.1"), IPv6Address("2001:db8::1")
OUR_LABEL, OUR_VNI = 77, 7001
NO_SEGMENT = bytes(10)


@dataclass(frozen=True)
class Ours:
    """A route we announce: as we print it, what follows the key, and how the peer's view names it."""

    text: str
    payload: bytes
    shown: str


_LABEL = label_bytes(OUR_LABEL, False)
_VNI = label_bytes(OUR_VNI, True)
_MAC_ROUTE = "2-64512:5-0-02:00:00:00:00:01,10.1.0.5"
_MULTICAST_ROUTE = "3-64512:5-0-10.255.0.1"
_PREFIX_ROUTE = "5-64512:5-0-10.8.0.0/16"
_MEMBERSHIP = "64512:target:64512:200"

OURS: dict[Family, tuple[Ours, ...]] = {
    Family.INET: (Ours("192.0.2.0/25", b"", "192.0.2.0/25"),),
    Family.INET6: (Ours("2001:db8:a::/48", b"", "2001:db8:a::/48"),),
    Family.INET_LABELED: (Ours("192.0.2.128/25", _LABEL, "192.0.2.128/25"),),
    Family.INET_VPN: (Ours("64512:5:10.1.0.0/24", _LABEL, "10.1.0.0/24"),),
    Family.INET6_VPN: (Ours("64512:5:2001:db8:b::/48", _LABEL, "2001:db8:b::/48"),),
    Family.ROUTE_TARGET: (Ours(_MEMBERSHIP, b"", _MEMBERSHIP),),
    Family.E_VPN: (
        Ours(_MAC_ROUTE, NO_SEGMENT + _VNI, _MAC_ROUTE),
        Ours(_MULTICAST_ROUTE, b"", _MULTICAST_ROUTE),
        Ours(_PREFIX_ROUTE, NO_SEGMENT + bytes(4) + _VNI, _PREFIX_ROUTE),
    ),
}


def next_hop(family: Family, behaviour: Behaviour) -> bytes:
    """A control node gives IPv6 routes its IPv4 address, mapped (reference/bgp.md 2.2)."""
    return OUR_HOP6.packed if family.afi == 2 and not behaviour.inet_in_mp_reach else OUR_HOP.packed


def attributes(family: Family, behaviour: Behaviour, multicast: bool) -> Attributes:
    evpn = family is Family.E_VPN
    targets = (ext_community.parse("target:64512:200"),) if evpn or "vpn" in family.config_name else ()
    pmsi = PmsiTunnel.make(0, INGRESS_REPLICATION, OUR_VNI, OUR_HOP.packed, True) if multicast else None
    return Attributes.make(
        origin=0,
        as_path=AsPath.sequence(65010, 65011),
        next_hop=next_hop(family, behaviour),
        med=30,
        local_pref=120,
        communities=(community.parse("64512:9"),),
        ext_communities=(*targets, *((ext_community.VXLAN,) if evpn else ())),
        pmsi=pmsi,
    )


def expected(family: Family, behaviour: Behaviour, hides: frozenset[str]) -> Seen:
    """What the peer should show of a route of ours."""
    evpn, vpn = family is Family.E_VPN, family in (Family.INET_VPN, Family.INET6_VPN)
    numbered = OUR_VNI if evpn else OUR_LABEL if vpn or family is Family.INET_LABELED else None
    seen = Seen(
        next_hop=str(ip_address(next_hop(family, behaviour))),
        label=numbered,
        as_path=(65010, 65011),
        med=30,
        local_pref=120,
        rd="64512:5" if vpn or evpn else None,
        communities=frozenset({"64512:9"}),
        targets=frozenset({"64512:200"}) if vpn or evpn else frozenset(),
        encapsulation=8 if evpn else None,
    )
    return without(seen, hides)


def without(seen: Seen, fields: frozenset[str]) -> Seen:
    """A Seen with some fields as if they had not been printed, and an IPv4 next hop unmapped."""
    hop = ip_address(seen.next_hop)
    mapped = hop.ipv4_mapped if isinstance(hop, IPv6Address) else None
    empty = Seen(next_hop=str(mapped or hop))
    return replace(seen, next_hop=empty.next_hop, **{name: getattr(empty, name) for name in fields})


@dataclass
class Table:
    """An established session in all families the daemon speaks."""

    bench: Bench
    peer: Peer
    daemon: Router
    behaviour: Behaviour

    def support(self, family: Family) -> Support:
        return self.daemon.spoken()[family.config_name]

    def theirs(self, family: Family) -> dict[str, tuple[Attributes, bytes]]:
        """Their routes in a family, as we print them."""
        return {
            codec(family).text(key): route for (_, of, key), route in self.bench.routes.table.items() if of is family
        }


Meeting = tuple[type[Router], Behaviour, tuple[str, ...]]
"""A daemon, our profile, and the families of their session."""


def cells() -> Iterator[Any]:
    """Each meeting with each of its families."""
    for router in ROUTERS:
        for name, behaviour in (("contrail", CONTRAIL), ("rfc", RFC)):
            for families in router.sessions():
                for family in families:
                    marks = pytest.mark.xdist_group(f"{router.name}-{name}")
                    cell = (router, behaviour, families), Family.from_name(family)
                    yield pytest.param(*cell, id=f"{router.name}-{name}-{family}", marks=marks)


class Tables:
    """Keeps the last meeting's session, for the next family of it."""

    def __init__(self, directories: pytest.TempPathFactory) -> None:
        self._directories = directories
        self._open: tuple[Meeting, Table] | None = None

    def get(self, meeting: Meeting) -> Table:
        if self._open is not None and self._open[0] == meeting:
            return self._open[1]
        self.close()
        bench = Bench(self._directories.mktemp(meeting[0].name))
        with ExitStack() as stack:
            stack.callback(bench.close)
            table = meet(bench, *meeting)
            stack.pop_all()
        self._open = meeting, table
        return table

    def close(self) -> None:
        if self._open is not None:
            self._open[1].bench.close()
            self._open = None


def meet(bench: Bench, router: type[Router], behaviour: Behaviour, families: tuple[str, ...]) -> Table:
    # In profile rfc only this announces the graceful restart capability, without which some send no End-of-RIB.
    restart = GracefulRestartSettings(enabled=behaviour is RFC)
    ours = bench.speaker(behaviour, graceful_restart=restart)
    daemon = router(bench.directory, Session(port=ours.port or 0, families=families, local_as=AS, connect=False))
    settings = PeerSettings(
        name="them",
        address=THEIRS,
        port=daemon.port,
        autonomous_system=AS,
        families=tuple(Family.from_name(name) for name in families),
    )
    peer = ours.add_peer(settings)
    bench.start(daemon)
    daemon.after_start()
    bench.up(peer)
    return Table(bench, peer, daemon, behaviour)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    made = Tables(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture
def table(request: pytest.FixtureRequest, tables: Tables) -> Table:
    """An established session of the wanted meeting."""
    installed(request.param[0])
    return tables.get(request.param)


def announce(table: Table, family: Family) -> None:
    negotiated = table.peer.negotiated
    assert negotiated is not None
    for route in OURS[family]:
        made = attributes(family, table.behaviour, route.text.startswith("3-"))
        routes = [(codec(family).key(route.text), route.payload)]
        for message in update.write(family, made, routes, negotiated.as4, table.behaviour):
            table.peer.send(message)
    table.peer.send_end_of_rib(family)


def withdraw(table: Table, family: Family) -> None:
    keys = [codec(family).key(route.text) for route in OURS[family]]
    for message in update.write_withdrawn(family, keys, table.behaviour):
        table.peer.send(message)


@pytest.mark.parametrize(("table", "family"), list(cells()), indirect=["table"])
def test_routes_both_ways(table: Table, family: Family, record: Record) -> None:
    bench, daemon, name = table.bench, table.daemon, family.config_name
    profile = "rfc" if table.behaviour is RFC else "contrail"

    def held(column: str) -> None:
        record.held(daemon.name, name, column, profile)

    def can(column: str) -> bool:
        return promise(type(daemon), name, column, profile) is None

    if can("their route here"):
        wanted = set(table.support(family).routes or ROUTES[name])
        bench.until(lambda: set(table.theirs(family)) == wanted, f"{wanted}, we have {list(table.theirs(family))}")
        for text, (attributes_, payload) in table.theirs(family).items():
            check_theirs(table, family, text, attributes_, payload)
        held("their route here")
    if can("their End-of-RIB"):
        bench.until(lambda: family in bench.routes.complete, "their End-of-RIB")
        held("their End-of-RIB")
    if can("their withdrawal"):
        daemon.withdraw(name)
        bench.until(lambda: not table.theirs(family), "their withdrawal")
        held("their withdrawal")

    if can("our route there"):
        announce(table, family)
        bench.until(lambda: len(daemon.view(name)) == len(OURS[family]), "our routes over there")
        hides = table.support(family).hides
        seen = {shown: without(route, hides) for shown, route in daemon.view(name).items()}
        assert seen == {route.shown: expected(family, table.behaviour, hides) for route in OURS[family]}
        held("our route there")
        bench.until(lambda: (seen := daemon.ends_of_rib()) is None or name in seen, "our End-of-RIB over there")
        withdraw(table, family)
    if can("our withdrawal"):
        bench.until(lambda: not daemon.view(name), "our withdrawal over there")
        held("our withdrawal")

    assert table.peer.state is State.ESTABLISHED
    assert table.peer.counters.flaps == 0


def check_theirs(table: Table, family: Family, text: str, attributes: Attributes, payload: bytes) -> None:
    """Each attribute of a route of theirs. A membership has neither MED nor communities nor targets."""
    plain = family is Family.ROUTE_TARGET
    assert attributes.med == (None if plain else 50)
    assert attributes.communities == (() if plain else (65001 << 16 | 7,))
    assert (attributes.local_pref, attributes.as_path.text) == (100, "")
    if family is Family.INET6_VPN and table.behaviour.ignore_unmapped_vpn6_next_hop:
        assert attributes.next_hop == b""
    elif not plain:
        assert attributes.next_hop == ip_address(NEXT_HOP6 if family.afi == 2 else NEXT_HOP).packed
    targeted = family in (Family.INET_VPN, Family.INET6_VPN, Family.E_VPN)
    texts = {ext_community.text(raw) for raw in attributes.ext_communities}
    evpn = {"encapsulation:vxlan"} if family is Family.E_VPN else set()
    assert texts >= ({f"target:{ROUTE_TARGET}"} | evpn if targeted else set())
    if text.startswith("3-"):
        assert attributes.pmsi is not None and attributes.pmsi.label_value(True) == VNI
    elif targeted or family is Family.INET_LABELED:
        assert label(payload, bool(evpn)) == table.support(family).label
