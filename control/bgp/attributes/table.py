"""Path attributes by number: names, flags, lengths and what a fault in one means (reference/bgp.md 3.1, RFC 7606 7)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Final, NamedTuple


class AttributeType(IntEnum):
    """IANA type codes, and Contrail's private 241 to 243."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    PMSI_TUNNEL = 22
    LARGE_COMMUNITY = 32
    EDGE_DISCOVERY = 241
    EDGE_FORWARDING = 242
    ORIGIN_VN_PATH = 243


OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
PARTIAL: Final = 0x20
EXTENDED_LENGTH: Final = 0x10
CLASS_BITS: Final = OPTIONAL | TRANSITIVE

WELL_KNOWN: Final = TRANSITIVE
OPTIONAL_TRANSITIVE: Final = OPTIONAL | TRANSITIVE


class Verdict(Enum):
    """What RFC 7606 section 2 does about a malformed attribute, mildest first."""

    DISCARD = "attribute discard"
    WITHDRAW = "treat-as-withdraw"
    RESET = "session reset"


class Spec(NamedTuple):
    """What one attribute must look like."""

    code: int
    name: str
    flags: int
    lengths: frozenset[int] | None
    """Allowed lengths of the value; None: any."""
    subcode: int
    """Of NOTIFICATION code 3 when the value, not its length, is wrong."""
    verdict: Verdict
    """RFC 7606: what a malformed one means."""
    ibgp_only: bool = False
    """RFC 7606: from an eBGP peer it is discarded, whatever is in it."""


def _multiple_of(unit: int) -> frozenset[int]:
    return frozenset(range(unit, 4097, unit))


_T = AttributeType

SPECS: Mapping[int, Spec] = {
    spec.code: spec
    for spec in (
        Spec(_T.ORIGIN, "ORIGIN", WELL_KNOWN, frozenset((1,)), 6, Verdict.WITHDRAW),
        Spec(_T.AS_PATH, "AS_PATH", WELL_KNOWN, None, 11, Verdict.WITHDRAW),
        Spec(_T.NEXT_HOP, "NEXT_HOP", WELL_KNOWN, frozenset((4,)), 8, Verdict.WITHDRAW),
        Spec(_T.MULTI_EXIT_DISC, "MULTI_EXIT_DISC", OPTIONAL, frozenset((4,)), 5, Verdict.WITHDRAW),
        Spec(_T.LOCAL_PREF, "LOCAL_PREF", WELL_KNOWN, frozenset((4,)), 5, Verdict.WITHDRAW, True),
        Spec(_T.ATOMIC_AGGREGATE, "ATOMIC_AGGREGATE", WELL_KNOWN, frozenset((0,)), 5, Verdict.DISCARD),
        Spec(_T.AGGREGATOR, "AGGREGATOR", OPTIONAL_TRANSITIVE, frozenset((6, 8)), 5, Verdict.DISCARD),
        Spec(_T.COMMUNITIES, "COMMUNITIES", OPTIONAL_TRANSITIVE, _multiple_of(4), 5, Verdict.WITHDRAW),
        Spec(_T.ORIGINATOR_ID, "ORIGINATOR_ID", OPTIONAL, frozenset((4,)), 5, Verdict.WITHDRAW, True),
        Spec(_T.CLUSTER_LIST, "CLUSTER_LIST", OPTIONAL, _multiple_of(4), 5, Verdict.WITHDRAW, True),
        Spec(_T.MP_REACH_NLRI, "MP_REACH_NLRI", OPTIONAL, None, 9, Verdict.RESET),
        Spec(_T.MP_UNREACH_NLRI, "MP_UNREACH_NLRI", OPTIONAL, None, 9, Verdict.RESET),
        Spec(_T.EXTENDED_COMMUNITIES, "EXT_COMMUNITIES", OPTIONAL_TRANSITIVE, _multiple_of(8), 5, Verdict.WITHDRAW),
        Spec(_T.AS4_PATH, "AS4_PATH", OPTIONAL_TRANSITIVE, None, 5, Verdict.DISCARD),
        Spec(_T.AS4_AGGREGATOR, "AS4_AGGREGATOR", OPTIONAL_TRANSITIVE, frozenset((8,)), 5, Verdict.DISCARD),
        Spec(_T.PMSI_TUNNEL, "PMSI_TUNNEL", OPTIONAL_TRANSITIVE, frozenset(range(5, 4097)), 5, Verdict.WITHDRAW),
        Spec(_T.LARGE_COMMUNITY, "LARGE_COMMUNITY", OPTIONAL_TRANSITIVE, _multiple_of(12), 5, Verdict.WITHDRAW),
        Spec(_T.EDGE_DISCOVERY, "EDGE_DISCOVERY", OPTIONAL_TRANSITIVE, None, 5, Verdict.WITHDRAW),
        Spec(_T.EDGE_FORWARDING, "EDGE_FORWARDING", OPTIONAL_TRANSITIVE, None, 5, Verdict.WITHDRAW),
        Spec(_T.ORIGIN_VN_PATH, "ORIGIN_VN_PATH", OPTIONAL_TRANSITIVE, _multiple_of(8), 5, Verdict.WITHDRAW),
    )
}

CONTRAIL_ORDER: Final = (1, 4, 5, 6, 7, 18, 9, 10, 2, 17, 241, 242, 8, 16, 243, 22, 32)
"""The order on the wire of reference/bgp.md 3.1, without NEXT_HOP and MP_*; LARGE_COMMUNITY, which a control node
does not know, and attributes nobody knows come last."""


def attribute_name(code: int) -> str:
    spec = SPECS.get(code)
    return spec.name if spec is not None else f"attribute {code}"


def header(flags: int, code: int, length: int) -> bytes:
    """Flags, type and length, in the long form where the length needs it."""
    if length > 0xFF or flags & EXTENDED_LENGTH:
        return bytes((flags | EXTENDED_LENGTH, code, length >> 8, length & 0xFF))
    return bytes((flags, code, length))
