"""What a speaker and its peers are told, and what a change of it does to a session (reference/bgp.md 1.7, 5)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, ip_address

from .family import Family
from .timers import TimerSettings

AS_TRANS = 23456
MASTER_INSTANCE = "default-domain:default-project:ip-fabric:__default__"
MAX_AS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class GracefulRestartSettings:
    """global-system-config graceful-restart-parameters (reference/bgp.md 1.9). Times in seconds.

    enabled: we announce the capability with our families. helper: we keep a restarting peer's routes.
    restarting: in profile `rfc`, set the R bit in our OPENs; profile `contrail` goes by the start-up phase instead.
    """

    enabled: bool = False
    helper: bool = False
    time: int = 300
    long_lived_time: int = 300
    restarting: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.time < 1 << 12:
            raise ValueError(f"graceful restart time {self.time}: expected 0 to 4095 seconds")
        if not 0 <= self.long_lived_time < 1 << 24:
            raise ValueError(f"long-lived graceful restart time {self.long_lived_time}: expected 0 to 16777215 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """One BGP speaker.

    autonomous_system: the AS used to peer. router_id: dotted. address, port: where to listen (port 0: a free one).
    end_of_rib_timeout: seconds; a fifth of it is the start-up phase. dscp: 0 to 63, for every session.
    """

    autonomous_system: int
    router_id: str
    address: str = "0.0.0.0"
    port: int = 179
    hold_time: int = 90
    four_byte_as: bool = True
    graceful_restart: GracefulRestartSettings = GracefulRestartSettings()
    end_of_rib_timeout: float = 300.0
    admin_down: bool = False
    dscp: int = 0
    timers: TimerSettings = field(default_factory=TimerSettings)

    def __post_init__(self) -> None:
        _check_as(self.autonomous_system)
        if int(IPv4Address(self.router_id)) == 0:
            raise ValueError("router_id 0.0.0.0: RFC 6286 wants a non-zero identifier")
        ip_address(self.address)
        _check_port(self.port, least=0)
        _check_hold_time(self.hold_time)
        if not 0 <= self.dscp < 64:
            raise ValueError(f"dscp {self.dscp}: expected 0 to 63")
        if self.autonomous_system > 0xFFFF and not self.four_byte_as:
            raise ValueError(f"autonomous system {self.autonomous_system} needs four_byte_as")

    @property
    def identifier(self) -> int:
        """The BGP identifier as a number."""
        return int(IPv4Address(self.router_id))

    @property
    def source_address(self) -> str | None:
        """Where our connections come from unless the peer says otherwise; None: the system chooses."""
        return None if ip_address(self.address).is_unspecified else self.address

    @property
    def startup_time(self) -> float:
        """Length of the start-up phase in seconds: 20 % of the End-of-RIB time."""
        return self.end_of_rib_timeout / 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySettings:
    """Per-family session attributes. prefix_limit 0: none. idle_timeout: seconds a peer stays down after exceeding it.

    loop_count None: the session's. gateway_address: next hop given to a BGPaaS client.
    """

    loop_count: int | None = None
    prefix_limit: int = 0
    idle_timeout: float = 0.0
    default_tunnel_encap: tuple[str, ...] = ()
    gateway_address: str | None = None


_NO_FAMILY_SETTINGS = FamilySettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """One neighbour.

    address, port: where to connect to and where its connections come from. local_address: source of ours.
    hold_time None: the speaker's. local_as None: the speaker's. md5: TCP MD5 key (RFC 2385), never printed.
    source_port: for a BGP-as-a-service client (`bgpaas`), the port its connections come from tells it apart.
    The attributes from as_override on are only carried here, for whoever edits routes (reference/bgp.md 1.10).
    """

    name: str
    address: str
    port: int = 179
    autonomous_system: int
    families: tuple[Family, ...] = (Family.INET, Family.INET_VPN)
    passive: bool = False
    admin_down: bool = False
    hold_time: int | None = None
    local_as: int | None = None
    local_address: str | None = None
    md5: str | None = field(default=None, repr=False)
    bgpaas: bool = False
    source_port: int = 0
    router_type: str = "router"
    instance: str = MASTER_INSTANCE
    family_settings: tuple[tuple[Family, FamilySettings], ...] = ()
    cluster_id: int = 0
    as_override: bool = False
    loop_count: int = 0
    private_as_action: str = ""
    origin_override: str | None = None

    def __post_init__(self) -> None:
        ip_address(self.address)
        if self.local_address is not None:
            ip_address(self.local_address)
        _check_port(self.port, least=0 if self.passive or self.bgpaas else 1)
        _check_as(self.autonomous_system)
        if self.local_as is not None:
            _check_as(self.local_as)
        if self.hold_time is not None:
            _check_hold_time(self.hold_time)
        if not self.families:
            raise ValueError(f"peer {self.name}: no address family")
        if self.md5 is not None and not 1 <= len(self.md5.encode()) <= 80:
            raise ValueError(f"peer {self.name}: an md5 key has 1 to 80 bytes")
        if self.bgpaas and not set(self.families) <= {Family.INET, Family.INET6}:
            raise ValueError(f"peer {self.name}: a BGPaaS client speaks inet and inet6 only")

    def of_family(self, family: Family) -> FamilySettings:
        """What is set for one family, or the defaults."""
        for known, settings in self.family_settings:
            if known == family:
                return settings
        return _NO_FAMILY_SETTINGS

    @property
    def stays_passive(self) -> bool:
        """True when we never connect: told so, or a BGPaaS client."""
        return self.passive or self.bgpaas


class Change(Enum):
    """What a new PeerSettings asks of a running peer."""

    NONE = "none"
    CLEAR = "clear"
    ADMIN_DOWN = "admin-down"
    ADMIN_UP = "admin-up"


def change_of(old: PeerSettings, new: PeerSettings) -> Change:
    """Admin state first; any other difference clears the session with Cease/6 (reference/bgp.md 1.7)."""
    if old == new:
        return Change.NONE
    if new.admin_down != old.admin_down:
        return Change.ADMIN_DOWN if new.admin_down else Change.ADMIN_UP
    return Change.CLEAR


def speaker_change_clears(old: SpeakerSettings, new: SpeakerSettings) -> bool:
    """True when a change of the speaker's settings clears every session (reference/bgp.md 1.7).

    A traffic class is taken by sockets that live.
    """
    return dataclasses.replace(old, admin_down=new.admin_down, dscp=new.dscp) != new


def _check_as(number: int) -> None:
    if not 0 < number <= MAX_AS:
        raise ValueError(f"autonomous system {number}: expected 1 to {MAX_AS}")


def _check_port(port: int, least: int) -> None:
    if not least <= port <= 0xFFFF:
        raise ValueError(f"port {port}: expected {least} to 65535")


def _check_hold_time(seconds: int) -> None:
    if seconds not in range(3, 0x10000) and seconds != 0:
        raise ValueError(f"hold time {seconds}: expected 0 or 3 to 65535 seconds (RFC 4271 4.2)")
