"""Real BGP daemons as child processes: configuration in a folder of their own, killed with their process group."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def free_port(address: str) -> int:
    """An unprivileged TCP port that nobody uses on this address now."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """A child process with a log file. `address` and `port` are where it listens for BGP."""

    name = "daemon"

    def __init__(self, directory: Path, address: str) -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.port = free_port(address)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, or None."""
        raise AssertionError(f"{cls.__name__} does not say what it needs")

    def command(self) -> list[str]:
        raise AssertionError(f"{type(self).__name__} has no command")

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def ready(self) -> bool:
        """True when it answers."""
        return True

    def start(self, timeout: float = 20.0) -> None:
        """Start and wait until it answers. AssertionError with its log when it does not."""
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        end = time.monotonic() + timeout
        while not self.ready():
            assert self._process.poll() is None, f"{self.name} ended:\n{self.log_text()}"
            assert time.monotonic() < end, f"{self.name} does not answer:\n{self.log_text()}"
            time.sleep(0.05)

    def kill(self, number: int) -> None:
        """To the daemon's whole process group."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it: with this signal, then for certain."""
        process, self._process = self._process, None
        if process is None:
            return
        for attempt in (number, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, attempt)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    continue
        process.wait(5)

    def log_text(self) -> str:
        path = self.directory / "log"
        return f"--- {self.name}\n{path.read_text(errors='replace')}" if path.exists() else ""

    def _run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout


class ExaBgp(Daemon):
    """`configuration` is the inside of its neighbor block; `announce` and `withdraw` use its API, `events` is what it saw."""

    name = "exabgp"

    def __init__(self, directory: Path, address: str, configuration: str, neighbour: str) -> None:
        super().__init__(directory, address)
        relay = self.directory / "relay.py"
        relay.write_text(_RELAY)
        os.mkfifo(self.directory / "commands")
        (self.directory / "exabgp.conf").write_text(
            f"process relay {{\n  run {sys.executable} {relay} {self.directory};\n  encoder json;\n}}\n"
            f"neighbor {neighbour} {{\n{configuration}\n"
            "  api { processes [ relay ]; neighbor-changes; receive { parsed; update; open; notification; } }\n}\n"
        )

    @classmethod
    def missing(cls) -> str | None:
        return None if (Path(sys.executable).parent / "exabgp").exists() else "exabgp is not in this environment"

    def command(self) -> list[str]:
        return [str(Path(sys.executable).parent / "exabgp"), "server", str(self.directory / "exabgp.conf")]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "exabgp_daemon_user": "root",
            "exabgp_daemon_drop": "false",
            "exabgp_tcp_bind": self.address,
            "exabgp_tcp_port": str(self.port),
            "exabgp_api_ack": "false",
            "exabgp_api_cli": "false",
        }

    def ready(self) -> bool:
        return (self.directory / "ready").exists()

    def say(self, command: str) -> None:
        """A command of ExaBGP's API: `announce route …`, `withdraw route …`."""
        with open(self.directory / "commands", "w") as fifo:
            fifo.write(command + "\n")

    def events(self) -> list[dict[str, Any]]:
        path = self.directory / "events"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]

    def routes(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What it received and was not withdrawn: (family, printed NLRI) to attributes, NLRI included."""
        table: dict[tuple[str, str], dict[str, Any]] = {}
        for event in self.events():
            if event.get("type") == "state" and event["neighbor"]["state"] == "down":
                table.clear()
            message = event.get("neighbor", {}).get("message", {}).get("update", {})
            for family, hops in message.get("announce", {}).items():
                for hop, entries in hops.items():
                    for entry in entries:
                        table[family, _nlri(entry)] = {"next-hop": hop, **message.get("attribute", {}), "entry": entry}
            for family, entries in message.get("withdraw", {}).items():
                for entry in entries:
                    table.pop((family, _nlri(entry)), None)
        return table

    def ends_of_rib(self) -> set[str]:
        """Families of which it saw an End-of-RIB."""
        found: set[str] = set()
        for event in self.events():
            eor = event.get("neighbor", {}).get("message", {}).get("eor")
            if eor:
                found.add(f"{eor['afi']} {eor['safi']}")
        return found


def _nlri(entry: Any) -> str:
    return str(entry.get("nlri", entry.get("raw", ""))) if isinstance(entry, dict) else str(entry)


_RELAY = '''"""Between ExaBGP and a test: what it says goes to a file, what the fifo says goes to it."""
import pathlib, sys, threading

folder = pathlib.Path(sys.argv[1])

def commands():
    while True:
        with open(folder / "commands") as fifo:
            for line in fifo:
                sys.stdout.write(line)
                sys.stdout.flush()

threading.Thread(target=commands, daemon=True).start()
(folder / "ready").touch()
with open(folder / "events", "a") as events:
    for line in sys.stdin:
        events.write(line)
        events.flush()
'''


def which(*names: str) -> str | None:
    """The first program that exists."""
    return next((found for name in names if (found := shutil.which(name, path=_PATH)) is not None), None)


_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/frr"))
