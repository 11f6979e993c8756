"""Routes counted from the bytes of our own messages are the routes that went in."""

from __future__ import annotations

import control.bgp.wire.strategies as s
import pytest
from control.bgp.wire.golden_cases import BASE, ROUTES
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import Route
from contrail_emulator.control.bgp.sent import Sent, count, messages

BEHAVIOURS = st.sampled_from((CONTRAIL, RFC))


@given(
    groups=st.lists(
        st.tuples(
            s.families.flatmap(lambda family: st.tuples(st.just(family), st.lists(s.routes[family], max_size=5))),
            st.booleans(),
        ),
        max_size=4,
    ),
    behaviour=BEHAVIOURS,
)
@settings(max_examples=200)
def test_routes_of_every_family(groups: list[tuple[tuple[Family, list[Route]], bool]], behaviour: Behaviour) -> None:
    written: list[bytes] = []
    reach = unreach = 0
    for (family, routes), announced in groups:
        if announced:
            written += update.write(family, BASE, routes, True, behaviour)
            reach += len(routes)
        else:
            written += update.write_withdrawn(family, [key for key, _ in routes], behaviour)
            unreach += len(routes)
    assert count(b"".join(written)) == Sent(len(written), reach, unreach, 0)
    assert messages(b"".join(written)) == len(written)


@pytest.mark.parametrize("name", ROUTES)
def test_full_messages(name: str) -> None:
    family, route = ROUTES[name]
    written = update.write(family, BASE, [route] * 1000, True)
    assert count(b"".join(written)) == Sent(len(written), 1000, 0, 0)
    assert messages(b"".join(written)) == len(written)


@pytest.mark.parametrize("family", Family, ids=lambda family: family.config_name)
@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
def test_an_end_of_rib_has_no_routes(family: Family, behaviour: Behaviour) -> None:
    assert count(update.end_of_rib(family, behaviour)) == Sent(1, 0, 0, 1)


@given(data=st.binary(max_size=200))
def test_anything_else_is_counted_without_a_fuss(data: bytes) -> None:
    for junk in (data, b"\xff" * 16 + data):
        counted = count(junk)
        assert counted.messages <= len(junk)
