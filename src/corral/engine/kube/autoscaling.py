"""When does a HorizontalPodAutoscaler decide, and what does it set?

Every 15 seconds as in Kubernetes; where it goes by requests every two while there are some, and at once when a request waits for a
service without replicas. It sets the replicas of its target, which is an ordinary change: the Pods are jobs, and may wait in the queue.
"""

import zlib

import msgspec

from corral.engine.context import Context
from corral.model.kube.load import Answer, PodUse
from corral.model.kube.meta import ObjectKey
from corral.model.kube.network import Service
from corral.model.kube.pod import Pod
from corral.model.kube.scaling import HorizontalPodAutoscaler, HPAStatus
from corral.model.kube.workload import Deployment, ReplicaSet, StatefulSet
from corral.protocol.requests import ReportLoad
from corral.services import podset, scalewindow
from corral.services.autoscale import ambiguous, decide, target_key, without_target
from corral.services.changes import Change, Put, Wake
from corral.services.load import ServiceKey
from corral.services.metrics import TRAFFIC, Sight, metrics_of, query_of
from corral.services.replicas import within

SYNC, TRAFFIC_SYNC = 15.0, 2.0
#: What nobody speaks of is looked for so often.
FORGET_SECONDS = 600.0
#: A status in which only measurements have changed is recorded at most so often.
STATUS_SECONDS = 60.0

Target = Deployment | ReplicaSet | StatefulSet


def changes_for(ctx: Context, one: HorizontalPodAutoscaler, now: float) -> list[Change]:
    """What it decides, when it is time."""
    scaling = ctx.autoscaling
    due = scaling.due.get(one.key, 0.0)
    if now < due and scaling.seen.get(one.key) == one.metadata.generation:
        return [Wake(due)]
    target = ctx.state.objects.get(target_key(one))
    services: list[ServiceKey] = []
    if isinstance(target, Deployment | ReplicaSet | StatefulSet):
        services = [(one.metadata.namespace, name) for name in services_to(ctx, target)]
    windows = (scaling.loads.windows.get(service) for service in services)
    is_busy = any(window is not None and window.is_busy(now) for window in windows)
    period = TRAFFIC_SYNC if is_busy and _goes_by_requests(one) else SYNC
    if one.key not in scaling.seen:  # many that were made at once do not decide at once ever after
        period *= 0.3 + 0.7 * (zlib.crc32(one.metadata.uid.encode()) % 1000) / 1000
    scaling.due[one.key], scaling.seen[one.key] = now + period, one.metadata.generation
    changes: list[Change] = [Wake(now + period)]
    if not isinstance(target, Deployment | ReplicaSet | StatefulSet) or target.metadata.deletion_timestamp:
        return changes + _told(one, without_target(one, now), now)
    others = ctx.state.objects.links.autoscalers_of(target.key)
    if len(others) > 1:
        return changes + _told(one, ambiguous(one, [key.name for key in others], target.spec.replicas, now), now)
    mind = scaling.mind_of(one.metadata.uid, now)
    for service in services:
        scaling.followers.setdefault(service, set()).add(one.key)
    pods = pods_under(ctx, target)
    sight = Sight(
        namespace=one.metadata.namespace, replicas=target.spec.replicas, pods=pods, services=services,
        shares={service: _share(ctx, service, pods) for service in services},
    )  # fmt: skip
    verdict = decide(one, sight, scaling.loads, mind, now)
    if verdict.replicas != sight.replicas:
        scalewindow.note(mind.memory, sight.replicas, verdict.replicas, now)
        spec = msgspec.structs.replace(target.spec, replicas=verdict.replicas)
        changes.append(Put(msgspec.structs.replace(target, spec=spec)))
    return changes + _told(one, verdict.status, now)


def pods_under(ctx: Context, target: Target) -> list[Pod]:
    objects = ctx.state.objects
    if not isinstance(target, Deployment):
        return objects.pods_of(target.metadata.uid)
    sets = objects.owned(target.metadata.uid)
    return [pod for one in sets if isinstance(one, ReplicaSet) for pod in objects.pods_of(one.metadata.uid)]


