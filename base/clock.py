"""A reactor's clock that nobody can set."""

from __future__ import annotations

import time
from typing import Any


def keep_steady(reactor: Any) -> None:
    """For a command's own reactor, before anything is scheduled: its time goes on from now whatever is done to the
    system's clock.

    Twisted takes that clock. Set back by an hour, it would keep every timer and every queued route waiting for an hour,
    and set ahead it would end every hold time at once.
    """
    offset = time.time() - time.monotonic()
    reactor.seconds = lambda: offset + time.monotonic()
