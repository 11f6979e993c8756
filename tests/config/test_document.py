"""Configuration as a document: load, dump, compare."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contrail_emulator.config.document import TRIES, Difference, DocumentError, diff, dump, load, parse, render
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import Conflict, NotFound

TEXT = """
objects:
- {type: virtual-machine-interface, fq_name: [default-domain, demo, port], parent_type: project,
   virtual_network_refs: [{to: [default-domain, demo, blue]}]}
- {type: virtual-network, fq_name: [default-domain, demo, blue], is_shared: true,
   network_ipam_refs: [{to: [default-domain, demo, ipam],
                        attr: {ipam_subnets: [{subnet: {ip_prefix: 10.1.0.0, ip_prefix_len: 24}}]}}]}
- {type: instance-ip, fq_name: [ip], virtual_network_refs: [{to: [default-domain, demo, blue]}],
   virtual_machine_interface_refs: [{to: [default-domain, demo, port]}]}
- {type: network-ipam, fq_name: [default-domain, demo, ipam]}
- {type: project, fq_name: [default-domain, demo]}
- {type: bgp-router, fq_name: [default-domain, default-project, ip-fabric, __default__, one],
   bgp_router_refs: [{to: [default-domain, default-project, ip-fabric, __default__, two], attr: {session: []}}]}
- {type: bgp-router, fq_name: [default-domain, default-project, ip-fabric, __default__, two]}
"""


def test_any_order_loads_and_a_second_time_changes_nothing() -> None:
    site = Site()
    objects = parse(TEXT)
    assert site.run(load(site.writer, objects)) == (7, 0)
    address = site.find("instance-ip", "ip")
    assert address is not None and address["instance_ip_address"] == "10.1.0.252"
    two = site.find("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", "two")
    assert two is not None and two["bgp_router_refs"][0]["to"][-1] == "one"
    published = site.bus.published
    assert site.run(diff(site.writer, objects)) == []
    assert site.run(load(site.writer, objects)) == (0, 0)
    assert site.bus.published == published


def test_a_subnet_keeps_its_uuid_which_addresses_name() -> None:
    site = Site()
    site.run(load(site.writer, parse(TEXT)))
    address = site.find("instance-ip", "ip")
    wider = parse(TEXT.replace("ip_prefix_len: 24}", "ip_prefix_len: 24}, dns_server_address: 10.1.0.7"))
    (found,) = site.run(diff(site.writer, wider))
    assert (found.name, found.field) == ("default-domain:demo:blue", "network_ipam_refs")
    assert site.run(load(site.writer, wider)) == (0, 1)
    network = site.find("virtual-network", *DEMO, "blue")
    assert network is not None and address is not None
    (subnet,) = network["network_ipam_refs"][0]["attr"]["ipam_subnets"]
    assert subnet["dns_server_address"] == "10.1.0.7" and subnet["subnet_uuid"] == address["subnet_uuid"]


def test_a_dump_loads_into_an_empty_store_and_gives_the_same_dump() -> None:
    site, other = Site(seed=1), Site(seed=2, bare=True)
    site.run(load(site.writer, parse(TEXT)))
    site.transformer()
    dumped = render(site.run(dump(site.writer)))
    assert "id_perms" not in dumped and "security_group_id" not in dumped
    other.run(load(other.writer, parse(dumped)))
    assert other.run(diff(other.writer, parse(dumped))) == []
    mine = {(obj["type"], *obj["fq_name"]) for obj in parse(dumped)}
    assert {(obj["type"], *obj["fq_name"]) for obj in other.run(dump(other.writer))} == mine


def test_differences_name_object_and_field() -> None:
    site = Site()
    site.run(load(site.writer, parse(TEXT)))
    changed = TEXT.replace("is_shared: true", "is_shared: false").replace("fq_name: [ip]", "fq_name: [other]")
    found = site.run(diff(site.writer, [obj for obj in parse(changed) if obj["type"] != "bgp-router"]))
    assert Difference("virtual-network", "default-domain:demo:blue", "is_shared", False, True) in found
    assert Difference("instance-ip", "other", "", "an object", None) in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objects: [", "document:1: expected YAML or JSON"),
        ("[]", "expected an object with a list called objects"),
        ("objects: [5]", r"objects\[0\]: expected an object with a type"),
        ("objects: [{type: project}]", r"objects\[0\]: fq_name: expected a list of texts"),
        ('objects: [{type: project, fq_name: ["\\udcff"]}]', r"objects\[0\]: fq_name: expected a list of texts"),
        ("objects: [{type: project, fq_name: [a], 5: 6}]", r"objects\[0\]: 5: expected the name of a property"),
        ("objects: [{type: project, fq_name: [a], parent_type: 7}]", r"objects\[0\]: parent_type: expected a text"),
        ("objects: [{type: project, fq_name: [a], tag_refs: 7}]", r"objects\[0\]: tag_refs: expected a list of ref"),
        ("objects: [{type: project, fq_name: [a], tag_refs: [{to: [[7]]}]}]", r"objects\[0\]: tag_refs: expected a l"),
        (
            "objects: [{type: virtual-DNS, fq_name: [a, b]}, {type: virtual_DNS, fq_name: [a, b]}]",
            r"objects\[1\]: virtual-DNS a:b is objects\[0\] already",
        ),
    ],
)
def test_a_wrong_document_says_where(text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        parse(text)


def test_a_refusal_names_the_object() -> None:
    site = Site()
    site.project()
    text = "objects: [{type: virtual-network, fq_name: [default-domain, demo, x], colour: red}]"
    with pytest.raises(DocumentError, match=r"virtual-network default-domain:demo:x: .*colour"):
        site.run(load(site.writer, parse(text)))
    assert site.find("virtual-network", *DEMO, "x") is None


def the_first_time(site: Site, method: str, instead: Callable[..., Awaitable[Any]]) -> None:
    """The first call of this method of the writer is `instead`'s, which gets the usual one before the arguments."""
    usual = getattr(site.writer, method)

    async def once(*arguments: Any) -> Any:
        setattr(site.writer, method, usual)
        return await instead(usual, *arguments)

    setattr(site.writer, method, once)


