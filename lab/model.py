"""The lab file: what a user writes to describe a lab (docs/lab-file.md lists every option)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from contrail_emulator.base.servers import parse_servers
from contrail_emulator.config.backends import CASSANDRA_PORT, ZOOKEEPER_PORT, ConfigDbSettings
from contrail_emulator.config.writer.route_targets import AUTOMATIC_2_BYTE, AUTOMATIC_4_BYTE

from .bus_url import parse_bus
from .errors import LabError
from .router_limits import router_faults
from .values import Domain, Flag, Integer, Mac, Md5Key, Name, RouteDistinguisher, RouteTarget
from .yaml_lines import Location, load

Port = Annotated[Integer, Field(ge=0, le=65535)]
AutonomousSystem = Annotated[Integer, Field(ge=1, le=4294967295)]
Label = Annotated[Integer, Field(ge=16, le=1048575)]
FamilyName = Literal[
    "inet", "inet6", "inet-labeled", "inet-vpn", "inet6-vpn", "route-target", "e-vpn", "erm-vpn", "inet-mvpn"
]
Encapsulation = Literal["MPLSoUDP", "MPLSoGRE", "VXLAN"]
RouterKind = Literal["external", "exabgp", "bird", "frr", "gobgp", "openbgpd"]
MAX_SHOWN = 60
MAX_AS2 = 0xFFFF
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tuple_type": "expected a list",
        "model_type": "expected a mapping such as {name: …}",
        "dict_type": "expected a mapping",
        "mapping_type": "expected a mapping",
        "string_type": "expected text",
        "int_type": "expected a whole number",
        "bool_type": "expected true or false",
        "too_short": "expected at least one in this list",
        "path_type": "expected the name of a file",
        "ip_v4_network": "expected a valid IPv4 network such as 10.1.0.0/24, without host bits",
    }
)
"""What YAML calls what pydantic's messages call by Python's names, by the kind of its error."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a lab was read from. All are equal: two labs that say the same are the same lab."""

    path: Path = field(default=Path("lab"), compare=False)
    lines: Mapping[Location, int] = field(default_factory=dict, compare=False)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)


class GracefulRestart(_Strict):
    enabled: Flag = False
    time: Annotated[Integer, Field(ge=0, le=4095)] = 300
    long_lived_time: Annotated[Integer, Field(ge=0, le=16777215)] = 300


class ControlNode(_Strict):
    name: Name = ""
    address: IPv4Address = IPv4Address("127.0.0.1")
    router_id: IPv4Address | None = None
    bgp_port: Port = 179
    xmpp_port: Port = 5269
    introspect_port: Port = 8083
    cluster_id: Annotated[Integer, Field(ge=0, le=4294967295)] = 0


class GatewayRoute(_Strict):
    """A route that a launched router originates."""

    prefix: IPv4Network
    family: Literal["inet", "inet-vpn"] = "inet-vpn"
    route_distinguisher: RouteDistinguisher | None = None
    route_targets: tuple[RouteTarget, ...] = ()
    next_hop: IPv4Address | None = None
    label: Label | None = None


class BgpPeer(_Strict):
    """A real router beside the control nodes."""

    name: Name
    address: IPv4Address
    port: Port = 179
    passive: Flag = False
    autonomous_system: AutonomousSystem
    router_id: IPv4Address | None = None
    families: Annotated[tuple[FamilyName, ...], Field(min_length=1)] = ("inet", "inet-vpn")
    kind: RouterKind = "external"
    hold_time: Annotated[Integer, Field(ge=0, le=65535)] = 90
    md5: Md5Key | None = Field(default=None, repr=False)
    default_tunnel_encap: tuple[Literal["udp", "gre", "vxlan", "mpls"], ...] = ()
    routes: tuple[GatewayRoute, ...] = ()

    @field_validator("hold_time")
    @classmethod
    def _hold_time(cls, value: int) -> int:
        if value in (1, 2):
            raise ValueError("expected 0 or at least 3 seconds (RFC 4271, 4.2)")
        return value


