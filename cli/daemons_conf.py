"""Contrail's conf files as settings of our daemons (reference/config.md 9, dns.md 3, agent.md 1).

Every option of the reference is known. One that does nothing here (log rotation, collectors, …) is taken silently; one
that would change behaviour and is not done is reported, and refused where going on would be unsafe.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from contrail_emulator.agent.settings import AgentSettings, DnsServerAddress, Timers
from contrail_emulator.base.conf import ConfFile
from contrail_emulator.base.servers import Endpoint, parse_servers
from contrail_emulator.config.backends import (
    CASSANDRA_PORT,
    RABBITMQ_PORT,
    TLS_VERSIONS,
    ZOOKEEPER_PORT,
    ConfigDbSettings,
    tls_files,
)
from contrail_emulator.config.tls import TlsFiles
from contrail_emulator.control.node import ControlSettings
from contrail_emulator.control.xmpp.framing import DEFAULT_MAX_STANZA, MAX_HANDSHAKE
from contrail_emulator.control.xmpp.tls import TlsSettings
from contrail_emulator.dns.settings import DnsSettings

Table = Mapping[str, str]

_LOG = (
    "log_category log_disable log_property_file log_files_count log_file_size log_local use_syslog syslog_facility"
    " collectors log_file log_level sandesh_send_rate_limit"
)
_SANDESH = (
    "sandesh_ssl_enable introspect_ssl_enable introspect_ssl_insecure sandesh_keyfile sandesh_certfile"
    " sandesh_server_keyfile sandesh_server_certfile sandesh_ca_cert sandesh_send_rate_limit disable_object_logs"
    " tcp_keepalive_enable tcp_keepalive_idle_time tcp_keepalive_interval tcp_keepalive_probes"
)
_DATABASE = (
    "config_db_server_list config_db_username config_db_password config_db_use_ssl config_db_ca_certs"
    " config_db_use_etcd rabbitmq_server_list rabbitmq_user rabbitmq_password rabbitmq_vhost rabbitmq_use_ssl"
    " rabbitmq_ssl_version rabbitmq_ssl_keyfile rabbitmq_ssl_certfile rabbitmq_ssl_ca_certs"
)
_OLDER = (
    " certs_store password server_url user stale_entries_cleanup_timeout end_of_rib_timeout"
    " stale_or_eor_timeout_increment peer_response_wait_time"
)
_DISCOVERY = "port server ssl cert key cacert"
_READER = {
    "CONFIGDB": _DATABASE,
    "IFMAP": _DATABASE + _OLDER,
    "DISCOVERY": _DISCOVERY,
    "SANDESH": _SANDESH,
}

CONTROL_KNOWN: Table = MappingProxyType(
    {"DEFAULT": f"{_LOG} bgp_config_file task_track_run_time test_mode tcp_hold_time optimize_snat", **_READER}
)
DNS_KNOWN: Table = MappingProxyType(
    {
        "DEFAULT": f"{_LOG} dns_config_file named_config_file named_config_directory named_log_file"
        " rndc_config_file rndc_secret named_max_cache_size named_max_retransmissions named_retransmission_interval"
        " test_mode",
        **_READER,
    }
)
CONFIG_KNOWN: Table = MappingProxyType(
    {
        "DEFAULTS": f"{_LOG} listen_ip_addr listen_port admin_port api_server_ip api_server_port api_server_use_ssl"
        " worker_id rabbit_max_pending_updates rabbit_health_check_interval auth aaa_mode multi_tenancy"
        " cloud_admin_role global_read_only_role max_requests max_request_size paginate_count stale_lock_seconds"
        " object_cache_entries"
        " object_cache_exclude_types list_optimization_enabled region_name config_api_ssl_enable"
        " config_api_ssl_keyfile config_api_ssl_certfile config_api_ssl_ca_cert tcp_keepalive_enable"
        " tcp_keepalive_idle_time tcp_keepalive_interval tcp_keepalive_probes amqp_timeout watch_keepalive_interval"
        " enable_latency_stats_log enable_api_stats_log max_bytes backup_count default_encoding db_engine"
        " bgpaas_port_start bgpaas_port_end zk_timeout trace_file yield_in_evaluate disc_server_ip disc_server_port"
        " disc_server_ssl disc_server_cert disc_server_key disc_server_cacert ifmap_server_ip ifmap_server_port"
        " ifmap_username ifmap_password ifmap_certauth_port ifmap_queue_size ifmap_max_message_size"
        " ifmap_health_check_interval",
        "KEYSTONE": "auth_host auth_port auth_protocol admin_user admin_password admin_tenant_name insecure cafile"
        " certfile keyfile auth_type password auth_url default_domain_id",
        "CASSANDRA": "cassandra_user cassandra_password cassandra_driver",
        "SECURITY": "use_certs keyfile certfile ca_certs",
        "SANDESH": _SANDESH,
    }
)
AGENT_KNOWN: Table = MappingProxyType(
    {
        "DEFAULT": f"{_LOG} agent_mode agent_base_directory agent_mock derived_stats dhcp_relay_mode hostname"
        " log_flow measure_queue_delay min_aap_prefix_len mirror_client_port pkt0_tx_buffers platform"
        " subnet_hosts_resolvable tsn_servers vmi_vm_vn_uve_interval vr_object_high_watermark"
        " physical_interface_address physical_interface_mac",
        "NETWORKS": "control_network_ip",
        "VIRTUAL-HOST-INTERFACE": "name physical_interface physical_interface_addr compute_node_address"
        " physical_port_routes eth_port_no_arp eth_port_encap_type",
        "METADATA": "metadata_proxy_secret metadata_proxy_port metadata_use_ssl metadata_client_cert"
        " metadata_client_cert_type metadata_client_key metadata_ca_cert",
        "FLOWS": "thread_count max_vm_flows max_system_linklocal_flows max_vm_linklocal_flows trace_enable add_tokens"
        " ksync_tokens del_tokens update_tokens hash_exclude_router_id index_sm_log_count latency_limit"
        " max_sessions_per_aggregate max_aggregates_per_session_endpoint max_endpoints_per_session_msg"
        " fabric_snat_hash_table_size",
        "HYPERVISOR": "type vmware_mode vmware_physical_interface vmware_physical_port xen_ll_interface xen_ll_ip",
        "SERVICE-INSTANCE": "netns_command netns_workers netns_timeout docker_command lb_ssl_cert_path lbaas_auth_conf",
        "SERVICES": "bgp_as_a_service_port_range bgpaas_max_shared_sessions queue_limit",
        "TASK": "thread_count log_exec_threshold log_schedule_threshold tbb_keepawake_timeout task_monitor_timeout"
        " ksync_thread_cpu_pin_policy flow_netlink_pin_cpuid",
        "LLGR": "disable config_poll_time end_of_rib_tx_poll_time",
        "RESTART": "backup_enable backup_idle_timeout backup_dir backup_count restore_enable restore_audit_timeout"
        " huge_page_1G huge_page_2M",
        "MAC-LEARNING": "thread_count add_tokens del_tokens update_tokens",
        "QOS": "priority_tagging",
        "CRYPT": "crypt_interface",
        "SESSION": "slo_destination sample_destination",
        "NEXTHOP-SERVER": "endpoint add_pid",
        "AGENT-TEST-FRAMEWORK": "mock_dpdk ksocketdir",
        "SANDESH": _SANDESH,
    }
)

CONTROL_NOT_DONE = (("DEFAULT", "mvpn_ipv4_enable"),)
CONFIG_NOT_DONE = (("DEFAULTS", "reset_config"), ("DEFAULTS", "wipe_config"))
AGENT_NOT_DONE = (("DEFAULT", "simulate_evpn_tor"), ("DEFAULT", "mvpn_ipv4_enable"))

LARGEST_STANZA = 1 << 30
THRIFT_PORTS: Mapping[int, int] = MappingProxyType({9160: 9042, 9161: 9041})
"""An older file names Cassandra's Thrift port: where the same installation has CQL (reference/config.md 1.1)."""
_LEVELS: Mapping[str, str] = MappingProxyType(
    {
        "SYS_DEBUG": "debug",
        "SYS_INFO": "info",
        "SYS_NOTICE": "info",
        "SYS_WARN": "warn",
        "SYS_ERR": "error",
        "SYS_CRIT": "critical",
        "SYS_ALERT": "critical",
        "SYS_EMERG": "critical",
    }
)


