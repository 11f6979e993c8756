"""How a lab runs its routers: the leash, the log, secrets, and what is known when one ends by itself."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.model import BgpPeer, GatewayRoute
from contrail_emulator.lab.routers import Neighbour
from contrail_emulator.lab.routers.exabgp import FAMILIES, RELAY_SECONDS, ExaBgp
from contrail_emulator.lab.routers.gobgp import GoBgp
from contrail_emulator.lab.routers.private import append_private, write_private
from contrail_emulator.lab.routers.process import LEASH, LeashedProcess, reason
from contrail_emulator.lab.routers.router import Router
from contrail_emulator.lab.sync import Driver

KEY = "s3cret/key9"
NEIGHBOUR = Neighbour("control-1", IPv4Address("127.0.0.2"), 1179, 64512)


def peer(**changes: Any) -> BgpPeer:
    return BgpPeer(
        name="gateway", address=IPv4Address("127.0.0.3"), port=1180, autonomous_system=64600,
        router_id=IPv4Address("10.255.1.1"), kind="exabgp", **changes,
    )  # fmt: skip


class Scripted(Router):
    """A router that is any command we like."""

    program = "sh"
    script = "exit 3"

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        return ["/bin/sh", "-c", self.script], {}

    async def announce(self, route: GatewayRoute) -> None:
        return

    async def withdraw(self, route: GatewayRoute) -> None:
        return

    async def routes(self) -> list[str]:
        return []


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture
def warnings() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    observer: Any = events.append
    globalLogPublisher.addObserver(observer)
    yield events
    globalLogPublisher.removeObserver(observer)


def scripted(driver: Driver, directory: Path, script: str, **changes: Any) -> Scripted:
    router = Scripted(driver.reactor, peer(**changes), [NEIGHBOUR], directory / "gateway")
    router.script = script
    return router


def ended(driver: Driver, router: Router) -> None:
    process = router.process
    assert process is not None
    done: Deferred[None] = Deferred()
    process.ended.addCallback(lambda status: done.callback(None))
    driver.call(lambda: done)


def ended_well(process: LeashedProcess) -> None:
    done: Any = ProcessDone
    failure: Any = Failure
    process.processEnded(failure(done(0)))


# Finding the programs


def programs(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\necho unknown service >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    return folder


def test_daemon_and_client_come_from_one_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer gobgpd without its client, first in PATH, does not answer the client of the older one behind it."""
    alone = programs(tmp_path / "alone", "gobgpd")
    whole = programs(tmp_path / "whole", "gobgpd", "gobgp")
    monkeypatch.setenv("PATH", f"{alone}:{whole}")
    router = GoBgp(None, peer(), [NEIGHBOUR], tmp_path / "gateway")
    assert (router.find(), router.find("gobgp")) == (str(whole / "gobgpd"), str(whole / "gobgp"))


