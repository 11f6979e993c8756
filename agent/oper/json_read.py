"""Careful reading of JSON properties: configuration of any origin may lack anything or have it in another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

Json = Mapping[str, Any]
EMPTY: Json = {}


def mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else EMPTY


def members(value: object, name: str) -> list[Json]:
    """The objects of a wrapped list: `{"acl_rule": [{…}]}`."""
    inner = mapping(value).get(name)
    if isinstance(inner, Mapping):
        return [inner]
    return [item for item in inner if isinstance(item, Mapping)] if isinstance(inner, list) else []


def texts(value: object, name: str) -> list[str]:
    """The texts of a wrapped list: `{"mac_address": ["…"]}`."""
    inner = mapping(value).get(name)
    if isinstance(inner, str):
        return [inner]
    return [item for item in inner if isinstance(item, str)] if isinstance(inner, list) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def integer(value: object, default: int = 0) -> int:
    if isinstance(value, bool):
        return default
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return default
    return default


def unsigned(value: object, bits: int, default: int = 0) -> int:
    """A number that fits its field on the wire; another one, which a row may hold, counts as absent."""
    number = integer(value, default)
    return number if 0 <= number < 1 << bits else default


def boolean(value: object, default: bool) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    return default


def uuid(properties: Json) -> str:
    """The uuid in id-perms, as text; empty when there is none."""
    halves = mapping(mapping(properties.get("id_perms")).get("uuid"))
    high, low = integer(halves.get("uuid_mslong")), integer(halves.get("uuid_lslong"))
    if not high and not low:
        return ""
    mask = (1 << 64) - 1
    return str(UUID(int=(high & mask) << 64 | low & mask))


def enabled(properties: Json) -> bool:
    """id-perms `enable`: the administrative state."""
    return boolean(mapping(properties.get("id_perms")).get("enable"), True)


def mac(value: str) -> bytes:
    """Six bytes, or none when the text is not a MAC."""
    try:
        raw = bytes.fromhex(value.replace(":", "").replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == 6 else b""
