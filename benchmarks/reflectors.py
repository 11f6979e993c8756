"""The daemons of the reflection benchmark, each as a route reflector for the same iBGP clients."""

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

from bgp_messages import AS, Table

ADDRESS = "127.0.1.2"
ROUTER_ID = "10.255.0.1"
HOLD_TIME = 600
_TICKS = os.sysconf("SC_CLK_TCK")


def find(name: str) -> str | None:
    """The system's before somebody's own build of another version in PATH."""
    places = ("/usr/sbin", "/usr/bin", "/usr/lib/frr", os.environ.get("PATH", ""))
    return shutil.which(name, path=os.pathsep.join(places))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Reflector:
    """A daemon in a process group of its own. All clients connect to it."""

    name = "daemon"
    program = ""
    """A file name or a path."""
    withdraws_vpn = True

    def __init__(self, directory: Path, family: str, clients: list[str]) -> None:
        self.directory = directory
        self.family = family
        self.clients = clients
        directory.mkdir(parents=True, exist_ok=True)
        with socket.socket() as sock:
            sock.bind((ADDRESS, 0))
            self.port: int = sock.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str | None:
        return None if find(cls.program) else f"{cls.program} is not installed"

    def command(self) -> list[str]:
        raise AssertionError(f"{type(self).__name__} has no command")

    def start(self) -> None:
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def own_table(self) -> Table | None:
        """What the daemon itself says it holds; None when it is not asked."""
        return None

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_text(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    continue

    def _processes(self) -> list[int]:
        """The daemon's process group."""
        assert self.process is not None
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                fields = _stat(int(entry.name))
                if fields is not None and int(fields[2]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def cpu(self) -> float:
        """User and system seconds so far, of all its processes."""
        stats = [_stat(number) for number in self._processes()]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields is not None) / _TICKS

    def peak(self) -> float:
        """MiB of resident memory at the peak, of all its processes."""
        return self.memory("VmHWM")

    def memory(self, field: str) -> float:
        """MiB, of all its processes, by the name that /proc/<number>/status has for it."""
        total = 0
        for number in self._processes():
            text = Path(f"/proc/{number}/status").read_text()
            total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field}:")), 0)
        return total / 1024


