"""Who runs a lab on a configuration in a file: two lab files of one name would remove each other's objects."""

from __future__ import annotations

import fcntl
import os

from .errors import LabError


class Hold:
    """Holds the name of a lab on the file at `path`, until `release` or the process ends.

    Attributes:
        alone: nobody else held the name.
    """

    def __init__(self, path: str, name: str) -> None:
        lock = f"{path}.lab.{name}"
        try:
            self._file: int | None = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LabError(f"{lock}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
        except OSError:  # another lab has it, or this file system knows no locks
            self.alone = False

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
