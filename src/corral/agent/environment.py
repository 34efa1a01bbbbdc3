"""Which variables does Slurm put into a batch script, a step and a task?

A step's client hands over its whole environment. Inside a job that already holds what the batch script was given, and Slurm
lets most of it through (SLURM_MEM_PER_NODE, SLURM_JOB_GPUS, SLURM_ARRAY_*): only what belongs to the step is set anew.
A batch script begins from what the submitter had; variables of a job around the submitter are taken out first.
"""

from collections.abc import Iterable

from corral.agent import binding
from corral.agent.hetjob import het_variables, whole_step
from corral.agent.requested import distribution_variables, requested_variables
from corral.agent.visibility import GPU_VISIBILITY, PLAIN, Naming, visible
from corral.daemon.login import is_wanted, login_environment
from corral.model.gres import GresShare, gpus_of
from corral.model.job import JobKind
from corral.model.step import StepKey, TaskPlace
from corral.protocol.orders import JobContext, LaunchStep
from corral.syntax import arrayspec
from corral.syntax.hostlist import fold
from corral.syntax.runlength import counts

#: Names the launch that a process belongs to: what a killed shepherd has left is found by it.
STEP_MARK = "CORRAL_STEP"

_OF_WHOLE_JOB = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU")

_SHORT_MODES = {"append": "a", "truncate": "t"}

#: Left in a batch script's environment when the submitter had them: sbatch itself sets them there, or the user means them.
_KEPT = frozenset(
    {
        "SLURM_CLUSTERS", "SLURM_CONF", "SLURM_CPU_BIND", "SLURM_CPU_BIND_LIST", "SLURM_CPU_BIND_TYPE", "SLURM_CPU_BIND_VERBOSE",
        "SLURM_EXPORT_ENV", "SLURM_GET_USER_ENV", "SLURM_HINT", "SLURM_PRIO_PROCESS", "SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST",
        "SLURM_THREADS_PER_CORE", "SLURM_TIME_FORMAT",
    }
)  # fmt: skip


