"""security-group: its number (reference/config.md 3.10)."""

from contrail_emulator.config.ids import SECURITY_GROUPS, Allocator, Exhausted
from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import Conflict, Forbidden
from .hooks import Hook

RESERVED = "__reserved__"


class SecurityGroupHook(Hook):
    """Hooks of security-group."""

    ids: Allocator | None = None

    async def allocator(self) -> Allocator:
        """The allocator of security group numbers; the first one is nobody's."""
        if self.ids is None:
            self.ids = Allocator(self.writer.ids, SECURITY_GROUPS)
            await self.ids.reserve(SECURITY_GROUPS.offset, RESERVED)
        return self.ids

    async def before_create(self, draft: Draft) -> None:
        if draft.properties.get("security_group_id") is not None:
            raise Forbidden(f"security-group {draft.name}: security_group_id is given by the system")
        configured = draft.properties.get("configured_security_group_id")
        if configured:
            draft.properties["security_group_id"] = configured
            return
        allocator = await self.allocator()
        try:
            number = await allocator.allocate(draft.name)
        except Exhausted as error:
            raise Conflict("no security group id is left") from error
        draft.undo.append(lambda: allocator.free(number, draft.name))
        draft.properties["security_group_id"] = number

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        number = draft.properties.get("security_group_id")
        if number is not None and number != stored.properties.get("security_group_id"):
            raise Forbidden(f"security-group {draft.name}: security_group_id is given by the system")
        configured = draft.properties.get("configured_security_group_id")
        old = stored.properties.get("security_group_id")
        if configured and configured != old:
            draft.properties["security_group_id"] = configured
            if old is not None:
                await (await self.allocator()).free(old, stored.name)

    async def after_delete(self, stored: StoredObject) -> None:
        number = stored.properties.get("security_group_id")
        if number is not None:
            await (await self.allocator()).free(number, stored.name)
