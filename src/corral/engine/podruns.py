"""What is a run of a container: as a step of its Pod's job, and as its node is told of it?"""

from collections.abc import Iterator

import msgspec

from corral.engine import podfiles, podjob, podusers
from corral.engine.context import Context
from corral.model import container as ct
from corral.model.allocation import NodeShare
from corral.model.gres import GresShare
from corral.model.job import Job, StepSpec
from corral.model.kube.meta import ObjectKey
from corral.model.kube.pod import Container, IntOrString, LifecycleHandler, Pod, Probe
from corral.model.step import Step, StepKey, StepNode, TaskPlace
from corral.protocol.pods import Check, PodMount, PodPort, PodRun, ProbeOrder

_MIB = 1 << 20
_PULL = {"Always": "always", "IfNotPresent": "missing", "Never": "never"}


def containers_of(pod: Pod) -> Iterator[Container]:
    yield from pod.spec.init_containers
    yield from pod.spec.containers


def step_of(pod: Pod, container: Container, job: Job, now: float) -> Step:
    """With the CPUs of the whole Pod, and the memory and the GPUs that it has itself."""
    assert job.allocation is not None
    spec = StepSpec(
        name=container.name,
        argv=(*container.command, *container.args),
        work_dir=container.working_dir or "/",
        pod_container=container.name,
        container=_image(container),
        overlap=True,
    )
    share = _share(pod, container, job.allocation.nodes[0])
    return Step(
        key=StepKey(job.id, job.next_step, job.restarts),
        spec=spec,
        nodes=(StepNode(share=share, tasks=(TaskPlace(0, 0),)),),
        ntasks=1,
        overlap=True,
        suspended_before=job.suspended_seconds,
        start_time=now,
        sent_at=now,
    )


def _image(container: Container) -> ct.Container | None:
    if not container.image:
        return None
    return ct.Container(
        image=container.image,
        work_dir=container.working_dir,
        mount_home=False,
        writable=not (container.security_context and container.security_context.read_only_root_filesystem),
        entrypoint=not container.command,
    )


def _share(pod: Pod, container: Container, whole: NodeShare) -> NodeShare:
    """GPUs go to the containers in the order in which they stand in the Pod."""
    memory = -(-podjob.limit(container, "memory") // _MIB)
    before = 0
    for one in pod.spec.containers:
        if one.name == container.name:
            break
        before += podjob.gpus(one)
    numbers = [index for share in whole.gres if share.name == "gpu" for index in share.indices]
    own = set(numbers[before : before + podjob.gpus(container)])
    gres: list[GresShare] = []
    for share in whole.gres:
        if share.name != "gpu":
            gres.append(share)
        elif indices := tuple(index for index in share.indices if index in own):
            gres.append(msgspec.structs.replace(share, indices=indices))
    return msgspec.structs.replace(
        whole, gres=tuple(gres), memory_mb=min(memory, whole.memory_mb or memory) or whole.memory_mb
    )


def run_of(ctx: Context, job: Job, step: Step, node: str) -> PodRun | None:
    """What its node is told. None: there is no such Pod any more."""
    ref = ctx.state.spec(job).pod
    if ref is None:
        return None
    pod = ctx.state.objects.get(ObjectKey("Pod", ref.namespace, ref.name))
    if not isinstance(pod, Pod) or pod.metadata.uid != ref.uid:
        return None
    container = next((one for one in containers_of(pod) if one.name == step.spec.pod_container), None)
    if container is None:
        return None
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    number = next((one.restart_count for one in statuses if one.name == container.name), 0)
    return PodRun(
        namespace=ref.namespace,
        name=ref.name,
        uid=ref.uid,
        container=container.name,
        number=number,
        host_name=(pod.spec.hostname or pod.metadata.name)[:63].rstrip("-."),
        host_ip=pod.status.host_ip,
        host_network=pod.spec.host_network,
        ports=tuple(PodPort(one.port, one.host_port, one.name, one.protocol) for one in pod.status.addresses),
        variables=tuple(podfiles.variables(ctx, pod, container)),
        volumes=tuple(podfiles.volumes(ctx, pod, container)),
        mounts=tuple(
            PodMount(one.name, one.mount_path, podfiles.sub_path(ctx, pod, container, one) or "", one.read_only)
            for one in container.volume_mounts
        ),
        host_aliases=tuple((one.ip, one.hostnames) for one in pod.spec.host_aliases),
        domain=f"{pod.spec.subdomain}.{ref.namespace}.svc.cluster.local" if pod.spec.subdomain else "",
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        tty=container.tty,
        termination_path=container.termination_message_path,
        pull=_PULL.get(container.image_pull_policy, ""),
        cpu_millis=podjob.cpu_limit(container, job),
        run_as=podusers.run_as(pod, container),
        groups=podusers.groups(pod),
        more_groups=podusers.more_groups(pod),
        auths=tuple(podfiles.pull_secrets(ctx, pod)) if container.image else (),
        **podusers.given_up(pod, container),
        gateway_host=ctx.config.host_for_pods,
        grace=float(pod.spec.termination_grace_period_seconds),
        probes=tuple(_probes(container)),
        post_start=_hook(container, container.lifecycle.post_start) if container.lifecycle else None,
        pre_stop=_hook(container, container.lifecycle.pre_stop) if container.lifecycle else None,
    )


def _probes(container: Container) -> Iterator[ProbeOrder]:
    for kind, probe in (
        ("startup", container.startup_probe),
        ("readiness", container.readiness_probe),
        ("liveness", container.liveness_probe),
    ):
        if probe is not None and (check := _check(container, probe)) is not None:
            yield ProbeOrder(
                kind=kind,
                check=check,
                delay=float(probe.initial_delay_seconds),
                timeout=float(max(1, probe.timeout_seconds)),
                period=float(max(1, probe.period_seconds)),
                successes=max(1, probe.success_threshold),
                failures=max(1, probe.failure_threshold),
            )


def _hook(container: Container, hook: LifecycleHandler | None) -> Check | None:
    if hook is None:
        return None
    if hook.sleep is not None:
        return Check(how="sleep", seconds=float(hook.sleep.seconds))
    return _check(container, hook)


def _check(container: Container, asked: Probe | LifecycleHandler) -> Check | None:
    if asked.exec is not None:
        return Check(how="exec", command=asked.exec.command)
    if (get := asked.http_get) is not None:
        return Check(
            how=get.scheme.lower(), host=get.host, port=_number(container, get.port), path=get.path or "/",
            headers=tuple((one.name, one.value) for one in get.http_headers),
        )  # fmt: skip
    if (tcp := asked.tcp_socket) is not None:
        return Check(how="tcp", host=tcp.host, port=_number(container, tcp.port))
    if isinstance(asked, Probe) and asked.grpc is not None:
        return Check(how="grpc", port=asked.grpc.port, service=asked.grpc.service)
    return None


def _number(container: Container, port: IntOrString) -> int:
    """Ports may be called by their names; 0 = there is no such port."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    return next((one.container_port for one in container.ports if one.name == port), 0)
