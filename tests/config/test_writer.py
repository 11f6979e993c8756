"""The writer does what the API server does beside storing (reference/config.md 3.2, 3.7-3.10)."""

import json
import uuid as uuid_module
from collections.abc import Coroutine
from typing import Any

import pytest

from contrail_emulator.config.ids import ROUTE_TARGETS, VIRTUAL_NETWORKS
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Delete, Put
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO, FABRIC
from contrail_emulator.config.writer import BadRequest, Conflict, Forbidden, NotFound, WriterError


@pytest.fixture
def site() -> Site:
    return Site()


def refused(site: Site, kind: type[WriterError], type_name: str, obj: dict[str, Any]) -> str:
    with pytest.raises(kind) as caught:
        site.run(site.writer.create(type_name, obj))
    return str(caught.value)


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


@pytest.mark.parametrize(
    ("from_start", "gateway", "dns", "first", "second"),
    [
        (None, "10.1.0.254", "10.1.0.253", "10.1.0.252", "10.1.0.251"),
        (True, "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"),
    ],
)
def test_gateway_dns_and_the_direction_of_allocation(
    site: Site, from_start: bool | None, gateway: str, dns: str, first: str, second: str
) -> None:
    site.project()
    entry = {"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}, "addr_from_start": from_start}
    network = site.create(
        "virtual-network",
        *DEMO,
        "blue",
        network_ipam_refs=[{"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": [entry]}}],
    )
    filled = site.read("virtual-network", network)["network_ipam_refs"][0]["attr"]["ipam_subnets"][0]
    assert (filled["default_gateway"], filled["dns_server_address"]) == (gateway, dns)
    assert uuid_module.UUID(filled["subnet_uuid"])
    site.interface("p", "blue")
    assert site.address("one", "blue", "p") == first
    assert site.address("two", "blue", "p") == second


def test_explicit_addresses_are_honoured_and_conflicts_refused(site: Site) -> None:
    site.network("blue", "10.1.0.0/24")
    site.interface("p", "blue")
    assert site.address("one", "blue", "p", instance_ip_address="10.1.0.252") == "10.1.0.252"
    with pytest.raises(Conflict, match=r"already in use: 10\.1\.0\.252"):
        site.address("two", "blue", "p", instance_ip_address="10.1.0.252")
    with pytest.raises(Conflict):
        site.address("two", "blue", "p", instance_ip_address="10.1.0.254")
    with pytest.raises(BadRequest, match="in no subnet"):
        site.address("two", "blue", "p", instance_ip_address="10.9.0.1")
    assert site.address("two", "blue", "p") == "10.1.0.251"
    one = site.find("instance-ip", "one")
    assert one is not None and one["instance_ip_family"] == "v4"
    assert one["instance_ip_subnet"] == {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}
    site.run(site.writer.delete("instance-ip", one["uuid"]))
    assert site.address("three", "blue", "p") == "10.1.0.252"


def test_a_subnet_runs_out(site: Site) -> None:
    site.network("tiny", "10.1.0.0/29")
    site.interface("p", "tiny")
    assert [site.address(str(n), "tiny", "p")[-1] for n in range(4)] == ["4", "3", "2", "1"]
    with pytest.raises(Conflict, match="exhausted"):
        site.address("more", "tiny", "p")
    assert site.find("instance-ip", "more") is None


def test_allocation_pools_and_ipv6(site: Site) -> None:
    site.project()
    pool = {"start": "10.1.0.10", "end": "10.1.0.11"}
    entries = [
        {"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}, "allocation_pools": [pool]},
        {"subnet": {"ip_prefix": "fd00::", "ip_prefix_len": 64}},
    ]
    site.create(
        "virtual-network", *DEMO, "blue", network_ipam_refs=[{"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": entries}}]
    )
    site.interface("p", "blue")
    assert site.address("one", "blue", "p") == "10.1.0.11"
    assert site.address("two", "blue", "p") == "10.1.0.10"
    with pytest.raises(Conflict):
        site.address("three", "blue", "p")
    assert site.address("six", "blue", "p", instance_ip_family="v6") == "fd00::ffff:ffff:ffff:fffc"


