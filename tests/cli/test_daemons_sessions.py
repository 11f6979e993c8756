"""Control nodes and agents as processes: TLS between them, an agent that moves, ports that the system chose, `show`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cli.processes import System, call, wait

from contrail_emulator.config.testing.certificates import Authority
from contrail_emulator.config.tls import TlsFiles

pytestmark = pytest.mark.timeout(400)


def options(files: TlsFiles) -> str:
    return (
        f"xmpp_auth_enable = true\nxmpp_server_cert = {files.certificate}\nxmpp_server_key = {files.key}\n"
        f"xmpp_ca_cert = {files.ca}\n"
    )


def agents(system: System, control: str) -> set[str]:
    """Who has a session there."""
    return {str(row["peer"]) for row in system.page(control, "agents") if row["state"] == "Established"}


def test_agents_over_tls_and_no_others(system: Callable[..., System], tmp_path: Path) -> None:
    one = system()
    ours = Authority(tmp_path / "ours").issue("node")
    one.secure = options(ours)
    one.start()
    wait("sessions and routes, over TLS", one.up)
    before = one.sessions()

    # One that shows somebody else's certificate, and one without TLS, stay outside; the others' sessions stay.
    stranger = options(Authority(tmp_path / "theirs", "other").issue("stranger"))
    for secure, outside in ((stranger, refused), ("", deceived)):
        assert one.processes["compute-2"].stop() == 0
        wait("it is gone", lambda: agents(one, "control-1") == agents(one, "control-2") == {"compute-1"})
        one.secure = secure
        process = one.agent("compute-2").ready()
        wait("it tries", partial(outside, one))
        assert agents(one, "control-1") == agents(one, "control-2") == {"compute-1"}
        assert "Traceback" not in process.log.read_text()
    after = one.sessions()
    assert all(after[key] == state for key, state in before.items() if "compute-2" not in key[1])

    # With the right files it is back.
    assert one.processes["compute-2"].stop() == 0
    one.secure = options(ours)
    one.agent("compute-2").ready()
    one.plug()
    wait("it is back", one.up)
    assert set(one.close().values()) == {0}
    for process in one.processes.values():
        assert "Traceback" not in process.log.read_text() + process.output()


def refused(system: System) -> bool:
    """The agent has tried three times to get a session."""
    return any(int(row["client"]["attempts"]) > 2 for row in system.page("compute-2", "xmpp"))


def deceived(system: System) -> bool:
    """Without TLS, an agent takes the reply to its open for a session; the control node waits for more."""
    return all(row["state"] == "Established" for row in system.page("compute-2", "xmpp"))


def test_an_agent_moves_at_sighup(system: Callable[..., System]) -> None:
    one = system()
    one.start()
    wait("sessions and routes", one.up)
    before = one.sessions()
    mover = one.processes["compute-1"]

    mover.hangup()
    wait("the file was read", lambda: mover.said("nothing is changed"))
    one.agent_conf("compute-1", ["control-2"])
    mover.hangup()
    wait("it left control-1", lambda: agents(one, "control-1") == {"compute-2"})
    after = one.sessions()
    assert after["control-2", "compute-1"] == before["control-2", "compute-1"], "a session that stays is not touched"
    wait("its route is with control-1 by way of control-2", lambda: "10.1.0.3/32" in one.prefixes("control-1"))

    path = one.agent_conf("compute-1")
    path.write_text(path.read_text().replace("ip = 10", "ip = ten"))
    mover.hangup()
    wait("the fault is told", lambda: mover.said("expected ADDRESS/LENGTH, IPv4; nothing is changed"))
    one.agent_conf("compute-1")
    mover.hangup()
    wait("both again", one.up)
    assert one.sessions()["control-2", "compute-1"] == before["control-2", "compute-1"]
    assert set(one.close().values()) == {0}
    assert "Traceback" not in mover.log.read_text()


def test_ports_that_the_system_chose_are_told_and_show_finds_the_daemon(system: Callable[..., System]) -> None:
    one = system()
    one.run("config", "config-node", one.schema_conf, *one.store).ready()
    one.load()
    conf = one.write(
        "control-1.conf",
        f"[DEFAULT]\nhostip = {one.file.control_nodes[0].address}\nhostname = control-1\nbgp_port = 0\n"
        "xmpp_server_port = 0\nhttp_server_port = 0\n",
    )
    node = one.run("control-1", "control", conf, *one.store).ready()
    told = re.fullmatch(r"control node control-1: bgp (\d+), xmpp (\d+), introspect (\d+)\n", node.output())
    assert told is not None and "0" not in told.groups() and len(set(told.groups())) == 3

    shown = call("show", "neighbors", "--lab", "control-1", env=node.environment)
    assert (shown.returncode, shown.stderr) == (0, "") and "control-2" in shown.stdout
    left = list((one.folder / "contrail-emulator").glob("*.json"))
    assert len(left) == 2 and all(path.stat().st_mode & 0o077 == 0 for path in left)
    assert set(one.close().values()) == {0}
    assert not list((one.folder / "contrail-emulator").iterdir())
    gone = call("show", "neighbors", "--lab", "control-1", env=node.environment)
    assert gone.returncode == 1 and "no lab called control-1" in gone.stderr
