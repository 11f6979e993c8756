"""logical-router: one that routes VXLAN has an internal network, made and deleted with it (reference/config.md 5.7)."""

from typing import Any

from contrail_emulator.config.ids import VIRTUAL_NETWORKS, Allocator
from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import BadRequest, Conflict, WriterError
from .hooks import Hook
from .route_targets import check_targets

DEFAULT_TYPE, VXLAN_ROUTING = "snat-routing", "vxlan-routing"
INTERNAL_NETWORK = "__contrail_lr_internal_vn_"
"""What the last part of an internal network's name begins with; the router's uuid and two underscores follow."""
MOST_VNI = (1 << 24) - 1


def internal_name(fq_name: list[str], uuid: str) -> list[str]:
    """The fq-name of the internal network of the router of this name and uuid."""
    return [*fq_name[:-1], f"{INTERNAL_NETWORK}{uuid}__"]


class LogicalRouterHook(Hook):
    """Hooks of logical-router."""

    async def before_create(self, draft: Draft) -> None:
        await check_targets(self.writer, f"logical-router {draft.name}", draft.properties)
        if draft.properties.setdefault("logical_router_type", DEFAULT_TYPE) == VXLAN_ROUTING:
            await self._check_vni(draft)

    async def after_create(self, draft: Draft) -> None:
        if draft.properties["logical_router_type"] != VXLAN_ROUTING:
            return
        name = internal_name(draft.fq_name, draft.uuid)
        network = await self.writer.find("virtual-network", name)
        if network is None:
            body = {
                "fq_name": name,
                "parent_type": "project",
                "display_name": f"LR::{draft.fq_name[-1]}",
                "id_perms": {"user_visible": False},
                "virtual_network_properties": _network_properties({}, _vni(draft)),
                "route_target_list": draft.properties.get("configured_route_target_list"),
            }
            try:
                network = await self.writer.create("virtual-network", body)
            except WriterError:
                await self.writer.delete("logical-router", draft.uuid)  # half a router could not be made again
                raise
        await self._refer(draft.uuid, network)

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        await check_targets(self.writer, f"logical-router {draft.name}", draft.properties)
        routes = stored.properties.get("logical_router_type", DEFAULT_TYPE)
        if draft.properties.get("logical_router_type", routes) != routes:
            raise BadRequest(f"logical-router {draft.name}: logical_router_type: cannot be changed")
        network = await self._internal(stored)
        if network is None:
            return
        if "virtual-network" in draft.references and not any(
            link.uuid == network.uuid for link in draft.references["virtual-network"]
        ):
            kept = [link for link in stored.references if link.uuid == network.uuid]
            draft.references["virtual-network"].extend(kept)  # a list that names only gateways does not let go of it
        changes: dict[str, Any] = {}
        if "configured_route_target_list" in draft.properties:
            changes["route_target_list"] = draft.properties["configured_route_target_list"]
        if "vxlan_network_identifier" in draft.properties:
            await self._check_vni(draft)
            old = network.properties.get("virtual_network_properties") or {}
            changes["virtual_network_properties"] = _network_properties(old, _vni(draft))
        if changes:
            await self.writer.update("virtual-network", network.uuid, changes)

    async def before_delete(self, stored: StoredObject) -> None:
        """The network goes first; when it is needed, router and network stay."""
        network = await self._internal(stored)
        if network is None:
            return
        await self.writer.ref_update("logical-router", stored.uuid, "virtual-network", network.uuid, "DELETE")
        try:
            await self.writer.delete("virtual-network", network.uuid)
        except Conflict:
            await self._refer(stored.uuid, network.uuid)
            raise

    async def _internal(self, stored: StoredObject) -> StoredObject | None:
        if stored.properties.get("logical_router_type") != VXLAN_ROUTING:
            return None
        uuid = await self.writer.find("virtual-network", internal_name(stored.fq_name, stored.uuid))
        return await self.writer.load(uuid) if uuid is not None else None

    async def _refer(self, router: str, network: str) -> None:
        attribute = {"logical_router_virtual_network_type": "InternalVirtualNetwork"}
        await self.writer.ref_update("logical-router", router, "virtual-network", network, "ADD", attribute)

    async def _check_vni(self, draft: Draft) -> None:
        """The network is made after the router: what would be refused then is refused now."""
        vni = _vni(draft)
        if vni is None:
            return
        owner = await Allocator(self.writer.ids, VIRTUAL_NETWORKS).owner(vni)
        if owner not in (None, f"{':'.join(internal_name(draft.fq_name, draft.uuid))}_vxlan"):
            raise BadRequest(f"logical-router {draft.name}: VNI {vni} is in use")


def _vni(draft: Draft) -> int | None:
    """The router's VNI, which is a text there; older clients send an empty one or `None`."""
    text = draft.properties.get("vxlan_network_identifier")
    if text in (None, "", "None"):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 8 and 1 <= int(text) <= MOST_VNI):
        raise BadRequest(
            f"logical-router {draft.name}: vxlan_network_identifier: expected 1 to {MOST_VNI} as text, not {text!r}"
        )
    return int(text)


def _network_properties(old: dict[str, Any], vni: int | None) -> dict[str, Any]:
    return {**old, "forwarding_mode": "l3", "vxlan_network_identifier": vni}
