"""Whole labs with real routers: every check of the demo, and what happens when something dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from lab.conftest import demo_with, needs

from contrail_emulator.lab.checks import checks, run
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.sync import Lab

RunLab = Callable[..., Lab]
GATEWAY_PREFIX = "203.0.113.0/24"


@pytest.mark.parametrize("kind", ["exabgp", "bird", "frr", "gobgp", "openbgpd"])
def test_every_check_holds_with(kind: str, run_lab: RunLab) -> None:
    needs(kind)
    lab = run_lab(demo_with(kind))
    lab.converge(timeout=90)
    found = [lab.call(lambda check=check: run(check, lab.driver.reactor)) for check in checks(lab.lab)]  # type: ignore[misc]
    assert len(found) == (3 if kind == "openbgpd" else 5)
    assert [result for result in found if not result.passed] == []


@pytest.mark.parametrize("kind", ["exabgp", "bird", "frr", "gobgp", "openbgpd"])
def test_the_routers_own_view_has_our_vpn_routes(kind: str, run_lab: RunLab) -> None:
    needs(kind)
    lab = run_lab(demo_with(kind))
    lab.converge(timeout=90)
    routes = lab.call(lab.lab.routers["gateway"].routes)
    assert len(routes) == 3
    text = " ".join(routes)
    for prefix in ("10.1.0.3/32", "10.1.0.4/32", "10.2.0.3/32"):
        assert prefix in text
    if kind in ("exabgp", "frr", "bird"):
        assert "10.255.2.1:1" in text and "10.255.2.2:1" in text, "RD is the vRouter's address and its instance id"


def test_a_vpn_route_carries_what_a_real_control_node_gives_it(run_lab: RunLab) -> None:
    lab = run_lab(demo_with())
    lab.converge(timeout=90)
    (route,) = lab.control["control-1"].routes("bgp.l3vpn.0", "10.1.0.4/32")
    assert route["prefix"] == "10.255.2.2:1:10.1.0.4/32"
    (path,) = route["paths"]
    assert path["next_hop"] == "10.255.2.2" and path["label"] == 16 and path["source"] == "compute-2"
    assert {"target:64512:100", "encapsulation:udp", "encapsulation:gre"} <= set(path["communities"])
    assert path["origin_vn"] == "default-domain:demo:blue"
    exabgp = lab.call(lab.lab.routers["gateway"].routes)
    (seen,) = [text for text in exabgp if "10.1.0.4/32" in text]
    assert "label 16" in seen and "next-hop 10.255.2.2" in seen and "target:64512:100" in seen


@pytest.mark.parametrize("kind", ["exabgp", "bird", "frr", "gobgp"])
@pytest.mark.parametrize("administrator", ["4200000000", "10.9.9.9"])
def test_every_form_of_target_and_rd_leaves_the_router_as_it_was_written(
    kind: str, administrator: str, run_lab: RunLab
) -> None:
    """Told 4200000000:100, ExaBGP would send the target 250.86.234.0:100 and GoBGP 65535:100."""
    needs(kind)
    file = demo_with(kind)
    (gateway,) = file.bgp_peers
    target, distinguisher = f"target:{administrator}:100", f"{administrator}:1"
    forms = {"route_targets": (target,), "route_distinguisher": distinguisher}
    routes = tuple(route.model_copy(update=forms) for route in gateway.routes)
    blue = file.networks[0].model_copy(update={"route_targets": (target,)})
    gateway = gateway.model_copy(update={"routes": routes})
    lab = run_lab(file.model_copy(update={"bgp_peers": (gateway,), "networks": (blue, *file.networks[1:])}))
    lab.converge(timeout=90)
    (route,) = lab.control["control-1"].routes("bgp.l3vpn.0", GATEWAY_PREFIX)
    assert route["prefix"] == f"{distinguisher}:{GATEWAY_PREFIX}"
    assert target in route["paths"][0]["communities"]


def test_gateway_killed_and_back(run_lab: RunLab) -> None:
    """Killed with SIGKILL: its route is withdrawn everywhere; started again: the session and the route return."""
    lab = run_lab(demo_with())
    lab.converge(timeout=90)
    router = lab.lab.routers["gateway"]
    control = lab.control["control-1"]
    assert router.process is not None and router.process.transport is not None
    flaps = control.neighbor("gateway")["flap_count"]
    os.kill(router.process.transport.pid, signal.SIGKILL)
    blue = "default-domain:demo:blue:blue"

    def gone() -> bool:
        agents = lab.lab.computes.values()
        return not control.routes("bgp.l3vpn.0", GATEWAY_PREFIX) and not any(
            GATEWAY_PREFIX in compute.prefixes(blue) for compute in agents
        )

    lab.wait_for("the gateway's route gone", gone, 90)
    lab.call(router.start)
    lab.converge(timeout=90)
    assert control.neighbor("gateway")["flap_count"] == flaps + 1
    assert lab.machine("vm1").ping(lab.machine("vm2").address).received == 1


def test_agent_leaves_and_its_routes_go(run_lab: RunLab) -> None:
    lab = run_lab(demo_with())
    lab.converge(timeout=90)
    lab.call(lab.lab.computes["compute-2"].agent.stop)
    control = lab.control["control-1"]
    lab.wait_for("vm2's route gone", lambda: not control.routes("bgp.l3vpn.0", "10.1.0.4/32"), 90)
    other = lab.lab.computes["compute-1"]
    lab.wait_for(
        "vm2 gone at compute-1", lambda: "10.1.0.4/32" not in other.prefixes("default-domain:demo:blue:blue"), 10
    )


def test_a_control_node_in_numbers(run_lab: RunLab) -> None:
    lab = run_lab(demo_with())
    lab.converge(timeout=90)

    async def numbers() -> list[str]:
        return lab.lab.control["control-1"].metrics.render().decode().splitlines()

    found = lab.call(numbers)
    assert {
        'control_bgp_up{peer="gateway"} 1.0',
        'control_bgp_flaps{peer="gateway"} 0.0',
        'control_agents{state="Established"} 2.0',
        "control_agents_flaps 0.0",
        'control_updates_pending{family="inet"} 0.0',
    } <= set(found)
    for name, least in (
        ('control_bgp_routes_out{peer="gateway"}', 3),
        ('control_bgp_messages{direction="received",peer="gateway",type="open"}', 1),
        ("control_agents_routes_in", 3),
        ("control_instances", 3),
        ('control_paths{family="inet-vpn"}', 3),
    ):
        assert any(line.startswith(f"{name} ") and float(line.split()[-1]) >= least for line in found)


def test_configuration_changes_while_it_runs(run_lab: RunLab) -> None:
    """Red imports blue's target from now on: only what that touches is sent, and the networks are joined."""
    lab = run_lab(demo_with())
    lab.converge(timeout=90)
    config = lab.lab.config
    assert config is not None
    for name, targets in (
        ("red", ["target:64512:200", "target:64512:100"]),
        ("blue", ["target:64512:100", "target:64512:200"]),
    ):

        async def change(name: str = name, targets: list[str] = targets) -> None:
            found = await config.writer.find("virtual-network", ["default-domain", "demo", name])
            assert found is not None
            await config.writer.update("virtual-network", found, {"route_target_list": {"route_target": targets}})

        lab.call(change)
    compute = lab.lab.computes["compute-1"]
    lab.wait_for("blue in red", lambda: "10.1.0.4/32" in compute.prefixes("default-domain:demo:red:red"), 90)
    assert lab.machine("vm1").ping(lab.machine("vm3").address).received == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 16 + b"\x00\x13\x04",
        b"\xff" * 18,
        bytes(4096),
        b"\xff" * 16 + b"\xff\xff\x02",
    ],
    ids=["http", "keepalive first", "marker only", "zeros", "length 65535"],
)
def test_a_peer_that_sends_garbage(garbage: bytes, run_lab: RunLab) -> None:
    """It gets a NOTIFICATION or a closed connection; the gateway's session and everything else stay up."""
    lab = run_lab(demo_with())
    lab.converge(timeout=90)
    node = lab.file.control_nodes[0]
    flaps = lab.control["control-1"].neighbor("gateway")["flap_count"]
    for port in (node.bgp_port, node.xmpp_port):
        with socket.create_connection((str(node.address), port), timeout=60) as peer:
            peer.sendall(garbage)
            lab.run_for(0.2)
    lab.converge(timeout=90)
    assert lab.control["control-1"].neighbor("gateway")["flap_count"] == flaps
    assert lab.machine("vm1").ping(lab.machine("vm2").address).received == 1


