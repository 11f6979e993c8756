"""A router that tells what it learnt only when asked through its client."""

from __future__ import annotations

import abc
import shutil
from typing import Any

from twisted.internet.task import deferLater

from ..errors import LabError
from ..model import GatewayRoute
from .command import run
from .router import Router

ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.05
MAX_POLLS = int(ANSWER_SECONDS / POLL_SECONDS)


class PolledRouter(Router):
    """Starts when its client gets an answer; `refresh` reads what it learnt."""

    client: str

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.originated: list[GatewayRoute] = list(self.peer.routes)
        self._prefixes: set[str] = set()
        self._printed: list[str] = []
        self._refusal = ""

    @property
    def learnt(self) -> set[str]:
        return self._prefixes

    def find(self, program: str | None = None) -> str:
        """Daemon and client of one installation where there is a whole one: they need not understand another's."""
        for folder in () if self.program_paths else self.places().split(":"):
            both = {name: shutil.which(name, path=folder) for name in (self.program, self.client)}
            found = both.get(program or self.program)
            if found is not None and all(both.values()):
                return found
        return super().find(program)

    async def start(self) -> None:
        await super().start()
        for _ in range(MAX_POLLS):
            if not self.running:
                break
            if await self.answers():
                await self.ready()
                return
            await deferLater(self.reactor, POLL_SECONDS, lambda: None)
        tail = self.process.tail() if self.process is not None else ""
        why = f"{self._refusal}; its log ends: {tail}" if self.running and self._refusal else tail
        raise LabError(f"router {self.name} ({self.peer.kind}) did not come up: {why}")

    async def ready(self) -> None:
        """What is left to do once it answers."""

    async def refresh(self) -> None:
        try:
            routes = await self.read()
        except LabError as error:
            self.log.debug("router {name}: {error}", name=self.name, error=error)
            return
        self._prefixes = set(routes)
        self._printed = [f"{prefix} {rest}".rstrip() for prefix, rest in sorted(routes.items())]

    async def routes(self) -> list[str]:
        await self.refresh()
        return self._printed

    async def answers(self) -> bool:
        """Whether its client gets an answer yet."""
        try:
            await self.ask(*self.greeting)
        except LabError as error:
            self._refusal = str(error)
            return False
        return True

    async def ask(self, *arguments: str) -> str:
        """What the client says.

        Raises:
            LabError: it says no.
        """
        return await run(self.reactor, self.find(self.client), *self.client_options(), *arguments)

    greeting: tuple[str, ...]
    """A harmless question."""

    @abc.abstractmethod
    def client_options(self) -> list[str]:
        """How the client finds the daemon."""

    @abc.abstractmethod
    async def read(self) -> dict[str, str]:
        """Prefix (without RD) to the rest of what it prints, for every route learnt from us."""
