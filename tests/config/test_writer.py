"""The writer does what the API server does beside storing (reference/config.md 3.2, 3.7-3.10)."""

import uuid as uuid_module
from typing import Any

import pytest
from config.conftest import refused

from contrail_emulator.config.ids import ROUTE_TARGETS, VIRTUAL_NETWORKS
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Delete
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO, FABRIC
from contrail_emulator.config.writer import BadRequest, Conflict, Forbidden, NotFound


def test_first_start_makes_the_objects_of_the_reference_and_is_idempotent(site: Site) -> None:
    fabric = site.find("virtual-network", "default-domain", "default-project", "ip-fabric")
    assert fabric is not None
    assert fabric["virtual_network_network_id"] == 2 and fabric["is_provider_network"] is True
    assert [child["to"][-1] for child in fabric["routing_instances"]] == ["ip-fabric", "__default__"]
    config = site.find("global-system-config", "default-global-system-config")
    assert config is not None and config["autonomous_system"] == 64512
    published = site.bus.published
    site.run(site.writer.initialise())
    assert site.bus.published == published


def test_network_ids_start_at_five_and_are_given_back(site: Site) -> None:
    blue, red = site.network("blue"), site.network("red")
    assert site.read("virtual-network", blue)["virtual_network_network_id"] == 5
    assert site.read("virtual-network", red)["virtual_network_network_id"] == 6
    assert site.run(site.ids.get(VIRTUAL_NETWORKS.node(4))) == "default-domain:demo:blue"
    site.run(site.writer.delete("virtual-network", blue))
    assert site.run(site.ids.get(VIRTUAL_NETWORKS.node(4))) is None
    assert site.read("virtual-network", site.network("green"))["virtual_network_network_id"] == 5


def test_a_network_gets_its_default_routing_instance_and_takes_it_along(site: Site) -> None:
    blue = site.network("blue")
    instance = site.find("routing-instance", *DEMO, "blue", "blue")
    assert instance is not None and instance["routing_instance_is_default"] is True
    assert instance["parent_uuid"] == blue
    site.run(site.writer.delete("virtual-network", blue))
    assert site.find("routing-instance", *DEMO, "blue", "blue") is None


def test_a_network_takes_the_place_of_one_whose_deletion_ended_half_way(site: Site) -> None:
    old = site.network("blue")
    stale = site.find("routing-instance", *DEMO, "blue", "blue")
    site.run(site.store.write([
        Delete(UUID_TABLE, old), Delete(NAME_TABLE, "virtual_network", f"default-domain:demo:blue:{old}")
    ]))  # fmt: skip
    site.clock.advance(10)
    blue = site.network("blue")
    instance = site.find("routing-instance", *DEMO, "blue", "blue")
    assert stale is not None and instance is not None
    assert instance["uuid"] != stale["uuid"] and instance["parent_uuid"] == blue