def test_port_in_use_is_one_line(run_lab: RunLab) -> None:
    file = demo_with()
    node = file.control_nodes[0]
    with socket.socket() as taken:
        taken.bind((str(node.address), 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = file.model_copy(update={"control_nodes": (node.model_copy(update={"bgp_port": port}),)})
        with pytest.raises(
            LabError,
            match=rf"control node control-1: bgp_port: cannot listen on .* port {port}: Address already in use",
        ):
            run_lab(busy)


@pytest.mark.parametrize("kind", ["exabgp", "bird", "frr", "gobgp"])
def test_names_as_long_as_names_may_be(kind: str, run_lab: RunLab) -> None:
    """A Unix socket's path has 107 bytes; the routers' sockets are in a folder of the lab."""
    needs(kind)
    file = demo_with(kind)
    gateway = file.bgp_peers[0].model_copy(update={"name": "g" * 63})
    lab = run_lab(file.model_copy(update={"name": "l" * 63, "bgp_peers": (gateway,)}))
    lab.converge(timeout=90)


def test_a_folder_too_deep_for_a_socket_is_one_line(run_lab: RunLab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"router gateway: .* is too long for a socket's path; set TMPDIR"):
        run_lab(demo_with(), directory=tmp_path / ("d" * 90))


def test_without_routers_there_is_no_folder(run_lab: RunLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would remove it, were the lab killed: a router's leash does that."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_lab(demo_with().model_copy(update={"bgp_peers": ()}))
    assert not list(tmp_path.glob("contrail-emulator-demo*"))


def test_router_that_is_not_installed(run_lab: RunLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrail_emulator.lab.routers.frr.Frr.program", "no-such-bgpd")
    with pytest.raises(LabError, match=r"gateway: frr is not installed here \(no-such-bgpd was not found\)"):
        run_lab(demo_with("frr"))


def test_router_that_dies_at_once_does_not_hang_the_lab(run_lab: RunLab, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("frr")
    monkeypatch.setattr("contrail_emulator.lab.routers.frr.Frr.prepare", lambda self: (["/bin/false"], {}))
    with pytest.raises(LabError, match=r"router gateway \(frr\) did not come up"):
        run_lab(demo_with("frr"))


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    lab = Lab(demo_with(), capture=tmp_path / "lab.pcapng")
    lab.converge(timeout=90)
    router = lab.lab.routers["gateway"]
    directory = lab.lab.directory
    assert directory is not None
    assert router.process is not None and router.process.transport is not None
    leash = router.process.transport.pid
    lab.stop()
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(leash, 0)
