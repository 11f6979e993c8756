"""Replication by route target: reference/bgp.md 4.1, 4.2, and the scenarios of 7.1 rows 19 and 20."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.attributes.table import AttributeType
from contrail_emulator.control.routing import Flag, Source
from contrail_emulator.control.routing.instance import MASTER_INSTANCE, InstanceSettings
from contrail_emulator.control.routing.path import Replica
from contrail_emulator.control.routing.table import Route

if TYPE_CHECKING:
    from control.routing.conftest import Bench

T1, T2, T3 = "target:64512:1", "target:64512:2", "target:64512:3"
VPN = "bgp.l3vpn.0"


def from_agent(
    bench: Bench, instance: str, prefix: str, agent: Source, number: int = 1, label: int = 17, **fields: Any
) -> None:
    fields.setdefault("local_pref", 100)
    bench.core.update(
        f"{instance}.inet.0",
        agent,
        bench.prefix(prefix),
        bench.attributes(next_hop=f"192.0.2.{number}", **fields),
        (label << 4 | 1).to_bytes(3, "big"),
        rd=rd.parse(f"192.0.2.{number}:1"),
    )


def from_router(
    bench: Bench, distinguisher: str, prefix: str, *targets: str, source: Source | None = None, **fields: Any
) -> Source:
    source = source or bench.ebgp("router")
    attributes = bench.attributes(*targets, as_path=AsPath.sequence(65001), **fields)
    bench.core.update(VPN, source, bench.vpn(distinguisher, prefix), attributes, b"\x00\x10\x01")
    return source


def best(bench: Bench, table: str, key: bytes) -> Attributes:
    path = bench.core.tables[table].routes[key].best
    assert path is not None
    return path.attributes


def communities(bench: Bench, table: str, key: bytes) -> set[str]:
    return {ext_community.text(value) for value in best(bench, table, key).ext_communities}


@pytest.fixture
def blue_red(bench: Bench) -> Bench:
    bench.add("blue", 1, [T1], [T1])
    bench.add("red", 2, [T2], [T2])
    return bench


def test_agent_route_goes_to_the_vpn_table_with_its_own_rd(blue_red: Bench) -> None:
    from_agent(blue_red, "blue", "10.1.1.3", blue_red.agent("one"), 1, label=25)
    from_agent(blue_red, "blue", "10.1.1.3", blue_red.agent("two", 2), 2)
    blue_red.flush()
    keys = {blue_red.vpn(f"192.0.2.{number}:1", "10.1.1.3") for number in (1, 2)}
    assert blue_red.keys(VPN) == keys, "two agents in one VRF give two prefixes"
    key = blue_red.vpn("192.0.2.1:1", "10.1.1.3")
    assert communities(blue_red, VPN, key) == {T1, "originvn:64512:101"}
    attributes = best(blue_red, VPN, key)
    assert attributes.next_hop == bytes([192, 0, 2, 1]) and attributes.local_pref == 100
    path = blue_red.core.tables[VPN].routes[key].best
    assert path is not None and path.payload == (25 << 4 | 1).to_bytes(3, "big")
    assert not blue_red.texts("red.inet.0")


def test_paths_without_source_rd_take_the_instances(blue_red: Bench) -> None:
    blue_red.core.update("blue.inet.0", blue_red.agent("one"), blue_red.prefix("10.0.0.0/8"), blue_red.attributes())
    blue_red.flush()
    assert blue_red.keys(VPN) == {blue_red.vpn("10.0.0.1:1", "10.0.0.0/8")}


def test_without_export_targets_nothing_leaves(bench: Bench) -> None:
    bench.add("blue", 1, [T1])
    bench.add("red", 2, [T1], [T1])
    from_agent(bench, "blue", "10.1.1.3", bench.agent("one"))
    bench.flush()
    assert not bench.keys(VPN) and not bench.keys("red.inet.0")


def test_a_route_with_its_own_target_leaves_without_exports(bench: Bench) -> None:
    bench.add("blue", 1)
    bench.add("red", 2, [T2])
    attributes = bench.attributes(T2)
    bench.core.update("blue.inet.0", bench.agent("one"), bench.prefix("10.0.0.0/8"), attributes, rd=bytes(8))
    bench.flush()
    assert len(bench.keys(VPN)) == 1 and bench.texts("red.inet.0") == {"10.0.0.0/8"}


def test_router_route_goes_to_every_importing_vrf(blue_red: Bench) -> None:
    from_router(blue_red, "65001:1", "203.0.113.0/24", T1, T2)
    from_router(blue_red, "65001:1", "198.51.100.0/24", T2)
    from_router(blue_red, "65001:1", "192.88.99.0/24", T3)
    blue_red.flush()
    assert blue_red.texts("blue.inet.0") == {"203.0.113.0/24"}
    assert blue_red.texts("red.inet.0") == {"203.0.113.0/24", "198.51.100.0/24"}
    path = blue_red.core.tables["blue.inet.0"].routes[blue_red.prefix("203.0.113.0/24")].best
    assert path is not None and path.rd == rd.parse("65001:1") and path.payload == b"\x00\x10\x01"


def test_routes_leak_between_vrfs_but_not_in_circles(bench: Bench) -> None:
    bench.add("blue", 1, [T1, T2], [T1])
    bench.add("red", 2, [T1, T2], [T2])
    from_agent(bench, "blue", "10.1.1.3", bench.agent("one"))
    bench.flush()
    assert bench.texts("red.inet.0") == {"10.1.1.3/32"}
    assert len(bench.keys(VPN)) == 1
    (path,) = bench.core.tables["red.inet.0"].routes[bench.prefix("10.1.1.3")].paths()
    assert isinstance(path, Replica) and not path.replicas
    assert communities(bench, "red.inet.0", bench.prefix("10.1.1.3")) == {T1, "originvn:64512:101"}


def test_the_automatic_targets_are_imported(bench: Bench) -> None:
    bench.add("blue", 7)
    from_router(bench, "65001:1", "203.0.113.0/24", "target:10.0.0.1:7")
    from_router(bench, "65001:1", "198.51.100.0/24", "target:64512:7999999")
    bench.flush()
    assert bench.texts("blue.inet.0") == {"203.0.113.0/24", "198.51.100.0/24"}


def test_four_byte_as_has_its_own_automatic_target(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(autonomous_system=4200000000)
    bench.add("blue", 7)
    texts = {ext_community.text(value) for value in bench.core.instances["blue"].imports}
    assert texts == {"target:10.0.0.1:7", "target:4200000000:7999"}


def test_master_inet_is_not_replicated(bench: Bench) -> None:
    bench.add("blue", 1, [T1], [T1])
    bench.core.update("inet.0", bench.ebgp("r"), bench.prefix("10.0.0.0/8"), bench.attributes(T1))
    bench.flush()
    assert not bench.keys(VPN) and not bench.keys("blue.inet.0")


def test_ipv6_follows_the_same_rules(blue_red: Bench) -> None:
    key = bytes([128]) + bytes.fromhex("20010db8000000000000000000000003")
    attributes = blue_red.attributes(local_pref=100)
    source_rd = rd.parse("192.0.2.1:1")
    blue_red.core.update("blue.inet6.0", blue_red.agent("one"), key, attributes, b"\0\x01\x91", rd=source_rd)
    router_key = rd.parse("65001:1") + bytes([32]) + bytes.fromhex("20010db8")
    blue_red.core.update("bgp.l3vpn-inet6.0", blue_red.ebgp("r"), router_key, blue_red.attributes(T2), b"\0\x01\x91")
    blue_red.flush()
    assert blue_red.keys("bgp.l3vpn-inet6.0") == {source_rd + key, router_key}
    assert blue_red.keys("red.inet6.0") == {router_key[8:]}


# --- which paths -----------------------------------------------------------------------------------------------------


def test_only_paths_of_equal_cost_with_the_best_are_copied(blue_red: Bench) -> None:
    one, two, three = (blue_red.agent(name, i) for i, name in enumerate(("one", "two", "three"), 1))
    from_agent(blue_red, "blue", "10.1.1.3", one, 1, local_pref=200)
    from_agent(blue_red, "blue", "10.1.1.3", two, 2, local_pref=200)
    from_agent(blue_red, "blue", "10.1.1.3", three, 3, local_pref=100)
    blue_red.flush()
    assert blue_red.keys(VPN) == {blue_red.vpn(f"192.0.2.{n}:1", "10.1.1.3") for n in (1, 2)}
    blue_red.core.withdraw_source(one)
    blue_red.core.withdraw_source(two)
    blue_red.flush()
    assert blue_red.keys(VPN) == {blue_red.vpn("192.0.2.3:1", "10.1.1.3")}


def test_a_better_copy_withdraws_the_vrfs_own_copies(blue_red: Bench) -> None:
    from_agent(blue_red, "blue", "10.1.1.3", blue_red.agent("one"))
    blue_red.flush()
    router = from_router(blue_red, "65001:1", "10.1.1.3", T1, local_pref=200)
    blue_red.flush()
    assert blue_red.keys(VPN) == {blue_red.vpn("65001:1", "10.1.1.3")}
    blue_red.core.withdraw_source(router)
    blue_red.flush()
    assert blue_red.keys(VPN) == {blue_red.vpn("192.0.2.1:1", "10.1.1.3")}


def test_infeasible_best_withdraws_the_copies(blue_red: Bench) -> None:
    router = from_router(blue_red, "65001:1", "203.0.113.0/24", T1)
    blue_red.flush()
    key = blue_red.vpn("65001:1", "203.0.113.0/24")
    attributes = blue_red.attributes(T1, as_path=AsPath.sequence(65001, 64512))
    blue_red.core.update(VPN, router, key, attributes, flags=int(Flag.AS_PATH_LOOPED))
    blue_red.flush()
    assert blue_red.keys(VPN) == {key} and not blue_red.keys("blue.inet.0")


def test_multiple_paths_of_different_rds_are_ecmp_in_the_vrf(blue_red: Bench) -> None:
    router = blue_red.ebgp("router")
    for number in (1, 2):
        from_router(blue_red, f"65001:{number}", "203.0.113.0/24", T1, source=router, next_hop=f"192.0.2.{number}")
    sink = blue_red.join("blue.inet.0", "xmpp")
    blue_red.flush()
    route = blue_red.core.tables["blue.inet.0"].routes[blue_red.prefix("203.0.113.0/24")]
    assert len(list(route.ecmp_paths())) == 2
    assert len(sink.rib[blue_red.prefix("203.0.113.0/24")]) == 2


def test_an_update_changes_the_copies_in_place(blue_red: Bench) -> None:
    agent = blue_red.agent("one")
    peer = blue_red.join(VPN)
    from_agent(blue_red, "blue", "10.1.1.3", agent)
    blue_red.flush()
    from_agent(blue_red, "blue", "10.1.1.3", agent, label=18, med=5)
    blue_red.flush()
    key = blue_red.vpn("192.0.2.1:1", "10.1.1.3")
    assert peer.log == [("reach", key), ("reach", key)]
    assert peer.rib[key][0][1] == (18 << 4 | 1).to_bytes(3, "big") and peer.attributes(key).med == 5


def test_a_new_rd_moves_the_copy(blue_red: Bench) -> None:
    agent = blue_red.agent("one")
    peer = blue_red.join(VPN)
    from_agent(blue_red, "blue", "10.1.1.3", agent, 1)
    blue_red.flush()
    from_agent(blue_red, "blue", "10.1.1.3", agent, 2)
    blue_red.flush()
    assert set(peer.rib) == blue_red.keys(VPN) == {blue_red.vpn("192.0.2.2:1", "10.1.1.3")}


# --- targets that change ---------------------------------------------------------------------------------------------


def test_import_targets_that_change(blue_red: Bench) -> None:
    from_router(blue_red, "65001:1", "203.0.113.0/24", T1)
    from_router(blue_red, "65001:1", "198.51.100.0/24", T3)
    blue_red.flush()
    peer = blue_red.join(VPN)
    blue_red.flush()
    blue_red.core.update_instance(blue_red.instance("blue", 1, [T1, T3], [T1]))
    blue_red.flush()
    assert blue_red.texts("blue.inet.0") == {"203.0.113.0/24", "198.51.100.0/24"}
    blue_red.core.update_instance(blue_red.instance("blue", 1, [T3], [T1]))
    blue_red.flush()
    assert blue_red.texts("blue.inet.0") == {"198.51.100.0/24"}
    assert len(peer.log) == 2, "peers hear nothing of imports"


def test_export_targets_that_change(blue_red: Bench) -> None:
    from_agent(blue_red, "blue", "10.1.1.3", blue_red.agent("one"))
    peer = blue_red.join(VPN)
    blue_red.flush()
    key = blue_red.vpn("192.0.2.1:1", "10.1.1.3")
    blue_red.core.update_instance(blue_red.instance("blue", 1, [T1], [T2]))
    blue_red.flush()
    assert blue_red.texts("red.inet.0") == {"10.1.1.3/32"}
    assert communities(blue_red, VPN, key) == {T2, "originvn:64512:101"}
    assert T2 in {ext_community.text(value) for value in peer.attributes(key).ext_communities}
    blue_red.core.update_instance(blue_red.instance("blue", 1, [T1]))
    blue_red.flush()
    assert not blue_red.keys("red.inet.0") and not blue_red.keys(VPN) and not peer.rib


def test_only_what_a_change_touches_is_replicated_anew(blue_red: Bench) -> None:
    for number in range(20):
        from_router(blue_red, "65001:1", f"203.0.{number}.0/24", T1 if number < 5 else T2)
    blue_red.flush()
    seen: list[Route] = []
    for table in blue_red.core.tables.values():
        if table.listener is None:
            table.listener = seen.append
    blue_red.core.update_instance(blue_red.instance("red", 2, [T2, T1], [T2]))
    blue_red.flush()
    assert {route.table.name for route in seen} == {VPN, "red.inet.0"}
    assert sum(route.table.name == VPN for route in seen) == 5
    seen.clear()
    blue_red.core.update_instance(blue_red.instance("red", 2, [T2, T1], [T2]))
    blue_red.flush()
    assert not seen, "the same settings again are no change"


def test_instances_that_come_late_and_go_early(bench: Bench) -> None:
    from_router(bench, "65001:1", "203.0.113.0/24", T1)
    bench.flush()
    bench.add("blue", 1, [T1], [T1])
    from_agent(bench, "blue", "10.1.1.3", bench.agent("one"))
    bench.add("red", 2, [T1])
    bench.flush()
    assert bench.texts("red.inet.0") == {"203.0.113.0/24", "10.1.1.3/32"}
    bench.core.delete_instance("blue")
    bench.flush()
    assert bench.texts("red.inet.0") == {"203.0.113.0/24"}
    assert bench.keys(VPN) == {bench.vpn("65001:1", "203.0.113.0/24")}
    bench.core.delete_instance("red")
    bench.core.withdraw_source(next(iter(bench.core.tables[VPN].sources)))
    bench.flush()
    bench.assert_empty()


def test_an_instance_deleted_with_routes_and_members_in_it(blue_red: Bench) -> None:
    agent = blue_red.agent("one")
    sink = blue_red.join("blue.inet.0", "xmpp", "one", agent)
    blue_red.core.subscribe("blue", agent)
    from_agent(blue_red, "blue", "10.1.1.3", agent)
    from_router(blue_red, "65001:1", "203.0.113.0/24", T1)
    blue_red.flush()
    blue_red.core.delete_instance("blue")
    assert sink.membership is not None and sink.membership.group is None
    blue_red.core.leave(sink.membership)
    blue_red.flush()
    blue_red.add("blue", 1, [T1], [T1])
    blue_red.flush()
    assert blue_red.texts("blue.inet.0") == {"203.0.113.0/24"}
    for name in ("blue", "red"):
        blue_red.core.delete_instance(name)
    blue_red.core.withdraw_source(next(iter(blue_red.core.tables[VPN].sources)))
    blue_red.flush()
    blue_red.assert_empty()


def test_two_instances_of_one_name_are_refused(blue_red: Bench) -> None:
    with pytest.raises(ValueError, match="exists"):
        blue_red.add("blue", 3)
    with pytest.raises(KeyError):
        blue_red.core.delete_instance("green")


def test_settings_of_the_master(bench: Bench) -> None:
    bench.core.add_instance(
        InstanceSettings(name=MASTER_INSTANCE, virtual_network="net", virtual_network_index=8, is_master=True)
    )
    assert bench.core.virtual_network_name(64512, 8) == "net"
    assert bench.core.virtual_network_name(64512, 1) == "unresolved"
    assert bench.core.instances[MASTER_INSTANCE].tables[1 << 8 | 1].name == "inet.0"  # type: ignore[index]


# --- origin-vn (OriginVn1..4) ----------------------------------------------------------------------------------------


def origin_vns(bench: Bench, table: str, prefix: str) -> set[str]:
    return {text for text in communities(bench, table, bench.prefix(prefix)) if text.startswith("originvn")}


@pytest.mark.parametrize(
    ("given", "targets", "expected"),
    [
        ((), (T1,), {"originvn:64512:101"}),  # one network both imports and exports the target
        ((), (T1, T2), set()),  # two networks do: nobody knows
        ((), (T3,), set()),  # somebody only imports it
        (((65002, 9),), (T1,), {"originvn:64512:101"}),  # a foreign one is replaced
        (((65002, 9),), (T3,), set()),  # or removed
        (((64512, 9),), (T1,), {"originvn:64512:9"}),  # our own AS is believed
        (((65002, 8000001),), (T1,), {"originvn:65002:8000001"}),  # and so is a global index
    ],
)
def test_origin_vn_of_routes_from_routers(
    blue_red: Bench, given: tuple[tuple[int, int], ...], targets: tuple[str, ...], expected: set[str]
) -> None:
    blue_red.add("watch", 3, [T1, T2, T3])
    extra = tuple(ext_community.origin_vn(*pair) for pair in given)
    from_router(blue_red, "65001:1", "203.0.113.0/24", *targets, extra=extra)
    blue_red.flush()
    assert origin_vns(blue_red, "watch.inet.0", "203.0.113.0/24") == expected


def test_an_exporting_vrf_takes_an_unresolved_route_for_its_own(bench: Bench) -> None:
    bench.add("blue", 1, [T1], [T1, T2])
    bench.add("red", 2, [T1], [T1])
    from_router(bench, "65001:1", "203.0.113.0/24", T1)
    bench.flush()
    assert origin_vns(bench, "blue.inet.0", "203.0.113.0/24") == {"originvn:64512:101"}
    assert origin_vns(bench, "red.inet.0", "203.0.113.0/24") == {"originvn:64512:102"}


def test_a_networks_new_index_reaches_its_routes(blue_red: Bench) -> None:
    from_agent(blue_red, "blue", "10.1.1.3", blue_red.agent("one"))
    from_router(blue_red, "65001:1", "203.0.113.0/24", T1)
    blue_red.flush()
    blue_red.core.update_instance(blue_red.instance("blue", 1, [T1], [T1], vn=500))
    blue_red.flush()
    key = blue_red.vpn("192.0.2.1:1", "10.1.1.3")
    assert "originvn:64512:500" in communities(blue_red, VPN, key)
    assert origin_vns(blue_red, "blue.inet.0", "203.0.113.0/24") == {"originvn:64512:500"}
    assert blue_red.core.virtual_network_name(64512, 500) == "default-domain:demo:blue"
    assert blue_red.core.virtual_network_name(64512, 101) == "unresolved"
    assert blue_red.core.virtual_network_name(65001, 500) == "unresolved"


def test_origin_vn_of_a_four_byte_as_takes_two_values(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(autonomous_system=4200000000)
    bench.add("blue", 1, [T1], [T1], vn=70000)
    from_agent(bench, "blue", "10.1.1.3", bench.agent("one"))
    bench.add("red", 2, [T1], [T1], vn=70000)
    bench.flush()
    texts = communities(bench, VPN, bench.vpn("192.0.2.1:1", "10.1.1.3"))
    assert texts == {T1, "originvn:4200000000:23456", "originvn:23456:70000"}
    (row,) = next(bench.core.rows("red.inet.0"))["paths"]
    assert row["origin_vn"] == "default-domain:demo:blue"


def test_a_target_that_a_peer_wrote_twice_is_one(blue_red: Bench) -> None:
    router, key = blue_red.ebgp("router"), blue_red.vpn("65001:1", "10.9.0.0")
    once = blue_red.attributes(as_path=AsPath.sequence(65001))
    values = dict(once.values) | {AttributeType.EXTENDED_COMMUNITIES: b"".join(blue_red.rt(T1, T1))}
    twice = Attributes.of_values(values, once.next_hop)
    assert len(twice.ext_communities) == 2
    blue_red.core.update(VPN, router, key, twice, b"\x00\x10\x01")
    blue_red.flush()
    assert len(blue_red.keys("blue.inet.0")) == 1
    blue_red.core.withdraw(VPN, router, key)
    blue_red.flush()
    assert not blue_red.keys(VPN) and not blue_red.keys("blue.inet.0")
