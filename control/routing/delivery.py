"""From what a group read off its ring to messages at its members: encoded once for all who are to hear the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .group_key import Encoder, GroupKey, SetEncoder, SingleEncoder
from .members import Membership
from .olist import Olist
from .ring import Advert

if TYPE_CHECKING:
    from .table import Table


class Collected:
    """What one slice of reading has to say.

    `batches` holds (receivers, attributes, routes) with (key, payload) routes of one attribute set, or with a tuple of
    sets, and a tuple of payloads for each route, where agents are told several paths. `olists` and `gone` hold
    replication lists and withdrawn keys by receivers.
    """

    __slots__ = ("_attributes", "_index", "_receivers", "_routes", "batches", "gone", "olists")

    def __init__(self) -> None:
        self.batches: list[tuple[int, Any, list[Any]]] = []
        self.olists: dict[int, list[tuple[bytes, Olist]]] = {}
        self.gone: dict[int, list[bytes]] = {}
        self._index: dict[int, dict[Any, list[Any]]] = {}
        self._attributes: Any = None
        self._receivers = 0
        self._routes: list[Any] = []

    def add(self, advert: Advert, receivers: int) -> None:
        attributes = advert.attributes
        if attributes is not self._attributes or receivers != self._receivers:
            if isinstance(attributes, Olist):
                self.olists.setdefault(receivers, []).append((advert.route.key, attributes))
                return
            self._attributes, self._receivers = attributes, receivers
            self._routes = self.routes(attributes, receivers)
        self._routes.append((advert.route.key, advert.payload))

    def routes(self, attributes: Any, receivers: int) -> list[Any]:
        """Where the routes with these attributes are collected for these receivers."""
        index = self._index.get(receivers)
        if index is None:
            index = self._index[receivers] = {}
        content = attributes if isinstance(attributes, tuple) else attributes.key
        found = index.get(content)
        if found is None:
            found = index[content] = []
            self.batches.append((receivers, attributes, found))
        return found

    def lose(self, key: bytes, receivers: int) -> None:
        """A route to be withdrawn."""
        self.gone.setdefault(receivers, []).append(key)


class Encoded:
    """Messages, and how many routes they announce and withdraw, each by receivers."""

    __slots__ = ("messages", "reach", "unreach")

    def __init__(self) -> None:
        self.messages: dict[int, list[bytes]] = {}
        self.reach: dict[int, int] = {}
        self.unreach: dict[int, int] = {}


class Delivery:
    """The encoder of one group, and its counters.

    `deliveries` counts calls of members, `messages` what was encoded, `reach` and `unreach` the routes in it.
    """

    __slots__ = ("_counters", "_encoder", "_key", "_reach_set", "_reach_single", "_table")

    def __init__(self, table: Table, key: GroupKey, encoder: Encoder, counters: dict[str, int]) -> None:
        self._table = table
        self._key = key
        self._encoder = encoder
        self._reach_set: SetEncoder | None = getattr(encoder, "reach_set", None)
        self._reach_single: SingleEncoder | None = getattr(encoder, "reach_single", None)
        self._counters = counters

    def encode(self, collected: Collected) -> Encoded:
        """What each is to be sent."""
        encoded = Encoded()
        by_receivers, reach, unreach = encoded.messages, encoded.reach, encoded.unreach
        encoder = self._encoder
        table, counters = self._table, self._counters
        name, family, instance = table.name, table.family, table.instance.name
        key, reach_set, reach_single = self._key, self._reach_set, self._reach_single
        for receivers, attributes, routes in collected.batches:
            errors = encoder.build_errors
            if isinstance(attributes, tuple):
                paths = [(nlri, tuple(zip(attributes, payloads, strict=True))) for nlri, payloads in routes]
                messages = encoder.reach(name, family, instance, key, paths)
            elif reach_set is not None:
                messages = reach_set(name, family, key, attributes, routes)
            elif reach_single is not None:
                messages = reach_single(family, instance, attributes, routes)
            else:
                paths = [(nlri, ((attributes, payload),)) for nlri, payload in routes]
                messages = encoder.reach(name, family, instance, key, paths)
            errors = encoder.build_errors - errors
            if errors:
                unreach[receivers] = unreach.get(receivers, 0) + errors
            reach[receivers] = reach.get(receivers, 0) + len(routes) - errors
            earlier = by_receivers.get(receivers)
            if earlier is None:
                earlier = by_receivers[receivers] = []
            earlier += messages
        for receivers, lists in collected.olists.items():
            reach[receivers] = reach.get(receivers, 0) + len(lists)
            messages = encoder.reach_olist(name, family, instance, key, lists)
            by_receivers.setdefault(receivers, []).extend(messages)
        for receivers, keys in collected.gone.items():
            unreach[receivers] = unreach.get(receivers, 0) + len(keys)
            messages = encoder.unreach(name, family, instance, key, keys)
            by_receivers.setdefault(receivers, []).extend(messages)
        counters["reach"] += sum(reach.values())
        counters["unreach"] += sum(unreach.values())
        counters["messages"] += sum(map(len, by_receivers.values()))
        if encoder.joins:
            encoded.messages = {receivers: [b"".join(messages)] for receivers, messages in by_receivers.items()}
        return encoded

    def hand_over(self, encoded: Encoded, membership: Membership) -> bool:
        """A member's share. False when it is still a member and no more must come for now."""
        bit = membership.bit
        due = [message for receivers, messages in encoded.messages.items() if receivers & bit for message in messages]
        tally = membership.tally
        if tally is not None and due:
            tally.reach += sum([routes for receivers, routes in encoded.reach.items() if receivers & bit])
            tally.unreach += sum([routes for receivers, routes in encoded.unreach.items() if receivers & bit])
        if len(due) > 1 and self._encoder.joins:
            due = [b"".join(due)]
        takes_more = True
        group = membership.group
        for message in due:
            if group is not None and membership.group is group:
                self._counters["deliveries"] += 1
                takes_more = membership.member.deliver(message) and takes_more
        return takes_more or membership.group is None
