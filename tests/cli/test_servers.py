"""With real Cassandra, RabbitMQ and ZooKeeper (CONTRAIL_EMULATOR_BACKENDS=1): labs, processes, and what faults do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import reader_text
from cli.processes import System, call, wait
from lab.conftest import demo_with

from contrail_emulator.config.testing.servers import RabbitMq, Server
from contrail_emulator.lab.model import Config, LabFile
from contrail_emulator.lab.sync import Lab

VARIES = frozenset({"last_modified"})
NETWORK = "objects: [{{type: virtual-network, fq_name: [default-domain, processes, {name}], parent_type: project}}]"


def l3vpn(lab: Lab) -> list[dict[str, Any]]:
    """Rows of bgp.l3vpn.0 without what differs between two runs: when a path came."""
    rows = lab.control["control-1"].node.plane.core.rows("bgp.l3vpn.0")
    return [_timeless(row) for row in sorted(rows, key=lambda row: str(row["prefix"]))]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in VARIES}
    return [_timeless(item) for item in value] if isinstance(value, list | tuple) else value


def rows_of(file: LabFile) -> list[dict[str, Any]]:
    lab = Lab(file, advertise=False, timeout=120)
    try:
        lab.converge(timeout=90)
        return l3vpn(lab)
    finally:
        lab.stop()


def cluster(running: dict[str, Server], **changes: Any) -> Config:
    here = {name: f"127.0.0.1:{server.port}" for name, server in running.items()}
    return Config.model_validate(
        {
            "store": "cassandra",
            "servers": [here["cassandra"]],
            "bus": f"amqp://guest:guest@{here['rabbitmq']}/",
            "zookeeper": [here["zookeeper"]],
            **changes,
        }
    )


def test_the_demo_lab_has_the_same_routes_in_both_stores(servers: dict[str, Server]) -> None:
    demo = demo_with("exabgp")
    embedded = rows_of(demo)
    real = rows_of(demo.model_copy(update={"config": cluster(servers, cluster_id="demo")}))
    assert len(embedded) == 4  # three machines and the gateway's prefix
    assert real == embedded


def test_processes_over_real_servers_and_a_broker_that_dies(
    system: Callable[..., System], servers: dict[str, Server], tmp_path: Path
) -> None:
    one = system(servers)
    one.start()
    wait("sessions and routes", one.up)
    before = one.sessions()
    assert len(before) == 6 and {state for state, _ in before.values()} == {"Established"}

    servers["rabbitmq"].kill()
    for name in ("control-1", "control-2", "config"):
        wait("the loss was noticed", partial(one.processes[name].said, "bus: lost"))
    servers["rabbitmq"].start()
    load(one, "after")
    wait("a change after the restart", lambda: knows(one, "after"))
    assert one.sessions() == before, "no session went down"

    second = RabbitMq(tmp_path / "second")
    second.start()
    try:
        moved = {**servers, "rabbitmq": second}
        for name in ("control-1", "control-2"):
            one.control_conf(name, reader_text(moved))
        schema = one.schema_conf.read_text().replace(str(servers["rabbitmq"].port), str(second.port))
        one.schema_conf.write_text(schema)
        for name in ("config", "control-1", "control-2"):
            one.processes[name].hangup()
        for name in ("config", "control-1", "control-2"):
            wait("moved", partial(one.processes[name].said, f"connected to 127.0.0.1:{second.port}"))
        load(one, "moved")
        wait("a change over the other broker", lambda: knows(one, "moved"))
        assert one.sessions() == before, "no session went down"
        assert set(one.close().values()) == {0}
    finally:
        second.stop()
    for process in one.processes.values():
        assert "Traceback" not in process.log.read_text() + process.output()


def load(system: System, name: str) -> None:
    path = system.write(f"{name}.yaml", NETWORK.format(name=name))
    done = call("config", "load", str(path), "--config-file", str(system.schema_conf))
    assert done.returncode == 0, done.stderr


def knows(system: System, name: str) -> bool:
    """Both control nodes have the network's instance with the target that the transformer gave it."""
    instance = f"default-domain:processes:{name}:{name}"
    return all(
        any(row["name"] == instance and row["import_target"] for row in system.page(node.name, "instances"))
        for node in system.file.control_nodes
    )


def test_dump_and_diff_over_real_servers(servers: dict[str, Server], tmp_path: Path) -> None:
    lab = tmp_path / "lab.yaml"
    ports = {name: server.port for name, server in servers.items()}
    lab.write_text(
        "name: x\nautonomous_system: 64512\nconfig:\n  store: cassandra\n  cluster_id: documents\n"
        f"  servers: ['127.0.0.1:{ports['cassandra']}']\n  zookeeper: ['127.0.0.1:{ports['zookeeper']}']\n"
        f"  bus: amqp://guest:guest@127.0.0.1:{ports['rabbitmq']}\n"
    )
    document = tmp_path / "in.yaml"
    document.write_text("objects: [{type: project, fq_name: [default-domain, documents]}]")
    done = call("config", "load", str(document), "--lab", str(lab))
    assert (done.returncode, done.stdout) == (0, "made 1, changed 0, of 1\n"), done.stderr
    out = tmp_path / "out.json"
    assert call("config", "dump", str(out), "--lab", str(lab)).returncode == 0
    done = call("config", "diff", str(out), "--lab", str(lab))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("what", ["bus", "cassandra", "zookeeper"])
def test_a_server_that_is_not_there_is_one_line_without_the_password(
    what: str, servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrail_emulator.lab.config_node.OPEN_SECONDS", 4.0)
    changes: dict[str, dict[str, Any]] = {
        "bus": {"bus": "amqp://guest:hush@127.0.0.1:1"},
        "cassandra": {"servers": ["127.0.0.1:1"], "password": "hush"},
        "zookeeper": {"zookeeper": ["127.0.0.1:1"]},
    }
    file = demo_with("exabgp").model_copy(update={"bgp_peers": (), "config": cluster(servers, **changes[what])})
    with pytest.raises(Exception, match="config: ") as caught:
        Lab(file, advertise=False)
    assert "127.0.0.1:1" in str(caught.value) and "hush" not in str(caught.value)
