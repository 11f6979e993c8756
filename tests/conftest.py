"""What holds for the whole suite.

With CONTRAIL_EMULATOR_REQUIRE_PEERS=1 (CI) a skipped test is a failed one: nothing hides behind an absent router. What
Hypothesis draws is the same in every run (`make nightly` draws anew), and no example has a time limit: a machine that
stands still for a moment is no bug of ours.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("nightly", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

pytest_plugins = ["pytester"]


REAL_SERVERS = (
    "config/test_backends.py",
    "config/test_buses.py",
    "config/test_stores.py",
    "config/test_trees.py",
    "tests/cli/",
)
"""Tests with RabbitMQ, ZooKeeper and Cassandra: on one worker, so that each server runs once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(part in item.path.as_posix() for part in REAL_SERVERS):
            item.add_marker(pytest.mark.xdist_group("real-servers"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CONTRAIL_EMULATOR_REQUIRE_PEERS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, but CONTRAIL_EMULATOR_REQUIRE_PEERS=1: {report.longrepr}"
    return report
