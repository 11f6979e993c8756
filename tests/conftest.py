"""What holds for the whole suite.

With CONTRAIL_EMULATOR_REQUIRE_PEERS=1 (CI) a skipped test is a failed one: nothing hides behind an absent router. What
Hypothesis draws is the same in every run (`make nightly` draws anew), and no example has a time limit: a machine that
stands still for a moment is no bug of ours.
"""

import os
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("nightly", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

pytest_plugins = ["pytester"]
PATIENCE = 60.0
"""Seconds: far longer than anything takes, even on a machine that has much else to do."""


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests of one group share servers and ports: on two workers they would only fail now and then."""
    if hasattr(session.config, "workerinput") and session.config.getoption("loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") is not None and "@" not in item.nodeid:
                raise pytest.UsageError("pytest-xdist does not know groups with this version of pytest")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CONTRAIL_EMULATOR_REQUIRE_PEERS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, but CONTRAIL_EMULATOR_REQUIRE_PEERS=1: {report.longrepr}"
    return report


@pytest.fixture
def reactor() -> Iterator[Any]:
    """A reactor of this test alone, on real sockets."""
    made: Any = SelectReactor()
    yield made
    made.disconnectAll()
    for reader in list(made._internalReaders):  # its waker's sockets, which removeAll leaves alone
        made.removeReader(reader)
        reader.connectionLost(connectionDone)


@pytest.fixture
def until(reactor: Any) -> Callable[[Callable[[], object]], None]:
    """Turn the reactor until something holds."""

    def turn(holds: Callable[[], object]) -> None:
        deadline = reactor.seconds() + PATIENCE
        while not holds():
            assert reactor.seconds() < deadline, f"nothing happened for {PATIENCE:g} seconds"
            reactor.iterate(0.01)

    return turn


@pytest.fixture
def run(until: Callable[[Callable[[], object]], None]) -> Callable[[Deferred[Any]], Any]:
    """Turn the reactor until the Deferred has fired, and give its result or raise its failure."""

    def wait(waited: Deferred[Any]) -> Any:
        outcome: list[Any] = []
        waited.addBoth(outcome.append)
        until(lambda: outcome)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    return wait
