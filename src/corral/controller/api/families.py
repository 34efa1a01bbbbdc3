"""How is a figure written so that Prometheus reads it?"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    GAUGE = "gauge"
    COUNTER = "counter"  #: its name gets `_total`
    SUMMARY = "summary"  #: `_count` and `_sum`


class Family(NamedTuple):
    """What goes by one name."""

    text: str
    labels: tuple[str, ...] = ()
    kind: Kind = Kind.GAUGE


class Sample(NamedTuple):
    """One figure; of a summary the sum, and the number of what it is the sum of."""

    family: str
    labels: tuple[str, ...]
    value: float
    number: int = 0


def written(families: Mapping[str, Family], samples: Iterable[Sample]) -> bytes:
    """All families, with a head each, and of this process what Prometheus' clients tell of theirs."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
    from prometheus_client.registry import Collector

    made: dict[str, CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily] = {}
    for name, (text, labels, kind) in families.items():
        match kind:
            case Kind.GAUGE:
                made[name] = GaugeMetricFamily(name, text, labels=labels)
            case Kind.COUNTER:
                made[name] = CounterMetricFamily(name, text, labels=labels)
            case Kind.SUMMARY:
                made[name] = SummaryMetricFamily(name, text, labels=labels)
    for sample in samples:
        family = made[sample.family]
        if isinstance(family, SummaryMetricFamily):
            family.add_metric(sample.labels, sample.number, sample.value)
        else:
            family.add_metric(sample.labels, sample.value)

    class Gathered(Collector):
        def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily]:
            return made.values()

    registry = CollectorRegistry()
    registry.register(Gathered())
    ProcessCollector(registry=registry)
    return generate_latest(registry)
