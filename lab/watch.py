"""A lab that has converged and goes on: what is no longer so is told, and a router that ended is started again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .convergence import ESTABLISHED
from .errors import LabError
from .routers import Router

if TYPE_CHECKING:
    from .lab import Lab

RETURN_SECONDS = 5.0
"""How long a router that ended stays away: time to see what its neighbours do."""


class Watch:
    """Looks at a lab whenever `look` is called; each change is one line for `say`."""

    def __init__(self, lab: Lab, say: Callable[[str], None]) -> None:
        self._lab = lab
        self._say = say
        self._returns: dict[str, float] = {}
        self._known: dict[str, tuple[bool, str]] = {}
        self._sessions()

    async def look(self) -> None:
        """Tells what has changed since the last look, and brings back a router whose time has come."""
        for router in self._lab.routers.values():
            await self._router(router)
        for text in self._sessions():
            self._tell(text)

    async def _router(self, router: Router) -> None:
        now = self._lab.reactor.seconds()
        if router.running or router.failed is None:
            return
        if router.name not in self._returns:
            self._returns[router.name] = now + RETURN_SECONDS
            self._tell(f"{router.failed}; it is started again in {RETURN_SECONDS:g} s")
        elif now >= self._returns[router.name]:
            del self._returns[router.name]
            try:
                await router.start()
            except LabError as error:
                self._returns[router.name] = self._lab.reactor.seconds() + RETURN_SECONDS
                self._tell(f"{error}; tried again in {RETURN_SECONDS:g} s")

    def _sessions(self) -> list[str]:
        """A line for each session that came up, went down, or failed for another reason than before."""
        changed = []
        for session in self._lab.sessions():
            now = (session.state == ESTABLISHED, session.error)
            before = self._known.setdefault(session.what, now)
            self._known[session.what] = now
            if now != before:
                why = f" ({session.error})" if session.error and session.error != before[1] else ""
                changed.append(f"{session.what}: {session.state}{why}")
        return changed

    def _tell(self, text: str) -> None:
        self._say(f"{self._lab.reactor.seconds() - self._lab.started:6.2f} s  {text}")
