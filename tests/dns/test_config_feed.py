"""The graph as the configuration client fills it, in every order."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.config.graph import Graph
from contrail_emulator.dns.config_feed import ConfigFeed
from contrail_emulator.dns.views import Views

V1 = "default-domain:v1"
IPAM = "default-domain:p:ipam"
NETWORK = "default-domain:p:blue"


def server(graph: Graph, name: str = V1, domain: str = "example.com", **options: Any) -> None:
    graph.put("virtual-DNS", name, {"virtual_DNS_data": {"domain_name": domain, **options}})


def record(
    graph: Graph, name: str, rr_type: str, record_name: str, data: str, parent: str = V1, **options: Any
) -> None:
    value = {"record_name": record_name, "record_type": rr_type, "record_class": "IN", "record_data": data, **options}
    with graph.batch():
        graph.put("virtual-DNS-record", name, {"virtual_DNS_record_data": value})
        graph.link("virtual-DNS-virtual-DNS-record", ("virtual-DNS", parent), ("virtual-DNS-record", name))


def ipam(graph: Graph, name: str = IPAM, server_name: str = V1) -> None:
    management = {"ipam_dns_method": "virtual-dns-server", "ipam_dns_server": {"virtual_dns_server_name": server_name}}
    graph.put("network-ipam", name, {"network_ipam_mgmt": management})


def network(graph: Graph, *subnets: str, name: str = NETWORK, ipam_name: str = IPAM) -> None:
    split = [subnet.split("/") for subnet in subnets]
    value = {"ipam_subnets": [{"subnet": {"ip_prefix": prefix, "ip_prefix_len": int(n)}} for prefix, n in split]}
    graph.link("virtual-network-network-ipam", ("virtual-network", name), ("network-ipam", ipam_name), value)


def shown(views: Views) -> dict[str, Any]:
    return {
        each.fq_name: (
            sorted(each.zones),
            sorted((key[1], s.data.name, s.installed is not None, s.reason) for key, s in each.statements.items()),
        )
        for each in views
    }


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def views(graph: Graph) -> Views:
    made = Views("10.9.9.9")
    ConfigFeed(graph, made).start()
    return made


STEPS: list[Callable[[Graph], None]] = [
    lambda graph: server(graph, reverse_resolution=True),
    lambda graph: server(graph, "default-domain:v2", "two.org"),
    lambda graph: record(graph, f"{V1}:r1", "A", "vm", "10.1.0.3", record_ttl_seconds=5),
    lambda graph: record(graph, f"{V1}:r2", "PTR", "10.1.0.3", "vm"),
    lambda graph: record(graph, f"{V1}:r3", "A", "vm_1", "10.1.0.3"),
    lambda graph: record(graph, "default-domain:v2:r1", "MX", "m", "vm", "default-domain:v2", record_mx_preference=5),
    ipam,
    lambda graph: ipam(graph, "default-domain:p:other"),
    lambda graph: network(graph, "10.1.0.0/24", "fd00::/64"),
    lambda graph: network(graph, "10.2.0.0/24", ipam_name="default-domain:p:other"),
]

FINAL = {
    V1: (
        [
            b".".join([b"0"] * 14) + b".d.f.ip6.arpa",
            b"0.1.10.in-addr.arpa",
            b"0.2.10.in-addr.arpa",
            b"example.com",
        ],
        [
            (f"{V1}:r1", "vm", True, ""),
            (f"{V1}:r2", "10.1.0.3", True, ""),
            (f"{V1}:r3", "vm_1", False, "Invalid DNS Name - cannot use special characters in DNS name"),
        ],
    ),
    "default-domain:v2": ([b"two.org"], [("default-domain:v2:r1", "m", True, "")]),
}


@settings(max_examples=60)
@given(st.permutations(STEPS), st.integers(0, len(STEPS)))
def test_any_order_and_any_moment_of_starting_gives_the_same_servers(
    steps: list[Callable[[Graph], None]], before: int
) -> None:
    graph, views = Graph(), Views("10.9.9.9")
    for step in steps[:before]:
        step(graph)
    ConfigFeed(graph, views).start()
    for step in steps[before:]:
        step(graph)
    assert shown(views) == FINAL
    with graph.batch():
        graph.clear()
    assert shown(views) == {}


def test_what_was_stated_is_read(graph: Graph, views: Views) -> None:
    server(
        graph,
        record_order="round-robin",
        default_ttl_seconds=120,
        next_virtual_DNS="default-domain:v2",
        floating_ip_record="vm-name",
        external_visible=True,
        reverse_resolution="true",
        dynamic_records_from_client=False,
        soa_record={"negative_cache_ttl_seconds": 100},
    )
    found = views.get(V1)
    assert found is not None and found.data is not None
    data = found.data
    assert (data.record_order, data.ttl, data.next) == ("round-robin", 120, "default-domain:v2")
    assert (data.external_visible, data.reverse_resolution, data.dynamic_records) == (True, True, False)
    assert (data.floating_ip_record, data.negative_ttl) == ("vm-name", 100)


@pytest.mark.parametrize(
    "value",
    [{}, {"domain_name": None, "soa_record": 5, "default_ttl_seconds": "x"}, {"record_order": "sorted"}, 7, None],
)
def test_values_that_make_no_sense_get_defaults(graph: Graph, views: Views, value: Any) -> None:
    graph.put("virtual-DNS", V1, {"virtual_DNS_data": value})
    graph.put("virtual-DNS-record", f"{V1}:r", {"virtual_DNS_record_data": value})
    graph.put("network-ipam", IPAM, {"network_ipam_mgmt": value})
    subnets = {"ipam_subnets": value}
    graph.link("virtual-network-network-ipam", ("virtual-network", NETWORK), ("network-ipam", IPAM), subnets)
    found = views.get(V1)
    assert found is None or (found.data is not None and found.data.record_order == "random" and not found.installed)


def test_changes_move_what_they_touch(graph: Graph, views: Views) -> None:
    for step in STEPS:
        step(graph)
    ipam(graph, server_name="default-domain:v2")
    assert sorted(views.ensure(V1).zones) == [b"0.2.10.in-addr.arpa", b"example.com"]
    assert len(views.ensure("default-domain:v2").zones) == 3
    assert [s.reason for s in views.ensure(V1).statements.values() if s.data.name == "10.1.0.3"] == [
        "10.1.0.3 is in no subnet of this server"
    ]
    record(graph, f"{V1}:r1", "A", "renamed", "10.1.0.4")
    assert {s.data.name for s in views.ensure(V1).statements.values()} == {"renamed", "10.1.0.3", "vm_1"}
    graph.remove("virtual-DNS-record", f"{V1}:r1")
    graph.remove("virtual-DNS-record", f"{V1}:r3")
    assert {s.data.name for s in views.ensure(V1).statements.values()} == {"10.1.0.3"}
    network(graph, "10.3.0.0/24")
    assert b"0.3.10.in-addr.arpa" in views.ensure("default-domain:v2").zones
    graph.unlink("virtual-network-network-ipam", ("virtual-network", NETWORK), ("network-ipam", IPAM))
    assert sorted(views.ensure("default-domain:v2").zones) == [b"two.org"]
    server(graph, domain="new.org", reverse_resolution=True)
    assert sorted(views.ensure(V1).zones) == [b"0.2.10.in-addr.arpa", b"new.org"]


def test_the_serial_grows_with_every_rebuild(graph: Graph, views: Views) -> None:
    server(graph)
    found = views.ensure(V1)
    assert found.zones[b"example.com"].serial == 54
    record(graph, f"{V1}:r1", "A", "vm", "10.1.0.3")
    assert found.zones[b"example.com"].serial == 55
    server(graph, default_ttl_seconds=7)
    assert found.zones[b"example.com"].serial > 55


def test_bad_subnets_are_left_out(graph: Graph, views: Views) -> None:
    server(graph)
    ipam(graph)
    value = {"ipam_subnets": [{"subnet": {"ip_prefix": "10.1.0", "ip_prefix_len": 24}}, {"subnet": None}, None]}
    graph.link("virtual-network-network-ipam", ("virtual-network", NETWORK), ("network-ipam", IPAM), value)
    assert views.ensure(V1).subnets == ()


def test_after_stop_the_graph_is_not_followed() -> None:
    graph, views = Graph(), Views("10.9.9.9")
    feed = ConfigFeed(graph, views)
    feed.start()
    feed.stop()
    feed.stop()
    server(graph)
    assert len(views) == 0
