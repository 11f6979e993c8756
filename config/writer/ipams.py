"""network-ipam: subnets of its own, which the networks that refer to it share (reference/config.md 3.10)."""

from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .hooks import Hook
from .subnets import Subnet, refuse_if_used, subnets_of

FLAT = "flat-subnet"


class IpamHook(Hook):
    """Hooks of network-ipam."""

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        if "ipam_subnets" not in draft.properties or stored.properties.get("ipam_subnet_method") != FLAT:
            return
        lost = _own_subnets(stored) - _own_subnets(draft)
        full = await self.writer.load(stored.uuid, full=True) if lost else None
        for link in full.back_references if full is not None else ():
            if link.type == "virtual-network":
                await refuse_if_used(self.writer, link.uuid, lost)


def _own_subnets(ipam: StoredObject | Draft) -> set[Subnet]:
    return subnets_of((ipam.properties.get("ipam_subnets") or {}).get("subnets") or [])
