"""What every launched router offers to the lab, whatever program it is."""

from __future__ import annotations

import abc
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger, LogLevel

from ..errors import LabError
from ..model import BgpPeer, GatewayRoute
from .process import LeashedProcess

KILLED: Mapping[int, str] = MappingProxyType({128 + number: number.name for number in signal.Signals})
"""The leash's exit status when a signal ended the router."""
LONGEST_SOCKET, MAX_SOCKET_PATH = "bgpd.vty", 107
"""Of the names that routers give their sockets, and of a socket's path (108 with its final zero)."""
SYSTEM_PATHS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A control node as the router sees it."""

    name: str
    address: IPv4Address
    port: int
    autonomous_system: int


class Router(abc.ABC):
    """A real router run by the lab: its configuration, its process and its own view of the routes.

    `peer.port` is where it listens (never 0 here); `directory` holds its configuration, log and sockets.

    Attributes:
        failed: why its process ended without being asked to, one line; None while all is well.
        awaited: somebody looks at `failed` and will tell it; only otherwise its end is a warning.
        remove_directory: to be set before `start`: what is removed should the lab be killed.
    """

    log = Logger()
    program: str

    def __init__(self, reactor: Any, peer: BgpPeer, neighbours: Sequence[Neighbour], directory: Path) -> None:
        self.reactor = reactor
        self.peer = peer
        self.neighbours = neighbours
        self.directory = directory
        self.process: LeashedProcess | None = None
        self.failed: str | None = None
        self.awaited = False
        self.remove_directory: Path | None = None

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running

    program_paths = ""
    """Where the program is looked for before anywhere else, as in PATH."""

    def find(self, program: str | None = None) -> str:
        """The path of the router's program, or of another one of its package.

        Raises:
            LabError: it is not installed.
        """
        wanted = program or self.program
        own = self.program_paths if program is None else ""
        found = shutil.which(wanted, path=own if own else self.places())
        if found is None:
            raise LabError(f"bgp_peers: {self.name}: {self.peer.kind} is not installed here ({wanted} was not found)")
        return found

    def need(self) -> None:
        """What must be so before anything is started.

        Raises:
            LabError: the program is not installed, or may not be run by this user.
        """
        self.find()

    def places(self) -> str:
        """Where programs are looked for, as in PATH: our virtual environment first, the system's folders last."""
        return ":".join(filter(None, (str(Path(sys.executable).parent), os.environ.get("PATH"), SYSTEM_PATHS)))

    async def start(self) -> None:
        """Writes the configuration and starts the program; returns when it runs.

        Raises:
            LabError: the program is absent, or the folder cannot hold a socket.
        """
        if len(os.fsencode(self.directory.absolute() / LONGEST_SOCKET)) > MAX_SOCKET_PATH:
            raise LabError(
                f"router {self.name}: {self.directory} is too long for a socket's path; set TMPDIR to a shorter folder"
            )
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command, environment = self.prepare()
        secrets = (self.peer.md5,) if self.peer.md5 else ()
        process = LeashedProcess(self.name, self.directory / "log", secrets=secrets, remove=self.remove_directory)
        self.process = process
        self.failed = None
        process.ended.addCallback(self._ended, process)
        process.spawn(self.reactor, command, environment)

    def stop(self) -> Deferred[None]:
        """Ends the router and everything it started."""
        return succeed(None) if self.process is None else self.process.stop()

    def _ended(self, status: int, process: LeashedProcess) -> None:
        if process.stopping or process is not self.process:
            return
        router = f"router {self.name} ({self.peer.kind})"
        if status in KILLED:
            self.failed = f"{router} was killed: {KILLED[status]}"
        else:
            self.failed = f"{router} ended with status {status}: {process.tail()}"
        self.log.emit(LogLevel.info if self.awaited else LogLevel.warn, "{failed}", failed=self.failed)

    @abc.abstractmethod
    def prepare(self) -> tuple[list[str], dict[str, str]]:
        """Writes the configuration; the command and the environment to run it with."""

    @abc.abstractmethod
    async def announce(self, route: GatewayRoute) -> None:
        """Originates a route."""

    @abc.abstractmethod
    async def withdraw(self, route: GatewayRoute) -> None:
        """Takes a route back."""

    async def refresh(self) -> None:
        """Brings `learnt` up to date, where that takes asking the router."""
        return

    @property
    def learnt(self) -> set[str] | None:
        """Prefixes (without RD) that the router holds from us; None when only `routes` can tell."""
        return None

    @abc.abstractmethod
    async def routes(self) -> list[str]:
        """What the router has learnt, one printed route each ("inet-vpn 10.255.2.1:1:10.1.0.3/32 label 16 …")."""
