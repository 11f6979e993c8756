"""Graph -> records. Pure.

The order in which configuration arrived leaves no trace; half-arrived objects give half records.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from contrail_emulator.base.traffic_class import MAX_DSCP
from contrail_emulator.config.graph import Graph, Node

from .acl import AccessList, AddressMatch, Rule, Verdict
from .json_read import Json, boolean, enabled, integer, mac, mapping, members, text, texts, unsigned, uuid
from .nexthop import Encap
from .prefix import Prefix, host, parse
from .records import (
    Configuration,
    FloatingIp,
    ForwardingMode,
    Globals,
    GracefulRestart,
    InterfaceAddress,
    InterfaceConfig,
    Ipam,
    LinkLocalService,
    SecurityGroup,
    Subnet,
    VirtualDns,
    VirtualNetwork,
)

_ENCAPSULATIONS = {"mplsogre": Encap.GRE, "mplsoudp": Encap.UDP, "vxlan": Encap.VXLAN}
_PROTOCOLS = {"any": -1, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "icmp6": 58, "sctp": 132}


def read(graph: Graph) -> Configuration:
    """Everything an agent uses of its graph."""
    settings = _globals(graph)
    networks = {node.name: _network(node, settings) for node in _present(graph.nodes("virtual-network"))}
    interfaces = {}
    for node in _present(graph.nodes("virtual-machine-interface")):
        config = _interface(node)
        if config.uuid:
            interfaces[config.uuid] = config
    vrfs = {}
    for node in _present(graph.nodes("routing-instance")):
        network = _first(node, "virtual-network")
        if network is not None:
            vrfs[node.name] = network.name
    dns = {node.name: _virtual_dns(node) for node in _present(graph.nodes("virtual-DNS"))}
    return Configuration(settings, networks, vrfs, interfaces, dns)


def _present(nodes: Iterable[Node]) -> list[Node]:
    return sorted((node for node in nodes if node.present), key=lambda node: node.name)


def _near(node: Node, type_name: str, via: str | None = None) -> list[Node]:
    return _present(node.neighbours(type_name, via))


def _first(node: Node, type_name: str, via: str | None = None) -> Node | None:
    found = _near(node, type_name, via)
    return found[0] if found else None


# --- global objects ---------------------------------------------------------------------------------------------------


def _only(graph: Graph, type_name: str) -> Json:
    """The properties of the object of a type of which there is one."""
    return next((node.properties for node in _present(graph.nodes(type_name))), {})


def _globals(graph: Graph) -> Globals:
    vrouter, system, marks = (
        _only(graph, name) for name in ("global-vrouter-config", "global-system-config", "global-qos-config")
    )
    order = [
        _ENCAPSULATIONS[name.lower()]
        for name in texts(vrouter.get("encapsulation_priorities"), "encapsulation")
        if name.lower() in _ENCAPSULATIONS
    ]
    ageing = tuple(
        (
            _protocol(text(item.get("protocol")) or "any"),
            unsigned(item.get("port"), 16),
            float(unsigned(item.get("timeout_in_seconds"), 32, 180)),
        )
        for item in members(vrouter.get("flow_aging_timeout_list"), "flow_aging_timeout")
    )
    services = tuple(
        LinkLocalService(
            text(item.get("linklocal_service_name")),
            text(item.get("linklocal_service_ip")),
            unsigned(item.get("linklocal_service_port"), 16),
            tuple(texts(item, "ip_fabric_service_ip")),
            text(item.get("ip_fabric_DNS_service_name")),
            unsigned(item.get("ip_fabric_service_port"), 16),
        )
        for item in members(vrouter.get("linklocal_services"), "linklocal_service_entry")
    )
    return Globals(
        encapsulations=tuple(dict.fromkeys(order)),
        vxlan_configured=text(vrouter.get("vxlan_network_identifier_mode")) == "configured",
        forwarding_mode=_mode(text(vrouter.get("forwarding_mode")), ForwardingMode.L2_L3),
        flow_ageing=ageing,
        link_local=services,
        graceful_restart=_graceful_restart(mapping(system.get("graceful_restart_parameters"))),
        hold_time=_hold_time(mapping(system.get("fast_convergence_parameters"))),
        dscp=_dscp(mapping(marks.get("control_traffic_dscp"))),
    )


def _hold_time(value: Json) -> int:
    """As the control node reads it (reference/xmpp.md 1.6): one side alone with a short one would end every session."""
    return unsigned(value.get("xmpp_hold_time"), 16) if boolean(value.get("enable"), False) else 0


def _dscp(value: Json) -> int:
    """0 for what is no DSCP."""
    dscp = unsigned(value.get("control"), 8)
    return dscp if dscp <= MAX_DSCP else 0


def _graceful_restart(value: Json) -> GracefulRestart:
    if not value:
        return GracefulRestart()
    return GracefulRestart(
        boolean(value.get("enable"), False),
        float(unsigned(value.get("end_of_rib_timeout"), 32)),
        float(unsigned(value.get("long_lived_restart_time"), 32)),
    )


def _mode(name: str, default: ForwardingMode) -> ForwardingMode:
    try:
        return ForwardingMode(name)
    except ValueError:
        return default


# --- networks ---------------------------------------------------------------------------------------------------------


def _network(node: Node, settings: Globals) -> VirtualNetwork:
    properties = node.properties
    detail = mapping(properties.get("virtual_network_properties"))
    configured = unsigned(detail.get("vxlan_network_identifier"), 24)
    allocated = unsigned(properties.get("virtual_network_network_id"), 24) or unsigned(detail.get("network_id"), 24)
    subnets = []
    for link in _near(node, "virtual-network-network-ipam"):
        ipam = _first(link, "network-ipam")
        if ipam is not None:
            record = _ipam(ipam)
            subnets += [
                subnet
                for item in members(link.properties.get("value"), "ipam_subnets")
                if (subnet := _subnet(item, record)) is not None
            ]
    default_vrf = f"{node.name}:{node.name.rpartition(':')[2]}"
    instances = [other.name for other in _near(node, "routing-instance")]
    return VirtualNetwork(
        name=node.name,
        uuid=uuid(properties),
        vrf=default_vrf if default_vrf in instances else "",
        admin_up=enabled(properties),
        mode=_mode(text(detail.get("forwarding_mode")), settings.forwarding_mode),
        vni=configured if settings.vxlan_configured and configured else allocated,
        rpf=text(detail.get("rpf")) != "disable",
        flood_unknown_unicast=boolean(properties.get("flood_unknown_unicast"), False),
        subnets=tuple(sorted(subnets, key=lambda subnet: subnet.prefix)),
        acls=tuple(access_list(acl) for acl in _near(node, "access-control-list")),
    )


def _ipam(node: Node) -> Ipam:
    management = mapping(node.properties.get("network_ipam_mgmt"))
    server = mapping(management.get("ipam_dns_server"))
    return Ipam(
        node.name,
        text(management.get("ipam_dns_method")),
        text(server.get("virtual_dns_server_name")),
        tuple(texts(server.get("tenant_dns_server_address"), "ip_address")),
        _options(management.get("dhcp_option_list")),
    )


def _subnet(item: Json, ipam: Ipam) -> Subnet | None:
    raw = mapping(item.get("subnet"))
    try:
        prefix = parse(f"{text(raw.get('ip_prefix'))}/{integer(raw.get('ip_prefix_len'))}")
    except ValueError:
        return None
    return Subnet(
        prefix,
        _address(text(item.get("default_gateway"))),
        _address(text(item.get("dns_server_address"))),
        boolean(item.get("enable_dhcp"), True),
        ipam,
        _options(item.get("dhcp_option_list")),
        _host_routes(item.get("host_routes")),
    )


def _address(value: str) -> str:
    """Canonical text of an address, empty for none, for 0.0.0.0 and for what is no address."""
    try:
        address = ip_address(value)
    except ValueError:
        return ""
    return "" if address.is_unspecified else str(address)


def _options(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(
        (text(item.get("dhcp_option_name")), text(item.get("dhcp_option_value")))
        for item in members(value, "dhcp_option")
    )


def _host_routes(value: object) -> tuple[tuple[str, str], ...]:
    return tuple((text(item.get("prefix")), text(item.get("next_hop"))) for item in members(value, "route"))


def _virtual_dns(node: Node) -> VirtualDns:
    data = mapping(node.properties.get("virtual_DNS_data"))
    return VirtualDns(
        node.name,
        text(data.get("domain_name")),
        boolean(data.get("dynamic_records_from_client"), False),
        unsigned(data.get("default_ttl_seconds"), 32, 84600),
        text(data.get("next_virtual_DNS")),
        text(data.get("floating_ip_record")).lower(),
    )


# --- access lists -----------------------------------------------------------------------------------------------------


def access_list(node: Node) -> AccessList:
    entries = mapping(node.properties.get("access_control_list_entries"))
    return AccessList(node.name, uuid(node.properties), tuple(_rule(item) for item in members(entries, "acl_rule")))


def _rule(item: Json) -> Rule:
    match = mapping(item.get("match_condition"))
    action = text(mapping(item.get("action_list")).get("simple_action"))
    ethertype = text(match.get("ethertype")).lower()
    return Rule(
        uuid=text(item.get("rule_uuid")),
        protocol=_protocol(text(match.get("protocol")) or "any"),
        source=_address_match(mapping(match.get("src_address"))),
        source_ports=_ports(match.get("src_port")),
        destination=_address_match(mapping(match.get("dst_address"))),
        destination_ports=_ports(match.get("dst_port")),
        verdict=Verdict.DENY if action == "deny" else Verdict.PASS,
        version={"ipv4": 4, "ipv6": 6}.get(ethertype, 0),
    )


def _protocol(name: str) -> int:
    known = _PROTOCOLS.get(name.lower())
    return integer(name, -1) if known is None else known


def _ports(value: object) -> tuple[tuple[int, int], ...]:
    raw = mapping(value)
    if not raw:
        return ()
    low, high = integer(raw.get("start_port"), -1), integer(raw.get("end_port"), -1)
    return () if low < 0 or high < 0 else ((low, high),)


def _address_match(value: Json) -> AddressMatch:
    subnets = [mapping(value.get("subnet")), *members(value, "subnet_list")]
    prefixes: list[Prefix] = []
    for raw in subnets:
        if raw:
            try:
                prefixes.append(parse(f"{text(raw.get('ip_prefix'))}/{integer(raw.get('ip_prefix_len'))}"))
            except ValueError:
                continue
    group = value.get("security_group")
    return AddressMatch(
        tuple(prefixes), text(value.get("virtual_network")), None if group in (None, "") else integer(group, -1)
    )


def security_group(node: Node) -> SecurityGroup:
    lists: dict[str, list[AccessList]] = {"ingress": [], "egress": []}
    for acl in _near(node, "access-control-list"):
        side = acl.name.rpartition(":")[2].partition("-")[0]
        if side in lists:
            lists[side].append(access_list(acl))
    number = unsigned(node.properties.get("configured_security_group_id"), 32) or unsigned(
        node.properties.get("security_group_id"), 32
    )
    return SecurityGroup(node.name, number, tuple(lists["ingress"]), tuple(lists["egress"]))


# --- interfaces -------------------------------------------------------------------------------------------------------


def _interface(node: Node) -> InterfaceConfig:
    properties = node.properties
    detail = mapping(properties.get("virtual_machine_interface_properties"))
    machine, network = _first(node, "virtual-machine"), _first(node, "virtual-network")
    macs = texts(properties.get("virtual_machine_interface_mac_addresses"), "mac_address")
    address4, address6, addresses, active_active = _addresses(node)
    return InterfaceConfig(
        uuid=uuid(properties),
        name=node.name,
        vm_name=text(machine.properties.get("display_name")) if machine is not None else "",
        vm_uuid=machine.name if machine is not None else "",
        vn=network.name if network is not None else "",
        vrf=_vrf(node),
        admin_up=enabled(properties),
        mac=mac(macs[0]) if macs else b"",
        address4=address4,
        address6=address6,
        addresses=(*addresses, *_pairs(properties), *_static_routes(node)),
        active_active=active_active,
        local_preference=unsigned(detail.get("local_preference"), 32),
        policy_disabled=boolean(properties.get("virtual_machine_interface_disable_policy"), False),
        port_security=boolean(properties.get("port_security_enabled"), True),
        dhcp=boolean(properties.get("virtual_machine_interface_dhcp_enable"), True),
        dhcp_options=_options(properties.get("virtual_machine_interface_dhcp_option_list")),
        host_routes=_host_routes(properties.get("virtual_machine_interface_host_routes")),
        security_groups=tuple(security_group(group) for group in _near(node, "security-group")),
        floating_ips=_floating_ips(node),
    )


def _vrf(node: Node) -> str:
    """The routing instance of the link that is neither a service chain's nor tagged with a VLAN."""
    for link in _near(node, "virtual-machine-interface-routing-instance"):
        rule = mapping(link.properties.get("value"))
        if integer(rule.get("vlan_tag")) or text(rule.get("service_chain_address")):
            continue
        instance = _first(link, "routing-instance")
        if instance is not None:
            return instance.name
    return ""


