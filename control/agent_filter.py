"""Which configuration an agent gets: the links that are followed from each type of node (reference/xmpp.md 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _links(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}-{name}" for name in names.split())


def _table() -> dict[str, frozenset[str]]:
    vmi, network, vr = "virtual-machine-interface", "virtual-network", "virtual-router"
    followed: dict[str, tuple[str, ...]] = {
        vr: (
            *_links(vr, "virtual-machine network-ipam virtual-machine-interface"),
            "physical-router-virtual-router", "global-system-config-virtual-router",
            "provider-attachment-virtual-router",
        ),
        "virtual-machine": ("virtual-machine-service-instance", f"{vmi}-virtual-machine", "virtual-machine-tag"),
        vmi: (
            *_links(
                vmi,
                "sub-interface virtual-network security-group routing-instance route-table qos-config bridge-domain "
                "security-logging-object tag bgp-router",
            ),
            *(f"{other}-{vmi}" for other in (
                "virtual-machine", "instance-ip", "floating-ip", "alias-ip", "customer-attachment", "subnet", "project",
            )),
            "service-port-health-check", f"bgpaas-{vmi}", "port-tuple-interface",
        ),
        network: (
            *_links(
                network,
                "floating-ip-pool alias-ip-pool network-ipam access-control-list routing-instance qos-config "
                "bridge-domain security-logging-object tag provider-network multicast-policy",
            ),
            "vn-health-check", "host-based-service-virtual-network",
        ),
        "instance-ip": (f"instance-ip-{network}",),
        "floating-ip": ("floating-ip-pool-floating-ip", "instance-ip-floating-ip"),
        "alias-ip": ("alias-ip-pool-alias-ip",),
        "floating-ip-pool": ("virtual-network-floating-ip-pool",),
        "alias-ip-pool": ("virtual-network-alias-ip-pool",),
        "network-ipam": ("network-ipam-virtual-DNS",),
        "virtual-DNS": ("virtual-DNS-virtual-DNS-record",),
        "domain": ("domain-namespace", "domain-virtual-DNS"),
        "security-group": ("security-group-access-control-list",),
        "service-template": ("domain-service-template",),
        "service-instance": ("service-instance-service-template", "service-instance-port-tuple"),
        "port-tuple": ("service-instance-port-tuple", "port-tuple-interface"),
        "global-system-config": (
            *_links("global-system-config", "global-vrouter-config global-qos-config bgp-router"),
            "qos-config-global-system-config",
        ),
        "global-vrouter-config": (
            "application-policy-set-global-vrouter-config", "global-vrouter-config-security-logging-object",
        ),
        "global-qos-config": _links("global-qos-config", "forwarding-class qos-queue qos-config"),
        "forwarding-class": ("forwarding-class-qos-queue",),
        "bgp-router": ("instance-bgp-router", "physical-router-bgp-router", "bgp-router-control-node-zone"),
        "bgp-as-a-service": ("bgpaas-bgp-router", "bgpaas-health-check", "bgpaas-control-node-zone"),
        "physical-router": _links("physical-router", "physical-interface logical-interface virtual-network"),
        "physical-interface": ("physical-interface-logical-interface", "virtual-port-group-physical-interface"),
        "logical-interface": (f"logical-interface-{vmi}",),
        "virtual-port-group": _links("virtual-port-group", "virtual-machine-interface physical-interface"),
        "logical-router": ("logical-router-virtual-network", "logical-router-interface"),
        "project": _links("project", "tag logical-router host-based-service"),
        "tag": ("application-policy-set-tag",),
        "application-policy-set": (
            "application-policy-set-firewall-policy", "policy-management-application-policy-set",
        ),
        "firewall-policy": _links("firewall-policy", "firewall-rule security-logging-object"),
        "firewall-rule": _links("firewall-rule", "tag service-group address-group security-logging-object"),
        "address-group": ("address-group-tag",),
        "multicast-policy": ("virtual-network-multicast-policy",),
        "host-based-service": ("host-based-service-virtual-network",),
        "security-logging-object": (
            *(f"{other}-security-logging-object" for other in (network, vmi, "global-vrouter-config")),
            *_links("security-logging-object", "network-policy security-group"),
        ),
        "host-based-service-virtual-network": ("virtual-network",),
    }  # fmt: skip
    link_nodes = (
        "virtual-router-network-ipam bgpaas-control-node-zone virtual-machine-interface-bridge-domain "
        "virtual-machine-interface-routing-instance virtual-port-group-physical-interface "
        "logical-router-virtual-network virtual-network-network-ipam "
        "application-policy-set-firewall-policy firewall-policy-firewall-rule "
        "firewall-policy-security-logging-object firewall-rule-security-logging-object"
    )
    followed.update({name: (name,) for name in link_nodes.split()})
    leaves = (
        "control-node-zone provider-attachment customer-attachment access-control-list routing-instance namespace "
        "virtual-DNS-record interface-route-table subnet service-health-check qos-config qos-queue bridge-domain "
        "service-group policy-management"
    )
    followed.update({name: () for name in leaves.split()})
    return {name: frozenset(links) for name, links in followed.items()}


FOLLOWED: Final[Mapping[str, frozenset[str]]] = _table()
"""Type of node -> the names of the links that lead on from it. A type that is no key is never sent, one without links
is a leaf."""
