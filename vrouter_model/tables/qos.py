"""A QoS map ready to be looked into."""

from __future__ import annotations

from ..rows import QosMap


class QosEntry:
    """One map: value found in a packet -> forwarding class id."""

    __slots__ = ("dotonep", "dscp", "row")

    def __init__(self, row: QosMap) -> None:
        self.row = row
        self.dscp = dict(row.dscp)
        self.dotonep = dict(row.dotonep)
