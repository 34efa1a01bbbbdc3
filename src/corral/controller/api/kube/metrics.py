"""What do Pods and nodes use now: metrics.k8s.io, which `kubectl top` asks?

Nodes are asked as sstat asks them, twice, a second apart: CPUs are what was used in between. Of a node it is its load that is told.
"""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.controller.api.kube import objects
from corral.controller.api.kube.answers import Form
from corral.controller.api.kube.resources import Address, Resource
from corral.controller.api.kube.selection import Selection
from corral.controller.api.kube.status import KubeError, not_found
from corral.controller.api.service import Service
from corral.controller.samples import containers_of
from corral.daemon import clock
from corral.model.kube.pod import Pod
from corral.protocol.requests import Caller
from corral.services.manifests.writing import time_text

Json = dict[str, Any]
WINDOW_SECONDS = 1.0
GROUP, VERSION = "metrics.k8s.io", "v1beta1"


async def answer(service: Service, request: Request, caller: Caller, where: Address) -> Response:
    if request.method != "GET" or where.subresource:
        raise KubeError("MethodNotAllowed", "the server does not allow this method on the requested resource")
    found = _nodes(service) if where.resource.kind == "NodeMetrics" else await _pods(service, request, caller, where)
    if where.name:
        one = next((item for item in found if item["metadata"]["name"] == where.name), None)
        if one is None:
            raise not_found(where.resource, where.name)
        return Form(request).write(one)
    kind = {"kind": f"{where.resource.kind}List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": found}
    return Form(request).write(kind)


def _one(resource: str, meta: Json, **more: Any) -> Json:
    now = time_text(clock.now())
    return {
        "kind": resource, "apiVersion": f"{GROUP}/{VERSION}", "metadata": {**meta, "creationTimestamp": now},
        "timestamp": now, "window": f"{WINDOW_SECONDS:g}s", **more,
    }  # fmt: skip


def _nodes(service: Service) -> list[Json]:
    found = []
    for name, node in sorted(service.state.nodes.items()):
        if not node.up or node.down_reason:
            continue
        used = max(0, node.inventory.memory_mb - node.free_memory_mb) if node.free_memory_mb else 0
        usage = {"cpu": f"{round(node.load * 1000)}m", "memory": f"{used * 1024}Ki"}
        found.append(_one("NodeMetrics", {"name": name}, usage=usage))
    return found


async def _pods(service: Service, request: Request, caller: Caller, where: Address) -> list[Json]:
    selection = Selection(_as_pods(where.resource), request)
    chosen = [
        one
        for one in objects.of_kind(service, caller, "Pod", where.namespace, True)
        if isinstance(one, Pod) and selection.matches(one) and where.name in ("", one.metadata.name)
    ]
    steps = containers_of(service.state, chosen)
    if not steps:
        return []
    asked = [step for _, _, step in steps.values()]
    first = {sample.step.key: sample.used.of("cpu") for sample in await service.samples.ask(asked)}
    await asyncio.sleep(WINDOW_SECONDS)
    by_pod: dict[tuple[str, str], list[Json]] = {}
    for sample in await service.samples.ask(asked):
        pod, container, _ = steps[sample.step.key]
        before, after, memory = first.get(sample.step.key), sample.used.of("cpu"), sample.used.of("mem")
        if before is None or after is None or not sample.pids:
            continue  # its node has not answered, or cannot tell
        cpu = max(0, round((after.total - before.total) / WINDOW_SECONDS))
        usage = {"cpu": f"{cpu}m", "memory": f"{(memory.total if memory is not None else 0) // 1024}Ki"}
        by_pod.setdefault((pod.metadata.namespace, pod.metadata.name), []).append({"name": container, "usage": usage})
    labels = {(pod.metadata.namespace, pod.metadata.name): pod.metadata.labels for pod in chosen}
    return [
        _one("PodMetrics", {"name": key[1], "namespace": key[0], "labels": labels[key]}, containers=parts)
        for key, parts in sorted(by_pod.items())
    ]


def _as_pods(resource: Resource) -> Resource:
    """Selected as Pods are."""
    return msgspec.structs.replace(resource, kind="Pod", group="", version="v1")