class Network(_Strict):
    name: Name
    subnet: IPv4Network
    route_targets: tuple[RouteTarget, ...] = ()
    forwarding_mode: Literal["l3", "l2", "l2_l3"] = "l3"

    @field_validator("subnet")
    @classmethod
    def _subnet(cls, value: IPv4Network) -> IPv4Network:
        if value.prefixlen > 29:
            raise ValueError("expected a subnet with room for a gateway, a DNS address and machines (/29 or larger)")
        if value.is_multicast:
            raise ValueError("expected a unicast subnet")
        return value

    @property
    def room(self) -> int:
        """How many machines have an address in it."""
        return self.subnet.num_addresses - len((self.subnet[0], self.subnet[-1], self.gateway, self.dns_server))

    @property
    def gateway(self) -> IPv4Address:
        """The last usable address, as the real API server picks it (reference/config.md 3.8)."""
        return self.subnet[-2]

    @property
    def dns_server(self) -> IPv4Address:
        """The address below the gateway."""
        return self.subnet[-3]


class Machine(_Strict):
    name: Name
    network: str
    address: IPv4Address | None = None
    mac: Mac | None = None
    port: Literal["memory", "tap"] = "memory"


class Agent(_Strict):
    name: Name = ""
    tunnel_address: IPv4Address | None = None
    bind: IPv4Address | None = None
    introspect_port: Port = 8085
    port_api_port: Port = 0
    dataplane: Literal["model", "none"] = "model"
    machines: tuple[Machine, ...] = ()


class Dns(_Strict):
    address: IPv4Address = IPv4Address("127.0.0.1")
    port: Port = 53
    xmpp_port: Port = 8093
    introspect_port: Port = 8092
    domain: Domain


class Config(_Strict):
    """Where the configuration is: embedded (in memory, or in the file `path`), or real servers.

    `bus` holds a password: it is never shown, also not in an error (which is why it is read here, not in a field).
    """

    store: Literal["embedded", "cassandra"] = "embedded"
    path: Path | None = None
    servers: tuple[str, ...] = ()
    bus: SecretStr | None = None
    zookeeper: tuple[str, ...] = ()
    cluster_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,24}$")] = ""
    user: str = ""
    password: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _whole(self) -> Config:
        if self.store == "cassandra":
            if self.path is not None:
                raise ValueError("path is for store: embedded")
            if not self.servers or self.bus is None or not self.zookeeper:
                raise ValueError("store: cassandra needs servers, bus and zookeeper")
            _ = self.settings
        elif self.model_fields_set - {"store", "path"}:
            raise ValueError("servers, bus, zookeeper, cluster_id, user and password are for store: cassandra")
        return self

    @property
    def settings(self) -> ConfigDbSettings:
        """The servers of `store: cassandra`. Raises ValueError, without the secret."""
        bus = parse_bus(self.bus.get_secret_value() if self.bus is not None else "")
        return ConfigDbSettings(
            cassandra=parse_servers(self.servers, CASSANDRA_PORT),
            rabbitmq=bus.servers,
            zookeeper=parse_servers(self.zookeeper, ZOOKEEPER_PORT),
            cassandra_user=self.user,
            cassandra_password=self.password.get_secret_value(),
            rabbitmq_user=bus.user,
            rabbitmq_password=bus.password,
            rabbitmq_vhost=bus.vhost,
            cluster_id=self.cluster_id,
        )


