"""The objects of a first start, in the real API server's order (reference/config.md 3.7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .writer import Writer

SYSTEM = "default-global-system-config"
DOMAIN = "default-domain"
PROJECT = [DOMAIN, "default-project"]
IP_FABRIC = [*PROJECT, "ip-fabric"]

Entry = tuple[str, dict[str, Any]]


def entries(autonomous_system: int) -> Iterator[Entry]:
    """(type, object) in order."""
    yield (
        "global-system-config",
        {"fq_name": [SYSTEM], "autonomous_system": autonomous_system, "ibgp_auto_mesh": True},
    )
    yield "global-vrouter-config", {"fq_name": [SYSTEM, "default-global-vrouter-config"]}
    yield "domain", {"fq_name": [DOMAIN]}
    yield "project", {"fq_name": PROJECT}
    yield from _network([*PROJECT, "default-virtual-network"])
    yield "network-ipam", {"fq_name": [*PROJECT, "default-network-ipam"], "perms2": {"global_access": 5}}
    yield "fabric", {"fq_name": [SYSTEM, "default-fabric"]}
    yield "policy-management", {"fq_name": ["default-policy-management"]}
    yield (
        "application-policy-set",
        {
            "fq_name": ["default-policy-management", "default-application-policy-set"],
            "parent_type": "policy-management",
            "all_applications": True,
        },
    )
    yield from _network(IP_FABRIC, extra="__default__", is_provider_network=True)
    yield from _network([*PROJECT, "__link_local__"])
    yield from _network([*PROJECT, "dci-network"], extra="__default__")
    yield (
        "alarm",
        {
            "fq_name": [SYSTEM, "system-defined-bottle-request-size-limit"],
            "parent_type": "global-system-config",
            "alarm_severity": 1,
            "uve_keys": {"uve_key": ["config-node"]},
        },
    )
    yield "security-group", {"fq_name": [*PROJECT, "__no_rule__"]}
    yield "discovery-service-assignment", {"fq_name": ["default-discovery-service-assignment"]}
    yield "global-qos-config", {"fq_name": [SYSTEM, "default-global-qos-config"]}
    yield (
        "network-ipam",
        {
            "fq_name": [*PROJECT, "service-chain-flat-ipam"],
            "ipam_subnet_method": "flat-subnet",
            "ipam_subnets": {
                "subnets": [
                    {"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 8}},
                    {"subnet": {"ip_prefix": "::ffff", "ip_prefix_len": 104}},
                ]
            },
        },
    )


def _network(fq_name: list[str], extra: str | None = None, **properties: Any) -> Iterator[Entry]:
    """A network; its default routing instance is made with it. `extra` names one more instance."""
    yield "virtual-network", {"fq_name": fq_name, **properties}
    if extra is not None:
        yield "routing-instance", {"fq_name": [*fq_name, extra], "parent_type": "virtual-network"}


async def initialise(writer: Writer, autonomous_system: int) -> None:
    """Make what is missing."""
    for type_name, obj in entries(autonomous_system):
        if await writer.find(type_name, obj["fq_name"]) is None:
            await writer.create(type_name, obj)
