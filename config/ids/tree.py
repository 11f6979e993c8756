"""The interface below ids and locks: a tree of nodes, as ZooKeeper has it (reference/config.md 4.1)."""

from collections.abc import Callable
from typing import Protocol


class IdsError(Exception):
    """Ids and locks cannot be had now; the message says why."""


class NodeExists(Exception):
    """A node that was to be made is there already."""


class NameTaken(Exception):
    """The name lock is held: `uuid` is the object that holds it."""

    def __init__(self, type_name: str, name: str, uuid: str) -> None:
        self.type, self.name, self.uuid = type_name, name, uuid
        super().__init__(f"{type_name} {name} already exists with uuid: {uuid}")


class Election(Protocol):
    """One candidate in one election."""

    def leave(self) -> None:
        """Step down or withdraw. Harmless when out."""


class Ids(Protocol):
    """Nodes with a text each. Every async method may raise IdsError."""

    async def open(self) -> None:
        """Connect; harmless when open."""

    async def close(self) -> None:
        """Let go; elections end."""

    async def create(self, path: str, data: str) -> None:
        """Make a node, and its parents if need be; NodeExists when it is there."""

    async def get(self, path: str) -> str | None:
        """The node's text, or None."""

    async def age(self, path: str) -> float | None:
        """Seconds since the node was made, or None when it is not there."""

    async def delete(self, path: str) -> bool:
        """Delete a node; False when it was not there."""

    async def children(self, path: str) -> list[str]:
        """The names of a node's children, in order; empty when it is not there."""

    async def elect(
        self, path: str, name: str, on_elected: Callable[[], None], on_lost: Callable[[], None]
    ) -> Election:
        """Stand for election: `on_elected` when first in line, `on_lost` when that may no longer be so."""


def lock_path(object_type: str, name: str) -> str:
    """The node that stands for a name."""
    return f"/fq-name-to-uuid/{object_type}:{name}"


async def lock_name(ids: Ids, object_type: str, name: str, uuid: str) -> None:
    """Take a name for `uuid`, or NameTaken."""
    path = lock_path(object_type, name)
    try:
        await ids.create(path, uuid)
    except NodeExists:
        raise NameTaken(object_type, name, await ids.get(path) or "") from None


async def unlock_name(ids: Ids, object_type: str, name: str) -> None:
    """Give a name back."""
    await ids.delete(lock_path(object_type, name))
