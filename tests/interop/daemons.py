"""Real BGP daemons as child processes: configuration in a folder of their own, killed with their process group."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contrail_emulator.config.testing.servers import free_port

_PR_SET_PDEATHSIG = 1
_SOCKETS = Path("/tmp")
"""Of control sockets: a path of one has at most 107 bytes, and a runner's TMPDIR alone may have more."""
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a daemon is told of its session with us.

    families: our names. connect: it opens the connection, otherwise it waits. graceful_restart: seconds, or None.
    announce: whether it has its routes, those of its families that ROUTES lists, as far as it can.
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

INET6_ROUTE = "2001:db8:1::/48"
LABELED_ROUTE = "198.51.100.128/25"
VPN6_ROUTE = "2001:db8:2::/48"
NEXT_HOP6 = "2001:db8::2"
MAC, MAC_ADDRESS = "02:00:00:00:00:02", "10.1.0.6"
EVPN_PREFIX = "10.9.0.0/16"
VNI = 5001

ROUTES: Mapping[str, tuple[str, ...]] = {
    "inet": (INET_ROUTE,),
    "inet6": (INET6_ROUTE,),
    "inet-labeled": (LABELED_ROUTE,),
    "inet-vpn": (f"{ROUTE_DISTINGUISHER}:{VPN_ROUTE}",),
    "inet6-vpn": (f"{ROUTE_DISTINGUISHER}:{VPN6_ROUTE}",),
    "route-target": (f"64512:target:{ROUTE_TARGET}",),
    "e-vpn": (
        f"2-{ROUTE_DISTINGUISHER}-0-{MAC},{MAC_ADDRESS}",
        f"3-{ROUTE_DISTINGUISHER}-0-{NEXT_HOP}",
        f"5-{ROUTE_DISTINGUISHER}-0-{EVPN_PREFIX}",
    ),
}
"""What daemons announce, by family, as we print it. Each has MED 50 and community 65001:7 where the family has such."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """A child process with a log file. `address` and `port` are where it listens for BGP.

    `sockets` is the folder of its control sockets; it is there while the daemon runs.
    """

    name = "daemon"

    def __init__(self, directory: Path, session: Session, address: str = "127.0.1.2") -> None:
        self.directory = directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sockets = _SOCKETS / f"bgp-{os.getpid()}-{secrets.token_hex(4)}"
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

    def start(self, timeout: float = 60.0) -> None:
        """Start and wait until it answers. AssertionError with its log when it does not."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
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
        process.wait(60)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def log_text(self) -> str:
        path = self.directory / "log"
        return f"--- {self.name}\n{path.read_text(errors='replace')}" if path.exists() else ""

    def _run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout


def which(name: str, *beside: str) -> str | None:
    """Where a program is: in the first folder that has those beside it too, the system's before those of PATH.

    The flags are those of Debian's versions, and a daemon does not understand the client of another version: somebody's
    newer gobgpd in PATH, with or without its client, is not what is tested here.
    """
    for folder in (*SYSTEM_FOLDERS, *filter(None, os.environ.get("PATH", "").split(os.pathsep))):
        found = shutil.which(name, path=folder)
        if found is not None and all(shutil.which(other, path=folder) for other in beside):
            return found
    return None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A route from us as the daemon shows it. What a daemon does not print, or a route has not, is None or empty.

    rd: of VPN routes. communities, targets: printed `asn:value`. encapsulation: the number, 8 is VXLAN.
    """

    next_hop: str
    label: int | None = None
    as_path: tuple[int, ...] = ()
    med: int | None = None
    local_pref: int | None = None
    rd: str | None = None
    communities: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    encapsulation: int | None = None


@dataclass(frozen=True, kw_only=True)
class Support:
    """What a daemon does in one family; a text says why it does not.

    theirs: announces ROUTES. ours: takes our routes. mp_reach: also when inet comes in MP_REACH_NLRI.
    our_withdrawal, their_withdrawal, end_of_rib. routes: when it announces only some of ROUTES.
    label: of its routes. hides: fields of Seen that its `show` leaves out.
    """

    theirs: str | None = None
    ours: str | None = None
    mp_reach: str | None = None
    our_withdrawal: str | None = None
    their_withdrawal: str | None = None
    end_of_rib: str | None = None
    routes: tuple[str, ...] = ()
    label: int = LABEL
    hides: frozenset[str] = frozenset()


class Router(Daemon):
    """A daemon with the views that the common tests ask for. Each flag that is off has its reason in `cannot`."""

    families: tuple[str, ...] = ("inet", "inet-vpn")
    """What this one can speak of our families, in the tests of sessions."""
    announces: tuple[str, ...] = ("inet", "inet-vpn")
    """Families of these it can announce a route of its own in."""
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
    helps_to_restart = True
    """It keeps our routes while we restart."""

    takes_second_connection = True
    """While its own waits in OpenSent, as collision detection needs."""

    version = ""
    """The Debian (for ExaBGP: PyPI) version that the flags were found with."""
    cannot: Mapping[str, str] = {}
    """By flag: why it is off."""
    supports: Mapping[str, Support | str] = {}
    """By family: what it does there; a text says why it does not speak the family at all."""

    apart: tuple[str, ...] = ()
    """Families that cannot share a session with its others."""

    @classmethod
    def spoken(cls) -> dict[str, Support]:
        """The families it speaks."""
        return {family: support for family, support in cls.supports.items() if isinstance(support, Support)}

    @classmethod
    def sessions(cls) -> tuple[tuple[str, ...], ...]:
        """The families it speaks, those together that can share a session."""
        together = tuple(family for family in cls.spoken() if family not in cls.apart)
        return together, *((family,) for family in cls.apart)

    def view(self, family: str) -> dict[str, Seen]:
        """Routes it has from us: by prefix; e-vpn and route-target routes as we print them."""
        raise AssertionError(f"{type(self).__name__} has no view")

    def hold_time(self) -> int:
        """The negotiated hold time in seconds, as it shows it; 0 while it does not know."""
        raise AssertionError(f"{type(self).__name__} does not say")

    def withdraw(self, family: str) -> None:
        """Take its routes of a family back."""
        raise AssertionError(f"{type(self).__name__} cannot withdraw")

    def withdraw_inet(self) -> None:
        """Take INET_ROUTE back."""
        self.withdraw("inet")

    def ends_of_rib(self) -> set[str] | None:
        """Families, by our names, of which it saw an End-of-RIB; None when it does not show that."""
        return None

    def after_start(self) -> None:
        """What must be done once it answers."""
