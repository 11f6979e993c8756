"""A BGP peer's routes and what it hears: joins, limits, restarts (reference/bgp.md 1.8, 1.9, 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from control.node.conftest import AS, BLUE, Bench, route

from contrail_emulator.control.bgp import community, ext_community, sent
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.counters import Counters, UpdateCounters
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.settings import FamilySettings, PeerSettings
from contrail_emulator.control.bgp.update import write_withdrawn
from contrail_emulator.control.channels.bgp_encoder import BgpEncoder
from contrail_emulator.control.channels.bgp_peer import Local, PeerChannel
from contrail_emulator.control.routing import GroupKey
from contrail_emulator.control.routing.route_targets import target_key

LOST = CloseReason(0, 0, False, graceful=True)
ENDED = CloseReason(6, 2, False, graceful=False)
KEY = bytes.fromhex("0001c00002630001") + b"\x20" + bytes([10, 7, 0, 1])
OTHER_KEY = KEY[:-1] + b"\x02"
LABEL = bytes.fromhex("000191")
VPN = "bgp.l3vpn.0"


class FakePeer:
    """What a channel sees of a peer; `sent` are the messages, `families_ended` the End-of-RIBs."""

    name = "gateway"
    blocked = False
    long_lived = False

    def __init__(self, *families: Family, limit: int = 0, identifier: int = 7, asn: int = AS) -> None:
        limits = tuple((family, FamilySettings(prefix_limit=limit)) for family in families)
        self.settings = PeerSettings(
            name=self.name, address="203.0.113.1", autonomous_system=asn, families=families, family_settings=limits
        )
        self.families = families
        self.identifier = identifier
        self.sent: list[bytes] = []
        self.counters = Counters()
        self.families_ended: list[Family] = []
        self.counts: list[tuple[Family, int]] = []

    @property
    def negotiated(self) -> Any:
        return SimpleNamespace(families=self.families, as4=True, peer_identifier=self.identifier)

    def send(self, data: bytes, *, tallied: bool = False) -> bool:
        self.sent.append(data)
        return not self.blocked

    def send_end_of_rib(self, family: Family) -> bool:
        self.families_ended.append(family)
        return True

    def prefixes(self, family: Family, count: int) -> bool:
        self.counts.append((family, count))
        limit = self.settings.of_family(family).prefix_limit
        return not limit or count <= limit

    def told(self, key: bytes) -> bool:
        """Whether a VPN route was announced, since the last time."""
        sent, self.sent = b"".join(self.sent), []
        return key in sent


def update(*reach: tuple[Family, Attributes, Sequence[tuple[bytes, bytes]]]) -> Any:
    found = [SimpleNamespace(family=family, attributes=given, routes=routes) for family, given, routes in reach]
    return SimpleNamespace(reach=found, unreach=[])


def attributes(*communities: int, target: str = "target:64512:8", path: tuple[int, ...] = ()) -> Attributes:
    return Attributes.make(
        origin=0,
        next_hop=bytes([203, 0, 113, 1]),
        local_pref=100,
        communities=communities,
        as_path=AsPath.sequence(*path) if path else AsPath(()),
        ext_communities=(ext_community.route_target(target), ext_community.encapsulation("gre")),
    )


def channel(bench: Bench, peer: FakePeer) -> PeerChannel:
    local = Local(
        autonomous_system=AS, router_id=0x0AFF0001, cluster_id=0, started=0.0, end_of_rib_timeout=300,
        hold_back_end_of_rib=True, configured=lambda: True,
    )  # fmt: skip
    made = PeerChannel(peer, bench.core, bench.clock, local)
    made.established()
    bench.flush()
    return made


def with_agent_route(bench: Bench) -> bytes:
    """A VPN route of an agent; its prefix as it stands on the wire."""
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    agent.publish(route())
    bench.flush()
    return bytes.fromhex("0001c00002010001") + bytes([10, 1, 1, 3])


def test_without_route_target_family_everything_is_told_at_once(bench: Bench) -> None:
    wire = with_agent_route(bench)
    peer = FakePeer(Family.INET_VPN)
    channel(bench, peer)
    assert peer.told(wire)


def test_a_filtering_peer_waits_for_its_end_of_rib_then_gets_what_it_asked_for(bench: Bench) -> None:
    wire = with_agent_route(bench)
    peer = FakePeer(Family.INET_VPN, Family.ROUTE_TARGET)
    made = channel(bench, peer)
    assert not peer.told(wire)
    made.end_of_rib(Family.ROUTE_TARGET, assumed=True)
    made.end_of_rib(Family.ROUTE_TARGET, assumed=False)
    bench.flush()
    assert not peer.told(wire), "it asked for nothing"
    asked = target_key(AS, ext_community.route_target("target:64512:8"))
    made.received(update((Family.ROUTE_TARGET, attributes(), [(asked, b"")])))
    bench.flush()
    assert peer.told(wire)


def test_routes_come_and_go_with_the_session(bench: Bench) -> None:
    peer = FakePeer(Family.INET_VPN)
    made = channel(bench, peer)
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)]), (Family.E_VPN, attributes(), [(b"x", b"")])))
    assert made.counters["routes_of_other_families"] == 1
    row = made.row()
    assert (row["routes_in"], row["primary_path_count"]) == (1, 1)
    assert row["routing_tables"] == [{"name": VPN}]
    made.closed(ENDED)
    bench.flush()
    assert bench.prefixes(VPN) == []
    assert made.row()["routing_tables"] == []
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)])))
    bench.flush()
    assert bench.prefixes(VPN) == [], "nothing counts after the end"


def test_prefix_limit_counts_what_the_peer_has_told(bench: Bench) -> None:
    peer = FakePeer(Family.INET_VPN, limit=1)
    made = channel(bench, peer)
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)])))
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)])))
    made.received(update((Family.INET_VPN, attributes(), [(OTHER_KEY, LABEL)])))
    assert peer.counts == [(Family.INET_VPN, 1), (Family.INET_VPN, 1), (Family.INET_VPN, 2)]


def test_graceful_restart_keeps_sweeps_and_never_keeps_trees(bench: Bench) -> None:
    peer = FakePeer(Family.INET_VPN, Family.ERM_VPN)
    made = channel(bench, peer)
    tree = bytes((1, 22)) + bytes(8) + bytes([10, 255, 0, 9]) + b"\x20" + bytes(4) + b"\x20" + b"\xff" * 4
    made.received(
        update(
            (Family.INET_VPN, attributes(), [(KEY, LABEL), (OTHER_KEY, LABEL)]),
            (Family.ERM_VPN, attributes(), [(tree, b"")]),
        )
    )
    bench.flush()
    made.closed(LOST)
    bench.flush()
    assert bench.prefixes("bgp.ermvpn.0") == []
    assert {path["flags"] for prefix in bench.prefixes(VPN) for path in bench.paths(VPN, prefix)} == {"Stale"}
    made.established()
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)])))
    made.end_of_rib(Family.INET_VPN, assumed=False)
    bench.flush()
    assert len(bench.prefixes(VPN)) == 2, "the sweep is one for all families"
    made.sweep_stale()
    bench.flush()
    assert bench.prefixes(VPN) == ["192.0.2.99:1:10.7.0.1/32"]


def test_long_lived_stale_routes(bench: Bench) -> None:
    peer = FakePeer(Family.INET_VPN)
    made = channel(bench, peer)
    made.received(update((Family.INET_VPN, attributes(), [(KEY, LABEL)])))
    made.received(update((Family.INET_VPN, attributes(community.NO_LLGR), [(OTHER_KEY, LABEL)])))
    made.closed(LOST)
    made.long_lived_stale()
    bench.flush()
    assert bench.prefixes(VPN) == ["192.0.2.99:1:10.7.0.1/32"]
    assert bench.paths(VPN, "192.0.2.99:1:10.7.0.1/32")[0]["flags"] == "Stale LlgrStale"
    made.sweep_stale()
    bench.flush()
    assert bench.prefixes(VPN) == []


def test_routes_that_a_peer_is_sent_are_counted_and_those_that_no_message_can_carry_are_not(bench: Bench) -> None:
    one, two = FakePeer(Family.INET_VPN, asn=65001), FakePeer(Family.INET_VPN, asn=65002)
    two.name = "gateway-2"
    made = channel(bench, one)
    channel(bench, two)
    huge = attributes(*range(900, 2000), path=(65001,))
    usual = attributes(path=(65001,))
    made.received(update((Family.INET_VPN, huge, [(KEY, LABEL)]), (Family.INET_VPN, usual, [(OTHER_KEY, LABEL)])))
    bench.flush()
    assert [sent.count(b"".join(two.sent))[1:3]] == [(1, 1)]
    assert two.counters.tx_updates == UpdateCounters(reach=1, unreach=1)
    made.closed(LOST)
    bench.flush()
    assert two.counters.tx_updates.unreach == sent.count(b"".join(two.sent)).unreach
    assert one.counters.tx_updates == UpdateCounters()


def test_another_router_behind_the_name_begins_anew(bench: Bench) -> None:
    for change in ({"identifier": 8}, {"asn": 65001}):
        peer = FakePeer(Family.INET_VPN)
        made = channel(bench, peer)
        made.received(update((Family.INET_VPN, attributes(path=(65001,)), [(KEY, LABEL)])))
        made.closed(LOST)
        made.peer = FakePeer(Family.INET_VPN, **change)
        made.established()
        bench.flush()
        assert bench.prefixes(VPN) == []
        made.removed()


def test_end_of_rib_is_held_back_at_the_start(bench: Bench) -> None:
    peer = FakePeer(Family.INET_VPN)
    channel(bench, peer)
    bench.clock.pump([1] * 59)
    assert peer.families_ended == []
    bench.clock.pump([1, 1])
    assert peer.families_ended == [Family.INET_VPN]
    assert bench.clock.getDelayedCalls() == []


def test_a_route_that_no_message_can_carry_is_withdrawn_and_others_go() -> None:
    """RFC 4271 9.2: it is not advertised; an earlier version of it must not stay with the peers."""
    encoder, key = BgpEncoder(), GroupKey(encoding="bgp", peer_type="ibgp")
    huge = attributes(*range(1, 1100))
    gone, other_gone = (write_withdrawn(Family.INET_VPN, [nlri]) for nlri in (KEY, OTHER_KEY))
    assert encoder.reach(VPN, Family.INET_VPN, "", key, [(KEY, ((huge, LABEL),))]) == gone
    assert encoder.build_errors == 1
    without = attributes().replace(next_hop=b"")
    both = [(KEY, ((without, LABEL),)), (OTHER_KEY, ((without, LABEL),))]
    assert encoder.reach(VPN, Family.INET_VPN, "", key, both) == [*gone, *other_gone]
    assert encoder.build_errors == 3
    tight = next(
        found
        for count in range(950, 1010)
        if BgpEncoder().reach(
            VPN, Family.INET_VPN, "", key, [(KEY, (((found := attributes(*range(1, count))), LABEL),))]
        )
        == gone
    )
    fits = bytes.fromhex("0001c00002630001") + b"\x00"
    messages = BgpEncoder().reach(VPN, Family.INET_VPN, "", key, [(KEY, ((tight, LABEL),)), (fits, ((tight, LABEL),))])
    assert [len(message) > 4000 for message in messages] == [False, True], "the shorter one fits"


def test_a_path_without_next_hop_from_a_peer_does_not_stop_routing(bench: Bench) -> None:
    """An inet6-vpn next hop that is not IPv4-mapped leaves the path without one (reference/bgp.md 2.2)."""
    bench.add_instance()
    agent = bench.agent()
    agent.subscribe()
    giver, taker = FakePeer(Family.INET6_VPN, asn=65001), FakePeer(Family.INET6_VPN, asn=65002)
    made = channel(bench, giver)
    channel(bench, taker)
    key = bytes.fromhex("0001c00002630001") + b"\x80" + bytes(15) + b"\x07"
    bare = attributes(path=(65001,)).replace(next_hop=b"")
    made.received(update((Family.INET6_VPN, bare, [(key, LABEL)])))
    bench.flush()
    assert taker.sent == write_withdrawn(Family.INET6_VPN, [key])
    assert list(agent.hear()[0]) == ["2/1 ::7/128"]
    assert BLUE in bench.core.instances
