"""What starts real servers, tried with programs that do not start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from contrail_emulator.config.testing import servers
from contrail_emulator.config.testing.servers import HOST, NotStarted, RabbitMq, free_port

LINUX_OUTGOING = 32768
"""The first port of outgoing connections, unless a system was told otherwise."""


def program(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


def test_a_free_port_is_none_that_an_outgoing_connection_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(servers.PORTS) < LINUX_OUTGOING
    port = free_port()
    assert port in servers.PORTS
    monkeypatch.setattr(servers, "PORTS", range(port, port + 1))
    with socket.socket() as taken:
        taken.bind((HOST, port))
        with pytest.raises(NotStarted, match=f"no free port found on {HOST}"):
            free_port()
    assert free_port() == port


def test_no_port_is_given_twice_whoever_asks() -> None:
    """It may be long until its server listens, and another worker's may listen on all addresses."""
    ask = "from contrail_emulator.config.testing.servers import free_port\nprint(*[free_port() for _ in range(200)])"
    asking = [
        subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    given = [port for process in asking for port in process.communicate(timeout=60)[0].split()]
    assert len(given) == len(set(given)) == 600


def test_a_counter_that_is_none_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"contrail-emulator-ports-{os.getuid()}").write_bytes(b"x")
    first = free_port()
    assert {first, free_port()} <= set(servers.PORTS) and free_port() != first


def test_a_broker_that_does_not_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "epmd.pid"
    waits = f"until [ -s {started} ]; do sleep 0.01; done"
    monkeypatch.setattr(
        servers, "RABBITMQ", program(tmp_path / "rabbitmq-server", waits, "echo port in use", "exit 1")
    )
    program(tmp_path / "epmd", f"echo $$ > {started}", "exec sleep 600")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    broker = RabbitMq(tmp_path / "broker")
    with pytest.raises(NotStarted, match="RabbitMQ did not start: port in use"):
        broker.start()
    assert not Path(f"/proc/{int(started.read_text())}").exists()
