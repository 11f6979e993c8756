"""The command as a stranger runs it: exit status, one line for an error, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lab.conftest import demo_with

from contrail_emulator.lab.isolate import own_slices

COMMAND = [sys.executable, "-P", "-m", "contrail_emulator"]
SECONDS = 120


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=SECONDS, cwd=cwd, check=False)


@pytest.fixture
def lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo lab on this process's own addresses, and a run-time folder of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump(json.loads(demo_with().model_dump_json(exclude_none=True, exclude={"config"}))))
    return path


@pytest.fixture
def running(lab_file: Path) -> Iterator[subprocess.Popen[str]]:
    """`up`, converged and its checks done."""
    process = subprocess.Popen(
        [*COMMAND, "up", str(lab_file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("running"):
            break
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def children(pid: int) -> set[int]:
    found: set[int] = set()
    queue = [pid]
    while queue:
        parent = queue.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            for child in task.read_text().split():
                found.add(int(child))
                queue.append(int(child))
    return found


def all_gone(pids: set[int]) -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        alive = {pid for pid in pids if Path(f"/proc/{pid}").exists() and _state(pid) not in ("Z", "X")}
        if not alive:
            return True
        os.sched_yield()
    return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return "X"


def test_once_runs_the_checks_and_ends_with_0(lab_file: Path, tmp_path: Path) -> None:
    capture = tmp_path / "once.pcapng"
    done = call("up", str(lab_file), "--once", "--capture", str(capture))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 5 and "✗" not in done.stdout
    assert done.stderr == ""
    assert capture.stat().st_size > 10_000
    assert "bgp" in (tmp_path / "once.pcapng.profile" / "tshark-options").read_text()


def test_a_check_that_fails_is_named_and_ends_with_1(lab_file: Path) -> None:
    lab = yaml.safe_load(lab_file.read_text())
    lab["underlay"] = {"10.255.1.1": "127.254.254.254"}  # the gateway's data side will listen elsewhere
    lab["bgp_peers"][0]["routes"][0]["next_hop"] = "10.255.9.9"  # and nobody knows how to get to this next hop
    lab_file.write_text(yaml.safe_dump(lab))
    done = call("up", str(lab_file), "--once")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ vm1's packet to 203.0.113.5 leaves towards gateway" in done.stdout


def test_show_and_ping_find_the_running_lab(running: subprocess.Popen[str]) -> None:
    neighbors = json.loads(call("show", "neighbors", "--json").stdout)
    assert [(row["peer"], row["state"]) for row in neighbors] == [("gateway", "Established")]
    assert "compute-1" in call("show", "agents").stdout
    assert "target:64512:100" in call("show", "instances").stdout
    shown = call("show", "routes", "--table", "bgp.l3vpn.0", "--prefix", "10.1.0.3/32").stdout.splitlines()
    assert len(shown) == 2 and "10.255.2.1:1:10.1.0.3/32" in shown[1]
    for what in ("update-groups", "interfaces", "nexthops", "labels", "flows", "drops"):
        done = call("show", what)
        assert done.returncode == 0 and done.stdout.strip(), (what, done.stderr)
    good = call("ping", "vm1", "10.1.0.4", "-c", "2")
    assert good.returncode == 0 and "2 of 2 answered" in good.stdout
    bad = call("ping", "vm1", "10.2.0.3", "-c", "1")
    assert bad.returncode == 1 and "NoDstRt" in bad.stdout


def test_interrupt_closes_everything(running: subprocess.Popen[str]) -> None:
    pids = children(running.pid)
    assert pids, "the router runs in a child process"
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert all_gone(pids)
    assert call("show", "agents").returncode == 1


def test_a_gateway_that_is_killed_is_told_and_returns(running: subprocess.Popen[str]) -> None:
    """One line says what happened; its routes go, it is started again, and the session and the routes return."""
    (leash,) = (int(word) for word in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split())
    (router,) = (int(word) for word in Path(f"/proc/{leash}/task/{leash}/children").read_text().split())
    os.kill(router, signal.SIGKILL)
    assert running.stdout is not None
    lines: list[str] = []
    for line in running.stdout:
        lines.append(line.split(" s  ", 1)[1].rstrip("\n"))
        if len(lines) == 2:
            routes = json.loads(call("show", "routes", "--json", "--table", "bgp.l3vpn.0").stdout)
            assert not [row for row in routes if row["prefix"].endswith("203.0.113.0/24")]
        if len(lines) == 3:
            break
    assert lines[0] == "router gateway (exabgp) was killed: SIGKILL; it is started again in 5 s", lines
    assert lines[1].startswith("BGP control-1 - gateway: ") and "Established" not in lines[1], lines
    assert lines[2] == "BGP control-1 - gateway: Established", lines


def test_killed_it_leaves_no_process(running: subprocess.Popen[str]) -> None:
    pids = children(running.pid)
    running.kill()
    running.wait(60)
    assert all_gone(pids)


MISTAKES = [
    (["up", "absent.yaml"], 1, "absent.yaml: No such file or directory"),
    (["up"], 2, "Missing argument 'LAB'"),
    (["nonsense"], 2, "No such command 'nonsense'"),
    (["show", "nothing"], 2, "'nothing' is not one of"),
    (["show", "agents", "--table", "x"], 2, "--table goes with: show routes"),
    (["show", "agents"], 1, "no lab is running here"),
    (["show", "agents", "--lab", "other"], 1, "no lab called other is running here"),
    (["ping", "vm1", "10.1.0"], 2, "ADDRESS"),
    (["up", "--log-level", "x"], 2, "No such option"),
    (["up", "lab.yaml", "--timeout", "0"], 2, "--timeout"),
    (["up", "lab.yaml", "--timeout", "nan"], 2, "--timeout"),
    (["up", "/dev/zero"], 1, "expected a regular file"),
    (["up", ""], 2, "'LAB': expected the name of a file"),
    (["up", "lab.yaml", "--capture", ""], 2, "'--capture': expected the name of a file"),
    (["--log-file", "", "up", "lab.yaml"], 2, "'--log-file': expected the name of a file"),
]


@pytest.mark.parametrize(("arguments", "status", "expected"), MISTAKES, ids=[" ".join(row[0]) for row in MISTAKES])
def test_mistakes_give_one_line(
    arguments: list[str], status: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("contrail-emulator: ")
    assert done.stdout == ""


def test_capture_never_overwrites_what_is_no_capture(lab_file: Path) -> None:
    before = lab_file.read_text()
    done = call("up", str(lab_file), "--once", "--capture", str(lab_file))
    assert done.returncode == 1 and "is no capture; not overwritten" in done.stderr
    assert lab_file.read_text() == before


def test_interrupted_before_its_checks_once_fails(lab_file: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "up", str(lab_file), "--once"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "interrupted before the checks were done" in errors


def test_output_that_cannot_be_written(lab_file: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "up", str(lab_file), "--once"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_log_that_cannot_be_written_is_said_once_and_the_lab_goes_on(lab_file: Path) -> None:
    done = call("--log-file", "/dev/full", "--log-level", "debug", "up", str(lab_file), "--once")
    assert done.returncode == 0 and "✗" not in done.stdout
    assert done.stderr == "contrail-emulator: --log-file /dev/full: No space left on device; no more is logged\n"


def test_what_is_removed_from_a_stored_configuration_is_told_like_the_rest(tmp_path: Path) -> None:
    control, agent = (f"127.{own_slices()[0]}.0.{last}" for last in (1, 2))
    file: dict[str, object] = {
        "name": "stored",
        "autonomous_system": 64512,
        "config": {"path": "config.db"},
        "control_nodes": [{"address": control, "bgp_port": 0, "xmpp_port": 0, "introspect_port": 0}],
        "networks": [{"name": "blue", "subnet": "10.1.0.0/24"}],
    }
    for machines in (["vm1", "vm2"], ["vm1"]):
        placed = [{"name": name, "network": "blue"} for name in machines]
        file["agents"] = [{"bind": agent, "introspect_port": 0, "machines": placed}]
        (tmp_path / "lab.yaml").write_text(yaml.safe_dump(file))
        done = call("up", "lab.yaml", "--once", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    removed = "removed from the stored configuration, as the lab file no longer has it: virtual-machine vm2"
    assert done.stdout.splitlines()[1] == f"lab stored: {removed}"


def test_alone_it_prints_its_usage() -> None:
    done = call()
    assert done.returncode == 2 and "Usage:" in done.stderr and "demo" in done.stderr


def test_capture_that_cannot_be_written(lab_file: Path) -> None:
    done = call("up", str(lab_file), "--once", "--capture", "/nowhere/x.pcapng")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "/nowhere/x.pcapng" in done.stderr
