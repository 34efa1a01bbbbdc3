"""What running steps use: several nodes asked, one answer."""

import asyncio

import pytest

from corral.controller import samples
from corral.model.allocation import NodeShare
from corral.model.job import JobId, StepSpec
from corral.model.step import Step, StepKey, StepNode, TaskPlace
from corral.model.usage import of_task
from corral.protocol.orders import AnyOrder, SampleSteps
from corral.protocol.reports import Heartbeat, StepSampled

KEY = StepKey(JobId(7), 0, 0)


def step(*nodes: str) -> Step:
    shares = [
        StepNode(share=NodeShare(node=n, cpus=(0,), memory_mb=0), tasks=(TaskPlace(r, 0),)) for r, n in enumerate(nodes)
    ]
    return Step(key=KEY, spec=StepSpec(), nodes=tuple(shares), ntasks=len(nodes))


def answer(node: str, query: int, mem: int) -> StepSampled:
    rank = int(node[1:])
    return StepSampled(agent="a", node=node, key=KEY, query=query, used=of_task(rank, 0, 0, (0, mem)), pids=(rank,))


def test_answers_of_all_nodes_are_put_together() -> None:
    async def main() -> None:
        sent: list[tuple[str, AnyOrder]] = []
        asked = samples.Samples(3, lambda node, order: sent.append((node, order)))
        task = asyncio.ensure_future(asked.ask([step("n0", "n1")]))
        await asyncio.sleep(0)
        assert [node for node, _ in sent] == ["n0", "n1"]
        order = sent[0][1]
        assert isinstance(order, SampleSteps)
        other = Heartbeat(agent="a", nodes=("n0",))
        late = answer("n0", order.query + 5, 9)
        reports = [
            answer("n0", order.query, 10),
            other,
            late,
            answer("n0", order.query, 99),
            answer("n1", order.query, 30),
        ]
        assert asked.taken_from(reports) == [other]
        (sample,) = await task
        memory = sample.used.of("mem")
        assert memory is not None
        assert (memory.total, memory.most, memory.most_rank) == (40, 30, 1)
        assert sample.pids == {"n0": (0,), "n1": (1,)}

    asyncio.run(main())


def test_a_node_that_is_silent_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PATIENCE", 0.05)

    async def main() -> None:
        asked = samples.Samples(3, lambda node, order: None)
        (sample,) = await asked.ask([step("n0")])
        assert sample.pids == {}

    asyncio.run(main())
