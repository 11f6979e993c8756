"""What introspect shows of tables, instances and update groups (reference/bgp.md 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.routing import Flag

if TYPE_CHECKING:
    from control.routing.conftest import Bench

TARGET = "target:64512:1"


@pytest.fixture
def filled(bench: Bench) -> Bench:
    bench.add("blue", 1, [TARGET], [TARGET])
    agent, router = bench.agent("compute-1", 0xC0000207), bench.ebgp("gateway", router_id=0x0AFF0101)
    for host in (3, 4):
        bench.core.update(
            "blue.inet.0",
            agent,
            bench.prefix(f"10.1.1.{host}"),
            bench.attributes(
                next_hop="192.0.2.7",
                local_pref=100,
                med=200,
                extra=(ext_community.encapsulation("gre"), ext_community.mac_mobility(False, 4)),
            ),
            b"\x00\x01\x91",
            rd=rd.parse("192.0.2.7:3"),
        )
    bench.core.update(
        "bgp.l3vpn.0",
        router,
        bench.vpn("65001:1", "10.1.0.0/16"),
        bench.attributes(TARGET, as_path=AsPath.sequence(65001), communities=(0xFFFFFF01,)),
        b"\x00\x3e\x81",
    )
    bench.core.update(
        "bgp.l3vpn.0",
        router,
        bench.vpn("65001:1", "20.0.0.0/8"),
        bench.attributes(TARGET, as_path=AsPath.sequence(65001, 64512)),
        b"\x00\x3e\x81",
        flags=int(Flag.AS_PATH_LOOPED),
    )
    bench.join("bgp.l3vpn.0", "ibgp", "peer")
    bench.flush()
    return bench


def prefixes(bench: Bench, table: str, **query: Any) -> list[str]:
    return sorted(row["prefix"] for row in bench.core.rows(table, **query))


def test_a_path_in_full(filled: Bench) -> None:
    (row,) = filled.core.rows("blue.inet.0", prefix="10.1.1.3/32")
    (path,) = row["paths"]
    expected = {
        "protocol": "XMPP",
        "source": "compute-1",
        "local_preference": 100,
        "med": 200,
        "next_hop": "192.0.2.7",
        "label": 25,
        "origin": "igp",
        "source_rd": "192.0.2.7:3",
        "replicated": False,
        "secondary_tables": ["bgp.l3vpn.0"],
        "tunnel_encap": ["gre"],
        "sequence_no": "4",
        "flags": "None",
        "as_path": "",
        "origin_vn": "unresolved",
    }
    assert expected.items() <= path.items()
    (copy,) = next(filled.core.rows("bgp.l3vpn.0", prefix="192.0.2.7:3:10.1.1.3/32"))["paths"]
    expected = {
        "replicated": True,
        "primary_table": "blue.inet.0",
        "origin_vn": "default-domain:demo:blue",
        "secondary_tables": [],
    }
    assert expected.items() <= copy.items()
    assert TARGET in copy["communities"] and "originvn:64512:101" in copy["communities"]


def test_flags_and_communities_by_name(filled: Bench) -> None:
    (row,) = filled.core.rows("bgp.l3vpn.0", prefix="65001:1:20.0.0.0/8")
    assert row["paths"][0]["flags"] == "AsPathLooped"
    (row,) = filled.core.rows("bgp.l3vpn.0", prefix="65001:1:10.1.0.0/16")
    assert row["paths"][0]["communities"] == ["no-export", TARGET]
    assert row["paths"][0]["label"] == 1000
    assert row["paths"][0]["peer_router_id"] == "10.255.1.1"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["10.1.0.0/16", "10.1.1.3/32", "10.1.1.4/32"]),
        ({"prefix": "10.1.1.3/32"}, ["10.1.1.3/32"]),
        ({"prefix": "10.1.0.0/16"}, ["10.1.0.0/16"]),
        ({"prefix": "10.1.0.0/16", "longer": True}, ["10.1.0.0/16", "10.1.1.3/32", "10.1.1.4/32"]),
        ({"prefix": "10.1.1.0/24", "longer": True}, ["10.1.1.3/32", "10.1.1.4/32"]),
        ({"prefix": "10.1.1.3/32", "shorter": True}, ["10.1.0.0/16", "10.1.1.3/32"]),
        ({"prefix": "10.1.1.3", "longest": True}, ["10.1.1.3/32"]),
        ({"prefix": "10.1.1.5", "longest": True}, ["10.1.0.0/16"]),
        ({"prefix": "10.1.1.3/32", "longest": True, "protocol": "BGP"}, ["10.1.0.0/16"]),
        ({"prefix": "10.2.0.1", "longest": True}, []),
        ({"pattern": r"\.4/"}, ["10.1.1.4/32"]),
        ({"source": "gateway"}, ["10.1.0.0/16"]),
        ({"protocol": "XMPP"}, ["10.1.1.3/32", "10.1.1.4/32"]),
        ({"protocol": "XMPP", "source": "gateway"}, []),
        ({"prefix": "99.0.0.0/8"}, []),
        ({"prefix": "2001:db8::/32", "longer": True}, []),
    ],
)
def test_filters(filled: Bench, query: dict[str, Any], expected: list[str]) -> None:
    assert prefixes(filled, "blue.inet.0", **query) == expected


def test_routes_come_by_prefix_whatever_came_first(bench: Bench) -> None:
    router = bench.ebgp("gateway")
    wanted = ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "10.1.0.0/16", "100.0.0.0/8"]
    for text in wanted[1::2] + wanted[::2]:
        bench.core.update("inet.0", router, bench.prefix(text), bench.attributes())
        for distinguisher in ("65001:2", "65001:1"):
            key = bench.vpn(distinguisher, text)
            bench.core.update("bgp.l3vpn.0", router, key, bench.attributes(), b"\x00\x10\x01")
    bench.flush()
    assert [row["prefix"] for row in bench.core.rows("inet.0")] == wanted
    vpn = [f"65001:{number}:{text}" for number in (1, 2) for text in wanted]
    assert [row["prefix"] for row in bench.core.rows("bgp.l3vpn.0")] == vpn


def test_vpn_prefixes_with_and_without_rd(filled: Bench) -> None:
    assert prefixes(filled, "bgp.l3vpn.0", prefix="10.1.0.0/16") == ["65001:1:10.1.0.0/16"]
    assert len(prefixes(filled, "bgp.l3vpn.0", prefix="10.1.0.0/16", longer=True)) == 3
    assert prefixes(filled, "bgp.l3vpn.0", prefix="10.1.1.9", longest=True) == ["65001:1:10.1.0.0/16"]
    assert prefixes(filled, "bgp.l3vpn.0", prefix="65001:1:20.1.1.1", longest=True) == ["65001:1:20.0.0.0/8"]
    assert prefixes(filled, "bgp.l3vpn.0", prefix="65001:2:20.1.1.1", longest=True) == []
    assert prefixes(filled, "bgp.l3vpn.0", prefix="65001:1:10.0.0.0/8", longer=True) == ["65001:1:10.1.0.0/16"]


def test_senseless_filters_are_errors(filled: Bench) -> None:
    with pytest.raises(ValueError, match="not a prefix"):
        prefixes(filled, "blue.inet.0", prefix="sense", longer=True)
    for query in ({}, {"prefix": "10.0.0.0/8", "longer": True}, {"prefix": "10.0.0.0/8", "shorter": True}):
        with pytest.raises(ValueError, match="longest match"):
            prefixes(filled, "blue.inet.0", longest=True, **query)
    with pytest.raises(KeyError):
        prefixes(filled, "green.inet.0")
    assert prefixes(filled, "blue.inet.0", prefix="sense") == []


def test_other_families_print(filled: Bench) -> None:
    filled.core.subscribe("blue", filled.agent("compute-1"))
    assert "64512:target:64512:1" in prefixes(filled, "bgp.rtarget.0")
    assert prefixes(filled, "bgp.rtarget.0", prefix="64512:target:64512:1") == ["64512:target:64512:1"]


def test_tables_instances_groups_and_targets(filled: Bench) -> None:
    tables = {row["name"]: row for row in filled.core.table_rows()}
    vpn = tables["bgp.l3vpn.0"]
    assert (vpn["prefixes"], vpn["primary_paths"], vpn["secondary_paths"], vpn["infeasible_paths"]) == (4, 2, 2, 1)
    blue = next(row for row in filled.core.instance_rows() if row["name"] == "blue")
    assert blue["import_target"] == ["target:10.0.0.1:1", TARGET, "target:64512:7999999"]
    assert blue["tables"] == [
        "blue.inet.0", "blue.inet6.0", "blue.evpn.0", "blue.ermvpn.0", "blue.mvpn.0",
    ]  # fmt: skip
    (group,) = filled.core.group_rows()
    assert (group["members"], group["blocked"], group["joining"], group["pending_updates"]) == (["peer"], [], [], 0)
    assert (group["reach"], group["markers"]) == (3, 1)
    target = next(row for row in filled.core.target_rows() if row["rtarget"] == TARGET)
    assert (target["import_members"], target["export_members"]) == (["blue"], ["blue"])


def test_a_blocked_member_shows(filled: Bench) -> None:
    sink = filled.join("blue.inet.0", "xmpp", "compute-2")
    sink.block_next = True
    filled.flush()
    assert sink.blocked
    filled.core.withdraw_source(next(iter(filled.core.tables["blue.inet.0"].sources)))
    filled.flush()
    group = next(row for row in filled.core.group_rows() if row["table"] == "blue.inet.0")
    assert (group["blocked"], group["pending_updates"], group["markers"]) == (["compute-2"], 2, 2)
