"""A machine on a TAP device: a real kernel, in a network namespace of its own, behind the forwarding model."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest
from lab.conftest import demo_with

from contrail_emulator.lab.compute import tap_name
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.sync import Lab

NAMESPACE = f"ce-tap-{os.getpid()}"


def on_tap(file: LabFile, name: str) -> LabFile:
    first, *rest = file.agents
    machines = tuple(
        machine.model_copy(update={"port": "tap"}) if machine.name == name else machine for machine in first.machines
    )
    return file.model_copy(update={"agents": (first.model_copy(update={"machines": machines}), *rest)})


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def namespace() -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    ip("netns", "add", NAMESPACE)
    yield NAMESPACE
    ip("netns", "delete", NAMESPACE)


def test_a_real_kernel_pings_through_the_forwarding_model(namespace: str, run_lab: Callable[..., Lab]) -> None:
    lab = run_lab(on_tap(demo_with(), "vm1"))
    lab.converge(timeout=90)
    config = lab.lab.config
    assert config is not None

    async def mac() -> str:
        interface = await config.writer.find("virtual-machine-interface", ["default-domain", "demo", "vm1-port"])
        assert interface is not None
        read = await config.writer.read("virtual-machine-interface", interface)
        return str(read["virtual_machine_interface_mac_addresses"]["mac_address"][0])

    ip("link", "set", "tap-vm1", "address", lab.call(mac))
    ip("link", "set", "tap-vm1", "netns", namespace)
    ip("-n", namespace, "addr", "add", "10.1.0.3/24", "dev", "tap-vm1")
    ip("-n", namespace, "link", "set", "tap-vm1", "up")
    ip("-n", namespace, "route", "add", "default", "via", "10.1.0.254")
    assert lab.machine("vm2").ping("10.1.0.3", count=3).received >= 1
    command = ["ip", "netns", "exec", namespace, "ping", "-c", "2", "-W", "2", "10.1.0.4"]
    if shutil.which("ping") is None:
        return
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ping:
        lab.wait_for("ping to end", lambda: ping.poll() is not None, 90)
        assert ping.stdout is not None
        assert "0% packet loss" in ping.stdout.read()


def test_without_privileges_it_is_one_line(run_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrail_emulator.vrouter_model.ports.tap._DEVICE", "/dev/net/absent")
    lab = run_lab(on_tap(demo_with(), "vm1"))
    with pytest.raises(LabError, match="machine vm1: cannot make TAP device tap-vm1"):
        lab.converge(timeout=90)


def test_a_tap_machine_acts_for_itself(run_lab: Callable[..., Lab], namespace: str) -> None:
    lab = run_lab(on_tap(demo_with(), "vm1"))
    with pytest.raises(LabError, match="vm1 is on a TAP device"):
        lab.machine("vm1")


def test_long_names_have_devices_of_their_own() -> None:
    """The first 15 bytes of tap-web-server-frontend-1 and -2 are the same: the second device was busy."""
    names = {tap_name(f"web-server-frontend-{number}") for number in range(100)}
    assert len(names) == 100 and all(len(name.encode()) <= 15 for name in names)
    assert tap_name("vm1") == "tap-vm1"
