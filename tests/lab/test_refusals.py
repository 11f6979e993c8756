"""What keeps a lab from starting is said before anything has started, with the line of the lab file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from contrail_emulator.lab import state
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.ports import line_of_listener
from contrail_emulator.lab.routers.openbgpd import OpenBgpd

TEXT = """name: refused
autonomous_system: 64512
control_nodes:
- name: one
  address: 127.0.0.1
  bgp_port: 0
  xmpp_port: 0
  introspect_port: 8083
"""


def refusal(tmp_path: Path, more: str = "", text: str = TEXT) -> str:
    """What is said of the lab; without the name of its folder."""
    path = tmp_path / "lab.yaml"
    path.write_text(text + more)
    outcome: list[object] = []
    with pytest.raises(LabError) as caught:
        lab = Lab(Clock(), LabFile.load(path), rng=Random(1))
        Deferred.fromCoroutine(lab.start()).addBoth(outcome.append)
        outcome[0].raiseException()  # type: ignore[attr-defined]
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("config:\n  path: {0}/no/c.db\n", "lab.yaml:10: config.path: no/c.db: there is no folder no"),
        ("config:\n  path: {0}\n", "lab.yaml:10: config.path: {0}: is a folder; expected an SQLite file"),
        ("config: {{path: {0}/lab.yaml}}\n", "lab.yaml:9: config.path: lab.yaml: file is not a database"),
        ("\ncapture: {0}/no/c.pcapng\n", "lab.yaml:10: capture no/c.pcapng: No such file or directory"),
        ("\ncapture: {0}/lab.yaml\n", "lab.yaml:10: capture lab.yaml: is there already and is no capture; not overwr"),
    ],
)
def test_a_file_that_cannot_be_used_names_its_line(more: str, expected: str, tmp_path: Path) -> None:
    said = refusal(tmp_path, more.format(tmp_path))
    assert said.replace(f"folder {tmp_path}/", "folder ").startswith(expected.format(tmp_path))


def test_a_port_in_use_names_its_line_and_the_lab_that_may_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    state.write(state.LabState("other", os.getppid(), ()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(tmp_path, text=TEXT.replace("bgp_port: 0", f"bgp_port: {port}"))
    assert said == (
        f"lab.yaml:6: control node one: bgp_port: cannot listen on 127.0.0.1 port {port}: "
        f"Address already in use; running here: lab other (pid {os.getppid()})"
    )


def test_a_port_that_is_in_use_when_the_lab_starts_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    async def start(lab: Lab) -> None:
        busy: Any = CannotListenError
        raise busy("127.0.0.1", 8083, OSError(98, "Address already in use"))

    monkeypatch.setattr(Lab, "_start", start)
    assert refusal(tmp_path) == "lab.yaml:8: cannot listen on 127.0.0.1 port 8083: Address already in use"


@pytest.mark.parametrize(
    ("address", "port", "line"),
    [
        ("127.0.0.1", 8083, "lab.yaml:8: "),
        ("127.0.2.1", 8085, "lab.yaml:10: "),
        ("127.0.2.1", 6635, "lab.yaml:11: "),
        ("127.0.0.9", 8092, "lab.yaml:14: "),
        ("127.0.0.1", 9999, ""),
    ],
)
def test_whose_port_it_is(address: str, port: int, line: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    more = "agents:\n- name: a\n  bind: 127.0.2.1\ndns:\n  address: 127.0.0.9\n  introspect_port: 8092\n  domain: x\n"
    path.write_text(TEXT + more)
    assert line_of_listener(LabFile.load(path), address, port).replace(f"{tmp_path}/", "") == line


def test_openbgpd_without_root_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenBgpd, "find", lambda self, program=None: "/usr/sbin/bgpd")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    more = """bgp_peers:
- name: gateway
  address: 127.0.1.1
  port: 0
  autonomous_system: 64512
  kind: openbgpd
"""
    assert refusal(tmp_path, more) == "lab.yaml:14: bgp_peers: gateway: openbgpd runs only as root"


def test_two_labs_that_say_the_same_are_equal_whatever_file_says_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(TEXT)
    two.write_text("\n\n" + TEXT)
    assert LabFile.load(one) == LabFile.load(two) != LabFile.load(one).model_copy(update={"name": "x"})
