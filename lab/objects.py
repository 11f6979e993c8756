"""A lab file as objects of Contrail's schema, in the order in which they can be written (reference/config.md 3.7-3.10).

The JSON is what the real API server takes: a reference is `{"to": fq-name, "attr": …}`; ids, default routing instances,
interface links, MACs, id-perms and route targets are left to the writer and the transformer, as they are to the API
server and the schema transformer.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .model import Agent, BgpPeer, ControlNode, LabFile, Machine, Network

Json = dict[str, Any]
DOMAIN = "default-domain"
FABRIC_INSTANCE = [DOMAIN, "default-project", "ip-fabric", "__default__"]
GLOBAL_SYSTEM = ["default-global-system-config"]
VIRTUAL_DNS = "lab-dns"
NAMESPACE = uuid.UUID("6f6c6c6f-2d65-4d75-8c61-746f72000000")
CONTROL_NODE_FAMILIES = ["route-target", "inet", "inet-vpn", "inet6-vpn", "e-vpn", "erm-vpn", "inet6"]


@dataclass(frozen=True, slots=True)
class Written:
    """One object to create (or, when it is made by the system, to update)."""

    type: str
    body: Json
    made_by_system: bool = False


def lab_uuid(lab: str, kind: str, name: str) -> str:
    """A uuid that is the same at every start of the same lab, so that captures of two runs compare."""
    return str(uuid.uuid5(NAMESPACE, f"{lab}/{kind}/{name}"))


def interface_mac(interface_uuid: str) -> bytes:
    """The MAC that the API server gives an interface: 02 and uuid characters (reference/config.md 3.9)."""
    text = interface_uuid
    return bytes.fromhex("02" + text[0:2] + text[2:4] + text[4:6] + text[6:8] + text[9:11])


def network_name(lab: LabFile, network: Network) -> list[str]:
    return [DOMAIN, lab.name, network.name]


def instance_name(lab: LabFile, network: Network) -> str:
    """The fq-name of the network's default routing instance."""
    return ":".join([*network_name(lab, network), network.name])


def objects(lab: LabFile) -> Iterator[Written]:
    """Everything the lab file says, in dependency order."""
    yield _global_system(lab)
    yield _global_vrouter(lab)
    yield from _routers(lab)
    yield Written("project", {"fq_name": [DOMAIN, lab.name], "parent_type": "domain"})
    if lab.dns is not None:
        yield _virtual_dns(lab)
    yield _ipam(lab)
    yield _security_group(lab)
    for network in lab.networks:
        yield _network(lab, network)
    for agent in lab.agents:
        yield _virtual_router(agent)
        for machine in agent.machines:
            yield from _machine(lab, machine)


def _global_system(lab: LabFile) -> Written:
    restart = lab.graceful_restart
    body: Json = {
        "fq_name": GLOBAL_SYSTEM,
        "autonomous_system": lab.autonomous_system,
        "enable_4byte_as": lab.four_byte_as,
        "graceful_restart_parameters": {
            "enable": restart.enabled,
            "restart_time": restart.time,
            "long_lived_restart_time": restart.long_lived_time,
            "end_of_rib_timeout": lab.end_of_rib_timeout,
            "bgp_helper_enable": restart.enabled,
            "xmpp_helper_enable": restart.enabled,
        },
    }
    return Written("global-system-config", body, made_by_system=True)


def _global_vrouter(lab: LabFile) -> Written:
    body: Json = {
        "fq_name": [*GLOBAL_SYSTEM, "default-global-vrouter-config"],
        "parent_type": "global-system-config",
        "encapsulation_priorities": {"encapsulation": list(lab.encapsulation_priorities)},
    }
    return Written("global-vrouter-config", body, made_by_system=True)


def _routers(lab: LabFile) -> Iterator[Written]:
    for node in lab.control_nodes:
        yield Written("bgp-router", _control_node(lab, node))
    for peer in lab.bgp_peers:
        yield Written("bgp-router", _peer(lab, peer))


def _control_node(lab: LabFile, node: ControlNode) -> Json:
    parameters: Json = {
        "vendor": "contrail",
        "router_type": "control-node",
        "autonomous_system": lab.autonomous_system,
        "identifier": str(node.router_id),
        "address": str(node.address),
        "port": node.bgp_port,
        "hold_time": 90,
        "address_families": {"family": CONTROL_NODE_FAMILIES},
    }
    if node.cluster_id:
        parameters["cluster_id"] = node.cluster_id
    return _bgp_router(node.name, parameters)


def _peer(lab: LabFile, peer: BgpPeer) -> Json:
    parameters: Json = {
        "vendor": peer.kind,
        "router_type": "router",
        "autonomous_system": peer.autonomous_system,
        "identifier": str(peer.router_id),
        "address": str(peer.address),
        "port": peer.port,
        "hold_time": peer.hold_time,
        "address_families": {"family": list(peer.families)},
    }
    if peer.md5:
        parameters["auth_data"] = {"key_type": "md5", "key_items": [{"key_id": 0, "key": peer.md5}]}
    body = _bgp_router(peer.name, parameters)
    attributes: Json = {"address_families": {"family": list(peer.families)}, "passive": peer.passive}
    if peer.default_tunnel_encap:
        attributes["family_attributes"] = [
            {"address_family": family, "default_tunnel_encap": list(peer.default_tunnel_encap)}
            for family in peer.families
        ]
    body["bgp_router_refs"] = [
        {"to": [*FABRIC_INSTANCE, node.name], "attr": {"session": [{"attributes": [attributes]}]}}
        for node in lab.control_nodes
    ]
    return body


