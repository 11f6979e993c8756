"""What configuration makes of a control node (reference/bgp.md 1.7, 4.1, 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.config.graph import Graph
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.provision import Provisioner
from contrail_emulator.control.provision_read import Identity
from contrail_emulator.control.routing import MASTER_INSTANCE, InstanceSettings

ME, GATEWAY = (("bgp-router", f"{MASTER_INSTANCE}:{name}") for name in ("control-1", "gateway"))
SYSTEM = ("global-system-config", "default-global-system-config")
BLUE, RED = (("routing-instance", f"default-domain:demo:{name}:{name}") for name in ("blue", "red"))
NETWORK = ("virtual-network", "default-domain:demo:blue")
Step = Callable[[Graph], object]


class Told:
    """What a provisioner said, and the state it adds up to."""

    def __init__(self) -> None:
        self.identity: Identity | None = None
        self.hold_time = 90
        self.peers: dict[str, PeerSettings] = {}
        self.instances: dict[str, InstanceSettings] = {}
        self.log: list[str] = []

    def identity_changed(self, identity: Identity | None) -> None:
        self.log.append("identity")
        self.identity = identity

    def xmpp_hold_time_changed(self, seconds: int) -> None:
        self.log.append(f"hold {seconds}")
        self.hold_time = seconds

    def dscp_changed(self, dscp: int) -> None:
        self.log.append(f"dscp {dscp}")

    def peer_changed(self, settings: PeerSettings) -> None:
        self.log.append(f"peer {settings.name}")
        self.peers[settings.name] = settings

    def peer_removed(self, name: str) -> None:
        self.log.append(f"no peer {name}")
        del self.peers[name]

    def instance_changed(self, settings: InstanceSettings) -> None:
        self.log.append(f"instance {settings.name}")
        self.instances[settings.name] = settings

    def instance_removed(self, name: str) -> None:
        self.log.append(f"no instance {name}")
        del self.instances[name]

    def news(self) -> list[str]:
        news, self.log = self.log, []
        return news


def router(address: str, **more: Any) -> dict[str, Any]:
    parameters = {
        "autonomous_system": 64512,
        "identifier": address,
        "address": address,
        "router_type": "router",
        **more,
    }
    return {"bgp_router_parameters": parameters}


def target(name: str) -> bytes:
    return ext_community.route_target(name)


def join(graph: Graph, instance: tuple[str, str], name: str, direction: str | None = None) -> None:
    graph.link("instance-target", instance, ("route-target", name), {"import_export": direction})


STEPS: list[Step] = [
    lambda graph: graph.put(*SYSTEM, {"autonomous_system": 64512, "enable_4byte_as": True}),
    lambda graph: graph.put(*ME, router("10.255.0.1")),
    lambda graph: graph.put(*GATEWAY, router("10.255.0.9", local_autonomous_system=65001)),
    lambda graph: graph.link("bgp-peering", ME, GATEWAY, {"session": [{"uuid": "a"}, {"uuid": "b"}]}),
    lambda graph: graph.put("routing-instance", MASTER_INSTANCE, {}),
    lambda graph: graph.put(*BLUE, {"routing_instance_has_pnf": True}),
    lambda graph: graph.put(*RED, {}),
    lambda graph: graph.put(
        *NETWORK, {"virtual_network_network_id": 5, "virtual_network_properties": {"allow_transit": 1}}
    ),
    lambda graph: graph.link("virtual-network-routing-instance", NETWORK, BLUE),
    lambda graph: join(graph, BLUE, "target:64512:1"),
    lambda graph: join(graph, BLUE, "target:64512:2", "import"),
    lambda graph: join(graph, RED, "target:64512:3"),
    lambda graph: join(graph, RED, "target:64512:4", "export"),
    lambda graph: graph.link("connection", BLUE, RED, {"destination_instance": ""}),
]


def provisioned(*steps: Step) -> tuple[Graph, Told]:
    graph, told = Graph(), Told()
    for step in steps:
        step(graph)
    Provisioner(graph, "control-1", told)
    told.news()
    return graph, told


def without_index(told: Told) -> dict[str, InstanceSettings]:
    return {name: dataclasses.replace(settings, index=0) for name, settings in told.instances.items()}


@settings(max_examples=80, deadline=None)
@given(order=st.permutations(STEPS), batched=st.booleans())
def test_any_order_of_arrival_gives_the_same(order: list[Step], batched: bool) -> None:
    _, wanted = provisioned(*STEPS)
    graph, told = Graph(), Told()
    Provisioner(graph, "control-1", told)
    if batched:
        with graph.batch():
            for step in order:
                step(graph)
    else:
        for step in order:
            step(graph)
    assert told.identity == wanted.identity and told.peers == wanted.peers
    assert without_index(told) == without_index(wanted)
    indices = {settings.index for name, settings in told.instances.items() if name != MASTER_INSTANCE}
    assert indices == {1, 2} and told.instances[MASTER_INSTANCE].index == 0


def test_what_it_adds_up_to() -> None:
    _, told = provisioned(*STEPS)
    assert told.identity is not None
    assert (told.identity.autonomous_system, told.identity.router_id, told.identity.four_byte_as) == (
        64512, "10.255.0.1", True,
    )  # fmt: skip
    assert set(told.peers) == {"gateway:a", "gateway:b"}
    assert {peer.autonomous_system for peer in told.peers.values()} == {65001}
    blue = told.instances[BLUE[1]]
    assert blue.import_targets == {target("target:64512:1"), target("target:64512:2"), target("target:64512:3")}
    assert blue.export_targets == {target("target:64512:1")}
    assert blue.virtual_network == NETWORK[1] and blue.virtual_network_index == blue.vxlan_id == 5
    assert blue.always_subscribe and blue.allow_transit
    red = told.instances[RED[1]]
    assert red.import_targets == {target("target:64512:3"), target("target:64512:1")}
    assert red.export_targets == {target("target:64512:3"), target("target:64512:4")}


def test_a_connection_with_a_destination_goes_one_way() -> None:
    graph, told = provisioned(*STEPS)
    graph.link("connection", BLUE, RED, {"destination_instance": RED[1]})
    assert set(told.news()) >= {f"instance {BLUE[1]}"}
    assert target("target:64512:3") not in told.instances[BLUE[1]].import_targets
    assert target("target:64512:1") in told.instances[RED[1]].import_targets
    graph.unlink("connection", BLUE, RED)
    assert told.news() == [f"instance {RED[1]}"]
    assert target("target:64512:1") not in told.instances[RED[1]].import_targets


def test_a_target_of_a_connected_instance_counts_for_both() -> None:
    graph, told = provisioned(*STEPS)
    join(graph, RED, "target:64512:5")
    assert sorted(told.news()) == [f"instance {BLUE[1]}", f"instance {RED[1]}"]
    graph.unlink("instance-target", RED, ("route-target", "target:64512:5"))
    assert sorted(told.news()) == [f"instance {BLUE[1]}", f"instance {RED[1]}"]
    assert target("target:64512:5") not in told.instances[BLUE[1]].import_targets


def test_the_network_arrives_last_and_leaves_first() -> None:
    graph, told = provisioned(*STEPS[:7], *STEPS[9:])
    assert told.instances[BLUE[1]].virtual_network_index == 0
    STEPS[8](graph)
    STEPS[7](graph)
    assert told.news() == [f"instance {BLUE[1]}"] * 2
    assert told.instances[BLUE[1]].virtual_network_index == 5
    graph.unlink("virtual-network-routing-instance", NETWORK, BLUE)
    assert told.news() == [f"instance {BLUE[1]}"] and told.instances[BLUE[1]].virtual_network == ""


def test_a_target_that_does_not_parse_is_left_out() -> None:
    graph, told = provisioned(*STEPS)
    join(graph, BLUE, "target:what:1")
    join(graph, BLUE, "target:64512:6")
    assert told.instances[BLUE[1]].import_targets >= {target("target:64512:6"), target("target:64512:1")}
    assert set(told.instances) == {MASTER_INSTANCE, BLUE[1], RED[1]}


def test_instances_that_go_free_their_index() -> None:
    graph, told = provisioned(*STEPS)
    index = told.instances[BLUE[1]].index
    graph.remove(*BLUE)
    assert f"no instance {BLUE[1]}" in told.news() and BLUE[1] not in told.instances
    graph.put("routing-instance", "default-domain:demo:new:new", {})
    assert told.instances["default-domain:demo:new:new"].index == index


def test_a_number_that_is_none_concerns_one_instance_only() -> None:
    graph, told = provisioned(*STEPS)
    graph.put(*NETWORK, {"virtual_network_network_id": "many"})
    assert told.news() == [] and told.instances[BLUE[1]].virtual_network_index == 5
    graph.put(*NETWORK, {"virtual_network_network_id": 6})
    assert told.news() == [f"instance {BLUE[1]}"]


def test_peers_change_and_go() -> None:
    graph, told = provisioned(*STEPS)
    key = {"key_type": "md5", "key_items": [{"key": "secret", "key_id": 0}, {"key": "other", "key_id": 1}]}
    graph.put(*GATEWAY, router("10.255.0.9", local_autonomous_system=65001, auth_data=key))
    assert sorted(told.news()) == ["peer gateway:a", "peer gateway:b"]
    assert told.peers["gateway:a"].md5 == "secret" and "secret" not in repr(told.peers)
    session = {"uuid": "a", "attributes": [{"auth_data": {"key_type": "md5", "key_items": [{"key": "mine"}]}}]}
    graph.link("bgp-peering", ME, GATEWAY, {"session": [session]})
    assert sorted(told.news()) == ["no peer gateway:b", "peer gateway:a"]
    assert told.peers["gateway:a"].md5 == "mine", "of the session before that of the router"
    graph.unlink("bgp-peering", ME, GATEWAY)
    assert told.news() == ["no peer gateway:a"] and told.peers == {}
    graph.link("bgp-peering", ME, GATEWAY, {"session": []})
    assert told.news() == ["peer gateway"], "without sessions one with everything at its default"
    graph.remove(*GATEWAY)
    assert told.news() == ["no peer gateway"]


def test_a_bad_session_concerns_itself_only() -> None:
    graph, told = provisioned(*STEPS[:3])
    good = {"uuid": "a", "attributes": [{"address_families": {"family": ["inet-vpn", "e-vpn"]}}]}
    for number, attribute in enumerate(
        (
            {"address_families": {"family": ["pigeon"]}},
            {"hold_time": 1},
            {"private_as_action": "burn"},
            {"route_origin_override": {"origin_override": True, "origin": "WHAT"}},
            {"local_autonomous_system": "x"},
        )
    ):
        bad = {"uuid": f"bad{number}", "attributes": [attribute]}
        graph.link("bgp-peering", ME, GATEWAY, {"session": [bad, good]})
        assert set(told.peers) == {"gateway:a"}, attribute
    assert told.peers["gateway:a"].families == (Family.INET_VPN, Family.E_VPN)


def test_session_attributes_for_both_ends_win() -> None:
    ours = {"bgp_router": ME[1], "loop_count": 3, "passive": True}
    for entries, count, passive in (([ours], 3, True), ([ours, {"loop_count": 5}], 5, False)):
        graph, told = provisioned(*STEPS[:3])
        graph.link("bgp-peering", ME, GATEWAY, {"session": [{"attributes": entries}]})
        assert (told.peers["gateway"].loop_count, told.peers["gateway"].passive) == (count, passive)


@pytest.mark.parametrize(
    ("mine", "theirs", "families"),
    [
        ([], [], (Family.INET, Family.INET_VPN)),
        (["inet-vpn", "e-vpn"], [], (Family.INET_VPN, Family.E_VPN)),
        (["inet-vpn", "e-vpn"], ["e-vpn", "inet"], (Family.E_VPN,)),
    ],
)
def test_families_of_both_routers(mine: list[str], theirs: list[str], families: tuple[Family, ...]) -> None:
    graph, told = provisioned(STEPS[0])
    graph.put(*ME, router("10.255.0.1", address_families={"family": mine}))
    graph.put(*GATEWAY, router("10.255.0.9", address_families={"family": theirs}))
    graph.link("bgp-peering", ME, GATEWAY, {})
    assert told.peers["gateway"].families == families


def test_routers_of_other_instances_are_no_peers() -> None:
    graph, told = provisioned(*STEPS[:2])
    graph.put("bgp-router", f"{BLUE[1]}:client", router("10.1.1.3", router_type="bgpaas-client"))
    graph.link("bgp-peering", ME, ("bgp-router", f"{BLUE[1]}:client"), {"session": []})
    assert told.peers == {}


def test_identity_comes_and_goes() -> None:
    graph, told = provisioned()
    graph.put(*SYSTEM, {"autonomous_system": 64512})
    assert told.identity is None
    graph.put(*ME, {"bgp_router_parameters": {"autonomous_system": 64512}})
    assert told.identity is None, "no router id yet"
    graph.put(*ME, router("10.255.0.1"))
    assert told.news() == ["identity"] and told.identity is not None
    graph.put(*SYSTEM, {"autonomous_system": 64512, "display_name": "x"})
    assert told.news() == [], "nothing that matters"
    graph.put(*ME, router("not an address"))
    assert told.news() == ["identity"] and told.identity is None
    graph.put(*ME, router("10.255.0.1", admin_down=True))
    assert told.identity is not None and told.identity.admin_down
    graph.remove(*ME)
    assert told.identity is None


def test_helper_mode_needs_all_it_needs() -> None:
    graph, told = provisioned(*STEPS[:2])

    def helper(**parameters: object) -> bool:
        graph.put(*SYSTEM, {"autonomous_system": 64512, "graceful_restart_parameters": parameters})
        assert told.identity is not None
        return told.identity.xmpp_helper

    assert helper(enable=True, xmpp_helper_enable=True)
    assert helper(enable=True, xmpp_helper_enable=True, restart_time=0)
    assert not helper(enable=True, xmpp_helper_enable=True, restart_time=0, long_lived_restart_time=0)
    assert not helper(enable=False, xmpp_helper_enable=True)
    assert not helper(enable=True, bgp_helper_enable=True)


def test_the_traffic_class_of_control_traffic() -> None:
    graph, told = provisioned(*STEPS[:2])
    told.news()

    def put(**marks: object) -> list[str]:
        graph.put("global-qos-config", "default-global-system-config:qos", {"control_traffic_dscp": marks})
        return told.news()

    assert put(control=56, analytics=40) == ["dscp 56"]
    assert put(control=56, analytics=30) == []
    assert put(control=64) == ["dscp 0"], "no DSCP is none"
    assert put(control=7) == ["dscp 7"]
    graph.remove("global-qos-config", "default-global-system-config:qos")
    assert told.news() == ["dscp 0"]


def test_the_xmpp_hold_time_is_no_part_of_the_identity() -> None:
    graph, told = provisioned(*STEPS[:2])
    told.news()

    def put(**parameters: object) -> list[str]:
        graph.put(
            *SYSTEM, {"autonomous_system": 64512, "enable_4byte_as": True, "fast_convergence_parameters": parameters}
        )
        return told.news()

    assert put(enable=True, xmpp_hold_time=15) == ["hold 15"]
    assert put(enable=True, xmpp_hold_time=15, nh_reachability_check=False) == []
    assert put(enable=False, xmpp_hold_time=15) == ["hold 90"]
