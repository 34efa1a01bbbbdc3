"""Which job or step do the options describe? Plain dicts in the shape of `model.job`'s JobSpec and StepSpec.

What was not said is left out: the cluster's or the partition's default counts.
"""

from __future__ import annotations

import os

from corral.cli import containers, limits, placing

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given
    from corral.cli.run import Exit

#: option -> field of JobSpec, where the value goes over as it is
_JOB_FIELDS = {
    "account": "account", "acctg-freq": "acctg_freq",
    "array": "array", "batch": "batch_features", "begin": "begin_time", "comment": "comment", "wckey": "wckey",
    "constraint": "constraint", "contiguous": "contiguous", "cores-per-socket": "cores_per_socket",
    "cpus-per-gpu": "cpus_per_gpu", "cpus-per-task": "cpus_per_task", "deadline": "deadline", "dependency": "dependency",
    "distribution": "distribution", "exclude": "exclude", "gpu-bind": "gpu_bind", "gpus": "gpus",
    "gpus-per-socket": "gpus_per_socket", "gres-flags": "gres_flags", "hint": "hint", "mem-bind": "mem_bind",
    "mincpus": "mincpus", "ntasks-per-core": "ntasks_per_core", "ntasks-per-gpu": "ntasks_per_gpu",
    "ntasks-per-socket": "ntasks_per_socket", "oversubscribe": "oversubscribe", "prefer": "prefer",
    "sockets-per-node": "sockets_per_node", "spread-job": "spread_job", "threads-per-core": "threads_per_core",
    "tmp": "tmp_disk_mb", "use-min-nodes": "use_min_nodes",
    "gpus-per-node": "gpus_per_node", "gpus-per-task": "gpus_per_task", "gres": "gres", "hold": "hold",
    "kill-on-bad-exit": "kill_on_bad_exit", "extra": "extra", "admin-comment": "admin_comment",
    "mail-type": "mail_types", "mail-user": "mail_user",
    "mem": "memory_per_node_mb", "mem-per-cpu": "memory_per_cpu_mb", "mem-per-gpu": "memory_per_gpu_mb", "nice": "nice",
    "no-kill": "no_kill", "nodelist": "nodelist", "ntasks": "ntasks", "ntasks-per-node": "ntasks_per_node",
    "overcommit": "overcommit", "partition": "partition", "qos": "qos", "signal": "signal", "time": "time_limit",
    "time-min": "time_min", "licenses": "licenses", "reservation": "reservation", "ports": "ports", "wait-all-nodes": "wait_all_nodes",
}  # fmt: skip

_STEP_FIELDS = {
    "acctg-freq": "acctg_freq",
    "cpu-bind": "cpu_bind", "gpu-bind": "gpu_bind", "hint": "hint", "mem-bind": "mem_bind", "ntasks-per-core": "ntasks_per_core",
    "ntasks-per-gpu": "ntasks_per_gpu", "ntasks-per-socket": "ntasks_per_socket", "threads-per-core": "threads_per_core",
    "cpus-per-task": "cpus_per_task", "distribution": "distribution", "exact": "exact", "exclude": "exclude", "gpus": "gpus",
    "gpus-per-node": "gpus_per_node", "gpus-per-task": "gpus_per_task", "gres": "gres",
    "kill-on-bad-exit": "kill_on_bad_exit", "mem": "memory_per_node_mb", "mem-per-cpu": "memory_per_cpu_mb", "mpi": "mpi",
    "no-kill": "no_kill", "nodelist": "nodelist", "ntasks": "ntasks", "ntasks-per-node": "ntasks_per_node",
    "task-epilog": "task_epilog", "task-prolog": "task_prolog",
    "overcommit": "overcommit", "overlap": "overlap", "resv-ports": "resv_ports", "relative": "relative", "wait": "wait_seconds",
}  # fmt: skip


