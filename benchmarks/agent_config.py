"""Configuration of many agents: how long the first walk takes, and one change.

    python benchmarks/agent_config.py [--agents 1000] [--machines 10]

One graph holds everything: one project and one security group, a virtual network for every ten agents, one routing
instance each, and per machine a virtual machine, an interface and an address. Every agent subscribes to its virtual
router and its machines. Then one interface changes, one machine appears, and one network that many agents share does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from contrail_emulator.config import schema
from contrail_emulator.config.graph import Graph
from contrail_emulator.control.agent_config import AgentConfig

SYSTEM = ("global-system-config", "default-global-system-config")
PROJECT = ("project", "default-domain:demo")
GROUP = ("security-group", "default-domain:demo:default")
AGENTS_PER_NETWORK = 10


def router(agent: int) -> tuple[str, str]:
    return "virtual-router", f"default-global-system-config:compute-{agent}"


def network(agent: int) -> str:
    return f"default-domain:demo:net-{agent // AGENTS_PER_NETWORK}"


def add_machine(graph: Graph, agent: int, machine: int) -> None:
    name = f"vm-{agent}-{machine}"
    vm, port, address = ("virtual-machine", name), f"default-domain:demo:port-{name}", ("instance-ip", f"ip-{name}")
    interface = ("virtual-machine-interface", port)
    net = ("virtual-network", network(agent))
    with graph.batch():
        graph.put(*vm, {"display_name": name})
        graph.put(*interface, {"display_name": name, "virtual_machine_interface_disable_policy": False})
        graph.put(*address, {"instance_ip_address": "10.1.0.3"})
        graph.link("virtual-machine-interface-virtual-machine", interface, vm)
        graph.link("virtual-machine-interface-virtual-network", interface, net)
        graph.link("virtual-machine-interface-security-group", interface, GROUP)
        graph.link("project-virtual-machine-interface", PROJECT, interface)
        graph.link("instance-ip-virtual-machine-interface", address, interface)
        graph.link("instance-ip-virtual-network", address, net)
        instance = ("routing-instance", f"{network(agent)}:ri")
        graph.link("virtual-machine-interface-routing-instance", interface, instance, {"direction": "both"})


def build(agents: int, machines: int) -> Graph:
    graph = Graph()
    with graph.batch():
        graph.put(*SYSTEM, {"autonomous_system": 64512})
        graph.put(*PROJECT, {"display_name": "demo"})
        graph.put(*GROUP, {"security_group_id": 8000001})
        graph.link("project-security-group", PROJECT, GROUP)
        for agent in range(agents):
            if agent % AGENTS_PER_NETWORK == 0:
                net, instance = ("virtual-network", network(agent)), ("routing-instance", f"{network(agent)}:ri")
                graph.put(*net, {"virtual_network_network_id": agent + 5})
                graph.put(*instance, {"display_name": "ri"})
                graph.link("virtual-network-routing-instance", net, instance)
                graph.link("project-virtual-network", PROJECT, net)
            graph.put(*router(agent), {"virtual_router_ip_address": "192.0.2.7"})
            graph.link("global-system-config-virtual-router", SYSTEM, router(agent))
            for machine in range(machines):
                add_machine(graph, agent, machine)
    return graph


class Timer:
    """Times one step, and prints it."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, message: bytes) -> bool:
        self.sent += 1
        return True

    def step(self, what: str, run: Callable[[], object]) -> float:
        before, start = self.sent, time.perf_counter()
        run()
        taken = time.perf_counter() - start
        print(f"{what:48} {taken * 1000:10.2f} ms {self.sent - before:8} messages")
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--machines", type=int, default=10)
    arguments = parser.parse_args()
    timer = Timer()
    start = time.perf_counter()
    graph = build(arguments.agents, arguments.machines)
    print(f"{'graph of ' + str(len(graph)) + ' nodes':48} {(time.perf_counter() - start) * 1000:10.2f} ms")
    config = AgentConfig(graph, schema.load())

    def subscribe() -> None:
        for agent in range(arguments.agents):
            view = config.connect(f"compute-{agent}", timer.send)
            config.subscribe_router(view, router(agent)[1])
            with graph.batch():
                for machine in range(arguments.machines):
                    config.subscribe_machine(view, f"vm-{agent}-{machine}")

    whole = timer.step(f"first walk of {arguments.agents} agents", subscribe)
    print(f"{'  per agent':48} {whole * 1000 / arguments.agents:10.2f} ms")
    port = ("virtual-machine-interface", "default-domain:demo:port-vm-0-0")
    timer.step("a property of one interface", lambda: graph.put(*port, {"display_name": "other"}))
    timer.step("one machine more", lambda: add_machine(graph, 0, arguments.machines))
    link = "virtual-machine-interface-security-group"
    timer.step("an interface leaves the security group", lambda: graph.unlink(link, port, GROUP))
    net = ("virtual-network", network(0))
    timer.step(
        f"a property of a network of {AGENTS_PER_NETWORK} agents", lambda: graph.put(*net, {"display_name": "x"})
    )
    timer.step("a property of the group of all agents", lambda: graph.put(*GROUP, {"display_name": "x"}))


if __name__ == "__main__":
    main()
