"""The command `contrail-emulator`: one line on stderr for an error, exit 2 for usage, 1 for failure."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

STANDARD_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""By the number of their descriptor."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command and exits."""
    open_standard_streams()
    with _interrupt_says_nothing():
        from .command import run  # a moment's work, and nothing to be said yet about Ctrl-C in it
    run(arguments)


def open_standard_streams() -> None:
    """Connects those that the caller closed to nothing: their descriptors would go to the next files that are opened.

    A capture, say, that error messages would be printed into.
    """
    for number, (name, mode) in enumerate(STANDARD_STREAMS):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


@contextlib.contextmanager
def _interrupt_says_nothing() -> Iterator[None]:
    """Ctrl-C ends the process as it ends any that has nothing to clean up, instead of with a traceback."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
