"""Which CPUs a task is bound to, what the variables and --cpu-bind=verbose say of it, and which of the machine's CPUs they are."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.agent.node_side import NodeSide
from tests.unit.agent.test_environment import job, share

from corral.agent import binding, cpus
from corral.model.allocation import NodeShare
from corral.model.gres import GresShare
from corral.model.job import JobId, JobSpec, StdioSpec, StepSpec
from corral.model.step import StepKey, TaskPlace
from corral.protocol.orders import LaunchStep

#: Two sockets of four cores with two threads each.
THICK = (2, 4, 2)


def order(
    tasks: int,
    held: range | tuple[int, ...] = range(16),
    layout: tuple[int, int, int] = THICK,
    each: int = 1,
    **spec: Any,
) -> LaunchStep:
    mine = NodeShare(node="n1", cpus=tuple(held), memory_mb=0, threads=layout[2])
    return LaunchStep(
        node="n1", key=StepKey(JobId(1), 0), job=job("env-batch-default.txt", JobSpec(), share("n")),
        spec=StepSpec(**spec), step_nodes=("n1",),
        tasks_per_node=(tasks,), ntasks=tasks, cpus_per_task=each, share=mine, job_share=mine,
        tasks=tuple(TaskPlace(rank, rank) for rank in range(tasks)), layout=layout,
    )  # fmt: skip


def bound(tasks: int, **given: Any) -> list[set[int]]:
    return [set(one.cpus) for one in binding.bind(order(tasks, **given))]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, [set(), set()], id="nothing"),
        pytest.param({"cpu_bind": "none"}, [set(), set()], id="none"),
        pytest.param({"cpu_bind": "cores"}, [{0, 1}, {8, 9}], id="cores go round the sockets"),
        pytest.param(
            {"cpu_bind": "cores", "distribution": "block:block"}, [{0, 1}, {2, 3}], id="cores one after another"
        ),
        pytest.param({"cpu_bind": "threads"}, [{0}, {8}], id="threads"),
        pytest.param({"cpu_bind": "threads", "threads_per_core": 1}, [{0}, {8}], id="one thread of a core"),
        pytest.param({"cpu_bind": "cores", "each": 3}, [{0, 1, 2, 3}, {8, 9, 10, 11}], id="whole cores for three CPUs"),
        pytest.param({"cpu_bind": "sockets"}, [set(range(8)), set(range(8, 16))], id="sockets"),
        pytest.param({"cpu_bind": "rank"}, [{0}, {1}], id="rank"),
        pytest.param({"cpu_bind": "rank_ldom"}, [set(range(8)), set(range(8, 16))], id="rank_ldom"),
        pytest.param({"cpu_bind": "map_cpu:4,0"}, [{4}, {0}], id="map_cpu"),
        pytest.param({"cpu_bind": "map_cpu:4"}, [{4}, {4}], id="a short list begins again"),
        pytest.param({"cpu_bind": "mask_cpu:0x3,0x300"}, [{0, 1}, {8, 9}], id="mask_cpu"),
        pytest.param({"cpu_bind": "map_ldom:1"}, [set(range(8, 16))] * 2, id="map_ldom"),
        pytest.param({"hint": "nomultithread", "threads_per_core": 1}, [{0}, {8}], id="a hint"),
        pytest.param({"ntasks_per_socket": 1}, [set(range(8)), set(range(8, 16))], id="tasks per socket"),
        pytest.param({"ntasks_per_core": 1}, [{0, 1}, {8, 9}], id="tasks per core"),
        pytest.param({"cpu_bind": "cores", "held": (2, 3, 4, 5)}, [{2, 3}, {4, 5}], id="only what the step has"),
    ],
)
def test_what_two_tasks_are_bound_to(given: dict[str, Any], wanted: list[set[int]]) -> None:
    assert bound(2, **given) == wanted


def test_more_tasks_than_cores_share_them() -> None:
    assert bound(3, cpu_bind="cores", held=(0, 1, 2, 3)) == [{0, 1}, {2, 3}, {0, 1}]


def test_a_list_that_names_other_cpus_is_refused() -> None:
    with pytest.raises(binding.BindingOutside, match="allocated CPUs are: 0x3"):
        bound(1, cpu_bind="map_cpu:5", held=(0, 1))


def test_the_variables() -> None:
    assert binding.cpu_variables(order(2)) == {}
    assert binding.cpu_variables(order(2, cpu_bind="verbose,cores")) == {
        "SLURM_CPU_BIND": "verbose,mask_cpu:0x3,0x300",
        "SLURM_CPU_BIND_LIST": "0x3,0x300",
        "SLURM_CPU_BIND_TYPE": "mask_cpu:",
        "SLURM_CPU_BIND_VERBOSE": "verbose",
    }
    assert binding.cpu_variables(order(2, cpu_bind="map_cpu:0,4"))["SLURM_CPU_BIND"] == "quiet,map_cpu:0,4"
    assert binding.cpu_variables(order(2, cpu_bind="mask_cpu:0x1,0x10"))["SLURM_CPU_BIND_LIST"] == "1,10"
    assert binding.cpu_variables(order(2, cpu_bind="none"))["SLURM_CPU_BIND"] == "quiet,none"


def test_a_task_sees_the_gpus_near_its_own_cpus() -> None:
    """On cores 0 to 3 and 4 to 7."""
    step = order(2, gpu_bind="closest", cpu_bind="sockets", distribution="block:cyclic")
    held = msgspec.structs.replace(step.share, gres=(GresShare("gpu", "", (1, 2, 5)),))
    step = msgspec.structs.replace(step, share=held, gpu_cores=((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 2, 3)))
    first, second = binding.bind(step)
    assert binding.closest_gpus(step, first) == (1, 5)
    assert binding.closest_gpus(step, second) == (2,)
    assert binding.closest_gpus(step, first._replace(cpus=())) == (1, 2, 5), "a task that nothing binds"
    unknown = msgspec.structs.replace(step, gpu_cores=((), (), ()))
    assert binding.closest_gpus(unknown, first) == (), "nothing is near: all of them"


def test_verbose_says_it_as_slurm_does() -> None:
    given = order(2, cpu_bind="verbose,cores")
    before, after = binding.verbose_line(given, given.tasks[1], binding.bind(given)[1])
    assert f"{before}4711{after}" == "cpu-bind=MASK - n1, task  1  1 [4711]: mask 0x300 set\n"
    assert binding.verbose_line(order(1), TaskPlace(0, 0), binding.Bound("MASK", ())) == ("", "")


def test_the_machines_numbers_follow_sockets_cores_and_threads() -> None:
    # the kernel counts the second threads of all cores last
    places = {cpu: (cpu % 4 // 2, cpu % 2) for cpu in range(8)}
    assert cpus.ordered(places) == (0, 4, 1, 5, 2, 6, 3, 7)
    assert cpus.ordered({3: (0, 0), 1: (-1, -1)}) == (1, 3)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU only")
@pytest.mark.parametrize("verbose", ["", "verbose,"])
def test_tasks_on_real_cpus_are_really_bound(tmp_path: Path, verbose: str) -> None:
    side = NodeSide(tmp_path / "agent", virtual=False, cgroups="off")
    try:
        key = side.step(
            "sh", "-c", "grep Cpus_allowed_list /proc/self/status", ntasks=2, cpus=(0, 1), cpu_bind=f"{verbose}map_cpu:1,0",
            stdio=StdioSpec(stdout="out.%t", stderr="err.%t"),
        )  # fmt: skip
        side.finished(key)
        mine = [(side.work_dir / f"out.{rank}").read_text().split() for rank in range(2)]
        assert [int(words[1]) for words in mine] == [cpus.in_order()[1], cpus.in_order()[0]]
        said = (side.work_dir / "err.1").read_text()
        assert ("cpu-bind=MAP  - " in said and "mask 0x1 set" in said) == bool(verbose)
    finally:
        side.close()
