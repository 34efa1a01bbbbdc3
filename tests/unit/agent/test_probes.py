"""When does a probe look, and what does it tell?"""

import asyncio
from collections.abc import Callable
from typing import Any

from corral.agent.checks import Reached
from corral.agent.outbox import Outbox
from corral.agent.probes import Probes
from corral.agent.steps import LocalStep, Phase
from corral.agent.unwell import NotWell
from corral.daemon import clock
from corral.model.job import JobId
from corral.model.step import StepKey
from corral.protocol.pods import Check, PodRun, ProbeOrder

PERIOD = 0.02


def probe(kind: str, **fields: Any) -> ProbeOrder:
    return ProbeOrder(kind=kind, check=Check(how="exec", command=(kind,)), period=PERIOD, **fields)


def told(answers: Callable[[str, int], bool], *probes: ProbeOrder, until: int) -> list[tuple[str, bool]]:
    """What is reported, until so many times; `answers(kind, n)`: is the n-th look at it well?"""
    found: list[tuple[str, bool]] = []

    async def main() -> None:
        done = asyncio.Event()
        looks: dict[str, int] = {}

        async def publish(batch: bytes) -> None:
            pass

        class Heard(Outbox):
            def report(self, report: Any) -> Any:
                found.append((report.probe, report.ok))
                if len(found) == until:
                    done.set()
                return report

        async def run(step: LocalStep, command: tuple[str, ...], timeout: float) -> None:
            (kind,) = command
            looks[kind] = looks.get(kind, 0) + 1
            if not answers(kind, looks[kind]):
                raise NotWell("no")

        step = LocalStep("n1", StepKey(JobId(1), 0), Phase.RUNNING, 0.0)
        step.pod = PodRun(namespace="default", name="web", uid="u", container="main", probes=probes)
        owner = Probes("agent", Heard(publish, 0), run)
        owner.begin(step, Reached("127.0.0.1"), clock.now())
        await asyncio.wait_for(done.wait(), 60)
        owner.end(step)

    asyncio.run(main())
    return found


def test_only_changes_of_readiness_are_told() -> None:
    ready = [True, True, False, False, False, True]
    found = told(lambda kind, n: ready[min(n, 6) - 1], probe("readiness"), until=3)
    assert found == [("readiness", True), ("readiness", False), ("readiness", True)]


def test_fewer_failures_than_the_threshold_tell_nothing() -> None:
    bad = {2, 3, 5, 6, 8, 9, 10}
    found = told(lambda kind, n: n not in bad, probe("readiness", failures=3), until=3)
    assert found == [("readiness", True), ("readiness", False), ("readiness", True)]


def test_more_successes_than_one_may_be_wanted() -> None:
    found = told(lambda kind, n: n % 3 != 0 or n > 5, probe("readiness", successes=3), until=1)
    assert found == [("readiness", True)]


def test_who_does_not_live_is_told_once() -> None:
    found = told(lambda kind, n: n < 3, probe("liveness", failures=2), probe("readiness"), until=3)
    assert sorted(found) == [("liveness", False), ("readiness", False), ("readiness", True)]


def test_a_startup_probe_keeps_the_others_waiting() -> None:
    found = told(
        lambda kind, n: kind == "readiness" or n > 4, probe("startup", failures=100), probe("readiness"), until=2
    )
    assert found == [("startup", True), ("readiness", True)]


def test_who_does_not_start_is_told_once() -> None:
    assert told(lambda kind, n: False, probe("startup", failures=2), until=1) == [("startup", False)]
