"""Options that every command has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from contrail_emulator.base import log
from contrail_emulator.lab.errors import LabError


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the command line says about logging."""

    level: str
    json: bool
    file: Path | None

    def start(self, stream: TextIO | None = None) -> None:
        """Begins to log to `--log-file`, else to `stream`, else to standard error.

        Raises:
            LabError: the file cannot be written.
        """
        try:
            stream = self.file.open("a", encoding="utf-8") if self.file is not None else stream
        except OSError as error:
            raise LabError(f"--log-file {self.file}: {error.strerror}") from error
        log.configure(self.level, self.json, stream)
