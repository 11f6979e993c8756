"""Labs for tests: the demo lab with any router, on addresses of this process's own."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contrail_emulator.lab.isolate import isolated, own_slices
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.sync import Lab

DEMO = Path(__file__).parents[2] / "lab" / "data" / "demo.yaml"
PROGRAMS = {"exabgp": None, "bird": "bird", "frr": "/usr/lib/frr/bgpd", "gobgp": "gobgpd", "openbgpd": "bgpd"}
_slices = itertools.cycle(own_slices()[1:])


def on_own_addresses(file: LabFile) -> LabFile:
    """The lab where no other one is."""
    return isolated(file, next(_slices))


def demo_with(kind: str = "exabgp", **changes: Any) -> LabFile:
    """The demo lab with this kind of router; BIRD as an internal peer, OpenBGPD with an inet route."""
    file = LabFile.load(DEMO)
    gateway = file.bgp_peers[0].model_copy(update={"kind": kind, **changes})
    if kind == "bird":
        gateway = gateway.model_copy(update={"autonomous_system": file.autonomous_system})
    if kind == "openbgpd":
        route = gateway.routes[0].model_copy(
            update={"family": "inet", "route_distinguisher": None, "route_targets": (), "label": None}
        )
        gateway = gateway.model_copy(update={"routes": (route,)})
    return on_own_addresses(file.model_copy(update={"bgp_peers": (gateway,)}))


def needs(kind: str) -> None:
    """Skips the test where the router is not installed."""
    program = PROGRAMS[kind]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if program is not None and shutil.which(program, path=path) is None:
        pytest.skip(f"{kind} is not installed")
    if kind == "openbgpd" and os.geteuid() != 0:
        pytest.skip("OpenBGPD needs root")


@pytest.fixture
def run_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Starts labs and stops them after the test."""
    running: list[Lab] = []

    def start(file: LabFile, **options: Any) -> Lab:
        lab = Lab(file, **{"timeout": 90.0, **options})
        running.append(lab)
        return lab

    yield start
    for lab in running:
        lab.stop()
