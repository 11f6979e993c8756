"""How often Python looks for cycles in a process that holds routes."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 100)


def tune() -> None:
    """For a command's own process, once everything is imported: a library leaves this to its caller.

    Routes and paths are many, live long and hold no cycles. With Python's thresholds a table of 100,000 routes is
    walked again and again while it fills: a third of the time, and pauses of a fifth of a second.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