def test_an_instance_that_somebody_else_deletes_at_the_same_time_is_no_error(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    blue = site.network("blue")
    real = site.writer.delete

    async def twice(type_name: str, uuid: str) -> None:
        if type_name == "routing-instance":
            await real(type_name, uuid)
        await real(type_name, uuid)

    monkeypatch.setattr(site.writer, "delete", twice)
    site.run(site.writer.delete("virtual-network", blue))
    assert site.find("routing-instance", *DEMO, "blue", "blue") is None
    monkeypatch.undo()
    assert site.read("virtual-network", site.network("green"))["virtual_network_network_id"] == 5, "its id is free"


def test_a_vni_is_reserved_in_the_same_space(site: Site) -> None:
    site.network("blue", virtual_network_properties={"vxlan_network_identifier": 100})
    with pytest.raises(BadRequest, match="VNI 100 is in use"):
        site.network("red", virtual_network_properties={"vxlan_network_identifier": 100})
    assert site.find("virtual-network", *DEMO, "red") is None
    assert site.read("virtual-network", site.network("red"))["virtual_network_network_id"] == 6
    site.run(site.writer.update("virtual-network", site.find("virtual-network", *DEMO, "blue")["uuid"],  # type: ignore[index]
                                {"virtual_network_properties": {"vxlan_network_identifier": 101}}))  # fmt: skip
    site.network("green", virtual_network_properties={"vxlan_network_identifier": 100})


def test_a_shared_network_is_one_with_access_for_all(site: Site) -> None:
    shared = site.read("virtual-network", site.network("blue", is_shared=True))
    assert shared["perms2"]["global_access"] == 7
    open_to_all = site.read("virtual-network", site.network("red", perms2={"global_access": 7}))
    assert open_to_all["is_shared"] is True
    assert site.read("virtual-network", site.network("green"))["perms2"]["global_access"] == 0


@pytest.mark.parametrize(
    "target", ["target:64512:8000000", "target:64512:16777216", "target:64512", "64512:1", "target:x:1", "target:1:x"]
)
def test_automatic_and_malformed_targets_are_not_for_users(site: Site, target: str) -> None:
    with pytest.raises(BadRequest, match="virtual-network default-domain:demo:blue"):
        site.network("blue", import_route_target_list={"route_target": [target]})
    good = ["target:64512:7999999", "target:64512:16777217", "target:65001:8000000", "target:192.0.2.1:1"]
    uuid = site.network("blue", route_target_list={"route_target": good})
    with pytest.raises(BadRequest):
        site.run(site.writer.update("virtual-network", uuid, {"route_target_list": {"route_target": [target]}}))


def test_hold_times_and_as_of_bgp_routers(site: Site) -> None:
    for wrong in ({"hold_time": 2}, {"hold_time": 65536}, {"autonomous_system": 0}, {"autonomous_system": 70000}):
        with pytest.raises(BadRequest, match=next(iter(wrong))):
            site.create("bgp-router", *FABRIC, "one", bgp_router_parameters=wrong)
    config = site.find("global-system-config", "default-global-system-config")
    assert config is not None
    site.run(site.writer.update("global-system-config", config["uuid"], {"enable_4byte_as": True}))
    site.router("one", autonomous_system=70000, hold_time=0)


def virtual_dns(site: Site, name: str, **data: Any) -> str:
    return site.create("virtual-DNS", "default-domain", name, virtual_DNS_data={"domain_name": "lab.example", **data})


def test_virtual_dns_names_times_and_what_comes_next(site: Site) -> None:
    first = virtual_dns(site, "first", next_virtual_DNS="192.0.2.1", default_ttl_seconds=0)
    second = virtual_dns(site, "second", next_virtual_DNS="default-domain:first")
    back = {"domain_name": "lab.example", "next_virtual_DNS": "default-domain:second"}
    with pytest.raises(Forbidden, match="points back"):
        site.run(site.writer.update("virtual-DNS", first, {"virtual_DNS_data": back}))
    with pytest.raises(Forbidden, match="default-domain:second names it"):
        site.run(site.writer.delete("virtual-DNS", first))
    site.run(site.writer.delete("virtual-DNS", second))
    site.run(site.writer.delete("virtual-DNS", first))
    for kind, data, name in (
        (Forbidden, {}, "under_score"),
        (Forbidden, {}, "-hyphen"),
        (Forbidden, {"domain_name": "a..b"}, "x"),
        (Forbidden, {"domain_name": "-a.b"}, "x"),
        (Forbidden, {"domain_name": "a." * 128}, "x"),
        (BadRequest, {"default_ttl_seconds": 1 << 31}, "x"),
        (BadRequest, {"next_virtual_DNS": "default-domain:none"}, "x"),
    ):
        with pytest.raises(kind):
            virtual_dns(site, name, **data)


@pytest.mark.parametrize(
    ("kind", "name", "data", "good"),
    [
        ("A", "www", "192.0.2.1", True),
        ("A", "www", "fd00::1", False),
        ("A", "w_w", "192.0.2.1", False),
        ("AAAA", "www", "fd00::1", True),
        ("AAAA", "www", "192.0.2.1", False),
        ("CNAME", "www", "other.example.", True),
        ("CNAME", "www", "oth er", False),
        ("PTR", "192.0.2.1", "www.example", True),
        ("PTR", "1.2.0.192.in-addr.arpa", "www.example", True),
        ("PTR", "www", "www.example", False),
        ("NS", "sub", "default-domain:other", True),
        ("NS", "sub", "not a name", False),
    ],
)
def test_virtual_dns_records(site: Site, kind: str, name: str, data: str, good: bool) -> None:
    virtual_dns(site, "dns")
    record = {"record_name": name, "record_type": kind, "record_class": "IN", "record_data": data}
    fields = {"fq_name": ["default-domain", "dns", "r"], "virtual_DNS_record_data": record}
    if good:
        site.run(site.writer.create("virtual-DNS-record", fields))
    else:
        assert "virtual-DNS-record default-domain:dns:r: record_" in refused(
            site, BadRequest, "virtual-DNS-record", fields
        )


def test_system_numbers_cannot_be_set(site: Site) -> None:
    site.project()
    refused(site, Forbidden, "virtual-network", {"fq_name": [*DEMO, "x"], "virtual_network_network_id": 9})
    refused(site, Forbidden, "security-group", {"fq_name": [*DEMO, "x"], "security_group_id": 8000009})
    blue = site.network("blue")
    with pytest.raises(Forbidden):
        site.run(site.writer.update("virtual-network", blue, {"virtual_network_network_id": 9}))


def test_an_interface_has_a_mac_and_a_link_to_the_instance(site: Site) -> None:
    site.network("blue")
    site.project()
    chosen = "1b2794cf-12e5-4c6e-9d55-0b2c8f6f0a01"
    site.interface("p", "blue", uuid=chosen)
    read = site.read("virtual-machine-interface", chosen)
    assert read["virtual_machine_interface_mac_addresses"] == {"mac_address": ["02:1b:27:94:cf:12"]}
    (link,) = read["routing_instance_refs"]
    assert link["to"] == [*DEMO, "blue", "blue"]
    assert link["attr"]["direction"] == "both" and link["attr"]["vlan_tag"] is None
    site.interface("q", "blue", virtual_machine_interface_mac_addresses={"mac_address": ["02-00-00-00-00-01"]})
    other = site.find("virtual-machine-interface", *DEMO, "q")
    assert other is not None
    assert other["virtual_machine_interface_mac_addresses"] == {"mac_address": ["02:00:00:00:00:01"]}
    message = refused(
        site, BadRequest, "virtual-machine-interface", {"fq_name": [*DEMO, "r"], "parent_type": "project"}
    )
    assert "expected a reference to a virtual-network" in message


def test_security_groups_count_from_8000001(site: Site) -> None:
    site.project()
    assert site.run(site.ids.get("/id/security-groups/id/0000000000")) == "__reserved__"
    none = site.find("security-group", "default-domain", "default-project", "__no_rule__")
    assert none is not None and none["security_group_id"] == 8_000_001
    group = site.create("security-group", *DEMO, "web")
    assert site.read("security-group", group)["security_group_id"] == 8_000_002
    fixed = site.create("security-group", *DEMO, "fixed", configured_security_group_id=100)
    assert site.read("security-group", fixed)["security_group_id"] == 100


def test_a_floating_ip_comes_from_its_pools_network(site: Site) -> None:
    site.network("public", "192.0.2.0/24")
    site.create("floating-ip-pool", *DEMO, "public", "pool")
    floating = site.create("floating-ip", *DEMO, "public", "pool", "f1", parent_type="floating-ip-pool")
    read = site.read("floating-ip", floating)
    assert read["floating_ip_address"] == "192.0.2.252"
    assert read["project_refs"][0]["to"] == DEMO
    site.run(site.writer.delete("floating-ip", floating))
    again = site.create("floating-ip", *DEMO, "public", "pool", "f2", parent_type="floating-ip-pool")
    assert site.read("floating-ip", again)["floating_ip_address"] == "192.0.2.252"


def test_id_perms(site: Site) -> None:
    site.clock.advance(1.5)
    uuid = site.network("blue")
    perms = site.read("virtual-network", uuid)["id_perms"]
    value = uuid_module.UUID(uuid).int
    assert perms["uuid"] == {"uuid_mslong": value >> 64, "uuid_lslong": value & (1 << 64) - 1}
    assert perms["created"] == perms["last_modified"] == "2020-09-13T12:26:41.500000"
    site.clock.advance(1)
    site.run(site.writer.update("virtual-network", uuid, {"display_name": "sky"}))
    later = site.read("virtual-network", uuid)["id_perms"]
    assert later["created"] == perms["created"] and later["last_modified"] == "2020-09-13T12:26:42.500000"
    owner = site.find("project", *DEMO)
    assert owner is not None
    assert site.read("virtual-network", uuid)["perms2"]["owner"] == owner["uuid"].replace("-", "")


@pytest.mark.parametrize(
    ("type_name", "obj", "message"),
    [
        ("spaceship", {"fq_name": ["x"]}, "no such type: spaceship"),
        ("virtual-network", {}, "fq_name: expected a list of texts"),
        ("virtual-network", {"fq_name": ["x"]}, "expected at least two parts under a project"),
        ("virtual-network", {"fq_name": ["no", "such", "x"]}, "no project no:such"),
        ("virtual-network", {"fq_name": [*DEMO, "a:b"]}, "expected no colon"),
        pytest.param(
            "virtual-network", {"fq_name": [*DEMO, "\ud800"]}, "expected characters that XML can carry", id="surrogate"
        ),
        ("virtual-network", {"fq_name": [*DEMO, "x"], "parent_type": "domain"}, "expected one of project, not domain"),
        ("virtual-network", {"fq_name": [*DEMO, "x"], "colour": 1}, "colour: expected a property of virtual-network"),
        ("virtual-network", {"fq_name": [*DEMO, "x"], "is_shared": "maybe"}, "is_shared: expected true or false"),
        ("virtual-network", {"fq_name": [*DEMO, "x"], "uuid": "X"}, "Invalid UUID"),
        ("virtual-network", {"fq_name": [*DEMO, "x"], "domain_refs": []}, "a type that virtual-network may refer to"),
        (
            "virtual-network",
            {"fq_name": [*DEMO, "x"], "network_ipam_refs": [{"to": ["a", "b", "c"]}]},
            "no network-ipam",
        ),
        (
            "virtual-network",
            {"fq_name": [*DEMO, "x"], "network_ipam_refs": [5]},
            "a reference to network-ipam: expected",
        ),
        ("virtual-machine-interface", {"fq_name": [*DEMO, "x"]}, "parent_type: expected one of"),
        ("virtual-machine", {"fq_name": ["a", "b"]}, "expected one part, as it has no parent"),
    ],
)
def test_bad_objects_are_refused_with_object_and_field(
    site: Site, type_name: str, obj: dict[str, Any], message: str
) -> None:
    site.project()
    published = site.bus.published
    assert message in refused(site, BadRequest, type_name, obj)
    assert site.bus.published == published


def test_a_null_uuid_means_allocate_and_a_name_is_held_once(site: Site) -> None:
    site.project()
    uuid = site.create("virtual-machine", "vm", uuid=None)
    assert f"already exists with uuid: {uuid}" in refused(site, Conflict, "virtual-machine", {"fq_name": ["vm"]})
    refused(site, Conflict, "virtual-machine", {"fq_name": ["other"], "uuid": uuid})
    assert site.run(site.ids.get("/fq-name-to-uuid/virtual_machine:vm")) == uuid
    site.run(site.writer.delete("virtual-machine", uuid))
    assert site.run(site.ids.get("/fq-name-to-uuid/virtual_machine:vm")) is None
    site.create("virtual-machine", "vm")


def test_a_stale_name_lock_is_replaced_after_five_seconds(site: Site) -> None:
    site.run(site.ids.create("/fq-name-to-uuid/virtual_machine:vm", "11111111-1111-4111-8111-111111111111"))
    refused(site, Conflict, "virtual-machine", {"fq_name": ["vm"]})
    site.clock.advance(5)
    uuid = site.create("virtual-machine", "vm")
    assert site.run(site.ids.get("/fq-name-to-uuid/virtual_machine:vm")) == uuid


def test_a_failed_create_gives_everything_back(site: Site) -> None:
    site.project()
    bad = {"fq_name": [*DEMO, "x"], "virtual_network_properties": {"vxlan_network_identifier": 1}}  # taken: network 1
    refused(site, BadRequest, "virtual-network", bad)
    assert site.run(site.ids.get("/fq-name-to-uuid/virtual_network:default-domain:demo:x")) is None
    assert site.read("virtual-network", site.network("y"))["virtual_network_network_id"] == 5


def test_what_is_referred_to_or_has_children_stays(site: Site) -> None:
    blue = site.network("blue", "10.1.0.0/24")
    port = site.interface("p", "blue")
    with pytest.raises(Conflict, match="still referred") as caught:
        site.run(site.writer.delete("virtual-network", blue))
    assert port in str(caught.value)
    project = site.find("project", *DEMO)
    assert project is not None
    with pytest.raises(Conflict, match="children still present"):
        site.run(site.writer.delete("project", project["uuid"]))
    site.run(site.writer.relax_reference(port, blue))
    site.run(site.writer.delete("virtual-machine-interface", port))
    site.run(site.writer.delete("virtual-network", blue))
    with pytest.raises(NotFound):
        site.read("virtual-network", blue)
    fabric = site.find("virtual-network", "default-domain", "default-project", "ip-fabric")
    assert fabric is not None
    with pytest.raises(Conflict):
        site.run(site.writer.delete("virtual-network", fabric["uuid"]))


def test_update_replaces_reference_lists_and_null_takes_away(site: Site) -> None:
    site.network("blue")
    one, two = site.create("security-group", *DEMO, "one"), site.create("security-group", *DEMO, "two")
    port = site.interface("p", "blue", security_group_refs=[{"to": [*DEMO, "one"]}])
    changes = {"security_group_refs": [{"uuid": two}], "display_name": None}
    assert site.run(site.writer.update("virtual-machine-interface", port, changes))
    read = site.read("virtual-machine-interface", port)
    assert [entry["uuid"] for entry in read["security_group_refs"]] == [two]
    assert "display_name" not in read and len(read["virtual_network_refs"]) == 1
    assert "virtual_machine_interface_back_refs" not in site.read("security-group", one)
    published = site.bus.published
    assert not site.run(site.writer.update("virtual-machine-interface", port, changes))
    assert site.bus.published == published


def test_ref_update_adds_changes_and_deletes(site: Site) -> None:
    blue = site.network("blue")
    policy = site.create("network-policy", *DEMO, "pol")
    change = ("virtual-network", blue, "network-policy", policy)
    assert site.run(site.writer.ref_update(*change, "ADD", {"sequence": {"major": 1, "minor": 0}}))
    assert not site.run(site.writer.ref_update(*change, "ADD", {"sequence": {"major": 1, "minor": 0}}))
    assert site.run(site.writer.ref_update(*change, "ADD", {"sequence": {"major": 2, "minor": 0}}))
    assert site.read("virtual-network", blue)["network_policy_refs"][0]["attr"] == {
        "sequence": {"major": 2, "minor": 0}
    }
    assert site.run(site.writer.ref_update(*change, "DELETE"))
    assert not site.run(site.writer.ref_update(*change, "DELETE"))
    with pytest.raises(NotFound):
        site.run(site.writer.ref_update("virtual-network", blue, "network-policy", str(site.uuid())))
    with pytest.raises(BadRequest):
        site.run(site.writer.ref_update(*change, "FROB"))


def test_rows_are_written_before_the_message_and_self_references_tell_the_other_end(site: Site) -> None:
    seen: list[tuple[str, str, bool]] = []

    def record(message: Any) -> None:
        row = site.run(site.store.rows("obj_uuid_table", [message.uuid], "d"))
        seen.append((message.oper, message.fq_name[-1], bool(row)))

    site.run(site.bus.subscribe("test", record, lambda: None))
    one, two = site.router("one"), site.router("two")
    site.run(site.writer.ref_update("bgp-router", one, "bgp-router", two, "ADD", None))
    site.run(site.writer.delete("bgp-router", one))
    site.settle()
    assert seen[-1] == ("UPDATE-IMPLICIT", "two", True)
    assert [entry[:2] for entry in seen] == [
        ("CREATE", "one"),
        ("CREATE", "two"),
        ("UPDATE", "one"),
        ("UPDATE-IMPLICIT", "two"),
        ("DELETE", "one"),
        ("UPDATE-IMPLICIT", "two"),
    ]
    assert ROUTE_TARGETS.first == 8_000_000
