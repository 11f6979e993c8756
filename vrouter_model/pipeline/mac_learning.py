"""Learning source MACs on bridge domains that ask for it (reference/vrouter.md 7.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..flags import BROADCAST_MAC, AgentCommand, BridgeFlag
from ..packet import Packet
from .source_check import Source, check_source
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_MOVED = int(BridgeFlag.MAC_MOVED)


def learn(vr: VRouter, packet: Packet, macs: bytes) -> None:
    """`macs` are the destination and source MAC of the frame. The packet itself goes on."""
    source = macs[6:12]
    if source[0] & 1:
        return
    packet.etree = True
    if packet.vif.virtual:
        packet.etree_root = packet.vif.etree_root
    table = vr.store.bridge
    entry = table.lookup(packet.dvrf, source)
    if entry is None:
        broadcast = table.lookup(packet.dvrf, BROADCAST_MAC)
        if broadcast is None or not any(source):
            return
        entry = table.learn(packet.dvrf, source, broadcast.next_hop)
        trap(vr, vr.clone(packet), packet.dvrf, AgentCommand.MAC_LEARN, entry.index)
    elif not entry.flags & _MOVED and check_source(entry.next_hop, packet)[0] is not Source.VALID:
        entry.flags |= _MOVED
        trap(vr, vr.clone(packet), packet.dvrf, AgentCommand.MAC_MOVE, entry.index)
    entry.packets += 1