def job_spec(given: Given, kind: str) -> dict[str, Any]:
    """What the options say of the job itself; name, command and streams are the command's part."""
    placing.settle(given)
    _check_words(given)
    _count_tasks(given)
    _check_gpus(given)
    spec: dict[str, Any] = {
        "kind": kind,
        "work_dir": work_dir(given),
        "umask": current_umask(),
        "rlimits": limits.current(given.get("propagate", "ALL")),
        "submit_host": os.uname().nodename,
        "submit_sid": os.getsid(0),
    }
    if "propagate" in given:
        spec["rlimits_chosen"] = True
    for option, field in _JOB_FIELDS.items():
        if _is_said(given.get(option)) and given.values[option] != []:
            spec[field] = given.values[option]
    _put_nodes(given, spec)
    spec |= placing.fields(given)
    if given.get("priority") == 0:  # as the real one: a job of no priority waits
        spec["hold"] = True
    elif given.get("priority") is not None:
        spec["priority"] = given.get("priority")
    if "no-requeue" in given or "requeue" in given:
        spec["requeue"] = "requeue" in given and "no-requeue" not in given
    if "immediate" in given:
        spec["immediate"] = True
    if "kill-on-invalid-dep" in given:
        spec["kill_on_invalid_dep"] = given.get("kill-on-invalid-dep")
    if (container := containers.spec(given, current_directory())) is not None:
        spec["container"] = container
    return spec


def step_spec(given: Given, argv: list[str], name: str) -> dict[str, Any]:
    """What the options say of srun's step."""
    placing.settle(given)
    step: dict[str, Any] = {
        "name": name,
        "argv": argv,
        "work_dir": work_dir(given),
        "umask": current_umask(),
        "rlimits": limits.current(given.get("propagate", "ALL")),
        "client_host": os.uname().nodename,
        "client_pid": os.getpid(),
    }
    if "propagate" in given:
        step["rlimits_chosen"] = True
    for option, field in _STEP_FIELDS.items():
        if _is_said(given.get(option)):
            step[field] = given.values[option]
    packed = (given.get("distribution") or "").rpartition(",")[2] == "pack"
    if not (packed and "nodes" in given.from_environment):  # on as few nodes of the job as will do
        _put_nodes(given, step)
    if given.get("exclusive") is True:
        step["exclusive"] = step["exact"] = True
    elif "cpus-per-task" in given and "whole" not in given:  # srun(1): it implies --exact
        step["exact"] = True
    if "immediate" in given:
        step["immediate"] = True
    if (container := containers.spec(given, current_directory())) is not None:
        step["container"] = container
    return step


def _is_said(value: object) -> bool:
    """Zero is a value: --mem=0 asks for all."""
    return value is not None and value is not False and value != ""


def _put_nodes(given: Given, spec: dict[str, Any]) -> None:
    if "nodes" in given:
        least, most = given.get("nodes")
        spec["nodes_min"] = least
        if most or not least:
            spec["nodes_max"] = most


def fit_tasks_to_nodes(given: Given) -> None:
    """How srun counts: one task per node when only nodes are given, and no more nodes than tasks."""
    placing.settle(given)
    least, most = given.get("nodes", (0, 0))
    tasks, per_node = given.get("ntasks"), given.get("ntasks-per-node")
    if tasks is None:
        if least and most in (0, least):
            given.values["ntasks"] = least * (per_node or 1)
    elif least and tasks < least:
        _fewer_nodes(given, tasks, least, most)
    least, most = given.get("nodes", (0, 0))
    if not per_node or tasks is None or not least or most not in (0, least):
        return
    if tasks // least != per_node:
        if "ntasks-per-node" not in given.from_environment:  # of the job: meant for the whole of it, not for this step
            given.program.warning(
                f"can't honor --ntasks-per-node set to {per_node} which doesn't match the requested tasks {tasks} "
                f"with the number of requested nodes {least}. Ignoring --ntasks-per-node."
            )
        given.drop("ntasks-per-node")
    elif tasks > per_node * least and given.get("jobid") is not None:  # the real one goes on without a word
        given.drop("ntasks-per-node")


def work_dir(given: Given) -> str:
    """--chdir, made absolute; else where we are, by the name the shell has for it."""
    here = current_directory()
    path: str = given.get("chdir") or ""
    return path if path.startswith("/") else f"{here}/{path}" if path else here


