"""What follows when a node says that a container runs, or that a probe's verdict has changed?"""

import msgspec

from corral.engine.context import Context
from corral.engine.effects import Effects
from corral.engine.kube.containers import is_under_way
from corral.engine.kube.podstatus import save
from corral.engine.kube.stopping import stop
from corral.engine.podruns import containers_of
from corral.model.kube.pod import Container, ContainerState, ContainerStatus, Pod
from corral.model.step import StepKey
from corral.protocol.reports import ContainerStarted, ProbeResult


class _Found(msgspec.Struct):
    pod: Pod
    container: Container
    status: ContainerStatus


def _found(ctx: Context, key: StepKey) -> _Found | None:
    """Whose present run this is; None: of nobody any more."""
    name = ctx.state.objects.pod_of_job.get(key.job)
    pod = ctx.state.objects.get(name) if name is not None else None
    job = ctx.state.jobs.get(key.job)
    if not isinstance(pod, Pod) or pod.has_ended or job is None or job.restarts != key.restart:
        return None
    statuses = {one.name: one for one in (*pod.status.init_container_statuses, *pod.status.container_statuses)}
    for container in containers_of(pod):
        status = statuses.get(container.name)
        if status is not None and status.step == key.step and is_under_way(status):
            return _Found(pod, container, status)
    return None


def _change(ctx: Context, found: _Found, now: float, out: Effects, **fields: object) -> None:
    new = msgspec.structs.replace(found.status, **fields)

    def with_it(statuses: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
        return tuple(new if one.name == new.name else one for one in statuses)

    status = found.pod.status
    changed = msgspec.structs.replace(
        status,
        init_container_statuses=with_it(status.init_container_statuses),
        container_statuses=with_it(status.container_statuses),
    )
    save(ctx, found.pod, changed, now, out)  # the pass that follows judges it as a whole


def on_started(ctx: Context, report: ContainerStarted, now: float, out: Effects) -> None:
    found = _found(ctx, report.key)
    if found is None:
        return
    status = found.pod.status
    told = msgspec.structs.replace(
        status, pod_ip=report.pod_ip or status.pod_ip, host_ip=report.host_ip or status.host_ip
    )
    found.pod = save(ctx, found.pod, told, now, out)
    if found.status.state.state == "running":
        return
    began = min(report.time or now, now)
    started = found.container.startup_probe is None
    _change(
        ctx, found, now, out, state=ContainerState(state="running", started_at=began),
        started=started, ready=started and found.container.readiness_probe is None,
    )  # fmt: skip


def on_probe(ctx: Context, report: ProbeResult, now: float, out: Effects) -> None:
    found = _found(ctx, report.key)
    if found is None:
        return
    if found.status.state.state != "running":  # its start has not been heard of yet
        began = ContainerStarted(agent=report.agent, node=report.node, key=report.key)
        on_started(ctx, began, now, out)
        found = _found(ctx, report.key)
        assert found is not None
    if report.probe == "readiness":
        why = "" if report.ok else report.message or "it has failed"
        if found.status.started and (found.status.ready, found.status.unready) != (report.ok, why):
            _change(ctx, found, now, out, ready=report.ok, unready=why)
    elif report.probe == "startup" and report.ok:
        if not found.status.started:
            _change(ctx, found, now, out, started=True, ready=found.container.readiness_probe is None)
    elif report.probe == "startup" and found.status.started:
        return  # an agent that has been away begins anew
    elif not report.ok and not found.status.stopping:
        probe = found.container.liveness_probe if report.probe == "liveness" else found.container.startup_probe
        grace = probe.termination_grace_period_seconds if probe is not None else None
        words = f"Container {found.container.name} failed {report.probe} probe, will be restarted: {report.message}"
        _change(ctx, found, now, out, ready=False, stopping=words)
        stop(ctx, found.pod, report.key, grace, now, out)
