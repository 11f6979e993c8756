"""`show`: what it asks for, what it refuses, and that nothing a daemon says can steer the terminal."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from control.bgp.session.core import Driver

from contrail_emulator.base.introspect import PageError
from contrail_emulator.cli import show as module
from contrail_emulator.control.bgp import rows
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.introspect import routes
from contrail_emulator.control.routing.source import SourceKind
from contrail_emulator.lab import state
from contrail_emulator.lab.errors import LabError

ESCAPES = "\x1b]0;title\x07\x1b[2J\u202e\x9b31m"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """A lab with one control node whose every page is `[{"peer": …}]`; what it was asked for."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    control = state.DaemonState("control", "control-1", "http://127.0.0.1:8083")
    state.write(state.LabState("demo", os.getpid(), (control,)))
    seen: list[Mapping[str, str]] = []

    def fetch(daemon: state.DaemonState, page: str, arguments: Mapping[str, str], timeout: float = 1.0) -> Any:
        seen.append(arguments)
        if page == "routes":
            path = {"source": f"x{ESCAPES}y", "communities": [ESCAPES + "target:1:1"], "flags": {ESCAPES: 1}}
            return [{"table": "t", "prefix": ESCAPES + "10.1.0.3/32", "paths": [path]}]
        return [{"peer": f"gate{ESCAPES}way"}]

    monkeypatch.setattr(module, "fetch", fetch)
    return seen


def show(*arguments: str) -> Result:
    return CliRunner().invoke(module.show, arguments, standalone_mode=False)


GOOD = [
    "10.1.0.3/32", "10.1.0.0/16", "10.1.0.3", "10.1.0.3/8", "2001:db8::/32", "2001:db8::1", "::/0",
    "10.255.2.1:1:10.1.0.3/32", "64512:7:10.1.0.3/32", "10.255.2.1:1:2001:db8::/32",
]  # fmt: skip
BAD = ["nonsense", "10.1.0", "10.1.0.3/33", "1:2:x", "10.1.0.3/", "", " ", "-", "10.1.0.256", "a:1:10.0.0.0/8",
       "1.2.3.4:1"]  # fmt: skip
OTHER = ["2-10.255.2.1:1-0-02:00:00:00:00:01,10.1.0.3", "0-10.255.2.1:1-0.0.0.0,255.255.255.255,0.0.0.0",
         "64512:target:64512:100"]  # fmt: skip


@pytest.mark.parametrize("prefix", GOOD)
def test_an_ip_prefix_is_asked_for(prefix: str, asked: list[Mapping[str, str]]) -> None:
    assert show("routes", "--prefix", prefix, "--longer").exit_code == 0
    assert asked == [{"prefix": prefix, "longer": "True"}]


@pytest.mark.parametrize("prefix", OTHER)
def test_another_familys_prefix_is_asked_for_but_has_no_longer_ones(
    prefix: str, asked: list[Mapping[str, str]]
) -> None:
    assert show("routes", "--prefix", prefix).exit_code == 0
    assert asked == [{"prefix": prefix}]
    assert isinstance(show("routes", "--prefix", prefix, "--longer").exception, click.UsageError)


@pytest.mark.parametrize("prefix", BAD)
def test_nonsense_is_a_usage_error(prefix: str, asked: list[Mapping[str, str]]) -> None:
    for more in ([], ["--longer"]):
        fault = show("routes", "--prefix", prefix, *more).exception
        assert isinstance(fault, click.UsageError) and "expected an IP prefix" in fault.message
    assert asked == []


def test_longer_wants_a_prefix(asked: list[Mapping[str, str]]) -> None:
    fault = show("routes", "--longer").exception
    assert isinstance(fault, click.UsageError) and "--longer goes with: --prefix" in fault.message


def test_the_longest_match_of_an_address(asked: list[Mapping[str, str]]) -> None:
    assert show("routes", "--prefix", "10.1.0.3", "--longest").exit_code == 0
    assert asked == [{"prefix": "10.1.0.3", "longest": "True"}]
    for wrong in (["--longest"], ["--prefix", OTHER[0], "--longest"], ["--prefix", "::", "--longer", "--longest"]):
        assert isinstance(show("routes", *wrong).exception, click.UsageError)
    assert len(asked) == 1


def test_a_protocol_in_any_case_and_no_other_word(asked: list[Mapping[str, str]]) -> None:
    assert set(module.PROTOCOLS) == {kind.value for kind in SourceKind}
    assert show("routes", "--protocol", "servicechain").exit_code == 0
    assert asked == [{"protocol": "ServiceChain"}]
    assert isinstance(show("routes", "--protocol", "ospf").exception, click.BadParameter)
    assert len(asked) == 1


