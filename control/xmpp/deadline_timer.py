"""One delayed call for all deadlines of a core."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from .core import Core, Effect


class DeadlineTimer:
    """Ticks `core` when its earliest deadline is due.

    A deadline that moved on is found when the call fires, not before: the hold timer restarts with every stanza, and
    that must cost nothing.
    """

    __slots__ = ("_call", "_carry_out", "_core", "_reactor")

    def __init__(self, reactor: Any, core: Core, carry_out: Callable[[list[Effect]], None]) -> None:
        self._reactor = reactor
        self._core = core
        self._carry_out = carry_out
        self._call: IDelayedCall | None = None

    def arm(self) -> None:
        """To be called after anything that may have changed the deadlines."""
        deadline = self._core.deadline()
        if self._call is not None:
            if self._call.getTime() <= deadline != inf:
                return
            self._call.cancel()
            self._call = None
        if deadline != inf:
            self._call = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._tick)

    def cancel(self) -> None:
        """Tick no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tick(self) -> None:
        self._call = None
        self._carry_out(self._core.tick(self._reactor.seconds()))
        self.arm()
