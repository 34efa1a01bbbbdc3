"""How many replicas does a HorizontalPodAutoscaler want, and what does it say of itself?

The most that one of its metrics asks for (replicas.py, traffic.py), held within its windows, policies and bounds (scalewindow.py). A
metric that says nothing now never takes a replica away. With minReplicas 0 the traffic alone decides between none and one: none after
the idle time, one with the first request that is held. The words of the conditions are Kubernetes'.
"""

from collections.abc import Sequence

import msgspec

from corral.model.kube.meta import Condition, ObjectKey
from corral.model.kube.scaling import HorizontalPodAutoscaler, HPAStatus, MetricStatus
from corral.services.load import Loads
from corral.services.metrics import Problem, Reading, Sight, is_demand, metrics_of, read
from corral.services.scalewindow import Memory, bounded, unknown
from corral.services.traffic import Rush

#: Annotation: with minReplicas 0, so many seconds after the last request the last replica goes.
IDLE, IDLE_SECONDS = "corral.dev/idle-seconds", 300.0
SCALABLE = ("Deployment", "ReplicaSet", "StatefulSet")


class Mind(msgspec.Struct):
    """What is remembered of one autoscaler; it begins anew with the controller."""

    memory: Memory
    rushes: dict[int, Rush] = {}  #: by the metric's place


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    replicas: int  #: that there are to be
    reason: str = ""  #: of the change, for the event
    status: HPAStatus
    problem: tuple[str, str] | None = None  #: a warning: reason and message


def target_key(one: HorizontalPodAutoscaler) -> ObjectKey:
    ref = one.spec.scale_target_ref
    return ObjectKey(ref.kind, one.metadata.namespace, ref.name)


def without_target(one: HorizontalPodAutoscaler, now: float) -> HPAStatus:
    ref = one.spec.scale_target_ref
    if ref.kind not in SCALABLE:
        text = f"no replicas can be set of a {ref.kind}: only of {', '.join(SCALABLE)}"
    else:
        text = f"the HPA controller was unable to get the target's current scale: {ref.kind.lower()} {ref.name!r} not found"
    return _status(one, now, 0, 0, one.status.current_metrics, {"AbleToScale": ("False", "FailedGetScale", text)})


def ambiguous(one: HorizontalPodAutoscaler, names: Sequence[str], current: int, now: float) -> HPAStatus:
    """Several would set the replicas of one target: none does."""
    text = f"pods by selector of {target_key(one)} are controlled by multiple HPAs: {', '.join(names)}"
    said = {"ScalingActive": ("False", "AmbiguousSelector", text)}
    return _status(one, now, current, current, one.status.current_metrics, said)


