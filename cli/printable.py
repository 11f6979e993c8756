"""Text of others on our terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Without what would move a terminal's cursor, colour it or retitle it: names come from peers."""
    return "".join(filter(str.isprintable, text))
