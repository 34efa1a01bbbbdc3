"""What do steps use now? The nodes are asked, and what they answer within a few seconds is put together.

Nothing of it is recorded, so it passes by the engine: an order to each node, a report back.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count

import msgspec

from corral.engine.state import ClusterState
from corral.model.job import ENDED, JobId
from corral.model.kube.pod import Pod
from corral.model.step import Step, StepKey
from corral.model.usage import NOTHING, Usage
from corral.protocol.orders import AnyOrder, SampleSteps
from corral.protocol.reports import AnyReport, StepSampled

#: Seconds that nodes may take.
PATIENCE = 5.0


class Sample(msgspec.Struct):
    """Of one step: of its nodes that have answered."""

    step: Step
    used: Usage = NOTHING
    pids: dict[str, tuple[int, ...]] = {}  #: by node


def containers_of(state: ClusterState, pods: Iterable[Pod]) -> dict[StepKey, tuple[Pod, str, Step]]:
    """The steps that are containers of these Pods and have not ended: whose, by what name."""
    found: dict[StepKey, tuple[Pod, str, Step]] = {}
    for pod in pods:
        of_job = state.steps.get(JobId(pod.status.job), {})
        for status in pod.status.container_statuses:
            step = of_job.get(status.step)
            if step is not None and step.state not in ENDED:
                found[step.key] = pod, status.name, step
    return found


class _Query:
    def __init__(self, steps: list[Step]) -> None:
        self.samples = {step.key: Sample(step, pids={}) for step in steps}
        self.waiting = {(node.share.node, step.key) for step in steps for node in step.nodes if not node.finished}
        self.done = asyncio.Event()


class Samples:
    """Questions under way."""

    def __init__(self, term: int, send: Callable[[str, AnyOrder], None]) -> None:
        self._term, self._send = term, send
        self._numbers = count(1)
        self._queries: dict[int, _Query] = {}

    async def ask(self, steps: list[Step]) -> list[Sample]:
        query, number = _Query(steps), next(self._numbers)
        by_node: dict[str, list[StepKey]] = {}
        for node, key in sorted(query.waiting):
            by_node.setdefault(node, []).append(key)
        self._queries[number] = query
        try:
            for node, keys in by_node.items():
                self._send(node, SampleSteps(term=self._term, node=node, keys=tuple(keys), query=number))
            if query.waiting:
                await asyncio.wait_for(query.done.wait(), PATIENCE)
        except TimeoutError:
            pass  # what is there is answered, and who is missing
        finally:
            del self._queries[number]
        return list(query.samples.values())

    def taken_from(self, reports: Iterable[AnyReport]) -> list[AnyReport]:
        """Those that are for others."""
        rest: list[AnyReport] = []
        for report in reports:
            if isinstance(report, StepSampled):
                self._heard(report)
            else:
                rest.append(report)
        return rest

    def _heard(self, report: StepSampled) -> None:
        query = self._queries.get(report.query)
        if query is None or (report.node, report.key) not in query.waiting:
            return
        query.waiting.discard((report.node, report.key))
        sample = query.samples[report.key]
        sample.used = sample.used.plus(report.used)
        sample.pids[report.node] = report.pids
        if not query.waiting:
            query.done.set()
