"""How are prolog and epilog run: once per job and node, with Slurm's variables, and not for ever?"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping

from corral.agent.visibility import GPU_VISIBILITY
from corral.model.gres import gpus_of
from corral.protocol.orders import JobContext
from corral.syntax.hostlist import fold
from corral.syntax.runlength import counts

#: What a shell says of a program that is not there.
NOT_FOUND = 127
#: Status of a program that took too long (it was ended by SIGKILL).
TIMED_OUT = 128 + signal.SIGKILL


def node_program_environment(job: JobContext, node: str, context: str, endpoint: str = "") -> dict[str, str]:
    """The variables of a prolog or epilog. context: "prolog_slurmd" or "epilog_slurmd". The user's own are not among them."""
    spec = job.spec
    result = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SLURM_CLUSTER_NAME": job.cluster,
        "SLURM_JOBID": str(job.job_id),
        "SLURM_JOB_ID": str(job.job_id),
        "SLURM_JOB_NAME": job.name,
        "SLURM_JOB_UID": str(job.owner.uid),
        "SLURM_JOB_GID": str(job.owner.gid),
        "SLURM_UID": str(job.owner.uid),
        "SLURM_JOB_USER": job.owner.user,
        "SLURM_JOB_GROUP": job.owner.group,
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_NODELIST": fold(job.allocation.node_names),
        "SLURM_NODELIST": fold(job.allocation.node_names),
        "SLURM_JOB_NUM_NODES": str(len(job.allocation.nodes)),
        "SLURM_JOB_CPUS_PER_NODE": counts([len(share.cpus) for share in job.allocation.nodes]),
        "SLURM_JOB_WORK_DIR": spec.work_dir,
        "SLURM_RESTART_COUNT": str(job.restarts),
        "SLURM_SCRIPT_CONTEXT": context,
        "SLURMD_NODENAME": node,
    }
    for name, text in (
        ("SLURM_JOB_ACCOUNT", job.account),
        ("SLURM_JOB_QOS", job.qos),
        ("SLURM_JOB_COMMENT", spec.comment),
        ("SLURM_JOB_CONSTRAINTS", spec.constraint),
        ("SLURM_JOB_RESERVATION", job.reservation),
        ("CORRAL_ENDPOINT", endpoint),
    ):
        if text:
            result[name] = text
    if job.array_task_id is not None:
        result |= {"SLURM_ARRAY_JOB_ID": str(job.array_job_id), "SLURM_ARRAY_TASK_ID": str(job.array_task_id)}
    share = job.allocation.on(node)
    gpus = [str(i) for i in gpus_of(share.gres if share else ())]
    if gpus:
        result |= {"SLURM_JOB_GPUS": ",".join(gpus), **dict.fromkeys(GPU_VISIBILITY, ",".join(gpus))}
    return result


async def run_program(
    path: str, environment: Mapping[str, str], timeout: float, work_dir: str = "/"
) -> tuple[int, str]:
    """Run to its end; (exit status as a shell says it, its last words). Its whole process group goes when it is too slow."""
    # A file, not a pipe: a child it leaves behind may write there as long as it likes.
    with tempfile.TemporaryFile() as errors:
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                env=dict(environment),
                cwd=work_dir,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return NOT_FOUND, f"{path}: {error.strerror}"
        try:
            status = await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            _kill_group(process.pid)
            await process.wait()
            return TIMED_OUT, f"{path} took longer than {timeout:g} s"
        except asyncio.CancelledError:
            _kill_group(process.pid)
            raise
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 1000))
        text = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
    return (status if status >= 0 else 128 - status), text or f"{path} ended with status {status}"


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
