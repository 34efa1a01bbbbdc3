"""How does `corral why` read?"""

import json
import re
from typing import Any

import msgspec
from tests.builders import ROOT, Cluster, cluster, gpus, job, nodes, rq

from corral.cli.explained import distance, of_job, of_node, of_queue
from corral.engine.explaining import inquiry
from corral.engine.explanation import explanation, settled
from corral.engine.idle_nodes import explained, node_inquiry
from corral.engine.rivals import everybody
from corral.engine.standstill import standstill
from corral.model.cluster import PriorityWeights

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def answer(found: Any) -> Any:
    return json.loads(msgspec.json.encode(found))


def text(lines: list[str]) -> str:
    """Without the times, which depend on where one lives."""
    return TIME.sub("<TIME>", "\n".join(lines))


def busy() -> Cluster:
    live = cluster(
        nodes("dgx[0180-0183]", cpus=16, gpus=8, memory=64000), priority=PriorityWeights(job_size=1000, age=100)
    )
    live.run(job(cpus=10, nodes=3, gpus_per_node=gpus(6), time=3600, name="big"))
    live.ask(rq.UpdateNodes(nodes="dgx0183", state="drain", reason="fan broken"), ROOT)
    live.add(job(nodes=2, gpus_per_node=gpus(8), memory_per_node_mb=32 * 1024, time=4 * 3600, name="train"))
    live.add(job(cpus=1, gpus_per_node=gpus(1), time=4 * 3600, name="small", nice=10, begin_time=live.now + 600))
    return live.cycle()


def why(live: Cluster, number: int) -> list[str]:
    found = inquiry(live.engine.pending, live.job(number), None, live.now, everybody)
    return of_job(answer(explanation(found)))


def test_a_job_that_waits_for_nodes():
    assert (
        text(why(busy(), 2))
        == """\
Job 2 (train) of ann in batch waits: Resources

It needs 2 nodes of partition batch, and 0 can be had now.

It asks for 2 nodes, 1 CPU, 32 GiB of memory a node, 8 GPUs a node.
Of the 4 nodes of partition batch 0 can be had now (it needs 2):
     3  dgx[0180-0182]  lack 8 GPUs (2 are free)
     1  dgx0183         drained by root: fan broken
  each by itself, whatever the node's state: 1 CPU on 4 (empty: 4); 32 GiB of memory on 4 (empty: 4); 8 GPUs on 1 (empty: 4)

Planned start: <TIME> (in 1 h), on dgx[0180-0181].
It waits for the end, at the latest, of
  job 1 of ann: <TIME> (dgx[0180-0181])

It would start sooner
  with 2 GPUs a node instead of 8: now, on dgx[0180-0181]"""
    )


def test_a_job_with_others_before_it():
    assert (
        text(why(busy(), 3))
        == """\
Job 3 (small) of ann in batch waits: BeginTime

It may not begin before its --begin. Until <TIME> (in 10 min).

It asks for 1 node, 1 CPU, 1 GPU a node.
Of the 4 nodes of partition batch 1 can be had now:
     2  dgx[0180-0181]  are free, but planned for job 2, which comes first, from <TIME> on
     1  dgx0183         drained by root: fan broken
  each by itself, whatever the node's state: 1 CPU on 4 (empty: 4); 1 GPU on 4 (empty: 4)

Before it: 1 job.
  JOB  USER  PARTITION  PRIORITY  AGE  JOB_SIZE  NICE                START
    2   ann      batch       265    0       266     0  <TIME>
    3   ann      batch       122    0       133   -10                    -"""
    )


def test_one_that_runs_or_has_ended():
    live = busy()
    assert (
        text(of_job(answer(settled(live.job(1), live.state.spec(live.job(1)), "1", live.now))))
        == """\
Job 1 (big) of ann in batch: RUNNING
It runs.
Since <TIME>, on dgx[0180-0182].
Its time limit ends it <TIME>."""
    )
    live.finish(1, code=3)
    assert (
        text(of_job(answer(settled(live.job(1), live.state.spec(live.job(1)), "1", live.now))))
        == """\
Job 1 (big) of ann in batch: FAILED
It has ended: FAILED with exit code 3:0 (NonZeroExitCode).
Since <TIME>, on dgx[0180-0182].
Ended <TIME>."""
    )


def test_a_node():
    live = busy()
    found = explained(node_inquiry(live.engine.pending, "dgx0180", live.now, everybody))
    assert (
        text(of_node(answer(found)))
        == """\
Node dgx0180 (batch): MIXED
Free: 6 of 16 CPUs, 62.5 GiB of 62.5 GiB, 2 of 8 gres/gpu:v100; 1 job on it.

1. It is planned for job 2: only jobs that end before then, or leave enough beside, can start. From <TIME> on.
2. 1 waiting job lacks GPUs here (6 CPUs, 62.5 GiB, 2 GPUs (v100) free)."""
    )


def test_the_queue_as_a_whole():
    live = busy()
    assert (
        text(of_queue(answer(standstill(live.engine.pending, live.now, everybody))))
        == """\
2 jobs wait: 1 Resources, 1 BeginTime.
1 job runs.

First come
  JOB  USER  PARTITION  PRIORITY  AGE  JOB_SIZE                START     REASON
    2   ann      batch       265    0       266  <TIME>  Resources

Nodes: 3 partly free, 1 away. Free on those that are up: 18 of 48 CPUs, 187.5 GiB of 187.5 GiB, 6 of 24 gres/gpu:v100.
     1  dgx0183  drained by root: fan broken"""
    )


def test_distances():
    assert [distance(seconds) for seconds in (0, 59, 61, 3600, 12000, 90000)] == [
        "now", "in 59 s", "in 2 min", "in 1 h", "in 3 h 20 min", "in 1 d 1 h",
    ]  # fmt: skip
