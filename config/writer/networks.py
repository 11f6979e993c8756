"""virtual-network: network id, subnets, default routing instance (reference/config.md 3.8)."""

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from contrail_emulator.config.ids import VIRTUAL_NETWORKS, Allocator, Exhausted
from contrail_emulator.config.layout import Link, StoredObject

from .draft import Draft
from .errors import BadRequest, Conflict, Forbidden, NotFound
from .hooks import Hook
from .names import RWX
from .route_targets import check_targets
from .subnets import linked_subnets, refuse_if_used, subnet_of

SYSTEM_NETWORKS = (
    ["default-domain", "default-project", "ip-fabric"],
    ["default-domain", "default-project", "__link_local__"],
)
NO_ADDRESS = ("0.0.0.0", "::")


def service_addresses(network: IPv4Network | IPv6Network, from_start: bool) -> tuple[str, str]:
    """The gateway and DNS addresses of a subnet: its last two usable addresses, or its first two."""
    if network.num_addresses < 4:
        return "", ""
    if from_start:
        return str(network[1]), str(network[2])
    return str(network[-2]), str(network[-3])


def pools_of(network: IPv4Network | IPv6Network, entry: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """The allocation pools of one IpamSubnetType as first and last address; BadRequest when one is no such range."""
    found = []
    for pool in entry.get("allocation_pools") or []:
        start, end = pool.get("start") or "", pool.get("end") or ""
        if not _inside(start, network) or not _inside(end, network) or int(ip_address(start)) > int(ip_address(end)):
            raise BadRequest(f"allocation_pools: expected addresses of {network}, the first one first: {start} {end}")
        found.append((int(ip_address(start)), int(ip_address(end))))
    return tuple(found)


class NetworkHook(Hook):
    """Hooks of virtual-network."""

    ids: Allocator | None = None

    def allocator(self) -> Allocator:
        """The allocator of network ids."""
        if self.ids is None:
            self.ids = Allocator(self.writer.ids, VIRTUAL_NETWORKS)
        return self.ids

    async def before_create(self, draft: Draft) -> None:
        if draft.properties.get("virtual_network_network_id") is not None:
            raise Forbidden(f"virtual-network {draft.name}: virtual_network_network_id is given by the system")
        await check_targets(self.writer, f"virtual-network {draft.name}", draft.properties)
        self._share(draft)
        self.complete(None, draft)
        await self._clear_instance(draft)
        await self._reserve_vxlan(draft)  # first: the number that is asked for may be the next free one
        allocator = self.allocator()
        try:
            number = await allocator.allocate(draft.name)
        except Exhausted as error:
            raise Conflict("no virtual network id is left") from error
        draft.undo.append(lambda: allocator.free(number, draft.name))
        draft.properties["virtual_network_network_id"] = number

    async def _clear_instance(self, draft: Draft) -> None:
        """The instance of a network of this name makes room, if that network's deletion ended before its own."""
        instance = await self.writer.find("routing-instance", [*draft.fq_name, draft.fq_name[-1]])
        stored = await self.writer.load(instance) if instance is not None else None
        if stored is not None and stored.parent is not None and await self.writer.name_of(stored.parent.uuid) is None:
            await self.writer.delete("routing-instance", stored.uuid)

    async def after_create(self, draft: Draft) -> None:
        await self.writer.create(
            "routing-instance",
            {
                "fq_name": [*draft.fq_name, draft.fq_name[-1]],
                "parent_type": "virtual-network",
                "routing_instance_is_default": True,
            },
        )

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        number = draft.properties.get("virtual_network_network_id")
        if number is not None and number != stored.properties.get("virtual_network_network_id"):
            raise Forbidden(f"virtual-network {draft.name}: virtual_network_network_id is given by the system")
        await check_targets(self.writer, f"virtual-network {draft.name}", draft.properties)
        self.complete(stored, draft)
        if "network-ipam" in draft.references:
            lost = linked_subnets(stored.references) - linked_subnets(draft.references["network-ipam"])
            await refuse_if_used(self.writer, stored.uuid, lost)
        if "virtual_network_properties" in draft.properties:
            old = (stored.properties.get("virtual_network_properties") or {}).get("vxlan_network_identifier")
            new = (draft.properties["virtual_network_properties"] or {}).get("vxlan_network_identifier")
            if old != new:
                await self._reserve_vxlan(draft)
                if old:
                    await self.allocator().free(old, f"{stored.name}_vxlan")

    async def before_unreference(self, stored: StoredObject, lost: Link) -> None:
        others = [link for link in stored.references if link is not lost]
        await refuse_if_used(self.writer, stored.uuid, linked_subnets([lost]) - linked_subnets(others))

    async def before_delete(self, stored: StoredObject) -> None:
        if stored.fq_name in SYSTEM_NETWORKS:
            raise Conflict(f"Can not delete system created default virtual network {stored.fq_name[-1]}")

    async def after_delete(self, stored: StoredObject) -> None:
        instance = await self.writer.find("routing-instance", [*stored.fq_name, stored.fq_name[-1]])
        if instance is not None:
            with suppress(NotFound):  # a transformer that just starts deletes it too
                await self.writer.delete("routing-instance", instance)
        number = stored.properties.get("virtual_network_network_id")
        if number is not None:
            await self.allocator().free(number, stored.name)
        vxlan = (stored.properties.get("virtual_network_properties") or {}).get("vxlan_network_identifier")
        if vxlan:
            await self.allocator().free(vxlan, f"{stored.name}_vxlan")

    def _share(self, draft: Draft) -> None:
        """A network that everybody may do everything with is a shared one, and the other way round."""
        perms = draft.properties.get("perms2") or {}
        if draft.properties.get("is_shared"):
            draft.properties["perms2"] = {**perms, "global_access": RWX}
        elif perms.get("global_access") == RWX:
            draft.properties["is_shared"] = True

    async def _reserve_vxlan(self, draft: Draft) -> None:
        number = (draft.properties.get("virtual_network_properties") or {}).get("vxlan_network_identifier")
        if not number:
            return
        owner = f"{draft.name}_vxlan"
        allocator = self.allocator()
        if not await allocator.reserve(number, owner):
            raise BadRequest(f"virtual-network {draft.name}: VNI {number} is in use")
        draft.undo.append(lambda: allocator.free(number, owner))

    def complete(self, stored: StoredObject | None, draft: Draft) -> None:
        """Give every subnet its gateway, DNS address, uuid and pools; refuse subnets that overlap.

        A subnet that was there keeps its uuid: addresses name it.
        """
        uuids = _subnet_uuids(stored.references if stored is not None else ())
        seen: list[IPv4Network | IPv6Network] = []
        for reference in draft.references.get("network-ipam", ()):
            for entry in (reference.attribute or {}).get("ipam_subnets") or []:
                if not entry.get("subnet"):
                    continue  # a reference to a flat-subnet IPAM
                network = subnet_of(entry)
                for other in seen:
                    if network.version == other.version and network.overlaps(other):
                        raise BadRequest(f"virtual-network {draft.name}: overlapping addresses {network} and {other}")
                seen.append(network)
                self._fill_subnet(draft, entry, network, uuids.get(network))

    def _fill_subnet(
        self, draft: Draft, entry: dict[str, Any], network: IPv4Network | IPv6Network, uuid: str | None
    ) -> None:
        entry["subnet"] = {"ip_prefix": str(network.network_address), "ip_prefix_len": network.prefixlen}
        from_start = bool(entry.get("addr_from_start"))
        entry["addr_from_start"] = from_start
        gateway, dns = service_addresses(network, from_start)
        entry["default_gateway"] = entry.get("default_gateway") or gateway
        entry["dns_server_address"] = entry.get("dns_server_address") or dns
        entry["subnet_uuid"] = entry.get("subnet_uuid") or uuid or str(self.writer.uuid())
        entry["allocation_pools"] = entry.get("allocation_pools") or []
        if entry.get("enable_dhcp") is None:
            entry["enable_dhcp"] = True
        for name in ("default_gateway", "dns_server_address"):
            if entry[name] and entry[name] not in NO_ADDRESS and not _inside(entry[name], network):
                raise BadRequest(f"virtual-network {draft.name}: {name}: expected an address of {network}")
        try:
            pools_of(network, entry)
        except BadRequest as error:
            raise BadRequest(f"virtual-network {draft.name}: {error}") from error


def _subnet_uuids(references: Iterable[Link]) -> dict[IPv4Network | IPv6Network, str]:
    """The uuid of each subnet of a network that is stored, whoever wrote it."""
    found: dict[IPv4Network | IPv6Network, str] = {}
    for reference in references:
        for entry in (reference.attribute or {}).get("ipam_subnets") or [] if reference.type == "network-ipam" else []:
            if entry.get("subnet_uuid"):
                with suppress(BadRequest):
                    found[subnet_of(entry)] = entry["subnet_uuid"]
    return found


def _inside(text: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address in network
