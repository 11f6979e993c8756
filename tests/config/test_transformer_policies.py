"""Connections and access lists that the transformer makes of policies and security groups (reference/config.md 5)."""

from collections.abc import Callable
from typing import Any

from config.conftest import change, idle

from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO

Said = Callable[[], list[str]]


# -- route targets


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
