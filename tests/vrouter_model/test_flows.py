"""Flows: held and released, checked, dropped, kept to one path, refused (reference 5, 7.5, 7.7)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
from scapy.all import ICMP, IP, UDP, Ether, Raw, fragment

from contrail_emulator.vrouter_model import Drop
from contrail_emulator.vrouter_model.accounting import describe
from contrail_emulator.vrouter_model.drops import flow_drop_text
from contrail_emulator.vrouter_model.rows import (
    FLOW_DELETED,
    AgentCommand,
    FatFlow,
    Flow,
    FlowAction,
    FlowDrop,
    FlowFlag,
    FlowKey,
    InetRoute,
    NextHop,
    NhFlag,
    NhType,
    Vif,
    VifFlag,
    VifType,
)
from contrail_emulator.vrouter_model.tables.flow_hash import flow_hash

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab, Trap

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
A, B = "1.1.1.4", "1.1.1.5"
GATEWAY_MAC = "00:00:5e:00:01:00"
ACTIVE = FlowFlag.ACTIVE


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A)
    host.machine(4, 2, lab.mac(B_MAC), B)
    return host


def datagram(body: bytes = b"x", mac: str = B_MAC, **ip: Any) -> Ether:
    return Ether(dst=mac, src=A_MAC) / IP(src=A, dst=B, **ip) / UDP(sport=5, dport=6) / Raw(body)


def key(host: Host) -> FlowKey:
    return FlowKey(30, 0x01010104, 0x01010105, 17, 5, 6)


def answer(host: Host, **fields: Any) -> int:
    """What an agent answers to the last flow trap."""
    trap = host.traps[-1]
    entry = host.vr.flow(trap.param)
    assert entry is not None
    return host.vr.flow_set(Flow(entry.key, entry.index, trap.gen, vrf=2, **fields)).code


def test_published_vectors_of_the_hash() -> None:
    assert flow_hash(b"", 0) == 0xDEADBEEF
    assert flow_hash(b"Four score and seven years ago", 0) == 0x17770551
    assert flow_hash(b"Four score and seven years ago", 1) == 0xCD628161


def test_a_new_flow_holds_three_packets_and_asks_once(host: Host) -> None:
    frames = [bytes(datagram(bytes((number,)))) for number in range(5)]
    for frame in frames:
        host.receive(3, frame)
    assert len(host.traps) == 1 and host.vr.totals.held == 3
    trap = host.traps[0]
    assert (trap.reason, trap.param_1, trap.gen) == (AgentCommand.FLOW_MISS, 30, 1)
    assert host.reasons() == [Drop.FLOW_QUEUE_LIMIT_EXCEEDED] * 2
    assert answer(host) == 0
    assert host.sent[4] == frames[:3] and host.vr.totals.held == 0
    entry = host.vr.flow(key(host))
    assert entry is not None and entry.packets == 5
    assert host.vr.totals.balance() == 0


def test_the_agent_may_answer_from_within_the_trap(host: Host) -> None:
    def at_once(trap: Trap) -> None:
        assert answer(host) == 0

    host.on_trap = at_once
    host.receive(3, datagram())
    assert len(host.sent[4]) == 1


def test_a_flow_put_back_to_hold_traps_with_its_counters(host: Host) -> None:
    host.receive(3, datagram())
    answer(host)
    host.receive(3, datagram())
    entry = host.vr.flow(key(host))
    assert entry is not None
    held = Flow(entry.key, entry.index, entry.gen_id, FlowAction.HOLD, vrf=2)
    assert host.vr.flow_set(held).code == 0 and host.vr.flows.held == 1
    host.receive(3, datagram())
    assert host.traps[-1].reason is AgentCommand.FLOW_ACTION_HOLD
    assert answer(host) == 0 and host.vr.flows.held == 0
    assert len(host.sent[4]) == 3


def test_deleting_a_held_flow_drops_what_it_held(host: Host) -> None:
    host.receive(3, datagram())
    trap = host.traps[0]
    response = host.vr.flow_set(Flow(key(host), trap.param, trap.gen, flags=FlowFlag(0)))
    assert (response.code, response.flags) == (0, FLOW_DELETED)
    assert host.reasons() == [Drop.FLOW_ACTION_DROP]
    assert len(host.vr.flows) == 0 and host.vr.flows.held == 0
    assert host.vr.delete(Flow(key(host))) == -errno.ENOENT


def test_an_add_that_races_a_trap_is_told_the_entry(host: Host) -> None:
    host.receive(3, datagram())
    response = host.vr.flow_set(Flow(key(host), vrf=2))
    assert response.code == -errno.EEXIST
    assert (response.index, response.gen_id) == (host.traps[0].param, host.traps[0].gen)


def test_slots_are_reused_with_the_next_generation(host: Host) -> None:
    first = host.vr.flow_set(Flow(key(host)))
    assert host.vr.delete(Flow(key(host))) == 0
    second = host.vr.flow_set(Flow(key(host)))
    assert (second.index, second.gen_id) == (first.index, first.gen_id + 1)
    assert first.index % 4 == 0 or first.index < 524288
    row = host.vr.get(Flow, key(host))
    assert row is not None and row.index == second.index
    assert host.vr.get(Flow, second.index) == row and host.vr.dump(Flow) == [row]


def test_a_full_table_refuses(lab: Lab) -> None:
    host = lab.Host(flow_entries=4, flow_overflow_entries=1)
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A)
    for port in range(5):
        assert host.vr.flow_set(Flow(FlowKey(1, 2, 3, 17, port, 0))).code == 0
    assert host.vr.flow_set(Flow(FlowKey(1, 2, 3, 17, 9, 0))).code == -errno.ENOSPC
    host.receive(3, datagram())
    assert host.reasons() == [Drop.FLOW_TABLE_FULL]


def test_the_source_must_be_behind_the_next_hop_of_its_route(host: Host) -> None:
    host.receive(3, datagram())
    answer(host, src_nh_index=40)
    assert host.reasons() == [Drop.INVALID_SOURCE]
    host.receive(3, datagram(mac=GATEWAY_MAC))
    assert host.reasons()[1:] == [Drop.INVALID_SOURCE]
    entry = host.vr.flow(key(host))
    assert entry is not None
    host.vr.flow_set(Flow(entry.key, entry.index, entry.gen_id, vrf=2, src_nh_index=30))
    host.receive(3, datagram())
    assert len(host.sent[4]) == 1
    host.vr.flow_set(Flow(entry.key, entry.index, entry.gen_id, vrf=2, src_nh_index=4444))
    host.receive(3, datagram())
    assert host.reasons()[-1] is Drop.INVALID_NH


@pytest.mark.parametrize("reason", list(FlowDrop))
def test_each_flow_drop_reason_has_a_name_of_its_own(reason: FlowDrop) -> None:
    assert [other for other in FlowDrop if other.short == reason.short] == [reason]
    assert describe(Drop.FLOW_ACTION_DROP, flow_drop_text(reason)) == f"Flow Action Drop ({reason.short})"


def test_unknown_flow_drop_reasons_print_as_numbers() -> None:
    assert flow_drop_text(0x99) == "reason 0x99" and describe(Drop.DISCARD) == "Discards"


def test_a_flow_can_set_the_ttl(host: Host) -> None:
    host.receive(3, datagram(mac=B_MAC, ttl=64))
    answer(host, ttl=255)
    received = Ether(host.sent[4][0])
    value = received[IP].chksum
    del received[IP].chksum
    assert received[IP].ttl == 255 and Ether(bytes(received))[IP].chksum == value


def test_translation_to_another_vrf_forces_routing_there(host: Host, lab: Lab) -> None:
    host.machine(5, 5, lab.mac("02:00:00:00:00:05"), B)
    host.receive(3, datagram(mac=B_MAC))
    answer(host, flags=ACTIVE | FlowFlag.VRFT, dvrf=5)
    assert not host.sent[4]
    assert host.traps[-1].reason is AgentCommand.FLOW_MISS or host.sent[5]
    assert Ether(host.sent[5][0]).dst == "02:00:00:00:00:05"


def test_new_flows_may_be_switched_off_per_machine(host: Host) -> None:
    flags = VifFlag.POLICY | VifFlag.L3_ENABLED | VifFlag.DROP_NEW_FLOWS
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30))
    host.receive(3, datagram())
    assert host.reasons() == [Drop.NEW_FLOWS]


def test_an_icmp_error_belongs_to_the_flow_it_is_about(host: Host) -> None:
    host.vr.flow_set(Flow(FlowKey(40, 0x01010105, 0x01010104, 17, 6, 5), vrf=2))
    error = (
        Ether(dst=A_MAC, src=B_MAC) / IP(src=B, dst=A) / ICMP(type=3, code=3) / IP(src=A, dst=B) / UDP(sport=5, dport=6)
    )
    host.receive(4, error)
    assert host.sent[3] == [bytes(error)] and not host.traps


def test_an_icmp_error_about_an_icmp_error_is_dropped(host: Host) -> None:
    inner = IP(src=A, dst=B) / ICMP(type=11) / IP() / UDP()
    host.receive(4, Ether(dst=A_MAC, src=B_MAC) / IP(src=B, dst=A) / ICMP(type=3) / inner)
    assert host.reasons() == [Drop.MISC]


def test_fat_flows_ignore_the_port_on_both_sides(host: Host) -> None:
    rule = (FatFlow(17, 6, ignore=1),)
    flags = VifFlag.POLICY | VifFlag.L3_ENABLED
    host.add(Vif(3, VifType.VIRTUAL, flags, 2, nh_id=30, fat_flow=rule))
    for sport in (5, 7, 9):
        host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=sport, dport=6))
    assert len(host.traps) == 1
    entry = host.vr.flow(host.traps[0].param)
    assert entry is not None and (entry.key.sport, entry.key.dport) == (0, 6)


# Fragments


def parts() -> list[bytes]:
    whole = IP(src=A, dst=B, id=77) / UDP(sport=5, dport=6) / (bytes(range(256)) * 5)
    return [bytes(Ether(dst=B_MAC, src=A_MAC) / part) for part in fragment(whole, 512)]


def test_later_fragments_follow_the_flow_of_the_first(host: Host) -> None:
    host.vr.flow_set(Flow(key(host), vrf=2))
    frames = parts()
    for frame in frames:
        host.receive(3, frame)
    assert host.sent[4] == frames and len(frames) > 2 and not host.dropped


def test_fragments_that_overtake_the_first_wait_for_it(host: Host) -> None:
    host.vr.flow_set(Flow(key(host), vrf=2))
    frames = parts()
    for frame in reversed(frames):
        host.receive(3, frame)
    assert sorted(host.sent[4]) == sorted(frames) and host.sent[4][0] == frames[0]
    assert host.vr.totals.balance() == 0 and host.vr.totals.held == 0


def test_fragments_wait_two_seconds_at_most(host: Host) -> None:
    host.receive(3, parts()[1])
    assert host.vr.totals.held == 1
    host.now = 2.1
    host.receive(3, Ether(dst=B_MAC, src=A_MAC, type=0x1234) / b"other")
    assert host.reasons() == [Drop.FRAGMENTS]
    assert host.vr.totals.held == 0


def test_a_new_flow_is_not_made_for_a_later_fragment(host: Host) -> None:
    frames = parts()
    host.receive(3, frames[0])
    assert host.vr.delete(Flow(key(host))) == 0
    host.dropped.clear()
    host.receive(3, frames[1])
    assert host.reasons() == [Drop.FLOW_UNUSABLE]


# ECMP


def ecmp_host(lab: Lab, members: tuple[int, ...] = (21, 22, 23)) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A)
    for nh_id, remote in ((21, "8.0.0.3"), (22, "8.0.0.4"), (23, "8.0.0.5")):
        if nh_id in members:
            host.tunnel(nh_id, remote)
    group = NextHop(
        80,
        NhType.COMPOSITE,
        flags=NhFlag.VALID | NhFlag.COMPOSITE_ECMP,
        vrf=2,
        nh_list=(21, 22, 23),
        label_list=(201, 202, 203),
    )
    host.add(group, InetRoute(2, lab.ip("1.1.3.0"), 24, 80))
    host.auto_flows()
    return host


def to_group(sport: int = 5, last: int = 1) -> Ether:
    return Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src=A, dst=f"1.1.3.{last}") / UDP(sport=sport, dport=6)


def outer_destinations(host: Host) -> list[str]:
    return [Ether(frame)[IP].dst for frame in host.sent[0]]


def test_flows_spread_over_the_group_and_each_stays_where_it_is(lab: Lab) -> None:
    host = ecmp_host(lab)
    for sport in range(60):
        host.receive(3, to_group(sport))
        host.receive(3, to_group(sport))
    chosen = outer_destinations(host)
    assert chosen[0::2] == chosen[1::2]
    assert set(chosen) == {"8.0.0.3", "8.0.0.4", "8.0.0.5"}
    by_label = {(Ether(frame)[IP].dst, int.from_bytes(frame[42:45], "big") >> 4) for frame in host.sent[0]}
    assert by_label == {("8.0.0.3", 201), ("8.0.0.4", 202), ("8.0.0.5", 203)}


def test_a_missing_member_keeps_its_place_and_gets_nothing(lab: Lab) -> None:
    host = ecmp_host(lab, (21, 23))
    for sport in range(60):
        host.receive(3, to_group(sport))
    assert set(outer_destinations(host)) == {"8.0.0.3", "8.0.0.5"} and not host.dropped


def test_an_index_the_agent_gave_is_used(lab: Lab) -> None:
    host = ecmp_host(lab)
    flow = FlowKey(30, lab.ip(A), lab.ip("1.1.3.1"), 17, 5, 6)
    host.vr.flow_set(Flow(flow, vrf=2, ecmp_nh_index=2))
    host.receive(3, to_group())
    assert outer_destinations(host) == ["8.0.0.5"]


def test_the_member_goes_back_to_where_the_reverse_flow_came_from(lab: Lab) -> None:
    host = ecmp_host(lab)
    forward = FlowKey(30, lab.ip(A), lab.ip("1.1.3.1"), 17, 5, 6)
    backward = FlowKey(30, lab.ip("1.1.3.1"), lab.ip(A), 17, 6, 5)
    reverse = host.vr.flow_set(Flow(backward, vrf=2))
    entry = host.vr.flow(backward)
    assert entry is not None
    entry.src_info = lab.ip("8.0.0.4")
    host.vr.flow_set(Flow(forward, flags=ACTIVE | FlowFlag.RFLOW_VALID, vrf=2, rindex=reverse.index))
    host.receive(3, to_group())
    assert outer_destinations(host) == ["8.0.0.4"]


def test_an_empty_group_is_an_invalid_next_hop(lab: Lab) -> None:
    host = ecmp_host(lab, ())
    host.receive(3, to_group())
    assert host.reasons() == [Drop.INVALID_NH]


def test_without_a_flow_the_selected_fields_choose(lab: Lab) -> None:
    host = ecmp_host(lab)
    host.add(Vif(3, VifType.VIRTUAL, VifFlag.L3_ENABLED | VifFlag.L2_ENABLED, 2, nh_id=30))
    row = host.vr.get(NextHop, 80)
    assert row is not None
    only_destination = NextHop(
        80, row.type, flags=row.flags, vrf=2, nh_list=row.nh_list, label_list=row.label_list, ecmp_config_hash=8
    )
    host.add(only_destination)
    for sport in range(20):
        host.receive(3, to_group(sport))
    assert len(set(outer_destinations(host))) == 1
    for last in range(1, 40):
        host.receive(3, to_group(last=last))
    assert len(set(outer_destinations(host))) == 3


def test_a_source_that_moved_within_its_group_repairs_the_reverse_flow(lab: Lab) -> None:
    host = ecmp_host(lab)
    backward = FlowKey(30, lab.ip("1.1.3.1"), lab.ip(A), 17, 6, 5)
    forward = FlowKey(30, lab.ip(A), lab.ip("1.1.3.1"), 17, 5, 6)
    first = host.vr.flow_set(Flow(forward, vrf=2, ecmp_nh_index=0))
    flags = ACTIVE | FlowFlag.RFLOW_VALID
    host.vr.flow_set(Flow(backward, flags=flags, vrf=2, rindex=first.index, src_nh_index=80))
    from scapy.contrib.mpls import MPLS

    inner = MPLS(label=19, s=1, ttl=64) / IP(src="1.1.3.1", dst=A) / UDP(sport=6, dport=5)
    host.receive(0, Ether() / IP(src="8.0.0.4", dst="8.0.0.2") / UDP(sport=50000, dport=6635) / inner)
    entry = host.vr.flow(forward)
    assert len(host.sent[3]) == 1 and entry is not None and entry.ecmp_nh_index == 1
    host.receive(0, Ether() / IP(src="8.0.0.77", dst="8.0.0.2") / UDP(sport=50000, dport=6635) / inner)
    assert host.reasons() == [Drop.INVALID_SOURCE]
