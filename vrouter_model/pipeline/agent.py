"""Packets that come from the agent: SWITCH sends a frame out, ROUTE lets it enter as if a vif had received it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import AgentCommand
from ..packet import NULL, Packet
from ..tables.interface import Interface
from . import interface_output, vm_input
from .trap import AGENT_HEADER

if TYPE_CHECKING:
    from ..vrouter import VRouter

_ETHERNET = 14
_HEAD = _ETHERNET + AGENT_HEADER.size
_PARAM_PACKET_CONTROL = 1
_PARAM_1_DIAG = 1


def receive(vr: VRouter, data: bytes) -> None:
    agent_vif = vr.store.agent_vif
    if agent_vif is None:
        vr.drop_without_interface(Drop.INVALID_IF, data)
        return
    agent_vif.ibytes += len(data)
    agent_vif.ipackets += 1
    packet = Packet(data[_HEAD:], agent_vif)
    if len(data) < _HEAD:
        agent_vif.ierrors += 1
        vr.drop(packet, Drop.PULL)
        return
    ifindex, vrf, command, param, param_1, *_ = AGENT_HEADER.unpack_from(data, _ETHERNET)
    if command == AgentCommand.ROUTE:
        _route(vr, packet, agent_vif, ifindex, vrf, param == _PARAM_PACKET_CONTROL and param_1 == _PARAM_1_DIAG)
    elif command == AgentCommand.SWITCH:
        _switch(vr, packet, agent_vif, ifindex, vrf)
    else:
        vr.drop(packet, Drop.INVALID_PACKET)


def _route(vr: VRouter, packet: Packet, agent_vif: Interface, ifindex: int, vrf: int, diag: bool) -> None:
    """Enter the pipeline on `ifindex`; a fabric or unknown interface would fail source checks, so it enters on pkt0."""
    vif = vr.store.vifs.get(ifindex)
    packet.vif = agent_vif if vif is None or vif.fabric else vif
    packet.diag = diag
    vm_input.virtual_input(vr, packet, vrf)


def _switch(vr: VRouter, packet: Packet, agent_vif: Interface, ifindex: int, vrf: int) -> None:
    vif = vr.store.vifs.get(ifindex)
    if vif is None:
        agent_vif.ierrors += 1
        vr.drop(packet, Drop.INVALID_IF)
        return
    packet.dvrf = vrf
    packet.type = NULL
    interface_output.transmit(vr, vif, packet)
