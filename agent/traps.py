"""Which part of the agent a trapped packet is for (reference/agent.md 8: the order of pkt_handler.cc)."""

from __future__ import annotations

from collections import Counter

from twisted.logger import Logger

from .flows.flow_table import FlowTable
from .flows.packet import ETHERTYPE_ARP, ICMP, UDP, Trap, read_ethernet, read_ip, read_trap
from .ksync import AgentCommand
from .oper.oper import Oper
from .services.services import Services

_FLOW = (AgentCommand.FLOW_MISS, AgentCommand.FLOW_ACTION_HOLD)
DHCP_SERVER_PORT, DHCP_CLIENT_PORT, DNS_PORT = 67, 68, 53


class TrapHandler:
    """`packet` takes what the data plane hands up. Never raises, whatever the bytes."""

    log = Logger()

    def __init__(self, oper: Oper, flows: FlowTable, services: Services) -> None:
        self._oper = oper
        self._flows = flows
        self._services = services
        self.counters: Counter[str] = Counter()

    def packet(self, data: bytes) -> None:
        trap = read_trap(data)
        if trap is None:
            self.counters["short"] += 1
            return
        self.counters[self._dispatch(trap)] += 1

    def _dispatch(self, trap: Trap) -> str:
        """Do what is to be done; the name of who did it."""
        is_flow = trap.command in _FLOW
        ethernet = read_ethernet(trap.frame)
        if ethernet is not None and ethernet.ethertype == ETHERTYPE_ARP:
            self._services.arp(trap, ethernet)
            return "arp"
        ip = read_ip(ethernet.payload) if ethernet is not None else None
        if ip is not None and not is_flow and ip.protocol == UDP and ip.dport in (DHCP_SERVER_PORT, DHCP_CLIENT_PORT):
            self._services.dhcp(trap, ethernet, ip)
            return "dhcp"
        if is_flow:
            self._flows.miss(trap)
            return "flow"
        if ip is None or ethernet is None:
            return "ignored"
        if ip.protocol == UDP and ip.dport == DNS_PORT:
            self._services.dns(trap, ethernet, ip)
            return "dns"
        if trap.command == AgentCommand.HANDLE_DF:
            self._services.too_big(trap, ethernet, ip)
            return "too big"
        if ip.protocol == ICMP:
            self._services.icmp(trap, ethernet, ip)
            return "icmp"
        return "ignored"