@pytest.mark.parametrize(
    "pool",
    [{"start": "x", "end": "y"}, {"start": "10.2.0.9"}, {"start": "10.2.0.9", "end": "10.2.0.5"},
     {"start": "10.9.0.5", "end": "10.9.0.9"}],
)  # fmt: skip
def test_pools_that_make_no_sense_are_refused_and_passed_over_in_a_row(site: Site, pool: dict[str, str]) -> None:
    site.project()
    subnets = [
        {"subnet": {"ip_prefix": "10.2.0.0", "ip_prefix_len": 24}, "allocation_pools": [pool]},
        {"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 24}},
    ]
    reference = {"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": subnets}}
    with pytest.raises(BadRequest, match=r"virtual-network default-domain:demo:blue: allocation_pools: expected addr"):
        site.create("virtual-network", *DEMO, "blue", network_ipam_refs=[reference])
    blue, ipam = site.network("blue"), site.find("network-ipam", *DEMO, "ipam")
    assert ipam is not None
    value = json.dumps({"attr": {"ipam_subnets": subnets}})
    site.run(site.store.write([Put(UUID_TABLE, blue, f"ref:network_ipam:{ipam['uuid']}", value)]))
    site.interface("port", "blue")
    assert site.address("ip", "blue", "port") == "10.1.0.254"


def test_an_address_that_is_none_in_a_row_does_not_keep_it_from_being_deleted(site: Site) -> None:
    site.network("blue", "10.1.0.0/24")
    site.interface("port", "blue")
    site.address("ip", "blue", "port")
    found = site.find("instance-ip", "ip")
    assert found is not None
    site.run(site.store.write([Put(UUID_TABLE, found["uuid"], "prop:instance_ip_address", '"10.1.0.300"')]))
    site.run(site.writer.delete("instance-ip", found["uuid"]))
    assert site.find("instance-ip", "ip") is None


def test_a_changed_address_is_taken_and_the_old_one_given_back(site: Site) -> None:
    site.network("blue", "10.1.0.0/24")
    for name in ("one", "two"):
        site.interface(name, "blue")
    assert (site.address("one", "blue", "one"), site.address("two", "blue", "two")) == ("10.1.0.252", "10.1.0.251")
    one = site.find("instance-ip", "one")
    assert one is not None
    for taken in ("10.1.0.251", "10.1.0.254", "10.9.0.1"):
        with pytest.raises(WriterError):
            site.run(site.writer.update("instance-ip", one["uuid"], {"instance_ip_address": taken}))
    site.run(site.writer.update("instance-ip", one["uuid"], {"instance_ip_address": "10.1.0.9"}))
    site.interface("three", "blue")
    assert site.address("three", "blue", "three") == "10.1.0.252"
    with pytest.raises(Conflict):
        site.address("four", "blue", "three", instance_ip_address="10.1.0.9")


def test_overlapping_subnets_are_refused(site: Site) -> None:
    site.project()
    entries = [
        {"subnet": {"ip_prefix": "10.1.0.0", "ip_prefix_len": 16}},
        {"subnet": {"ip_prefix": "10.1.2.0", "ip_prefix_len": 24}},
    ]
    references = [{"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": entries}}]
    message = refused(site, BadRequest, "virtual-network", {"fq_name": [*DEMO, "x"], "network_ipam_refs": references})
    assert "overlapping" in message


def ipam_link(*prefixes: str, ipam: str = "ipam") -> dict[str, Any]:
    subnets = [prefix.partition("/") for prefix in prefixes]
    entries = [{"subnet": {"ip_prefix": prefix, "ip_prefix_len": int(length)}} for prefix, _, length in subnets]
    return {"to": [*DEMO, ipam], "attr": {"ipam_subnets": entries}}


def still_there(site: Site, network: str, change: Coroutine[Any, Any, Any], subnet: str, address: str) -> None:
    """A change is refused as the API server does, and nothing of it is done."""
    before = site.read("virtual-network", network)
    with pytest.raises(Conflict) as caught:
        site.run(change)
    said = f"virtual-network default-domain:demo:blue: Cannot Delete IP Block {subnet}, {address} is in use"
    assert str(caught.value) == said and caught.value.status == 409
    assert site.read("virtual-network", network) == before