def test_a_router_that_never_answers_is_told_with_what_its_client_said(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrail_emulator.lab.routers.polled.MAX_POLLS", 2)
    folder = programs(tmp_path / "bin", "gobgpd", "gobgp")
    (folder / "gobgpd").write_text("#!/bin/sh\necho manager started\nexec sleep 600\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    router = GoBgp(driver.reactor, peer(), [NEIGHBOUR], tmp_path / "gateway")
    with pytest.raises(LabError, match=r"did not come up: gobgp .* global: unknown service; its log ends: "):
        driver.call(router.start)
    driver.call(router.stop)


# A router that ends by itself


def test_a_router_that_ends_by_itself_says_why_once(driver: Driver, tmp_path: Path, warnings: list[LogEvent]) -> None:
    router = scripted(driver, tmp_path, f"echo 'syntax error near {KEY}'; echo bye; exit 3", md5=KEY)
    driver.call(router.start)
    ended(driver, router)
    assert router.failed == "router gateway (exabgp) ended with status 3: syntax error near …"
    assert [event["failed"] for event in warnings if "failed" in event] == [router.failed]
    assert not any(KEY in str(event) for event in warnings)


def test_a_killed_router_is_said_to_be(driver: Driver, tmp_path: Path, warnings: list[LogEvent]) -> None:
    router = scripted(driver, tmp_path, "kill -9 $$")
    driver.call(router.start)
    ended(driver, router)
    assert router.failed == "router gateway (exabgp) was killed: SIGKILL"
    assert [event["log_level"].name for event in warnings if "failed" in event] == ["warn"]


def test_what_somebody_waits_for_is_no_warning_as_well(
    driver: Driver, tmp_path: Path, warnings: list[LogEvent]
) -> None:
    router = scripted(driver, tmp_path, "exit 3")
    router.awaited = True
    driver.call(router.start)
    ended(driver, router)
    assert router.failed is not None
    assert [event["log_level"].name for event in warnings if "failed" in event] == ["info"]


def test_a_router_told_to_end_has_not_failed(driver: Driver, tmp_path: Path, warnings: list[LogEvent]) -> None:
    router = scripted(driver, tmp_path, "exec sleep 600")
    driver.call(router.start)
    driver.call(router.stop)
    assert router.failed is None and not router.running
    assert not any("failed" in event for event in warnings)


def test_started_again_it_has_not_failed_and_tells_nothing_of_its_former_life(driver: Driver, tmp_path: Path) -> None:
    router = scripted(driver, tmp_path, "echo 'an old error'; exit 1")
    driver.call(router.start)
    ended(driver, router)
    router.script = "exec sleep 600"
    driver.call(router.start)
    assert router.failed is None and router.process is not None
    assert router.process.tail() == "(it printed nothing)"
    driver.call(router.stop)


def test_stopping_one_router_leaves_the_lab_folder(driver: Driver, tmp_path: Path) -> None:
    """Only a killed lab's folder is removed by the leash; other routers of a living lab still need it."""
    router = scripted(driver, tmp_path, "exec sleep 600")
    router.remove_directory = tmp_path
    driver.call(router.start)
    driver.call(router.stop)
    assert (tmp_path / "gateway" / "log").exists()


# What is written


def test_log_and_configuration_are_ours_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    log.chmod(0o644)
    process = LeashedProcess("gateway", log)
    process.outReceived(b"x\n")
    ended_well(process)
    configuration = tmp_path / "conf"
    write_private(configuration, "key")
    for path in (log, configuration):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert log.read_text() == "x\n" and configuration.read_text() == "key"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for write in (lambda path: write_private(path, "key"), append_private):
        with pytest.raises(OSError, match="symbolic link"):
            write(tmp_path / "link")
    assert not (tmp_path / "target").exists()


def test_tail_masks_secrets_and_never_begins_inside_one(tmp_path: Path) -> None:
    process = LeashedProcess("gateway", tmp_path / "log", secrets=(KEY,))
    process.outReceived(f'line 3: md5-password "{KEY}";\n'.encode())
    assert process.tail() == 'line 3: md5-password "…";'
    process.outReceived(f"error {KEY}".encode() * 1000)
    assert KEY not in process.tail() and KEY[4:] not in process.tail()
    ended_well(process)


EXABGP = """10:06:18 29704  advice          environment file missing
10:06:18 29704  advice          generate it using "exabgp env > /etc/exabgp/exabgp.env"
"""
REASONS = [
    ("", ""),
    ("\n \n", ""),
    ("one\ntwo\n", "two"),
    (EXABGP, '10:06:18 29704  advice          generate it using "exabgp env > /etc/exabgp/exabgp.env"'),
    (EXABGP + "started\n", "started"),
    ("configuration invalid afi/safi pair ipv4/rtc\n" + EXABGP, "configuration invalid afi/safi pair ipv4/rtc"),
    ("bgpd: Address already in use\nterminating\n", "bgpd: Address already in use"),
    ("error: \x1b[31mred\x07\n", "error: [31mred"),
]


@pytest.mark.parametrize(("printed", "expected"), REASONS, ids=range(len(REASONS)))
def test_the_reason_is_a_complaint_rather_than_advice(printed: str, expected: str) -> None:
    assert reason(printed) == expected


# ExaBGP


@pytest.mark.parametrize("family", FAMILIES.values())
def test_exabgp_accepts_every_family_we_offer(family: str, tmp_path: Path) -> None:
    """Asks its own parser; FAMILIES must not promise what the installed version refuses."""
    path = tmp_path / "exabgp.conf"
    path.write_text(
        "neighbor 127.0.0.9 { router-id 1.1.1.1; local-address 127.0.0.8; local-as 65001; peer-as 65002;\n"
        f"family {{ {family}; }} }}\n"
    )
    command = [sys.executable, "-P", "-m", "exabgp", "validate", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_command_waits_for_the_relay_no_longer_than_ten_seconds(tmp_path: Path) -> None:
    clock = Clock()
    route = GatewayRoute.model_validate({"family": "inet", "prefix": "203.0.113.0/24"})
    router = ExaBgp(clock, peer(), [NEIGHBOUR], tmp_path)
    faults: list[str] = []
    Deferred.fromCoroutine(router.announce(route)).addErrback(lambda failure: faults.append(str(failure.value)))
    clock.advance(RELAY_SECONDS - 0.1)
    assert faults == []
    clock.advance(0.2)
    assert faults == ["router gateway: ExaBGP's API did not connect in 10 s"]
    router.failed = "router gateway (exabgp) ended with status 1: x"
    Deferred.fromCoroutine(router.withdraw(route)).addErrback(lambda failure: faults.append(str(failure.value)))
    assert faults[1:] == [router.failed]


def test_a_command_that_waits_is_sent_when_the_relay_connects(tmp_path: Path) -> None:
    clock = Clock()
    router = ExaBgp(clock, peer(), [NEIGHBOUR], tmp_path)
    sent: list[str] = []

    class Relay:
        send = staticmethod(sent.append)

    route = GatewayRoute.model_validate({"family": "inet", "prefix": "203.0.113.0/24"})
    done = Deferred.fromCoroutine(router.announce(route))
    relay: Any = Relay()
    router.connected(relay)
    assert done.called and sent == ["announce route 203.0.113.0/24 next-hop 10.255.1.1"] * 2
    assert clock.getDelayedCalls() == []


# The leash


def leashed(*arguments: str) -> subprocess.Popen[str]:
    """A leash whose command has printed its first line."""
    command = [sys.executable, "-I", "-S", str(LEASH), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ignored_by(status: str) -> set[int]:
    (line,) = [line for line in status.splitlines() if line.startswith("SigIgn")]
    mask = int(line.split()[1], 16)
    return {number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) if mask >> (number - 1) & 1}


def first_line(leash: subprocess.Popen[str]) -> str:
    assert leash.stdout is not None
    return leash.stdout.readline()


def test_ctrl_c_and_a_closed_terminal_do_not_reach_the_leash() -> None:
    with leashed("sh", "-c", "echo ready; exec sleep 600") as leash:
        first_line(leash)
        assert os.getsid(leash.pid) == leash.pid != os.getsid(0)
        assert ignored_by(Path(f"/proc/{leash.pid}/status").read_text()) == {signal.SIGHUP, signal.SIGINT}
        leash.send_signal(signal.SIGHUP)
        leash.send_signal(signal.SIGINT)
        leash.send_signal(signal.SIGTERM)
        assert leash.wait(60) == 0


def test_the_command_ignores_no_signal() -> None:
    with leashed("cat", "/proc/self/status") as leash:
        assert leash.stdout is not None
        assert ignored_by(leash.stdout.read()) == set()
        assert leash.wait(60) == 0


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_leash_ends_as_a_shell_would(script: str, status: int) -> None:
    with leashed("sh", "-c", script) as leash:
        assert leash.wait(60) == status


def test_killed_lab_leaves_no_folder(tmp_path: Path) -> None:
    """Every router's leash removes it; the one that comes second finds nothing and does not mind."""
    folder = tmp_path / "lab"
    (folder / "gateway").mkdir(parents=True)
    (folder / "gateway" / "log").write_text("x")
    script = ("sh", "-c", "echo ready; exec sleep 600")
    with leashed("--remove", str(folder), *script) as one, leashed("--remove", str(folder), *script) as two:
        first_line(one)
        first_line(two)
        for leash in (one, two):
            assert leash.stdin is not None
            leash.stdin.close()
        assert (one.wait(60), two.wait(60)) == (0, 0)
    assert not folder.exists() and tmp_path.exists()


def test_ended_in_order_it_removes_nothing(tmp_path: Path) -> None:
    with leashed("--remove", str(tmp_path), "sh", "-c", "echo ready; exec sleep 600") as leash:
        first_line(leash)
        leash.terminate()
        assert leash.wait(60) == 0
    assert tmp_path.exists()


def test_what_is_no_folder_of_ours_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    link = tmp_path / "link"
    link.symlink_to(kept)
    with leashed("--remove", str(link), "sh", "-c", "echo ready; exec sleep 600") as leash:
        first_line(leash)
        assert leash.stdin is not None
        leash.stdin.close()
        assert leash.wait(60) == 0
    assert kept.exists() and link.is_symlink()
