"""docs/bgp-interop.md says what the daemons' flags say; the tests of sessions and families hold the flags to that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from interop import record
from interop.daemons import ROUTES, Router
from interop.routers import ROUTERS
from interop.table import SESSION, Cell, promised, render

PAGE = Path(__file__).parents[2] / "docs" / "bgp-interop.md"


def test_committed_page_is_that_of_a_complete_run() -> None:
    assert PAGE.read_text() == render(promised()), "run tests/interop, then tools/interop_table.py"


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: router.name)
def test_each_flag_that_is_off_has_a_reason(router: type[Router]) -> None:
    flags = {name for name, value in vars(Router).items() if isinstance(value, bool)}
    assert {name for name in flags if not getattr(router, name)} == set(router.cannot)
    assert set(router.supports) == set(ROUTES)


def test_what_did_not_run_is_not_called_held() -> None:
    cell = Cell("bird", SESSION, "hold time")
    assert "not run" not in render(promised())
    assert render(promised() - {cell}).count("not run") == 1


def test_parts_of_several_processes_make_one_and_older_runs_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old-1.json"
    old.write_text('[["gobgp", "session", "hold time", ""]]')
    os.utime(old, (1, 1))
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "run")
    mine = record.Record()
    mine.held("bird", "inet", "their route here", "rfc")
    mine.save(tmp_path)
    (tmp_path / "run-0.json").write_text('[["frr", "session", "hold time", ""]]')
    assert record.read(record.newest(tmp_path)) == {
        Cell("bird", "inet", "their route here", "rfc"),
        Cell("frr", SESSION, "hold time"),
    }


def test_a_run_of_other_tests_leaves_no_file(tmp_path: Path) -> None:
    record.Record().save(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert record.newest(tmp_path) == []
