"""Automatic route targets: `target:<AS>:<number>`, numbers remembered across restarts (reference/config.md 5.2)."""

from contrail_emulator.config.ids import ROUTE_TARGETS, ROUTE_TARGETS_4_BYTE, Allocator, Ids
from contrail_emulator.config.store import Delete, Put, Store

TABLE = "route_target_table"
COLUMN = "rtgt_num"


class TargetNumbers:
    """Owners are routing instances and logical routers, by fq-name."""

    def __init__(self, store: Store, ids: Ids) -> None:
        self._store = store
        self._two = Allocator(ids, ROUTE_TARGETS)
        self._four = Allocator(ids, ROUTE_TARGETS_4_BYTE)
        self._known: dict[str, int] = {}

    def _allocator(self, autonomous_system: int) -> Allocator:
        return self._four if autonomous_system > 0xFFFF else self._two

    async def load(self, ids: Ids) -> None:
        """Read who has which number, to notice owners that went while nobody looked."""
        for pool in (ROUTE_TARGETS, ROUTE_TARGETS_4_BYTE):
            for name in await ids.children(pool.path):
                owner = await ids.get(f"{pool.path}/{name}") if name.isdecimal() else None
                if owner is not None:
                    self._known[owner] = int(name)

    def owners(self) -> list[str]:
        """Everybody who has a number."""
        return list(self._known)

    async def target(self, owner: str, autonomous_system: int) -> str:
        """The owner's target; its number is allocated if it has none that fits this AS."""
        allocator = self._allocator(autonomous_system)
        number = self._known.get(owner)
        if number is None:
            number = await self._remembered(owner)
        pool = allocator.pool
        fits = number is not None and pool.first <= number < pool.first + pool.size
        if number is None or not fits or await allocator.owner(number) != owner:
            if number is not None:
                await self._free(owner, number)
            number = await allocator.allocate(owner)
            await self._store.write([Put(TABLE, owner, COLUMN, str(number))])
        self._known[owner] = number
        return f"target:{autonomous_system}:{number}"

    async def release(self, owner: str, autonomous_system: int) -> str | None:
        """The owner is gone: free its number; gives the target it had."""
        number = self._known.pop(owner, None)
        if number is None:
            number = await self._remembered(owner)
        if number is None:
            return None
        await self._free(owner, number)
        await self._store.write([Delete(TABLE, owner)])
        return f"target:{autonomous_system}:{number}"

    async def _remembered(self, owner: str) -> int | None:
        row = (await self._store.rows(TABLE, [owner])).get(owner, {})
        text = row[COLUMN].value if COLUMN in row else ""
        return int(text) if text.isdecimal() else None

    async def _free(self, owner: str, number: int) -> None:
        for allocator in (self._two, self._four):
            pool = allocator.pool
            if pool.first <= number < pool.first + pool.size:
                await allocator.free(number, owner)
