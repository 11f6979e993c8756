"""Helping agents over a restart (reference/xmpp.md 1.10)."""

from __future__ import annotations

from typing import Any

import pytest
from control.node.conftest import BLUE, Agent, Bench, FakeSession, route, tree
from twisted.internet.task import Clock

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.channels.agent_end_of_rib import EndOfRibSender
from contrail_emulator.control.channels.agent_restart import AgentRestart, Event, Phase, RestartTimes
from contrail_emulator.control.channels.agents import AgentChannels

TABLE = f"{BLUE}.inet.0"
TIMES = RestartTimes(restart=60, long_lived=120, end_of_rib=30)
RED = "default-domain:demo:red:red"


class Site:
    """A bench whose agents live in AgentChannels."""

    def __init__(self, restart: RestartTimes | None = TIMES) -> None:
        self.bench = Bench()
        self.bench.add_instance()
        self.bench.add_instance(RED, 2)
        self.channels = AgentChannels(
            self.bench.clock, self.bench.core, self.bench.config, self.bench.local,
            end_of_rib_timeout=300, started=0.0, restart=restart,
        )  # fmt: skip

    def connect(self, address: str = "192.0.2.1", name: str = "compute-1") -> Agent:
        session: Any = FakeSession(name, address)
        self.channels.established(session)
        (channel,) = (channel for channel in self.channels if channel.session is session)
        return Agent(self.bench, channel, session)

    def lose(self, agent: Agent) -> None:
        session: Any = agent.session
        self.channels.closed(session, "closed by the peer")
        self.bench.flush()

    def flags(self, prefix: str = "10.1.1.3/32") -> str:
        return str(self.bench.paths(TABLE, prefix)[0]["flags"])


def with_routes(site: Site) -> Agent:
    agent = site.connect()
    for number, instance in enumerate((BLUE, RED), 1):
        agent.subscribe(instance, number)
    agent.publish(route("10.1.1.3/32"))
    agent.publish(route("10.1.1.4/32"))
    agent.publish(route("10.2.1.3/32"), instance=RED)
    site.bench.flush()
    return agent


def test_without_helper_everything_goes_at_once() -> None:
    site = Site(None)
    site.lose(with_routes(site))
    assert site.bench.prefixes(TABLE) == []
    (row,) = site.channels.rows()
    assert (row["peer"], row["state"], row["flap_count"]) == ("compute-1", "Idle", 1)


def test_restored_by_repeated_subscribe_then_swept_at_end_of_rib() -> None:
    site = Site()
    old = with_routes(site)
    site.lose(old)
    assert site.bench.prefixes(TABLE) == ["10.1.1.3/32", "10.1.1.4/32"] and site.flags() == "Stale"
    (row,) = site.channels.rows()
    assert (row["state"], row["restart"]) == ("Idle", "GR_TIMER")
    assert {one["state"] for one in row["routing_instances"]} == {"stale"}
    site.bench.clock.advance(59)
    agent = site.connect()
    agent.subscribe()
    assert agent.session.closed == ""
    agent.subscribe(RED, 2)
    agent.unsubscribe(RED)
    agent.publish(route("10.1.1.3/32"))
    site.bench.flush()
    assert site.flags() == "None" and site.flags("10.1.1.4/32") == "Stale"
    assert set(agent.hear()[0]) == {"1/1 10.1.1.3/32", "1/1 10.1.1.4/32"}, "it hears all there is"
    agent.end_of_rib()
    site.bench.flush()
    assert site.bench.prefixes(TABLE) == ["10.1.1.3/32"]
    assert agent.channel.row()["routes_in"] == 1
    agent.subscribe()
    assert "subscribed twice" in agent.session.closed, "once only"
    site.channels.stop()
    assert site.bench.clock.getDelayedCalls() == []


def test_what_is_not_subscribed_again_is_unsubscribed_at_the_sweep() -> None:
    site = Site()
    site.lose(with_routes(site))
    agent = site.connect()
    agent.subscribe()
    site.bench.clock.advance(TIMES.end_of_rib)
    site.bench.flush()
    assert set(agent.channel.subscriptions) == {BLUE}
    assert site.bench.prefixes(TABLE) == [] and site.bench.prefixes(f"{RED}.inet.0") == []
    targets = site.bench.prefixes("bgp.rtarget.0")
    assert any(":8" in text for text in targets) and not any(":9" in text for text in targets)


