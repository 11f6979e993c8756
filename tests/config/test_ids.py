"""Numbers, name locks and elections."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.config.ids import Allocator, Exhausted, Pool
from contrail_emulator.config.testing import Site

POOL = Pool("/id/test", 10, 8, offset=100)


def test_lowest_first_freed_again_and_exhausted() -> None:
    site = Site(bare=True)
    allocator = Allocator(site.ids, POOL, reserved=[12])
    given_out = [site.run(allocator.allocate(f"o{n}")) for n in range(7)]
    assert given_out == [110, 111, 113, 114, 115, 116, 117]
    with pytest.raises(Exhausted):
        site.run(allocator.allocate("more"))
    assert not site.run(allocator.free(111, "somebody else"))
    assert site.run(allocator.free(111, "o1"))
    assert site.run(allocator.allocate("again")) == 111
    assert site.run(allocator.owner(111)) == "again"
    assert site.run(site.ids.children("/id/test"))[0] == "0000000010"


def test_two_allocators_of_one_pool_never_give_the_same() -> None:
    site = Site(bare=True)
    one, two = Allocator(site.ids, POOL), Allocator(site.ids, POOL)
    taken = [site.run(a.allocate(str(n))) for n, a in enumerate([one, two, one, two, two, one, one, two])]
    assert sorted(taken) == list(range(110, 118))


def test_reserving_is_idempotent_for_the_owner() -> None:
    site = Site(bare=True)
    allocator = Allocator(site.ids, POOL)
    assert site.run(allocator.reserve(110, "a"))
    assert site.run(allocator.reserve(110, "a"))
    assert not site.run(allocator.reserve(110, "b"))
    assert site.run(allocator.allocate("c")) == 111


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-8, 8), max_size=40), st.booleans())
def test_against_a_model(steps: list[int], downward: bool) -> None:
    site = Site(bare=True)
    allocator = Allocator(site.ids, POOL, downward=downward)
    model: set[int] = set()
    for step in steps:
        if step > 0:
            free = sorted(set(range(110, 118)) - model, reverse=downward)
            if free:
                number = site.run(allocator.allocate("me"))
                assert number == free[0]
                model.add(number)
            else:
                with pytest.raises(Exhausted):
                    site.run(allocator.allocate("me"))
        else:
            number = 110 - step
            assert site.run(allocator.free(number, "me")) == (number in model)
            model.discard(number)


def test_first_come_first_elected() -> None:
    site = Site(bare=True)
    log: list[str] = []
    one = site.run(site.ids.elect("/e", "one", lambda: log.append("one"), lambda: None))
    two = site.run(site.ids.elect("/e", "two", lambda: log.append("two"), lambda: None))
    site.run(site.ids.elect("/e", "three", lambda: log.append("three"), lambda: None))
    site.settle()
    assert log == ["one"]
    two.leave()
    one.leave()
    one.leave()
    site.settle()
    assert log == ["one", "three"]
