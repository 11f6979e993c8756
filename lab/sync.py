"""A lab for tests and scripts: calls that block, and nothing that moves between them.

The reactor runs in the calling thread, and only inside a call, so what is read after a call is consistent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, TypeVar

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.process import reapAllProcesses
from twisted.python.failure import Failure

from . import lab as asynchronous
from .errors import LabError
from .machine import Machine as AsyncMachine
from .machine import NoAnswer, PingResult
from .model import LabFile
from .patience import converge_seconds, start_seconds

T = TypeVar("T")
DEFAULT_TIMEOUT = 30.0
REAP_SECONDS = 0.02


class Driver:
    """A private event loop and the reactor on it."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.reactor: Any = AsyncioSelectorReactor(self.loop)
        self.reactor.startRunning(installSignalHandlers=False)
        self._reap()
        self.loop.run_until_complete(asyncio.sleep(0))

    def _reap(self) -> None:
        """Without signal handlers nobody tells the reactor that a child ended: look."""
        reapAllProcesses()
        self.reactor.callLater(REAP_SECONDS, self._reap)

    def call(self, work: Callable[[], Awaitable[T]], timeout: float = DEFAULT_TIMEOUT) -> T:
        """Runs the reactor until `work` is done; its exception is raised here.

        Raises:
            LabError: not done within `timeout` seconds.
        """

        async def run() -> T:
            return await work()

        deferred = Deferred.fromCoroutine(run())
        future = self.loop.create_future()
        deferred.addBoth(lambda result: None if future.done() else future.set_result(result))

        async def wait() -> Any:
            return await asyncio.wait_for(asyncio.shield(future), timeout)

        try:
            result = self.loop.run_until_complete(wait())
        except TimeoutError as error:
            deferred.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            raise LabError(f"not done within {timeout:g} s") from error
        if isinstance(result, Failure):
            result.raiseException()
        return result  # type: ignore[no-any-return]

    def run_for(self, seconds: float) -> None:
        """Lets the lab run."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        """Ends the loop; what still waits on it is gone."""
        if not self.loop.is_closed():
            self.reactor.disconnectAll()
            self.reactor.callLater(0, self.reactor.stop)
            self.loop.run_forever()  # until the reactor's own shutdown events have stopped the loop
            self.loop.close()


class Machine:
    """A machine of a running lab."""

    def __init__(self, driver: Driver, machine: AsyncMachine) -> None:
        self._driver = driver
        self._machine = machine

    @property
    def name(self) -> str:
        return self._machine.name

    @property
    def address(self) -> IPv4Address:
        return self._machine.identity.address

    def ping(self, address: str | IPv4Address, count: int = 1, timeout: float = 2.0) -> PingResult:
        """Sends echo requests; returns what came back within `timeout` seconds of the last."""
        target = IPv4Address(address)
        return self._driver.call(lambda: self._machine.ping(target, count, timeout), timeout + count + 5)

    def resolve(self, name: str, timeout: float = 5.0) -> list[str]:
        """Asks the DNS server for addresses.

        Raises:
            NoAnswer: none came, or the server said no.
        """
        return self._driver.call(lambda: self._machine.resolve(name, timeout=timeout), timeout + 5)


class ControlNode:
    """A control node of a running lab, read through the rows its introspect shows."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def routes(self, table: str, prefix: str | None = None) -> list[dict[str, Any]]:
        """The routes of a table with their paths, best first; of one prefix, printed with or without its RD.

        Raises:
            LabError: there is no such table.
        """
        core = self.node.plane.core
        if table not in core.tables:
            raise LabError(f"{self.node.settings.name} has no table {table}")
        return list(core.rows(table, prefix=prefix))

    def neighbor(self, name: str) -> dict[str, Any]:
        """One BGP peer's row.

        Raises:
            LabError: there is no such peer.
        """
        plane = self.node.plane
        peer = plane.speaker.peers.get(name)
        if peer is None:
            raise LabError(f"{self.node.settings.name} has no BGP peer {name}")
        return {**peer.rows(), **plane.peers.row(name)}

    def agents(self) -> list[dict[str, Any]]:
        """One row an agent."""
        return [dict(row) for row in self.node.plane.agents.rows()]


class Lab:
    """`Lab(file)` starts a lab; use it with `with`, or call `stop`.

    `file` is a LabFile, or the path of one. Every call that waits takes a time-out in seconds; that of the start is
    30 s, and 40 s more for each 1,000 machines.
    """

    def __init__(
        self,
        file: LabFile | Path | str,
        *,
        capture: Path | None = None,
        directory: Path | None = None,
        rng: Random | None = None,
        advertise: bool = False,
        timeout: float | None = None,
    ) -> None:
        lab_file = file if isinstance(file, LabFile) else LabFile.load(Path(file))
        self.driver = Driver()
        self._stopped = False
        try:
            self.lab = asynchronous.Lab(
                self.driver.reactor, lab_file, capture=capture, directory=directory, rng=rng, advertise=advertise
            )
            self.driver.call(self.lab.start, start_seconds(lab_file) if timeout is None else timeout)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def file(self) -> LabFile:
        """The lab file, ports filled in."""
        return self.lab.file

    @property
    def control(self) -> dict[str, ControlNode]:
        return {name: ControlNode(node) for name, node in self.lab.control.items()}

    def machine(self, name: str) -> Machine:
        """A machine by name.

        Raises:
            LabError: there is none of that name.
        """
        return Machine(self.driver, self.lab.compute_of(name).machines[name])

    def converge(self, timeout: float | None = None) -> None:
        """Runs until every session is up and every route where it should be; without `timeout` for 30 s, and 20 s more
        for each 1,000 machines.

        Raises:
            LabError: not in time; the text says what was awaited.
        """
        seconds = converge_seconds(self.file) if timeout is None else timeout
        self.driver.call(lambda: self.lab.converge(seconds), seconds + 5)

    def wait_for(self, what: str, condition: Callable[[], bool], timeout: float = DEFAULT_TIMEOUT) -> None:
        """Runs until `condition()` holds.

        Raises:
            LabError: not in time.
        """
        self.driver.call(lambda: self.lab.wait_for(what, condition, timeout), timeout + 5)

    def run_for(self, seconds: float) -> None:
        """Lets the lab run for a while."""
        self.driver.run_for(seconds)

    def call(self, work: Callable[[], Awaitable[T]], timeout: float = DEFAULT_TIMEOUT) -> T:
        """Runs any coroutine or Deferred of the asynchronous lab."""
        return self.driver.call(work, timeout)

    def stop(self) -> None:
        """Takes everything down; safe more than once."""
        if self._stopped:
            return
        self._stopped = True
        if hasattr(self, "lab"):
            self.driver.call(self.lab.stop, 60)
        self.driver.close()


__all__: Sequence[str] = ["ControlNode", "Driver", "Lab", "Machine", "NoAnswer"]
