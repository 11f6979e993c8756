"""A flow as the agent keeps it: always two entries, each the other's reverse (reference/agent.md 16)."""

from __future__ import annotations

from uuid import UUID

from ..ksync import FlowAction, FlowDrop, FlowKey


class Side:
    """One entry. `index` and `gen_id` are the data plane's, -1 until it has been told."""

    __slots__ = ("gen_id", "index", "key", "packets", "source_next_hop", "vrf")

    def __init__(self, key: FlowKey, vrf: int, source_next_hop: int, index: int = -1, gen_id: int = 0) -> None:
        self.key = key
        self.vrf = vrf
        self.source_next_hop = source_next_hop
        self.index = index
        self.gen_id = gen_id
        self.packets = 0


class FlowPair:
    """`reason` None: forwarded. A short flow has no way or no source and is forgotten soon."""

    __slots__ = (
        "destination_vn",
        "forward",
        "ingress",
        "interface",
        "last_seen",
        "local",
        "packet",
        "reason",
        "reverse",
        "rule",
        "setup_time",
        "short",
        "source_vn",
        "uuid",
    )

    def __init__(self, uuid: UUID, forward: Side, reverse: Side, now: float) -> None:
        self.uuid = uuid
        self.forward = forward
        self.reverse = reverse
        self.reason: FlowDrop | None = None
        self.rule = ""
        self.short = False
        self.local = False
        self.ingress = True
        self.interface = ""
        self.source_vn = ""
        self.destination_vn = ""
        self.setup_time = self.last_seen = now
        self.packet: object = None

    @property
    def action(self) -> FlowAction:
        return FlowAction.FORWARD if self.reason is None else FlowAction.DROP
