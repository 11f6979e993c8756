"""virtual-machine-interface: MAC address, bindings, link to the routing instance (reference/config.md 3.9)."""

from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import BadRequest
from .hooks import Hook

FORWARDING_RULE = {
    "direction": "both",
    "vlan_tag": None,
    "src_mac": None,
    "dst_mac": None,
    "mpls_label": None,
    "service_chain_address": None,
    "ipv6_service_chain_address": None,
    "protocol": None,
}
"""The attribute of the link between an interface and its network's default routing instance."""


def mac_of(uuid: str) -> str:
    """The MAC address made from an interface's uuid: 02 and characters 0-7 and 9-10."""
    return ":".join(("02", uuid[0:2], uuid[2:4], uuid[4:6], uuid[6:8], uuid[9:11]))


class InterfaceHook(Hook):
    """Hooks of virtual-machine-interface."""

    async def before_create(self, draft: Draft) -> None:
        if not draft.references.get("virtual-network"):
            raise BadRequest(f"virtual-machine-interface {draft.name}: expected a reference to a virtual-network")
        self._fill_macs(draft, mac_of(draft.uuid))
        bindings = (draft.properties.get("virtual_machine_interface_bindings") or {}).get("key_value_pair")
        if bindings is not None:
            keys = {pair.get("key") for pair in bindings}
            if "vnic_type" not in keys:
                bindings.append({"key": "vnic_type", "value": "normal"})
            if "vif_type" not in keys:
                bindings.append({"key": "vif_type", "value": "vrouter"})

    async def after_create(self, draft: Draft) -> None:
        for reference in draft.references["virtual-network"]:
            network = await self.writer.name_of(reference.uuid)
            if network is None:
                continue
            instance = await self.writer.find("routing-instance", [*network, network[-1]])
            if instance is not None:
                await self.writer.ref_update(
                    "virtual-machine-interface", draft.uuid, "routing-instance", instance, "ADD", dict(FORWARDING_RULE)
                )

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        if "virtual_machine_interface_mac_addresses" in draft.properties:
            old = stored.properties.get("virtual_machine_interface_mac_addresses") or {}
            first = (old.get("mac_address") or [mac_of(stored.uuid)])[0]
            self._fill_macs(draft, first)

    def _fill_macs(self, draft: Draft, default: str) -> None:
        given = (draft.properties.get("virtual_machine_interface_mac_addresses") or {}).get("mac_address") or [default]
        draft.properties["virtual_machine_interface_mac_addresses"] = {
            "mac_address": [mac.replace("-", ":") for mac in given]
        }
