from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure

Run = Callable[[Deferred[Any]], Any]
Until = Callable[[Callable[[], object]], None]


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
def until(reactor: Any) -> Until:
    """Turn the reactor until something holds; five seconds at most."""

    def turn(holds: Callable[[], object]) -> None:
        deadline = reactor.seconds() + 5
        while not holds():
            assert reactor.seconds() < deadline, "nothing happened for five seconds"
            reactor.iterate(0.01)

    return turn


@pytest.fixture
def run(until: Until) -> Run:
    """Turn the reactor until the Deferred has fired, and give its result or raise its failure."""

    def wait(waited: Deferred[Any]) -> Any:
        outcome: list[Any] = []
        waited.addBoth(outcome.append)
        until(lambda: outcome)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    return wait