def test_an_object_that_somebody_else_makes_meanwhile_is_changed_instead() -> None:
    site = Site()
    site.project()

    async def slow(create: Any, type_name: str, obj: Any) -> Any:
        await create(type_name, {"fq_name": [*DEMO, "x"]})  # the other one was faster
        return await create(type_name, obj)

    the_first_time(site, "create", slow)
    text = "objects: [{type: virtual-network, fq_name: [default-domain, demo, x], is_shared: true}]"
    assert site.run(load(site.writer, parse(text))) == (0, 1)
    found = site.find("virtual-network", *DEMO, "x")
    assert found is not None and found["is_shared"] is True


def test_an_object_that_somebody_else_deletes_meanwhile_is_made_again() -> None:
    site = Site()
    site.network("x")

    async def slow(update: Any, type_name: str, uuid: str, changes: Any) -> Any:
        await site.writer.delete(type_name, uuid)
        return await update(type_name, uuid, changes)

    the_first_time(site, "update", slow)
    text = "objects: [{type: virtual-network, fq_name: [default-domain, demo, x], is_shared: true}]"
    assert site.run(load(site.writer, parse(text))) == (1, 0)
    assert site.find("virtual-network", *DEMO, "x")


REFERRING = """objects:
- {type: route-target, fq_name: ['target:1:1']}
- {type: routing-instance, fq_name: [default-domain, demo, x, x], parent_type: virtual-network,
   route_target_refs: [{to: ['target:1:1'], attr: {}}]}
"""


@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_referred_to_and_deleted_meanwhile_is_there_at_the_end(replaced: bool) -> None:
    """As a schema transformer does with a route target that nothing refers to; somebody else may make it again."""
    site = Site()
    site.network("x")

    async def slow(update: Any, type_name: str, uuid: str, changes: Any) -> Any:
        target = await site.writer.find("route-target", ["target:1:1"])
        assert target is not None
        await site.writer.delete("route-target", target)
        try:
            return await update(type_name, uuid, changes)
        finally:
            if replaced:
                await site.writer.create("route-target", {"fq_name": ["target:1:1"]})

    the_first_time(site, "update", slow)
    site.run(load(site.writer, parse(REFERRING)))
    instance = site.find("routing-instance", *DEMO, "x", "x")
    assert instance is not None and [entry["to"] for entry in instance["route_target_refs"]] == [["target:1:1"]]


