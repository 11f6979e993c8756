"""What the schema transformer derives (reference/config.md 5)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from config.conftest import change, idle
from twisted.logger import LogLevel, capturedLogs, formatEvent

from contrail_emulator.config.ids import ROUTE_TARGETS
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Delete, Mutation, Put, StoreError
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import BadRequest

Said = Callable[[], list[str]]


def targets(site: Site, *instance: str) -> dict[str, Any]:
    found = site.find("routing-instance", *instance)
    assert found is not None
    return {entry["to"][0]: entry["attr"]["import_export"] for entry in found.get("route_target_refs", [])}


# -- route targets


def test_own_targets_from_8000000_and_none_for_the_system_instances(site: Site) -> None:
    transformer = site.transformer()
    site.network("blue")
    site.settle()
    project = ("default-domain", "default-project")
    assert targets(site, *project, "ip-fabric", "__default__") == {}
    assert targets(site, *project, "__link_local__", "__link_local__") == {}
    numbers: set[str] = set()
    for name in ("ip-fabric", "dci-network", "default-virtual-network"):
        numbers.update(targets(site, *project, name, name))
    numbers.update(targets(site, *project, "dci-network", "__default__"))
    blue = targets(site, *DEMO, "blue", "blue")
    assert numbers == {f"target:64512:{n}" for n in range(8_000_000, 8_000_004)}
    assert blue == {"target:64512:8000004": None}
    row = site.run(site.store.rows("route_target_table", ["default-domain:demo:blue:blue"]))
    assert row["default-domain:demo:blue:blue"]["rtgt_num"].value == "8000004"
    assert site.run(site.ids.get(ROUTE_TARGETS.node(8_000_004))) == "default-domain:demo:blue:blue"
    assert idle(site, transformer)


def test_the_networks_lists(site: Site) -> None:
    transformer = site.transformer()
    uuid = site.network(
        "blue",
        route_target_list={"route_target": ["target:64512:1"]},
        import_route_target_list={"route_target": ["target:64512:2", "target:64512:4"]},
        export_route_target_list={"route_target": ["target:64512:3", "target:64512:4"]},
    )
    site.settle()
    own = {"target:64512:8000004": None}
    assert targets(site, *DEMO, "blue", "blue") == own | {
        "target:64512:1": None,
        "target:64512:2": "import",
        "target:64512:3": "export",
        "target:64512:4": None,
    }
    assert site.find("route-target", "target:64512:2")
    change(site, "virtual-network", uuid, import_route_target_list={"route_target": ["target:64512:1"]},
           route_target_list=None)  # fmt: skip
    assert targets(site, *DEMO, "blue", "blue") == own | {
        "target:64512:1": "import",
        "target:64512:3": "export",
        "target:64512:4": "export",
    }
    assert site.find("route-target", "target:64512:2") is None, "nothing refers to it any more"
    assert idle(site, transformer)


@pytest.fixture
def said() -> Iterator[Said]:
    """What the transformer has logged as warnings."""

    def lines() -> list[str]:
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        return [formatEvent(event) for event in warnings if event["log_namespace"].endswith("transformer.Transformer")]

    with capturedLogs() as events:
        yield lines


def test_a_target_that_is_none_in_a_row_keeps_no_other_from_being_set(site: Site, said: Said) -> None:
    blue = site.network("blue")

    def listed(*texts: str) -> None:
        value = json.dumps({"route_target": texts})
        site.run(site.store.write([Put(UUID_TABLE, blue, "prop:route_target_list", value)]))

    listed("target:1:1", "", "target:x:1", "target:1:2")
    transformer = site.transformer()
    instance = "routing-instance default-domain:demo:blue:blue"
    expected = {"target:64512:8000004", "target:1:1", "target:1:2"}
    assert set(targets(site, *DEMO, "blue", "blue")) == expected
    assert site.find("route-target", "target:x:1") is None
    assert [line for line in said() if instance in line] == said() and len(said()) == 2
    assert "'target:x:1'" in "".join(said()) and "''" in "".join(said())
    assert transformer.counters["refusals"] == 2
    published = site.bus.published
    for _ in range(3):
        transformer.evaluate_everything()
        site.settle()
    assert site.bus.published == published
    assert len(said()) == 2 and transformer.counters["refusals"] == 2, "once for each object and value"
    listed("target:1:1", "target:y:1")
    change(site, "virtual-network", blue, display_name="other")
    assert len(said()) == 3 and "'target:y:1'" in said()[2]
    listed("target:1:1")
    change(site, "virtual-network", blue, display_name="good")
    listed("target:1:1", "target:y:1")
    change(site, "virtual-network", blue, display_name="bad again")
    assert len(said()) == 4 and transformer.counters["refusals"] == 4


def test_a_write_that_is_refused_is_said_once_until_it_changes(
    site: Site, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = site.transformer()
    reason = "too small"
    asked = []

    async def refuse(*args: Any) -> bool:
        asked.append(args)
        raise BadRequest(reason)

    def again() -> None:
        before = len(asked)
        transformer.evaluate_everything()
        site.settle()
        assert len(asked) > before

    monkeypatch.setattr(site.writer, "ref_update", refuse)
    site.network("blue")
    site.settle()
    again()
    assert said() == ["transformer: instance default-domain:demo:blue:blue: too small"]
    reason = "too big"
    again()
    again()
    assert len(said()) == 2 and "too big" in said()[1]
    monkeypatch.undo()
    transformer.evaluate_everything()
    site.settle()
    assert targets(site, *DEMO, "blue", "blue")
    monkeypatch.setattr(site.writer, "ref_update", refuse)
    site.network("red")
    site.settle()
    assert len(said()) == 3 and transformer.counters["refusals"] == 3


def test_a_store_that_is_away_is_said_once_an_outage(
    site: Site, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformer = site.transformer()

    async def away(*args: Any) -> bool:
        raise StoreError("away")

    for outage, name in enumerate(("blue", "red"), 1):
        monkeypatch.setattr(site.writer, "ref_update", away)
        site.network(name)
        before = transformer.counters["errors"]
        site.clock.pump([1] * 20)
        assert transformer.counters["errors"] > before + 2
        assert said() == ["transformer: away; trying again"] * outage
        monkeypatch.undo()
        site.clock.pump([1] * 5)
        assert targets(site, *DEMO, name, name)


def test_numbers_survive_a_restart_and_return_when_the_instance_goes(site: Site) -> None:
    first = site.transformer()
    site.network("blue")
    red = site.network("red")
    site.settle()
    before = {name: targets(site, *DEMO, name, name) for name in ("blue", "red")}
    first.stop()
    blue = site.find("virtual-network", *DEMO, "blue")
    assert blue is not None
    site.run(site.writer.delete("virtual-network", blue["uuid"]))  # while nobody looks
    second = site.transformer()
    assert targets(site, *DEMO, "red", "red") == before["red"]
    freed = next(iter(before["blue"]))
    assert site.find("route-target", freed) is None
    assert site.run(site.ids.get(ROUTE_TARGETS.node(int(freed.rpartition(":")[2])))) is None
    site.run(site.writer.delete("virtual-network", red))
    site.settle()
    assert site.find("route-target", next(iter(before["red"]))) is None
    site.network("green")
    site.settle()
    assert targets(site, *DEMO, "green", "green") == before["blue"]
    assert idle(site, second)


def test_a_new_global_as_renames_every_own_target(site: Site) -> None:
    transformer = site.transformer()
    site.network("blue")
    site.settle()
    config = site.find("global-system-config", "default-global-system-config")
    assert config is not None
    change(site, "global-system-config", config["uuid"], autonomous_system=65001)
    assert targets(site, *DEMO, "blue", "blue") == {"target:65001:8000004": None}
    assert site.find("route-target", "target:64512:8000004") is None
    change(site, "global-system-config", config["uuid"], autonomous_system=100_000)
    (target,) = targets(site, *DEMO, "blue", "blue")
    assert target.startswith("target:100000:80") and 8000 <= int(target.rpartition(":")[2]) < 8010
    assert site.run(site.ids.children(ROUTE_TARGETS.path)) == []
    assert idle(site, transformer)


def networks_for_a_router(site: Site) -> dict[str, dict[str, Any]]:
    """Blue and red, with interfaces for a router to have: their targets."""
    for name in ("blue", "red"):
        site.network(name, f"10.{len(name)}.0.0/24")
        site.interface(f"lr-{name}", name)
    site.settle()
    return {name: targets(site, *DEMO, name, name) for name in ("blue", "red")}


def test_a_logical_router_joins_its_networks(site: Site) -> None:
    transformer = site.transformer()
    own = networks_for_a_router(site)
    router = site.create(
        "logical-router",
        *DEMO,
        "lr",
        configured_route_target_list={"route_target": ["target:64512:7"]},
        virtual_machine_interface_refs=[{"to": [*DEMO, "lr-blue"]}, {"to": [*DEMO, "lr-red"]}],
    )
    site.settle()
    (target,) = (entry["to"][0] for entry in site.read("logical-router", router)["route_target_refs"])
    assert target == "target:64512:8000006"
    for name in ("blue", "red"):
        assert targets(site, *DEMO, name, name) == own[name] | {target: None, "target:64512:7": None}
    assert idle(site, transformer)
    change(site, "logical-router", router, virtual_machine_interface_refs=[{"to": [*DEMO, "lr-blue"]}])
    assert targets(site, *DEMO, "red", "red") == own["red"]
    assert target in targets(site, *DEMO, "blue", "blue")
    site.run(site.writer.delete("logical-router", router))
    site.settle()
    assert targets(site, *DEMO, "blue", "blue") == own["blue"]
    assert site.find("route-target", target) is None and site.find("route-target", "target:64512:7") is None


def internal_network(router: str) -> str:
    return f"__contrail_lr_internal_vn_{router}__"


def test_a_bgpvpn_on_a_logical_router_gives_its_targets_to_the_networks_of_the_router(site: Site) -> None:
    transformer = site.transformer()
    own = networks_for_a_router(site)
    vpn = site.create(
        "bgpvpn",
        *DEMO,
        "vpn",
        route_target_list={"route_target": ["target:1:1"]},
        import_route_target_list={"route_target": ["target:1:2", "target:1:4"]},
        export_route_target_list={"route_target": ["target:1:3", "target:1:4"]},
    )
    router = site.create(
        "logical-router", *DEMO, "lr", virtual_machine_interface_refs=[{"to": [*DEMO, "lr-blue"]}],
        bgpvpn_refs=[{"to": [*DEMO, "vpn"]}],
    )  # fmt: skip
    site.settle()
    (target,) = (entry["to"][0] for entry in site.read("logical-router", router)["route_target_refs"])
    of_the_vpn = {"target:1:1": None, "target:1:2": "import", "target:1:3": "export", "target:1:4": None}
    assert targets(site, *DEMO, "blue", "blue") == own["blue"] | {target: None} | of_the_vpn
    assert targets(site, *DEMO, "red", "red") == own["red"]
    change(site, "bgpvpn", vpn, import_route_target_list=None, export_route_target_list=None)
    assert targets(site, *DEMO, "blue", "blue") == own["blue"] | {target: None, "target:1:1": None}
    assert site.find("route-target", "target:1:4") is None
    both = [{"to": [*DEMO, "lr-blue"]}, {"to": [*DEMO, "lr-red"]}]
    change(site, "logical-router", router, virtual_machine_interface_refs=both)
    assert targets(site, *DEMO, "red", "red") == own["red"] | {target: None, "target:1:1": None}
    assert idle(site, transformer)
    change(site, "logical-router", router, bgpvpn_refs=[])
    for name in ("blue", "red"):
        assert targets(site, *DEMO, name, name) == own[name] | {target: None}
    assert site.find("route-target", "target:1:1") is None


def test_the_targets_of_a_vxlan_router_go_to_its_internal_network_only(site: Site) -> None:
    transformer = site.transformer()
    site.network("blue", "10.1.0.0/24")
    site.interface("lr-blue", "blue")
    vpn = site.create("bgpvpn", *DEMO, "vpn", import_route_target_list={"route_target": ["target:1:2"]})
    router = site.create(
        "logical-router", *DEMO, "lr", logical_router_type="vxlan-routing",
        virtual_machine_interface_refs=[{"to": [*DEMO, "lr-blue"]}],
        configured_route_target_list={"route_target": ["target:1:1"]},
        bgpvpn_refs=[{"to": [*DEMO, "vpn"]}],
    )  # fmt: skip
    site.network(internal_network("0f5c1e0e-0000-4000-8000-000000000000"))  # of no router
    site.settle()
    own = targets(site, *DEMO, "blue", "blue")
    internal = internal_network(router)
    (number,) = set(targets(site, *DEMO, internal, internal)) - {"target:1:1", "target:1:2"}
    assert targets(site, *DEMO, internal, internal) == {number: None, "target:1:1": None, "target:1:2": "import"}
    assert targets(site, *DEMO, "blue", "blue") == own and len(own) == 1
    change(site, "bgpvpn", vpn, route_target_list={"route_target": ["target:1:3"]}, import_route_target_list=None)
    assert targets(site, *DEMO, internal, internal) == {number: None, "target:1:1": None, "target:1:3": None}
    change(site, "logical-router", router, configured_route_target_list=None)
    assert targets(site, *DEMO, internal, internal) == {number: None, "target:1:3": None}
    assert idle(site, transformer)
    site.run(site.writer.delete("logical-router", router))
    site.settle()
    for name in ("target:1:3", number):
        assert site.find("route-target", name) is None
    assert idle(site, transformer)


def test_route_tables_become_static_routes(site: Site) -> None:
    transformer = site.transformer()
    uuid = site.network("blue")
    routes = [
        {"prefix": "0.0.0.0/0", "next_hop": "10.1.0.5", "next_hop_type": "ip-address"},
        {"prefix": "10.9.0.0/16", "next_hop": "d:p:si", "next_hop_type": "service-instance"},
    ]
    table = site.create("route-table", *DEMO, "rt", routes={"route": routes})
    change(site, "virtual-network", uuid, route_table_refs=[{"to": [*DEMO, "rt"]}])
    instance = site.find("routing-instance", *DEMO, "blue", "blue")
    assert instance is not None
    default = {"prefix": "0.0.0.0/0", "next_hop": "10.1.0.5", "route_target": [], "community": []}
    assert instance["static_route_entries"] == {"route": [default]}
    routes[0]["next_hop"] = "10.1.0.6"
    change(site, "route-table", table, routes={"route": routes})
    instance = site.read("routing-instance", instance["uuid"])
    assert instance["static_route_entries"]["route"][0]["next_hop"] == "10.1.0.6"
    assert idle(site, transformer)
    change(site, "virtual-network", uuid, route_table_refs=[])
    assert "static_route_entries" not in site.read("routing-instance", instance["uuid"])


# -- policies


def lose_row(site: Site, type_name: str, *fq_name: str) -> None:
    """Take an object's row and name away, as a delete does that ends half-way."""
    found = site.find(type_name, *fq_name)
    assert found is not None
    object_type = type_name.replace("-", "_")
    mutations: list[Mutation] = [
        Delete(UUID_TABLE, found["uuid"]),
        Delete(NAME_TABLE, object_type, f"{':'.join(fq_name)}:{found['uuid']}"),
    ]
    site.run(site.store.write(mutations))


