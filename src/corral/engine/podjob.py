"""What does a Pod ask for, in the words of a job?"""

from collections.abc import Iterable
from typing import Any

from corral.engine import podwords, replicas
from corral.engine.context import Context
from corral.model.gres import GresRequest
from corral.model.job import Job, JobKind, JobSpec, PodRef
from corral.model.kube.pod import Container, Pod
from corral.model.podplace import PodWords
from corral.syntax import quantity
from corral.syntax.hostlist import fold

#: Kubernetes' names of a GPU.
GPU_NAMES = ("nvidia.com/gpu", "amd.com/gpu")
#: Annotations that say what Kubernetes has no word for.
ANNOTATIONS = {
    "corral.dev/account": "account",
    "corral.dev/partition": "partition",
    "corral.dev/qos": "qos",
    "corral.dev/reservation": "reservation",
    "corral.dev/constraint": "constraint",
}
#: A PriorityClass counts for so much at most.
MOST_POINTS = 1_000_000_000
_MIB = 1 << 20


def spec_of(ctx: Context, pod: Pod, words_of_places: PodWords) -> JobSpec:
    """`words_of_places`: on which nodes it may be. Raises InvalidQuantity, NoPriorityClass."""
    spec = pod.spec
    containers, inits = spec.containers, spec.init_containers
    cpus = -(-_most(containers, inits, "cpu", 1000) // 1000)
    memory = -(-_most(containers, inits, "memory") // _MIB)
    gpus = sum(_most(containers, inits, name) for name in GPU_NAMES)
    words: dict[str, Any] = {
        field: pod.metadata.annotations[name] for name, field in ANNOTATIONS.items() if name in pod.metadata.annotations
    }
    group = replicas.class_of(ctx, pod)
    if group is not None and group.metadata.name in ctx.state.books.qos:
        words.setdefault("qos", group.metadata.name)
    partitions, places = podwords.partitions_of(words_of_places)
    if partitions:
        words.setdefault("partition", partitions)
    return JobSpec(
        kind=JobKind.POD,
        places=places,
        name=pod.metadata.name,
        pod=PodRef(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid),
        command=f"pod/{pod.metadata.namespace}/{pod.metadata.name}",
        nodes_min=1,
        nodes_max=1,
        ntasks=1,
        cpus_per_task=max(1, cpus),
        memory_per_node_mb=memory or None,
        gres=(GresRequest("gpu", "", gpus),) if gpus else (),
        nodelist=spec.node_name,
        exclude="" if spec.node_name else _unfit(ctx, pod),
        requeue=False,
        **words,
    )


def amount(container: Container, name: str, factor: int = 1) -> int:
    """What it asks for; where it does not, what it is limited to. In thousandths, if `factor` says so."""
    asked = container.resources.requests.get(name, container.resources.limits.get(name, 0))
    return quantity.millis(asked) if factor == 1000 else quantity.whole(asked)


def limit(container: Container, name: str) -> int:
    """0 = none."""
    return quantity.whole(container.resources.limits.get(name, 0))


def cpu_limit(container: Container, job: Job) -> int:
    """In thousandths of a CPU; 0 = it may use all that its job has."""
    asked = quantity.millis(container.resources.limits.get("cpu", 0))
    has = len(job.allocation.nodes[0].cpus) if job.allocation is not None else 0
    return asked if asked < has * 1000 else 0


def is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def gpus(container: Container) -> int:
    return sum(amount(container, name) for name in GPU_NAMES)


def _most(containers: Iterable[Container], inits: Iterable[Container], name: str, factor: int = 1) -> int:
    """All containers at once, or one of those that come before them with the sidecars that run by then."""
    beside = most = 0
    for one in inits:
        wanted = amount(one, name, factor)
        most = max(most, beside + wanted)
        beside += wanted if is_sidecar(one) else 0
    return max(most, beside + sum(amount(one, name, factor) for one in containers))


def fixed_ports(pod: Pod) -> set[int]:
    """Ports of its node that it must have."""
    return {
        port.container_port if pod.spec.host_network else port.host_port
        for container in (*pod.spec.init_containers, *pod.spec.containers)
        for port in container.ports
        if pod.spec.host_network or port.host_port
    }


def _unfit(ctx: Context, pod: Pod) -> str:
    """Nodes where another Pod has a port that it must have."""
    wanted = fixed_ports(pod)
    if not wanted:
        return ""
    hosts = {host for host, ports in ctx.state.objects.pod_ports.items() if not wanted.isdisjoint(ports)}
    return fold(sorted(name for name in ctx.state.nodes if hosts and host_of(ctx, name) in hosts))


def host_of(ctx: Context, node: str) -> str:
    """By which address others reach what listens on the node."""
    known = ctx.state.nodes.get(node)
    if known is None:
        return node
    return "127.0.0.1" if known.inventory.virtual else known.inventory.address or known.inventory.hostname or node


def points_of(ctx: Context, pod: Pod) -> int:
    """What its PriorityClass adds to its job's priority."""
    group = replicas.class_of(ctx, pod)
    return max(-MOST_POINTS, min(MOST_POINTS, group.value)) if group is not None else 0
