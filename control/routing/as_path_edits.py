"""Edits of an AS_PATH on its way out: as-override and private-as-action (reference/bgp.md 1.10)."""

from __future__ import annotations

from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.bgp.attributes.as_path import Segment

from .group_key import GroupKey


def is_private(asn: int) -> bool:
    """RFC 6996."""
    return 64512 <= asn <= 65534 or 4200000000 <= asn <= 4294967294


def replace(path: AsPath, old: int, new: int) -> AsPath:
    """Every occurrence of one AS by another."""
    if not path.count(old):
        return path
    return AsPath((kind, tuple(new if asn == old else asn for asn in numbers)) for kind, numbers in path.segments)


def leftmost_public(path: AsPath) -> int:
    """The first public AS number, 0 when there is none."""
    return next((asn for asn in path.numbers if not is_private(asn)), 0)


def remove_private(path: AsPath, key: GroupKey, replacement: int | None) -> AsPath:
    """`remove` takes private numbers up to the first public one or the peer's own; `remove-all` takes every one but the
    peer's; `replace-all` puts `replacement` there instead, or the leftmost public number when that is None."""
    action = key.private_as_action
    everything = action in ("remove-all", "replace-all")
    substitute = 0
    if action == "replace-all":
        substitute = replacement if replacement is not None else leftmost_public(path)
    segments: list[Segment] = []
    stopped = False
    for kind, numbers in path.segments:
        kept: list[int] = []
        for asn in numbers:
            if stopped or not is_private(asn) or asn == key.peer_as:
                stopped = stopped or not everything
                kept.append(asn)
            elif substitute:
                kept.append(substitute)
        if kept:
            segments.append((kind, tuple(kept)))
    return AsPath(segments)
