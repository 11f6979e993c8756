"""One run of the demo lab for every test here, seen by our capture and, where that is allowed, by tcpdump beside it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab.conftest import demo_with
from pcap.evidence import Tshark, find_tshark, streams

from contrail_emulator.lab.checks import CheckResult, checks, run
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.sync import Lab
from contrail_emulator.lab.wireshark import options

BLUE = "default-domain:demo:blue:blue"
GATEWAY_PREFIX = "203.0.113.0/24"
UNDISTURBED = 4
CONNECTIONS = 5
"""Two of XMPP, two of XMPP with DNS, one of BGP."""
LAST = b"tcpdump has seen everything that came before this"


@dataclass(frozen=True, slots=True)
class DemoRun:
    """The run: its file, ports filled in, what its checks said, our capture, and the kernel's or why there is none."""

    file: LabFile
    results: tuple[CheckResult, ...]
    path: Path
    kernel: Path | None
    why_no_kernel: str


class Tcpdump:
    """tcpdump on lo, from its 'listening on' until it has written all that a datagram of ours comes after."""

    def __init__(self, program: str, network: str, path: Path) -> None:
        self.network = network
        self.path = path
        words = ["-i", "lo", "-n", "-U", "-B", "16384", "--immediate-mode", "-w", str(path), f"net {network}.0.0/16"]
        self.process = subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if "listening on" in line:
                return
        self.kill()
        raise AssertionError(f"tcpdump does not listen: {said}")

    def stop(self) -> None:
        deadline = time.monotonic() + 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(LAST, (f"{self.network}.255.254", 9))
        while LAST not in self.path.read_bytes():
            assert time.monotonic() < deadline, "tcpdump did not write what it must have seen"
            assert self.process.poll() is None, "tcpdump ended by itself"
        self.process.send_signal(signal.SIGINT)
        said = self.process.communicate(timeout=20)[1]
        assert "0 packets dropped by kernel" in said

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On one worker, so that the demo runs once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("demo capture"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """A run of the demo lab in which each connection was made once.

    On a busy machine both sides of a BGP session connect at once, or a connection takes longer than its timer allows:
    that is in order, but what is told here is the run without.
    """
    for _ in range(UNDISTURBED):
        run = _run(tmp_path_factory.mktemp("demo"))
        if len(streams(run.path)) == CONNECTIONS:
            break
    return run


def _run(folder: Path) -> DemoRun:
    """Start the lab, converge, check, stop."""
    file = demo_with()
    program = shutil.which("tcpdump", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    why = "tcpdump is not installed" if program is None else "" if os.geteuid() == 0 else "tcpdump needs root"
    tcpdump = None
    if program is not None and not why:
        network = ".".join(str(file.control_nodes[0].address).split(".")[:2])
        tcpdump = Tcpdump(program, network, folder / "tcpdump.pcap")
    try:
        with Lab(file, capture=folder / "demo.pcapng", timeout=90) as lab:
            lab.converge(timeout=90)
            results = tuple(lab.call(lambda check=check: run(check, lab.driver.reactor)) for check in checks(lab.lab))  # type: ignore[misc]
            computes = lab.lab.computes.values()
            lab.wait_for("the route is back", lambda: all(GATEWAY_PREFIX in each.prefixes(BLUE) for each in computes))
            filled = lab.file
        if tcpdump is not None:
            tcpdump.stop()
    finally:
        if tcpdump is not None:
            tcpdump.kill()
    return DemoRun(filled, results, folder / "demo.pcapng", None if tcpdump is None else tcpdump.path, why)


@pytest.fixture
def tshark(demo: DemoRun) -> Iterator[Tshark]:
    """tshark, told the ports of the run."""
    yield find_tshark().told(options(demo.file))
