"""The same lab on addresses and ports of its own, so that labs run beside each other on one machine."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network

from .model import LabFile

LOOPBACK = IPv4Network("127.0.0.0/16")
SLICES = range(1, 251)
WORKERS = 8
PER_WORKER = len(SLICES) // WORKERS


def own_slices() -> range:
    """Slices that no other test process uses at the same time: a part for each xdist worker, else one drawn by pid."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker.isdigit():
        first = SLICES.start + int(worker) % WORKERS * PER_WORKER
        return range(first, first + PER_WORKER)
    drawn = SLICES.start + os.getpid() % (len(SLICES) - 1)
    return range(drawn, drawn + 2)


def isolated(file: LabFile, number: int) -> LabFile:
    """`file` with every port free to choose and every 127.0.x.y moved to 127.`number`.x.y. `number`: 1 to 250."""
    if number not in SLICES:
        raise ValueError(f"slice {number}: expected {SLICES.start} to {SLICES.stop - 1}")

    def move(address: IPv4Address) -> IPv4Address:
        return IPv4Address(int(address) + (number << 16)) if address in LOOPBACK else address

    nodes = tuple(
        node.model_copy(update={"address": move(node.address), "bgp_port": 0, "xmpp_port": 0, "introspect_port": 0})
        for node in file.control_nodes
    )
    peers = tuple(
        peer if peer.kind == "external" else peer.model_copy(update={"address": move(peer.address), "port": 0})
        for peer in file.bgp_peers
    )
    agents = tuple(
        agent.model_copy(update={"bind": move(agent.bind) if agent.bind else None, "introspect_port": 0})
        for agent in file.agents
    )
    dns = file.dns
    if dns is not None:
        dns = dns.model_copy(update={"address": move(dns.address), "port": 0, "xmpp_port": 0, "introspect_port": 0})
    underlay = {tunnel: move(bound) for tunnel, bound in file.underlay.items()}
    return file.model_copy(
        update={"control_nodes": nodes, "bgp_peers": peers, "agents": agents, "dns": dns, "underlay": underlay}
    )