def test_one_that_stays_away_becomes_long_lived_stale_then_goes() -> None:
    site = Site()
    agent = with_routes(site)
    agent.publish(route("10.1.1.5/32", community_tags=("NoLlgr",)))
    site.lose(agent)
    site.bench.clock.advance(TIMES.restart)
    site.bench.flush()
    assert site.flags() == "Stale LlgrStale"
    assert "10.1.1.5/32" not in site.bench.prefixes(TABLE)
    site.bench.clock.advance(TIMES.long_lived)
    site.bench.flush()
    assert site.bench.prefixes(TABLE) == [] and site.bench.prefixes("bgp.rtarget.0") == []
    assert len(site.bench.core.attributes) == 0 and list(site.channels) == []
    assert site.bench.clock.getDelayedCalls() == []


def test_configuration_is_never_kept() -> None:
    site = Site()
    agent = with_routes(site)
    name = "default-global-system-config:compute-1"
    site.bench.graph.put("virtual-router", name, {})
    agent.router()
    assert agent.session.sent
    site.lose(agent)
    agent.session.sent.clear()
    site.bench.graph.put("virtual-router", name, {"display_name": "x"})
    assert agent.session.sent == []
    back = site.connect()
    site.bench.graph.put("virtual-router", name, {"display_name": "y"})
    assert back.session.sent == []
    back.router()
    assert back.configuration() == [("update", f"virtual-router {name}")]


def test_another_address_is_another_agent() -> None:
    site = Site()
    site.lose(with_routes(site))
    agent = site.connect("192.0.2.77")
    site.bench.flush()
    assert site.bench.prefixes(TABLE) == [] and agent.channel.subscriptions == {}
    assert agent.channel.row()["peer_address"] == "192.0.2.77"
    agent.publish(route())
    assert agent.session.closed


def replace_instance(site: Site) -> None:
    """It goes, and comes again."""
    site.channels.instance_removed(BLUE)
    site.bench.core.delete_instance(BLUE)
    site.bench.add_instance()
    site.channels.instance_added(BLUE)
    site.bench.flush()


def test_an_instance_may_go_and_come_before_a_returned_agent_is_done() -> None:
    """What it said again comes back with the instance; what it did not is not made new by that."""
    site = Site()
    site.lose(with_routes(site))
    agent = site.connect()
    agent.subscribe()
    agent.publish(route("10.1.1.3/32"))
    replace_instance(site)
    assert site.bench.prefixes(TABLE) == ["10.1.1.3/32"] and site.flags() == "None"
    agent.publish(route("10.1.1.5/32"))
    agent.end_of_rib()
    site.bench.flush()
    assert site.bench.prefixes(TABLE) == ["10.1.1.3/32", "10.1.1.5/32"]


def test_an_instance_may_go_and_come_while_its_agent_is_away() -> None:
    site = Site()
    site.lose(with_routes(site))
    replace_instance(site)
    assert site.bench.prefixes(TABLE) == [], "nobody says that these routes are still right"
    agent = site.connect()
    agent.subscribe()
    agent.publish(route())
    site.bench.flush()
    assert "1/1 10.1.1.3/32" in agent.hear()[0]


def test_a_tree_loses_a_stale_agent_at_once() -> None:
    site = Site()
    agent, other = with_routes(site), site.bench.agent(2)
    other.subscribe(instance_id=2)
    agent.publish(tree())
    other.publish(tree(2, "2000-2999"))
    site.bench.flush()
    assert any(name.startswith("1/241") for name in other.hear()[0])
    site.lose(agent)
    assert other.hear() == ({}, ["192.0.2.2:2:255.255.255.255,0.0.0.0"])


