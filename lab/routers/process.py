"""A child process on a leash: its output in a log file, its end told, nothing left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

LEASH = Path(__file__).with_name("leash.py")
TAIL_BYTES = 2000


class LeashedProcess(ProcessProtocol):
    """One command run through leash.py.

    Attributes:
        ended: fires with the exit status when the command is gone.
    """

    log = Logger()

    def __init__(self, name: str, log_path: Path) -> None:
        self.name = name
        self.ended: Deferred[int] = Deferred()
        self.running = False
        self._log_path = log_path
        self._log_file = log_path.open("ab", buffering=0)
        self._waiting: list[Deferred[None]] = []

    def spawn(
        self, reactor: IReactorProcess, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        arguments = [sys.executable, "-I", "-S", str(LEASH), *command]
        # PATH and the locale are all a daemon needs of ours; secrets in our environment are none of its business.
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR") if key in os.environ}
        self.running = True
        reactor.spawnProcess(self, sys.executable, arguments, env={**kept, **(environment or {})})

    def stop(self) -> Deferred[None]:
        """Ends the command and everything it started; fires when it is gone."""
        if not self.running:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self.transport is not None:
            self.transport.closeStdin()
        return done

    def tail(self) -> str:
        """The last line of what the command printed, for an error message."""
        try:
            with self._log_path.open("rb") as file:
                file.seek(max(0, self._log_path.stat().st_size - TAIL_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError as error:
            return f"(no log: {error.strerror})"
        return next((line.strip() for line in reversed(lines) if line.strip()), "(it printed nothing)")

    # ProcessProtocol

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._log_file.write(data)

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._log_file.write(data)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        self.running = False
        self._log_file.close()
        status = reason.value.exitCode if isinstance(reason.value, ProcessTerminated) else 0
        self.ended.callback(-1 if status is None else status)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)
