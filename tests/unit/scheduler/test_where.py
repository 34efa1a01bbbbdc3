"""Preferences, script hosts and what partitions add: where a job goes, and who is kept out."""

from tests.builders import ANN, ROOT, Cluster, cluster, gpus, job, node, nodes

from corral.engine.admission import UNAVAILABLE
from corral.model.partition import Partition
from corral.model.reason import Reason
from corral.model.step import BATCH
from corral.protocol import requests as rq
from corral.protocol.replies import Rejected


def racks() -> Cluster:
    return cluster(
        nodes("a[1-2]", cpus=4, features=("slow",)),
        nodes("b[1-2]", cpus=4, features=("fast", "slow")),
        node("c1", cpus=4),
    )


def test_it_goes_where_it_would_rather_be_if_that_is_free() -> None:
    c = racks()
    assert list(c.where(c.run(job(4, prefer="fast")))) == ["b1"]
    c.run(job(4, prefer="fast"))
    assert list(c.where(c.run(job(4, prefer="fast")))) == ["a1"]
    c.check()


def test_who_waits_says_so_of_what_it_must_have() -> None:
    c = racks()
    late = c.add(job(4, constraint="slow", prefer="fast", nodes=4))
    blocker = c.add(job(4, nodelist="a1"), ANN)
    c.cycle()
    assert c.job(late).is_active or c.job(blocker).is_active
    assert Reason.RESOURCES in (c.reason(late), c.reason(blocker))
    c.check()


def test_the_script_runs_on_a_node_with_its_features() -> None:
    c = racks()
    number = c.run(job(1, nodes=3, constraint="slow&fast*1", batch_features="fast"))
    assert c.job(number).batch_host.startswith("b")
    assert c.state.steps_of(number)[BATCH].node_names == (c.job(number).batch_host,)
    c.check()


def test_counted_features() -> None:
    c = racks()
    where = list(c.where(c.run(job(4, nodes=3, constraint="[fast*1&slow*2]"))))
    assert len(where) == 3
    assert any(name.startswith("b") for name in where)
    assert "c1" not in where


def test_a_named_node_of_another_partition_is_refused() -> None:
    c = cluster(nodes("n[1-2]"), partition=(Partition(name="batch", nodes="n1", default=True),))
    reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(1, nodelist="n2")),)))
    assert isinstance(reply, Rejected)
    assert reply.error == UNAVAILABLE


def test_a_partition_may_refuse_root_and_who_has_no_reservation() -> None:
    for fields, caller, said in (
        ({"disable_root_jobs": True}, ROOT, "Invalid user id"),
        ({"requires_reservation": True}, ANN, "Access/permission denied"),
    ):
        c = cluster(nodes("n1"), partition=(Partition(name="batch", default=True, **fields),))
        reply = c.ask(rq.SubmitJobs(jobs=(rq.NewJob(spec=job(1)),)), caller)
        assert isinstance(reply, Rejected)
        assert reply.error == said


def test_what_goes_with_each_gpu_and_how_much_memory_a_cpu_may_have() -> None:
    partition = Partition(
        name="batch", default=True, default_cpus_per_gpu=3, default_memory_per_gpu_mb=100, max_memory_per_cpu_mb=200
    )
    c = cluster(nodes("n1", cpus=16, gpus=4, memory=4000), partition=(partition,))
    share = c.job(c.run(job(gpus_per_node=gpus(2)))).allocation.nodes[0]  # type: ignore[union-attr]
    assert (len(share.cpus), share.memory_mb) == (6, 200)
    assert len(c.job(c.run(job(1, memory_per_cpu_mb=500))).allocation.nodes[0].cpus) == 3  # type: ignore[union-attr]
    assert len(c.job(c.run(job(1, memory_per_node_mb=900))).allocation.nodes[0].cpus) == 5  # type: ignore[union-attr]
    c.check()
