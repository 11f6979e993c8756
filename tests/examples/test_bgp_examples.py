"""The route injector and the looking glass as a user starts them: against each other, ExaBGP and BIRD."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from interop.bird_daemon import Bird
from interop.daemons import Router, Session
from interop.exabgp_daemon import ExaBgp

from contrail_emulator.config.testing.servers import free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INJECTOR, GLASS, DAEMON = "127.0.41.1", "127.0.41.2", "127.0.41.3"
DEADLINE = 90.0

INET = "198.51.100.0/24 next-hop 10.255.1.1 as-path 65009 med 5 community 65001:7"
VPN = "203.0.113.0/24 rd 65001:1 label 1000 next-hop 10.255.1.1 target:64512:100"
EVPN = (
    "e-vpn 2-65001:1-0-02:00:00:00:00:01,10.1.1.1 label 70000 next-hop 10.255.1.1 "
    "target:64512:100 encapsulation:vxlan"
)


class Program:
    """An example as a child process, its output in a file."""

    def __init__(self, directory: Path, name: str, *arguments: str, folder: Path = EXAMPLES) -> None:
        path = directory / f"{name}.output"
        self._output = open(path, "w+")  # noqa: SIM115 - closed in close()
        self._read: list[str] = []
        self._unfinished = ""
        with open(path, "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(folder / f"{name}.py"), *arguments],
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def lines(self) -> list[str]:
        """Everything it has printed so far."""
        *whole, self._unfinished = (self._unfinished + self._output.read()).split("\n")
        self._read += whole
        return self._read

    def wait_for(self, *lines: str) -> None:
        wait_until(lambda: set(lines) <= set(self.lines), lambda: f"{lines}, but {self.lines[-20:]}")

    def interrupt(self) -> int:
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._output.close()


def wait_until(done: Callable[[], bool], what: Callable[[], str]) -> None:
    end = time.monotonic() + DEADLINE
    while not done():
        assert time.monotonic() < end, f"waited {DEADLINE} s for {what()}"
        time.sleep(0.05)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test starts ends with it."""
    with ExitStack() as made:
        yield made


def inject(stack: ExitStack, directory: Path, peer: str, port: int, *routes: str, local_as: int = 65001) -> Program:
    file = directory / "routes"
    file.write_text("# routes of the test\n\n" + "\n".join(routes) + "\n")
    options = ["--port", str(port), "--source", INJECTOR, "--local-as", str(local_as), "--peer-as", "64512"]
    program = Program(directory, "route_injector", *options, peer, str(file))
    stack.callback(program.close)
    return program


def look(stack: ExitStack, directory: Path, port: int, peer_as: int, local_as: int = 64512) -> Program:
    options = ["--listen", str(port), "--source", GLASS, "--peer-as", str(peer_as), "--local-as", str(local_as)]
    program = Program(directory, "looking_glass", *options, "--router-id", "10.255.0.2", INJECTOR)
    stack.callback(program.close)
    return program


def test_injector_and_looking_glass(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port(GLASS)
    glass = look(stack, tmp_path, port, peer_as=65001)
    injector = inject(stack, tmp_path, GLASS, port, INET, VPN, EVPN)
    inet = "198.51.100.0/24 next-hop 10.255.1.1 as-path 65001,65009 med 5 community 65001:7"
    vpn = "203.0.113.0/24 rd 65001:1 label 1000 next-hop 10.255.1.1 as-path 65001 target:64512:100"
    evpn = (
        "e-vpn 2-65001:1-0-02:00:00:00:00:01,10.1.1.1 label 70000 next-hop 10.255.1.1 as-path 65001 "
        "target:64512:100 encapsulation:vxlan"
    )
    glass.wait_for(*(f"+ {line}" for line in (inet, vpn, evpn)))
    glass.wait_for(*(f"# that was all of {family}" for family in ("inet", "inet-vpn", "e-vpn")))
    before = len(glass.lines)
    glass.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: len(glass.lines) == before + 4, lambda: f"the table, but {glass.lines[before:]}")
    assert glass.lines[before:] == ["# 3 routes", *sorted((inet, vpn, evpn))]
    assert injector.interrupt() == 0
    end = "# 0 routes are gone: received 6/2 cease: administrative shutdown"
    glass.wait_for(end)
    assert set(glass.lines[before + 4 :]) == {
        "- 198.51.100.0/24",
        "- 203.0.113.0/24 rd 65001:1",
        "- e-vpn 2-65001:1-0-02:00:00:00:00:01,10.1.1.1",
        end,
    }
    assert injector.lines[0] == f"session with {GLASS} is up"
    assert glass.interrupt() == 0