def _bgp_router(name: str, parameters: Json) -> Json:
    return {
        "fq_name": [*FABRIC_INSTANCE, name],
        "parent_type": "routing-instance",
        "bgp_router_parameters": parameters,
    }


def _virtual_dns(lab: LabFile) -> Written:
    assert lab.dns is not None
    data: Json = {
        "domain_name": lab.dns.domain,
        "dynamic_records_from_client": True,
        "record_order": "random",
        "default_ttl_seconds": 86400,
        "floating_ip_record": "dashed-ip-tenant-name",
        "external_visible": False,
        "reverse_resolution": True,
    }
    return Written("virtual-DNS", {"fq_name": [DOMAIN, VIRTUAL_DNS], "parent_type": "domain", "virtual_DNS_data": data})


def _ipam(lab: LabFile) -> Written:
    body: Json = {"fq_name": [DOMAIN, lab.name, "ipam"], "parent_type": "project"}
    if lab.dns is not None:
        body["network_ipam_mgmt"] = {
            "ipam_dns_method": "virtual-dns-server",
            "ipam_dns_server": {"virtual_dns_server_name": f"{DOMAIN}:{VIRTUAL_DNS}"},
        }
        body["virtual_DNS_refs"] = [{"to": [DOMAIN, VIRTUAL_DNS]}]
    return Written("network-ipam", body)


def _security_group(lab: LabFile) -> Written:
    """Everything in, everything out: what a lab expects unless it says otherwise."""
    anywhere = [{"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 0}}]
    local = [{"security_group": "local"}]
    ports = [{"start_port": 0, "end_port": 65535}]
    rules = [
        {
            "direction": ">",
            "protocol": "any",
            "ethertype": "IPv4",
            "src_addresses": source,
            "src_ports": ports,
            "dst_addresses": destination,
            "dst_ports": ports,
            "rule_uuid": lab_uuid(lab.name, "rule", direction),
        }
        for direction, source, destination in (("ingress", anywhere, local), ("egress", local, anywhere))
    ]
    body: Json = {
        "fq_name": [DOMAIN, lab.name, "default"],
        "parent_type": "project",
        "security_group_entries": {"policy_rule": rules},
    }
    return Written("security-group", body)


def _network(lab: LabFile, network: Network) -> Written:
    subnet: Json = {
        "subnet": {"ip_prefix": str(network.subnet.network_address), "ip_prefix_len": network.subnet.prefixlen},
        "default_gateway": str(network.gateway),
        "dns_server_address": str(network.dns_server),
        "enable_dhcp": True,
    }
    body: Json = {
        "fq_name": network_name(lab, network),
        "parent_type": "project",
        "uuid": lab_uuid(lab.name, "network", network.name),
        "virtual_network_properties": {"forwarding_mode": network.forwarding_mode},
        "network_ipam_refs": [{"to": [DOMAIN, lab.name, "ipam"], "attr": {"ipam_subnets": [subnet]}}],
    }
    if network.route_targets:
        body["route_target_list"] = {"route_target": list(network.route_targets)}
    return Written("virtual-network", body)


def _virtual_router(agent: Agent) -> Written:
    body: Json = {
        "fq_name": [*GLOBAL_SYSTEM, agent.name],
        "parent_type": "global-system-config",
        "virtual_router_ip_address": str(agent.tunnel_address),
    }
    return Written("virtual-router", body)


def _machine(lab: LabFile, machine: Machine) -> Iterator[Written]:
    machine_uuid = lab_uuid(lab.name, "machine", machine.name)
    interface_name = [DOMAIN, lab.name, f"{machine.name}-port"]
    network = network_name(lab, lab.network(machine.network))
    interface_uuid = lab_uuid(lab.name, "interface", machine.name)
    yield Written("virtual-machine", {"fq_name": [machine_uuid], "uuid": machine_uuid, "display_name": machine.name})
    interface: Json = {
        "fq_name": interface_name,
        "parent_type": "project",
        "uuid": interface_uuid,
        "virtual_network_refs": [{"to": network}],
        "virtual_machine_refs": [{"to": [machine_uuid]}],
        "security_group_refs": [{"to": [DOMAIN, lab.name, "default"]}],
    }
    if machine.mac:
        interface["virtual_machine_interface_mac_addresses"] = {"mac_address": [machine.mac]}
    yield Written("virtual-machine-interface", interface)
    address: Json = {
        "fq_name": [lab_uuid(lab.name, "address", machine.name)],
        "virtual_network_refs": [{"to": network}],
        "virtual_machine_interface_refs": [{"to": interface_name}],
    }
    if machine.address is not None:
        address["instance_ip_address"] = str(machine.address)
    yield Written("instance-ip", address)
