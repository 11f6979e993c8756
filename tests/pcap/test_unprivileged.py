"""Capturing needs no privileges: the lab as the user nobody, in a folder of its own.

Where nobody may not run this Python (one below /root), the lab runs as root without a single capability instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lab.conftest import demo_with
from pcap.evidence import streams

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that nobody owns (pytest's own are closed to others)."""
    path = Path(tempfile.mkdtemp(prefix="contrail-emulator-nobody-"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def processes_of(user: int) -> set[str]:
    """What this user runs now, dead ones that nobody has buried aside: number, start time and command."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or entry.stat().st_uid != user:
                continue
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if fields[0] not in ("Z", "X"):
                found.add(f"{entry.name} {fields[19]} {(entry / 'cmdline').read_bytes()!r}")
        except OSError:
            continue  # it has just ended
    return found


def someone_without_privileges(setpriv: str) -> tuple[int, list[str]]:
    """A user number, and the command that makes a command run as that user without any capability."""
    nobody = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    probe = [*nobody, "env", sys.executable, "-P", "-c", "import contrail_emulator.cli.main"]
    if subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0:
        return NOBODY, nobody
    return 0, [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user; without root every lab test proves this")
def test_an_ordinary_user_captures(home: Path) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed")
    file = home / "lab.yaml"
    lab = demo_with().model_dump_json(exclude_none=True, exclude={"config"})
    file.write_text(yaml.safe_dump(json.loads(lab)))
    number, user = someone_without_privileges(setpriv)
    os.chown(home, number, number)
    command = [sys.executable, "-P", "-m", "contrail_emulator", "up", str(file), "--once", "--capture", "lab.pcapng"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "TMPDIR": str(home)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    before = processes_of(number) if number else set()
    done = subprocess.run(
        [*user, *command], cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 5 and "✗" not in done.stdout
    if number:  # root has other things to do on this machine
        assert processes_of(number) <= before
    capture = home / "lab.pcapng"
    assert capture.stat().st_uid == number
    assert len(streams(capture)) == 5
    left = {path.name for path in home.iterdir()}
    assert {"lab.yaml", "lab.pcapng", "lab.pcapng.profile"} <= left
    assert not [name for name in left if name.startswith("contrail-emulator-demo-")], "the router's folder is gone"
