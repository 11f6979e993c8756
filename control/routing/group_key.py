"""What update groups share with the rest: the key of a group, and the two interfaces that whoever sends gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from .olist import Olist

Paths = tuple[tuple[Attributes, bytes], ...]
"""The (attributes, payload) pairs of one advertised route: one pair over BGP, all of equal cost over XMPP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """All that makes two members hear different bytes (reference/bgp.md 4.7).

    `encoding` is `bgp` or `xmpp`; `peer_type` is `ibgp`, `ebgp` or `xmpp`; `private_as_action` is `""`, `remove`,
    `remove-all` or `replace-all`; `default_tunnel_encap` names the encapsulations that replace a route's own;
    `next_hop`, when not empty, replaces the next hop (4 or 16 bytes).
    """

    encoding: str
    peer_type: str
    peer_as: int = 0
    local_as: int = 0
    as4: bool = True
    as_override: bool = False
    cluster_id: int = 0
    private_as_action: str = ""
    llgr: bool = False
    default_tunnel_encap: tuple[str, ...] = ()
    next_hop: bytes = b""


class Encoder(Protocol):
    """Turns routes into whole messages. `joins`: messages may be concatenated before they are delivered.

    `build_errors` counts the routes that were withdrawn in place of being announced: no message can carry them.
    """

    joins: bool
    build_errors: int

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> Sequence[bytes]:
        """Messages that announce `routes` ((key, paths) pairs), which all share their attribute sets."""

    def reach_olist(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Olist]]
    ) -> Sequence[bytes]:
        """Messages that give an agent the replication lists of its own routes (XMPP, e-vpn and erm-vpn only)."""

    def unreach(
        self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]
    ) -> Sequence[bytes]:
        """Messages that withdraw `keys`."""


class SetEncoder(Protocol):
    """`reach_set` of an encoder for BGP, where it has one: `reach` without a pair of attributes for each route."""

    def __call__(
        self, table: str, family: Family, key: GroupKey, attributes: Attributes, routes: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[bytes]:
        """Messages that announce `routes`, (key, payload) pairs that all have these attributes."""


class SingleEncoder(Protocol):
    """`reach_single` of an encoder for agents, where it has one: `reach` for routes with one path each."""

    def __call__(
        self, family: Family, instance: str, attributes: Attributes, routes: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[bytes]:
        """Messages that announce `routes`, (key, payload) pairs that all have these attributes."""


class Tally(Protocol):
    """Counts the routes that a member is told and told no more."""

    reach: int
    unreach: int


class Member(Protocol):
    """Who a group sends to."""

    @property
    def name(self) -> str:
        """For introspect."""

    def deliver(self, message: bytes) -> bool:
        """Take bytes. False: they are taken, and when the slice at hand is delivered (one call where messages may be
        joined) no more come until `membership.unblocked()` is called."""
