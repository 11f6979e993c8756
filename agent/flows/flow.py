"""A flow as the agent keeps it: always two entries, each the other's reverse (reference/agent.md 16)."""

from __future__ import annotations

from uuid import UUID

from ..ksync import Flow, FlowAction, FlowFlag, FlowKey
from .setup import Answer, Half, Question


class Side:
    """One entry. `index` and `gen_id` are the data plane's, -1 until it has been told."""

    __slots__ = ("gen_id", "half", "index", "packets")

    def __init__(self, half: Half, index: int = -1, gen_id: int = 0) -> None:
        self.half = half
        self.index = index
        self.gen_id = gen_id
        self.packets = 0

    @property
    def key(self) -> FlowKey:
        return self.half.key


class FlowPair:
    """What was asked and what was answered. A short flow has no way or no source and is forgotten soon."""

    __slots__ = ("answer", "asked", "forward", "last_seen", "reverse", "setup_time", "uuid")

    def __init__(self, uuid: UUID, asked: Question, answer: Answer, now: float) -> None:
        self.uuid = uuid
        self.asked = asked
        self.answer = answer
        self.forward = Side(answer.forward)
        self.reverse = Side(answer.reverse)
        self.setup_time = self.last_seen = now

    def replace(self, answer: Answer) -> None:
        """Another answer for the same two keys."""
        self.answer = answer
        self.forward.half, self.reverse.half = answer.forward, answer.reverse

    def action(self, side: Side) -> FlowAction:
        if self.answer.reason is not None:
            return FlowAction.DROP
        return FlowAction.NAT if side.half.nat else FlowAction.FORWARD

    def row(self, side: Side, flags: FlowFlag, rindex: int) -> Flow:
        """What the data plane is told of one entry."""
        half, reason = side.half, self.answer.reason
        other = self.reverse if side is self.forward else self.forward
        return Flow(
            half.key,
            side.index,
            side.gen_id,
            self.action(side),
            flags | half.nat if reason is None else flags,
            vrf=half.vrf,
            dvrf=half.dvrf,
            rindex=rindex,
            rflow=other.key,
            src_nh_index=half.source_next_hop,
            ecmp_nh_index=half.ecmp_index,
            drop_reason=0 if reason is None else int(reason),
        )
