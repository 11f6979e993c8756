"""The Wireshark profile beside a capture: installed in an empty configuration folder, it is all that tshark needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pcap.conftest import DemoRun
from pcap.evidence import find_tshark


@pytest.fixture
def profile(demo: DemoRun, tmp_path: Path) -> Path:
    """A Wireshark configuration folder with the capture's profile in it as `lab`."""
    shutil.copytree(f"{demo.path}.profile", tmp_path / "profiles" / "lab")
    return tmp_path


def tshark(configuration: Path, capture: Path, *arguments: str) -> str:
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(configuration)}
    command = [find_tshark().program, "-n", "-r", str(capture), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "Running as user" not in line]
    assert complaints == []
    return done.stdout


@pytest.mark.parametrize("protocol", ["bgp", "xmpp", "dns"])
def test_the_profile_makes_tshark_dissect(demo: DemoRun, profile: Path, protocol: str) -> None:
    if protocol != "dns":  # which tshark may recognise on any port
        assert tshark(profile, demo.path, "-Y", protocol) == "", "its port is nothing tshark knows by itself"
    assert tshark(profile, demo.path, "-C", "lab", "-Y", protocol) != ""


def test_the_profile_validates_checksums(demo: DemoRun, profile: Path) -> None:
    good = '(tcp.checksum.status == "Good" || udp.checksum.status == "Good") && ip.checksum.status == "Good"'
    assert tshark(profile, demo.path, "-C", "lab", "-Y", f"!({good})") == ""


def test_the_options_file_does_the_same(demo: DemoRun, profile: Path) -> None:
    words = Path(f"{demo.path}.profile", "tshark-options").read_text().split()
    fields = ("-T", "fields", "-e", "bgp.type")
    assert tshark(profile, demo.path, *words, *fields) == tshark(profile, demo.path, "-C", "lab", *fields)
