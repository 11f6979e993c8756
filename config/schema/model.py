"""The schema table: what types there are and how they hang together.

Type names are the schema's, with dashes (`virtual-network`, `virtual-DNS`). Property and member names are JSON names,
with underscores (`virtual_network_properties`). The database and the message bus write type names with underscores:
`ObjectType.object_type`. The table itself is data/schema.json, made by tools/make_schema.py.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

SIMPLE_TYPES = frozenset({"string", "integer", "boolean", "unsignedLong", "dateTime", "time"})
"""XSD types whose value is one text in XML; every other type is a class of the table."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a complex type. `enum` and `range` are empty where anything goes."""

    name: str
    type: str
    array: bool = False
    enum: tuple[Any, ...] = ()
    range: tuple[int, ...] = ()

    @property
    def xml_name(self) -> str:
        """The element name: dashes for underscores."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an object type.

    `list` and `map` properties are stored element by element; their JSON value has a wrapper, an object with the one
    member `wrapper`, e.g. `{"key_value_pair": [{"key": …, "value": …}]}`. `map_key` is the member that is the key.
    """

    name: str
    type: str
    xml_name: str
    is_list: bool = False
    map_key: str = ""
    wrapper: str = ""
    presence: str = "optional"
    default: Any = None
    enum: tuple[Any, ...] = ()
    range: tuple[int, ...] = ()

    @property
    def is_map(self) -> bool:
        """Stored under `propm:<name>:<key>`."""
        return bool(self.map_key)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from one type to another: the link's name (the metadata name) and the type of its attribute."""

    target: str
    link: str
    attribute: str = ""
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A child type and the link's name. A derived child does not keep its parent from being deleted."""

    type: str
    link: str
    derived: bool = False


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One object type with everything that may be said about its objects."""

    name: str
    parents: tuple[str, ...]
    properties: Mapping[str, Property]
    references: Mapping[str, Reference]
    children: Mapping[str, Child]

    @property
    def object_type(self) -> str:
        """The name as the database and the bus write it (`virtual_network`)."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Schema:
    """The whole table, immutable.

    `types` by dash name, `classes` (complex types) by XSD name, `links` the attribute type of every link that has one.
    """

    types: Mapping[str, ObjectType]
    classes: Mapping[str, tuple[Member, ...]]
    links: Mapping[str, str]
    by_object_type: Mapping[str, ObjectType]
    source: str = ""

    def find(self, name: str) -> ObjectType | None:
        """The type called `name`, with dashes or with underscores, or None."""
        return self.types.get(name) or self.by_object_type.get(name)

    def parent_link(self, parent: str, child: str) -> str | None:
        """The name of the link between a parent and its child, or None when the schema knows no such pair."""
        parent_type = self.types.get(parent)
        entry = parent_type.children.get(child) if parent_type else None
        return entry.link if entry else None

    def property_of(self, type_name: str, name: str) -> Property | None:
        """The property `name` of an object type, or `value` of a link with attributes (its type is the link's name)."""
        if name == "value" and type_name in self.links:
            return Property("value", self.links[type_name], "value")
        found = self.types.get(type_name)
        return found.properties.get(name) if found else None


def _member(entry: Mapping[str, Any]) -> Member:
    return Member(
        entry["name"],
        entry["type"],
        entry.get("array", False),
        tuple(entry.get("enum", ())),
        tuple(entry.get("range", ())),
    )


def _property(name: str, entry: Mapping[str, Any], classes: Mapping[str, tuple[Member, ...]]) -> Property:
    is_list, map_key = entry.get("list", False), entry.get("map", "")
    return Property(
        name=name,
        type=entry["type"],
        xml_name=entry.get("xml", name.replace("_", "-")),
        is_list=is_list,
        map_key=map_key,
        wrapper=classes[entry["type"]][0].name if is_list or map_key else "",
        presence=entry.get("presence", "optional"),
        default=entry.get("default"),
        enum=tuple(entry.get("enum", ())),
        range=tuple(entry.get("range", ())),
    )


def build(table: Mapping[str, Any]) -> Schema:
    """The schema in a table as data/schema.json has it."""
    classes = {name: tuple(_member(entry) for entry in members) for name, members in table["classes"].items()}
    types = {}
    for name, entry in table["types"].items():
        types[name] = ObjectType(
            name=name,
            parents=tuple(entry["parents"]),
            properties=MappingProxyType({p: _property(p, e, classes) for p, e in entry["properties"].items()}),
            references=MappingProxyType(
                {
                    t: Reference(t, e["link"], e.get("attribute", ""), e.get("derived", False))
                    for t, e in entry["references"].items()
                }
            ),
            children=MappingProxyType(
                {t: Child(t, e["link"], e.get("derived", False)) for t, e in entry["children"].items()}
            ),
        )
    links = {
        reference.link: reference.attribute
        for found in types.values()
        for reference in found.references.values()
        if reference.attribute
    }
    return Schema(
        types=MappingProxyType(types),
        classes=MappingProxyType(classes),
        links=MappingProxyType(links),
        by_object_type=MappingProxyType({found.object_type: found for found in types.values()}),
        source=table["source"],
    )


@functools.cache
def load() -> Schema:
    """The schema of the package; read once, immutable."""
    text = resources.files("contrail_emulator.config").joinpath("data/schema.json").read_text(encoding="utf-8")
    return build(json.loads(text))
