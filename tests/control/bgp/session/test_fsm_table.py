"""The state machine as a table: total, reachable, and printed exactly as in fsm_table.txt, for a person to review."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrail_emulator.control.bgp import fsm
from contrail_emulator.control.bgp.actions import ACTIONS, GUARDS
from contrail_emulator.control.bgp.fsm import ON_ENTRY, ON_EXIT, TABLE, Action, Event, Guard, State

PAIRS = [(state, event) for state in State for event in Event]


def test_table_is_total() -> None:
    assert set(TABLE) == set(PAIRS)
    assert len(PAIRS) == 6 * 20


def test_printed_form() -> None:
    assert fsm.describe() == Path(__file__).with_name("fsm_table.txt").read_text()


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda member: member.value)
def test_rules_of_a_pair(state: State, event: Event) -> None:
    rules = TABLE[state, event]
    guards = [rule.guard for rule in rules]
    assert len(set(guards)) == len(guards)
    assert Guard.ALWAYS not in guards[:-1], "a rule behind an unconditional one can never apply"
    for rule in rules:
        leaves_session = state is State.ESTABLISHED and rule.next is not None
        assert not leaves_session or Action.CLOSE_PEER in rule.actions, (
            "a session never ends without a word to its user"
        )
        if rule.next is State.IDLE:
            assert Action.CLOSE_PEER in rule.actions, "only close_peer begins again"
        if rule.next is State.OPEN_CONFIRM:
            assert rule.actions[-1] is Action.NEGOTIATE
            assert any(action.name.startswith("ASSIGN_") for action in rule.actions)


def test_every_name_is_used_and_has_its_function() -> None:
    rules = [rule for found in TABLE.values() for rule in found]
    used = {action for rule in rules for action in rule.actions}
    used |= {action for actions in (*ON_ENTRY.values(), *ON_EXIT.values()) for action in actions}
    assert used == set(Action) == set(ACTIONS)
    assert {rule.guard for rule in rules} == set(Guard) == set(GUARDS)
    assert set(ON_ENTRY) == set(ON_EXIT) == set(State)
    for member, function in (*ACTIONS.items(), *GUARDS.items()):
        assert function.__name__ == member.name.lower()


def test_every_state_is_reached_from_idle() -> None:
    reached = {State.IDLE}
    while True:
        onward = {
            rule.next for state in reached for event in Event for rule in TABLE[state, event] if rule.next is not None
        }
        if onward <= reached:
            break
        reached |= onward
    assert reached == set(State)


def test_updates_of_a_session_may_go_past_the_table() -> None:
    """PeerCore does by itself what the table says of an UPDATE in Established: restart the hold timer, deliver."""
    (rule,) = fsm.TABLE[fsm.State.ESTABLISHED, fsm.Event.UPDATE]
    assert rule.guard is fsm.Guard.ALWAYS
    assert rule.next is None
    assert rule.actions == (fsm.Action.START_HOLD, fsm.Action.DELIVER_UPDATE)