def batch_environment(order: LaunchStep, *, gpus: Naming = PLAIN) -> dict[str, str]:
    """All variables of a batch script, but for SLURM_TASK_PID. `gpus`: how they are called here."""
    job, spec = order.job, order.job.spec
    login = login_environment(job.owner.user, job.owner.uid) if is_wanted(order.environment) else {}
    given = dict(order.environment)
    for name in [name for name in given if name[:5] == "SLURM"]:
        if name.startswith(("SLURM_", "SLURMD_")) and name not in _KEPT:
            del given[name]
    for name in GPU_VISIBILITY:
        given.pop(name, None)
    result = login | given
    result |= _job_variables(job)
    result |= _where(order, node_id=0, local_id=0, rank=0, ranks=(0,))
    nodes = job.allocation.nodes
    tasks = [share.tasks for share in nodes]
    if not (spec.ntasks or spec.ntasks_per_node or spec.ntasks_per_gpu) or not any(tasks):
        tasks = [max(1, share.cpu_count // job.allocation.cpus_per_task) for share in nodes]
    result |= {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": order.node,
        "SLURM_CPUS_ON_NODE": str(order.job_share.cpu_count),
        "SLURM_NNODES": str(len(nodes)),
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_TASKS_PER_NODE": counts(tasks),
    }
    requested = requested_variables(spec, job.allocation)
    if job.het:  # with the number of the component behind, but for these
        requested = {name: value for name, value in requested.items() if name in _OF_WHOLE_JOB}
    result |= requested
    if job.name != "sbatch" or spec.command:  # a script from standard input has no name
        result["SLURM_JOB_NAME"] = job.name
    if spec.stdio.open_mode:
        result["SLURM_OPEN_MODE"] = _SHORT_MODES.get(spec.stdio.open_mode, spec.stdio.open_mode)
    if held := gpus_of(order.job_share.gres):
        result["SLURM_JOB_GPUS"] = _ids(held)
        result["SLURM_GPUS_ON_NODE"] = str(len(held))
        result |= visible(held, held, gpus) | _shards(order.job_share.gres)
    result.setdefault("TMPDIR", "/tmp")
    return result


def task_environment(order: LaunchStep, place: TaskPlace, *, gpus: Naming = PLAIN) -> dict[str, str]:
    """All variables of one task of a step, but for SLURM_TASK_PID. The arguments are those of `batch_environment`."""
    job, spec = order.job, order.spec
    result = dict(order.environment)
    result |= _job_variables(job)
    ranks = [task.rank for task in order.tasks]
    node_id = order.step_nodes.index(order.node)
    result |= _where(order, node_id=node_id, local_id=place.local_id, rank=place.rank, ranks=ranks)
    all_nodes, tasks_per_node, ntasks = order.step_nodes, order.tasks_per_node, order.ntasks
    if order.het is not None:
        all_nodes, tasks_per_node, ntasks = order.het.nodes, order.het.tasks_per_node, order.het.ntasks
        result |= whole_step(order.het, order.node)
    tasks, step_nodes = counts(tasks_per_node), fold(all_nodes)
    result |= {
        "SLURM_CPUS_ON_NODE": str(len(order.share.cpus)),
        "SLURM_NNODES": str(len(all_nodes)),
        "SLURM_NPROCS": str(ntasks),
        "SLURM_NTASKS": str(ntasks),
        "SLURM_TASKS_PER_NODE": tasks,
        "SLURM_STEPID": str(order.key.step),
        "SLURM_STEP_ID": str(order.key.step),
        "SLURM_STEP_NODELIST": step_nodes,
        "SLURM_STEP_NUM_NODES": str(len(all_nodes)),
        "SLURM_STEP_NUM_TASKS": str(ntasks),
        "SLURM_STEP_TASKS_PER_NODE": tasks,
        "SLURM_UMASK": f"{spec.umask:04o}",
        "SRUN_DEBUG": "3",
    }
    result.setdefault("SLURM_JOB_NAME", job.name)
    if job.spec.kind is JobKind.SRUN:
        result["SLURM_JOB_NAME"] = job.name
    elif order.het is None:
        result["SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0"] = result["SLURM_JOB_CPUS_PER_NODE"]
    if spec.cpus_per_task is not None:
        result["SLURM_CPUS_PER_TASK"] = str(spec.cpus_per_task)
    if spec.ntasks_per_node is not None:
        result["SLURM_NTASKS_PER_NODE"] = str(spec.ntasks_per_node)
    if spec.overcommit:
        result["SLURM_OVERCOMMIT"] = "1"
    if order.ports:
        result["SLURM_STEP_RESV_PORTS"] = order.ports
    if order.mpi:
        result["SLURM_MPI_TYPE"] = order.mpi
    if spec.stdio.label:
        result["SLURM_LABELIO"] = "1"
    for name, number in (
        ("SLURM_NTASKS_PER_SOCKET", spec.ntasks_per_socket),
        ("SLURM_NTASKS_PER_CORE", spec.ntasks_per_core),
        ("SLURM_THREADS_PER_CORE", spec.threads_per_core),
        ("SLURM_NTASKS_PER_TRES", spec.ntasks_per_gpu),
    ):
        if number is not None:
            result[name] = str(number)
    result |= binding.cpu_variables(order) | binding.memory_variables(spec.mem_bind, of_step=True)
    result |= distribution_variables(_full(spec.distribution, order))
    result |= _launcher(order)
    _set_step_gpus(result, order, place, gpus)
    if place.local_id == 0:
        result.setdefault("TMPDIR", "/tmp")
    return result


def step_mark(node: str, key: StepKey) -> str:
    return f"{node}/{key}"


def _job_variables(job: JobContext) -> dict[str, str]:
    """What batch script and tasks are told alike."""
    spec, nodes = job.spec, job.allocation.nodes
    folded = fold(job.allocation.node_names)
    result = {
        "SLURM_CLUSTER_NAME": job.cluster,
        "SLURM_JOBID": str(job.job_id),
        "SLURM_JOB_ID": str(job.job_id),
        "SLURM_JOB_CPUS_PER_NODE": counts([share.cpu_count for share in nodes]),
        "SLURM_JOB_GID": str(job.owner.gid),
        "SLURM_JOB_UID": str(job.owner.uid),
        "SLURM_JOB_USER": job.owner.user,
        "SLURM_JOB_NODELIST": folded,
        "SLURM_NODELIST": folded,
        "SLURM_JOB_NUM_NODES": str(len(nodes)),
        "SLURM_JOB_PARTITION": job.partition,
    }
    if job.account:
        result["SLURM_JOB_ACCOUNT"] = job.account
    if job.qos:
        result["SLURM_JOB_QOS"] = job.qos
    if job.reservation:
        result["SLURM_JOB_RESERVATION"] = job.reservation
    if job.restarts and not job.spec.cron:  # a new time of a crontab is no restart
        result["SLURM_RESTART_COUNT"] = str(job.restarts)
    if job.array_task_id is not None:
        result |= {
            "SLURM_ARRAY_JOB_ID": str(job.array_job_id),
            "SLURM_ARRAY_TASK_ID": str(job.array_task_id),
            "SLURM_ARRAY_TASK_COUNT": str(job.array_task_count),
            "SLURM_ARRAY_TASK_MAX": str(job.array_task_max),
            "SLURM_ARRAY_TASK_MIN": str(job.array_task_min),
            "SLURM_ARRAY_TASK_STEP": str(job.array_task_step),
        }
    if job.ports:
        result["CORRAL_PORTS"] = ",".join(map(str, arrayspec.parse(job.ports, 1 << 16).indices))
    if spec.submit_host:
        result["SLURM_SUBMIT_HOST"] = spec.submit_host
    return result | het_variables(job.het) if job.het else result


def _where(order: LaunchStep, *, node_id: int, local_id: int, rank: int, ranks: Iterable[int]) -> dict[str, str]:
    given = order.environment
    return {
        "SLURMD_NODENAME": order.node,
        "SLURM_TOPOLOGY_ADDR": order.topology[0] or order.node,
        "SLURM_TOPOLOGY_ADDR_PATTERN": order.topology[1] or "node",
        "SLURM_NODEID": str(node_id),
        "SLURM_LOCALID": str(local_id),
        "SLURM_PROCID": str(rank),
        "SLURM_GTIDS": _ids(ranks),
        "SLURM_PRIO_PROCESS": given.get("SLURM_PRIO_PROCESS", "0"),
        "SLURM_SUBMIT_DIR": given.get("SLURM_SUBMIT_DIR", order.job.spec.work_dir),
    }


def _launcher(order: LaunchStep) -> dict[str, str]:
    """Where the srun is: some MPI starters connect back to it. The port is the message bus's, through which srun is reached."""
    host, port = order.spec.client_host, ""
    if order.io is not None:
        address = order.io.url.partition(",")[0].rpartition("/")[2]
        bus_host, _, port = address.rpartition(":")
        host = host or bus_host.strip("[]")
    result = {"SLURM_LAUNCH_NODE_IPADDR": host, "SLURM_SRUN_COMM_HOST": host} if host else {}
    return result | ({"SLURM_SRUN_COMM_PORT": port, "SLURM_STEP_LAUNCHER_PORT": port} if port else {})


def _default_distribution(order: LaunchStep) -> str:
    """What srun says when the user did not: an srun that makes its own job is silent unless it asked for memory."""
    asked = order.job.spec
    if order.het is not None:
        return "block"
    memory = asked.memory_per_node_mb is not None or asked.memory_per_cpu_mb is not None
    if asked.kind is JobKind.SRUN and (not memory or asked.memory_by_default):
        return ""
    if order.environment.get("SLURM_DISTRIBUTION"):
        return ""
    return "cyclic" if order.ntasks <= len(order.step_nodes) else "block"


def _full(text: str, order: LaunchStep) -> str:
    """With what goes without saying: block before `pack`."""
    if not text:
        return _default_distribution(order)
    return f"block,{text}" if text in ("pack", "nopack") else text


def _set_step_gpus(result: dict[str, str], order: LaunchStep, place: TaskPlace, gpus: Naming) -> None:
    held = gpus_of(order.share.gres)
    for name in (*GPU_VISIBILITY, "SLURM_GPUS_ON_NODE", "SLURM_SHARDS_ON_NODE", "SLURM_STEP_GPUS", "SLURMD_TRES_BIND"):
        result.pop(name, None)
    if not held:
        if order.spec.gpus_per_task == ():
            result["SLURMD_TRES_BIND"] = "gpu:per_task:0"
        return
    own = place.gpus or held
    result["SLURM_GPUS_ON_NODE"] = str(len(held))
    result["SLURM_STEP_GPUS"] = _ids(own)
    result |= visible(own, held, gpus) | _shards(order.share.gres)
    if text := binding.gpu_binding(order):
        result["SLURMD_TRES_BIND"] = f"gpu:{text}"
        if text.rpartition(",")[2] == "none":
            for name in (*GPU_VISIBILITY, "SLURM_STEP_GPUS"):
                result.pop(name, None)


def _shards(shares: Iterable[GresShare]) -> dict[str, str]:
    """Of a share of a GPU: as how many shards it counts."""
    count = sum(share.count for share in shares if share.name == "shard")
    return {"SLURM_SHARDS_ON_NODE": str(count)} if count else {}


def _ids(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
