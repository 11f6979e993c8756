"""May this flow pass? Network policy in and out, then security groups of both ends (reference/agent.md 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..ksync import FlowDrop
from ..oper.acl import AccessList, Endpoint, Judgement, Verdict, judge
from ..oper.interfaces import VmInterface


class Decision(NamedTuple):
    """`reason` None: pass. `rule` is the uuid that decided."""

    reason: FlowDrop | None = None
    rule: str = ""


PASS = Decision()


def decide(
    protocol: int,
    source: Endpoint,
    destination: Endpoint,
    sender: VmInterface | None,
    receiver: VmInterface | None,
) -> Decision:
    """`sender` and `receiver` are the local interfaces at the ends, None for a remote one or when its policy is off."""
    for interface, reason in ((sender, FlowDrop.POLICY), (receiver, FlowDrop.OUT_POLICY)):
        if interface is not None and interface.policy and interface.network is not None:
            network = judge(interface.network.acls, protocol, source, destination)
            if network.verdict is Verdict.DENY:
                return Decision(reason, network.rule)
    if sender is not None and (verdict := _groups(sender, True, protocol, source, destination)) is not None:
        return Decision(FlowDrop.SG, verdict.rule)
    if receiver is not None and (verdict := _groups(receiver, False, protocol, source, destination)) is not None:
        return Decision(FlowDrop.OUT_SG if sender is not None else FlowDrop.SG, verdict.rule)
    return PASS


def _groups(
    interface: VmInterface, sends: bool, protocol: int, source: Endpoint, destination: Endpoint
) -> Judgement | None:
    """A denial by the interface's security groups: what none of its groups allows."""
    config = interface.config
    if config is None or not config.port_security or not interface.policy or not config.security_groups:
        return None
    lists: Iterable[AccessList] = [
        access_list for group in config.security_groups for access_list in (group.egress if sends else group.ingress)
    ]
    verdict = judge(lists, protocol, source, destination)
    return verdict if verdict.verdict is Verdict.DENY else None
