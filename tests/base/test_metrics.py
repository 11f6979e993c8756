import pytest

from contrail_emulator.base.metrics import Metrics
from contrail_emulator.base.uve import NullSink, UveSink


def test_two_daemons_of_one_process_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.counter("routes_total", "Routes", ["family"]).labels("inet").inc(3)
    other.gauge("peers", "Peers").set(2)
    assert b'routes_total{family="inet"} 3.0' in one.render() and b"peers" not in one.render()
    assert b"peers 2.0" in other.render() and b"routes_total" not in other.render()


def test_a_name_gives_the_same_metric_and_never_another_kind() -> None:
    metrics = Metrics()
    assert metrics.counter("n_total", "N") is metrics.counter("n_total", "N")
    assert metrics.gauge("g", "G", ["a"]) is metrics.gauge("g", "G", ["a"])
    with pytest.raises(ValueError, match=r"metric n_total: already a counter with labels \[\]"):
        metrics.gauge("n_total", "N")
    with pytest.raises(ValueError):
        metrics.counter("n_total", "N", ["a"])
    with pytest.raises(ValueError):
        metrics.counter("not a name", "N")


def test_sampled_values_are_read_when_asked_for() -> None:
    metrics = Metrics()
    values = {"a": 1.0}
    metrics.sampled("dirty", "Dirty", ["table"], lambda: [((name,), value) for name, value in values.items()])
    values["b"] = 2.0
    assert b'dirty{table="a"} 1.0' in metrics.render() and b'dirty{table="b"} 2.0' in metrics.render()


def test_nobody_listening_is_a_sink() -> None:
    sink: UveSink = NullSink()
    sink.send("ObjectBgpRouter", "control-1", "BgpRouterState", {"uptime": 1})
