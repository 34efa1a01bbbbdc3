"""Which runs a query of the accounting means, beside what the databases answer themselves."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.unit.controller.running import running
from tests.waiting import wait_until

from corral.model.job import JobState, StartedBy
from corral.store.interface import Batch
from corral.store.memory import MemoryStore
from corral.store.rows import HistoryQuery, Run


def run(**fields: object) -> Run:
    return Run(
        job=1, uid=0, user="root", submit=1.0, eligible=1.0, start=2.0, end=3.0, state=JobState.COMPLETED, association=2,
        started_by=StartedBy.GAP, **fields,
    )  # fmt: skip


def test_by_association() -> None:
    assert HistoryQuery(associations=frozenset({1, 2})).takes(run())
    assert not HistoryQuery(associations=frozenset({-1})).takes(run())


def test_by_how_it_began() -> None:
    assert HistoryQuery(started_by=(StartedBy.TURN, StartedBy.GAP)).takes(run())
    assert not HistoryQuery(started_by=(StartedBy.TURN,)).takes(run())


def test_by_reason() -> None:
    assert HistoryQuery(reasons=("Resources",)).takes(run(reason="Resources"))
    assert not HistoryQuery(reasons=("Resources",)).takes(run(reason="None"))


class SlowStore(MemoryStore):
    """Its disk takes its time: nothing is written while `is_slow`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = False
        self.waiting: list[tuple[Batch, Future[int]]] = []

    def append(self, batch: Batch) -> "Future[int]":
        if not self.is_slow:
            return super().append(batch)
        self.waiting.append((batch, Future()))
        return self.waiting[-1][1]

    def write(self) -> None:
        self.is_slow = False
        for batch, future in self.waiting:
            future.set_result(super().append(batch).result())


def test_a_job_whose_end_is_being_written_is_there_all_the_time(tmp_path: Path) -> None:
    store = SlowStore()
    with running(tmp_path, store=store) as controller, controller.connection() as api, ThreadPoolExecutor(1) as other:
        controller.agent.ends_at_once = False
        one = {"spec": {"name": "a", "work_dir": "/tmp"}, "script": "#!/bin/sh\n"}
        [job] = api.request("POST", "/v1/requests", {"type": "SubmitJobs", "jobs": [one]})["ids"]
        [launch] = wait_until(lambda: controller.agent.launched)
        store.is_slow = True
        controller.call(controller.agent.end, launch)
        wait_until(lambda: controller.loop.state.jobs[job].has_ended)
        under_way = controller.loop.in_flight
        rows = other.submit(lambda: api.request("GET", f"/v1/history?ids={job}&fields=jobid,state")["rows"])
        wait_until(lambda: rows.done() or controller.loop.in_flight > under_way)
        controller.call(_write, store)
        assert rows.result() == [[str(job), "COMPLETED"]]


async def _write(store: SlowStore) -> None:
    store.write()
