"""Configuration from one control node into the agent's graph, with generations, so that leftovers can be swept.

Every node and link carries the sequence of the session that last said it. When a session has been quiet long enough its
dump is over; what still carries an older sequence is deleted later (reference/agent.md 3.4).
"""

from __future__ import annotations

from collections import Counter

from lxml import etree

from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import Schema
from contrail_emulator.config.schema.validate import SchemaError
from contrail_emulator.config.schema.xml import from_xml
from contrail_emulator.control.xmpp.config_message import DELETE, ConfigLink, ConfigNode, read
from contrail_emulator.control.xmpp.stanza import Stanza

NodeKey = tuple[str, str]
LinkKey = tuple[str, NodeKey, NodeKey]


class ConfigReceiver:
    """Feeds one graph. `sequence` is the generation that received objects are stamped with."""

    __slots__ = ("_links", "_nodes", "_schema", "counters", "graph", "sequence")

    def __init__(self, graph: Graph, schema: Schema) -> None:
        self.graph = graph
        self._schema = schema
        self.sequence = 0
        self._nodes: dict[NodeKey, int] = {}
        self._links: dict[LinkKey, int] = {}
        self.counters: Counter[str] = Counter()

    def new_session(self) -> None:
        """Another dump begins."""
        self.sequence += 1

    def receive(self, stanza: Stanza) -> bool:
        """Apply one stanza; False when it is not configuration. Never raises: what cannot be read is counted."""
        found = read(stanza)
        if found is None:
            return False
        self.counters["faults"] += len(found.faults)
        with self.graph.batch():
            for operation, unit in found.message.changes():
                if isinstance(unit, ConfigLink):
                    self._link(unit, operation == DELETE)
                else:
                    self._node(unit, operation == DELETE)
        return True

    def sweep(self) -> int:
        """Delete what no recent session has said; how many objects that were."""
        links = [key for key, sequence in self._links.items() if sequence < self.sequence]
        nodes = [key for key, sequence in self._nodes.items() if sequence < self.sequence]
        with self.graph.batch():
            for name, left, right in links:
                del self._links[name, left, right]
                self.graph.unlink(name, left, right)
            for key in nodes:
                del self._nodes[key]
                self.graph.remove(*key)
        return len(links) + len(nodes)

    def _node(self, unit: ConfigNode, delete: bool) -> None:
        key = (unit.type, unit.name)
        if not self._knows(unit.type):
            self.counters["unknown types"] += 1
            return
        if delete:
            self.counters["node deletes"] += 1
            if self._nodes.pop(key, None) is not None:
                self.graph.remove(*key)
            return
        self.counters["node updates"] += 1
        self._nodes[key] = self.sequence
        self.graph.put(*key, self._properties(unit.type, unit.elements))

    def _knows(self, type_name: str) -> bool:
        """Whether there is a table for such nodes; a link to others is dropped (reference/xmpp.md 3.2)."""
        return type_name in self._schema.types or type_name in self._schema.links

    def _properties(self, type_name: str, elements: tuple[etree._Element, ...]) -> dict[str, object]:
        """A list or map property comes as several elements of one name: they are joined under its wrapper."""
        found: dict[str, object] = {}
        for element in elements:
            try:
                name, value = from_xml(type_name, element, self._schema)
            except SchemaError:
                self.counters["unknown properties"] += 1
                continue
            old = found.get(name)
            if isinstance(old, dict) and isinstance(value, dict) and len(old) == 1 and old.keys() == value.keys():
                (member,) = old
                if isinstance(old[member], list) and isinstance(value[member], list):
                    value = {member: [*old[member], *value[member]]}
            found[name] = value
        return found

    def _link(self, unit: ConfigLink, delete: bool) -> None:
        left, right = (unit.left.type, unit.left.name), (unit.right.type, unit.right.name)
        if not self._knows(left[0]) or not self._knows(right[0]):
            self.counters["unknown types"] += 1
            return
        key = (unit.metadata, min(left, right), max(left, right))
        if delete:
            self.counters["link deletes"] += 1
            if self._links.pop(key, None) is not None:
                self.graph.unlink(unit.metadata, left, right)
            return
        self.counters["link updates"] += 1
        self._links[key] = self.sequence
        self.graph.link(unit.metadata, left, right)
