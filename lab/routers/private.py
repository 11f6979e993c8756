"""Files that may hold a key: readable by their owner alone, from their first byte on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

MODE = 0o600


def write_private(path: Path, text: str) -> None:
    """Writes the whole file.

    Raises:
        OSError: it can't be written, or is a symbolic link.
    """
    with _open(path, os.O_WRONLY | os.O_TRUNC) as file:
        file.write(text.encode())


def append_private(path: Path) -> BinaryIO:
    """The file, open for appending, unbuffered; errors as `write_private`."""
    return _open(path, os.O_WRONLY | os.O_APPEND)


def _open(path: Path, flags: int) -> BinaryIO:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    os.fchmod(descriptor, MODE)  # the file may have been there before
    return os.fdopen(descriptor, "wb", buffering=0)