@dataclass(frozen=True, slots=True)
class ControlConf:
    """contrail-control.conf."""

    settings: ControlSettings
    database: ConfigDbSettings
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DnsConf:
    """contrail-dns.conf. `introspect` is (address, port)."""

    settings: DnsSettings
    database: ConfigDbSettings
    introspect: tuple[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigNodeConf:
    """contrail-schema.conf, contrail-api.conf, or both."""

    database: ConfigDbSettings
    introspect: tuple[str, int]
    name: str
    logical_routers: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentConf:
    """contrail-vrouter-agent.conf, and the section [EMULATOR] that only we know."""

    settings: AgentSettings
    data_plane: str
    underlay: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def control_conf(conf: ConfFile) -> ControlConf:
    """Raises ConfError."""
    host, bind = _addresses(conf)
    settings = ControlSettings(
        name=conf.text("DEFAULT", "hostname") or socket.gethostname(),
        address=bind,
        bgp_port=conf.port("DEFAULT", "bgp_port", 179),
        xmpp_port=conf.port("DEFAULT", "xmpp_server_port", 5269),
        introspect_port=conf.port("DEFAULT", "http_server_port", 8083),
        introspect_address=bind,
        tls=_xmpp_tls(conf, "xmpp_auth_enable"),
        max_stanza=_max_stanza(conf),
        bgp_helper=not conf.boolean("DEFAULT", "gr_helper_bgp_disable", False),
        xmpp_helper=not conf.boolean("DEFAULT", "gr_helper_xmpp_disable", False),
    )
    database = ConfigDbSettings.from_conf(conf, host)
    warnings = (*_unverified(database), *_warnings(conf, CONTROL_KNOWN, CONTROL_NOT_DONE))
    return ControlConf(settings, database, warnings)


def dns_conf(conf: ConfFile) -> DnsConf:
    """Raises ConfError."""
    host, bind = _addresses(conf)
    settings = DnsSettings(
        hostname=conf.text("DEFAULT", "hostname") or socket.gethostname(),
        address=bind,
        port=conf.port("DEFAULT", "dns_server_port", 53),
        xmpp_port=conf.port("EMULATOR", "xmpp_port", 8093),
        host_ip=host,
        forwarders=_resolvers(Path("/etc/resolv.conf"), {host, bind}),
        tls=_xmpp_tls(conf, "xmpp_dns_auth_enable"),
        max_stanza=_max_stanza(conf),
    )
    introspect = (bind, conf.port("DEFAULT", "http_server_port", 8092))
    database = ConfigDbSettings.from_conf(conf, host)
    return DnsConf(settings, database, introspect, (*_unverified(database), *_warnings(conf, DNS_KNOWN)))


def config_node_conf(conf: ConfFile) -> ConfigNodeConf:
    """Raises ConfError."""
    section = "DEFAULTS"
    if conf.boolean(section, "api_server_use_ssl", False):
        raise conf.wrong(section, "api_server_use_ssl", "expected false: the emulator needs no API server")
    conf.choice(section, "kombu_ssl_version", "", TLS_VERSIONS)
    moved: list[str] = []
    cassandra = []
    for server in _servers(conf, "cassandra_server_list", "127.0.0.1", CASSANDRA_PORT):
        port = THRIFT_PORTS.get(server.port, server.port)
        if port != server.port:
            moved.append(f"{section}.cassandra_server_list: {server}: Thrift's port; CQL is spoken, to port {port}")
        cassandra.append(Endpoint(server.host, port))
    rabbit_port = conf.port(section, "rabbit_port", RABBITMQ_PORT)
    keeper_port = conf.port(section, "zk_server_port", ZOOKEEPER_PORT)
    database = ConfigDbSettings(
        cassandra=tuple(cassandra),
        rabbitmq=_servers(conf, "rabbit_server", "localhost", rabbit_port),
        zookeeper=_servers(conf, "zk_server_ip", "127.0.0.1", keeper_port),
        cassandra_user=_none(conf.text("CASSANDRA", "cassandra_user")),
        cassandra_password=_none(conf.text("CASSANDRA", "cassandra_password")),
        rabbitmq_user=conf.text(section, "rabbit_user", "guest"),
        rabbitmq_password=conf.text(section, "rabbit_password", "guest"),
        rabbitmq_vhost=_none(conf.text(section, "rabbit_vhost")).strip("/"),
        rabbitmq_ha_mode=conf.boolean(section, "rabbit_ha_mode", False),
        cluster_id=conf.text(section, "cluster_id"),
        cassandra_tls=tls_files(conf, section, "cassandra_use_ssl", "cassandra_ca_certs")
        or tls_files(conf, "CASSANDRA", "cassandra_use_ssl", "cassandra_ca_certs"),
        rabbitmq_tls=tls_files(
            conf, section, "rabbit_use_ssl", "kombu_ssl_ca_certs", "kombu_ssl_certfile", "kombu_ssl_keyfile"
        ),
        zookeeper_tls=_zookeeper_tls(conf, section) or _zookeeper_tls(conf, "ZOOKEEPER"),
    )
    address = conf.address(section, "http_server_ip", "127.0.0.1")
    return ConfigNodeConf(
        database,
        (address, conf.port(section, "http_server_port", 8087)),
        f"schema_transformer.{socket.getfqdn()}",
        conf.boolean(section, "logical_routers_enabled", True),
        (*moved, *_unverified(database), *_warnings(conf, CONFIG_KNOWN, CONFIG_NOT_DONE, ("QUOTA.",))),
    )


def agent_conf(conf: ConfFile) -> AgentConf:
    """Raises ConfError."""
    host = "VIRTUAL-HOST-INTERFACE"
    prefix = conf.text(host, "ip")
    address, _, length = prefix.partition("/")
    tunnel = conf.address(host, "loopback_ip", "")
    if not tunnel or tunnel == "0.0.0.0":
        tunnel = address
    if not _is_ipv4(tunnel) or (length and not (length.isdigit() and 0 < int(length) <= 32)):
        raise conf.wrong(host, "ip", "expected ADDRESS/LENGTH, IPv4")
    conf.choice("DEFAULT", "gateway_mode", "none", ("none", ""))
    conf.choice("DEFAULT", "agent_mode", "vrouter", ("vrouter",))
    emulator = "EMULATOR"
    bind = conf.address(emulator, "bind_address", "") or tunnel
    dns_xmpp_port = conf.port(emulator, "dns_xmpp_port", 8093)
    gateways = conf.words(host, "gateway")
    settings = AgentSettings(
        name=conf.text("DEFAULT", "agent_name") or conf.text("DEFAULT", "hostname") or socket.gethostname(),
        tunnel_address=tunnel,
        bind_address=bind,
        control_nodes=tuple((each.host, each.port) for each in conf.servers("CONTROL-NODE", "servers", (), 5269)),
        dns_servers=tuple(
            DnsServerAddress(each.host, each.port, dns_xmpp_port) for each in conf.servers("DNS", "servers", (), 53)
        ),
        resolvers=tuple((each, 53) for each in _resolvers(Path("/etc/resolv.conf"), {bind})),
        tunnel_type=conf.choice("DEFAULT", "tunnel_type", "MPLSoGRE", ("MPLSoGRE", "MPLSoUDP", "VXLAN")),
        introspect_port=conf.port("DEFAULT", "http_server_port", 8085),
        introspect_address=bind,
        port_api_port=conf.port("DEFAULT", "rest_port", 9091),
        port_api_address=bind if conf.has(emulator, "bind_address") else "127.0.0.1",
        ports_directory=conf.text(emulator, "ports_directory"),
        dns_client_port=conf.port("DNS", "dns_client_port", 8098 if not conf.has(emulator, "bind_address") else 0),
        dns_max_retries=conf.integer("DNS", "dns_max_retries", 2, 0, 100),
        subcluster_name=conf.text("CONTROL-NODE", "subcluster_name"),
        tls=_xmpp_tls(conf, "xmpp_auth_enable"),
        dns_tls=_xmpp_tls(conf, "xmpp_dns_auth_enable"),
        max_stanza=_max_stanza(conf),
        underlay_gateway=gateways[0] if gateways else "",
        underlay_prefix_length=int(length or 32),
        timers=_timers(conf),
    )
    return AgentConf(
        settings,
        conf.choice(emulator, "dataplane", "model", ("model", "none")),
        _underlay(conf, tunnel, bind),
        _warnings(conf, AGENT_KNOWN, AGENT_NOT_DONE, ("TRACEBUFFSIZE.", "GATEWAY-")),
    )


def log_of(conf: ConfFile, section: str) -> tuple[str | None, Path | None]:
    """(level, file) as the conf file has them, None for what it does not say. Raises ConfError."""
    level = conf.choice(section, "log_level", "", ("", *_LEVELS))
    file = conf.text(section, "log_file")
    return (_LEVELS[level] if level else None, Path(file) if file and file != "<stdout>" else None)


def _addresses(conf: ConfFile) -> tuple[str, str]:
    """(who we are, where we listen).

    The real daemons listen on every address. Ours take `hostip` alone, so that several run on one machine, and
    loopback without it.
    """
    given = conf.address("DEFAULT", "hostip", "")
    return (given, given) if given else (_own_address(), "127.0.0.1")


def _max_stanza(conf: ConfFile) -> int:
    """Bytes that a peer may send before its stanza ends."""
    return conf.integer("EMULATOR", "xmpp_max_stanza", DEFAULT_MAX_STANZA, MAX_HANDSHAKE, LARGEST_STANZA)


def _xmpp_tls(conf: ConfFile, use: str) -> TlsSettings | None:
    """The certificate files when `use` says so (reference/xmpp.md 1.4, agent.md 1)."""
    folder = "/etc/contrail/ssl"
    files = TlsSettings(
        conf.text("DEFAULT", "xmpp_server_cert", f"{folder}/certs/server.pem"),
        conf.text("DEFAULT", "xmpp_server_key", f"{folder}/private/server-privkey.pem"),
        conf.text("DEFAULT", "xmpp_ca_cert", f"{folder}/certs/ca-cert.pem"),
    )
    return files if conf.boolean("DEFAULT", use, False) else None


def _zookeeper_tls(conf: ConfFile, section: str) -> TlsFiles | None:
    return tls_files(
        conf, section,
        "zookeeper_ssl_enable", "zookeeper_ssl_ca_cert", "zookeeper_ssl_certificate", "zookeeper_ssl_keyfile",
    )  # fmt: skip


def _unverified(database: ConfigDbSettings) -> tuple[str, ...]:
    return tuple(f"{name}: TLS without a CA file: anybody could play this server" for name in database.unverified)


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _timers(conf: ConfFile) -> Timers:
    section = "LLGR"
    defaults = Timers()

    def seconds(name: str, option: str) -> float:
        return float(conf.integer(section, option, int(getattr(defaults, name)), 0, 1 << 31))

    return dataclasses.replace(
        defaults,
        stale_config_cleanup=seconds("stale_config_cleanup", "stale_config_cleanup_time"),
        config_inactivity=seconds("config_inactivity", "config_inactivity_time"),
        config_fallback=seconds("config_fallback", "config_fallback_time"),
        end_of_rib_tx_fallback=seconds("end_of_rib_tx_fallback", "end_of_rib_tx_fallback_time"),
        end_of_rib_tx_inactivity=seconds("end_of_rib_tx_inactivity", "end_of_rib_tx_inactivity_time"),
        end_of_rib_rx_fallback=seconds("end_of_rib_rx_fallback", "end_of_rib_rx_fallback_time"),
        flow_timeout=float(conf.integer("DEFAULT", "flow_cache_timeout", 0) or defaults.flow_timeout),
        dns_timeout=conf.integer("DNS", "dns_timeout", 3000, 1) / 1000,
        stale_interface_cleanup=float(conf.integer("DEFAULT", "stale_interface_cleanup_timeout", 60)),
    )


def _underlay(conf: ConfFile, tunnel: str, bind: str) -> tuple[tuple[str, str], ...]:
    """`underlay = TUNNEL=BOUND …`: where the data plane model sends packets for a tunnel address."""
    pairs = {tunnel: bind}
    for word in conf.words("EMULATOR", "underlay"):
        address, equals, bound = word.partition("=")
        if not _is_ipv4(address) or (equals and not _is_ipv4(bound)):
            raise conf.wrong("EMULATOR", "underlay", f"{word}: expected TUNNEL=ADDRESS, IPv4")
        pairs[address] = bound or address
    return tuple(pairs.items())


def _is_ipv4(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def _servers(conf: ConfFile, option: str, default: str, port: int) -> tuple[Endpoint, ...]:
    """A list of [DEFAULTS], separated by blanks or commas."""
    text = conf.text("DEFAULTS", option) or default
    try:
        return parse_servers(text, port)
    except ValueError as error:
        raise conf.wrong("DEFAULTS", option, str(error)) from error


def _none(text: str) -> str:
    """Python daemons' files say None for nothing."""
    return "" if text.lower() == "none" else text


def _resolvers(path: Path, own: Iterable[str]) -> tuple[str, ...]:
    """The name servers of this machine, without ourselves."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    named = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return tuple(address for address in named if _is_ipv4(address) and address not in own)


def _warnings(
    conf: ConfFile, known: Table, not_done: Iterable[tuple[str, str]] = (), free: Iterable[str] = ()
) -> tuple[str, ...]:
    """A line for each option that is unknown, or known and not done. What begins with one of `free` is fine."""
    found = []
    for section, option in not_done:
        if conf.boolean(section, option, False):
            found.append(f"{section}.{option}: not done by the emulator; taken as false")
    for section, options in known.items():
        for option in options.split():
            conf.words(section, option)
    kept = [line for line in conf.unknown() if not any(f": {section}" in line for section in free)]
    return (*found, *kept)
