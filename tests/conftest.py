"""With CONTRAIL_EMULATOR_REQUIRE_PEERS=1 (CI) a skipped test is a failed one: nothing may hide behind an absent router."""

import os
from collections.abc import Generator

import pytest

pytest_plugins = ["pytester"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CONTRAIL_EMULATOR_REQUIRE_PEERS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, but CONTRAIL_EMULATOR_REQUIRE_PEERS=1: {report.longrepr}"
    return report