def decide(one: HorizontalPodAutoscaler, sight: Sight, loads: Loads, mind: Mind, now: float) -> Verdict:
    """The count of now is remembered in `mind`; what becomes of it tells `scalewindow.note`."""
    spec, current, metrics = one.spec, sight.replicas, metrics_of(one.spec)
    said = {
        "AbleToScale": ("True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
    }
    said["PodsScheduled"] = _scheduled(sight)
    low = spec.min_replicas if spec.min_replicas or any(map(is_demand, metrics)) else 1
    if not current and low:
        text = "scaling is disabled since the replica count of the target is zero"
        said["ScalingActive"] = ("False", "ScalingDisabled", text)
        return Verdict(replicas=0, status=_status(one, now, 0, 0, (), said))
    if not mind.memory.wanted:  # so nothing is taken away before a whole window has been seen
        mind.memory.wanted.append((now, current))
    if current > spec.max_replicas or current < low:
        over = current > spec.max_replicas
        wanted = spec.max_replicas if over else low
        bound = "above Spec.MaxReplicas" if over else "below Spec.MinReplicas"
        said["AbleToScale"] = _rescaled(wanted)
        return Verdict(
            replicas=wanted, reason=f"Current number of replicas {bound}",
            status=_status(one, now, current, wanted, one.status.current_metrics, said, scaled=True),
        )  # fmt: skip
    found = [
        read(metric, sight, loads, mind.rushes.setdefault(place, Rush()), now) for place, metric in enumerate(metrics)
    ]
    if not current:  # what Pods use says nothing of a service that has none
        found = [reading for reading, metric in zip(found, metrics, strict=True) if is_demand(metric)]
    shown = tuple(reading.status for reading in found)
    problems = [reading for reading in found if isinstance(reading, Problem)]
    known = [reading for reading in found if isinstance(reading, Reading)]
    best = max(known, key=lambda reading: reading.replicas, default=None)
    is_idle = not low and not any(reading.is_outside and reading.replicas for reading in known)
    is_idle = is_idle and _is_idle(one, sight, loads, mind, now)
    if best is None or (problems and best.replicas < current):
        unknown(mind.memory, current, now)
        if loads.is_silent(now):
            mind.memory.since = now  # nobody can say that there was no request
        first = problems[0]
        text = f"the HPA was unable to compute the replica count: {first.text}"
        said["ScalingActive"] = ("False", first.reason, text)
        whole = f"invalid metrics ({len(problems)} invalid out of {len(metrics)}), first error is: {first.text}"
        return Verdict(
            replicas=current, status=_status(one, now, current, current, shown, said),
            problem=("FailedComputeMetricsReplicas", whole),
        )  # fmt: skip
    said["ScalingActive"] = (
        "True",
        "ValidMetricFound",
        f"the HPA was able to successfully calculate a replica count from {best.name}",
    )
    wanted = 0 if is_idle else max(best.replicas, 0 if low or not current else 1)
    in_rush = any(rush.since for rush in mind.rushes.values())
    result = bounded(mind.memory, spec.behavior, current, wanted, low, spec.max_replicas, now, at_once=in_rush)
    replicas, limited = result.replicas, result.limited
    if is_idle:
        replicas, limited = 0, None
    elif (not current and wanted) or (not low and current):
        replicas = max(1, replicas)
    said["AbleToScale"] = ("True", *result.stabilized) if replicas == current else _rescaled(replicas)
    said["ScalingLimited"] = (
        ("True", *limited) if limited is not None
        else ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
    )  # fmt: skip
    reason = f"{best.name} above target" if replicas > current else "All metrics below target"
    if replicas < current and is_idle:
        reason = "no requests in the idle time"
    return Verdict(
        replicas=replicas, reason=reason if replicas != current else "",
        status=_status(one, now, current, replicas, shown, said, scaled=replicas != current),
    )  # fmt: skip


def _scheduled(sight: Sight) -> tuple[str, str, str]:
    """Corral's own condition: have all replicas a place, and if not, why do they wait?"""
    waiting = [
        pod for pod in sight.pods if not pod.status.node and not pod.metadata.deletion_timestamp and not pod.has_ended
    ]
    if not waiting:
        return ("True", "AllPlaced", "")
    found = [one.message for pod in waiting for one in pod.status.conditions if one.type == "PodScheduled"]
    why = min(
        found, key=lambda message: (not message, message.endswith(" Priority")), default=""
    )  # the first of them knows
    there = sum(not pod.metadata.deletion_timestamp and not pod.has_ended for pod in sight.pods)
    return (
        "False",
        "ReplicasWait",
        f"{len(waiting)} of {there} replicas wait for a place" + (f": {why}" if why else ""),
    )


def idle_seconds(one: HorizontalPodAutoscaler) -> float:
    try:
        return max(0.0, float(one.metadata.annotations.get(IDLE, IDLE_SECONDS)))
    except ValueError:
        return IDLE_SECONDS


def _is_idle(one: HorizontalPodAutoscaler, sight: Sight, loads: Loads, mind: Mind, now: float) -> bool:
    """Has there been no request for long enough? Nobody knows while no gateway has been heard since."""
    windows = [window for key in sight.services if (window := loads.windows.get(key)) is not None]
    if any(window.holds for window in windows):
        return False
    last = max([mind.memory.since, one.metadata.creation_timestamp, *(window.busy for window in windows)])
    if now - last < idle_seconds(one):
        return False
    return not sight.services or not loads.is_silent(now)


def _rescaled(replicas: int) -> tuple[str, str, str]:
    return ("True", "SucceededRescale", f"the HPA controller was able to update the target scale to {replicas}")


def _status(
    one: HorizontalPodAutoscaler, now: float, current: int, wanted: int, metrics: tuple[MetricStatus, ...],
    said: dict[str, tuple[str, str, str]], *, scaled: bool = False,
) -> HPAStatus:  # fmt: skip
    known = {condition.type: condition for condition in one.status.conditions}
    conditions = []
    for kind in ("AbleToScale", "ScalingActive", "ScalingLimited", "PodsScheduled"):
        old = known.get(kind)
        if kind not in said:
            if old is not None:
                conditions.append(old)
            continue
        status, reason, message = said[kind]
        since = old.last_transition_time if old is not None and old.status == status else now
        conditions.append(
            Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=since)  # type: ignore[arg-type]
        )
    return HPAStatus(
        observed_generation=one.metadata.generation, last_scale_time=now if scaled else one.status.last_scale_time,
        current_replicas=current, desired_replicas=wanted, current_metrics=metrics, conditions=tuple(conditions),
    )  # fmt: skip
