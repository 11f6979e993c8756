"""Escaping for XML that is built as text, not as a tree."""

import re
from typing import Final

_SPECIAL: Final = re.compile("[&<>\"\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def escape(text: str) -> str:
    """`text` fit for character data and a double-quoted attribute; characters that XML 1.0 forbids are left out."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda match: _REFERENCES.get(match[0], ""), text)
