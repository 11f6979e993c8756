"""Publish and collection come in two IQs: one publish is held per connection, then merged (reference/xmpp.md 2.3)."""

from typing import NamedTuple

from lxml import etree

from .pubsub import Collection, EmptyCollection, EndOfRib, Publish


class PublishedItems(NamedTuple):
    """A merged pair: `entries` of `node` added to (or, not `add`, deleted from) the routing instance `instance`."""

    instance: str
    node: str
    add: bool
    entries: tuple[etree._Element, ...]


class PublishPairing:
    """Merges the IQ pairs of one connection. Other IQs may come between the two."""

    __slots__ = ("_pending", "dropped")

    def __init__(self) -> None:
        self._pending: Publish | None = None
        self.dropped = 0
        """Publishes replaced by another before their collection, and collections without a matching publish."""

    def take(self, form: Publish | Collection | EmptyCollection) -> PublishedItems | EndOfRib | None:
        """Hold a publish; complete it with its collection. None when there is nothing to hand on (yet)."""
        if isinstance(form, Publish):
            if self._pending is not None:
                self.dropped += 1
            self._pending = form
            return None
        pending, node = self._pending, form.node if isinstance(form, Collection) else ""
        if pending is None or pending.node != node:
            self.dropped += 1
            return None
        self._pending = None
        if not pending.entries:
            return EndOfRib("publish")
        if isinstance(form, EmptyCollection):
            self.dropped += 1
            return None
        return PublishedItems(form.instance, node, form.associate, pending.entries)
