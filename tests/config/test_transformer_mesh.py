"""Which BGP routers the transformer has peer (reference/config.md 5)."""

from collections.abc import Callable

from config.conftest import change, idle

from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import FABRIC

Said = Callable[[], list[str]]


def peers(site: Site, name: str) -> set[str]:
    found = site.find("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", name)
    assert found is not None
    return {entry["to"][-1] for entry in found.get("bgp_router_refs", [])}


# -- route targets


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
