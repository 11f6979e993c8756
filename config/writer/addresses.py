"""instance-ip, floating-ip and alias-ip: addresses of a network's subnets (reference/config.md 3.8, 3.10)."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from twisted.logger import Logger

from contrail_emulator.config.ids import Allocator, Exhausted, subnet_pool
from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import BadRequest, Conflict
from .hooks import Hook
from .networks import SYSTEM_NETWORKS, pools_of
from .subnets import subnet_of


@dataclass(slots=True)
class Subnet:
    """One subnet of a network, ready to give addresses."""

    uuid: str
    network: IPv4Network | IPv6Network
    reserved: frozenset[int]
    allocator: Allocator


class AddressHook(Hook):
    """What instance-ip, floating-ip and alias-ip share. Subclasses say where the network and the address stand."""

    log = Logger()
    address_property = ""
    family_property = ""

    async def network_of(self, draft: Draft) -> list[str] | None:
        """The fq-name of the network that the address comes from, or None when none is to be given."""
        raise BadRequest(f"{draft.type.name} {draft.name}: no network")

    async def before_create(self, draft: Draft) -> None:
        network = await self.network_of(draft)
        if network is None or network in SYSTEM_NETWORKS:
            return
        subnets = await self.subnets(network)
        wanted = draft.properties.get(self.address_property)
        if wanted:
            subnet, address = await self._take(draft, subnets, wanted)
        else:
            subnet, address = await self._allocate(draft, network, subnets)
        number = int(ip_address(address))
        draft.undo.append(lambda: subnet.allocator.free(number, draft.uuid))
        draft.properties[self.address_property] = address
        self.filled(draft, subnet)

    def filled(self, draft: Draft, subnet: Subnet) -> None:
        """The draft has its address: complete it further."""

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        wanted = draft.properties.get(self.address_property)
        if self.address_property not in draft.properties or wanted == stored.properties.get(self.address_property):
            return
        network = await self._network_of_stored(stored)
        if network is None:
            return
        if not wanted:
            raise BadRequest(f"{stored.type.name} {stored.name}: {self.address_property}: expected an address")
        subnet, address = await self._take(draft, await self.subnets(network), wanted)
        draft.properties[self.address_property] = address
        self.filled(draft, subnet)

    async def after_update(self, stored: StoredObject, draft: Draft) -> None:
        if draft.properties.get(self.address_property) not in (None, stored.properties.get(self.address_property)):
            await self._free(stored)

    async def after_delete(self, stored: StoredObject) -> None:
        await self._free(stored)

    async def _network_of_stored(self, stored: StoredObject) -> list[str] | None:
        draft = Draft(stored.type, stored.uuid, stored.fq_name, stored.parent)
        for link in stored.references:
            draft.references.setdefault(link.type, []).append(link)
        network = await self.network_of(draft)
        return None if network in SYSTEM_NETWORKS else network

    async def _free(self, stored: StoredObject) -> None:
        """Give back the address of a row, which may be anybody's: what makes no sense was never taken."""
        try:
            address = ip_address(stored.properties.get(self.address_property) or "")
        except ValueError:
            return
        network = await self._network_of_stored(stored)
        if network is None or await self.writer.find("virtual-network", network) is None:
            return
        for subnet in await self.subnets(network):
            if address in subnet.network:
                await subnet.allocator.free(int(address), stored.uuid)

    async def subnets(self, network: list[str]) -> list[Subnet]:
        """The subnets of a network, in the order of its references; of a row that somebody else wrote, those that can
        be used.
        """
        uuid = await self.writer.find("virtual-network", network)
        stored = await self.writer.load(uuid) if uuid is not None else None
        if stored is None:
            raise BadRequest(f"virtual-network {':'.join(network)} does not exist")
        found = []
        for link in stored.references:
            if link.type == "network-ipam":
                for entry in (link.attribute or {}).get("ipam_subnets") or []:
                    if not entry.get("subnet"):
                        continue
                    try:
                        found.append(self._subnet(":".join(network), entry))
                    except (BadRequest, ValueError) as error:
                        self.log.warn("virtual-network {name}: {error}", name=":".join(network), error=error)
        return found

    def _subnet(self, name: str, entry: dict[str, Any]) -> Subnet:
        network = subnet_of(entry)
        reserved = {int(network[0]), int(network[-1])} if network.num_addresses > 2 else set()
        for key in ("default_gateway", "dns_server_address"):
            if entry.get(key):
                reserved.add(int(ip_address(entry[key])))
        ranges = pools_of(network, entry)
        allocator = self.writer.address_allocator(
            subnet_pool(name, network), not entry.get("addr_from_start"), frozenset(reserved), ranges
        )
        return Subnet(entry.get("subnet_uuid") or "", network, frozenset(reserved), allocator)

    async def _take(self, draft: Draft, subnets: list[Subnet], wanted: str) -> tuple[Subnet, str]:
        try:
            address = ip_address(wanted)
        except ValueError as error:
            raise BadRequest(f"{draft.type.name} {draft.name}: {self.address_property}: not an address") from error
        for subnet in subnets:
            if address in subnet.network:
                number = int(address)
                if number in subnet.reserved or not await subnet.allocator.reserve(number, draft.uuid):
                    raise Conflict(f"Ip address already in use: {wanted}")
                return subnet, str(address)
        raise BadRequest(f"{draft.type.name} {draft.name}: {wanted} is in no subnet of the network")

    async def _allocate(self, draft: Draft, network: list[str], subnets: list[Subnet]) -> tuple[Subnet, str]:
        version = {"v4": 4, "v6": 6}.get(draft.properties.get(self.family_property) or "", 4)
        wanted_subnet = draft.properties.get("subnet_uuid")
        for subnet in subnets:
            if subnet.network.version != version or (wanted_subnet and subnet.uuid != wanted_subnet):
                continue
            try:
                number = await subnet.allocator.allocate(draft.uuid)
            except Exhausted:
                continue
            return subnet, str(subnet.network[number - int(subnet.network[0])])
        raise Conflict(f"Virtual-Network({':'.join(network)}) has exhausted subnet(all)")


