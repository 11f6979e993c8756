"""The OPEN we send and what is asked of the one we get (reference/bgp.md 1.4, 1.5, 1.9)."""

from __future__ import annotations

from contrail_emulator.base.behaviour import Behaviour

from .capability import (
    Capability,
    CapabilityCode,
    FourOctetAs,
    GracefulRestart,
    LongLivedFamily,
    LongLivedGracefulRestart,
    Multiprotocol,
    RestartFamily,
    UnknownCapability,
)
from .family import Family
from .graceful_restart import Announced
from .message import Open
from .negotiation import Negotiated, negotiate
from .notification import Code, MessageError, OpenError
from .settings import AS_TRANS, PeerSettings, SpeakerSettings


def local_as(speaker: SpeakerSettings, peer: PeerSettings) -> int:
    return peer.local_as or speaker.autonomous_system


def local_open(speaker: SpeakerSettings, peer: PeerSettings, behaviour: Behaviour, restarting: bool) -> Open:
    """Our OPEN to this peer. `restarting`: the R bit."""
    hold_time = speaker.hold_time if peer.hold_time is None else peer.hold_time
    capabilities = _capabilities(speaker, peer, behaviour, restarting)
    return Open.make(local_as(speaker, peer), hold_time, speaker.identifier, tuple(capabilities))


def _capabilities(
    speaker: SpeakerSettings, peer: PeerSettings, behaviour: Behaviour, restarting: bool
) -> list[Capability]:
    families = [family for family in Family if family in peer.families]
    capabilities: list[Capability] = [Multiprotocol.of(family) for family in families]
    if not behaviour.refuse_route_refresh:
        capabilities.append(UnknownCapability(CapabilityCode.ROUTE_REFRESH))
    if speaker.four_byte_as:
        capabilities.append(FourOctetAs(local_as(speaker, peer)))
    restart = speaker.graceful_restart
    if restart.enabled:
        kept = tuple(RestartFamily.of(family) for family in families)
        capabilities.append(GracefulRestart(restart.time, kept, restarting, notification=True))
        if restart.long_lived_time:
            stale = tuple(LongLivedFamily.of(family, restart.long_lived_time) for family in families)
            capabilities.append(LongLivedGracefulRestart(stale))
    elif behaviour.always_send_graceful_restart_capability:
        capabilities.append(GracefulRestart(0, (), restarting))
    return capabilities


def check(message: Open, speaker: SpeakerSettings, peer: PeerSettings, behaviour: Behaviour) -> None:
    """Raises MessageError 2/3, 2/2 or 2/7, tried in this order."""
    own_refused = behaviour.refuse_own_identifier_from_ebgp or peer.autonomous_system == local_as(speaker, peer)
    if not message.identifier or (own_refused and message.identifier == speaker.identifier):
        raise MessageError(Code.OPEN, OpenError.BAD_IDENTIFIER, b"", "identifier 0 or our own")
    _check_as(message, speaker, peer, behaviour)
    if not agreed(message, speaker, peer, behaviour).families:
        wanted = b"".join(Multiprotocol.of(family).encode() for family in Family if family in peer.families)
        data = b"" if behaviour.short_open_fault_data else wanted
        raise MessageError(Code.OPEN, OpenError.UNSUPPORTED_CAPABILITY, data, "no address family in common")


def _check_as(message: Open, speaker: SpeakerSettings, peer: PeerSettings, behaviour: Behaviour) -> None:
    expected = peer.autonomous_system
    four_octet = message.four_octet_as if speaker.four_byte_as else None
    plausible = message.my_as in (AS_TRANS, expected)
    if message.my_as == AS_TRANS != expected and four_octet is None and not behaviour.accept_as_trans_without_as4:
        plausible = False
    if not plausible or (four_octet is not None and four_octet != expected):
        raise MessageError(Code.OPEN, OpenError.BAD_PEER_AS, b"", f"AS {message.asn}, {expected} is configured")


def agreed(
    message: Open, speaker: SpeakerSettings, peer: PeerSettings, behaviour: Behaviour, restarting: bool = False
) -> Negotiated:
    """What our OPEN and the peer's agree on."""
    ours = local_open(speaker, peer, behaviour, restarting)
    return negotiate(ours, message, behaviour, peer.autonomous_system)


def announced(message: Open) -> Announced:
    """What the peer's OPEN says about restarting."""
    restart = message.graceful_restart
    long_lived = message.long_lived_graceful_restart
    if restart is None:
        return Announced()
    long_lived_families = long_lived.families if long_lived is not None else ()
    return Announced(
        time=restart.time,
        restarting=restart.restarting,
        notification=restart.notification,
        families={item.family: item.forwarding for item in restart.families if item.family is not None},
        foreign=any(item.family is None for item in restart.families),
        long_lived_time=max((item.time for item in long_lived_families), default=0),
        long_lived_families={item.family: item.forwarding for item in long_lived_families if item.family is not None},
    )
