"""Object types, properties, references and link names of the configuration, as data (reference/config.md 3.12)."""

from .model import Child, Member, ObjectType, Property, Reference, Schema, load
from .validate import SchemaError, check_object, check_property, check_reference, is_text

__all__ = [
    "Child",
    "Member",
    "ObjectType",
    "Property",
    "Reference",
    "Schema",
    "SchemaError",
    "check_object",
    "check_property",
    "check_reference",
    "is_text",
    "load",
]
