"""What an interface does with a frame it received."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..packet import Packet
from ..tables.interface import Interface

if TYPE_CHECKING:
    from ..vrouter import VRouter


def receive(vr: VRouter, vif: Interface, packet: Packet) -> None:
    vr.drop(packet, Drop.MISC)
