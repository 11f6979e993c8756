"""One session to one control node.

Its generation, its timers, what it was told and what it said (reference/agent.md 3.2-3.5).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.config_message import VmSubscribe, VrSubscribe
from contrail_emulator.control.xmpp.items import McastEntry
from contrail_emulator.control.xmpp.names import BGP_PEER, CONFIG
from contrail_emulator.control.xmpp.next_hop import OlistNextHop
from contrail_emulator.control.xmpp.stanza import Kind, Stanza

from ..oper.adverts import BROADCAST_GROUP, MPLS_ENCAPS
from ..oper.labels import multicast_range
from ..oper.oper import Oper
from ..oper.path import Peer
from ..settings import AgentSettings
from .decode import Decoder
from .exporter import RECEIVER, TREE_KEY, Exporter
from .importer import Importer
from .timers import QuietTimer, Timer

Server = tuple[str, int]
"""A control node: address and port."""


class SessionLike(Protocol):
    """What is used of control.xmpp's Session."""

    def send(self, data: bytes) -> bool: ...

    def close(self, reason: str) -> None: ...

    @property
    def peer_address(self) -> str: ...


class ChannelOwner(Protocol):
    """The controller, as its channels see it."""

    def ready(self, channel: ControlChannel) -> None: ...

    def not_ready(self, channel: ControlChannel, reason: str) -> None: ...

    def configuration(self, channel: ControlChannel, stanza: Stanza) -> None: ...

    def end_of_rib(self, channel: ControlChannel) -> None: ...

    def routes_changed(self) -> None: ...

    @property
    def tree_sequence(self) -> int: ...

    @property
    def decoder(self) -> Decoder: ...

    def is_builder(self, channel: ControlChannel) -> bool: ...

    def timed_out(self, channel: ControlChannel) -> None: ...


class ControlChannel:
    """Slot `index` (0 or 1). `peer` is who its routes come from. Implements the handler of an XMPP client."""

    def __init__(
        self,
        clock: Any,
        index: int,
        server: Server,
        peer: Peer,
        settings: AgentSettings,
        oper: Oper,
        owner: ChannelOwner,
    ) -> None:
        self.index = index
        self.server = server
        self.address, self.port = server
        self.sequence = 0
        self.session: SessionLike | None = None
        self.counters: Counter[str] = Counter()
        self.last_reason = ""
        self.last_ready = 0.0
        self._clock = clock
        self._settings = settings
        self._oper = oper
        self._owner = owner
        self.peer = peer
        self.exporter = Exporter(settings.name, self._send)
        self.importer = Importer(oper, self.peer, settings.behaviour)
        self.stale_timer = Timer(clock, lambda: owner.end_of_rib(self))
        self.end_of_rib_rx = Timer(clock, lambda: owner.end_of_rib(self))
        self.end_of_rib_tx = QuietTimer(clock, self._end_of_rib_due, wait_for_first=True)

    @property
    def is_ready(self) -> bool:
        return self.session is not None

    # --- handler of the XMPP client -----------------------------------------------------------------------------------

    def established(self, session: SessionLike) -> None:
        self.session = session
        self.sequence += 1
        self.last_ready = self._clock.seconds()
        self.stale_timer.cancel()
        self.exporter.forget()
        self.counters["ready"] += 1
        self._owner.ready(self)

    def stanza(self, session: SessionLike, stanza: Stanza) -> None:
        """Routes come as messages, configuration as IQs; each form is ignored on the other keyword."""
        if session is not self.session:
            return
        if stanza.kind is Kind.MESSAGE and self._addressed(stanza, BGP_PEER):
            self._routes(stanza)
        elif stanza.kind is Kind.IQ and self._addressed(stanza, CONFIG):
            self._owner.configuration(self, stanza)
        else:
            self.counters["ignored stanzas"] += 1

    def closed(self, session: SessionLike, reason: str) -> None:
        if session is not self.session:
            return
        self.session = None
        self.last_reason = reason
        self.counters["not ready"] += 1
        self.end_of_rib_rx.cancel()
        self.end_of_rib_tx.cancel()
        self._owner.not_ready(self, reason)

    def unblocked(self, session: SessionLike) -> None:
        """The real agent buffers without limit; so does this one: nothing was held back."""

    def timed_out(self, client: object) -> None:
        """The server does not answer."""
        self._owner.timed_out(self)

    # --- what the controller has said ---------------------------------------------------------------------------------

    def subscribe_configuration(self) -> None:
        self._send(VrSubscribe(self._settings.virtual_router_name).to_bytes(self._settings.name))

    def subscribe_machine(self, uuid: str, subscribe: bool = True) -> None:
        self._send(VmSubscribe(uuid, subscribe).to_bytes(self._settings.name))

    def walk(self) -> None:
        """Subscribe and publish everything that this session has not said yet."""
        for vrf in list(self._oper.rib.vrfs.values()):
            self.exporter.subscribe(vrf)
            self.exporter.walk(vrf)
            if self._owner.is_builder(self):
                self.say_tree(vrf.name, vrf.name in self._oper.broadcast_vrfs)

    def say_tree(self, vrf: str, wanted: bool) -> None:
        """Join or leave the broadcast tree of a VRF; only the builder is told."""
        low, high = multicast_range(self.index, self._settings.max_labels, self._settings.max_vrfs)
        hop = OlistNextHop(self._settings.tunnel_address, f"{low}-{high}", MPLS_ENCAPS)
        entry = McastEntry(BROADCAST_GROUP, next_hops=(hop,)) if wanted else None
        if self.exporter.say(vrf, TREE_KEY, entry):
            self.end_of_rib_tx.touch()

    def stop(self) -> None:
        for timer in (self.stale_timer, self.end_of_rib_rx, self.end_of_rib_tx):
            timer.cancel()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if self.session is not None:
            self.session.send(data)

    def _addressed(self, stanza: Stanza, keyword: str) -> bool:
        """A real agent does not look whose name stands before the keyword (reference/xmpp.md 1.1)."""
        if self._settings.behaviour.dispatch_by_substring:
            return stanza.addressed(keyword)
        name = self._settings.virtual_router_name if keyword == CONFIG else self._settings.name
        return stanza.to == f"{name}/{keyword}"

    def _routes(self, stanza: Stanza) -> None:
        match pubsub.read(stanza):
            case pubsub.Items() as form:
                builder = self._owner.is_builder(self)
                message = self._owner.decoder.decode(form, stanza.raw)
                self.importer.items(message, self.sequence, builder, self._owner.tree_sequence)
                self._owner.routes_changed()
            case pubsub.Retract() as form:
                self.importer.retract(form, self._owner.is_builder(self))
                self._owner.routes_changed()
            case pubsub.EndOfRib(form=form_name):
                if form_name == "empty" or not self._settings.behaviour.agent_ignores_named_end_of_rib:
                    self.counters["end of rib received"] += 1
                    self._owner.end_of_rib(self)
            case _:
                self.counters["ignored stanzas"] += 1

    def _end_of_rib_due(self) -> None:
        """Everything is said once more, should something have been missed, then the marker."""
        self.walk()
        self.counters["end of rib sent"] += 1
        self._send(pubsub.end_of_rib_message(self._settings.name, RECEIVER))