def current_directory() -> str:
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and os.path.samestat(os.stat(named), os.stat(".")):
            return named
    except OSError:
        pass
    try:
        return os.getcwd()
    except OSError:
        return "/"


def current_umask() -> int:
    given = os.environ.get("SLURM_UMASK", "")
    if given.isdigit() and not given.strip("01234567"):
        return int(given, 8)
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_words(given: Given) -> None:
    from corral.cli.given import REFUSED_AS

    refused = REFUSED_AS[given.program.name]
    if "partition" in given and not given.get("partition"):
        raise _two(given, "invalid partition specified: (null)", f"{refused}Invalid partition name specified")
    if (given.get("distribution") or "").startswith("arbitrary") and not given.get("nodelist"):
        raise given.program.failed(
            "With Arbitrary distribution you need to specify a nodelist or hostfile with the -w option"
        )
    if "nodelist" in given:
        _check_node_list(given, refused)


def _check_node_list(given: Given, refused: str) -> None:
    """A named node is one of the job's: the list sets the least number of nodes."""
    if not given.get("nodelist"):
        raise given.program.failed(f"{refused}Node count specification invalid")
    from corral.errors import InvalidHostlist
    from corral.syntax import hostlist

    try:
        count = len(dict.fromkeys(hostlist.expand(given.get("nodelist"))))
    except InvalidHostlist:
        raise given.program.failed(f"{refused}Invalid node name specified") from None
    least, most = given.get("nodes", (0, 0))
    if most and count > most:
        raise given.program.failed(f"invalid number of nodes (-N {count}-{most})")
    if count > least:
        given.values["nodes"] = (count, most)


def _fewer_nodes(given: Given, tasks: int, least: int, most: int) -> None:
    span = str(least) if most in (0, least) else f"{least}-{most}"
    given.program.warning(f"can't run {tasks} processes on {span} nodes, setting nnodes to {tasks}")
    given.values["nodes"] = (tasks, tasks if most in (0, least) else most)


def _count_tasks(given: Given) -> None:
    """sbatch and salloc: no more nodes than tasks."""
    tasks = given.get("ntasks")
    least, most = given.get("nodes", (0, 0))
    if tasks is not None and tasks < least and given.program.name != "srun" and "nodelist" not in given:
        _fewer_nodes(given, tasks, least, most)


def _check_gpus(given: Given) -> None:
    """The numbers of GPUs must go together."""
    job, task = _gpu_count(given, "gpus"), _gpu_count(given, "gpus-per-task")
    node = _gpu_count(given, "gpus-per-node") or _gpu_count(given, "gres")
    problem = ""
    nodes = given.get("nodes", (0, 0))
    if task and not job and "ntasks" not in given:
        problem = (
            "Failed to validate job spec. --gpus-per-task used without either --gpus or -n/--ntasks is not allowed."
        )
    elif job and node and node > job:
        problem = "Failed to ensure --gpus >= --gres=gpu/--gpus-per-node >= --gpus-per-socket"
    elif job and node and job % node:
        problem = "Failed to validate job spec, --gpus is not multiple of --gres=gpu/--gpus-per-node"
    elif job and job < nodes[0]:
        problem = "Failed to validate job spec, --gpus < -N"
    elif (job or node or task) and "cpus-per-gpu" in given and "cpus-per-task" in given:
        problem = "--cpus-per-gpu is mutually exclusive with --cpus-per-task"
    elif placing.gpu_problem(given):
        problem = placing.gpu_problem(given)
    elif "mem-per-gpu" in given and not (job or node or task):
        problem = f"Requested mem_per_tres=gres:gpu:{given.get('mem-per-gpu')} but did not request any GPU."
    if problem:
        raise _two(given, problem, "Invalid generic resource (gres) specification")


def _gpu_count(given: Given, option: str) -> int:
    return sum(count for name, _, count, *part in given.get(option, ()) if name == "gpu" and not part)


def _two(given: Given, first: str, second: str) -> Exit:
    from corral.cli.run import Exit, failure

    name = given.program.name
    return Exit(failure(), f"{name}: error: {first}", f"{name}: error: {second}")
