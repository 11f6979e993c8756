"""Rows in, graph out: what a row says becomes a node with its properties and links. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import Logger

from .graph import Graph, Node
from .layout import Fault, RowError, StoredObject, decode
from .schema import Schema
from .store import Row

NEVER_LOOKED_AT = frozenset({"perms2", "draft_mode_state"})
DRAFT = "prop:draft_mode_state"
EMPTY_DRAFTS = frozenset({"", "null", '""'})

LinkKey = tuple[str, str, str]
"""(link name, type of the other end, name of the other end)"""


@dataclass(slots=True)
class Known:
    """What the last read of a row put into the graph."""

    type: str
    name: str
    links: dict[LinkKey, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Applied:
    """What came of a row: uuids it refers to that nobody knows (read all of them later), and rows to read now."""

    unresolved: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


class Feeder:
    """Keeps a graph equal to the rows it is given.

    `names` is the name cache, uuid -> (type, fq-name joined by colons). `faults` has, per uuid, what is wrong in its
    row now; each wrong is logged once.
    """

    log = Logger()

    def __init__(self, schema: Schema, graph: Graph) -> None:
        self.schema = schema
        self.graph = graph
        self.names: dict[str, tuple[str, str]] = {}
        self.faults: dict[str, tuple[Fault, ...]] = {}
        self._known: dict[str, Known] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self._waiting: dict[str, set[str]] = {}
        self._rivals: dict[tuple[str, str], set[str]] = {}

    def uuids(self) -> list[str]:
        """Every uuid whose row is in the graph or in the name cache."""
        return list(dict.fromkeys([*self.names, *self._known, *self.faults]))

    def learn(self, uuid: str, object_type: str, name: str) -> list[str]:
        """Remember a name from the index or a message; gives the uuids whose references waited for it."""
        found = self.schema.find(object_type)
        if found is None or uuid in self.names:
            return []
        self.names[uuid] = (found.name, name)
        return list(self._waiting.pop(uuid, ()))

    def apply(self, uuid: str, row: Row | None) -> Applied:
        """Take over what the row says now; None, or a row without name or type, is a deletion."""
        if row is None or "type" not in row or "fq_name" not in row:
            return self._delete(uuid, ())
        if DRAFT in row and row[DRAFT].value not in EMPTY_DRAFTS:
            return self._delete(uuid, ())
        try:
            stored = decode(self.schema, uuid, row)
        except RowError as error:
            return self._delete(uuid, (Fault(error.field, error.expected),))
        return self._put(stored)

    # -- inside

    def _put(self, stored: StoredObject) -> Applied:
        uuid, key = stored.uuid, (stored.type.name, stored.name)
        applied = Applied()
        known = self._known.get(uuid)
        if known is not None and (known.type, known.name) != key:
            applied.again.extend(self._delete(uuid, ()).again)
            known = None
        owner = self._owners.get(key)
        if owner is not None and owner != uuid:
            fault = Fault("fq_name", f"a name of its own, not that of {owner}")
            applied.again.extend(self._delete(uuid, (fault,)).again)
            self._rivals.setdefault(key, set()).add(uuid)
            return applied
        self._owners[key] = uuid
        if self.names.get(uuid) != key:
            self.names[uuid] = key
            applied.again.extend(self._waiting.pop(uuid, ()))
        faults = list(stored.faults)
        links = self._links(stored, faults, applied.unresolved)
        with self.graph.batch():
            properties = {name: value for name, value in stored.properties.items() if name not in NEVER_LOOKED_AT}
            self.graph.put(*key, properties)
            self._relink(key, known.links if known else {}, links)
        self._known[uuid] = Known(*key, links)
        self._report(uuid, stored.name, faults)
        for target in applied.unresolved:
            self._waiting.setdefault(target, set()).add(uuid)
        return applied

    def _links(self, stored: StoredObject, faults: list[Fault], unresolved: list[str]) -> dict[LinkKey, Any]:
        links: dict[LinkKey, Any] = {}
        if stored.parent is not None and stored.parent.type != "config-root":
            name = self.schema.parent_link(stored.parent.type, stored.type.name)
            if name is None:
                expected = f"one of {', '.join(stored.type.parents)}, not {stored.parent.type}"
                faults.append(Fault("parent_type", expected))
            else:
                links[(name, stored.parent.type, ":".join(stored.fq_name[:-1]))] = None
        for link in stored.references:
            end = self.names.get(link.uuid)
            if end is None:
                unresolved.append(link.uuid)
            elif end[0] != link.type:
                faults.append(Fault(f"ref:{link.type}:{link.uuid}", f"the uuid of a {link.type}, not of a {end[0]}"))
            else:
                reference = stored.type.references[link.type]
                links[(reference.link, *end)] = link.attribute
        return links

    def _relink(self, key: tuple[str, str], old: dict[LinkKey, Any], new: dict[LinkKey, Any]) -> None:
        for link in old.keys() - new.keys():
            self._unlink(key, link)
        for link, attribute in new.items():
            if link not in old or old[link] != attribute:
                self.graph.link(link[0], key, link[1:], attribute)

    def _unlink(self, key: tuple[str, str], link: LinkKey) -> None:
        """Take a link away, unless it is between two of one type and the other row still states it."""
        name, *_ = link
        end = link[1:]
        other = self._known.get(self._owners.get(end, "")) if end[0] == key[0] else None
        if other is None or (name, *key) not in other.links:
            self.graph.unlink(name, key, end)

    def _delete(self, uuid: str, faults: Iterable[Fault]) -> Applied:
        """The row is gone or useless: out of the graph, and those that pointed here are read again."""
        applied = Applied()
        self.names.pop(uuid, None)
        known = self._known.pop(uuid, None)
        if known is not None:
            key = (known.type, known.name)
            del self._owners[key]
            applied.again.extend(self._rivals.pop(key, ()))
            with self.graph.batch():
                for link in known.links:
                    self._unlink(key, link)
                self.graph.remove(*key)
            applied.again.extend(self._holders(key))
        self._report(uuid, known.name if known else uuid, faults)
        return applied

    def _holders(self, key: tuple[str, str]) -> list[str]:
        node = self.graph.get(*key)
        if node is None:
            return []
        ends: list[Node] = []
        for neighbour in node.neighbours():
            ends.extend(neighbour.neighbours() if neighbour.type in self.schema.links else [neighbour])
        found = (self._owners.get((end.type, end.name)) for end in ends if end is not node)
        return [uuid for uuid in found if uuid is not None]

    def _report(self, uuid: str, name: str, faults: Iterable[Fault]) -> None:
        now = tuple(faults)
        before = self.faults.get(uuid, ())
        for fault in now:
            if fault not in before:
                self.log.warn(
                    "configuration: {name} ({uuid}): {field}: expected {expected}",
                    name=name,
                    uuid=uuid,
                    field=fault.field,
                    expected=fault.expected,
                )
        if now:
            self.faults[uuid] = now
        else:
            self.faults.pop(uuid, None)
