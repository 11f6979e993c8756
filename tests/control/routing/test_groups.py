"""Update groups by example; test_groups_machine.py has them under any interleaving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.routing import Source, groups
from contrail_emulator.control.routing.route_targets import target_key

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

TABLE = "bgp.l3vpn.0"


def fill(bench: Bench, source: Source, numbers: range, **fields: Any) -> None:
    attributes = bench.attributes("target:1:1", as_path=AsPath.sequence(65009), **fields)
    bench.core.update_many(TABLE, source, attributes, [(key(number), b"\0\0\1") for number in numbers])


def key(number: int) -> bytes:
    return bytes(8) + bytes([32, 10, 0, number >> 8, number & 255])


def numbers(sink: Sink) -> list[int]:
    return sorted(entry[11] << 8 | entry[12] for entry in sink.rib)


def test_ten_changes_while_blocked_are_sent_once(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    sink, other = bench.join(TABLE, name="slow"), bench.join(TABLE, name="fast")
    bench.flush()
    sink.block_next = True
    fill(bench, source, range(3), med=0)
    bench.flush()
    for med in range(1, 11):
        fill(bench, source, range(3), med=med)
        bench.flush()
    assert len(sink.log) == 3 and len(other.log) == 33
    sink.unblock()
    bench.flush()
    assert len(sink.log) == 6
    assert sink.attributes(key(0)).med == 10


def test_come_and_gone_while_blocked_is_never_told(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    sink = bench.join(TABLE)
    bench.flush()
    sink.block_next = True
    fill(bench, source, range(1))
    bench.flush()
    fill(bench, source, range(5, 9))
    bench.flush()
    bench.core.withdraw_many(TABLE, source, [key(number) for number in range(5, 9)])
    bench.flush()
    sink.unblock()
    bench.flush()
    assert len(sink.log) == 1
    assert len(bench.core.tables[TABLE].routes) == 1


def test_memory_of_a_blocked_member_is_bounded_by_the_table(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    sink = bench.join(TABLE)
    bench.flush()
    sink.block_next = True
    for med in range(50):
        fill(bench, source, range(10), med=med)
        bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.pending == 10


def test_a_member_behind_catches_up_and_merges(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    source = bench.ebgp("s", 65009)
    slow, fast = bench.join(TABLE, name="slow"), bench.join(TABLE, name="fast")
    bench.flush()
    slow.block_next = True
    fill(bench, source, range(40))
    bench.flush()
    assert (len(numbers(slow)), len(numbers(fast))) == (4, 40)
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.markers == 2
    slow.unblock()
    bench.flush()
    assert numbers(slow) == numbers(fast) == list(range(40))
    assert group.markers == 1 and group.counters["merges"] == 1
    assert len(fast.log) == 40


def test_two_behind_merge_on_the_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    source = bench.ebgp("s", 65009)
    sinks = [bench.join(TABLE, name=f"s{number}") for number in range(3)]
    bench.flush()
    sinks[0].block_next = True
    fill(bench, source, range(20))
    bench.flush()
    sinks[1].block_next = True
    fill(bench, source, range(20, 40))
    bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    before = group.counters["messages"]
    sinks[1].unblock()
    sinks[0].unblock()
    bench.flush()
    assert all(numbers(sink) == list(range(40)) for sink in sinks)
    assert all(len(sink.log) == 40 for sink in sinks)
    assert group.counters["messages"] - before <= 10, "the second half of the way is read once for both"


def test_who_blocked_together_goes_on_together(bench: Bench) -> None:
    """Whatever the order in which they can be sent to again: what they missed is encoded once."""
    source = bench.ebgp("s", 65009)
    sinks = [bench.join(TABLE, name=f"s{number}") for number in range(6)]
    bench.flush()
    for sink in sinks:
        sink.block_next = True
    fill(bench, source, range(10))
    bench.flush()
    fill(bench, source, range(10, 20))
    bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    before = group.counters["messages"]
    for number in (2, 0, 1, 5, 4):
        sinks[number].unblock()
    bench.flush()
    assert group.counters["messages"] == before + 1
    assert all(numbers(sink) == list(range(20)) for sink in sinks if sink is not sinks[3])
    assert group.markers == 2
    sinks[3].unblock()
    bench.flush()
    assert numbers(sinks[3]) == list(range(20))
    assert group.markers == 1


def test_who_missed_nothing_is_no_longer_behind(bench: Bench) -> None:
    sink = bench.join(TABLE, name="s")
    bench.flush()
    sink.block_next = True
    fill(bench, bench.ebgp("s", 65009), range(3))
    bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.markers == 2
    sink.unblock()
    assert group.markers == 1


def test_a_joiner_is_told_what_there_is_and_then_it_has_joined(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    source = bench.ebgp("s", 65009)
    first = bench.join(TABLE, name="first")
    fill(bench, source, range(30))
    bench.flush()
    late = bench.join(TABLE, name="late")
    bench.core.flush(max_items=1)
    assert late.joined == 0 and 0 < len(late.rib) < 30
    fill(bench, source, range(28, 34), med=7)
    bench.flush()
    assert late.joined == 1
    assert numbers(late) == list(range(34))
    assert len(late.log) == 34, "what changed during the walk is told once"
    assert len(first.log) == 36


def test_joiners_of_one_moment_share_the_walk(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    fill(bench, source, range(30))
    bench.flush()
    late = [bench.join(TABLE, name=f"late{number}") for number in range(5)]
    bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.counters["messages"] == 1
    assert all(len(sink.rib) == 30 and sink.joined == 1 for sink in late)


def test_a_joiner_of_an_empty_table_has_joined_at_once(bench: Bench) -> None:
    sink = bench.join(TABLE)
    bench.flush()
    assert sink.joined == 1 and not sink.log


def test_a_joiner_that_blocks_goes_on_where_it_was(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    fill(bench, bench.ebgp("s", 65009), range(30))
    bench.flush()
    late, other = bench.join(TABLE, name="late"), bench.join(TABLE, name="other")
    late.block_next = True
    bench.flush()
    assert (len(late.rib), late.joined, len(other.rib), other.joined) == (4, 0, 30, 1)
    late.unblock()
    bench.flush()
    assert (len(late.log), late.joined) == (30, 1)


def test_a_member_that_leaves_during_its_walk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    fill(bench, bench.ebgp("s", 65009), range(30))
    bench.flush()
    late = bench.join(TABLE, name="late")
    bench.core.flush(max_items=1)
    bench.leave(late)
    again = bench.join(TABLE, name="again")
    bench.flush()
    assert late.joined == 0 and len(late.log) < 30
    assert len(again.log) == 30


def test_bits_are_used_again_only_when_they_are_clear(bench: Bench) -> None:
    """A new member must not inherit what a departed one was told."""
    source = bench.ebgp("s", 65009)
    stay = bench.join(TABLE, name="stay")
    fill(bench, source, range(600))
    bench.flush()
    for round_ in range(4):
        sink = bench.join(TABLE, name=f"round{round_}")
        bench.core.flush(max_items=1)
        bench.leave(sink)
        bench.core.flush(max_items=1)
    final = bench.join(TABLE, name="final")
    bench.flush()
    assert len(final.rib) == 600
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.members.all.bit_length() <= 6
    assert len(stay.log) == 600


def test_a_member_that_loses_and_regains_a_route_gets_it_again(bench: Bench) -> None:
    """The mask changes, the attributes do not: the others hear nothing."""
    reflector = bench.ibgp
    cluster = {"cluster_id": 9}
    sources = [reflector(f"p{number}", number + 1) for number in range(3)]
    sinks = [bench.join(TABLE, "ibgp", source.name, source, **cluster) for source in sources]
    fill(bench, sources[0], range(1), local_pref=200)
    bench.flush()
    assert [len(sink.rib) for sink in sinks] == [0, 1, 1]
    fill(bench, sources[1], range(1), local_pref=100)
    bench.flush()
    assert [len(sink.rib) for sink in sinks] == [0, 0, 1]
    bench.core.withdraw(TABLE, sources[1], key(0))
    bench.flush()
    assert [len(sink.rib) for sink in sinks] == [0, 1, 1]
    assert [verb for verb, _ in sinks[1].log] == ["reach", "unreach", "reach"]
    assert len(sinks[2].log) == 1


def test_a_flush_without_work_does_nothing(bench: Bench) -> None:
    assert not bench.core.flush()
    assert bench.wakes == 0


def test_woken_once_per_burst(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    fill(bench, source, range(10))
    fill(bench, source, range(10, 20))
    bench.core.withdraw(TABLE, source, key(1))
    assert bench.wakes == 1
    assert bench.core.flush(max_items=0) or bench.core.idle
    bench.flush()
    fill(bench, source, range(1), med=3)
    assert bench.wakes == 2


def test_the_deadline_ends_a_flush(bench: Bench) -> None:
    source = bench.ebgp("s", 65009)
    sink = bench.join(TABLE)
    bench.flush()
    fill(bench, source, range(2000))
    assert bench.core.flush(deadline=lambda: True)
    assert 0 < len(bench.core.dirty) < 2000
    assert sink.rib, "what was processed is sent before the flush returns"
    assert bench.core.flush(deadline=lambda: True)
    bench.flush()
    assert len(sink.rib) == 2000


def test_unblocked_wakes(bench: Bench) -> None:
    sink = bench.join(TABLE)
    bench.flush()
    sink.block_next = True
    fill(bench, bench.ebgp("s", 65009), range(1))
    bench.flush()
    fill(bench, bench.ebgp("t", 65009, 2), range(1, 3))
    bench.flush()
    wakes = bench.wakes
    sink.unblock()
    assert bench.wakes == wakes + 1
    bench.flush()
    assert len(sink.rib) == 3


def test_leaving_from_inside_deliver(bench: Bench) -> None:
    """A transport may notice the end of its connection while it is written to."""
    fill(bench, bench.ebgp("s", 65009), range(3))
    sink, other = bench.join(TABLE, name="sink"), bench.join(TABLE, name="other")
    plain = sink.deliver

    def deliver(message: bytes) -> bool:
        bench.leave(sink)
        return plain(message)

    sink.deliver = deliver  # type: ignore[method-assign]
    bench.flush()
    assert len(other.rib) == 3 and sink.joined == 0


def test_refresh_tells_one_member_everything_again(bench: Bench) -> None:
    fill(bench, bench.ebgp("s", 65009), range(3))
    sink, other = bench.join(TABLE, name="sink"), bench.join(TABLE, name="other")
    bench.flush()
    assert sink.membership is not None
    sink.membership.refresh()
    bench.flush()
    assert (len(sink.log), len(other.log)) == (6, 3)


def steps(bench: Bench) -> int:
    """How many slices there is work for."""
    count = 1
    while bench.core.flush(max_items=1):
        count += 1
    return count


def test_requests_of_a_blocked_member_are_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow peer that keeps asking costs one walk over the table for each time that it can be sent to."""
    monkeypatch.setattr(groups, "SLICE", 4)
    source = bench.ebgp("s", 65009)
    fill(bench, source, range(30))
    sink = bench.join(TABLE)
    bench.flush()
    assert sink.membership is not None
    sink.membership.refresh()
    once = steps(bench)
    for med in range(1, 4):
        sink.block_next = True
        fill(bench, source, range(30, 31), med=med)
        bench.flush()
        sink.log.clear()
        for _ in range(5):
            sink.membership.refresh()
            bench.flush()
        sink.unblock()
        assert steps(bench) == once
        assert len(sink.log) == 31


