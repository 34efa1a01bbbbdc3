"""How well does the controller do its work, and how many replicas are ready, in the words of Prometheus?

Counters begin anew with the controller, as Prometheus expects; only `corral_events_total` goes on.
"""

from collections import Counter
from collections.abc import Iterator

from corral.controller.api.families import Family, Kind, Sample
from corral.controller.api.service import Service
from corral.controller.facts import VERSION
from corral.daemon import clock
from corral.model import ranges
from corral.model.job import JobState
from corral.model.kube.workload import Deployment, StatefulSet
from corral.services.load import STABLE, Loads

_OF_WORK = ("kind", "namespace", "name")
_OF_SERVICE = ("namespace", "service")

FAMILIES = {
    "corral_info": Family("Which controller this is", ("version", "cluster")),
    "corral_recording": Family("1 while changes can be recorded; 0 while they are refused, as with a full disk"),
    "corral_bus_connected": Family("1 while the controller has its message server"),
    "corral_events": Family("Events that are recorded, or on their way", kind=Kind.COUNTER),
    "corral_transactions_in_flight": Family("Transactions that are not on the disk yet"),
    "corral_orders_waiting": Family("Orders for nodes that have not left yet"),
    "corral_jobs_submitted": Family("Jobs, each element of an array counted", kind=Kind.COUNTER),
    "corral_jobs_started": Family("Jobs", kind=Kind.COUNTER),
    "corral_jobs_ended": Family("Jobs, by how they ended", ("state",), Kind.COUNTER),
    "corral_jobs_pending": Family("Jobs that wait, by why", ("partition", "reason")),
    "corral_scheduling_cycle_seconds": Family("Cycles of the scheduler", kind=Kind.SUMMARY),
    "corral_scheduling_cycle_last_seconds": Family("How long the last one took"),
    "corral_request_seconds": Family("What was asked and reported; waiting for something not counted", ("request",), Kind.SUMMARY),
    "corral_replicas_wanted": Family("Replicas of a Deployment or StatefulSet that there should be", _OF_WORK),
    "corral_replicas_ready": Family("Those that are ready", _OF_WORK),
    "corral_service_requests_in_flight": Family("Mean of a minute, as the gateways say", _OF_SERVICE),
    "corral_service_requests_per_second": Family("Likewise", _OF_SERVICE),
}  # fmt: skip


def gathered(service: Service) -> Iterator[Sample]:
    loop, statistics = service.loop, service.loop.statistics
    yield Sample("corral_info", (VERSION, service.config.cluster), 1)
    yield Sample("corral_recording", (), not loop.unavailable)
    yield Sample("corral_bus_connected", (), bool(service.facts()["bus_connected"]))
    yield Sample("corral_events", (), loop.seq)
    yield Sample("corral_transactions_in_flight", (), loop.in_flight)
    yield Sample("corral_orders_waiting", (), len(service.performer.waiting()))
    yield Sample("corral_jobs_submitted", (), statistics.submitted_ever)
    yield Sample("corral_jobs_started", (), statistics.started_ever)
    for state, count in sorted(statistics.ended_ever.items()):
        yield Sample("corral_jobs_ended", (state.value,), count)
    yield from _pending(service)
    cycles = statistics.cycles_ever
    yield Sample("corral_scheduling_cycle_seconds", (), cycles.total, cycles.count)
    yield Sample("corral_scheduling_cycle_last_seconds", (), cycles.last)
    for name, spans in sorted(statistics.requests.items()):
        yield Sample("corral_request_seconds", (name,), spans.total, spans.count)
    yield from _replicas(service)
    yield from _traffic(service)


def _pending(service: Service) -> Iterator[Sample]:
    state = service.state
    waiting: Counter[tuple[str, str]] = Counter()
    for job in state.jobs.values():
        if job.state is JobState.PENDING:
            partition = job.partition or state.specs[job.spec_id].partition
            waiting[partition, job.reason.value] += ranges.count(job.array_waiting) or 1
    for labels, count in sorted(waiting.items()):
        yield Sample("corral_jobs_pending", labels, count)


def _replicas(service: Service) -> Iterator[Sample]:
    for kind in ("Deployment", "StatefulSet"):
        for one in service.state.objects.of_kind(kind):
            if isinstance(one, Deployment | StatefulSet):
                labels = kind, one.metadata.namespace, one.metadata.name
                yield Sample("corral_replicas_wanted", labels, one.spec.replicas)
                yield Sample("corral_replicas_ready", labels, one.status.ready_replicas)


def _traffic(service: Service) -> Iterator[Sample]:
    loads, now = _loads(service), clock.now()
    if loads is None or loads.is_silent(now):
        return
    for key in sorted(loads.windows):
        if (in_flight := loads.in_flight(key, STABLE, now)) is not None:
            yield Sample("corral_service_requests_in_flight", key, in_flight)
        if (rate := loads.per_second(key, STABLE, now)) is not None:
            yield Sample("corral_service_requests_per_second", key, rate)


def _loads(service: Service) -> Loads | None:
    """None: a test's engine, which has none."""
    autoscaling = getattr(service.loop.context, "autoscaling", None)
    return None if autoscaling is None else autoscaling.loads
