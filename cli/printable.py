"""Text of others on our terminal, and our own signs on a terminal that cannot print them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TextIO

SIGNS: Mapping[str, str] = MappingProxyType(
    {"✓": "ok", "✗": "FAILED", "━": "=", "↔": "-", "·": "-", "\N{EN DASH}": "-", "…": "..."}
)
"""What stands for a sign where the encoding lacks it, as in a Latin-1 locale."""
ERRORS = "contrail_emulator.signs"


def printable(text: str) -> str:
    """Without what would move a terminal's cursor, colour it or retitle it: names come from peers."""
    return "".join(filter(str.isprintable, text))


def print_anywhere(streams: Iterable[TextIO]) -> None:
    """Nothing printed to these fails for its encoding: our signs have stand-ins, any other character becomes `?`."""
    codecs.register_error(ERRORS, _stand_in)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end