class Log:
    """A Restartable."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def suspend(self) -> None:
        self.done.append("suspend")

    def long_lived_stale(self) -> None:
        self.done.append("long-lived")

    def sweep(self) -> None:
        self.done.append("sweep")


def helper(times: RestartTimes = TIMES) -> tuple[Clock, Log, AgentRestart]:
    clock, log = Clock(), Log()
    return clock, log, AgentRestart(clock, times, log, lambda: log.done.append("gone"))


def test_a_second_loss_goes_on_with_what_is_left() -> None:
    clock, log, restart = helper()
    restart.handle(Event.LOST)
    clock.advance(40)
    restart.handle(Event.RETURNED)
    clock.advance(10)
    restart.handle(Event.LOST)
    clock.advance(19)
    assert log.done == ["suspend", "suspend"]
    clock.advance(1)
    assert log.done == ["suspend", "suspend", "long-lived"]
    clock.advance(100)
    restart.handle(Event.RETURNED)
    restart.handle(Event.LOST)
    clock.advance(0)
    clock.advance(20)
    assert log.done == ["suspend", "suspend", "long-lived", "suspend", "long-lived", "gone"]
    assert restart.phase is Phase.NONE


def test_without_long_lived_time_it_is_over_after_the_restart_time() -> None:
    clock, log, restart = helper(RestartTimes(restart=60, long_lived=0, end_of_rib=30))
    restart.handle(Event.LOST)
    clock.advance(60)
    assert log.done == ["suspend", "gone"] and clock.getDelayedCalls() == []


def test_time_begins_anew_after_a_sweep() -> None:
    clock, log, restart = helper()
    for event in (Event.LOST, Event.RETURNED, Event.COMPLETE, Event.LOST):
        clock.advance(30)
        restart.handle(event)
    clock.advance(59)
    assert log.done == ["suspend", "sweep", "suspend"] and restart.phase is Phase.GR_TIMER


@pytest.mark.parametrize("event", [Event.RETURNED, Event.COMPLETE, Event.EXPIRED])
def test_events_that_mean_nothing(event: Event) -> None:
    _, log, restart = helper()
    restart.handle(event)
    assert restart.phase is Phase.NONE and log.done == []


# --- Our End-of-RIB to agents -----------------------------------------------------------------------------------------


class Quiet:
    """A channel for the sender."""

    def __init__(self) -> None:
        self.last_sent = 0.0
        self.waiting = False
        self.sent = 0

    def send_end_of_rib(self) -> None:
        self.sent += 1


def sender(hold_back: bool = True, uptime: float = 1000.0) -> tuple[Clock, Quiet, EndOfRibSender]:
    clock, channel = Clock(), Quiet()
    return clock, channel, EndOfRibSender(clock, channel, lambda: uptime + clock.seconds(), 300.0, hold_back)


def test_after_six_quiet_seconds() -> None:
    clock, channel, ending = sender()
    clock.pump([1] * 4)
    ending.active()
    channel.last_sent = 5.0
    clock.pump([1] * 6)
    assert channel.sent == 0
    clock.advance(1)
    assert channel.sent == 1
    clock.pump([1] * 400)
    assert channel.sent == 1 and clock.getDelayedCalls() == []


def test_not_in_the_start_up_phase() -> None:
    clock, channel, _ = sender(uptime=0.0)
    clock.pump([1] * 59)
    assert channel.sent == 0
    clock.advance(1)
    assert channel.sent == 1


def test_at_the_latest_300_seconds_after_the_last_subscribe() -> None:
    clock, channel, ending = sender()
    channel.waiting = True
    clock.pump([1] * 200)
    ending.subscribed()
    clock.pump([1] * 299)
    assert channel.sent == 0
    clock.advance(1)
    assert channel.sent == 1


def test_profile_rfc_sends_as_soon_as_all_is_told() -> None:
    assert CONTRAIL.hold_back_agent_end_of_rib and not RFC.hold_back_agent_end_of_rib
    clock, channel, ending = sender(hold_back=False, uptime=0.0)
    clock.pump([1] * 5)
    assert channel.sent == 0, "nothing was asked for"
    ending.subscribed()
    channel.waiting = True
    clock.advance(1)
    channel.waiting = False
    ending.active()
    clock.advance(1)
    assert channel.sent == 1


def test_what_is_remembered_of_agents_that_left_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrail_emulator.control.channels.agents.REMEMBERED", 5)
    site = Site(None)
    for number in (1, 2, 3, 1, 4, 5, 6):
        site.lose(site.connect(f"192.0.2.{number}", f"compute-{number}"))
    rows = {row["peer"]: row for row in site.channels.rows()}
    assert list(rows) == ["compute-1", "compute-3", "compute-4", "compute-5", "compute-6"]
    assert (rows["compute-1"]["flap_count"], rows["compute-1"]["peer_address"]) == (2, "192.0.2.1")
    assert (rows["compute-6"]["flap_count"], rows["compute-6"]["last_error"]) == (1, "closed by the peer")
