"""What is a heterogeneous job told of its components, and a task of the whole of its step?"""

from collections.abc import Sequence

from corral.agent.requested import requested_variables
from corral.model.step import HetStep
from corral.protocol.orders import HetGroup
from corral.syntax.hostlist import fold
from corral.syntax.runlength import counts


def het_variables(groups: Sequence[HetGroup]) -> dict[str, str]:
    """SLURM_HET_SIZE, and of each component what a job of its own would be told, with _HET_GROUP_n behind (and by its older name)."""
    size = str(max(group.offset for group in groups) + 1)
    result = {"SLURM_HET_SIZE": size, "SLURM_PACK_SIZE": size}
    for group in groups:
        number = group.offset
        for name, value in of_group(group).items():
            if value not in (None, ""):
                result[f"{name}_HET_GROUP_{number}"] = result[f"{name}_PACK_GROUP_{number}"] = str(value)
    return result


def of_group(group: HetGroup) -> dict[str, object]:
    return {
        **(requested_variables(group.spec, group.allocation) if group.spec and group.allocation else {}),
        "SLURM_JOB_ACCOUNT": group.account,
        "SLURM_JOB_CPUS_PER_NODE": counts(group.cpus),
        "SLURM_JOB_ID": group.job_id,
        "SLURM_JOB_NAME": group.name,
        "SLURM_JOB_NODELIST": fold(group.nodes),
        "SLURM_JOB_NUM_NODES": len(group.nodes),
        "SLURM_JOB_PARTITION": group.partition,
        "SLURM_JOB_QOS": group.qos,
        "SLURM_TASKS_PER_NODE": counts(group.tasks),
    }


def whole_step(het: HetStep, node: str) -> dict[str, str]:
    """A task of a step over several components belongs to the first's job, and counts nodes through."""
    nodes = fold(het.job_nodes)
    return {
        "SLURM_JOBID": str(het.job),
        "SLURM_JOB_ID": str(het.job),
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_NODELIST": nodes,
        "SLURM_JOB_NUM_NODES": str(len(het.job_nodes)),
        "SLURM_JOB_CPUS_PER_NODE": counts(het.job_cpus),
        "SLURM_NODEID": str(het.nodes.index(node)),
    }
