"""An agent at the control node: what it asks for, the routes it publishes, what it is sent (reference/xmpp.md 2, 3, 6).

A channel outlives its session when a restart is helped: see `suspend`, `resume` and `sweep` (reference/xmpp.md 1.10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.logger import Logger

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.agent_config import AgentConfig
from contrail_emulator.control.agent_view import AgentView
from contrail_emulator.control.bgp import rd
from contrail_emulator.control.routing import RoutingCore, Source, SourceKind
from contrail_emulator.control.xmpp import config_message, item_rules, names, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_id import primary_instance_id
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import Entry
from contrail_emulator.control.xmpp.pairing import PublishedItems, PublishPairing
from contrail_emulator.control.xmpp.stanza import Stanza

from .item import Publisher
from .published import add_route, delete_key
from .subscription import Subscription
from .told import told


class AgentSession(Protocol):
    """What a channel needs of `control.xmpp`'s session."""

    @property
    def peer_name(self) -> str: ...
    @property
    def peer_address(self) -> str: ...
    @property
    def blocked(self) -> bool: ...
    def send(self, *parts: bytes) -> bool: ...
    def close(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLocal:
    """What a channel needs to know of the control node: its global AS, its behaviour, a clock in seconds, and the
    number (16 bits, 0 for none) that tells this cluster's RDs from those of others."""

    autonomous_system: int
    seconds: Callable[[], float]
    behaviour: Behaviour = CONTRAIL
    rd_cluster_seed: int = 0


class Fault(Exception):
    """The agent broke a rule for which a real control node closes the session; `str()` says which."""


class AgentChannel:
    """One agent: its subscriptions and routes, and the session it has now."""

    log = Logger()

    def __init__(self, session: AgentSession, core: RoutingCore, config: AgentConfig, local: AgentLocal) -> None:
        address = ip_address(session.peer_address)
        self.session = session
        self.connected = True
        self.last_sent = local.seconds()
        self.source = Source(
            SourceKind.XMPP, session.peer_name, address=address.packed, router_id=int(address) & 0xFFFFFFFF
        )
        self.subscriptions: dict[str, Subscription] = {}
        self.counters: Counter[str] = Counter()
        self.last_error = ""
        self.end_of_rib_received = False
        self.on_end_of_rib: Callable[[], None] = lambda: None
        """Called when the agent says that it told everything."""
        self.on_subscribed: Callable[[], None] = lambda: None
        """Called when the agent subscribes to an instance."""
        self._core = core
        self._config = config
        self._local = local
        self._behaviour = local.behaviour
        self._view: AgentView = config.connect(session.peer_name, self._send_config)
        self._pairing = PublishPairing()
        self._header = pubsub.message_header(session.peer_name)

    # Member of update groups

    @property
    def name(self) -> str:
        return self.source.name

    def deliver(self, message: bytes) -> bool:
        """A message body of an update group, with this agent's own header before it: the body is not copied."""
        self.counters["messages_out"] += 1
        self.last_sent = self._local.seconds()
        return self.session.send(self._header, message)

    @property
    def address(self) -> str:
        """The agent's IP address."""
        return str(ip_address(self.source.address))

    @property
    def waiting(self) -> bool:
        """Something asked for is not done yet: an instance that does not exist, a dump under way, a blocked socket."""
        return self.session.blocked or any(subscription.waiting for subscription in self.subscriptions.values())

    def send_end_of_rib(self) -> None:
        """The marker that ends the first dump."""
        self.counters["end_of_rib_out"] += 1
        self.session.send(self._header + pubsub.end_of_rib_body())

    def unblocked(self) -> None:
        """The agent reads again."""
        for subscription in self.subscriptions.values():
            subscription.unblocked()
        self._config.unblocked(self._view)

    # What comes in

    def stanza(self, stanza: Stanza) -> None:
        """One stanza, handed to every consumer it is addressed to (reference/xmpp.md 1.1)."""
        try:
            if self._addressed(stanza, names.BGP_PEER):
                self._bgp_peer(stanza)
            if self._addressed(stanza, names.CONFIG):
                self._config_request(stanza)
        except Fault as fault:
            self.last_error = str(fault)
            if self._behaviour.close_on_subscription_error:
                self.session.close(str(fault))
            else:
                self.counters["subscription_errors"] += 1

    def _addressed(self, stanza: Stanza, keyword: str) -> bool:
        if self._behaviour.dispatch_by_substring:
            return stanza.addressed(keyword)
        return stanza.to.rpartition("/")[2] == keyword

    def _bgp_peer(self, stanza: Stanza) -> None:
        form = pubsub.read(stanza)
        match form:
            case pubsub.Subscribe():
                self._subscribe(form)
            case pubsub.Unsubscribe():
                self._unsubscribe(form)
            case pubsub.Publish() | pubsub.Collection() | pubsub.EmptyCollection():
                merged = self._pairing.take(form)
                if isinstance(merged, PublishedItems):
                    self._published(merged)
                elif isinstance(merged, pubsub.EndOfRib):
                    self._end_of_rib()
            case pubsub.EndOfRib() if not self._behaviour.ignore_message_end_of_rib:
                self._end_of_rib()
            case _:
                self.counters["stanzas_ignored"] += 1

    def _end_of_rib(self) -> None:
        self.end_of_rib_received = True
        self.on_end_of_rib()

    def _config_request(self, stanza: Stanza) -> None:
        form = pubsub.read(stanza)
        wanted = config_message.subscription(form) if isinstance(form, pubsub.Subscribe | pubsub.Unsubscribe) else None
        match wanted:
            case config_message.VrSubscribe():
                accepted = self._config.subscribe_router(self._view, wanted.name)
            case config_message.VmSubscribe(uuid, True):
                accepted = self._config.subscribe_machine(self._view, uuid)
            case config_message.VmSubscribe(uuid, _):
                accepted = self._config.unsubscribe_machine(self._view, uuid)
            case _:
                accepted = False
        if not accepted:
            self.counters["config_requests_ignored"] += 1

    def _send_config(self, message: bytes) -> bool:
        self.counters["config_out"] += 1
        return self.session.send(message)

    # Subscriptions

    def _subscribe(self, form: pubsub.Subscribe) -> None:
        subscription = self.subscriptions.get(form.node)
        if subscription is None:
            subscription = Subscription(self._core, self.source, form.node, form.instance_id, form.no_ribout)
            self.subscriptions[form.node] = subscription
        elif subscription.stale:
            subscription.restore(form.instance_id, form.no_ribout)
        else:
            raise Fault(f"subscribed twice to {form.node}")
        if form.node in self._core.instances:
            subscription.activate(self)
        self.on_subscribed()

    def _unsubscribe(self, form: pubsub.Unsubscribe) -> None:
        subscription = self.subscriptions.pop(form.node, None)
        if subscription is None:
            raise Fault(f"unsubscribed from {form.node} without being subscribed")
        subscription.end()

    def instance_added(self, name: str) -> None:
        """An instance now exists: what waited for it is done."""
        subscription = self.subscriptions.get(name)
        if subscription is not None:
            subscription.activate(self if self.connected and not subscription.stale else None)

    def instance_removed(self, name: str) -> None:
        """An instance is about to go: the subscription and its routes wait for it to come back."""
        subscription = self.subscriptions.get(name)
        if subscription is not None:
            subscription.park()

    # Routes

    def _published(self, published: PublishedItems) -> None:
        family, _ = split_node(published.node)
        if family is None:
            self.counters["items_of_unknown_family"] += len(published.entries)
            return
        entries = tuple(self._read(family, published))
        if not entries:
            return  # a syntactically bad item never closes the session, subscribed or not (reference/xmpp.md 6)
        subscription = self.subscriptions.get(published.instance)
        if subscription is None or subscription.instance_id < 0:
            raise Fault(f"published a route of {published.instance} without being subscribed")
        publisher = self._publisher(subscription, published.node)
        for entry in entries:
            self.counters[f"items_{family.name.lower()}_{'in' if published.add else 'deleted'}"] += 1
            try:
                if published.add:
                    item_rules.check_next_hops(entry, publisher.master)
                    kept = subscription.add(add_route(entry, publisher))
                else:
                    kept = subscription.delete(*delete_key(entry, publisher))
            except ItemError as error:
                self._drop_item(published.node, error)
                continue
            if not kept:
                self.counters["items_without_table" if published.add else "deletes_of_nothing"] += 1

    def _read(self, family: ItemFamily, published: PublishedItems) -> Iterator[Entry]:
        for element in published.entries:
            try:
                yield item_rules.read_published(family, element)
            except ItemError as error:
                self._drop_item(published.node, error)

    def _publisher(self, subscription: Subscription, node: str) -> Publisher:
        master = subscription.instance == names.MASTER_INSTANCE
        return Publisher(
            self.source.address,
            primary_instance_id(node) if master else subscription.instance_id,
            self._local.autonomous_system,
            master=master,
            behaviour=self._behaviour,
            cluster_seed=self._local.rd_cluster_seed,
        )

    def _drop_item(self, node: str, error: ItemError) -> None:
        self.counters["items_dropped"] += 1
        self.last_error = f"item {node}: {error}"
        if self.counters["items_dropped"] == 1:
            self.log.warn(
                "agent {agent}: item {node} dropped: {error}; further ones are counted only",
                agent=self.name, node=node, error=error,
            )  # fmt: skip

    # The end, or a pause

    def suspend(self) -> None:
        """The session is gone, the agent is believed to come back: routes and subscriptions stay, as stale.

        Configuration does not: the agent subscribes to it again.
        """
        self.connected = False
        for subscription in self.subscriptions.values():
            subscription.suspend()
        self._config.disconnect(self._view)

    def resume(self, session: AgentSession) -> None:
        """The agent is back with a new session; nothing is sent to it but what it subscribes to again."""
        self.session = session
        self.connected = True
        self.end_of_rib_received = False
        self.last_sent = self._local.seconds()
        self._pairing = PublishPairing()
        self._view = self._config.connect(self.name, self._send_config)

    def long_lived_stale(self) -> None:
        """It takes longer: what is stale loses against everything else (RFC 9494)."""
        for subscription in self.subscriptions.values():
            subscription.long_lived_stale()

    def sweep(self) -> None:
        """What the agent did not subscribe to, or publish, again is gone."""
        for name, subscription in list(self.subscriptions.items()):
            if subscription.stale:
                del self.subscriptions[name]
                subscription.end()
            else:
                subscription.sweep()

    def closed(self) -> None:
        """The session is gone, and everything it brought goes with it."""
        if self.connected:
            self._config.disconnect(self._view)
        self.connected = False
        for subscription in list(self.subscriptions.values()):
            subscription.end()
        self.subscriptions.clear()
        self._core.withdraw_source(self.source)

    def row(self) -> Mapping[str, Any]:
        """For introspect `agents`."""
        subscriptions = self.subscriptions.values()
        return {
            "peer": self.name,
            "peer_address": self.address,
            "state": "Established" if self.connected else "Idle",
            "subscriptions": sorted(self.subscriptions),
            "routing_instances": [
                {
                    "name": subscription.instance,
                    "index": subscription.instance_id,
                    "state": subscription.state,
                    "route_distinguisher": rd.text(
                        rd.make_ipv4(self.source.address, max(subscription.instance_id, 0) & 0xFFFF)
                    ),
                }
                for subscription in subscriptions
            ],
            "routes_in": sum(subscription.count for subscription in subscriptions),
            "routes_out": sum(
                told(membership) for subscription in subscriptions for membership in subscription.memberships
            ),
            "messages_out": self.counters["messages_out"],
            "config_out": self.counters["config_out"],
            "config_nodes": len(self._view.sent_nodes),
            "machines": sorted(self._view.machines),
            "send_blocked": self.session.blocked,
            "end_of_rib_received": self.end_of_rib_received,
            "last_error": self.last_error,
            "counters": dict(self.counters),
        }