@pytest.mark.usefixtures("asked")
def test_neighbours_are_shown_with_their_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """States, flaps, last errors, families, timers, counters: the columns name fields of the page."""
    core = Driver().reach(State.ESTABLISHED, hold_time=30).core
    core.counters.flaps = 4
    core.history.last_error = "6/4 cease: administrative reset"
    row = {**rows.neighbour(core, 1000.0, None, None), "routes_in": 7, "routes_out": 8}
    monkeypatch.setattr(module, "fetch", lambda *arguments, **more: [row])
    view = module.VIEWS["neighbors"]
    assert {field for _, field in view.columns} <= set(row)
    done = show("neighbors")
    assert done.exit_code == 0, done.exception
    for wanted in ("Established", "inet inet-vpn", " 4 ", "hold=30", "keepalive=10", "open=1", "6/4 cease"):
        assert wanted in done.output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TERM", "dumb")  # no escapes
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stdout(Terminal()) as shown:
        module.show(["neighbors"], standalone_mode=False)
    return shown.getvalue().splitlines()


@pytest.mark.usefixtures("asked")
def test_a_terminal_too_narrow_for_the_table_gets_records(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"peer": "gate", "state": "Idle", "flap_count": 0, "last_error": "6/4 " + "reset " * 12}
    monkeypatch.setattr(module, "fetch", lambda *arguments, **more: [row])
    piped = show("neighbors").output.splitlines()
    assert len(piped) == 2 and piped[0].startswith("peer")
    assert [line.split()[0] for line in on_a_terminal(300, monkeypatch)] == ["peer", "gate"]
    narrow = on_a_terminal(60, monkeypatch)
    assert [line.split() for line in narrow[:3]] == [["peer", "gate"], ["state", "Idle"], ["flaps", "0"]]
    assert narrow[3].startswith("last error") and "reset" in narrow[4]
    assert max(map(len, narrow)) <= 60


@pytest.mark.parametrize(
    ("what", "page", "shown"),
    [
        ("flows", [], "(none)"),
        ("drops", {}, "reason  packets"),
        ("drops", {"Flow Action Drop": 2}, "reason            packets Flow Action Drop  2"),
    ],
    ids=["no flows", "no drops", "drops"],
)
def test_what_an_agent_shows_of_nothing(
    what: str, page: Any, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    agent = state.DaemonState("agent", "compute-1", "http://127.0.0.1:8085")
    state.write(state.LabState("demo", os.getpid(), (agent,)))
    monkeypatch.setattr(module, "fetch", lambda *arguments, **more: page)
    assert " ".join(line.strip() for line in show(what).output.splitlines()) == shown


def test_a_node_that_is_not_there(asked: list[Mapping[str, str]]) -> None:
    fault = show("agents", "--node", "nobody").exception
    assert isinstance(fault, LabError)
    assert str(fault) == "no control node is called nobody (there is: control-1)"


@pytest.mark.parametrize(("what", "word"), [("neighbors", "gate]0;title"), ("routes", "x]0;title")])
def test_what_a_daemon_says_cannot_steer_the_terminal(what: str, word: str, asked: list[Mapping[str, str]]) -> None:
    done = show(what)
    assert done.exit_code == 0, done.exception
    assert all(character.isprintable() or character == "\n" for character in done.output)
    assert word in done.output


def test_json_escapes_them(asked: list[Mapping[str, str]]) -> None:
    done = show("neighbors", "--json")
    assert "\x1b" not in done.output and json.loads(done.output) == [{"peer": f"gate{ESCAPES}way"}]


# The page of the control node


class Core:
    """Two tables: one of IP prefixes, one of a family that has none."""

    tables = ("bgp.l3vpn.0", "bgp.evpn.0")

    def rows(
        self, name: str, *, prefix: str | None, longer: bool, longest: bool, **others: Any
    ) -> Iterator[dict[str, Any]]:
        if prefix == "nonsense" or ((longer or longest) and prefix and name == "bgp.evpn.0"):
            raise ValueError(f"not a prefix: {prefix!r}")
        yield {"prefix": name + " route"}


def page(**arguments: str) -> list[dict[str, Any]]:
    node: Any = SimpleNamespace(plane=SimpleNamespace(core=Core()))
    return routes(node, arguments)


def test_tables_without_ip_prefixes_have_no_longer_ones() -> None:
    assert [row["table"] for row in page()] == ["bgp.l3vpn.0", "bgp.evpn.0"]
    assert [row["table"] for row in page(prefix="10.0.0.0/8", longer="true")] == ["bgp.l3vpn.0"]
    assert [row["table"] for row in page(prefix="10.0.0.0/8", longest="true")] == ["bgp.l3vpn.0"]


@pytest.mark.parametrize("arguments", [{"prefix": "nonsense"}, {"prefix": "10.0.0.0/8", "table": "bgp.evpn.0"}])
def test_a_prefix_that_no_asked_table_can_hold_is_the_askers_fault(arguments: dict[str, str]) -> None:
    with pytest.raises(PageError, match="not a prefix") as fault:
        page(longer="true", **arguments)
    assert fault.value.status == 400
