"""An object about to be made or changed, as hooks see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from contrail_emulator.config.layout import Link
from contrail_emulator.config.schema import ObjectType


@dataclass(slots=True)
class Draft:
    """`properties` and `references` may be changed by hooks before anything is written.

    In an update `properties` holds only what changes (None: take away), and `references` the new whole list per type.
    `undo` holds what gives back ids and locks if the writing fails.
    """

    type: ObjectType
    uuid: str
    fq_name: list[str]
    parent: Link | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    references: dict[str, list[Link]] = field(default_factory=dict)
    undo: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The fq-name joined by colons."""
        return ":".join(self.fq_name)

    def all_references(self) -> list[Link]:
        """The references of every type."""
        return [link for links in self.references.values() for link in links]
