"""Packets that come from the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..vrouter import VRouter


def receive(vr: VRouter, data: bytes) -> None:
    vr.totals.dropped += 1
