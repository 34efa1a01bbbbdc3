"""Placement as the real one's: ten nodes of 16 CPUs and 8 GPUs."""

import pytest
from tests.builders import cluster, gpus, job, node, nodes, ten_dgx

from corral.model.job import JobSpec, JobState
from corral.model.reason import Reason


@pytest.mark.parametrize(
    ("spec", "tasks"),
    [
        pytest.param(job(), [1], id="nothing"),
        pytest.param(job(nodes=2, ntasks=8), [7, 1], id="-N2 -n8"),
        pytest.param(job(ntasks=20), [16, 4], id="-n20"),
        pytest.param(job(nodes=2, ntasks=3), [2, 1], id="-N2 -n3"),
        pytest.param(job(nodes=2, ntasks=4), [3, 1], id="-N2 -n4"),
        pytest.param(job(4, nodes=2), [1, 1], id="-N2 -c4"),
        pytest.param(job(3, nodes=3, ntasks=4), [2, 1, 1], id="-N3 -n4 -c3"),
        pytest.param(job(3, ntasks=11), [5, 5, 1], id="-n11 -c3"),
        pytest.param(job(nodes=2, ntasks_per_node=3), [3, 3], id="-N2 --ntasks-per-node=3"),
        pytest.param(job(ntasks=5, ntasks_per_node=3), [3, 3], id="-n5 --ntasks-per-node=3"),
        pytest.param(job(ntasks=2, gpus=10), [1, 1], id="-n2 --gpus=10"),
        pytest.param(job(nodes=(2, 4)), [1, 1, 1, 1], id="-N2-4"),
        pytest.param(job(nodes=10, ntasks=160), [16] * 10, id="-N10 -n160"),
        pytest.param(job(nodes=2, ntasks=40, overcommit=True), [20, 20], id="-O -N2 -n40"),
    ],
)
def test_tasks_per_node(spec: JobSpec, tasks: list[int]) -> None:
    c = ten_dgx()
    assert list(c.where(c.run(spec)).values()) == tasks
    c.check()


def test_nodes_are_taken_in_the_order_of_their_names() -> None:
    c = ten_dgx()
    assert list(c.where(c.run(job(nodes=3)))) == ["dgx0180", "dgx0181", "dgx0182"]


def test_node2_comes_before_node10() -> None:
    c = cluster(nodes("node[1-12]"))
    assert list(c.where(c.run(job(4, nodes=3)))) == ["node1", "node2", "node3"]


def test_each_task_gets_its_cpus() -> None:
    c = ten_dgx()
    assert c.cpus(c.run(job(4, nodes=2))) == {"dgx0180": 4, "dgx0181": 4}


def test_a_named_node_is_among_them() -> None:
    c = ten_dgx()
    assert c.where(c.run(job(nodelist="dgx0183", nodes=2, ntasks=4))) == {"dgx0180": 3, "dgx0183": 1}


def test_an_excluded_node_is_not() -> None:
    c = ten_dgx()
    assert list(c.where(c.run(job(exclude="dgx[0180-0188]")))) == ["dgx0189"]


def test_small_jobs_are_packed_on_one_node() -> None:
    c = ten_dgx()
    assert [list(c.where(c.run(job(4)))) for _ in range(4)] == [["dgx0180"]] * 4
    assert list(c.where(c.run(job(4)))) == ["dgx0181"]
    c.check()


def test_spread_takes_the_emptiest_node() -> None:
    c = cluster(nodes("n[1-3]"), scheduling={"placement": "spread"})
    assert [list(c.where(c.run(job(1)))) for _ in range(4)] == [["n1"], ["n2"], ["n3"], ["n1"]]


def test_exclusive_has_all_cpus_and_gpus_of_its_node() -> None:
    c = ten_dgx()
    c.run(job(1))
    own = c.run(job(exclusive=True))
    assert c.cpus(own) == {"dgx0181": 16}
    allocation = c.job(own).allocation
    assert allocation is not None
    assert allocation.gres_count("gpu") == 8
    c.run(job(1))
    assert list(c.where(3)) == ["dgx0180"]


def test_units_of_gpus_go_where_the_most_are_free() -> None:
    c = ten_dgx()
    held = c.run(job(gres=gpus(6)))
    wanted = c.run(job(ntasks=1, nodes=1, gpus=8))
    assert list(c.where(held)) == ["dgx0180"]
    assert list(c.where(wanted)) == ["dgx0181"]
    c.check()


def test_gpus_per_task_follow_the_tasks() -> None:
    c = ten_dgx()
    wide = c.run(job(ntasks=12, gpus_per_task=gpus(1)))
    allocation = c.job(wide).allocation
    assert allocation is not None
    assert [(share.tasks, len(share.gres[0].indices)) for share in allocation.nodes] == [(8, 8), (4, 4)]


