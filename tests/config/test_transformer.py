"""What the schema transformer derives (reference/config.md 5)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from contrail_emulator.config.ids import ROUTE_TARGETS
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Delete, Mutation, Put
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO, FABRIC
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import BadRequest

Said = Callable[[], list[str]]


@pytest.fixture
def site() -> Site:
    return Site()


def targets(site: Site, *instance: str) -> dict[str, Any]:
    found = site.find("routing-instance", *instance)
    assert found is not None
    return {entry["to"][0]: entry["attr"]["import_export"] for entry in found.get("route_target_refs", [])}


def peers(site: Site, name: str) -> set[str]:
    found = site.find("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", name)
    assert found is not None
    return {entry["to"][-1] for entry in found.get("bgp_router_refs", [])}


def change(site: Site, type_name: str, uuid: str, **fields: Any) -> None:
    site.run(site.writer.update(type_name, uuid, fields))
    site.settle()


def idle(site: Site, transformer: Transformer) -> bool:
    """A second run writes nothing."""
    before = (transformer.counters["writes"], site.bus.published)
    transformer.evaluate_everything()
    site.settle()
    return (transformer.counters["writes"], site.bus.published) == before


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


def test_a_logical_router_joins_its_networks(site: Site) -> None:
    transformer = site.transformer()
    for name in ("blue", "red"):
        site.network(name, f"10.{len(name)}.0.0/24")
        site.interface(f"lr-{name}", name)
    site.settle()
    own = {name: targets(site, *DEMO, name, name) for name in ("blue", "red")}
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
    for name in ("blue", "red"):
        site.network(name, f"10.{len(name)}.0.0/24")
        site.interface(f"lr-{name}", name)
    site.settle()
    own = {name: targets(site, *DEMO, name, name) for name in ("blue", "red")}
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


def rule(source: str, sink: str, **fields: Any) -> dict[str, Any]:
    return {
        "direction": "<>",
        "protocol": "any",
        "src_addresses": [{"virtual_network": source}],
        "dst_addresses": [{"virtual_network": sink}],
        "src_ports": [{"start_port": -1, "end_port": -1}],
        "dst_ports": [{"start_port": -1, "end_port": -1}],
        "action_list": {"simple_action": "pass"},
        **fields,
    }


def policy(site: Site, name: str, *rules: dict[str, Any]) -> str:
    return site.create("network-policy", *DEMO, name, network_policy_entries={"policy_rule": list(rules)})


def attach(site: Site, network: str, name: str, major: int = 0) -> None:
    found, pol = site.find("virtual-network", *DEMO, network), site.find("network-policy", *DEMO, name)
    assert found is not None and pol is not None
    attribute = {"sequence": {"major": major, "minor": 0}}
    change_reference = site.writer.ref_update(
        "virtual-network", found["uuid"], "network-policy", pol["uuid"], "ADD", attribute
    )
    site.run(change_reference)
    site.settle()


def connections(site: Site, network: str) -> set[str]:
    found = site.find("routing-instance", *DEMO, network, network)
    assert found is not None
    return {entry["to"][-1] for entry in found.get("routing_instance_refs", [])}


def acl(site: Site, network: str) -> list[tuple[str, str, str, str, str]] | None:
    found = site.find("access-control-list", *DEMO, network, network)
    if found is None:
        return None
    return [
        (
            entry["match_condition"]["src_address"].get("virtual_network", "").rpartition(":")[2],
            entry["direction"],
            entry["match_condition"]["dst_address"].get("virtual_network", "").rpartition(":")[2],
            entry["match_condition"]["protocol"],
            entry["action_list"]["simple_action"],
        )
        for entry in found["access_control_list_entries"]["acl_rule"]
    ]


BLUE, RED, GREEN = ("default-domain:demo:blue", "default-domain:demo:red", "default-domain:demo:green")


def test_a_policy_on_both_sides_connects_and_on_one_side_only_lists(site: Site) -> None:
    transformer = site.transformer()
    site.network("blue")
    site.network("red")
    policy(site, "pol", rule(BLUE, RED, protocol="tcp"))
    attach(site, "blue", "pol")
    assert connections(site, "blue") == set()
    expected = [
        ("blue", "<>", "red", "6", "pass"),
        ("blue", ">", "blue", "any", "pass"),
        ("blue", "<>", "red", "any", "deny"),
        ("any", ">", "any", "any", "pass"),
    ]
    assert acl(site, "blue") == expected and acl(site, "red") is None
    attach(site, "red", "pol")
    assert connections(site, "blue") == {"red"} and connections(site, "red") == {"blue"}
    assert acl(site, "red") == [expected[0], ("red", ">", "red", "any", "pass"), *expected[2:]]
    assert idle(site, transformer)
    blue = site.find("virtual-network", *DEMO, "blue")
    assert blue is not None
    change(site, "virtual-network", blue["uuid"], network_policy_refs=[])
    assert connections(site, "blue") == connections(site, "red") == set()
    assert acl(site, "blue") is None and acl(site, "red") is not None


def test_deny_connects_nothing_and_any_means_the_project(site: Site) -> None:
    site.transformer()
    for name in ("blue", "red", "green"):
        site.network(name)
    uuid = policy(site, "pol", rule("local", "any"))
    for name in ("blue", "red"):
        attach(site, name, "pol")
    assert connections(site, "blue") == {"red"} and connections(site, "green") == set()
    entries = {"policy_rule": [rule("local", "any", action_list={"simple_action": "deny"})]}
    change(site, "network-policy", uuid, network_policy_entries=entries)
    assert connections(site, "blue") == set()


def test_a_policy_address_means_all_networks_that_use_it_and_order_follows_the_sequence(site: Site) -> None:
    site.transformer()
    for name in ("blue", "red", "green"):
        site.network(name)
    other = [{"network_policy": "default-domain:demo:second"}]
    policy(site, "second", rule(BLUE, GREEN, protocol="udp"))
    policy(site, "first", rule("local", "", dst_addresses=other, protocol="tcp"))
    attach(site, "red", "second")
    attach(site, "green", "second")
    attach(site, "blue", "second", major=1)
    attach(site, "blue", "first", major=0)
    rules = acl(site, "blue")
    assert rules is not None
    assert [entry[:4] for entry in rules if entry[4] == "pass"][:4] == [
        ("blue", "<>", "blue", "6"),
        ("blue", "<>", "green", "6"),
        ("blue", "<>", "red", "6"),
        ("blue", "<>", "green", "17"),
    ]


def test_covered_rules_are_dropped_and_routers_off_ends_in_deny(site: Site) -> None:
    site.transformer(logical_routers=False)
    site.network("blue")
    narrow = rule(BLUE, RED, protocol="tcp", dst_ports=[{"start_port": 80, "end_port": 81}])
    policy(site, "pol", rule(BLUE, RED), narrow)
    attach(site, "blue", "pol")
    assert acl(site, "blue") == [
        ("blue", "<>", "red", "any", "pass"),
        ("blue", ">", "blue", "any", "pass"),
        ("any", ">", "any", "any", "deny"),
    ]


def test_access_lists_go_with_their_network(site: Site) -> None:
    site.transformer()
    site.network("blue")
    policy(site, "pol", rule(BLUE, RED))
    attach(site, "blue", "pol")
    blue = site.find("virtual-network", *DEMO, "blue")
    assert blue is not None and acl(site, "blue")
    site.run(site.writer.delete("virtual-network", blue["uuid"]))
    site.settle()
    assert acl(site, "blue") is None


def test_a_policy_without_a_rule_for_the_network_gives_the_tail_only(site: Site) -> None:
    transformer = site.transformer()
    site.network("blue")
    policy(site, "pol", rule(RED, GREEN))
    attach(site, "blue", "pol")
    assert acl(site, "blue") == [("blue", ">", "blue", "any", "pass"), ("any", ">", "any", "any", "pass")]
    assert idle(site, transformer)


def test_provider_networks_and_fabric_snat_have_lists_without_a_policy(site: Site) -> None:
    transformer = site.transformer()
    site.network("provider", is_provider_network=True)
    blue = site.network("blue", virtual_network_refs=[{"to": [*DEMO, "provider"]}])
    site.network("snat", fabric_snat=True)
    site.network("red")
    site.settle()
    last = ("any", ">", "any", "any", "pass")
    assert acl(site, "provider") == [
        ("provider", ">", "provider", "any", "pass"), ("provider", "<>", "any", "any", "deny"), last
    ]  # fmt: skip
    assert acl(site, "blue") == [
        ("blue", ">", "blue", "any", "pass"), ("blue", "<>", "provider", "any", "deny"), last
    ]  # fmt: skip
    assert acl(site, "snat") == [
        ("snat", ">", "snat", "any", "pass"), ("snat", "<>", "ip-fabric", "any", "pass"),
        ("snat", "<>", "any", "any", "deny"), last,
    ]  # fmt: skip
    found = site.find("access-control-list", *DEMO, "snat", "snat")
    assert found is not None
    uuids = [entry["rule_uuid"][-4:] for entry in found["access_control_list_entries"]["acl_rule"]]
    assert uuids == ["0001", "0001", "0002", "0001"]
    assert acl(site, "red") is None
    assert site.find("access-control-list", "default-domain", "default-project", "ip-fabric", "ip-fabric")
    policy(site, "pol", rule("default-domain:demo:snat", RED, protocol="tcp"))
    attach(site, "snat", "pol")
    assert acl(site, "snat") == [
        ("snat", "<>", "red", "6", "pass"),
        ("snat", ">", "snat", "any", "pass"), ("snat", "<>", "ip-fabric", "any", "pass"),
        ("snat", "<>", "any", "any", "deny"), last,
    ]  # fmt: skip
    change(site, "virtual-network", blue, virtual_network_refs=[])
    assert acl(site, "blue") is None
    assert idle(site, transformer)


def test_without_logical_routers_a_provider_network_ends_in_deny(site: Site) -> None:
    site.transformer(logical_routers=False)
    site.network("provider", is_provider_network=True)
    site.settle()
    assert acl(site, "provider") == [
        ("provider", ">", "provider", "any", "pass"), ("any", ">", "any", "any", "deny")
    ]  # fmt: skip


def test_the_deny_copy_of_a_rule_between_networks_has_no_subnets(site: Site) -> None:
    site.transformer()
    site.network("blue")
    subnet = {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}
    narrow = rule(BLUE, RED)
    narrow["dst_addresses"][0]["subnet"] = subnet
    policy(site, "pol", narrow)
    attach(site, "blue", "pol")
    found = site.find("access-control-list", *DEMO, "blue", "blue")
    assert found is not None
    rules = found["access_control_list_entries"]["acl_rule"]
    sinks = [entry["match_condition"]["dst_address"] for entry in rules if entry["direction"] == "<>"]
    assert [sink.get("subnet") for sink in sinks] == [subnet, None]


# -- security groups


def group_rules(site: Site, group: str, which: str) -> list[dict[str, Any]]:
    found = site.find("access-control-list", *DEMO, group, f"{which}-access-control-list")
    assert found is not None, "both lists are always there"
    rules = found["access_control_list_entries"]["acl_rule"]
    assert isinstance(rules, list)
    return rules


def test_security_group_lists(site: Site) -> None:
    transformer = site.transformer()
    site.project()
    other = site.create("security-group", *DEMO, "other")
    number = site.read("security-group", other)["security_group_id"]
    ssh = {
        "direction": ">",
        "protocol": "tcp",
        "ethertype": "IPv4",
        "src_addresses": [{"security_group": "default-domain:demo:other"}],
        "src_ports": [],
        "dst_addresses": [{"security_group": "local"}],
        "dst_ports": [{"start_port": 22, "end_port": 22}],
        "rule_uuid": "r1",
    }
    out = {
        "direction": ">",
        "protocol": "icmp",
        "ethertype": "IPv6",
        "src_addresses": [{"security_group": "local"}],
        "dst_addresses": [{"subnet": {"ip_prefix": "::", "ip_prefix_len": 0}}, {"security_group": "any"}],
    }
    web = site.create("security-group", *DEMO, "web", security_group_entries={"policy_rule": [ssh, out]})
    site.settle()
    (ingress,) = group_rules(site, "web", "ingress")
    assert ingress == {
        "match_condition": {
            "ethertype": "IPv4",
            "protocol": "6",
            "src_address": {"security_group": str(number)},
            "src_port": {"start_port": 0, "end_port": 65535},
            "dst_address": {"security_group": None},
            "dst_port": {"start_port": 22, "end_port": 22},
        },
        "action_list": {"simple_action": "pass"},
        "rule_uuid": "r1",
        "direction": ">",
    }
    egress = group_rules(site, "web", "egress")
    assert [entry["match_condition"]["protocol"] for entry in egress] == ["58", "58"]
    assert egress[1]["match_condition"]["dst_address"] == {"security_group": "-1"}
    assert group_rules(site, "other", "ingress") == [] == group_rules(site, "other", "egress")
    assert idle(site, transformer)
    site.run(site.writer.delete("security-group", other))
    site.settle()
    assert group_rules(site, "web", "ingress") == [], "a rule that names an unknown group is skipped"
    site.create("security-group", *DEMO, "other")
    site.settle()
    assert len(group_rules(site, "web", "ingress")) == 1
    site.run(site.writer.delete("security-group", web))
    site.settle()
    assert site.find("access-control-list", *DEMO, "web", "ingress-access-control-list") is None


# -- the mesh


def test_ibgp_mesh_over_all_routers_and_forced_as(site: Site) -> None:
    transformer = site.transformer()
    site.router("c1")
    site.router("c2", autonomous_system=1)
    site.router("edge", autonomous_system=65001, vendor="Juniper")
    site.router("edge2", autonomous_system=65002, vendor="Juniper")
    site.settle()
    assert peers(site, "c1") == {"c2", "edge", "edge2"}
    assert peers(site, "edge") == {"c1", "c2"}, "routers of other systems are peered by ours only"
    second = site.find("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", "c2")
    assert second is not None and second["bgp_router_parameters"]["autonomous_system"] == 64512
    (session,) = next(e["attr"]["session"] for e in second["bgp_router_refs"])
    assert session["attributes"] == [{"address_families": {"family": []}}]
    assert idle(site, transformer)
    site.run(site.writer.delete("bgp-router", second["uuid"]))
    site.settle()
    assert peers(site, "c1") == {"edge", "edge2"}


def test_existing_peerings_keep_their_attribute(site: Site) -> None:
    one, two = site.router("c1"), site.router("c2")
    mine = {"session": [{"attributes": [{"hold_time": 30}]}]}
    site.run(site.writer.ref_update("bgp-router", one, "bgp-router", two, "ADD", mine))
    site.transformer()
    (entry,) = site.read("bgp-router", two)["bgp_router_refs"]
    assert entry["attr"] == mine


def test_no_mesh_when_it_is_off(site: Site) -> None:
    config = site.find("global-system-config", "default-global-system-config")
    assert config is not None
    change(site, "global-system-config", config["uuid"], ibgp_auto_mesh=False)
    site.transformer()
    site.router("c1")
    site.router("c2")
    site.settle()
    assert peers(site, "c1") == set()


def test_routers_of_a_sub_cluster_or_fabric_peer_whatever_their_as(site: Site) -> None:
    transformer = site.transformer()
    for name in ("one", "two"):
        site.create("sub-cluster", name, sub_cluster_asn=65001)
    uuids = {name: site.router(name, 65001, "Juniper") for name in ("s1", "s2", "s3", "alone", "f1")}
    for name, cluster in (("s1", "one"), ("s2", "one"), ("s3", "two")):
        change(site, "bgp-router", uuids[name], sub_cluster_refs=[{"to": [cluster]}])
    assert peers(site, "s1") == {"s2"} and peers(site, "s3") == set() and peers(site, "alone") == set()
    site.create("fabric", "default-global-system-config", "spines")
    site.create(
        "physical-router", "default-global-system-config", "leaf",
        bgp_router_refs=[{"to": [*FABRIC, "f1"]}], fabric_refs=[{"to": ["default-global-system-config", "spines"]}],
    )  # fmt: skip
    site.settle()
    assert peers(site, "f1") == {"alone"}, "of those in no sub-cluster"
    assert idle(site, transformer)


def test_a_reflector_of_another_fabric_is_no_peer(site: Site) -> None:
    site.transformer()
    for name in ("a", "b"):
        site.router(name, vendor="Juniper")
    site.router("rr", vendor="Juniper", cluster_id=1)
    for name in ("one", "two"):
        site.create("fabric", "default-global-system-config", name)
    for router, fabric in (("a", "one"), ("b", "two"), ("rr", "one")):
        site.create(
            "physical-router", "default-global-system-config", router,
            bgp_router_refs=[{"to": [*FABRIC, router]}],
            fabric_refs=[{"to": ["default-global-system-config", fabric]}],
        )  # fmt: skip
    site.settle()
    assert peers(site, "rr") == {"a"} and peers(site, "b") == set()


def test_with_a_reflector_the_rest_peer_only_with_it(site: Site) -> None:
    site.transformer()
    for name in ("c1", "c2", "c3"):
        site.router(name)
    site.settle()
    assert peers(site, "c1") == {"c2", "c3"}
    third = site.find("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", "c3")
    assert third is not None
    parameters = {**third["bgp_router_parameters"], "cluster_id": 1}
    change(site, "bgp-router", third["uuid"], bgp_router_parameters=parameters)
    assert peers(site, "c1") == {"c3"} and peers(site, "c3") == {"c1", "c2"}


# -- the engine


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
