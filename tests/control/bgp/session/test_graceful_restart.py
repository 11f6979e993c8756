"""Graceful and long-lived graceful restart as helper (reference/bgp.md 1.9; scenarios GR_* of 7.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from control.bgp.session.core import FAMILIES, HELPER, KEEPALIVE, Driver, an_open, notification, restart

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.capability import GracefulRestart, RestartFamily
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.graceful_restart import Announced, Helper, Phase
from contrail_emulator.control.bgp.message import Update
from contrail_emulator.control.bgp.settings import GracefulRestartSettings

END_OF_RIBS = b"".join(update.end_of_rib(family) for family in FAMILIES)


def helping(
    time: int = 120, long_lived: int = 0, notification: bool = True, behaviour: Behaviour = CONTRAIL, **peer: Any
) -> Driver:
    """An established session with a peer that may restart."""
    driver = Driver(behaviour, speaker={"graceful_restart": HELPER}, **peer)
    driver.reach(State.ESTABLISHED, restart=restart(time, notification), long_lived=long_lived)
    driver.take()
    return driver


def come_back(driver: Driver, capability: GracefulRestart | None, long_lived: int = 0) -> None:
    """The peer connects again and its session is established, if we let it."""
    driver.wait(5.1)
    driver.accept()
    driver.say(driver.inbound, an_open(restart=capability, long_lived=long_lived))
    driver.say(driver.inbound, KEEPALIVE)


def test_lost_peer_comes_back_and_is_swept_at_end_of_rib() -> None:
    driver = helping()
    driver.lose(1)
    assert "down gracefully 0/0" in driver.take()
    come_back(driver, restart())
    assert driver.at(State.ESTABLISHED)
    driver.take()
    driver.say(driver.inbound, update.end_of_rib(Family.INET))
    assert driver.take() == ["end-of-rib inet"]
    assert driver.waits_in(Phase.GR_TIMER)
    driver.say(driver.inbound, update.end_of_rib(Family.INET_VPN))
    assert driver.take() == ["end-of-rib inet-vpn", "sweep"]
    assert driver.waits_in(Phase.NONE)


@pytest.mark.parametrize("long_lived", [0, 600], ids=["plain", "long-lived"])
@pytest.mark.parametrize("assumed", [False, True], ids=["end-of-rib", "time-out"])
def test_the_session_goes_on_after_the_sweep(long_lived: int, assumed: bool) -> None:
    """Routes are read, keepalives sent, and what was negotiated is known, in the session that ended the restart."""
    driver = helping(long_lived=long_lived)
    driver.lose(1)
    if long_lived:
        driver.wait(121)
    come_back(driver, restart(), long_lived)
    for _ in range(20 if assumed else 0):
        driver.wait(60)
        driver.say(driver.inbound, KEEPALIVE)
    driver.say(driver.inbound, END_OF_RIBS)
    assert "sweep" in driver.take()
    agreed = driver.core.negotiated
    assert agreed is not None and agreed.families == FAMILIES
    attributes = Attributes.make(next_hop=bytes((10, 0, 0, 1)), local_pref=100)
    (message,) = update.write(Family.INET, attributes, [(b"\x08\x0a", b"")], True)
    driver.say(driver.inbound, message)
    assert driver.take() == ["update"]
    driver.wait(31)
    assert driver.take() == [f"{driver.inbound}: KEEPALIVE"]
    driver.wait(60)
    assert driver.at(State.IDLE), "and the hold timer runs"


def test_lost_peer_never_comes_back() -> None:
    driver = helping()
    driver.lose(1)
    driver.wait(119)
    assert "sweep" not in driver.take()
    driver.wait(2)
    assert "sweep" in driver.take()


def test_peer_came_back_without_end_of_rib() -> None:
    """The timer while the session is up counts as End-of-RIB of all families."""
    driver = helping()
    driver.lose(1)
    come_back(driver, restart())
    driver.take()
    for _ in range(2):
        driver.wait(60)
        driver.say(driver.inbound, KEEPALIVE)
    assert [line for line in driver.take() if "KEEPALIVE" not in line] == [
        "end-of-rib inet assumed",
        "end-of-rib inet-vpn assumed",
        "sweep",
    ]


def test_second_loss_while_waiting_has_only_the_rest_of_the_time() -> None:
    driver = helping()
    driver.lose(1)
    driver.wait(50)
    driver.take()
    come_back(driver, restart())
    driver.lose(driver.inbound)
    assert "down gracefully 0/0" in driver.take()
    driver.wait(120 - 55.1 - 1)
    assert "sweep" not in driver.take()
    driver.wait(2)
    assert "sweep" in driver.take()


def test_elapsed_time_is_forgotten_after_a_sweep() -> None:
    driver = helping()
    driver.lose(1)
    come_back(driver, restart())
    driver.say(driver.inbound, END_OF_RIBS)
    assert "sweep" in driver.take()
    driver.lose(driver.inbound)
    driver.wait(119)
    assert "sweep" not in driver.take()


@pytest.mark.parametrize(
    ("code", "subcode", "n_bit", "kept"),
    [
        (6, 4, True, True),
        (6, 4, False, False),
        (6, 9, True, False),
        (6, 3, True, False),
        (6, 2, True, True),
        (4, 0, True, True),
        (4, 0, False, False),
        (3, 1, True, True),
    ],
)
def test_notification_from_the_peer(code: int, subcode: int, n_bit: bool, kept: bool) -> None:
    driver = helping(notification=n_bit)
    driver.say(1, notification(code, subcode))
    assert f"down{' gracefully' if kept else ''} {code}/{subcode}" in driver.take()


@pytest.mark.parametrize(("n_bit", "kept"), [(True, True), (False, False)])
def test_hold_expiry_follows_the_n_bit(n_bit: bool, kept: bool) -> None:
    driver = helping(notification=n_bit)
    driver.wait(91)
    assert f"down{' gracefully' if kept else ''} 4/0" in driver.take()


def test_admin_down_is_never_graceful() -> None:
    driver = helping()
    driver.core.settings = replace(driver.core.settings, admin_down=True)
    driver.stop(2)
    assert "down 6/2" in driver.take()


def test_deletion_is_never_graceful_and_ends_a_restart() -> None:
    driver = helping()
    driver.lose(1)
    driver.take()
    driver.core.delete(driver.now, 3)
    driver.drain()
    assert driver.take() == ["sweep"]
    assert driver.core.next_deadline is None


@pytest.mark.parametrize(
    ("capability", "why"),
    [
        (None, "lists no family"),
        (GracefulRestart(120), "lists no family"),
        (restart(0), "restart time is 0"),
        (restart(families=(Family.INET,)), "differ"),
        (restart(families=(Family.INET, Family.INET_VPN, Family.E_VPN)), "differ"),
        (GracefulRestart(120, (*restart().families, RestartFamily(16388, 71, True))), "differ"),
        (restart(forwarding=False), "forwarding state was not preserved for inet, inet-vpn"),
    ],
)
def test_peers_that_get_no_help(capability: GracefulRestart | None, why: str) -> None:
    driver = Driver(speaker={"graceful_restart": HELPER}).reach(State.ESTABLISHED, restart=capability)
    assert why in (driver.core.helper.obstacle() or "")
    driver.take()
    driver.lose(1)
    assert driver.take()[0] == "down 0/0"


@pytest.mark.parametrize(
    "settings",
    [
        GracefulRestartSettings(),
        GracefulRestartSettings(enabled=True),
        GracefulRestartSettings(helper=True),
    ],
)
def test_no_help_unless_both_knobs_are_on(settings: GracefulRestartSettings) -> None:
    driver = Driver(speaker={"graceful_restart": settings}).reach(State.ESTABLISHED, restart=restart())
    driver.take()
    driver.lose(1)
    assert driver.take()[0] == "down 0/0"


def test_multicast_families_need_no_forwarding_bit() -> None:
    families = (Family.INET_VPN, Family.ERM_VPN)
    capability = GracefulRestart(60, (RestartFamily.of(families[0]), RestartFamily.of(families[1], False)))
    driver = Driver(speaker={"graceful_restart": HELPER}, families=families)
    driver.reach(State.ESTABLISHED, families=families, restart=capability)
    assert driver.core.helper.obstacle() is None


def test_new_open_without_the_capability_ends_the_restart() -> None:
    driver = helping()
    driver.lose(1)
    driver.take()
    come_back(driver, None)
    number = driver.inbound
    wanted = ("sweep", f"{number}: NOTIFICATION 5/0", f"close {number}")
    assert tuple(line for line in driver.take() if line in wanted) == wanted
    assert driver.at(State.IDLE)
    come_back(driver, None)
    assert driver.at(State.ESTABLISHED)


@pytest.mark.parametrize(
    "capability",
    [None, restart(forwarding=False), restart(families=FAMILIES[:1])],
    ids=["none", "no F bit", "one family"],
)
@pytest.mark.parametrize("long_lived", [0, 600], ids=["plain", "long-lived"])
def test_new_open_that_ends_the_restart_keeps_the_session_in_profile_rfc(
    capability: GracefulRestart | None, long_lived: int
) -> None:
    """RFC 4724 4.2: stale routes go at once, the session is as good as any."""
    driver = helping(behaviour=RFC, long_lived=long_lived)
    driver.lose(1)
    if long_lived:
        driver.wait(121)
        assert driver.waits_in(Phase.LLGR_TIMER)
    driver.take()
    driver.wait(5.1)
    driver.accept()
    driver.say(driver.inbound, an_open(restart=capability) + KEEPALIVE)
    lines = driver.take()
    assert driver.at(State.ESTABLISHED), "although both messages came at once"
    assert driver.waits_in(Phase.NONE)
    assert lines.index("sweep") < lines.index(f"up {driver.inbound}")
    assert not any("NOTIFICATION" in line for line in lines)


def test_losing_collision_open_does_not_end_the_restart() -> None:
    driver = helping()
    driver.lose(1)
    driver.wait(5.2)
    driver.connect()
    driver.accept()
    driver.take()
    driver.say(driver.inbound, an_open(0x0A000001))
    assert driver.take() == [f"{driver.inbound}: NOTIFICATION 6/7", f"close {driver.inbound}"]
    assert driver.waits_in(Phase.GR_TIMER)


def test_failed_attempt_while_waiting_keeps_the_routes() -> None:
    driver = helping()
    driver.lose(1)
    driver.take()
    driver.wait(5.2)
    driver.connect()
    driver.lose(driver.outbound)
    assert "sweep" not in driver.take()


def test_hard_notification_while_waiting_gives_the_routes_up() -> None:
    driver = helping(notification=False)
    driver.lose(1)
    driver.take()
    driver.wait(5.2)
    driver.connect()
    driver.say(driver.outbound, notification(2, 2))
    assert "sweep" in driver.take()


@pytest.mark.parametrize(
    ("time", "long_lived", "expected"),
    [
        (120, 0, [(120, "sweep")]),
        (120, 1000, [(120, "long-lived stale"), (1120, "sweep")]),
        (0, 1000, [(0, "long-lived stale"), (1000, "sweep")]),
        (0, 0, []),
    ],
)
@pytest.mark.parametrize("hard", [False, True])
def test_restart_and_long_lived_times(time: int, long_lived: int, expected: list[tuple[int, str]], hard: bool) -> None:
    """GR_{NonZero,Zero}GrTimeAnd{NonZero,Zero}LlgrTime and their _HardReset variants."""
    driver = helping(time, long_lived)
    if hard:
        driver.say(1, notification(6, 9))
        assert driver.take()[0] == "down 6/9"
        return
    began = driver.now
    driver.lose(1)
    seen: list[tuple[int, str]] = []
    while (deadline := driver.core.next_deadline) is not None and driver.now < began + 2000:
        driver.wait(max(0.0, deadline - driver.now))
        seen += [(round(driver.now - began), line) for line in driver.take() if line in ("sweep", "long-lived stale")]
    assert seen == expected


def test_long_lived_peer_comes_back() -> None:
    driver = helping(10, 1000)
    driver.lose(1)
    driver.wait(500)
    assert driver.waits_in(Phase.LLGR_TIMER)
    driver.take()
    come_back(driver, restart(10), 1000)
    driver.say(driver.inbound, END_OF_RIBS)
    assert driver.take()[-3:] == ["end-of-rib inet", "end-of-rib inet-vpn", "sweep"]


def test_long_lived_peer_comes_back_without_the_capability() -> None:
    driver = helping(10, 1000)
    driver.lose(1)
    driver.wait(500)
    driver.take()
    come_back(driver, restart(10), 0)
    assert "sweep" in driver.take()
    assert driver.at(State.IDLE)


def test_helper_counts() -> None:
    helper = Helper()
    helper.session_lost(0.0, graceful=True)
    assert (helper.counters.close, helper.counters.deletes, helper.counters.stale) == (1, 1, 0)


@pytest.mark.parametrize(("family", "seconds"), [(Family.ROUTE_TARGET, 30), (Family.INET_VPN, 300)])
def test_end_of_rib_time_out(family: Family, seconds: int) -> None:
    driver = Driver(families=(family,), hold_time=0).reach(State.ESTABLISHED, families=(family,))
    driver.take()
    driver.wait(seconds - 1)
    assert driver.take() == []
    driver.wait(2)
    assert driver.take() == [f"end-of-rib {family.config_name} assumed"]
    driver.say(1, update.end_of_rib(family))
    assert driver.take() == [], "once per family and session"
    assert driver.core.counters.rx_updates.end_of_rib == 1


def test_end_of_rib_is_told_once_and_again_in_the_next_session() -> None:
    driver = Driver().reach(State.ESTABLISHED)
    driver.take()
    driver.say(1, END_OF_RIBS + END_OF_RIBS)
    assert driver.take() == ["end-of-rib inet", "end-of-rib inet-vpn"]
    driver.lose(1)
    come_back(driver, None)
    driver.take()
    driver.say(driver.inbound, END_OF_RIBS)
    assert driver.take() == ["end-of-rib inet", "end-of-rib inet-vpn"]


def test_routes_before_an_end_of_rib_in_one_update_count() -> None:
    """reference/bgp.md 1.9: what stands behind it is not read, what stands before it was."""
    driver = Driver().reach(State.ESTABLISHED)
    driver.take()
    attributes = bytes.fromhex("4001010040050400000064400200" "800e0d000101040a00000100180a0102" "800f03000180")
    driver.say(1, Update(b"\x00\x00" + len(attributes).to_bytes(2, "big") + attributes).encode())
    assert driver.take() == ["update", "end-of-rib inet-vpn"]
    assert driver.core.counters.rx_updates.reach == 1


def test_end_of_rib_timeout_is_configured() -> None:
    driver = Driver(speaker={"end_of_rib_timeout": 7.0}, hold_time=0).reach(State.ESTABLISHED)
    driver.take()
    driver.wait(7.1)
    assert driver.take() == ["end-of-rib inet assumed", "end-of-rib inet-vpn assumed"]


def test_long_lived_needs_the_same_families_but_for_multicast() -> None:
    inet, vpn, multicast = {Family.INET: True}, {Family.INET: True, Family.INET_VPN: True}, {Family.ERM_VPN: False}

    def usable(plain: dict[Family, bool], long_lived: dict[Family, bool], time: int = 9) -> bool:
        helper = Helper()
        helper.enabled = True
        announced = Announced(time=5, families=plain, long_lived_time=time, long_lived_families=long_lived)
        helper.learn(announced, plain)
        return helper.long_lived_obstacle() is None

    assert usable(inet, inet)
    assert not usable(inet, vpn)
    assert usable({**inet, **multicast}, inet)
    assert usable(inet, {**inet, **multicast})
    assert not usable(inet, {})
    assert not usable(inet, inet, time=0)
    assert not usable(inet, {Family.INET: False})


def test_changed_families_end_the_restart() -> None:
    driver = helping()
    driver.lose(1)
    driver.take()
    driver.core.settings = replace(driver.core.settings, families=(Family.INET,))
    come_back(driver, restart(families=(Family.INET,)))
    assert "sweep" in driver.take()


def test_loss_while_the_long_lived_time_runs_goes_on_with_its_rest() -> None:
    driver = helping(10, 1000)
    driver.lose(1)
    driver.wait(500)
    come_back(driver, restart(10), 1000)
    assert driver.at(State.ESTABLISHED)
    driver.take()
    driver.lose(driver.inbound)
    assert "down gracefully 0/0" in driver.take()
    driver.wait(10.1)
    assert "long-lived stale" in driver.take()
    driver.wait(1000 - 495.2 - 1)
    assert "sweep" not in driver.take()
    driver.wait(3)
    assert "sweep" in driver.take()
