"""A whole system as processes of the operating system: config node, control nodes and agents, from conf files."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lab.conftest import on_own_addresses

from contrail_emulator.agent.port import Port
from contrail_emulator.cli.main import main
from contrail_emulator.config.document import render
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.objects import interface_mac, lab_uuid, objects

COMMAND = [sys.executable, "-P", "-m", "contrail_emulator"]
SECONDS = 180.0
BGP, XMPP, INTROSPECT, PORT_API = 1179, 15269, 18083, 19091


def call(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=SECONDS, cwd=cwd, env=env, check=False
    )


class _Kept(io.StringIO):
    """Can be read after the command has closed it."""

    def close(self) -> None: ...


def here(*arguments: str) -> tuple[int, str, str]:
    """One command in this process, for what ends before a reactor runs: status, output, errors."""
    output, errors = _Kept(), _Kept()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0), output.getvalue(), errors.getvalue()
    raise AssertionError("main() always exits")


def wait(what: str, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """The first true value of `condition`; AssertionError after some time. Other processes work meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.1)  # between two looks at other processes: there is no clock to advance


class Process:
    """One daemon. Its log is a file; `ready` waits for the line it prints when it works."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.log = folder / f"{name}.log"
        self._output = folder / f"{name}.out"
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}  # where it leaves its state file
        command = [*COMMAND, "--log-level", "info", "--log-file", str(self.log), *arguments]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=self.environment)

    def output(self) -> str:
        return self._output.read_text()

    def ready(self) -> Process:
        def said() -> bool:
            assert self.process.poll() is None, self.output()
            return self.output().endswith("\n")

        wait(f"{self._output} has a line", said)
        return self

    def said(self, text: str) -> bool:
        return self.log.exists() and text in self.log.read_text()

    def hangup(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Exit status; the process group has nobody else."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class System:
    """`store` are the options that say where configuration is; `sections` what conf files say about it."""

    def __init__(self, folder: Path, file: LabFile, store: tuple[str, ...], config_node: str, reader: str) -> None:
        self.folder = folder
        self.file = on_own_addresses(file)
        self.file = self.file.model_copy(
            update={
                "control_nodes": tuple(
                    node.model_copy(update={"bgp_port": BGP, "xmpp_port": XMPP}) for node in self.file.control_nodes
                )
            }
        )
        self.store = store
        self.reader = reader
        self.secure = ""
        """Lines of [DEFAULT] in the conf files of control nodes and agents."""
        self.processes: dict[str, Process] = {}
        self.schema_conf = self.write("schema.conf", f"[DEFAULTS]\nhttp_server_port = 0\n{config_node}")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, name: str, kind: str, conf: Path, *more: str) -> Process:
        self.processes[name] = Process(self.folder, name, kind, "--config-file", str(conf), *more)
        return self.processes[name]

    # Daemons

    def start(self) -> None:
        """Everything, with the lab's objects loaded."""
        self.run("config", "config-node", self.schema_conf, *self.store).ready()
        self.load()
        for node in self.file.control_nodes:
            self.control(node.name)
        for agent in self.file.agents:
            self.agent(agent.name)
        for process in self.processes.values():
            process.ready()
        self.plug()

    def load(self) -> None:
        written = [{"type": each.type, **each.body} for each in objects(self.file)]
        path = self.write("lab-objects.yaml", render(written))
        where = self.store or ("--config-file", str(self.schema_conf))
        done = call("config", "load", str(path), *where)
        assert done.returncode == 0, done.stderr

    def control_conf(self, name: str, reader: str | None = None) -> Path:
        node = next(node for node in self.file.control_nodes if node.name == name)
        return self.write(
            f"{name}.conf",
            f"[DEFAULT]\nhostip = {node.address}\nhostname = {name}\nbgp_port = {BGP}\nxmpp_server_port = {XMPP}\n"
            f"http_server_port = {INTROSPECT}\n{self.secure}{reader or self.reader}",
        )

    def control(self, name: str) -> Process:
        return self.run(name, "control", self.control_conf(name), *self.store)

    def agent(self, name: str) -> Process:
        return self.run(name, "agent", self.agent_conf(name))

    def agent_conf(self, name: str, controls: Sequence[str] | None = None) -> Path:
        """Of an agent of all control nodes, or of those named."""
        agent = next(agent for agent in self.file.agents if agent.name == name)
        underlay = " ".join(f"{other.tunnel_address}={other.bind}" for other in self.file.agents)
        chosen = [node for node in self.file.control_nodes if controls is None or node.name in controls]
        servers = " ".join(f"{node.address}:{XMPP}" for node in chosen)
        return self.write(
            f"{name}.conf",
            f"[DEFAULT]\nagent_name = {name}\nhttp_server_port = {INTROSPECT}\nrest_port = {PORT_API}\n"
            f"tunnel_type = MPLSoUDP\n{self.secure}[CONTROL-NODE]\nservers = {servers}\n[VIRTUAL-HOST-INTERFACE]\n"
            f"ip = {agent.tunnel_address}/32\n[EMULATOR]\nbind_address = {agent.bind}\nunderlay = {underlay}\n",
        )

    def plug(self) -> None:
        """Announces every machine over the port API of its agent."""
        lab = self.file.name
        for agent in self.file.agents:
            for machine in agent.machines:
                interface = lab_uuid(lab, "interface", machine.name)
                port = Port(
                    uuid=interface,
                    vm_uuid=lab_uuid(lab, "machine", machine.name),
                    vn_uuid=lab_uuid(lab, "network", machine.network),
                    name=f"tap-{machine.name}",
                    mac=interface_mac(interface).hex(":"),
                    address=str(machine.address),
                    vm_name=machine.name,
                )
                request = urllib.request.Request(
                    f"http://{agent.bind}:{PORT_API}/port", json.dumps(port.to_json()).encode(), method="POST"
                )
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert answer.status == 200

    # Watching

    def page(self, name: str, page: str) -> list[dict[str, Any]]:
        """A page of the introspect of a control node or agent."""
        hosts = {node.name: node.address for node in self.file.control_nodes}
        hosts.update({agent.name: agent.bind for agent in self.file.agents if agent.bind})
        with urllib.request.urlopen(f"http://{hosts[name]}:{INTROSPECT}/json/{page}", timeout=10) as answer:
            rows: list[dict[str, Any]] = json.loads(answer.read())
        return rows

    def prefixes(self, control: str) -> set[str]:
        """Addresses of machines in bgp.l3vpn.0."""
        rows = self.page(control, "routes?table=bgp.l3vpn.0")
        return {row["prefix"].rpartition(":")[2] for row in rows}

    def up(self) -> bool:
        """Every session is up and every machine's route on every control node and agent."""
        wanted = {f"{machine.address}/32" for agent in self.file.agents for machine in agent.machines}
        others = len(self.file.control_nodes) - 1
        for node in self.file.control_nodes:
            neighbors = self.page(node.name, "neighbors")
            if len([row for row in neighbors if row["state"] == "Established"]) != others:
                return False
            if len(self.page(node.name, "agents")) != len(self.file.agents) or not wanted <= self.prefixes(node.name):
                return False
        return True

    def sessions(self) -> dict[tuple[str, str], tuple[str, int]]:
        """State of every session, and how often it went down, as the control nodes count."""
        found = {}
        for node in self.file.control_nodes:
            for page, key in (("neighbors", "peer"), ("agents", "peer")):
                for row in self.page(node.name, page):
                    found[node.name, str(row[key])] = (str(row["state"]), int(row["flap_count"]))
        return found

    def close(self) -> dict[str, int]:
        """Exit status of every daemon."""
        return {name: process.stop() for name, process in reversed(self.processes.items())}