class LabFile(_Strict):
    """A lab, checked and with its defaults filled in."""

    name: Name
    autonomous_system: AutonomousSystem
    four_byte_as: Flag = True
    graceful_restart: GracefulRestart = GracefulRestart()
    end_of_rib_timeout: Annotated[Integer, Field(ge=0, le=4095)] = 300
    encapsulation_priorities: tuple[Encapsulation, ...] = ("MPLSoUDP", "VXLAN", "MPLSoGRE")
    behaviour: Literal["contrail", "rfc"] = "contrail"
    control_nodes: Annotated[tuple[ControlNode, ...], Field(min_length=1)] = (ControlNode(),)
    bgp_peers: tuple[BgpPeer, ...] = ()
    networks: tuple[Network, ...] = ()
    agents: tuple[Agent, ...] = ()
    underlay: Mapping[IPv4Address, IPv4Address] = Field(default_factory=dict)
    dns: Dns | None = None
    config: Config = Config()
    capture: Path | None = None
    _source: Source = PrivateAttr(default_factory=Source)

    @classmethod
    def load(cls, path: Path) -> LabFile:
        """Reads, checks and completes a lab file.

        Raises:
            LabError: "FILE:LINE: where: what was expected", for the first fault.
        """
        data, lines = load(path)
        if not isinstance(data, dict):
            raise LabError(f"{path}:1: expected a mapping with name, autonomous_system, …")
        return cls.parse(data, path, lines)

    @classmethod
    def parse(
        cls, data: Mapping[str, Any], path: Path = Path("lab"), lines: Mapping[Location, int] | None = None
    ) -> LabFile:
        """The same from values already read; `lines` maps a location in `data` to its line."""
        where = lines or {}
        try:
            lab = _complete(cls.model_validate(data))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise LabError(
                _describe(path, where, fault["loc"], fault["type"], fault["msg"], fault.get("input"))
            ) from error
        for location, message in _faults(lab):
            raise LabError(f"{path}:{_line(where, location)}: {_dotted(location)}: {message}")
        lab._source = Source(path, where)
        return lab

    def line_of(self, *location: str | int) -> str:
        """`FILE:LINE: ` of what stands there, or of what is around it, to begin a message with; "" without a file."""
        source = self._source
        return f"{source.path}:{_line(source.lines, location)}: " if source.lines else ""

    def data_side(self, peer: BgpPeer) -> IPv4Address:
        """Where a router's data side listens: its tunnel address is its router id, bound to what the underlay says."""
        assert peer.router_id is not None
        return self.underlay.get(peer.router_id, peer.address)

    def network(self, name: str) -> Network:
        return next(network for network in self.networks if network.name == name)


def _complete(lab: LabFile) -> LabFile:
    """Names and addresses that the user left out, counted from 1 (docs/lab-file.md)."""
    nodes = tuple(
        node.model_copy(
            update={
                "name": node.name or f"control-{index}",
                "router_id": node.router_id or IPv4Address("10.255.0.0") + index,
            }
        )
        for index, node in enumerate(lab.control_nodes, 1)
    )
    agents = []
    for index, agent in enumerate(lab.agents, 1):
        tunnel = agent.tunnel_address or IPv4Address("10.255.2.0") + index
        agents.append(
            agent.model_copy(
                update={
                    "name": agent.name or f"compute-{index}",
                    "tunnel_address": tunnel,
                    "bind": agent.bind or tunnel,
                }
            )
        )
    peers = tuple(peer.model_copy(update={"router_id": peer.router_id or peer.address}) for peer in lab.bgp_peers)
    return lab.model_copy(update={"control_nodes": nodes, "agents": tuple(agents), "bgp_peers": peers})


def _faults(lab: LabFile) -> Iterator[tuple[Location, str]]:
    """What no single value shows: what is used twice, references to nothing, values that exclude each other."""
    yield from _twice("control_nodes", "name", [node.name for node in lab.control_nodes])
    yield from _twice("control_nodes", "router_id", [node.router_id for node in lab.control_nodes])
    yield from _twice("control_nodes", "address", [node.address for node in lab.control_nodes])
    yield from _twice("bgp_peers", "name", [peer.name for peer in lab.bgp_peers])
    yield from _twice("bgp_peers", "router_id", [peer.router_id for peer in lab.bgp_peers])
    yield from _twice("bgp_peers", "address", [(peer.address, peer.port) for peer in lab.bgp_peers])
    yield from _twice("networks", "name", [network.name for network in lab.networks])
    yield from _twice("agents", "name", [agent.name for agent in lab.agents])
    yield from _twice("agents", "tunnel_address", [agent.tunnel_address for agent in lab.agents])
    yield from _twice("agents", "bind", [agent.bind for agent in lab.agents])
    if not lab.four_byte_as and lab.autonomous_system > MAX_AS2:
        yield ("autonomous_system",), f"{lab.autonomous_system} needs four_byte_as"
    if "MPLSoUDP" not in lab.encapsulation_priorities and any(agent.dataplane == "model" for agent in lab.agents):
        yield ("encapsulation_priorities",), "expected MPLSoUDP among them: GRE cannot leave an unprivileged process"
    for index, node in enumerate(lab.control_nodes):
        yield from _unusable(("control_nodes", index), node.address, node.router_id)
    for index, peer in enumerate(lab.bgp_peers):
        yield from _peer_faults(lab, index, peer)
    for tunnel, bound in lab.underlay.items():
        yield from _no_host(("underlay", str(tunnel)), tunnel)
        yield from _no_host(("underlay", str(tunnel)), bound)
    yield from _data_side_faults(lab)
    yield from _network_faults(lab)
    yield from _machine_faults(lab)


