"""Files that may hold a key: readable by their owner alone, from their first byte on."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

MODE = 0o600


def write_private(path: Path, text: str) -> None:
    """Writes the whole file.

    Raises:
        OSError: it can't be written, or is a symbolic link.
    """
    with os.fdopen(_open(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)


def append_private(path: Path) -> FileIO:
    """The file, open for appending, unbuffered; errors as `write_private`."""
    return os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0)


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    os.fchmod(descriptor, MODE)  # the file may have been there before
    return descriptor
