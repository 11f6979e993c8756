"""What a flow does with a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..packet import Packet
from ..tables.flows import FlowEntry

if TYPE_CHECKING:
    from ..vrouter import VRouter


def resume(vr: VRouter, entry: FlowEntry, packet: Packet) -> None:
    vr.drop(packet, Drop.MISC)


def evict(vr: VRouter, entry: FlowEntry) -> None:
    vr.flows.evict(entry)