def test_a_subnet_with_an_address_in_use_stays(site: Site) -> None:
    site.project()
    site.create("network-ipam", *DEMO, "other")
    links = [ipam_link("10.1.0.0/24", "10.2.0.0/24"), ipam_link("10.3.0.0/24", ipam="other")]
    blue = site.create("virtual-network", *DEMO, "blue", network_ipam_refs=links)
    site.interface("p", "blue")
    site.address("one", "blue", "p", instance_ip_address="10.1.0.252")
    site.address("three", "blue", "p", instance_ip_address="10.3.0.9")
    ipam, other = (site.find("network-ipam", *DEMO, name) for name in ("ipam", "other"))
    assert ipam is not None and other is not None

    def relink(*links: dict[str, Any]) -> Coroutine[Any, Any, bool]:
        return site.writer.update("virtual-network", blue, {"network_ipam_refs": list(links)})

    def unlink(uuid: str) -> Coroutine[Any, Any, bool]:
        return site.writer.ref_update("virtual-network", blue, "network-ipam", uuid, "DELETE")

    one, three = ("10.1.0.0/24", "IP(10.1.0.252)"), ("10.3.0.0/24", "IP(10.3.0.9)")
    attribute = ipam_link("10.2.0.0/24")["attr"]
    replace = site.writer.ref_update("virtual-network", blue, "network-ipam", ipam["uuid"], "ADD", attribute)
    still_there(site, blue, replace, *one)
    still_there(site, blue, relink(ipam_link("10.2.0.0/24"), links[1]), *one)
    still_there(site, blue, relink(ipam_link("10.1.0.0/16"), links[1]), *one)
    still_there(site, blue, relink(links[0]), *three)
    still_there(site, blue, unlink(ipam["uuid"]), *one)
    still_there(site, blue, unlink(other["uuid"]), *three)
    with pytest.raises(Conflict, match="Delete when resource still referred"):
        site.run(site.writer.delete("network-ipam", other["uuid"]))
    site.run(relink(ipam_link("10.3.0.0/24", "10.1.0.0/24")))  # one that nobody uses goes, one only changes its IPAM
    for name in ("one", "three"):
        found = site.find("instance-ip", name)
        assert found is not None
        site.run(site.writer.delete("instance-ip", found["uuid"]))
    site.run(unlink(ipam["uuid"]))
    assert "network_ipam_refs" not in site.read("virtual-network", blue)


def test_floating_and_alias_addresses_keep_their_subnet_and_rows_that_make_no_sense_keep_none(site: Site) -> None:
    blue = site.network("blue", "10.1.0.0/24")
    site.interface("p", "blue")
    site.address("one", "blue", "p")
    site.create("floating-ip-pool", *DEMO, "blue", "pool")
    floating = site.create("floating-ip", *DEMO, "blue", "pool", "fip", parent_type="floating-ip-pool")
    site.create("alias-ip-pool", *DEMO, "blue", "pool")
    alias = site.create("alias-ip", *DEMO, "blue", "pool", "aip", alias_ip_address="10.1.0.7")
    one = site.find("instance-ip", "one")
    assert one is not None
    for wrong in ('"10.1.0.300"', "7"):
        site.run(site.store.write([Put(UUID_TABLE, one["uuid"], "prop:instance_ip_address", wrong)]))
        change = site.writer.update("virtual-network", blue, {"network_ipam_refs": []})
        still_there(site, blue, change, "10.1.0.0/24", "Floating IP(10.1.0.251)")
    site.run(site.writer.delete("floating-ip", floating))
    change = site.writer.update("virtual-network", blue, {"network_ipam_refs": []})
    still_there(site, blue, change, "10.1.0.0/24", "Alias IP(10.1.0.7)")
    site.run(site.writer.delete("alias-ip", alias))
    site.run(site.store.write([Delete(UUID_TABLE, one["uuid"])]))
    assert site.run(site.writer.update("virtual-network", blue, {"network_ipam_refs": []}))


def test_an_alias_ip_comes_from_its_pools_network(site: Site) -> None:
    site.network("blue", "10.1.0.0/24")
    site.create("alias-ip-pool", *DEMO, "blue", "pool")
    one = site.create("alias-ip", *DEMO, "blue", "pool", "one")
    assert site.read("alias-ip", one)["alias_ip_address"] == "10.1.0.252"
    with pytest.raises(Conflict):
        site.create("alias-ip", *DEMO, "blue", "pool", "two", alias_ip_address="10.1.0.252")
    site.run(site.writer.delete("alias-ip", one))
    site.interface("p", "blue")
    assert site.address("iip", "blue", "p") == "10.1.0.252"


def internal(site: Site, router: str) -> dict[str, Any] | None:
    return site.find("virtual-network", *DEMO, f"__contrail_lr_internal_vn_{router}__")