class InstanceIpHook(AddressHook):
    """Hooks of instance-ip: the network is the one it refers to."""

    address_property = "instance_ip_address"
    family_property = "instance_ip_family"

    async def network_of(self, draft: Draft) -> list[str] | None:
        links = draft.references.get("virtual-network")
        if not links:
            return None
        return await self.writer.name_of(links[0].uuid)

    def filled(self, draft: Draft, subnet: Subnet) -> None:
        draft.properties["subnet_uuid"] = subnet.uuid
        draft.properties["instance_ip_family"] = f"v{subnet.network.version}"
        draft.properties["instance_ip_subnet"] = {
            "ip_prefix": str(subnet.network.network_address),
            "ip_prefix_len": subnet.network.prefixlen,
        }


class FloatingIpHook(AddressHook):
    """Hooks of floating-ip: the network is its pool's; the project is named by its own name."""

    address_property = "floating_ip_address"
    family_property = "floating_ip_address_family"

    async def network_of(self, draft: Draft) -> list[str] | None:
        if draft.parent is None or draft.parent.type == "instance-ip":
            return None
        return draft.fq_name[:-2]

    async def before_create(self, draft: Draft) -> None:
        await super().before_create(draft)
        if draft.parent is not None and draft.parent.type != "instance-ip" and not draft.references.get("project"):
            project = await self.writer.find("project", draft.fq_name[:2])
            if project is not None:
                draft.references["project"] = [self.writer.link("project", project)]


class AliasIpHook(AddressHook):
    """Hooks of alias-ip: the network is its pool's."""

    address_property = "alias_ip_address"
    family_property = "alias_ip_address_family"

    async def network_of(self, draft: Draft) -> list[str] | None:
        return draft.fq_name[:-2]
