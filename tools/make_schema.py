"""Write config/data/schema.json from the generated classes of the PyPI package contrail-api-client.

The package (Apache-2.0) is no dependency of ours: its 230,000 generated lines are read once, here. Run it in an
environment of its own:

    python -m venv /tmp/schema && /tmp/schema/bin/pip install contrail-api-client future six requests
    /tmp/schema/bin/python tools/make_schema.py config/data/schema.json

What newer sources have and the package lacks stands in tools/schema_additions.json and is merged over the result.
"""

import importlib
import importlib.metadata
import inspect
import json
import sys
from pathlib import Path
from typing import Any

ADDITIONS = Path(__file__).with_name("schema_additions.json")


def restriction(field: dict[str, Any]) -> dict[str, Any]:
    """The value restriction of one field: {"enum": [...]}, {"range": [low, high]} or nothing."""
    values = field["restrictions"]
    if not values:
        return {}
    return {field["restriction_type"]: list(values)}


def property_entry(resource: Any, name: str) -> dict[str, Any]:
    """One property of an object type: XSD type, list or map form, restrictions, spelling in XML if it is unusual."""
    field = resource.prop_field_types[name]
    entry: dict[str, Any] = {"type": field["xsd_type"], **restriction(field)}
    if name in resource.prop_list_fields:
        entry["list"] = True
    if name in resource.prop_map_fields:
        entry["map"] = resource.prop_map_field_key_names[name]
    if field["required"] in ("required", "system-only"):
        entry["presence"] = field["required"]
    if field["default"] is not None:
        entry["default"] = field["default"]
    if resource.prop_field_metas[name] != name.replace("_", "-"):
        entry["xml"] = resource.prop_field_metas[name]
    return entry


def type_entry(resource: Any) -> dict[str, Any]:
    """One object type: parents, properties, references and children with their link names."""
    references = {}
    for field, (target, attribute, derived, *_) in sorted(resource.ref_field_types.items()):
        entry = {"link": resource.ref_field_metas[field]}
        if attribute != "None":
            entry["attribute"] = attribute
        if derived:
            entry["derived"] = True
        references[target] = entry
    children = {}
    for field, (target, derived, *_) in sorted(resource.children_field_types.items()):
        entry = {"link": resource.children_field_metas[field]}
        if derived:
            entry["derived"] = True
        children[target] = entry
    return {
        "parents": list(resource.parent_types),
        "properties": {name: property_entry(resource, name) for name in sorted(resource.prop_fields)},
        "references": references,
        "children": children,
    }


def class_entry(xsd_class: Any) -> list[dict[str, Any]]:
    """The members of a complex type, in XSD order."""
    members = []
    for name in xsd_class.attr_fields:
        field = xsd_class.attr_field_type_vals[name]
        entry: dict[str, Any] = {"name": name, "type": field["attr_type"], **restriction(field)}
        if field["is_array"]:
            entry["array"] = True
        members.append(entry)
    return members


def merge(base: dict[str, Any], additions: dict[str, Any]) -> None:
    """Add what `additions` has: dictionaries member by member, lists at their end."""
    for key, value in additions.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        elif isinstance(value, list) and isinstance(base.get(key), list):
            base[key].extend(entry for entry in value if entry not in base[key])
        else:
            base[key] = value


def build() -> dict[str, Any]:
    """The whole table."""
    resources = importlib.import_module("vnc_api.gen.resource_common")
    classes = importlib.import_module("vnc_api.gen.resource_xsd")
    version = importlib.metadata.version("contrail-api-client")
    table: dict[str, Any] = {"source": f"contrail-api-client {version} (Apache-2.0)", "types": {}, "classes": {}}
    for resource in vars(resources).values():
        if inspect.isclass(resource) and hasattr(resource, "prop_field_types"):
            table["types"][resource.resource_type] = type_entry(resource)
    for name, xsd_class in vars(classes).items():
        if inspect.isclass(xsd_class) and hasattr(xsd_class, "attr_field_type_vals"):
            table["classes"][name] = class_entry(xsd_class)
    merge(table, json.loads(ADDITIONS.read_text(encoding="utf-8")))
    return table


def dump(table: dict[str, Any]) -> str:
    """One line per type and class: compact, and a change shows in a diff."""
    lines = [f'{{"source": {json.dumps(table["source"])}']
    for section in ("types", "classes"):
        rows = [
            f"{json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}"
            for name, entry in sorted(table[section].items())
        ]
        lines.append(f'"{section}": {{\n' + ",\n".join(rows) + "\n}")
    return ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dump(build()), encoding="utf-8")
