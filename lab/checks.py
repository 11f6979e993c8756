"""What a lab should do once it has converged, tried with real packets: derived from the lab file, one line each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, whether it held, and what was seen."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns what was seen, or raises CheckFailed with it."""

    name: str
    run: Callable[[], Awaitable[str]]


class CheckFailed(Exception):
    """A check did not hold; `str()` is what was seen instead."""
