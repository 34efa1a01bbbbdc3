"""How is the cluster, in the words of Prometheus: jobs, nodes, and each GPU with the job that has it?

Taken from what the controller knows anyway; agents say with each heartbeat how busy GPUs are. The text is made in a thread, since it may
have tens of thousands of lines.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api import own_metrics
from corral.controller.api.families import Family, Sample, written
from corral.controller.api.http import Refusal, caller_of
from corral.controller.api.kube import authorize
from corral.controller.api.node_rows import NodeContext, allocated_cpus, base_state, gpus, gpus_in_use
from corral.controller.api.nodes import node_context
from corral.controller.api.service import Service
from corral.model import ranges
from corral.model.gres import gpus_of, uuids_of
from corral.model.job import Job, JobId
from corral.model.node import Node
from corral.services import rights

_MIB = 1 << 20
_OF_JOB = ("job", "user", "account", "partition")
_OF_GPU = ("node", "gpu", "type", "uuid", *_OF_JOB)
FAMILIES = own_metrics.FAMILIES | {
    "corral_jobs": Family("Jobs that the controller has in memory", ("state",)),
    "corral_nodes": Family("Nodes", ("state",)),
    "corral_node_load": Family("Load average of a minute", ("node",)),
    "corral_node_cpus": Family("CPUs", ("node",)),
    "corral_node_cpus_allocated": Family("CPUs that jobs have", ("node",)),
    "corral_node_memory_bytes": Family("Memory", ("node",)),
    "corral_node_memory_allocated_bytes": Family("Memory that jobs have", ("node",)),
    "corral_node_memory_free_bytes": Family("Memory that is available, as the node says", ("node",)),
    "corral_node_gpus": Family("GPUs", ("node",)),
    "corral_node_gpus_allocated": Family("GPUs that jobs have", ("node",)),
    "corral_gpu_utilization_ratio": Family("Share of the time in which something ran on it", _OF_GPU),
    "corral_gpu_memory_used_bytes": Family("Its memory in use", _OF_GPU),
    "corral_gpu_memory_bytes": Family("Its memory", _OF_GPU),
    "corral_job_gpus": Family("GPUs that a job has, or has shares of", _OF_JOB),
    "corral_job_gpu_utilization_ratio": Family("Mean over a job's GPUs", _OF_JOB),
    "corral_job_gpu_memory_used_bytes": Family("Sum over a job's GPUs", _OF_JOB),
}


async def get_metrics(service: Service, request: Request) -> Response:
    """For operators, and whom a ClusterRole lets: whose jobs run is not everybody's to know."""
    caller = authorize.known(service, caller_of(service, request, accounts=True))
    if not rights.allows_path(service.state.objects, authorize.who(service, caller), "get", "/metrics"):
        raise Refusal("Access/permission denied", "denied")
    samples = [*own_metrics.gathered(service), *gathered(service)]
    text = await asyncio.get_running_loop().run_in_executor(None, written, FAMILIES, samples)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def gathered(service: Service) -> list[Sample]:
    state, context = service.state, node_context(service)
    nodes = [state.nodes[name] for name in state.ledger.names if name in state.nodes]
    jobs: Counter[str] = Counter()
    for job in state.jobs.values():
        jobs[job.state.value] += ranges.count(job.array_waiting) or 1
    found = [Sample("corral_jobs", (name,), count) for name, count in sorted(jobs.items())]
    states = Counter(base_state(node, context) for node in nodes)
    found += [Sample("corral_nodes", (name,), count) for name, count in sorted(states.items())]
    accounts = {job: state.spec(state.jobs[job]).account for job in state.active}
    of_jobs: dict[JobId, tuple[tuple[str, ...], list[tuple[float, float]]]] = {}
    for node in nodes:
        found += _of_node(node, context)
        for labels, owners, use in _of_gpus(node, context, accounts):
            found += [Sample(family, labels, value) for family, value in use.items() if value >= 0]
            for job_id, job_labels in owners.items():
                busy, used = use["corral_gpu_utilization_ratio"], use["corral_gpu_memory_used_bytes"]
                of_jobs.setdefault(job_id, (job_labels, []))[1].append((busy, used))
    for _, (labels, uses) in sorted(of_jobs.items()):
        busy_known, used_known = [busy for busy, _ in uses if busy >= 0], [used for _, used in uses if used >= 0]
        found.append(Sample("corral_job_gpus", labels, len(uses)))
        if busy_known:
            found.append(Sample("corral_job_gpu_utilization_ratio", labels, sum(busy_known) / len(busy_known)))
        if used_known:
            found.append(Sample("corral_job_gpu_memory_used_bytes", labels, sum(used_known)))
    return found


def _of_node(node: Node, context: NodeContext) -> list[Sample]:
    memory = sum(share.memory_mb for _, share in context.shares(node))
    return [
        Sample(f"corral_node_{name}", (node.name,), value)
        for name, value in (
            ("load", node.load), ("cpus", node.inventory.cpus), ("cpus_allocated", allocated_cpus(node, context)),
            ("memory_bytes", node.inventory.memory_mb * _MIB), ("memory_allocated_bytes", memory * _MIB),
            ("memory_free_bytes", node.free_memory_mb * _MIB), ("gpus", gpus(node)), ("gpus_allocated", gpus_in_use(node, context)),
        )
    ]  # fmt: skip


def _of_gpus(
    node: Node, context: NodeContext, accounts: Mapping[JobId, str]
) -> Iterable[tuple[tuple[str, ...], dict[JobId, tuple[str, ...]], dict[str, float]]]:
    """Of each GPU its labels, the labels of the jobs that have it, and its figures; -1 = not known."""
    holders: dict[int, list[Job]] = {}
    for job, share in context.shares(node):
        for gpu in gpus_of(share.gres):
            holders.setdefault(gpu, []).append(job)
    uuids, number = uuids_of(node.inventory.gres), 0
    for device in node.inventory.gres:
        for _ in range(device.count if device.name == "gpu" else 0):
            owners = {job.id: _labels(job, accounts) for job in holders.get(number, ())}
            shown = next(iter(owners.values()), ("", "", "", "")) if len(owners) < 2 else ("shared", "", "", "")
            busy, used = _at(node.gpus_busy, number), _at(node.gpus_memory_mb, number)
            use: dict[str, float] = {
                "corral_gpu_utilization_ratio": busy / 100 if busy >= 0 else -1.0,
                "corral_gpu_memory_used_bytes": used * _MIB if used >= 0 else -1.0,
                "corral_gpu_memory_bytes": device.memory_mb * _MIB or -1.0,
            }
            yield (node.name, str(number), device.type, uuids[number], *shown), owners, use
            number += 1


def _labels(job: Job, accounts: Mapping[JobId, str]) -> tuple[str, ...]:
    number = f"{job.array_job_id}_{job.array_task_id}" if job.array_task_id is not None else str(job.id)
    return number, job.owner.user, accounts.get(job.id, ""), job.partition


def _at(values: tuple[int, ...], place: int) -> int:
    return values[place] if place < len(values) else -1


ROUTES = (("GET", "/metrics", get_metrics),)
