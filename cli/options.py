"""Options that every command has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What the command line says about logging."""

    level: str
    json: bool
    file: Path | None