def instance(site: Site, network: str, name: str, **fields: Any) -> str:
    return site.create("routing-instance", *DEMO, network, name, parent_type="virtual-network", **fields)


def test_instances_of_a_network_that_went_unseen_are_deleted_at_the_start(site: Site) -> None:
    first = site.transformer()
    for name in ("blue", "red", "green"):
        site.network(name)
    for name in ("blue", "red"):
        instance(site, name, "mine")
        instance(site, name, f"service-0f5c1e0e-0000-4000-8000-000000000000-default-domain_demo_{name}")
    site.settle()
    stale = {*targets(site, *DEMO, "blue", "mine"), *targets(site, *DEMO, "green", "green")}
    kept = targets(site, *DEMO, "red", "mine")
    first.stop()
    blue = site.find("virtual-network", *DEMO, "blue")
    assert blue is not None
    site.run(site.writer.delete("virtual-network", blue["uuid"]))  # takes the default instance along, no other
    lose_row(site, "virtual-network", *DEMO, "green")
    system = [entry for entry in site.run(site.writer.objects("routing-instance")) if entry[0][1] != "demo"]
    second = site.transformer()
    left = [entry for entry in site.run(site.writer.objects("routing-instance")) if entry[0][1] == "demo"]
    assert sorted(name[-2:] for name, _ in left) == [
        ["red", "mine"],
        ["red", "red"],
        ["red", "service-0f5c1e0e-0000-4000-8000-000000000000-default-domain_demo_red"],
    ]
    assert targets(site, *DEMO, "red", "mine") == kept
    assert [entry for entry in site.run(site.writer.objects("routing-instance")) if entry[0][1] != "demo"] == system
    assert stale and not [name for name in stale if site.find("route-target", name)]
    assert idle(site, second)