def _no_host(here: Location, address: IPv4Address) -> Iterator[tuple[Location, str]]:
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        yield here, f"{address} is no host's address"


def _unusable(here: Location, address: IPv4Address, router_id: IPv4Address | None) -> Iterator[tuple[Location, str]]:
    yield from _no_host((*here, "address"), address)
    if router_id is not None and router_id.is_unspecified:
        yield (*here, "router_id"), "0.0.0.0 is no BGP identifier (RFC 6286)"


def _twice(section: str, field: str, values: list[Any]) -> Iterator[tuple[Location, str]]:
    seen: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            shown = f"{value[0]} port {value[1]}" if isinstance(value, tuple) else value
            yield (section, index, field), f"{shown} is already that of {section}[{seen[value]}]"
        seen[value] = index


def _peer_faults(lab: LabFile, index: int, peer: BgpPeer) -> Iterator[tuple[Location, str]]:
    here = ("bgp_peers", index)
    yield from _unusable(here, peer.address, peer.router_id)
    if peer.name in {node.name for node in lab.control_nodes}:
        yield (*here, "name"), f"expected a name of its own; {peer.name} is a control node"
    if peer.router_id in {node.router_id for node in lab.control_nodes}:
        yield (*here, "router_id"), f"{peer.router_id} is a control node's"
    if not lab.four_byte_as and peer.autonomous_system > MAX_AS2:
        yield (*here, "autonomous_system"), f"{peer.autonomous_system} needs four_byte_as"
    if len(set(peer.families)) < len(peer.families):
        yield (*here, "families"), "a family stands here twice"
    yield from router_faults(here, peer, lab.autonomous_system)
    for number, route in enumerate(peer.routes):
        yield from _route_faults((*here, "routes", number), peer, route)


def _route_faults(here: Location, peer: BgpPeer, route: GatewayRoute) -> Iterator[tuple[Location, str]]:
    if peer.kind == "external":
        yield here, "routes are for a router that the lab starts; kind is external"
    if route.family not in peer.families:
        yield (*here, "family"), f"expected one of the peer's families ({', '.join(peer.families)})"
    if route.family == "inet-vpn" and (
        route.route_distinguisher is None or not route.route_targets or route.label is None
    ):
        yield here, "an inet-vpn route needs route_distinguisher, route_targets and label"


def _data_side_faults(lab: LabFile) -> Iterator[tuple[Location, str]]:
    """Tunnel addresses and where their packets go: each is one agent's, or one router's that the lab starts."""
    listening: dict[IPv4Address, str] = {}
    next_hops: dict[IPv4Address, str] = {}
    for index, peer in enumerate(lab.bgp_peers):
        if peer.kind == "external":
            continue
        bound = lab.data_side(peer)
        if bound in listening:
            yield ("bgp_peers", index, "address"), f"the lab listens at {bound} in place of {listening[bound]}"
        listening[bound] = peer.name
        for route in peer.routes:
            next_hops[route.next_hop or peer.router_id or bound] = peer.name
    for index, agent in enumerate(lab.agents):
        assert agent.tunnel_address is not None and agent.bind is not None
        here = ("agents", index)
        yield from _no_host((*here, "tunnel_address"), agent.tunnel_address)
        yield from _no_host((*here, "bind"), agent.bind)
        if agent.bind in listening:
            yield (*here, "bind"), f"{agent.bind}: the lab listens there in place of {listening[agent.bind]}"
        if agent.tunnel_address in next_hops:
            owner = next_hops[agent.tunnel_address]
            yield (*here, "tunnel_address"), f"{agent.tunnel_address} is {owner}'s next hop"


