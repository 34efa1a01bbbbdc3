"""What do a job's requirements and allocation come to?"""

import pytest

from corral.controller import values
from corral.model.allocation import Allocation, NodeShare
from corral.model.gres import GresRequest, GresShare
from corral.model.job import JobSpec

GPU = GresRequest("gpu", "", 1)


@pytest.mark.parametrize(
    ("spec", "nodes", "cpus", "tres"),
    [
        (JobSpec(), 1, 1, "cpu=1,node=1,billing=1"),
        (JobSpec(ntasks=4, cpus_per_task=2), 1, 8, "cpu=8,node=1,billing=8"),
        (JobSpec(nodes_min=3), 3, 3, "cpu=3,node=3,billing=3"),
        (JobSpec(nodes_min=2, ntasks_per_node=4), 2, 8, "cpu=8,node=2,billing=8"),
        (JobSpec(nodes_min=2, gres=(GPU,)), 2, 2, "cpu=2,node=2,billing=34,gres/gpu=2"),
        (JobSpec(ntasks=3, gpus_per_task=(GPU,)), 1, 3, "cpu=3,node=1,billing=51,gres/gpu=3"),
        (JobSpec(gpus=(GresRequest("gpu", "v100", 4),), cpus_per_gpu=3), 1, 12, "cpu=12,node=1,billing=76,gres/gpu=4"),
        (JobSpec(memory_per_node_mb=2048), 1, 1, "cpu=1,mem=2G,node=1,billing=1"),
        (JobSpec(ntasks=2, memory_per_cpu_mb=100), 1, 2, "cpu=2,mem=200M,node=1,billing=2"),
    ],
)
def test_what_is_asked_for(spec, nodes, cpus, tres):
    asked = values.asked(spec)
    assert (asked.nodes, asked.cpus, asked.tres) == (nodes, cpus, tres)


def test_what_is_held():
    share = NodeShare(node="n1", cpus=(0, 1), memory_mb=100, gres=(GresShare("gpu", "v100", (0, 1, 3)),))
    assert values.allocated_tres(Allocation(nodes=(share,))) == "cpu=2,mem=100M,node=1,billing=50,gres/gpu=3"
    assert values.gres_in_use(share) == "gpu:v100:3(IDX:0-1,3)"


def test_node_names_are_folded():
    assert values.fold(("n1",)) == "n1"
    assert values.fold(("n1", "n2", "n4")) == "n[1-2,4]"


@pytest.mark.parametrize(
    ("wanted", "nodes"),
    [
        (JobSpec(ntasks=4, cpus_per_task=2), 1),
        (JobSpec(ntasks=40, cpus_per_task=2), 5),
        (JobSpec(ntasks=33, cpus_per_task=3), 7),
        (JobSpec(ntasks=17), 2),
        (JobSpec(ntasks=4, ntasks_per_node=1), 4),
        (JobSpec(ntasks=4, nodes_min=2, nodes_max=4), 4),
        (JobSpec(ntasks=3, nodes_min=3, nodes_max=7), 3),
        (JobSpec(nodes_min=2, nodes_max=4), 4),
        (JobSpec(nodes_min=2, nodes_max=2), 2),
        (JobSpec(ntasks=4, cpus_per_task=2, gpus=(GresRequest("gpu", "", 16),)), 2),
    ],
)
def test_a_waiting_job_shows_the_nodes_it_would_take_of_16_cpus_and_8_gpus(wanted: JobSpec, nodes: int) -> None:
    """The numbers are those that Slurm 22.05 shows."""
    assert values.nodes_wanted(values.asked(wanted), wanted, 16, 8) == nodes
