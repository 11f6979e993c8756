"""A BGP speaker under Twisted: one listening port, its neighbours, who may connect (reference/bgp.md 1.3)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address
from random import Random
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger, LogLevel

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.capture import capture_factory
from contrail_emulator.base.pcap import Capture

from .handler import Handler
from .md5 import Md5Error, set_md5
from .message import Notification
from .neighbour import Peer
from .notification import Cease, Code, code_text
from .settings import PeerSettings, SpeakerSettings, speaker_change_clears
from .transport import BgpTransport, OpenTransports

REFUSALS_TOLD = 1000
"""So many addresses are warned of, each once."""


class Speaker:
    """One BGP speaker. `add_peer` starts to connect at once; `listen` lets peers connect to us.

    rng: jitter comes from it. capture: a packet capture of every session, or None.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: SpeakerSettings,
        handler: Handler,
        *,
        behaviour: Behaviour = CONTRAIL,
        rng: Random,
        capture: Capture | None = None,
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.behaviour = behaviour
        self.started_at: float = reactor.seconds()
        self.refused = 0
        self._refused_from: set[str] = set()
        self._without_key: set[str] = set()
        self._handler = handler
        self._rng = rng
        self._capture = capture
        self._peers: dict[str, Peer] = {}
        self._transports = OpenTransports()
        self._port: Any = None
        self._stopped: Deferred[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    def listen(self) -> Deferred[int]:
        """Listen on the settings' address and port. Fires with the port; CannotListenError when it is taken."""
        return maybeDeferred(self._listen)

    def _listen(self) -> int:
        factory = capture_factory(self._capture, _Inbound(self), initiator=False)
        self._port = self.reactor.listenTCP(self.settings.port, factory, interface=self.settings.address)
        for peer in self._peers.values():
            self._set_listen_key(peer.settings.address, peer.settings.md5)
        return int(self._port.getHost().port)

    @property
    def port(self) -> int | None:
        """The port we listen on, None when we do not."""
        return int(self._port.getHost().port) if self._port is not None else None

    def stop(self, quietly: bool = False) -> Deferred[None]:
        """Cease/2 to every peer, close everything. Fires when all connections are closed; peers are gone then.

        `quietly`: reset connections without a NOTIFICATION, as a crash would, so that peers help us to restart.
        """
        if self._stopped is None:
            self._stopped = Deferred()
            for name in tuple(self._peers):
                peer = self._peers.pop(name)
                if quietly:
                    peer.vanish()
                peer.remove(Cease.ADMIN_SHUTDOWN)
            port, self._port = self._port, None
            listening = maybeDeferred(port.stopListening) if port is not None else succeed(None)
            listening.addCallback(lambda _: self._transports.when_empty())
            listening.chainDeferred(self._stopped)
        return self._stopped

    # --- peers --------------------------------------------------------------------------------------------------------

    @property
    def peers(self) -> Mapping[str, Peer]:
        return MappingProxyType(self._peers)

    def add_peer(self, settings: PeerSettings) -> Peer:
        """A new neighbour, started. ValueError when the name is taken.

        One whose key the system does not take stays down, and the log says why.
        """
        if settings.name in self._peers:
            raise ValueError(f"peer {settings.name} exists")
        if self._stopped is not None:
            raise ValueError("the speaker is stopped")
        self._set_listen_key(settings.address, settings.md5)
        peer = Peer(
            self.reactor,
            self.settings,
            settings,
            self._handler,
            behaviour=self.behaviour,
            rng=self._rng,
            capture=self._capture,
            started_at=self.started_at,
            transports=self._transports,
        )
        self._peers[settings.name] = peer
        peer.start()
        return peer

    def update_peer(self, settings: PeerSettings) -> None:
        """New settings for the peer of that name; what changed decides what happens to its session (1.7)."""
        peer = self._peers[settings.name]
        old = peer.settings
        if (old.address, old.md5) != (settings.address, settings.md5):
            self._clear_listen_key(old)
            self._set_listen_key(settings.address, settings.md5)
        peer.change(settings)

    def remove_peer(self, name: str) -> None:
        """Cease/3 and forget it. KeyError when there is none."""
        peer = self._peers.pop(name)
        peer.remove(Cease.DECONFIGURED)
        self._clear_listen_key(peer.settings)

    def update(self, settings: SpeakerSettings) -> None:
        """New settings for the speaker: all peers are cleared, unless only admin-down or the traffic class changed.

        Admin-down holds them all. Address and port stay.
        """
        clear = speaker_change_clears(self.settings, settings)
        self.settings = settings
        for peer in tuple(self._peers.values()):
            peer.change_speaker(settings, clear)

    # --- inbound connections ------------------------------------------------------------------------------------------

    def find(self, address: str, port: int) -> Peer | None:
        """Whose connection this is: by address and port, by address (first in key order), by BGPaaS source port.

        The exact match serves labs that run several peers on one loopback address; a control node knows only the rest.
        """
        where = ip_address(address)
        if where.version == 6 and where.ipv4_mapped is not None:
            where = where.ipv4_mapped
        ordinary = sorted(
            (peer for peer in self._peers.values() if not peer.settings.bgpaas),
            key=lambda peer: (ip_address(peer.settings.address).packed, peer.settings.port, peer.name),
        )
        at_address = [peer for peer in ordinary if ip_address(peer.settings.address) == where]
        exact = [peer for peer in at_address if peer.settings.port == port]
        by_port = [p for p in self._peers.values() if p.settings.bgpaas and p.settings.source_port == port]
        return next(iter((*exact, *at_address, *by_port)), None)

    def accept(self, transport: BgpTransport) -> None:
        """A connection came in: hand it to its peer, or refuse it with a NOTIFICATION."""
        self._transports.add(transport)
        address, port = transport.remote
        peer = self.find(address, port)
        refusal = Cease.DECONFIGURED if peer is None or self._stopped is not None else peer.core.refusal
        if refusal is None and self.settings.admin_down:
            refusal = Cease.ADMIN_SHUTDOWN
        if refusal is None and peer is not None and peer.settings.md5 and peer.settings.address in self._without_key:
            refusal = Cease.REJECTED  # nobody signs here
        if peer is None or refusal is not None:
            self._refuse(transport, refusal or Cease.DECONFIGURED)
        else:
            peer.adopt(transport)

    def _refuse(self, transport: BgpTransport, subcode: Cease) -> None:
        self.refused += 1
        address = transport.remote[0]
        known = address in self._refused_from or len(self._refused_from) >= REFUSALS_TOLD
        level = LogLevel.info if known else LogLevel.warn
        if not known:
            self._refused_from.add(address)
        self._log.emit(level, "refused {address}: {why}", address=address, why=code_text(Code.CEASE, subcode))
        transport.write(Notification(Code.CEASE, subcode).encode())
        transport.finish()

    def gone(self, transport: BgpTransport) -> None:
        """A connection closed."""
        self._transports.discard(transport)

    # --- TCP MD5 ------------------------------------------------------------------------------------------------------

    def _socket_for(self, address: str) -> socket.socket | None:
        """The listening socket, when somebody of that address could come in there."""
        sock: socket.socket | None = getattr(self._port, "socket", None)
        if sock is not None and sock.family == socket.AF_INET and ip_address(address).version == 6:
            return None
        return sock

    def _set_listen_key(self, address: str, key: str | None) -> None:
        sock = self._socket_for(address)
        if sock is None or key is None:
            return
        try:
            set_md5(sock, address, key)
        except Md5Error as error:
            self._without_key.add(address)
            self._log.error("{address}: no session, its key cannot be set: {why}", address=address, why=str(error))

    def _clear_listen_key(self, settings: PeerSettings) -> None:
        sock = self._socket_for(settings.address)
        if sock is None or settings.md5 is None:
            return
        if settings.address in self._without_key:
            self._without_key.discard(settings.address)
        else:
            set_md5(sock, settings.address, None)
        for peer in self._peers.values():
            if peer.settings.address == settings.address and peer.settings != settings:
                self._set_listen_key(peer.settings.address, peer.settings.md5)


class _Inbound(Factory):
    """Builds the connections that the listening port accepts."""

    noisy = False

    def __init__(self, speaker: Speaker) -> None:
        self._owner = _Unknown(speaker)
        self._speaker = speaker

    def buildProtocol(self, addr: IAddress | None) -> BgpTransport:  # noqa: N802 - Twisted's name
        return BgpTransport(self._speaker.reactor, self._owner)


class _Unknown:
    """Owner of a connection that is nobody's yet, or is being refused."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    def made(self, transport: BgpTransport) -> None:
        self._speaker.accept(transport)

    def received(self, transport: BgpTransport, data: bytes) -> None:
        """What a refused client says is not read."""

    def lost(self, transport: BgpTransport) -> None:
        self._speaker.gone(transport)

    def blocked_by(self, transport: BgpTransport) -> None:
        pass

    def unblocked_by(self, transport: BgpTransport) -> None:
        pass
