"""Replication lists for agents: to whom an agent sends copies of broadcast and multicast packets."""

from __future__ import annotations

from typing import NamedTuple

from contrail_emulator.control.bgp.attributes import Attributes


class OlistEntry(NamedTuple):
    """One receiver: its tunnel address (4 bytes), the label or VNI it expects, and the encapsulations it takes."""

    address: bytes
    label: int
    encapsulations: tuple[str, ...]


class Olist(NamedTuple):
    """What an agent hears of its own broadcast or multicast route, beside the route's attributes and payload.

    `leaves` are the assisted-replication leafs that point at the agent; `label` is the label the agent itself has to
    accept (erm-vpn only, 0 otherwise).
    """

    attributes: Attributes
    payload: bytes
    entries: tuple[OlistEntry, ...]
    leaves: tuple[OlistEntry, ...] = ()
    label: int = 0
