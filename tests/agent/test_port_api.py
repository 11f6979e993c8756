"""The port API: rejections, storing, synchronising; and introspect, both over real HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from contrail_emulator.agent.port import Port
from contrail_emulator.agent.port_api import PortApi
from contrail_emulator.agent.settings import AgentSettings

UUID = "11111111-1111-4111-8111-111111111111"
GOOD: dict[str, Any] = {
    "id": UUID,
    "instance-id": "22222222-2222-4222-8222-222222222222",
    "vn-id": "33333333-3333-4333-8333-333333333333",
    "vm-project-id": "44444444-4444-4444-8444-444444444444",
    "display-name": "vm1",
    "ip-address": "10.1.0.3",
    "ip6-address": "",
    "type": 0,
    "system-name": "tap1",
    "mac-address": "02:00:00:00:00:03",
    "rx-vlan-id": -1,
    "tx-vlan-id": -1,
}


class Owner:
    def __init__(self) -> None:
        self.ports: dict[str, Port] = {}

    def add_port(self, port: Port) -> None:
        self.ports[port.uuid] = port

    def delete_port(self, uuid: str) -> bool:
        return self.ports.pop(uuid, None) is not None


def api(owner: Owner, clock: Any = None, directory: Path | None = None) -> PortApi:
    settings = AgentSettings("compute-1", "10.0.0.1", ports_directory=str(directory or ""))
    return PortApi(clock or Clock(), settings, owner)


def post(made: PortApi, value: Any) -> tuple[int, dict[str, Any]]:
    return made.add(json.dumps(value).encode())


def test_a_port_comes_is_shown_and_goes() -> None:
    owner = Owner()
    made = api(owner)
    assert post(made, GOOD) == (200, {})
    assert owner.ports[UUID].vm_name == "vm1" and owner.ports[UUID].address6 == "::"
    status, shown = made.get(UUID)
    assert status == 200 and {key: shown[key] for key in GOOD if key != "ip6-address"} == {
        key: value for key, value in GOOD.items() if key != "ip6-address"
    }
    assert made.delete(UUID) == (200, {})
    assert made.get(UUID)[0] == made.delete(UUID)[0] == 404


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mac-address": "02:00:00:00:00"}, "mac-address"),
        ({"vn-id": ""}, "vn-id"),
        ({"type": 7}, "type"),
        ({"rx-vlan-id": 5}, "rx-vlan-id"),
        ({"id": "../../etc/passwd"}, "id"),
        ({"system-name": 7}, "system-name"),
        ({"display-name": None}, "display-name"),
    ],
)
def test_rejections_name_the_key(change: dict[str, Any], why: str) -> None:
    owner = Owner()
    status, answer = post(api(owner), {**GOOD, **change})
    assert status == 500 and answer["error"].startswith(f"{{ {why}: ") and not owner.ports


@pytest.mark.parametrize("body", [b"", b"{", b"1", b'"x"', b"[1]", b"[" * 100000])
def test_what_is_no_port(body: bytes) -> None:
    owner = Owner()
    assert api(owner).add(body)[0] == 500 and not owner.ports


def test_an_array_is_taken_as_a_whole_or_not_at_all() -> None:
    owner = Owner()
    other = {**GOOD, "id": UUID.replace("1", "5")}
    assert post(api(owner), [GOOD, {**other, "mac-address": "x"}])[0] == 500 and not owner.ports
    assert post(api(owner), [GOOD, other]) == (200, {}) and len(owner.ports) == 2


def test_stored_ports_come_back(tmp_path: Path) -> None:
    post(api(Owner(), directory=tmp_path), GOOD)
    stored = json.loads((tmp_path / UUID).read_text())
    assert stored["system-name"] == "tap1" and stored.keys() - GOOD.keys() == {"author", "time"}
    (tmp_path / UUID.replace("1", "6")).write_text("not json")
    (tmp_path / "readme").write_text("{}")
    owner = Owner()
    made = api(owner, directory=tmp_path)
    assert made.reload() == 1 and list(owner.ports) == [UUID]
    made.delete(UUID)
    assert not (tmp_path / UUID).exists()


def test_a_stored_file_is_not_overwritten(tmp_path: Path) -> None:
    made = api(Owner(), directory=tmp_path)
    post(made, GOOD)
    post(made, {**GOOD, "system-name": "tap2"})
    assert json.loads((tmp_path / UUID).read_text())["system-name"] == "tap1"


def test_ports_that_are_not_announced_again_go() -> None:
    clock, owner = Clock(), Owner()
    made = api(owner, clock)
    other = {**GOOD, "id": UUID.replace("1", "5")}
    post(made, [GOOD, other])
    made.sync()
    post(made, GOOD)
    clock.advance(59)
    assert len(owner.ports) == 2
    clock.advance(2)
    assert list(owner.ports) == [UUID]


def test_the_link_of_a_remote_port() -> None:
    owner = Owner()
    made = api(owner)
    post(made, GOOD)
    assert made.set_link(UUID, True)[0] == 500
    remote = {**GOOD, "type": 2}
    post(made, remote)
    assert not owner.ports[UUID].link_up
    assert made.set_link(UUID, True) == (200, {}) and owner.ports[UUID].link_up
    assert made.set_link("nobody", True)[0] == 404
