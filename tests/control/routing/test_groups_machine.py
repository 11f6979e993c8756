"""Update groups against a naive computation per member, under any interleaving (hypothesis state machine)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.routing import groups

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

TABLE = "bgp.l3vpn.0"
KEYS = 12
PEERS = (("ibgp", 64512), ("ibgp", 64512), ("ibgp", 64512), ("ebgp", 65001), ("ebgp", 65001), ("ebgp", 65002))


def machine(make_bench: Callable[..., Bench], cluster_id: int) -> type[RuleBasedStateMachine]:
    """The state machine over six peers that are source and sink at once."""

    class Machine(RuleBasedStateMachine):
        @initialize()
        def start(self) -> None:
            self.bench = make_bench(cluster_id=cluster_id)
            self.paths: dict[tuple[int, int], tuple[int, int, bool]] = {}
            self.sources = [
                self.bench.ibgp(f"peer{i}", i + 1) if kind == "ibgp" else self.bench.ebgp(f"peer{i}", asn, i + 1)
                for i, (kind, asn) in enumerate(PEERS)
            ]
            self.sinks: dict[int, Sink] = {}
            self.clean = True

        @rule(
            peer=st.integers(0, 5),
            first=st.integers(0, KEYS - 1),
            count=st.integers(1, KEYS),
            variant=st.integers(0, 3),
            loop=st.booleans(),
        )
        def announce(self, peer: int, first: int, count: int, variant: int, loop: bool) -> None:
            kind, asn = PEERS[peer]
            path = [] if kind == "ibgp" else [asn]
            loop = loop and variant == 3
            if loop:
                path = [*path, 65002]
            # The local preference makes the order of sources total: what is best does not depend on arrival.
            preference = 100 + (variant % 2) * 10 + peer
            attributes = self.bench.attributes(
                "target:64512:1",
                local_pref=preference,
                med=None,
                as_path=AsPath.sequence(*path),
                communities=(variant,),
            )
            keys = [(first + i) % KEYS for i in range(count)]
            self.bench.core.update_many(
                TABLE,
                self.sources[peer],
                attributes,
                [(bytes(8) + bytes([32, 10, 0, 0, k]), bytes([0, 0, peer])) for k in keys],
            )
            for k in keys:
                self.paths[k, peer] = (preference, variant, loop)
            self.clean = False

        @rule(peer=st.integers(0, 5), first=st.integers(0, KEYS - 1), count=st.integers(1, KEYS))
        def withdraw(self, peer: int, first: int, count: int) -> None:
            for i in range(count):
                k = (first + i) % KEYS
                had = self.paths.pop((k, peer), None) is not None
                key = bytes(8) + bytes([32, 10, 0, 0, k])
                assert self.bench.core.withdraw(TABLE, self.sources[peer], key) == had
            self.clean = False

        @rule(peer=st.integers(0, 5))
        def lose_source(self, peer: int) -> None:
            self.bench.core.withdraw_source(self.sources[peer])
            self.paths = {where: path for where, path in self.paths.items() if where[1] != peer}
            self.clean = False

        @rule(peer=st.integers(0, 5))
        def join_or_leave(self, peer: int) -> None:
            sink = self.sinks.pop(peer, None)
            if sink is not None:
                self.bench.leave(sink)
                return
            kind, asn = PEERS[peer]
            self.sinks[peer] = self.bench.join(
                TABLE,
                kind,
                f"peer{peer}",
                self.sources[peer],
                peer_as=asn,
                cluster_id=cluster_id if kind == "ibgp" else 0,
            )
            self.clean = False

        @rule(peer=st.integers(0, 5))
        def block(self, peer: int) -> None:
            if peer in self.sinks:
                self.sinks[peer].block_next = True

        @rule(peer=st.integers(0, 5))
        def unblock(self, peer: int) -> None:
            if peer in self.sinks:
                self.sinks[peer].unblock()
                self.clean = False

        @rule(peer=st.integers(0, 5))
        def refresh(self, peer: int) -> None:
            if peer in self.sinks:
                membership = self.sinks[peer].membership
                assert membership is not None
                membership.refresh()
                self.clean = False

        @rule(steps=st.integers(1, 5))
        def flush_a_little(self, steps: int) -> None:
            for _ in range(steps):
                if not self.bench.core.flush(max_items=1):
                    break

        @rule()
        def settle(self) -> None:
            for sink in self.sinks.values():
                sink.unblock()
            self.bench.flush()
            self.clean = True
            for peer, sink in self.sinks.items():
                told = {key[-1]: (pairs[0][1][2], pairs[0][0].communities[0]) for key, pairs in sink.rib.items()}
                assert told == self.expected(peer), sink.name
                assert sink.joined == 1

        def expected(self, peer: int) -> dict[int, tuple[int, int]]:
            """What a peer is to have: {key: (source, variant)}, from first principles."""
            kind, asn = PEERS[peer]
            result = {}
            for k in range(KEYS):
                paths = {p: path for (where, p), path in self.paths.items() if where == k}
                if not paths:
                    continue
                best = max(paths, key=lambda p: paths[p][0])
                _, variant, loop = paths[best]
                if kind == "ibgp":
                    if cluster_id and peer in paths:
                        continue  # it has a path of its own
                    if PEERS[best][0] == "ibgp" and not cluster_id:
                        continue
                elif PEERS[best][1] == asn or (loop and asn == 65002):
                    continue
                result[k] = (best, variant)
            return result

        @precondition(lambda self: hasattr(self, "bench"))
        @invariant()
        def wakes_when_there_is_work(self) -> None:
            assert self.bench.core.idle or self.bench.wakes

        def teardown(self) -> None:
            if not hasattr(self, "bench"):
                return
            self.settle()
            for source in self.sources:
                self.bench.core.withdraw_source(source)
            self.bench.flush()
            for sink in self.sinks.values():
                assert not sink.rib
                self.bench.leave(sink)
            self.bench.flush()
            self.bench.assert_empty()

    return Machine


@pytest.mark.parametrize("cluster_id", [0, 77])
def test_groups_equal_naive_computation(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, cluster_id: int
) -> None:
    monkeypatch.setattr(groups, "SLICE", 3)
    run_state_machine_as_test(
        machine(make_bench, cluster_id),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
