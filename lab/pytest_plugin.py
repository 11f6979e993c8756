"""The fixture `lab`: `@pytest.mark.lab("two.yaml")` names the lab file, beside the test or anywhere up to the root.

Ports are drawn free, and loopback addresses per process (xdist worker), for every test. When a test fails, the path of
its capture and the last session events are in its report. Nothing of the package is imported before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contrail_emulator.lab.sync import Lab

EVENTS = 40
TWISTED = "log_legacy"
"""The namespace of "… starting on 6635", which would crowd out what happened to sessions."""
_CAPTURE = pytest.StashKey[Path]()
_EVENTS: pytest.StashKey[Iterable[str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab(file): the lab file that the fixture `lab` runs")


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A running lab, stopped after the test."""
    from twisted.logger import (
        FilteringLogObserver,
        ILogObserver,
        LogEvent,
        LogLevel,
        LogLevelFilterPredicate,
        globalLogPublisher,
    )
    from zope.interface import implementer

    from contrail_emulator.base.log import text_line
    from contrail_emulator.lab.errors import LabError
    from contrail_emulator.lab.isolate import isolated, own_slices
    from contrail_emulator.lab.model import LabFile
    from contrail_emulator.lab.sync import Lab

    marker = request.node.get_closest_marker("lab")
    if marker is None or not marker.args:
        raise pytest.UsageError(f'{request.node.nodeid}: expected @pytest.mark.lab("FILE.yaml")')
    try:
        file = LabFile.load(_find(request.path.parent, request.config.rootpath, marker.args[0]))
    except LabError as error:
        pytest.fail(str(error), pytrace=False)  # the user's file is at fault, not a line of ours
    capture = tmp_path / "lab.pcapng"
    request.node.stash[_CAPTURE] = capture
    events: list[str] = []
    request.node.stash[_EVENTS] = events

    @implementer(ILogObserver)
    def remember(event: LogEvent) -> None:
        if event.get("log_namespace") == TWISTED:
            return
        events.append(text_line(event))
        del events[:-EVENTS]

    observer = FilteringLogObserver(remember, [LogLevelFilterPredicate(LogLevel.info)])
    globalLogPublisher.addObserver(observer)
    try:
        with Lab(isolated(file, own_slices()[0]), capture=capture) as running:
            yield running
    finally:
        globalLogPublisher.removeObserver(observer)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _CAPTURE in item.stash:
        report.sections.append(("lab capture", str(item.stash[_CAPTURE])))
        report.sections.append(("lab events", "\n".join(item.stash[_EVENTS])))
    return report


def _find(folder: Path, root: Path, name: str) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / name).is_file():
            return candidate / name
        if candidate == root:
            break
    return folder / name
