"""What makes a next hop valid, per type (reference/vrouter.md 3). Answers are 0 or a negative errno."""

from __future__ import annotations

import errno

from .flags import ZERO_MAC, Family, NhFlag, NhType
from .rows import NextHop
from .tables.interface import Interface
from .tables.next_hop import Component, NextHopEntry

_WORD = 0xFFFFFFFF
_FABRIC_KINDS = int(NhFlag.COMPOSITE_FABRIC | NhFlag.COMPOSITE_EVPN | NhFlag.COMPOSITE_TOR)
_MCAST_PARTS = _FABRIC_KINDS | int(NhFlag.COMPOSITE_ENCAP)


def change_allowed(old: NextHop, new: NextHop) -> bool:
    """A change keeps the type, the length of the encapsulation and whether the next hop is indirect."""
    if new.type is not old.type or (new.encap and len(new.encap) != len(old.encap)):
        return False
    return not (new.flags ^ old.flags) & NhFlag.INDIRECT


def validate_next_hop(
    row: NextHop,
    devices: tuple[Interface | None, ...],
    components: tuple[Component, ...],
    direct: NextHopEntry | None,
) -> int:
    """The rules of each type; 0 or a negative errno."""
    has_device = any(device is not None for device in devices)
    if row.flags & NhFlag.INDIRECT:
        if row.type is not NhType.TUNNEL or not row.flags & NhFlag.TUNNEL_PBB or len(row.nh_list) > 1:
            return -errno.EINVAL
        if row.nh_list and direct is None:
            return -errno.EINVAL
    match row.type:
        case NhType.DEAD:
            return -errno.EINVAL
        case NhType.ENCAP:
            return _validate_encap(row, has_device)
        case NhType.TUNNEL:
            return _validate_tunnel(row, has_device)
        case NhType.RCV:
            return 0 if has_device else -errno.ENODEV
        case NhType.COMPOSITE:
            return _validate_composite(row, components)
    return 0


def _validate_encap(row: NextHop, has_device: bool) -> int:
    if row.family not in (Family.INET, Family.BRIDGE):
        return -errno.EINVAL
    multicast = bool(row.flags & NhFlag.MCAST)
    if row.family is Family.BRIDGE and multicast:
        return -errno.EINVAL
    if row.family is Family.INET and not multicast and len(row.encap) < 6:
        return -errno.EINVAL
    return 0 if has_device else -errno.EINVAL


def _validate_tunnel(row: NextHop, has_device: bool) -> int:
    if row.family is Family.INET6 and not (len(row.tun_sip6) == 16 and len(row.tun_dip6) == 16):
        return -errno.EINVAL
    if row.family is Family.INET and not (0 < row.tun_sip <= _WORD and 0 < row.tun_dip <= _WORD):
        return -errno.EINVAL
    if not 0 <= row.tun_dport <= 0xFFFF or len(row.rw_dst_mac) != 6:
        return -errno.EINVAL
    if row.flags & NhFlag.TUNNEL_GRE:
        return 0 if has_device else -errno.ENODEV
    if row.flags & NhFlag.TUNNEL_UDP:
        return 0 if row.family in (Family.INET, Family.INET6) else -errno.EINVAL
    if row.flags & NhFlag.TUNNEL_UDP_MPLS:
        return 0 if has_device else -errno.ENODEV
    if row.flags & NhFlag.TUNNEL_VXLAN:
        if not has_device:
            return -errno.ENODEV
        return -errno.EINVAL if row.flags & NhFlag.L3_VXLAN and row.rw_dst_mac == ZERO_MAC else 0
    if row.flags & NhFlag.TUNNEL_PBB:
        return 0 if row.flags & NhFlag.INDIRECT and row.pbb_mac != ZERO_MAC else -errno.EINVAL
    return -errno.EINVAL


def _validate_composite(row: NextHop, components: tuple[Component, ...]) -> int:
    """Which components a composite of each kind accepts; a missing component is accepted everywhere."""
    flags = int(row.flags)
    members = [component.next_hop for component in components if component.next_hop is not None]
    layered = row.family in (Family.INET, Family.BRIDGE)
    if flags & _FABRIC_KINDS:
        if not layered:
            return -errno.EINVAL
        for member in members:
            if member.type is not NhType.TUNNEL or member.has(NhFlag.TUNNEL_UDP):
                return -errno.EINVAL
            if flags & int(NhFlag.COMPOSITE_TOR) and not member.has(NhFlag.TUNNEL_VXLAN):
                return -errno.EINVAL
    if flags & int(NhFlag.COMPOSITE_ENCAP):
        for member in members:
            if member.type is not NhType.ENCAP or (layered and member.family is not row.family):
                return -errno.EINVAL
            if member.has(NhFlag.MCAST) is not (member.family is Family.INET):
                return -errno.EINVAL
    if flags & int(NhFlag.MCAST):
        if not layered:
            return -errno.EINVAL
        for member in members:
            if member.type is not NhType.COMPOSITE or not member.flags & _MCAST_PARTS:
                return -errno.EINVAL
    return 0
