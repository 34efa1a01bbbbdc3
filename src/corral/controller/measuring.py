"""What do the Pods of autoscaled services use, and what does Prometheus answer? Asked every so often, and told to the engine.

Nodes are asked as sstat asks them (samples.py). CPUs are counted from one look to the next, so the first look at a container says
nothing of them. Where no autoscaler goes by any of this nobody is asked.
"""

import asyncio
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import msgspec

from corral.controller.loop import Loop
from corral.controller.samples import Sample, Samples, containers_of
from corral.daemon import clock
from corral.daemon.logs import Log
from corral.engine.kube.autoscaling import pods_to_measure, queries_to_ask
from corral.model.cluster import AutoscalingConfig
from corral.model.kube.load import Answer, PodUse
from corral.model.kube.pod import Pod
from corral.model.step import Step, StepKey
from corral.protocol.requests import Caller, ReportUse

#: Seconds that Prometheus may take, and bytes that are read of its answer.
PATIENCE = 5.0
_MOST = 10 << 20
OURSELVES = Caller(uid=0, gid=0, user="root", group="root", role="administrator")


class Measuring:
    def __init__(self, loop: Loop, samples: Samples, config: AutoscalingConfig, log: Log) -> None:
        self._loop, self._samples, self.config, self._log = loop, samples, config, log
        self._before: dict[StepKey, tuple[float, int]] = {}  #: when, and the milliseconds of CPU by then

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self.config.interval)
            if self._loop.unavailable or self._loop.context is None:
                continue
            try:
                await self.look()
            except Exception as error:
                self._log.error("services can't be measured", error)

    async def look(self) -> None:
        context = self._loop.context
        pods, queries = pods_to_measure(context), queries_to_ask(context)
        if not pods and not queries:
            self._before = {}
            return
        used, answers = await asyncio.gather(self._pods(pods), self._answers(queries))
        if used or answers:
            await self._loop.ask(ReportUse(pods=tuple(used), answers=tuple(answers)), OURSELVES)

    # -- nodes

    async def _pods(self, pods: list[Pod]) -> list[PodUse]:
        steps = containers_of(self._loop.state, pods)
        if not steps:
            return []
        samples = await self._samples.ask([step for _, _, step in steps.values()])
        now = clock.now()
        found: dict[tuple[str, str], dict[str, float]] = {}
        incomplete: set[tuple[str, str, str]] = set()
        seen: dict[StepKey, tuple[float, int]] = {}
        for sample in samples:
            pod, container, step = steps[sample.step.key]
            key = pod.metadata.namespace, pod.metadata.name
            own = self._used(sample, step, now, seen)
            for name in ("cpu", "memory", "nvidia.com/gpu"):
                if name not in own:
                    incomplete.add((*key, name))
                    continue
                of_pod = found.setdefault(key, {})
                of_pod[name] = of_pod.get(name, 0.0) + own[name]
                of_pod[f"{name}/{container}"] = own[name]
        self._before = seen
        whole = {
            key: {name: value for name, value in used.items() if (*key, name) not in incomplete}
            for key, used in found.items()
        }
        return [PodUse(namespace=key[0], pod=key[1], used=used) for key, used in whole.items() if used]

    def _used(self, sample: Sample, step: Step, now: float, seen: dict[StepKey, tuple[float, int]]) -> dict[str, float]:
        """Of one container; nothing of what is not known."""
        if not sample.pids:  # its node has not answered
            if step.key in self._before:
                seen[step.key] = self._before[step.key]
            return {}
        found: dict[str, float] = {}
        cpu, memory, gpu = sample.used.of("cpu"), sample.used.of("mem"), sample.used.of("gpuutil")
        if cpu is not None:
            before = self._before.get(step.key)
            seen[step.key] = now, cpu.total
            if before is not None and now > before[0]:
                found["cpu"] = max(0.0, (cpu.total - before[1]) / 1000 / (now - before[0]))
        if memory is not None:
            found["memory"] = float(memory.total)
        gpus = sum(len(gres.indices) for node in step.nodes for gres in node.share.gres if gres.name == "gpu")
        if gpu is not None:
            found["nvidia.com/gpu"] = min(gpu.total / 100, float(gpus))
        elif not gpus:
            found["nvidia.com/gpu"] = 0.0
        return found

    # -- Prometheus

    async def _answers(self, queries: list[str]) -> list[Answer]:
        return list(await asyncio.gather(*(asyncio.to_thread(asked, query, self.config) for query in queries)))


def asked(query: str, config: AutoscalingConfig) -> Answer:
    """The sum of what Prometheus answers, or why there is none."""
    if not config.prometheus:
        return Answer(query=query, problem="no Prometheus server is configured ([autoscaling] prometheus)")
    url = f"{config.prometheus.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        if config.prometheus_token_file:
            token = Path(config.prometheus_token_file).read_text(encoding="ascii").strip()
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            told = json.loads(reply.read(_MOST))
    except urllib.error.HTTPError as error:
        return Answer(query=query, problem=f"Prometheus answers {error.code}: {_words(error.read(2000))}")
    except (OSError, ValueError) as error:
        return Answer(query=query, problem=f"Prometheus at {config.prometheus}: {error}")
    try:
        return _sum(query, told)
    except (LookupError, TypeError, ValueError):
        return Answer(query=query, problem=f"Prometheus answers what is no result: {str(told)[:200]}")


def _words(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"])[:300]
    except (msgspec.DecodeError, LookupError, TypeError):
        return body[:200].decode(errors="replace")


def _sum(query: str, told: Any) -> Answer:
    if told["status"] != "success":
        return Answer(query=query, problem=f"Prometheus: {str(told.get('error', told['status']))[:300]}")
    data = told["data"]
    if data["resultType"] == "scalar":
        values = [float(data["result"][1])]
    elif data["resultType"] == "vector":
        values = [float(one["value"][1]) for one in data["result"]]
    else:
        return Answer(query=query, problem=f"the query gives a {data['resultType']}: it must give a number at one time")
    if not values:
        return Answer(query=query, problem="the query gives nothing: no series has these names and labels")
    total = sum(values)
    if not math.isfinite(total):
        return Answer(query=query, problem=f"the query gives {total}")
    return Answer(query=query, value=total)
