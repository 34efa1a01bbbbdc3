"""Parts of a GPU: --gres=shard:2 and --gres=gpu:0.5."""

from typing import Any

import pytest
from tests.builders import ANN, BOB, Cluster, cluster, gpus, job, node, srun

from corral.engine.nodes import _with
from corral.model.cluster import GpuSharing, NodeConfig
from corral.model.gres import GresDevice, GresRequest, GresShare
from corral.model.job import JobKind, JobSpec
from corral.model.node import NodeInventory
from corral.protocol import requests as rq
from corral.protocol.orders import EndJob, LaunchStep
from corral.protocol.replies import Rejected, StepCreated

ERROR = "Invalid generic resource (gres) specification"


def dgx(name: str, shards: int = 16) -> NodeInventory:
    found = node(name, cpus=16, gpus=4)
    return NodeInventory(
        name=name, cpus=16, memory_mb=1000, gres=(*found.gres, GresDevice(name="shard", type="v100", count=shards))
    )


def shared(*names: str, **fields: Any) -> Cluster:
    fields.setdefault("gres_types", ("gpu", "shard"))
    return cluster(*(dgx(name) for name in names), **fields)


def half(**fields: Any) -> JobSpec:
    return job(gres=(GresRequest("gpu", "", 1, 500),), **fields)


def shards(count: int, **fields: Any) -> JobSpec:
    return job(gres=(GresRequest("shard", "", count),), **fields)


def held(c: Cluster, number: int) -> tuple[GresShare, ...]:
    allocation = c.job(number).allocation
    assert allocation is not None
    return allocation.nodes[0].gres


def test_shards_are_of_one_gpu() -> None:
    c = shared("n1")
    assert held(c, c.run(shards(3))) == (GresShare("shard", "v100", (0,), 750, 3),)
    assert held(c, c.run(shards(1))) == (GresShare("shard", "v100", (0,), 250, 1),)
    assert held(c, c.run(shards(2)))[0].indices == (1,)
    c.check()


def test_a_fraction_counts_as_the_shards_that_it_fills() -> None:
    c = shared("n1")
    assert held(c, c.run(half())) == (GresShare("shard", "v100", (0,), 500, 2),)
    c = cluster(node("n1", gpus=1), gres_types=("gpu", "shard"))
    assert held(c, c.run(half())) == (GresShare("shard", "v100", (0,), 500, 500),)


def test_a_gpu_with_a_share_is_not_given_whole() -> None:
    c = shared("n1")
    first = c.run(half())
    assert held(c, c.run(job(gpus=3)))[0].indices == (1, 2, 3)
    whole = c.add(job(gpus=1))
    c.cycle()
    assert c.states(whole) == ["PENDING"]
    c.run(half())
    c.finish(first).cycle()
    assert c.states(whole) == ["PENDING"], "the other half is still held"
    c.finish(first + 3).cycle()
    assert c.states(whole) == ["RUNNING"]
    c.check()


def test_shares_of_two_users_do_not_meet() -> None:
    c = shared("n1")
    assert held(c, c.run(half()))[0].indices == (0,)
    assert held(c, c.run(half(), by=BOB))[0].indices == (1,)
    assert held(c, c.run(half()))[0].indices == (0,)


@pytest.mark.parametrize("sharing", [GpuSharing(between_users=True), GpuSharing(fence="mig")])
def test_they_do_where_the_operator_says_so(sharing: GpuSharing) -> None:
    c = shared("n1", gpu_sharing=sharing)
    assert held(c, c.run(half()))[0].indices == (0,)
    assert held(c, c.run(half(), by=BOB))[0].indices == (0,)


@pytest.mark.parametrize(
    ("spec", "detail"),
    [
        (job(gres=(GresRequest("gpu", "", 1, 500), GresRequest("shard", "", 1))), "one share of a GPU on each node, or"),
        (job(gres=(GresRequest("shard", "", 1), *gpus(1))), "one share of a GPU on each node, or whole GPUs"),
        (job(gpus=(GresRequest("gpu", "", 1, 500),)), "a share is of one GPU on each node: ask for it with --gres=gpu:0.5"),
        (half(cpus_per_gpu=2), "what is asked for each GPU does not go with a share of one"),
        (job(gres=(GresRequest("gpu", "", 1, 1500),)), "--gres: gpu cannot be counted"),
        (job(gres=(GresRequest("gpu", "", 2, 500),)), "--gres: gpu cannot be counted"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(spec: JobSpec, detail: str) -> None:
    reply = shared("n1").ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=spec),)))
    assert isinstance(reply, Rejected)
    assert reply.error == ERROR
    assert detail in reply.detail


def test_where_gpus_are_not_shared_it_is_said() -> None:
    reply = cluster(node("n1", gpus=1)).ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=half()),)))
    assert isinstance(reply, Rejected)
    assert (reply.error, reply.detail) == (ERROR, "GPUs are not shared on this cluster: its gres_types has no shard")