def test_no_instance_is_deleted_that_may_still_be_somebodys(site: Site) -> None:
    for name in ("unnamed", "unread", "holder"):
        site.network(name)
        instance(site, name, "mine")
    site.create("bgp-router", *DEMO, "holder", "mine", "router", bgp_router_parameters={"vendor": "x"})
    unread = site.find("virtual-network", *DEMO, "unread")
    unnamed = site.find("virtual-network", *DEMO, "unnamed")
    loose = site.find("routing-instance", *DEMO, "holder", "holder")
    assert unread is not None and unnamed is not None and loose is not None
    site.run(site.store.write([
        Put(UUID_TABLE, unread["uuid"], "type", '"no such type"'),
        Delete(NAME_TABLE, "virtual_network", f"default-domain:demo:unnamed:{unnamed['uuid']}"),
        Delete(UUID_TABLE, loose["uuid"], f"parent:virtual_network:{loose['parent_uuid']}"),
    ]))  # fmt: skip
    lose_row(site, "virtual-network", *DEMO, "holder")
    lose_row(site, "virtual-network", "default-domain", "default-project", "ip-fabric")
    lose_row(site, "virtual-network", "default-domain", "default-project", "__link_local__")
    before = site.run(site.writer.objects("routing-instance"))
    site.transformer()
    assert site.run(site.writer.objects("routing-instance")) == before


def test_only_one_transformer_is_active_and_the_next_takes_over(site: Site) -> None:
    one, two = site.transformer(name="one"), site.transformer(name="two")
    assert one.active and not two.active
    site.network("blue")
    site.settle()
    assert two.counters["evaluations"] == 0
    one.stop()
    site.network("red")
    site.settle()
    assert two.active and targets(site, *DEMO, "red", "red")
    settled: list[None] = []
    two.settled().addCallback(settled.append)
    assert settled == [None]


def test_stop_leaves_nothing_running(site: Site) -> None:
    transformer = site.transformer()
    transformer.stop()
    site.settle()
    site.network("blue")
    site.settle()
    assert not site.clock.getDelayedCalls() and targets(site, *DEMO, "blue", "blue") == {}
