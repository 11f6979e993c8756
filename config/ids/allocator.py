"""Give out the numbers of a pool, lowest or highest free first, against siblings that do the same.

Allocation is optimistic as in the real API server: what is taken is known from the children read once; a node that
turns out to be there belongs to a sibling, and the next number is tried.
"""

from collections.abc import Iterable

from .pools import Pool
from .tree import Ids, NodeExists


class Exhausted(Exception):
    """No number is left in a pool."""


class Allocator:
    """One pool. `reserved` numbers (indexes) are never given out by `allocate`; `ranges` limit it further."""

    def __init__(
        self,
        ids: Ids,
        pool: Pool,
        *,
        downward: bool = False,
        reserved: Iterable[int] = (),
        ranges: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.pool = pool
        self._ids = ids
        self._downward = downward
        self._reserved = set(reserved)
        last = pool.first + pool.size - 1
        self._ranges = sorted(ranges, reverse=downward) or [(pool.first, last)]
        self._used: set[int] | None = None
        self._cursors: list[int] = []

    async def _load(self) -> set[int]:
        if self._used is None:
            names = await self._ids.children(self.pool.path)
            self._used = {int(name) for name in names if name.isdecimal()}
            self._cursors = [high if self._downward else low for low, high in self._ranges]
        return self._used

    async def allocate(self, owner: str) -> int:
        """The next free number (index + offset), now owned by `owner`; Exhausted when there is none."""
        used = await self._load()
        step = -1 if self._downward else 1
        for position, (low, high) in enumerate(self._ranges):
            index = self._cursors[position]
            while low <= index <= high:
                if index not in used and index not in self._reserved:
                    used.add(index)
                    try:
                        await self._ids.create(self.pool.node(index), owner)
                    except NodeExists:
                        pass
                    else:
                        self._cursors[position] = index + step
                        return index + self.pool.offset
                index += step
            self._cursors[position] = index
        raise Exhausted(self.pool.path)

    async def reserve(self, number: int, owner: str) -> bool:
        """Take this very number; True also when `owner` has it already, False when another has."""
        used = await self._load()
        index = number - self.pool.offset
        path = self.pool.node(index)
        try:
            await self._ids.create(path, owner)
        except NodeExists:
            used.add(index)
            return await self._ids.get(path) == owner
        used.add(index)
        return True

    async def owner(self, number: int) -> str | None:
        """Who has this number."""
        return await self._ids.get(self.pool.node(number - self.pool.offset))

    async def free(self, number: int, owner: str) -> bool:
        """Give a number back; False, and nothing done, when `owner` is not who has it."""
        used = await self._load()
        index = number - self.pool.offset
        path = self.pool.node(index)
        if await self._ids.get(path) != owner:
            return False
        await self._ids.delete(path)
        used.discard(index)
        for position, (low, high) in enumerate(self._ranges):
            if low <= index <= high:
                cursor = self._cursors[position]
                self._cursors[position] = max(cursor, index) if self._downward else min(cursor, index)
        return True
