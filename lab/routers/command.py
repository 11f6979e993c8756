"""A router's own command-line client, run once."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.utils import getProcessOutputAndValue

from ..errors import LabError

TIMEOUT_SECONDS = 10.0


async def run(reactor: Any, program: str, *arguments: str) -> str:
    """What the program printed.

    Raises:
        LabError: it failed, or did not end in time.
    """
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
    running: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(  # type: ignore[no-untyped-call]  # Twisted's
        program, arguments, env=environment, reactor=reactor
    )
    running.addTimeout(TIMEOUT_SECONDS, reactor)
    try:
        output, errors, status = await running
    except DeferredTimeout as error:
        raise LabError(f"{program} {' '.join(arguments)}: no answer in {TIMEOUT_SECONDS:g} s") from error
    text = output.decode(errors="replace")
    if status:
        said = " ".join((text + errors.decode(errors="replace")).split())
        raise LabError(f"{os.path.basename(program)} {' '.join(arguments)}: {said or f'exit status {status}'}")
    return text
