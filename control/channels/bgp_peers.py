"""All BGP peers of a control node: what the speaker tells, handed to each peer's channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.update import Received
from contrail_emulator.control.routing import RoutingCore

from .bgp_peer import Local, PeerChannel


class BgpPeers:
    """The speaker's handler. A channel lives from a peer's first session until the peer is removed."""

    log = Logger()

    def __init__(self, clock: IReactorTime, core: RoutingCore, local: Local) -> None:
        self._clock = clock
        self._core = core
        self._local = local
        self._channels: dict[str, PeerChannel] = {}

    def established(self, peer: Peer) -> None:
        channel = self._channels.get(peer.name)
        if channel is None:
            channel = self._channels[peer.name] = PeerChannel(peer, self._core, self._clock, self._local)
        channel.peer = peer
        self.log.info("BGP peer {peer} is up", peer=peer.name)
        channel.established()

    def received(self, peer: Peer, message: Received) -> None:
        self._channels[peer.name].received(message)

    def end_of_rib(self, peer: Peer, family: Family, assumed: bool) -> None:
        self._channels[peer.name].end_of_rib(family, assumed)

    def closed(self, peer: Peer, reason: CloseReason) -> None:
        self.log.info("BGP peer {peer} is down: {reason}", peer=peer.name, reason=reason.text)
        self._channels[peer.name].closed(reason)

    def long_lived_stale(self, peer: Peer) -> None:
        self._channels[peer.name].long_lived_stale()

    def sweep_stale(self, peer: Peer) -> None:
        self._channels[peer.name].sweep_stale()

    def refresh(self, peer: Peer, family: Family) -> None:
        self._channels[peer.name].refresh(family)

    def unblocked(self, peer: Peer) -> None:
        self._channels[peer.name].unblocked()

    def take_local(self, local: Local) -> None:
        """The control node's own side changed; whoever changed it clears the sessions concerned."""
        self._local = local
        for channel in self._channels.values():
            channel.take_local(local)

    def removed(self, name: str) -> None:
        """The peer is gone from configuration: so are its routes, at once."""
        channel = self._channels.pop(name, None)
        if channel is not None:
            channel.removed()

    def row(self, name: str) -> Mapping[str, Any]:
        """What introspect adds to the speaker's row of a peer."""
        channel = self._channels.get(name)
        return {} if channel is None else channel.row()
