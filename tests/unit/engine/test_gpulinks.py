"""GPUs that are linked go together, with the cores that are near them."""

import msgspec
import pytest
from tests.builders import Cluster, cluster, gpus, job, node, srun

from corral.config.checks import BadValue, check
from corral.model.cluster import ClusterConfig, NodeConfig
from corral.model.gres import GresDevice
from corral.model.job import JobKind, StepSpec
from corral.model.step import StepNode
from corral.protocol.orders import LaunchStep
from corral.protocol.replies import StepCreated
from corral.protocol.requests import CreateStep

#: Two pairs: 0 and 2, 1 and 3.
LINKS = ("-1,0,4,0", "0,-1,0,4", "4,0,-1,0", "0,4,0,-1")
CORES = ("0-3", "4-7", "0-3", "4-7")


def dgx(links: tuple[str, ...] = LINKS, cores: tuple[str, ...] = ()) -> Cluster:
    return cluster(node("n1", cpus=8, gpus=4), node=(NodeConfig(name="n1", gpu_links=links, gpu_cores=cores),))


def units(c: Cluster, number: int) -> tuple[int, ...]:
    allocation = c.job(number).allocation
    assert allocation is not None
    return allocation.nodes[0].gres[0].indices


def cpus(c: Cluster, number: int) -> tuple[int, ...]:
    allocation = c.job(number).allocation
    assert allocation is not None
    return allocation.nodes[0].cpus


def test_linked_gpus_go_together() -> None:
    c = dgx()
    assert units(c, c.run(job(gres=gpus(2)))) == (0, 2)
    assert units(c, c.run(job(gres=gpus(2)))) == (1, 3)


def test_one_gpu_leaves_a_pair_together() -> None:
    c = dgx()
    assert units(c, c.run(job(gres=gpus(1)))) == (0,)
    assert units(c, c.run(job(gres=gpus(1)))) == (2,), "its pair is broken already"
    assert units(c, c.run(job(gres=gpus(2)))) == (1, 3)


def test_cores_are_near_the_gpus() -> None:
    c = dgx(cores=CORES)
    c.run(job(gres=gpus(2)))
    assert cpus(c, c.run(job(2, gres=gpus(1)))) == (4, 5)


def test_cores_elsewhere_will_do_unless_the_binding_is_enforced() -> None:
    c = dgx(cores=CORES)
    assert len(cpus(c, c.run(job(6, gres=gpus(1))))) == 6
    c = dgx(cores=CORES)
    far = c.add(job(6, gres=gpus(1), gres_flags="enforce-binding"))
    assert cpus(c, c.run(job(4, gres=gpus(1), gres_flags="enforce-binding"))) == (0, 1, 2, 3)
    assert c.states(far) == ["PENDING"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"gpu_links": ("-1,x", "0,-1")}, "'x' is no such number"),
        ({"gpu_links": ("-1,1,0", "1,-1,0")}, "3 numbers for 2 GPUs"),
        ({"gpu_cores": ("7-3",)}, "from the higher to the lower"),
        ({"gres": "gpu:4", "gpu_cores": ("0-3",)}, "1 texts for 4 GPUs"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadValue, match=said):
        check(ClusterConfig(node=(NodeConfig(name="n1", **fields),)), {})


def found_dgx() -> Cluster:
    """One whose agent has found what the other one is told."""
    four = GresDevice(
        name="gpu", type="v100", count=4, links=tuple(tuple(max(0, int(n)) for n in row.split(",")) for row in LINKS),
        cores=((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 2, 3), (4, 5, 6, 7)),
    )  # fmt: skip
    return cluster(msgspec.structs.replace(node("n1", cpus=8), gres=(four,)))


def test_what_the_agent_has_found_counts_likewise() -> None:
    c = found_dgx()
    assert units(c, c.run(job(2, gres=gpus(2)))) == (0, 2)
    assert cpus(c, c.run(job(2, gres=gpus(1)))) == (4, 5)
    far = c.add(job(3, gres=gpus(1), gres_flags="enforce-binding"))
    assert c.states(far) == ["PENDING"]
    assert cpus(c, c.run(job(4, gres=gpus(1), gres_flags="disable-binding"))) == (2, 3, 6, 7)


def steps_of(c: Cluster, *specs: StepSpec) -> list[StepNode]:
    """The node of each, started one after another in a job that has the whole node."""
    number = c.run(job(8, gres=gpus(4)))
    made = [c.ask(CreateStep(job=str(number), spec=spec)) for spec in specs]
    return [reply.step.nodes[0] for reply in made if isinstance(reply, StepCreated)]


def test_a_step_gets_the_linked_gpus_of_its_job_and_the_cores_near_them() -> None:
    two = srun(2, gres=gpus(2), exact=True)
    first, second = steps_of(found_dgx(), two, two)
    assert (first.share.gres[0].indices, first.share.cpus) == ((0, 2), (0, 1))
    assert (second.share.gres[0].indices, second.share.cpus) == ((1, 3), (4, 5))


def test_each_task_sees_gpus_that_are_linked() -> None:
    (node,) = steps_of(found_dgx(), srun(2, gpus_per_task=gpus(2)))
    assert [task.gpus for task in node.tasks] == [(0, 2), (1, 3)]


def test_a_task_that_is_to_see_the_closest_gpus_is_told_which_are_near() -> None:
    c = found_dgx()
    c.run(job(8, gres=gpus(4), kind=JobKind.SRUN, ntasks=1, step=srun(1, gpu_bind="closest")))
    (order,) = c.orders(LaunchStep)
    assert order.gpu_cores == ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 2, 3), (4, 5, 6, 7))
    c = found_dgx()
    c.run(job(8, gres=gpus(4), kind=JobKind.SRUN, ntasks=1, step=srun(1)))
    assert c.orders(LaunchStep)[0].gpu_cores == ()
