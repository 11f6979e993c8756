"""Standard communities, RFC 1997; names of reference/bgp.md 3.2."""

from __future__ import annotations

ACCEPT_OWN = 0xFFFF0001
LLGR_STALE = 0xFFFF0006
NO_LLGR = 0xFFFF0007
ACCEPT_OWN_NEXTHOP = 0xFFFF0008
NO_REORIGINATE = 0xFFFFF000
NO_EXPORT = 0xFFFFFF01
NO_ADVERTISE = 0xFFFFFF02
NO_EXPORT_SUBCONFED = 0xFFFFFF03

NAMES = {
    ACCEPT_OWN: "accept-own",
    LLGR_STALE: "llgr-stale",
    NO_LLGR: "no-llgr",
    ACCEPT_OWN_NEXTHOP: "accept-own-nexthop",
    NO_REORIGINATE: "no-reoriginate",
    NO_EXPORT: "no-export",
    NO_ADVERTISE: "no-advertise",
    NO_EXPORT_SUBCONFED: "no-export-subconfed",
}

VALUES = {name: value for value, name in NAMES.items()} | {"LlgrStale": LLGR_STALE, "NoLlgr": NO_LLGR}
"""Every spelling `parse` takes: the printed names and the two that a control node's own parser wants instead."""


def parse(text: str, contrail_names: bool = False) -> int:
    """The 32-bit value of a name or of `high:low`; ValueError for anything else.

    `contrail_names`: the defect of reference/bgp.md 3.2, `llgr-stale` and `no-llgr` are not understood.
    """
    known = VALUES.get(text)
    if contrail_names and text in (NAMES[LLGR_STALE], NAMES[NO_LLGR]):
        raise ValueError(f"not a community: {text!r}")
    if known is not None:
        return known
    high, colon, low = text.partition(":")
    if not colon or not (high + low).isdecimal() or not (high + low).isascii() or not high or not low:
        raise ValueError(f"not a community: {text!r}")
    if int(high) > 0xFFFF or int(low) > 0xFFFF:
        raise ValueError(f"community {text!r}: each half has 16 bits")
    return int(high) << 16 | int(low)


def text(value: int) -> str:
    """The lower-case name, or `high:low`."""
    return NAMES.get(value) or f"{value >> 16}:{value & 0xFFFF}"
