"""An agent at the control node: its subscriptions, the routes it publishes, and what it is sent (reference/xmpp.md 2, 3, 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol

from twisted.logger import Logger

from contrail_emulator.control.agent_config import AgentConfig, AgentView
from contrail_emulator.control.bgp import rd
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import GroupKey, Membership, RoutingCore, Source, SourceKind
from contrail_emulator.control.xmpp import config_message, item_rules, names, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_id import primary_instance_id
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, UnicastEntry
from contrail_emulator.control.xmpp.pairing import PublishedItems, PublishPairing
from contrail_emulator.control.xmpp.stanza import Stanza

from .item import Publisher, enet_key, enet_route, unicast_key, unicast_route
from .told import told

XMPP_GROUP = GroupKey(encoding="xmpp", peer_type="xmpp")
DELIVERED = (Family.INET, Family.INET6, Family.E_VPN)
ROUTE_FAMILIES = {
    ItemFamily.INET: Family.INET,
    ItemFamily.INET6: Family.INET6,
    ItemFamily.INET_LABELED: Family.INET_LABELED,
    ItemFamily.E_VPN: Family.E_VPN,
}


class AgentSession(Protocol):
    """What a channel needs of `control.xmpp`'s session."""

    @property
    def peer_name(self) -> str: ...
    @property
    def peer_address(self) -> str: ...
    @property
    def blocked(self) -> bool: ...
    def send(self, data: bytes) -> bool: ...
    def close(self, reason: str) -> None: ...


class ReadItems(NamedTuple):
    """What a publish and its collection said, read: `entries` added to, or deleted from, the instance they name."""

    family: ItemFamily
    node: str
    add: bool
    entries: tuple[Entry, ...]


@dataclass(slots=True, eq=False)
class Subscription:
    """One instance an agent subscribed to. Until the instance exists, what is published waits in `deferred`, in order."""

    instance: str
    instance_id: int
    no_ribout: bool
    active: bool = False
    memberships: list[Membership] = field(default_factory=list)
    deferred: dict[str, ReadItems] = field(default_factory=dict)
    routes: set[tuple[str, bytes]] = field(default_factory=set)


class _Fault(Exception):
    """The agent broke a rule for which a control node closes the session; `str()` says which."""