def test_cpus_per_gpu_spread_the_gpus_over_nodes_with_enough_cpus() -> None:
    c = ten_dgx()
    wide = c.run(job(gpus=8, cpus_per_gpu=3))
    allocation = c.job(wide).allocation
    assert allocation is not None
    assert [(len(share.cpus), len(share.gres[0].indices)) for share in allocation.nodes] == [(15, 5), (9, 3)]
    c.check()


def test_types_of_gpus_are_told_apart() -> None:
    c = cluster(node("a", gpus=4, type="v100"), node("b", gpus=4, type="h100"))
    assert list(c.where(c.run(job(gres=gpus(1, "h100"))))) == ["b"]
    assert list(c.where(c.run(job(gres=gpus(2, "v100"))))) == ["a"]


def test_a_job_without_gpus_keeps_off_the_nodes_that_have_them() -> None:
    c = cluster(node("a", gpus=4), node("b"))
    assert list(c.where(c.run(job(1)))) == ["b"]


def test_light_nodes_first() -> None:
    from corral.model.cluster import NodeConfig

    c = cluster(nodes("n[1-2]"), node=(NodeConfig(name="n1", weight=5), NodeConfig(name="n2", weight=1)))
    assert list(c.where(c.run(job(1)))) == ["n2"]


def test_memory_is_counted_when_asked_for() -> None:
    c = cluster(node("n1", memory=1000))
    c.run(job(1, memory_per_node_mb=600))
    second = c.add(job(1, memory_per_node_mb=600))
    assert c.cycle().reason(second) is Reason.RESOURCES
    third = c.run(job(1, memory_per_cpu_mb=400))
    assert c.state.ledger.free_memory.tolist() == [0]
    c.finish(third).check()


def test_all_memory_of_a_node() -> None:
    c = cluster(nodes("n[1-2]", memory=1000))
    c.run(job(1, memory_per_node_mb=1))
    assert list(c.where(c.run(job(1, memory_per_node_mb=0)))) == ["n2"]


def test_a_core_is_never_shared_between_jobs() -> None:
    c = cluster(node("n1", cpus=8, sockets=1, cores_per_socket=4, threads_per_core=2))
    assert c.cpus(c.run(job(1))) == {"n1": 2}
    assert c.cpus(c.run(job(3))) == {"n1": 4}
    c.check()


def test_features_choose_nodes() -> None:
    c = cluster(node("a", features=("ib",)), node("b", features=("ib", "big")), node("c"))
    assert list(c.where(c.run(job(1, constraint="ib&big")))) == ["b"]
    assert list(c.where(c.run(job(1, constraint="big|ib")))) == ["b"]
    assert list(c.where(c.run(job(4, constraint="ib")))) == ["a"]


def test_a_node_that_cannot_give_its_part_is_passed_over() -> None:
    c = cluster(node("a", cpus=2, gpus=4), node("b", cpus=8, gpus=4))
    assert list(c.where(c.run(job(gres=gpus(2), cpus_per_gpu=3)))) == ["b"]


def test_nobody_gets_more_than_there_is() -> None:
    c = cluster(nodes("n[1-2]", cpus=4))
    for _ in range(9):
        c.add(job(1))
    c.cycle()
    assert len(c.running()) == 8
    assert c.job(9).state is JobState.PENDING
    c.check()


def test_an_arbitrary_distribution_gives_each_node_the_tasks_of_the_list() -> None:
    c = ten_dgx()
    spec = job(ntasks=4, nodelist="dgx0181,dgx0180,dgx0181,dgx0181", distribution="arbitrary")
    assert c.where(c.run(spec)) == {"dgx0180": 1, "dgx0181": 3}
    c.check()


def test_tasks_go_round_nodes_no_further_than_their_sockets_take() -> None:
    """A core of two threads has room for two, its socket for one only."""
    one, two = (
        node("n1", cpus=2, sockets=1, cores_per_socket=1, threads_per_core=2),
        node("n2", cpus=2, sockets=2, cores_per_socket=1, threads_per_core=1),
    )
    c = cluster(one, two)
    assert c.where(c.run(job(ntasks=3, ntasks_per_socket=1))) == {"n1": 1, "n2": 2}
    c.check()


def test_a_task_that_has_a_socket_for_itself_shares_no_core_with_another() -> None:
    c = cluster(node("n1", cpus=8, sockets=2, cores_per_socket=2, threads_per_core=2))
    assert c.cpus(c.run(job(3, ntasks=2, ntasks_per_socket=1))) == {"n1": 8}
    c.check()