def test_more_shards_than_a_gpu_has_never_run() -> None:
    reply = shared("n1").ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=shards(5)),)))
    assert isinstance(reply, Rejected)
    assert reply.error == "Requested node configuration is not available"


def test_a_step_takes_of_its_jobs_share() -> None:
    c = shared("n1")
    number = c.run(shards(3))
    for gres, found in (
        (None, (GresShare("shard", "v100", (0,), 750, 3),)),
        ((GresRequest("shard", "", 2),), (GresShare("shard", "v100", (0,), 500, 2),)),
        ((GresRequest("gpu", "", 1, 250),), (GresShare("shard", "v100", (0,), 250, 1),)),
    ):
        reply = c.ask(rq.CreateStep(job=str(number), spec=srun(overlap=True, gres=gres)))
        assert isinstance(reply, StepCreated)
        assert reply.step.nodes[0].share.gres == found
    reply = c.ask(rq.CreateStep(job=str(number), spec=srun(overlap=True, gres=(GresRequest("shard", "", 4),))))
    assert isinstance(reply, Rejected)
    assert reply.detail == "Step requested GRES but job doesn't have GRES"


def test_a_planned_start_waits_for_the_last_share() -> None:
    c = cluster(node("n1", gpus=1), gres_types=("gpu", "shard"))
    c.run(half(time=100))
    c.run(half(time=300))
    whole = c.add(job(gpus=1))
    c.cycle()
    assert c.job(whole).expected_start == c.job(2).start_time + 300


def test_what_the_configuration_says_of_shards() -> None:
    found = node("n1", gpus=4)
    gres = _with(NodeConfig(name="n1", gres="gpu:v100:4,shard:16"), found).gres
    assert gres == (*found.gres, GresDevice(name="shard", type="v100", count=16))
    assert _with(NodeConfig(name="n1", gres="shard:16"), found).gres == gres
    assert ANN.uid != BOB.uid


def mps(count: int, **fields: Any) -> JobSpec:
    return job(gres=(GresRequest("mps", "", count),), **fields)


def test_mps_counts_hundredths_of_a_gpu() -> None:
    c = shared("n1", gpu_sharing=GpuSharing(fence="mps"))
    number = c.run(mps(25, kind=JobKind.SALLOC))
    assert held(c, number) == (GresShare("shard", "v100", (0,), 250, 1),)
    assert held(c, c.run(mps(100))) == (GresShare("gpu", "v100", (1,)),), "all of it needs no MPS"
    reply = c.ask(rq.CreateStep(job=str(number), spec=srun(1, gres=(GresRequest("mps", "", 10),))), ANN)
    assert isinstance(reply, StepCreated)
    assert reply.step.nodes[0].share.gres[0].milli == 100
    c.check()


def test_steps_with_a_share_are_sent_to_mps_where_agents_start_it() -> None:
    for sharing, starts in (
        (GpuSharing(fence="mps"), True),
        (GpuSharing(fence="mps", start_mps=False), False),
        (GpuSharing(), False),
    ):
        c = shared("n1", gpu_sharing=sharing)
        c.run(half())
        c.run(job(gres=gpus(1)))
        assert [order.mps for order in c.orders(LaunchStep)] == [starts, False]


def test_agents_hear_of_the_end_of_a_job_that_had_mps() -> None:
    c = shared("n1", gpu_sharing=GpuSharing(fence="mps"))
    part, whole = c.run(half()), c.run(job(gres=gpus(1)))
    c.orders(EndJob)
    c.finish(whole)
    assert c.orders(EndJob) == [], "nothing of it is left"
    c.finish(part)
    assert [order.job for order in c.orders(EndJob)] == [part]


@pytest.mark.parametrize(
    ("fence", "count", "said"),
    [
        ("none", 10, "GPUs are not shared through MPS on this cluster"),
        ("mps", 101, "mps:101 is more than one GPU, which is mps:100"),
    ],
)
def test_mps_that_cannot_be_is_refused(fence: Any, count: int, said: str) -> None:
    reply = shared("n1", gpu_sharing=GpuSharing(fence=fence)).ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=mps(count)),)))
    assert isinstance(reply, Rejected)
    assert said in reply.detail


def test_a_waiting_job_may_be_given_mps_instead() -> None:
    c = shared("n1", gpu_sharing=GpuSharing(fence="mps"))
    number = c.add(job(gres=gpus(1), hold=True))
    c.ask(rq.UpdateJob(id=str(number), changes={"gres": "mps:50"}))
    assert c.state.spec(c.job(number)).gres == (GresRequest("gpu", "", 1, 500),)
    reply = c.ask(rq.UpdateJob(id=str(number), changes={"gres": "mps:150"}))
    assert "mps:150 is more than one GPU" in str(reply)