def _stat(number: int) -> list[str] | None:
    """The fields of /proc/<number>/stat from the state on."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Ours(Reflector):
    name = "ours"
    python = sys.executable
    profile: Path | None = None

    @classmethod
    def missing(cls) -> str | None:
        return None

    def command(self) -> list[str]:
        script = str(Path(__file__).with_name("our_table.py"))
        profile = ["--profile", str(self.profile)] if self.profile else []
        own = [str(self.directory / "table"), ADDRESS, str(self.port), self.family]
        return [self.python, script, *own, *self.clients, *profile]

    def own_table(self) -> Table | None:
        """Asks for it by signal. RuntimeError when none comes."""
        assert self.process is not None
        path = self.directory / "table"
        path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 60.0
        while not path.exists():
            if not self.alive() or time.monotonic() > end:
                raise RuntimeError(f"{self.name} says nothing of its table:\n{self.log_text()}")
            time.sleep(0.05)
        told = json.loads(path.read_text())
        return {bytes.fromhex(nlri): bytes.fromhex(value) for nlri, value in told.items()}


class OursCompiled(Ours):
    """The same source, hot cores compiled (`make fast`)."""

    name = "compiled"
    python = str(Path(__file__).parent.parent / ".venv-fast" / "bin" / "python")

    @classmethod
    def missing(cls) -> str | None:
        return None if Path(cls.python).exists() else f"{cls.python} is not there: make fast"


class Bird(Reflector):
    name = "BIRD"
    program = "bird"

    def command(self) -> list[str]:
        channel = {"inet": "ipv4", "inet-vpn": "vpn4 mpls"}[self.family]
        table = "table vpntab4; " if self.family == "inet-vpn" else ""
        lines = [
            "log stderr { warning, error, fatal, bug };",
            f"router id {ROUTER_ID};",
            "vpn4 table vpntab4;",
            "protocol device {}",
            'protocol static { ipv4; route 10.255.9.1/32 via "lo"; }',
        ]
        for number, client in enumerate(self.clients):
            lines.append(
                f"protocol bgp p{number} {{ local {ADDRESS} port {self.port} as {AS}; neighbor {client} as {AS}; "
                f"multihop; strict bind on; passive on; rr client; hold time {HOLD_TIME}; "
                f"{channel} {{ {table}import all; export where source = RTS_BGP; }}; }}"
            )
        (self.directory / "bird.conf").write_text("\n".join(lines) + "\n")
        return [find(self.program) or "", "-f", "-c", "bird.conf", "-s", "ctl", "-P", "pid"]


class Frr(Reflector):
    name = "FRR"
    program = "/usr/lib/frr/bgpd"

    def command(self) -> list[str]:
        family = {"inet": "ipv4 unicast", "inet-vpn": "ipv4 vpn"}[self.family]
        lines = ["hostname frr", f"router bgp {AS}", f" bgp router-id {ROUTER_ID}", " no bgp default ipv4-unicast"]
        lines += [" no bgp network import-check"]
        for client in self.clients:
            lines += [f" neighbor {client} remote-as {AS}", f" neighbor {client} passive"]
            lines += [f" neighbor {client} timers {HOLD_TIME // 3} {HOLD_TIME}"]
            lines += [f" neighbor {client} update-source {ADDRESS}"]
        lines += [f" address-family {family}"]
        for client in self.clients:
            lines += [f"  neighbor {client} activate", f"  neighbor {client} route-reflector-client"]
        lines += [" exit-address-family"]
        (self.directory / "bgpd.conf").write_text("\n".join(lines) + "\n")
        own = ["-i", str(self.directory / "pid"), "--vty_socket", str(self.directory)]
        return [self.program, "-n", "-S", "-Z", "-f", "bgpd.conf", *own, "-p", str(self.port), "-l", ADDRESS, "-P0"]


class GoBgp(Reflector):
    name = "GoBGP"
    program = "gobgpd"

    def command(self) -> list[str]:
        family = {"inet": "ipv4-unicast", "inet-vpn": "l3vpn-ipv4-unicast"}[self.family]
        neighbours = [
            {
                "config": {"neighbor-address": client, "peer-as": AS},
                "transport": {"config": {"local-address": ADDRESS, "passive-mode": True}},
                "timers": {"config": {"hold-time": HOLD_TIME, "keepalive-interval": HOLD_TIME // 3}},
                "route-reflector": {
                    "config": {"route-reflector-client": True, "route-reflector-cluster-id": ROUTER_ID}
                },
                "afi-safis": [{"config": {"afi-safi-name": family}}],
            }
            for client in self.clients
        ]
        own = {"as": AS, "router-id": ROUTER_ID, "port": self.port, "local-address-list": [ADDRESS]}
        text = json.dumps({"global": {"config": own}, "neighbors": neighbours})
        (self.directory / "gobgpd.json").write_text(text)
        with socket.socket() as sock:
            sock.bind((ADDRESS, 0))
            api = f"{ADDRESS}:{sock.getsockname()[1]}"
        program = find(self.program) or ""
        return [program, "-f", "gobgpd.json", "-t", "json", "-p", "--api-hosts", api, "--pprof-disable"]


class NewGoBgp(GoBgp):
    """A release that Debian does not have, built from the Go module."""

    name = "GoBGP 4.8"
    program = str(Path.home() / ".cache" / "contrail-emulator" / "gobin" / "gobgpd")

    @classmethod
    def missing(cls) -> str | None:
        if find(cls.program):
            return None
        folder = Path(cls.program).parent
        return f"build it: GOBIN={folder} go install github.com/osrg/gobgp/v4/cmd/gobgpd@v4.8.0"


class OpenBgpd(Reflector):
    """Version 7.7 counts a withdrawal of a VPN route and keeps the route; that phase is left out."""

    name = "OpenBGPD"
    program = "bgpd"
    withdraws_vpn = False

    @classmethod
    def missing(cls) -> str | None:
        return None if find("bgpctl") and cls._bgpd() else "openbgpd is not installed"

    @staticmethod
    def _bgpd() -> str | None:
        return shutil.which("bgpd", path="/usr/sbin")

    def command(self) -> list[str]:
        family = {"inet": "IPv4 unicast", "inet-vpn": "IPv4 vpn"}[self.family]
        lines = [
            f"AS {AS}",
            f"router-id {ROUTER_ID}",
            f"listen on {ADDRESS} port {self.port}",
            "fib-update no",
            f'socket "{self.directory / "ctl"}"',
            "nexthop qualify via default",
        ]
        for client in self.clients:
            lines.append(
                f"neighbor {client} {{\n remote-as {AS}\n local-address {ADDRESS}\n passive\n route-reflector\n"
                f" holdtime {HOLD_TIME}\n announce IPv4 none\n announce {family}\n}}"
            )
        lines += ["allow from any", "allow to any", ""]
        path = self.directory / "bgpd.conf"
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        Path("/run/openbgpd").mkdir(exist_ok=True)
        return [self._bgpd() or "", "-d", "-f", "bgpd.conf"]


ALL: list[type[Reflector]] = [Ours, OursCompiled, Bird, Frr, GoBgp, NewGoBgp, OpenBgpd]


def wait_for_port(reflector: Reflector, timeout: float = 20.0) -> None:
    """Until it listens. RuntimeError with its log when it does not."""
    end = time.monotonic() + timeout
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.1.99", 0))
            if sock.connect_ex((ADDRESS, reflector.port)) == 0:
                return
        if not reflector.alive() or time.monotonic() > end:
            raise RuntimeError(f"{reflector.name} does not listen:\n{reflector.log_text()}")
        time.sleep(0.05)
