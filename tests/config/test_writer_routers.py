"""What the writer makes for a logical router that routes VXLAN (reference/config.md 5.7)."""

from typing import Any

import pytest

from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import BadRequest, Conflict


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


def test_a_vni_may_be_the_network_id_that_is_next(site: Site) -> None:
    site.project()
    plain = site.network("plain", virtual_network_properties={"vxlan_network_identifier": 5})
    assert site.read("virtual-network", plain)["virtual_network_network_id"] == 6
    router = site.create(
        "logical-router", *DEMO, "router", logical_router_type="vxlan-routing", vxlan_network_identifier="7"
    )
    network = internal(site, router)
    assert network is not None and network["virtual_network_network_id"] == 8
    assert network["virtual_network_properties"]["vxlan_network_identifier"] == 7


def test_a_router_whose_network_is_refused_can_be_made_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.project()
    create = site.writer.create

    async def one_refusal(type_name: str, obj: dict[str, Any]) -> str:
        if type_name == "virtual-network":
            monkeypatch.setattr(site.writer, "create", create)
            raise Conflict("no virtual network id is left")
        return await create(type_name, obj)

    monkeypatch.setattr(site.writer, "create", one_refusal)
    body = {"fq_name": [*DEMO, "router"], "parent_type": "project", "logical_router_type": "vxlan-routing"}
    with pytest.raises(Conflict, match="no virtual network id is left"):
        site.run(create("logical-router", body))
    assert site.find("logical-router", *DEMO, "router") is None
    assert internal(site, site.run(create("logical-router", body))) is not None