def test_a_vxlan_router_has_an_internal_network(site: Site) -> None:
    site.network("blue", virtual_network_properties={"vxlan_network_identifier": 100})
    targets = {"route_target": ["target:1:1"]}

    def make(name: str, **fields: Any) -> str:
        return site.create("logical-router", *DEMO, name, logical_router_type="vxlan-routing", **fields)

    plain = site.create("logical-router", *DEMO, "plain")
    assert site.read("logical-router", plain)["logical_router_type"] == "snat-routing" and not internal(site, plain)
    with pytest.raises(BadRequest, match="VNI 100 is in use"):
        make("lr", vxlan_network_identifier="100")
    for wrong in ("0", "16777216", "x"):
        with pytest.raises(BadRequest, match="vxlan_network_identifier: expected 1 to 16777215"):
            make("lr", vxlan_network_identifier=wrong)
    with pytest.raises(BadRequest, match="logical-router default-domain:demo:lr: target:64512:8000001 is in the range"):
        make("lr", configured_route_target_list={"route_target": ["target:64512:8000001"]})
    assert site.find("logical-router", *DEMO, "lr") is None
    router = make("lr", vxlan_network_identifier="200", configured_route_target_list=targets)
    network = internal(site, router)
    assert network is not None and network["display_name"] == "LR::lr" and network["route_target_list"] == targets
    assert network["id_perms"]["user_visible"] is False
    properties = network["virtual_network_properties"]
    assert (properties["forwarding_mode"], properties["vxlan_network_identifier"]) == ("l3", 200)
    (reference,) = site.read("logical-router", router)["virtual_network_refs"]
    assert reference["uuid"] == network["uuid"]
    assert reference["attr"] == {"logical_router_virtual_network_type": "InternalVirtualNetwork"}

    def change(**fields: Any) -> None:
        site.run(site.writer.update("logical-router", router, fields))

    with pytest.raises(BadRequest, match="logical_router_type"):
        change(logical_router_type="snat-routing")
    with pytest.raises(BadRequest, match="VNI 100 is in use"):
        change(vxlan_network_identifier="100")
    change(vxlan_network_identifier="300", configured_route_target_list=None)
    change(virtual_network_refs=[{"to": [*DEMO, "blue"], "attr": {}}])
    network = internal(site, router)
    assert network is not None and "route_target_list" not in network
    assert network["virtual_network_properties"]["vxlan_network_identifier"] == 300
    assert len(site.read("logical-router", router)["virtual_network_refs"]) == 2
    again = make("second", vxlan_network_identifier="200")
    site.create(
        "virtual-machine-interface", *DEMO, "port", parent_type="project",
        virtual_network_refs=[{"to": network["fq_name"]}],
    )  # fmt: skip
    with pytest.raises(Conflict, match="still referred"):
        site.run(site.writer.delete("logical-router", router))
    assert len(site.read("logical-router", router)["virtual_network_refs"]) == 2 and internal(site, router)
    port = site.find("virtual-machine-interface", *DEMO, "port")
    assert port is not None
    site.run(site.writer.delete("virtual-machine-interface", port["uuid"]))
    for one in (router, again):
        site.run(site.writer.delete("logical-router", one))
        assert internal(site, one) is None
    site.network("red", virtual_network_properties={"vxlan_network_identifier": 200})


def test_a_subnet_of_a_flat_ipam_stays_while_a_network_has_an_address_of_it(site: Site) -> None:
    site.project()
    flat = site.create(
        "network-ipam", *DEMO, "flat", ipam_subnet_method="flat-subnet",
        ipam_subnets={"subnets": ipam_link("10.1.0.0/24", "10.2.0.0/24")["attr"]["ipam_subnets"]},
    )  # fmt: skip
    blue = site.create("virtual-network", *DEMO, "blue", network_ipam_refs=[{"to": [*DEMO, "flat"], "attr": {}}])
    network_ref = [{"to": [*DEMO, "blue"]}]
    iip = site.create("instance-ip", "one")
    site.run(site.store.write([Put(UUID_TABLE, iip, "prop:instance_ip_address", '"10.1.0.9"')]))  # from its IPAM
    site.run(site.writer.update("instance-ip", iip, {"virtual_network_refs": network_ref}))

    def subnets(*prefixes: str) -> Coroutine[Any, Any, bool]:
        value = {"subnets": ipam_link(*prefixes)["attr"]["ipam_subnets"]}
        return site.writer.update("network-ipam", flat, {"ipam_subnets": value})

    still_there(site, blue, subnets("10.2.0.0/24"), "10.1.0.0/24", "IP(10.1.0.9)")
    still_there(site, blue, site.writer.update("network-ipam", flat, {"ipam_subnets": None}), "10.1.0.0/24",
                "IP(10.1.0.9)")  # fmt: skip
    site.run(subnets("10.1.0.0/24"))
    site.run(site.writer.delete("instance-ip", iip))
    site.run(subnets())


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
