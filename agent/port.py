"""A port of a virtual machine as the orchestrator announces it (reference/agent.md 10).

Before configuration speaks of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
NIL_UUID = "00000000-0000-0000-0000-000000000000"


class PortType(IntEnum):
    VM = 0
    NAMESPACE = 1
    REMOTE = 2


class PortError(ValueError):
    """The port cannot be taken; the text says which key is wrong."""


@dataclass(frozen=True, slots=True)
class Port:
    """`uuid` is the virtual-machine-interface's; `name` the tap's; `mac` text with colons.

    Addresses are what the caller believes.
    """

    uuid: str
    vm_uuid: str
    vn_uuid: str
    name: str
    mac: str
    address: str = "0.0.0.0"
    address6: str = "::"
    vm_name: str = ""
    project_uuid: str = NIL_UUID
    type: PortType = PortType.VM
    rx_vlan: int = -1
    tx_vlan: int = -1
    link_up: bool = True

    @classmethod
    def from_json(cls, value: object) -> Port:
        """Read one object of POST /port; raises PortError."""
        if not isinstance(value, Mapping):
            raise PortError("expected an object")
        fields: dict[str, object] = {}
        for key, (name, kind) in _KEYS.items():
            if key not in value:
                raise PortError(f"{key}: missing")
            got = value[key]
            if kind is int and isinstance(got, str) and re.fullmatch(r"-?\d+", got):
                got = int(got)
            if not isinstance(got, kind) or isinstance(got, bool):
                raise PortError(f"{key}: expected {'a number' if kind is int else 'text'}")
            fields[name] = got
        if not _MAC.fullmatch(str(fields["mac"])):
            raise PortError("mac-address: expected xx:xx:xx:xx:xx:xx")
        try:
            port_type = PortType(int(str(fields["type"])))
        except ValueError as error:
            raise PortError("type: expected 0, 1 or 2") from error
        if port_type is PortType.VM and fields["vn_uuid"] in ("", NIL_UUID):
            raise PortError("vn-id: a VM port needs a network")
        rx, tx = int(str(fields["rx_vlan"])), int(str(fields["tx_vlan"]))
        if rx != -1 and tx == -1:
            raise PortError("rx-vlan-id: set, but tx-vlan-id is not")
        link = value.get("link-state", 0 if port_type is PortType.REMOTE else 1)
        return cls(
            uuid=str(fields["uuid"]),
            vm_uuid=str(fields["vm_uuid"]),
            vn_uuid=str(fields["vn_uuid"]),
            name=str(fields["name"]),
            mac=str(fields["mac"]).lower(),
            address=str(fields["address"]) or "0.0.0.0",
            address6=str(fields["address6"]) or "::",
            vm_name=str(fields["vm_name"]),
            project_uuid=str(fields["project_uuid"]),
            type=port_type,
            rx_vlan=rx,
            tx_vlan=tx,
            link_up=link not in (0, "0"),
        )

    def to_json(self) -> dict[str, object]:
        """The form of GET /port/UUID and of the stored file."""
        return {
            "id": self.uuid,
            "instance-id": self.vm_uuid,
            "vn-id": self.vn_uuid,
            "vm-project-id": self.project_uuid,
            "display-name": self.vm_name,
            "ip-address": self.address,
            "ip6-address": self.address6,
            "type": int(self.type),
            "system-name": self.name,
            "mac-address": self.mac,
            "rx-vlan-id": self.rx_vlan,
            "tx-vlan-id": self.tx_vlan,
            "link-state": int(self.link_up),
        }

    @property
    def mac_bytes(self) -> bytes:
        return bytes.fromhex(self.mac.replace(":", ""))


_KEYS: dict[str, tuple[str, type]] = {
    "id": ("uuid", str),
    "instance-id": ("vm_uuid", str),
    "vn-id": ("vn_uuid", str),
    "vm-project-id": ("project_uuid", str),
    "display-name": ("vm_name", str),
    "ip-address": ("address", str),
    "ip6-address": ("address6", str),
    "type": ("type", int),
    "system-name": ("name", str),
    "mac-address": ("mac", str),
    "rx-vlan-id": ("rx_vlan", int),
    "tx-vlan-id": ("tx_vlan", int),
}