def _share(ctx: Context, service: ServiceKey, own: list[Pod]) -> float:
    """Of the Pods that a service leads to: its requests are counted for each who keeps some of them, and once altogether."""
    found = ctx.state.objects.get(ObjectKey("Service", *service))
    selector = found.spec.selector if isinstance(found, Service) else {}
    pods = ctx.state.objects.pods_selected(service[0], selector) if selector else []
    known = {pod.key for pod in own}
    active = [pod.key in known for pod in pods if podset.is_active(pod)]
    return sum(active) / len(active) if active else 1.0


def services_to(ctx: Context, target: Target) -> list[str]:
    return ctx.state.objects.links.services_of(target.metadata.namespace, target.spec.template.metadata.labels)


def _goes_by_requests(one: HorizontalPodAutoscaler) -> bool:
    sources = (metric.pods or metric.object for metric in one.spec.metrics)
    return any(source is not None and source.metric.name in TRAFFIC for source in sources)


def _told(one: HorizontalPodAutoscaler, status: HPAStatus, now: float) -> list[Change]:
    """The status, unless nothing of it has changed but numbers that always change a little."""
    old = one.status
    numbers = [
        (was.current, new.current) for was, new in zip(old.current_metrics, status.current_metrics, strict=False)
    ]
    known = [(metric.name, metric.wanted_replicas, metric.problem) for metric in old.current_metrics]
    found = [(metric.name, metric.wanted_replicas, metric.problem) for metric in status.current_metrics]
    moved = any(was != new and not (was and within(new / was)) for was, new in numbers)
    told = max((condition.last_update_time for condition in old.conditions), default=0.0)
    same = msgspec.structs.replace(status, current_metrics=(), conditions=())
    if (
        known == found and same == msgspec.structs.replace(old, current_metrics=(), conditions=())
        and _words(status) == _words(old) and not (moved and now - told >= STATUS_SECONDS)
    ):  # fmt: skip
        return []
    conditions = tuple(msgspec.structs.replace(condition, last_update_time=now) for condition in status.conditions)
    return [Put(msgspec.structs.replace(one, status=msgspec.structs.replace(status, conditions=conditions)))]


def _words(status: HPAStatus) -> list[tuple[str, ...]]:
    return [(one.type, one.status, one.reason, one.message) for one in status.conditions]


# -- what is measured


def on_load(ctx: Context, report: ReportLoad, now: float) -> None:
    """A request that waits is not to wait for the next look."""
    scaling = ctx.autoscaling
    for service in scaling.loads.reported(report.services, report.gateway, now):
        for key in sorted(scaling.followers.get(service, ())):
            scaling.due.pop(key, None)
            if key in ctx.state.objects.by_key:
                ctx.state.objects.dirty[key] = None
    if now - scaling.forgotten > FORGET_SECONDS:
        found = {one.key: one.metadata.uid for one in ctx.state.objects.everywhere("HorizontalPodAutoscaler")}
        scaling.forget(set(found.values()), set(found), now)


def on_measured(ctx: Context, pods: tuple[PodUse, ...], answers: tuple[Answer, ...], now: float) -> None:
    loads = ctx.autoscaling.loads
    for pod in pods:
        loads.pod_uses(pod.namespace, pod.pod, pod.used, now)
    for answer in answers:
        loads.answered(answer.query, answer.value, answer.problem, now)


def pods_to_measure(ctx: Context) -> list[Pod]:
    """Running Pods of targets whose autoscaler goes by what they use."""
    found: list[Pod] = []
    for one in ctx.state.objects.everywhere("HorizontalPodAutoscaler"):
        assert isinstance(one, HorizontalPodAutoscaler)
        if not any(metric.resource or metric.container_resource for metric in metrics_of(one.spec)):
            continue
        target = ctx.state.objects.get(target_key(one))
        if isinstance(target, Deployment | ReplicaSet | StatefulSet):
            found += [pod for pod in pods_under(ctx, target) if pod.status.phase == "Running"]
    return found


def queries_to_ask(ctx: Context) -> list[str]:
    """For the Prometheus server."""
    found: dict[str, None] = {}
    for one in ctx.state.objects.everywhere("HorizontalPodAutoscaler"):
        assert isinstance(one, HorizontalPodAutoscaler)
        for metric in one.spec.metrics:
            if metric.external is not None:
                found[query_of(metric.external.metric)] = None
    return list(found)
