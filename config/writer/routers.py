"""bgp-router: hold time and AS (reference/config.md 3.10)."""

from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import BadRequest
from .hooks import Hook

GLOBAL_CONFIG = ["default-global-system-config"]
TWO_BYTES = 0xFFFF


class RouterHook(Hook):
    """Hooks of bgp-router."""

    async def before_create(self, draft: Draft) -> None:
        await self._check(draft)

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        await self._check(draft)

    async def _check(self, draft: Draft) -> None:
        parameters = draft.properties.get("bgp_router_parameters") or {}
        hold_time = parameters.get("hold_time")
        if hold_time is not None and hold_time != 0 and not 3 <= hold_time <= 65535:
            raise BadRequest(f"bgp-router {draft.name}: hold_time: expected 0 or 3 to 65535, not {hold_time}")
        for member in ("autonomous_system", "local_autonomous_system"):
            number = parameters.get(member)
            if number is None:
                continue
            most = 0xFFFF_FFFF if number > TWO_BYTES and await self._four_bytes() else TWO_BYTES
            if not 1 <= number <= most:
                raise BadRequest(f"bgp-router {draft.name}: {member}: expected 1 to {most}, not {number}")

    async def _four_bytes(self) -> bool:
        uuid = await self.writer.find("global-system-config", GLOBAL_CONFIG)
        stored = await self.writer.load(uuid) if uuid is not None else None
        return stored is not None and bool(stored.properties.get("enable_4byte_as"))
