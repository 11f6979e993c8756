"""Real BGP daemons as child processes: configuration in a folder of their own, killed with their process group."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a daemon is told of its session with us.

    families: our names. connect: it opens the connection, otherwise it waits. graceful_restart: seconds, or None.
    long_lived: seconds. announce: whether it has its routes, INET_ROUTE and VPN_ROUTE, as far as it can.
    """

    port: int
    address: str = "127.0.1.1"
    autonomous_system: int = 64512
    local_as: int = 65001
    router_id: str = "10.255.1.2"
    families: tuple[str, ...] = ("inet", "inet-vpn")
    hold_time: int = 30
    md5: str | None = None
    connect: bool = True
    graceful_restart: int | None = None
    announce: bool = True


INET_ROUTE = "198.51.100.0/24"
VPN_ROUTE = "203.0.113.0/24"
ROUTE_DISTINGUISHER = "65001:1"
ROUTE_TARGET = "64512:100"
LABEL = 1000
NEXT_HOP = "10.255.1.2"


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

    def __init__(self, directory: Path, session: Session, address: str = "127.0.1.2") -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.session = session
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


def which(name: str) -> str | None:
    """Where a program is, daemons' own places included."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A route from us as the daemon shows it. What a daemon does not print, or a route has not, is None or empty.

    communities, targets: printed `asn:value`.
    """

    next_hop: str
    label: int | None = None
    as_path: tuple[int, ...] = ()
    med: int | None = None
    communities: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()


class Router(Daemon):
    """A daemon with the views that the common tests ask for."""

    families: tuple[str, ...] = ("inet", "inet-vpn")
    """What this one can speak of our families, in the common tests."""
    announces: tuple[str, ...] = ("inet", "inet-vpn")
    """Families it can announce a route of its own in."""
    label = LABEL
    """Of the VPN route it announces."""
    takes_inet_in_mp_reach = True
    """IPv4 unicast in MP_REACH_NLRI, as a control node sends it (legal by RFC 4760, seldom seen)."""
    says_end_of_rib = True
    """Also without graceful restart."""
    takes_vpn_withdrawals = True
    signs_when_listening = True
    """TCP MD5 works for connections that it accepts."""
    restarts_gracefully = True

    def view(self, family: str) -> dict[str, Seen]:
        """Routes it has from us, by prefix."""
        raise AssertionError(f"{type(self).__name__} has no view")

    def hold_time(self) -> int:
        """The negotiated hold time in seconds, as it shows it; 0 while it does not know."""
        raise AssertionError(f"{type(self).__name__} does not say")

    def withdraw_inet(self) -> None:
        """Take INET_ROUTE back."""
        raise AssertionError(f"{type(self).__name__} cannot withdraw")

    def after_start(self) -> None:
        """What must be done once it answers."""
