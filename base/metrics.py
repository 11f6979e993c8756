"""Prometheus metrics of one daemon, in a registry of its own: several daemons may share a process."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

Samples = Iterable[tuple[Sequence[str], float]]
"""(label values, value) pairs."""


class Metrics:
    """Makes counters and gauges, and renders them. Asking twice for a name gives the same metric.

    Raises ValueError when a name comes back with another kind or other labels, or is not a legal metric name.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._made: dict[str, tuple[str, tuple[str, ...], Counter | Gauge]] = {}

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows: ``.labels(...).inc()``, or ``.inc()`` without labels."""
        known = self._known(name, "counter", labels)
        if known is None:
            known = Counter(name, help, tuple(labels), registry=self._registry)
            self._made[name] = ("counter", tuple(labels), known)
        assert isinstance(known, Counter)
        return known

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down: ``.set(...)``, ``.inc()``, ``.dec()``."""
        known = self._known(name, "gauge", labels)
        if known is None:
            known = Gauge(name, help, tuple(labels), registry=self._registry)
            self._made[name] = ("gauge", tuple(labels), known)
        assert isinstance(known, Gauge)
        return known

    def sampled(self, name: str, help: str, labels: Sequence[str], read: Callable[[], Samples]) -> None:
        """A gauge whose values are read when somebody asks for the metrics: costs nothing until then."""
        self._registry.register(_Sampled(name, help, tuple(labels), read))

    def render(self) -> bytes:
        """All metrics in the text exposition format (content type CONTENT_TYPE)."""
        return generate_latest(self._registry)

    def _known(self, name: str, kind: str, labels: Sequence[str]) -> Counter | Gauge | None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"metric name {name!r}: expected letters, digits and underscores")
        made = self._made.get(name)
        if made is None:
            return None
        if made[:2] != (kind, tuple(labels)):
            raise ValueError(f"metric {name}: already a {made[0]} with labels {list(made[1])}")
        return made[2]


class _Sampled:
    """A prometheus collector around a function."""

    def __init__(self, name: str, help: str, labels: tuple[str, ...], read: Callable[[], Samples]) -> None:
        self._name = name
        self._help = help
        self._labels = labels
        self._read = read

    def describe(self) -> list[Metric]:
        return [GaugeMetricFamily(self._name, self._help, labels=self._labels)]

    def collect(self) -> list[Metric]:
        family = GaugeMetricFamily(self._name, self._help, labels=self._labels)
        for values, value in self._read():
            family.add_metric(list(values), value)
        return [family]