def test_requests_of_one_moment_are_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    fill(bench, bench.ebgp("s", 65009), range(30))
    sink = bench.join(TABLE)
    bench.flush()
    assert sink.membership is not None
    sink.membership.refresh()
    once = steps(bench)
    for _ in range(5):
        sink.membership.refresh()
    assert steps(bench) == once
    assert len(sink.log) == 90


def test_a_request_half_answered_begins_anew_with_the_other_half(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it asks, it hears of every route; and of each at least once after it last asked."""
    monkeypatch.setattr(groups, "SLICE", 4)
    fill(bench, bench.ebgp("s", 65009), range(30))
    sink = bench.join(TABLE)
    bench.flush()
    assert sink.membership is not None
    sink.log.clear()
    for _ in range(8):
        sink.membership.refresh()
        bench.core.flush(max_items=1)
    assert len({key for _, key in sink.log}) == 30
    fill(bench, bench.ebgp("t", 65009, 2), range(40, 42))
    bench.core.flush(max_items=1)
    sink.log.clear()
    sink.membership.refresh()
    bench.flush()
    assert sorted(key[-1] for _, key in sink.log) == [*range(30), 40, 41]


def test_a_request_of_a_joiner_goes_along_with_what_it_is_to_be_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "SLICE", 4)
    fill(bench, bench.ebgp("s", 65009), range(30))
    bench.flush()
    late, other = bench.join(TABLE, name="late"), bench.join(TABLE, name="other")
    bench.core.flush(max_items=1)
    assert late.membership is not None and len(late.rib) == 4
    late.membership.refresh()
    bench.flush()
    assert (len(late.log), late.joined) == (34, 1)
    assert (len(other.log), other.joined) == (30, 1)


def test_messages_are_packed_by_attributes(bench: Bench) -> None:
    sink = bench.join(TABLE)
    source = bench.ebgp("s", 65009)
    for number in range(40):
        fill(bench, source, range(number, number + 1), med=number % 4)
    bench.flush()
    (group,) = bench.core.tables[TABLE].groups.values()
    assert group.counters["messages"] == 4 and len(sink.rib) == 40


def test_filtered_members_need_no_adverts_for_the_rest(bench: Bench) -> None:
    peer = bench.ibgp("peer")
    fill(bench, bench.ebgp("s", 65009), range(10))
    sink = bench.join(TABLE, "ibgp", "peer", peer)
    bench.leave(sink)
    bench.flush()
    bench.rejoin(sink, TABLE, bench.key(), filtered=True)
    bench.flush()
    assert all(route.advert is None for route in bench.core.tables[TABLE].routes.values())
    bench.core.update("bgp.rtarget.0", peer, target_key(65000, bench.rt("target:1:1")[0]), bench.attributes())
    bench.flush()
    assert len(sink.rib) == 10