def _network_faults(lab: LabFile) -> Iterator[tuple[Location, str]]:
    reserved = AUTOMATIC_2_BYTE if lab.autonomous_system <= MAX_AS2 else AUTOMATIC_4_BYTE
    for index, network in enumerate(lab.networks):
        for number, target in enumerate(network.route_targets):
            administrator, _, value = target.removeprefix("target:").partition(":")
            if administrator == str(lab.autonomous_system) and int(value) in reserved:
                yield (
                    ("networks", index, "route_targets", number),
                    f"{target} is in the range {reserved[0]}..{reserved[-1]} that the system gives out",
                )


def _machine_faults(lab: LabFile) -> Iterator[tuple[Location, str]]:
    networks = {network.name: network for network in lab.networks}
    names: dict[str, str] = {}
    addresses: dict[tuple[str, IPv4Address], str] = {}
    macs: dict[tuple[str, str], str] = {}
    in_dns: dict[str, str] = {}
    placed: Counter[str] = Counter()
    for index, agent in enumerate(lab.agents):
        for number, machine in enumerate(agent.machines):
            here = ("agents", index, "machines", number)
            network = networks.get(machine.network)
            if network is None:
                known = ", ".join(networks) or "none"
                yield (*here, "network"), f"no network is called {machine.network} (there is: {known})"
                continue
            if lab.dns is not None and not machine.name.replace("-", "").isalnum():
                yield (
                    (*here, "name"),
                    f"{machine.name} is no DNS label: expected letters, digits and '-' where dns is set",
                )
            if machine.name in names:
                yield (*here, "name"), f"{machine.name} already is a machine of {names[machine.name]}"
            names[machine.name] = agent.name
            namesake = in_dns.setdefault(machine.name.lower(), machine.name)
            if lab.dns is not None and namesake != machine.name:
                yield (*here, "name"), f"{machine.name} and {namesake} are one name in DNS"
            placed[network.name] += 1
            if placed[network.name] > network.room:
                yield (*here, "network"), f"{network.name} ({network.subnet}) has room for {network.room} machines"
            if machine.mac is not None:
                owner = macs.setdefault((network.name, machine.mac), machine.name)
                if owner != machine.name:
                    yield (*here, "mac"), f"{machine.mac} already is the MAC of {owner}"
            if machine.address is None:
                continue
            subnet = network.subnet
            if machine.address not in subnet or machine.address in (subnet[0], subnet[-1]):
                yield (
                    (*here, "address"),
                    f"expected an address of {network.name}'s subnet {subnet}, got {machine.address}",
                )
            elif machine.address in (network.gateway, network.dns_server):
                role = "gateway" if machine.address == network.gateway else "DNS address"
                yield (*here, "address"), f"{machine.address} is the {role} of {network.name}"
            owner = addresses.setdefault((network.name, machine.address), machine.name)
            if owner != machine.name:
                yield (*here, "address"), f"{machine.address} already is the address of {owner}"


def _describe(
    path: Path, lines: Mapping[Location, int], location: Location, kind: str, message: str, value: object
) -> str:
    place = f"{path}:{_line(lines, location)}: {_dotted(location)}"
    match kind:
        case "extra_forbidden":
            return f"{place}: unknown key"
        case "missing":
            return f"{place}: expected, but it is not there"
    if kind in WORDS:
        message = WORDS[kind]
    expected = message.removeprefix("Value error, ").replace("Input should be", "expected")
    expected = expected.replace("Input is not", "expected")
    expected = expected[0].lower() + expected[1:]
    shown = ""
    if isinstance(value, str | int | float | bool) or value is None:
        text = repr(value)
        shown = f", got {text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + '…'}"
    return f"{place}: {expected}{shown}"


def _line(lines: Mapping[Location, int], location: Location) -> int:
    for length in range(len(location), -1, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return 1


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "lab"


__all__ = ["Agent", "BgpPeer", "ControlNode", "Dns", "GatewayRoute", "LabFile", "Machine", "Network"]
