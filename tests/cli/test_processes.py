"""A system as separate processes over one SQLite file: sessions, routes, SIGHUP, SIGTERM, what is left behind."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from functools import partial

from cli.processes import System, call, wait

from contrail_emulator.lab.model import Dns


def test_sessions_routes_hangup_and_a_clean_end(system: Callable[..., System]) -> None:
    one = system()
    one.start()
    wait("sessions and routes", one.up)
    before = one.sessions()

    # What the store says otherwise is read at once, by every process.
    conf = one.processes["control-1"]
    document = one.folder / "more.yaml"
    document.write_text(
        "objects: [{type: virtual-network, fq_name: [default-domain, processes, red], parent_type: project}]"
    )
    done = call("config", "load", str(document), *one.store)
    assert done.returncode == 0 and done.stdout == "made 1, changed 0, of 1\n"
    for node in ("control-1", "control-2"):
        wait("red", partial(_has_instance, one, node))

    # SIGHUP reads the file again: the same servers, and then a file that makes no sense.
    conf.hangup()
    wait("the file was read", lambda: conf.said("configuration: same servers"))
    path = one.folder / "control-1.conf"
    path.write_text(path.read_text().replace("hostip = ", "hostip = not-"))
    conf.hangup()
    wait("the fault is told", lambda: conf.said("DEFAULT.hostip: expected an IP address; nothing is changed"))
    assert one.sessions() == before

    # SIGTERM: a Cease to the neighbour, which tells it from a crash.
    assert one.processes["control-2"].stop() == 0
    (row,) = wait(
        "control-2 is gone",
        lambda: [row for row in one.page("control-1", "neighbors") if row["state"] != "Established"],
    )
    assert "cease: administrative shutdown" in row["notification_in"]
    assert set(one.close().values()) == {0}
    for name, process in one.processes.items():
        assert process.output().count("\n") == 1, f"{name} says one line, and no traceback"
        assert "Traceback" not in process.log.read_text()


def test_a_name_server_reads_the_same_configuration(system: Callable[..., System]) -> None:
    host = "127.0.0.1"
    one = system(dns=Dns(domain="lab.example"))
    one.run("config", "config-node", one.schema_conf, *one.store).ready()
    one.load()
    conf = one.write(
        "dns.conf",
        f"[DEFAULT]\nhostip = {host}\nhostname = d\ndns_server_port = 0\nhttp_server_port = 0\n"
        "[EMULATOR]\nxmpp_port = 0\n",
    )
    process = one.run("dns", "dns", conf, *one.store).ready()
    port = process.output().rpartition("introspect ")[2].strip()
    with urllib.request.urlopen(f"http://{host}:{port}/json/virtual-dns", timeout=10) as answer:
        rows = json.loads(answer.read())
    assert "lab.example" in str(rows)
    process.hangup()
    wait("the file was read", lambda: process.said("configuration: same servers"))
    assert set(one.close().values()) == {0}


def _has_instance(system: System, node: str) -> bool:
    return any("processes:red:red" in row["name"] for row in system.page(node, "instances"))
