"""A child process on a leash: its output in a log file, its end told, nothing left behind."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from .private import append_private

LEASH = Path(__file__).with_name("leash.py")
TAIL_BYTES = 8000
LINE_LENGTH = 300
MASK = "…"
COMPLAINT = re.compile(r"error|invalid|fail|cannot|can't|could not|unable|denied|refused|in use|unknown|no such", re.I)
ADVICE = re.compile(r"\badvice\b|exabgp env\b|environment file missing|\bnamed pipes\b", re.I)


def reason(printed: str) -> str:
    """The line that tells best why a daemon ended: its last complaint, else the last line that is no mere advice."""
    lines = ["".join(filter(str.isprintable, line)).strip() for line in printed.splitlines()]
    spoken = [line for line in lines if line]
    telling = [line for line in spoken if not ADVICE.search(line)]
    complaints = [line for line in telling if COMPLAINT.search(line)]
    return next((found[-1][:LINE_LENGTH] for found in (complaints, telling, spoken) if found), "")


class LeashedProcess(ProcessProtocol):
    """One command run through leash.py.

    Its output goes to `log_path`, which only we may read; `secrets` are what `tail` never tells. `remove` is a folder
    that the leash removes when this process is killed, not when `stop` is called.

    Attributes:
        ended: fires with the exit status when the command is gone.
        running: whether it is not.
        stopping: whether it was told to end.
    """

    log = Logger()

    def __init__(self, name: str, log_path: Path, *, secrets: Sequence[str] = (), remove: Path | None = None) -> None:
        self.name = name
        self.ended: Deferred[int] = Deferred()
        self.running = False
        self.stopping = False
        self._secrets = secrets
        self._remove = remove
        self._log_path = log_path
        self._log_file = append_private(log_path)
        self._log_start = self._log_file.seek(0, os.SEEK_END)
        self._waiting: list[Deferred[None]] = []

    def spawn(
        self, reactor: IReactorProcess, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        options = [] if self._remove is None else ["--remove", str(self._remove)]
        arguments = [sys.executable, "-I", "-S", str(LEASH), *options, *command]
        # PATH and the locale are all a daemon needs of ours; secrets in our environment are none of its business.
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "HOME", "TMPDIR") if key in os.environ}
        self.running = True
        reactor.spawnProcess(self, sys.executable, arguments, env={**kept, **(environment or {})})

    def stop(self) -> Deferred[None]:
        """Ends the command and everything it started; fires when it is gone."""
        self.stopping = True
        if not self.running:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if self.transport is not None:
            try:
                self.transport.signalProcess("TERM")
            except ProcessExitedAlready:
                self.log.debug("router {name} ended by itself just now", name=self.name)
        return done

    def tail(self) -> str:
        """What the command printed last, one line for an error message: its last complaint, if it made one."""
        try:
            with self._log_path.open("rb") as file:
                start = max(self._log_start, file.seek(0, os.SEEK_END) - TAIL_BYTES)
                file.seek(start)
                text = file.read().decode(errors="replace")
        except OSError as error:
            return f"(no log: {error.strerror})"
        if start > self._log_start:
            text = text.partition("\n")[2]  # a line cut in two might begin with half a secret
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return reason(text) or "(it printed nothing)"

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
