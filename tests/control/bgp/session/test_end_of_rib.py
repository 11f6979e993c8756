"""When End-of-RIB may be sent (reference/bgp.md 1.9): a process that started at 0, End-of-RIB time 300 s."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp.end_of_rib import SendingState, may_send
from contrail_emulator.control.bgp.family import Family

STATE = SendingState(registered_at=10, startup_over=60, queue_empty=True, configured=True, last_route_target=10)
VPN, TARGET = Family.INET_VPN, Family.ROUTE_TARGET


@pytest.mark.parametrize(
    ("now", "family", "changes", "contrail", "rfc"),
    [
        (59, VPN, {}, False, True),
        (60, VPN, {}, True, True),
        (60, VPN, {"queue_empty": False}, False, False),
        (309, VPN, {"queue_empty": False}, False, False),
        (310, VPN, {"queue_empty": False}, True, True),
        (15, TARGET, {}, False, True),
        (16, TARGET, {}, True, True),
        (16, TARGET, {"last_route_target": 11}, False, True),
        (16, TARGET, {"configured": False}, False, True),
        (70, TARGET, {"configured": False}, True, True),
    ],
)
def test_may_send(now: float, family: Family, changes: dict[str, Any], contrail: bool, rfc: bool) -> None:
    state = replace(STATE, **changes)
    assert may_send(now, family, 300, state, CONTRAIL) is contrail
    assert may_send(now, family, 300, state, RFC) is rfc