class AgentChannel:
    """One session of one agent.

    `autonomous_system()` gives the global AS; `master` is the name of the master instance, whose routes carry no RD.
    """

    log = Logger()

    def __init__(
        self,
        session: AgentSession,
        core: RoutingCore,
        config: AgentConfig,
        autonomous_system: Callable[[], int],
        seconds: Callable[[], float],
    ) -> None:
        self.session = session
        self.last_sent = seconds()
        self._seconds = seconds
        self.source = Source(
            SourceKind.XMPP,
            session.peer_name,
            address=ip_address(session.peer_address).packed,
            router_id=int(ip_address(session.peer_address)) & 0xFFFFFFFF,
        )
        self.subscriptions: dict[str, Subscription] = {}
        self.counters: Counter[str] = Counter()
        self.last_error = ""
        self.end_of_rib_received = False
        self._core = core
        self._config = config
        self._view: AgentView = config.connect(session.peer_name, self._send_config)
        self._autonomous_system = autonomous_system
        self._pairing = PublishPairing()
        self._header = pubsub.message_header(session.peer_name)

    # Member of update groups

    @property
    def name(self) -> str:
        return self.session.peer_name

    def deliver(self, message: bytes) -> bool:
        """A message body of an update group, with this agent's own header."""
        self.counters["messages_out"] += 1
        self.last_sent = self._seconds()
        return self.session.send(self._header + message)

    @property
    def waiting(self) -> bool:
        """Something asked for is not done yet: an instance that does not exist, a dump under way, a blocked socket."""
        return self.session.blocked or any(
            not subscription.active or not all(membership.joined for membership in subscription.memberships)
            for subscription in self.subscriptions.values()
        )

    def send_end_of_rib(self) -> None:
        """The marker that ends the first dump."""
        self.counters["end_of_rib_out"] += 1
        self.session.send(self._header + pubsub.end_of_rib_body())

    def unblocked(self) -> None:
        """The agent reads again."""
        for subscription in self.subscriptions.values():
            for membership in subscription.memberships:
                membership.unblocked()
        self._config.unblocked(self._view)

    # What comes in

    def stanza(self, stanza: Stanza) -> None:
        """One stanza, handed to every consumer whose keyword its `to` holds (reference/xmpp.md 1.1)."""
        try:
            if stanza.addressed(names.BGP_PEER):
                self._bgp_peer(stanza)
            if stanza.addressed(names.CONFIG):
                self._config_request(stanza)
        except _Fault as fault:
            self._remember(str(fault))
            self.session.close(str(fault))

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
                    self.end_of_rib_received = True
            case pubsub.EndOfRib():
                self.end_of_rib_received = True
            case _:
                self.counters["stanzas_ignored"] += 1

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
        if form.node in self.subscriptions:
            raise _Fault(f"subscribed twice to {form.node}")
        subscription = Subscription(form.node, form.instance_id, form.no_ribout)
        self.subscriptions[form.node] = subscription
        if form.node in self._core.instances:
            self._activate(subscription)

    def _unsubscribe(self, form: pubsub.Unsubscribe) -> None:
        subscription = self.subscriptions.pop(form.node, None)
        if subscription is None:
            raise _Fault(f"unsubscribed from {form.node} without being subscribed")
        self._deactivate(subscription)

    def _activate(self, subscription: Subscription) -> None:
        subscription.active = True
        self._core.subscribe(subscription.instance, self.source)
        if not subscription.no_ribout:
            tables = self._core.instances[subscription.instance].tables
            for family in DELIVERED:
                if family in tables:
                    membership = self._core.join(tables[family].name, XMPP_GROUP, self, source=self.source)
                    subscription.memberships.append(membership)
        deferred, subscription.deferred = subscription.deferred, {}
        for items in deferred.values():
            self._apply(subscription, items)

    def _deactivate(self, subscription: Subscription) -> None:
        for table, key in subscription.routes:
            self._core.withdraw(table, self.source, key)
        subscription.routes.clear()
        for membership in subscription.memberships:
            self._core.leave(membership)
        subscription.memberships.clear()
        if subscription.active:
            self._core.unsubscribe(subscription.instance, self.source)
        subscription.active = False

    def instance_added(self, name: str) -> None:
        """An instance now exists: what waited for it is done."""
        subscription = self.subscriptions.get(name)
        if subscription is not None and not subscription.active:
            self._activate(subscription)

    def instance_removed(self, name: str) -> None:
        """An instance is about to go: the subscription stays and waits for it to come back."""
        subscription = self.subscriptions.get(name)
        if subscription is not None and subscription.active:
            self._deactivate(subscription)

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
        if subscription is None:
            raise _Fault(f"published a route of {published.instance} without being subscribed")
        read = ReadItems(family, published.node, published.add, entries)
        if subscription.active:
            self._apply(subscription, read)
        else:
            subscription.deferred[published.node] = read

    def _read(self, family: ItemFamily, published: PublishedItems) -> Iterator[Entry]:
        for element in published.entries:
            try:
                yield item_rules.read_published(family, element)
            except ItemError as error:
                self._drop_item(published.node, error)

    def _apply(self, subscription: Subscription, items: ReadItems) -> None:
        route_family = ROUTE_FAMILIES.get(items.family)
        tables = self._core.instances[subscription.instance].tables
        if route_family is None or route_family not in tables:
            self.counters[f"items_of_{items.family.name.lower()}"] += len(items.entries)
            return
        publisher = self._publisher(subscription, items.node)
        for entry in items.entries:
            try:
                if isinstance(entry, UnicastEntry | EnetEntry):
                    self._route(subscription, tables[route_family].name, entry, publisher, items.add)
            except ItemError as error:
                self._drop_item(items.node, error)

    def _publisher(self, subscription: Subscription, node: str) -> Publisher:
        master = subscription.instance == names.MASTER_INSTANCE
        primary = primary_instance_id(node) if master else 0
        return Publisher(
            self.source.address,
            primary or max(subscription.instance_id, 0),
            self._autonomous_system(),
            master=master and not primary,
        )

    def _route(
        self, subscription: Subscription, table: str, entry: UnicastEntry | EnetEntry, publisher: Publisher, add: bool
    ) -> None:
        if not add:
            key = unicast_key(entry) if isinstance(entry, UnicastEntry) else enet_key(entry, publisher)
            subscription.routes.discard((table, key))
            self._core.withdraw(table, self.source, key)
            return
        item_rules.check_next_hops(entry, publisher.master)
        route = unicast_route(entry, publisher) if isinstance(entry, UnicastEntry) else enet_route(entry, publisher)
        subscription.routes.add((table, route.key))
        self._core.update(
            table, self.source, route.key, route.attributes, route.payload, rd=route.rd, flags=route.flags
        )

    def _drop_item(self, node: str, error: ItemError) -> None:
        self.counters["items_dropped"] += 1
        self._remember(f"item {node}: {error}")
        if self.counters["items_dropped"] == 1:
            self.log.warn(
                "agent {agent}: item {node} dropped: {error}; further ones are counted only",
                agent=self.name, node=node, error=error,
            )  # fmt: skip

    def _remember(self, error: str) -> None:
        self.last_error = error

    # The end

    def closed(self) -> None:
        """The session is gone: everything it brought goes with it."""
        for subscription in list(self.subscriptions.values()):
            self._deactivate(subscription)
        self.subscriptions.clear()
        self._core.withdraw_source(self.source)
        self._config.disconnect(self._view)

    def row(self) -> Mapping[str, Any]:
        """For introspect `agents`."""
        routes_in = sum(len(subscription.routes) for subscription in self.subscriptions.values())
        return {
            "peer": self.name,
            "peer_address": self.session.peer_address,
            "state": "Established",
            "subscriptions": sorted(self.subscriptions),
            "routing_instances": [
                {
                    "name": subscription.instance,
                    "index": subscription.instance_id,
                    "state": "subscribed" if subscription.active else "pending",
                    "route_distinguisher": rd.text(
                        rd.make_ipv4(self.source.address, max(subscription.instance_id, 0) & 0xFFFF)
                    ),
                }
                for subscription in self.subscriptions.values()
            ],
            "routes_in": routes_in,
            "routes_out": sum(
                told(membership)
                for subscription in self.subscriptions.values()
                for membership in subscription.memberships
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
