"""Subnets and addresses as the API server gives and keeps them (reference/config.md 3.8-3.10)."""

import json
import uuid as uuid_module
from collections.abc import Coroutine
from typing import Any

import pytest
from config.conftest import refused

from contrail_emulator.config.layout import UUID_TABLE
from contrail_emulator.config.store import Delete, Put
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import BadRequest, Conflict, WriterError


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