def test_who_takes_his_time_to_make_an_object_is_waited_for() -> None:
    """The name is taken a good while before the object is there."""
    site = Site()
    site.project()
    create = site.writer.create
    pauses: list[None] = []

    async def held(type_name: str, obj: Any) -> str:
        if type_name == "virtual-network":
            raise Conflict("already exists with uuid")
        return await create(type_name, obj)

    async def pause() -> None:
        pauses.append(None)
        if len(pauses) == TRIES - 1:
            await create("virtual-network", {"fq_name": [*DEMO, "x"]})

    site.writer.create = held  # type: ignore[method-assign]
    text = "objects: [{type: virtual-network, fq_name: [default-domain, demo, x], is_shared: true}]"
    assert site.run(load(site.writer, parse(text), pause)) == (0, 1)


def test_a_refusal_is_not_tried_for_ever() -> None:
    """Somebody who makes and deletes the object each time we look."""
    site = Site()
    site.project()
    tried: list[str] = []

    async def contested(type_name: str, obj: Any) -> str:
        tried.append(type_name)
        raise Conflict("already exists")

    names = itertools.cycle([None, "0" * 8])

    async def find(type_name: str, fq_name: list[str]) -> str | None:
        return next(names)

    async def gone(type_name: str, uuid: str, changes: Any) -> bool:
        tried.append(type_name)
        raise NotFound("No virtual-network object found")

    site.writer.create, site.writer.find = contested, find  # type: ignore[method-assign]
    site.writer.update = gone  # type: ignore[method-assign]
    text = "objects: [{type: virtual-network, fq_name: [default-domain, demo, x]}]"
    with pytest.raises(DocumentError, match="virtual-network default-domain:demo:x: already exists"):
        site.run(load(site.writer, parse(text)))
    assert len(tried) == TRIES


def test_a_dump_in_which_an_object_was_renamed_gives_it_a_uuid_of_its_own() -> None:
    """What a route target is called is changed everywhere in a dump; the old one is still there and has the uuid."""
    site = Site()
    site.network("x", route_target_list={"route_target": ["target:64512:222"]})
    site.transformer()
    text = render(site.run(dump(site.writer))).replace("target:64512:222", "target:64512:333")
    site.run(load(site.writer, parse(text)))
    site.settle()
    assert site.find("route-target", "target:64512:333") and not site.find("route-target", "target:64512:222")
    instance = site.find("routing-instance", *DEMO, "x", "x")
    assert instance is not None
    assert ["target:64512:333"] in [entry["to"] for entry in instance["route_target_refs"]]
    assert site.run(diff(site.writer, parse(text))) == []


def test_a_uuid_that_a_reference_names_is_insisted_on() -> None:
    site = Site()
    uuid = site.network("x")
    text = f"""objects:
- {{type: network-policy, fq_name: [default-domain, demo, p], uuid: {uuid}}}
- {{type: virtual-network, fq_name: [default-domain, demo, y], network_policy_refs: [{{uuid: {uuid}}}]}}
"""
    message = rf"^network-policy default-domain:demo:p: uuid {uuid} exists already$"
    with pytest.raises(DocumentError, match=message):
        site.run(load(site.writer, parse(text)))


def test_a_vxlan_router_and_its_internal_network_load_elsewhere() -> None:
    site, other = Site(seed=1), Site(seed=2)
    site.network("blue")
    router = site.create("logical-router", *DEMO, "lr", logical_router_type="vxlan-routing",
                         vxlan_network_identifier="200")  # fmt: skip
    dumped = site.run(dump(site.writer))
    other.run(load(other.writer, dumped))
    assert other.find("virtual-network", *DEMO, f"__contrail_lr_internal_vn_{router}__")
    assert other.run(diff(other.writer, dumped)) == []
    assert other.run(load(other.writer, dumped)) == (0, 0)
