"""Who made an object: the `creator` of its id-perms, which only its creation can set (reference/config.md 1.3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contrail_emulator.config.layout import UUID_TABLE
from contrail_emulator.config.store import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from .writer import Writer

COLUMN = "prop:id_perms"
ROWS_AT_ONCE = 500
"""A row is read from its id-perms to its end, and most are let go of: a few at a time take little memory."""


async def made_by(
    writer: Writer, type_name: str, creator: str, among: Callable[[list[str]], bool]
) -> list[tuple[list[str], str]]:
    """The (fq-name, uuid) of every object of a type that `creator` made; only rows of names `among` takes are read."""
    named = [(name, uuid) for name, uuid in await writer.objects(type_name) if among(name)]
    found: list[tuple[list[str], str]] = []
    for start in range(0, len(named), ROWS_AT_ONCE):
        some = named[start : start + ROWS_AT_ONCE]
        rows = await writer.store.rows(UUID_TABLE, [uuid for _, uuid in some], COLUMN)
        found.extend((name, uuid) for name, uuid in some if _creator(rows.get(uuid, {})) == creator)
    return found


def _creator(row: Row) -> Any:
    """What a row says, which may be anybody's and anything."""
    try:
        id_perms = json.loads(row[COLUMN].value)
    except (KeyError, ValueError, RecursionError):
        return None
    return id_perms.get("creator") if isinstance(id_perms, dict) else None
