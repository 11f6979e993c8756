"""Whatever happens in whatever order: the data plane holds what the tables say, the control node was told the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.agent.oper.vrf import Table
from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.config_message import DELETE
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import EnetEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.vrouter_model import rows

RED = "default-domain:demo:red"
VRF = f"{RED}:red"
KINDS = (rows.Vif, rows.NextHop, rows.MplsLabel, rows.Vxlan, rows.BridgeRoute, rows.InetRoute)


class Play:
    """One host and a source of things that happen to it."""

    def __init__(self, world: Any, new_config: Any, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = world
        self.new_config = new_config
        config = new_config()
        network = config.network("red", "10.1.0.0/24", self.rng.choice(["l3", "l2_l3"]), 5001)
        pair = {
            "allowed_address_pair": [
                {"ip": {"ip_prefix": "10.1.0.9", "ip_prefix_len": 32}, "mac": "", "address_mode": "active-active"}
            ]
        }
        self.ports = [
            config.machine(
                "compute-1", f"vm{n}", network, f"10.1.0.{n}", (), virtual_machine_interface_allowed_address_pairs=pair
            )
            for n in (3, 4, 5)
        ]
        self.config = config
        self.host = world.host("compute-1", "10.0.0.1", new_config())
        self.node = world.nodes[0]
        self.start = {kind: self.host.vrouter.dump(kind) for kind in KINDS}
        self.node.config["compute-1"] = config
        self.node.reconfigure("compute-1", config)

    def step(self) -> None:
        heard = (self.items, self.items, self.items, self.retract, self.macs, self.tree, self.end_of_rib)
        done = (self.port, self.session, self.encapsulation, self.traffic, self.part_of_configuration)
        self.rng.choice((*heard, *done))()
        if self.rng.random() < 0.6:
            self.world.run(self.rng.choice([0.1, 1, 20]))

    def hop(self) -> NextHop:
        own = self.rng.random() < 0.25
        encaps = self.rng.choice([("gre", "udp"), ("udp",), ("vxlan",), (), ("unheard",)])
        address = "10.0.0.1" if own else f"10.0.0.{self.rng.randint(2, 5)}"
        return NextHop(address, self.rng.randint(16, 22), encaps, self.rng.choice([RED, "other"]))

    def prefix(self) -> str:
        return self.rng.choice(["10.1.0.3/32", "10.1.0.9/32", "10.1.0.77/32", "10.2.0.0/16", "0.0.0.0/0"])

    def items(self) -> None:
        hops = tuple(self.hop() for _ in range(self.rng.choice([1, 1, 2, 3])))
        sequence = self.rng.choice([0, 0, 1, 7])
        entry = UnicastEntry(ItemFamily.INET, self.prefix(), hops, sequence_number=sequence, local_preference=200)
        self.node.items("compute-1", f"1/1/{VRF}", entry)

    def macs(self) -> None:
        mac = self.rng.choice(["02:00:00:00:00:04", "02:aa:00:00:00:01", "ff:ff:ff:ff:ff:ff"])
        address = "0.0.0.0/32" if mac.startswith("ff") else self.rng.choice(["10.1.0.77/32", "0.0.0.0/32"])
        tag = self.rng.choice([0, 5001])
        entry = EnetEntry(mac, address, tag, next_hops=(self.hop(),))
        if mac.startswith("ff"):
            entry = entry._replace(next_hops=(), olist=tuple(self.hop() for _ in range(self.rng.randint(0, 3))))
        self.node.items("compute-1", f"25/242/{VRF}", entry)

    def retract(self) -> None:
        node, ident = self.rng.choice(
            [
                (f"1/1/{VRF}", self.prefix()),
                (f"25/242/{VRF}", "5001-ff:ff:ff:ff:ff:ff,0.0.0.0/32"),
                (f"25/242/{VRF}", "02:aa:00:00:00:01,10.1.0.77/32"),
                (f"1/241/{VRF}", "1.1.1.1:1:255.255.255.255,0.0.0.0"),
            ]
        )
        self.node.send("compute-1", pubsub.retract_body(node, [ident]))

    def port(self) -> None:
        port = self.rng.choice(self.ports)
        if port.uuid in self.host.agent.ports:
            self.host.agent.delete_port(port.uuid)
        else:
            self.host.agent.add_port(port)

    def session(self) -> None:
        self.node.fall() if self.node.up else self.node.rise()

    def encapsulation(self) -> None:
        change = self.new_config()
        change.settings(*self.rng.choice([("VXLAN", "MPLSoUDP"), ("MPLSoUDP",), ("MPLSoGRE", "MPLSoUDP")]))
        self.node.reconfigure("compute-1", change)

    def traffic(self) -> None:
        for uuid, one in self.host.agent.oper.interfaces.items():
            if one.address4 is not None and self.rng.random() < 0.5:
                self.host.agent.oper.traffic_seen(uuid, one.address4)

    def tree(self) -> None:
        label = self.rng.choice([0, 4700, 4701])
        self.node.tree("compute-1", VRF, label, *(("10.0.0.4", 4801),) if label else ())

    def part_of_configuration(self) -> None:
        part = self.new_config()
        part.units = [self.rng.choice(self.config.units)]
        self.node.reconfigure("compute-1", part, DELETE)
        if self.rng.random() < 0.8:
            self.node.reconfigure("compute-1", self.config)

    def end_of_rib(self) -> None:
        self.node.send("compute-1", pubsub.empty_event_body())

    def check(self) -> None:
        self.world.run(1)
        agent, vrouter = self.host.agent, self.host.vrouter
        assert not agent.ksync.errors
        for number, kind in enumerate(KINDS):
            known = set(agent.ksync.known[number].values())
            assert known == {row for row in vrouter.dump(kind) if row != rows.NextHop(0, rows.NhType.DISCARD)}
        oper = agent.oper
        for index, value, count in oper.next_hops:
            assert count > 0 and oper.next_hops.index(value) == index
        assert {index for index, _, _ in oper.next_hops} == {row.id for row in vrouter.dump(rows.NextHop)} - {0}
        for vrf in oper.rib.vrfs.values():
            for table, route in vrf.routes():
                assert route.paths, (table, route.key)
                if table is Table.INET:
                    row = agent.ksync.known[5][vrf.index, route.key]
                    assert row.nh_id == oper.next_hops.index(route.next_hop)
        for channel in [channel for channel in agent.controller.channels if channel.is_ready]:
            for name, told in channel.exporter.exported.items():
                adverts = {
                    (table, route.key): route.advert
                    for table, route in oper.rib.vrfs[name].routes()
                    if route.advert is not None
                }
                assert {key: advert for key, advert in told.items() if not isinstance(key, str)} == adverts
                heard = {entry for (vrf, _, _), by in self.node.routes.items() if vrf == name for entry in by.values()}
                assert set(adverts.values()) <= heard


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1 << 32), steps=st.integers(1, 40))
def test_tables_rows_and_adverts_agree(fresh_world: Any, new_config: Any, seed: int, steps: int) -> None:
    with fresh_world() as world:
        play = Play(world, new_config, seed)
        for _ in range(steps):
            play.step()
        play.check()


@pytest.mark.parametrize("seed", range(3))
def test_everything_goes_at_last(fresh_world: Any, new_config: Any, seed: int) -> None:
    with fresh_world() as world:
        play = Play(world, new_config, seed)
        for _ in range(60):
            play.step()
        for port in play.ports:
            play.host.agent.delete_port(port.uuid)
        play.node.up or play.node.rise()
        play.node.reconfigure("compute-1", play.config)
        play.node.reconfigure("compute-1", play.config, DELETE)
        play.check()
        assert {kind: play.host.vrouter.dump(kind) for kind in KINDS} == play.start
