"""Which options have sbatch, srun and salloc? One table for the command line, #SBATCH lines and the input variables.

To add an option: a row here, a reader in `values.py` if its text is of a new kind, and what becomes of it in
`corral.cli.jobspec`. Options that are known but not offered are in `refused.py`.
"""

from __future__ import annotations

from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.options import containers, places, values

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Reader = Callable[[str, str], Any]

#: The letters by which a row says whose option it is.
COMMANDS = {"sbatch": "b", "scrontab": "b", "srun": "r", "salloc": "a"}


class Option:
    """One row: a name, a letter, what follows it, whose it is, how its value is read, and which variables give it too."""

    __slots__ = ("argument", "commands", "letter", "name", "reader", "refusal", "same_as", "variables")

    def __init__(
        self, name: str, letter: str, argument: int, commands: str, reader: Reader, variables: str = "", same_as: str = "",
        refusal: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.letter = letter
        self.argument = argument
        self.commands = commands
        self.reader = reader
        self.variables = variables
        self.same_as = same_as or name  #: under which name its value is kept
        self.refusal = refusal  #: why it is not offered; "" = it is


_TEXT, _COUNT, _FLAG = values.text, values.positive, values.flag

_ROWS = (
    Option("account", "A", REQUIRED, "bra", _TEXT, "SBATCH_ACCOUNT SLURM_ACCOUNT SALLOC_ACCOUNT"),
    Option("acctg-freq", "", REQUIRED, "bra", values.sample_interval, "SBATCH_ACCTG_FREQ SLURM_ACCTG_FREQ SALLOC_ACCTG_FREQ"),
    Option("admin-comment", "", REQUIRED, "bra", _TEXT),
    Option("array", "a", REQUIRED, "b", _TEXT, "SBATCH_ARRAY_INX"),
    Option("batch", "", REQUIRED, "b", _TEXT, "SBATCH_BATCH"),
    Option("bcast", "", OPTIONAL, "r", _TEXT, "SLURM_BCAST"),
    Option("bcast-exclude", "", REQUIRED, "r", _TEXT, "SLURM_BCAST_EXCLUDE"),
    Option("begin", "b", REQUIRED, "bra", values.moment),
    Option("bell", "", NO, "a", _FLAG, "SALLOC_BELL"),
    Option("chdir", "D", REQUIRED, "bra", _TEXT, "SLURM_REMOTE_CWD SLURM_WORKING_DIR"),
    Option("cluster", "M", REQUIRED, "bra", _TEXT, same_as="clusters"),
    Option("clusters", "M", REQUIRED, "bra", _TEXT, "SLURM_CLUSTERS SBATCH_CLUSTERS SALLOC_CLUSTERS"),
    Option("comment", "", REQUIRED, "bra", _TEXT),
    Option("compress", "", OPTIONAL, "r", _TEXT, "SLURM_COMPRESS"),
    Option("constraint", "C", REQUIRED, "bra", _TEXT, "SBATCH_CONSTRAINT SLURM_CONSTRAINT SALLOC_CONSTRAINT"),
    Option("container-entrypoint", "", NO, "bra", containers.yes, "PYXIS_CONTAINER_ENTRYPOINT"),
    Option("container-env", "", REQUIRED, "bra", containers.variables, "PYXIS_CONTAINER_ENV"),
    Option("container-image", "", REQUIRED, "bra", containers.image, "PYXIS_CONTAINER_IMAGE"),
    Option("container-mount-home", "", NO, "bra", containers.yes, "PYXIS_CONTAINER_MOUNT_HOME"),
    Option("container-mounts", "", REQUIRED, "bra", containers.mounts, "PYXIS_CONTAINER_MOUNTS"),
    Option("container-name", "", REQUIRED, "bra", containers.container_name, "PYXIS_CONTAINER_NAME"),
    Option("container-readonly", "", NO, "bra", containers.no, "PYXIS_CONTAINER_READONLY", same_as="container-writable"),
    Option("container-remap-root", "", NO, "bra", containers.yes, "PYXIS_CONTAINER_REMAP_ROOT"),
    Option("container-save", "", REQUIRED, "bra", containers.path, "PYXIS_CONTAINER_SAVE"),
    Option("container-workdir", "", REQUIRED, "bra", containers.path, "PYXIS_CONTAINER_WORKDIR"),
    Option("container-writable", "", NO, "bra", containers.yes, "PYXIS_CONTAINER_WRITABLE"),
    Option("contiguous", "", NO, "bra", _FLAG),
    Option("core-spec", "S", REQUIRED, "bra", values.not_negative, "SBATCH_CORE_SPEC SLURM_CORE_SPEC SALLOC_CORE_SPEC"),
    Option("cores-per-socket", "", REQUIRED, "bra", _COUNT, "SLURM_NCORES_PER_SOCKET"),
    Option("cpu-bind", "", REQUIRED, "r", places.cpu_bind, "SLURM_CPU_BIND"),
    Option("cpu_bind", "", REQUIRED, "r", places.cpu_bind, same_as="cpu-bind"),
    Option("cpus-per-gpu", "", REQUIRED, "bra", _COUNT, "SBATCH_CPUS_PER_GPU SLURM_CPUS_PER_GPU SALLOC_CPUS_PER_GPU"),
    Option("cpus-per-task", "c", REQUIRED, "bra", _COUNT, "SRUN_CPUS_PER_TASK"),
    Option("deadline", "", REQUIRED, "bra", values.moment),
    Option("dependency", "d", REQUIRED, "bra", _TEXT, "SLURM_DEPENDENCY"),
    Option("disable-status", "X", NO, "r", _FLAG, "SLURM_DISABLE_STATUS"),
    Option("distribution", "m", REQUIRED, "bra", places.distribution, "SBATCH_DISTRIBUTION SLURM_DISTRIBUTION"),
    Option("epilog", "", REQUIRED, "r", _TEXT, "SLURM_EPILOG"),
    Option("error", "e", REQUIRED, "br", _TEXT, "SBATCH_ERROR SLURM_STDERRMODE"),
    Option("exact", "", NO, "r", _FLAG, "SLURM_EXACT"),
    Option("exclude", "x", REQUIRED, "bra", values.nodes_named),
    Option("exclusive", "", OPTIONAL, "bra", places.exclusive, "SBATCH_EXCLUSIVE SLURM_EXCLUSIVE SALLOC_EXCLUSIVE"),
    Option("export", "", REQUIRED, "br", _TEXT, "SBATCH_EXPORT SLURM_EXPORT_ENV SRUN_EXPORT_ENV"),
    Option("export-file", "", REQUIRED, "b", _TEXT),
    Option("extra-node-info", "B", REQUIRED, "bra", places.node_info),
    Option("gpu-bind", "", REQUIRED, "bra", places.gpu_bind, "SBATCH_GPU_BIND SLURM_GPU_BIND SALLOC_GPU_BIND"),
    Option("extra", "", REQUIRED, "bra", _TEXT),
    Option("gid", "", REQUIRED, "bra", values.group),
    Option("get-user-env", "", OPTIONAL, "ba", values.get_user_env, "SBATCH_GET_USER_ENV"),
    Option("gpus", "G", REQUIRED, "bra", values.gpus, "SBATCH_GPUS SLURM_GPUS SALLOC_GPUS"),
    Option("gpus-per-node", "", REQUIRED, "bra", values.gpus, "SBATCH_GPUS_PER_NODE SLURM_GPUS_PER_NODE SALLOC_GPUS_PER_NODE"),
    Option("gpus-per-socket", "", REQUIRED, "bra", values.gpus, "SBATCH_GPUS_PER_SOCKET SLURM_GPUS_PER_SOCKET SALLOC_GPUS_PER_SOCKET"),
    Option("gpus-per-task", "", REQUIRED, "bra", values.gpus, "SBATCH_GPUS_PER_TASK SLURM_GPUS_PER_TASK SALLOC_GPUS_PER_TASK"),
    Option("gres", "", REQUIRED, "bra", values.gres, "SBATCH_GRES SLURM_GRES SLURM_STEP_GRES SALLOC_GRES"),
    Option("gres-flags", "", REQUIRED, "bra", places.gres_flags, "SBATCH_GRES_FLAGS SLURM_GRES_FLAGS SALLOC_GRES_FLAGS"),
    Option("help", "h", NO, "bra", _FLAG),
    Option("het-group", "", REQUIRED, "r", _TEXT),
    Option("hint", "", REQUIRED, "bra", places.hint, "SBATCH_HINT SLURM_HINT SALLOC_HINT"),
    Option("hold", "H", NO, "bra", _FLAG),
    Option("ignore-pbs", "", NO, "b", _FLAG, "SBATCH_IGNORE_PBS"),
    Option("immediate", "I", OPTIONAL, "ra", values.immediate, "SLURM_IMMEDIATE SALLOC_IMMEDIATE"),
    Option("input", "i", REQUIRED, "br", _TEXT, "SBATCH_INPUT SLURM_STDINMODE"),
    Option("jobid", "", REQUIRED, "r", _COUNT, "SLURM_JOB_ID"),
    Option("job-name", "J", REQUIRED, "bra", _TEXT, "SBATCH_JOB_NAME SLURM_JOB_NAME"),
    Option("kill-command", "K", OPTIONAL, "a", values.kill_command, "SALLOC_KILL_CMD"),
    Option("kill-on-bad-exit", "K", OPTIONAL, "r", values.switch, "SLURM_KILL_BAD_EXIT"),
    Option("kill-on-invalid-dep", "", REQUIRED, "b", values.yes_or_no),
    Option("label", "l", NO, "r", _FLAG, "SLURM_LABELIO"),
    Option("licenses", "L", REQUIRED, "bra", _TEXT),
    Option("mail-type", "", REQUIRED, "bra", values.mail_types),
    Option("mail-user", "", REQUIRED, "bra", _TEXT),
    Option("mem", "", REQUIRED, "bra", values.memory, "SBATCH_MEM_PER_NODE SLURM_MEM_PER_NODE SALLOC_MEM_PER_NODE"),
    Option("mem-bind", "", REQUIRED, "bra", places.mem_bind, "SBATCH_MEM_BIND SLURM_MEM_BIND SALLOC_MEM_BIND"),
    Option("mem-per-cpu", "", REQUIRED, "bra", values.memory, "SBATCH_MEM_PER_CPU SLURM_MEM_PER_CPU SALLOC_MEM_PER_CPU"),
    Option("mem-per-gpu", "", REQUIRED, "bra", values.memory, "SBATCH_MEM_PER_GPU SLURM_MEM_PER_GPU SALLOC_MEM_PER_GPU"),
    Option("mincpus", "", REQUIRED, "bra", _COUNT),
    Option("mpi", "", REQUIRED, "r", values.mpi, "SLURM_MPI_TYPE"),
    Option("msg-timeout", "", REQUIRED, "r", _COUNT),
    Option("multi-prog", "", NO, "r", _FLAG, "SLURM_SRUN_MULTI"),
    Option("nice", "", OPTIONAL, "bra", values.nice),
    Option("no-bell", "", NO, "a", _FLAG, "SALLOC_NO_BELL"),
    Option("no-container-entrypoint", "", NO, "bra", containers.no, same_as="container-entrypoint"),
    Option("no-container-mount-home", "", NO, "bra", containers.no, same_as="container-mount-home"),
    Option("no-container-remap-root", "", NO, "bra", containers.no, same_as="container-remap-root"),
    Option("no-kill", "k", OPTIONAL, "bra", values.no_kill, "SBATCH_NO_KILL SLURM_NO_KILL SALLOC_NO_KILL"),
    Option("no-requeue", "", NO, "b", _FLAG, "SBATCH_NO_REQUEUE"),
    Option("no-shell", "", NO, "a", _FLAG),
    Option("nodefile", "F", REQUIRED, "bra", values.node_file, same_as="nodelist"),
    Option("nodelist", "w", REQUIRED, "bra", values.nodes_named),
    Option("nodes", "N", REQUIRED, "bra", values.node_count, "SLURM_JOB_NUM_NODES"),
    Option("ntasks", "n", REQUIRED, "bra", _COUNT, "SLURM_NPROCS SLURM_NTASKS"),
    Option("ntasks-per-core", "", REQUIRED, "bra", _COUNT),
    Option("ntasks-per-gpu", "", REQUIRED, "bra", _COUNT, "SLURM_NTASKS_PER_GPU"),
    Option("ntasks-per-node", "", REQUIRED, "bra", _COUNT, "SLURM_NTASKS_PER_NODE"),
    Option("ntasks-per-socket", "", REQUIRED, "bra", _COUNT),
    Option("ntasks-per-tres", "", REQUIRED, "bra", _COUNT, "SLURM_NTASKS_PER_TRES", same_as="ntasks-per-gpu"),
    Option("open-mode", "", REQUIRED, "br", values.open_mode, "SBATCH_OPEN_MODE SLURM_OPEN_MODE"),
    Option("output", "o", REQUIRED, "br", _TEXT, "SBATCH_OUTPUT SLURM_STDOUTMODE"),
    Option("overcommit", "O", NO, "bra", _FLAG, "SBATCH_OVERCOMMIT SLURM_OVERCOMMIT SALLOC_OVERCOMMIT"),
    Option("overlap", "", NO, "r", _FLAG, "SLURM_OVERLAP"),
    Option("oversubscribe", "s", NO, "bra", _FLAG),
    Option("pack-group", "", REQUIRED, "r", _TEXT, same_as="het-group"),
    Option("parsable", "", NO, "b", _FLAG),
    Option("partition", "p", REQUIRED, "bra", _TEXT, "SBATCH_PARTITION SLURM_PARTITION SALLOC_PARTITION"),
    Option("ports", "", REQUIRED, "bra", values.not_negative),
    Option("prefer", "", REQUIRED, "bra", _TEXT),
    Option("preserve-env", "E", NO, "r", _FLAG),
    Option("priority", "", REQUIRED, "bra", values.priority),
    Option("profile", "", REQUIRED, "bra", values.profile, "SBATCH_PROFILE SLURM_PROFILE SALLOC_PROFILE"),
    Option("prolog", "", REQUIRED, "r", _TEXT, "SLURM_PROLOG"),
    Option("propagate", "", OPTIONAL, "br", values.propagate, "SLURM_PROPAGATE"),
    Option("pty", "", NO, "r", _FLAG),
    Option("qos", "q", REQUIRED, "bra", _TEXT, "SBATCH_QOS SLURM_QOS SALLOC_QOS"),
    Option("quiet", "Q", NO, "bra", _FLAG),
    Option("quit-on-interrupt", "", NO, "r", _FLAG),
    Option("relative", "r", REQUIRED, "r", values.not_negative),
    Option("resv-ports", "", OPTIONAL, "r", values.ports, "SLURM_RESV_PORTS"),
    Option("requeue", "", NO, "b", _FLAG, "SBATCH_REQUEUE"),
    Option("reservation", "", REQUIRED, "bra", _TEXT, "SBATCH_RESERVATION SLURM_RESERVATION SALLOC_RESERVATION"),
    Option("send-libs", "", OPTIONAL, "r", values.unless_no, "SLURM_SEND_LIBS"),
    Option("signal", "", REQUIRED, "bra", values.signal_before_end, "SBATCH_SIGNAL SLURM_SIGNAL SALLOC_SIGNAL"),
    Option("sockets-per-node", "", REQUIRED, "bra", _COUNT, "SLURM_NSOCKETS_PER_NODE"),
    Option("spread-job", "", NO, "bra", _FLAG, "SBATCH_SPREAD_JOB SLURM_SPREAD_JOB SALLOC_SPREAD_JOB"),
    Option("switches", "", REQUIRED, "bra", places.switches, "SBATCH_REQ_SWITCH SLURM_REQ_SWITCH SALLOC_REQ_SWITCH"),
    Option("thread-spec", "", REQUIRED, "bra", values.not_negative, "SBATCH_THREAD_SPEC SLURM_THREAD_SPEC SALLOC_THREAD_SPEC"),
    Option("task-epilog", "", REQUIRED, "r", values.full_path, "SLURM_TASK_EPILOG"),
    Option("task-prolog", "", REQUIRED, "r", values.full_path, "SLURM_TASK_PROLOG"),
    Option("threads", "T", REQUIRED, "r", _COUNT, "SLURM_THREADS"),
    Option("threads-per-core", "", REQUIRED, "bra", _COUNT, "SBATCH_THREADS_PER_CORE SLURM_THREADS_PER_CORE SALLOC_THREADS_PER_CORE"),
    Option("tasks-per-node", "", REQUIRED, "bra", _COUNT, same_as="ntasks-per-node"),
    Option("test-only", "", NO, "br", _FLAG),
    Option("time", "t", REQUIRED, "bra", values.time_limit, "SBATCH_TIMELIMIT SLURM_TIMELIMIT SALLOC_TIMELIMIT"),
    Option("time-min", "", REQUIRED, "bra", values.time_limit),
    Option("tmp", "", REQUIRED, "bra", values.memory),
    Option("uid", "", REQUIRED, "bra", values.user),
    Option("unbuffered", "u", NO, "r", _FLAG, "SLURM_UNBUFFEREDIO"),
    Option("usage", "u", NO, "ba", _FLAG),
    Option("usage", "", NO, "r", _FLAG),
    Option("use-min-nodes", "", NO, "bra", _FLAG, "SBATCH_USE_MIN_NODES SLURM_USE_MIN_NODES SALLOC_USE_MIN_NODES"),
    Option("verbose", "v", NO, "bra", _FLAG, "SBATCH_DEBUG SLURM_DEBUG SALLOC_DEBUG"),
    Option("version", "V", NO, "bra", _FLAG),
    Option("wait", "W", NO, "b", _FLAG, "SBATCH_WAIT"),
    Option("wait", "W", REQUIRED, "r", values.not_negative, "SLURM_WAIT"),
    Option("wait-all-nodes", "", REQUIRED, "ba", values.wait_all_nodes, "SBATCH_WAIT_ALL_NODES SALLOC_WAIT_ALL_NODES"),
    Option("wckey", "", REQUIRED, "bra", _TEXT, "SBATCH_WCKEY SLURM_WCKEY SALLOC_WCKEY"),
    Option("whole", "", NO, "r", _FLAG),
    Option("wrap", "", REQUIRED, "b", _TEXT),
    Option("x11", "", OPTIONAL, "ra", values.x11, "SRUN_X11"),
)  # fmt: skip

#: Where the real table is not in alphabetical order (it shows in "is ambiguous; possibilities: ...").
_OUT_OF_ORDER = {
    "bb": "begin1", "bbf": "begin2", "cluster-constraint": "ch0", "constraint": "contiguous1", "threads": "tar",
    "epilog": "epilog", "error": "error", "usage": "use-min-nodes1", "jobid": "job-m", "cpu_bind": "cpu-bind1",
}  # fmt: skip


def table(command: str) -> list[Option]:
    """Every option of the command, also those that are refused, in the real one's order."""
    from corral.cli.options.refused import REFUSED

    mine = COMMANDS[command]
    rows = [option for option in _ROWS if mine in option.commands]
    rows += [
        Option(name, letter, argument, commands, _TEXT, variables, refusal=why)
        for name, (letter, argument, commands, variables, why) in REFUSED.items()
        if mine in commands
    ]
    return sorted(rows, key=lambda option: _OUT_OF_ORDER.get(option.name, option.name))


def variables_of(option: Option, command: str) -> list[str]:
    """The input variables that this command reads for the option, the strongest last."""
    of_all = ("SLURM_HINT", "SLURM_CLUSTERS", "PYXIS_")
    prefixes = {"sbatch": ("SBATCH_", *of_all), "salloc": ("SALLOC_", *of_all), "srun": ("SLURM_", "SRUN_", "PYXIS_")}
    return [name for name in option.variables.split() if name.startswith(prefixes[command])]