def _addresses(node: Node) -> tuple[str, str, list[InterfaceAddress], bool]:
    """The lowest ordinary IPv4 and IPv6 addresses, all that are routed.

    And whether the primary one is active-active.
    """
    primary: dict[int, tuple[int, str, bool]] = {}
    found = []
    for item in _near(node, "instance-ip"):
        address = _address(text(item.properties.get("instance_ip_address")).partition("/")[0])
        if not address:
            continue
        prefix = host(address)
        both = text(item.properties.get("instance_ip_mode")) == "active-active"
        found.append(InterfaceAddress(prefix, "instance", active_active=both))
        if any(boolean(item.properties.get(name), False) for name in _NOT_PRIMARY):
            continue
        best = primary.get(prefix.version)
        if best is None or prefix.address < best[0]:
            primary[prefix.version] = (prefix.address, address, both)
    none = (0, "", False)
    both = primary.get(4, none)[2] or primary.get(6, none)[2]
    return primary.get(4, none)[1], primary.get(6, none)[1], sorted(found, key=lambda a: a.prefix), both


_NOT_PRIMARY = ("instance_ip_secondary", "service_instance_ip", "service_health_check_ip")


def _pairs(properties: Json) -> list[InterfaceAddress]:
    pairs = []
    for item in members(properties.get("virtual_machine_interface_allowed_address_pairs"), "allowed_address_pair"):
        raw = mapping(item.get("ip"))
        try:
            prefix = parse(f"{text(raw.get('ip_prefix'))}/{integer(raw.get('ip_prefix_len'))}")
        except ValueError:
            continue
        both = text(item.get("address_mode")) == "active-active"
        pairs.append(InterfaceAddress(prefix, "pair", mac(text(item.get("mac"))), both))
    return sorted(pairs, key=lambda a: (a.prefix, a.mac))


def _static_routes(node: Node) -> list[InterfaceAddress]:
    found = []
    for table in _near(node, "interface-route-table"):
        for route in members(table.properties.get("interface_route_table_routes"), "route"):
            try:
                found.append(InterfaceAddress(parse(text(route.get("prefix"))), "static"))
            except ValueError:
                continue
    return sorted(found, key=lambda a: a.prefix)


def _floating_ips(node: Node) -> tuple[FloatingIp, ...]:
    found = []
    for item in _near(node, "floating-ip"):
        address = _address(text(item.properties.get("floating_ip_address")))
        pool = _first(item, "floating-ip-pool")
        network = _first(pool, "virtual-network") if pool is not None else None
        if not address or network is None:
            continue
        vrf = f"{network.name}:{network.name.rpartition(':')[2]}"
        if any(other.name == vrf for other in _near(network, "routing-instance")):
            fixed = _address(text(item.properties.get("floating_ip_fixed_ip_address")))
            found.append(FloatingIp(host(address), fixed, network.name, vrf))
    return tuple(sorted(found, key=lambda item: item.address))