def test_routes_inside_an_as_have_local_preference(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port(GLASS)
    glass = look(stack, tmp_path, port, peer_as=64512)
    routes = "10.0.0.0/8 next-hop 10.255.1.1", "11.0.0.0/8 next-hop 10.255.1.1 local-pref 7"
    inject(stack, tmp_path, GLASS, port, *routes, local_as=64512)
    glass.wait_for("+ 10.0.0.0/8 next-hop 10.255.1.1 local-pref 100", "+ 11.0.0.0/8 next-hop 10.255.1.1 local-pref 7")


def test_many_routes_go_as_fast_as_the_peer_reads(stack: ExitStack, tmp_path: Path) -> None:
    """Some megabytes, more than buffers hold, and the backlog a peer may have before its session is ended."""
    port = free_port(GLASS)
    glass = look(stack, tmp_path, port, peer_as=65001)
    count = 5000
    path = ",".join(str(4200000000 + number) for number in range(250))
    routes = (f"10.{n >> 8}.{n & 255}.0/24 next-hop 10.255.1.1 med {n} as-path {path}" for n in range(count))
    injector = inject(stack, tmp_path, GLASS, port, *routes)
    glass.wait_for("# that was all of inet")
    assert sum(line.startswith("+ ") for line in glass.lines) == count
    assert injector.lines == [f"session with {GLASS} is up"]


@pytest.mark.parametrize("router", [ExaBgp, Bird], ids=lambda router: router.name)
def test_injector_and_a_router(stack: ExitStack, tmp_path: Path, router: type[Router]) -> None:
    if (reason := router.missing()) is not None:
        pytest.skip(reason)
    them = Session(port=179, address=INJECTOR, autonomous_system=65001, local_as=64512, connect=False, announce=False)
    daemon = router(tmp_path, them, DAEMON)
    stack.callback(daemon.stop)
    daemon.start()
    injector = inject(stack, tmp_path, DAEMON, daemon.port, INET, VPN)

    def prefixes() -> set[str]:
        return {prefix for family in ("inet", "inet-vpn") for prefix in daemon.view(family)}

    def state() -> str:
        return f"routes: {prefixes()}, {injector.lines}\n{daemon.log_text()}"

    wait_until(lambda: len(prefixes()) == 2, state)
    (inet,) = daemon.view("inet").values()
    assert (inet.next_hop, inet.as_path, inet.med) == ("10.255.1.1", (65001, 65009), 5)
    assert inet.communities == {"65001:7"}
    (vpn,) = daemon.view("inet-vpn").values()
    assert (vpn.next_hop, vpn.label, vpn.as_path) == ("10.255.1.1", 1000, (65001,))
    assert vpn.targets == {"64512:100"}
    assert injector.interrupt() == 0
    wait_until(lambda: not prefixes(), state)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["127.0.41.2", "{routes}"], "line 2: a next-hop is needed"),
        (["127.0.41.2", "{empty}"], "no routes in {empty}"),
        (["127.0.41.2", "{binary}"], "{binary}: expected UTF-8 text"),
        (["127.0.41.2", "/nowhere"], "[Errno 2] No such file or directory: '/nowhere'"),
        (["nobody", "{good}"], "'nobody' does not appear to be an IPv4 or IPv6 address"),
        (["127.0.41.2", "{good}", "--local-as", "0"], "autonomous system 0: expected 1 to 4294967295"),
        (["127.0.41.2", "{good}", "--port", "x"], "argument --port: invalid int value: 'x'"),
        (["127.0.41.2", "{good}", "--listen", "99999"], "port 99999: expected 0 to 65535"),
        (["127.0.41.2", "{good}", "--source", "192.0.2.1", "--listen", "0"], "Couldn't listen on 192.0.2.1:0"),
    ],
)
def test_wrong_input_gives_one_line(tmp_path: Path, arguments: list[str], why: str) -> None:
    files = {"routes": "\n10.0.0.0/8\n", "empty": "", "good": "10.0.0.0/8 next-hop 10.0.0.1\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    files["binary"] = ""
    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\xfe")
    paths = {name: str(tmp_path / name) for name in files}
    command = [sys.executable, str(EXAMPLES / "route_injector.py"), *(word.format(**paths) for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"route_injector.py: error: {why.format(**paths)}")
    assert done.stderr.count("\n") == 1


def test_the_program_in_the_documentation(stack: ExitStack, tmp_path: Path) -> None:
    port = free_port(GLASS)
    glass = look(stack, tmp_path, port, peer_as=64512, local_as=65001)
    text = (EXAMPLES.parent / "docs" / "bgp-library.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]
    program = program.replace('"192.0.2.1"', f'"{GLASS}", port={port}')
    program = program.replace('"10.255.0.1")', f'"10.255.0.1", address="{INJECTOR}")')
    (tmp_path / "hello.py").write_text(program)
    hello = Program(tmp_path, "hello", folder=tmp_path)
    stack.callback(hello.close)
    glass.wait_for("+ 198.51.100.0/24 next-hop 10.255.1.1 as-path 64512")
    assert hello.interrupt() == 0
    assert hello.lines == []


def test_examples_are_short() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60, path.name
