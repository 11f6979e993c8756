"""What one agent is told at start (reference/agent.md 1); every port and timer of the real daemon, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.xmpp.framing import DEFAULT_MAX_STANZA
from contrail_emulator.control.xmpp.tls import TlsSettings


@dataclass(frozen=True, slots=True)
class DnsServerAddress:
    """One name server: queries go to `udp_port`, records of virtual machines to `xmpp_port` (reference/dns.md 2)."""

    address: str
    udp_port: int = 53
    xmpp_port: int = 8093


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. `config_*`, `end_of_rib_*` and the 30 days are [LLGR] of the conf file (reference/agent.md 3.4)."""

    config_inactivity: float = 15.0
    config_fallback: float = 900.0
    stale_config_cleanup: float = 100.0
    end_of_rib_tx_inactivity: float = 15.0
    end_of_rib_tx_fallback: float = 60.0
    end_of_rib_rx_fallback: float = 60.0
    long_lived_stale: float = 2_592_000.0
    flow_timeout: float = 180.0
    short_flow_timeout: float = 2.0
    flow_scan: float = 10.0
    dns_timeout: float = 3.0
    stale_interface_cleanup: float = 60.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """An agent's identity, peers and ports.

    `tunnel_address` is the router id: the next hop that is advertised and the source of tunnels. `bind_address` is
    where sockets are opened (default: the tunnel address). A port of 0 takes a free one; `None` opens nothing.
    `max_vm_flows` limits the flows of one interface, 0 does not. `tls` and `dns_tls` are for the sessions to control
    nodes and to name servers: the agent's own certificate, and the authority that theirs must be of. `max_stanza`, in
    bytes, ends a session to who sends more at once.
    """

    name: str
    tunnel_address: str
    bind_address: str = ""
    control_nodes: tuple[tuple[str, int], ...] = ()
    dns_servers: tuple[DnsServerAddress, ...] = ()
    resolvers: tuple[tuple[str, int], ...] = ()
    tunnel_type: str = "MPLSoGRE"
    introspect_port: int | None = None
    introspect_address: str = "127.0.0.1"
    port_api_port: int | None = None
    port_api_address: str = "127.0.0.1"
    ports_directory: str = ""
    dns_client_port: int = 0
    dns_max_retries: int = 2
    hold_time: int = 90
    subcluster_name: str = ""
    tls: TlsSettings | None = None
    dns_tls: TlsSettings | None = None
    max_stanza: int = DEFAULT_MAX_STANZA
    vhost_mac: bytes = b""
    underlay_gateway: str = ""
    underlay_prefix_length: int = 24
    max_labels: int = 5120
    max_vrfs: int = 4096
    max_vm_flows: int = 0
    timers: Timers = field(default_factory=Timers)
    behaviour: Behaviour = CONTRAIL

    @property
    def source_address(self) -> str:
        """Where sockets of this agent are bound."""
        return self.bind_address or self.tunnel_address

    @property
    def router_id(self) -> int:
        return int(IPv4Address(self.tunnel_address))

    @property
    def mac(self) -> bytes:
        """MAC of vhost0 and of the uplink; made from the tunnel address when none is given."""
        return self.vhost_mac or b"\x02\x00" + self.router_id.to_bytes(4, "big")

    @property
    def virtual_router_name(self) -> str:
        return f"default-global-system-config:{self.name}"
