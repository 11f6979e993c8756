"""Options that every command has."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import click

from contrail_emulator.base import log
from contrail_emulator.lab.errors import LabError


class FileName(click.Path):
    """The name of a file. An empty one, as of a shell variable that is not set, would be the current folder."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, allow_dash=allow_dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("expected the name of a file", param, ctx)
        return super().convert(value, param, ctx)


class LogFile(io.TextIOBase):
    """`--log-file`. When it cannot be written any more that is said on standard error; nothing else is lost by it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._told():
            return self._file.write(text)

    def flush(self) -> None:
        if not self.closed:
            with self._told():
                self._file.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whoever logs stops at the first failure, so it is said once."""
        try:
            yield
        except OSError as error:
            lost = f"--log-file {self._path}: {error.strerror}; no more is logged"
            with suppress(OSError, ValueError):
                print(f"contrail-emulator: {lost}", file=sys.stderr)
            raise


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
            stream = cast(TextIO, LogFile(self.file)) if self.file is not None else stream
        except OSError as error:
            raise LabError(f"--log-file {self.file}: {error.strerror}") from error
        log.configure(self.level, self.json, stream)
