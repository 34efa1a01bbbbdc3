"""Which options of the real commands does Corral not have, and what does it say to those who use them?

Nothing is accepted and then ignored: a job that asks for what it cannot get is told so. An option moves from here into the
table of `corral.cli.options` when what it means has been built.
"""

from __future__ import annotations

_SOCKETS = "CPUs are counted, sockets and threads are not chosen; ask for CPUs with --cpus-per-task"
_FREQUENCY = "clock frequencies are not changed"
_BURST = "there are no burst buffers"
_SPECIALIZED = "no CPUs are set aside for the system"
_FILES = "files are not sent to the nodes; use a shared directory"

#: name -> (letter, argument kind, commands (b = sbatch, r = srun, a = salloc), input variables, why not)
REFUSED: dict[str, tuple[str, int, str, str, str]] = {
    "accel-bind": ("", 1, "r", "", "accelerators are bound with --gpus-per-task"),
    "batch": ("", 1, "b", "SBATCH_BATCH", "the script runs on the first node of the job"),
    "bb": ("", 1, "bra", "SBATCH_BURST_BUFFER SLURM_BURST_BUFFER SALLOC_BURST_BUFFER", _BURST),
    "bbf": ("", 1, "bra", "", _BURST),
    "bcast": ("", 2, "r", "SLURM_BCAST", _FILES),
    "bcast-exclude": ("", 1, "r", "SLURM_BCAST_EXCLUDE", _FILES),
    "cluster-constraint": (
        "", 1, "bra", "SBATCH_CLUSTER_CONSTRAINT SLURM_CLUSTER_CONSTRAINT SALLOC_CLUSTER_CONSTRAINT",
        "there is one cluster; features of nodes are named with --constraint",
    ),
    "cluster": ("M", 1, "bra", "", "name another cluster in CORRAL_ENDPOINT"),
    "clusters": ("M", 1, "bra", "SBATCH_CLUSTERS SALLOC_CLUSTERS SLURM_CLUSTERS", "name another cluster in CORRAL_ENDPOINT"),
    "compress": ("", 2, "r", "SLURM_COMPRESS", _FILES),
    "container": ("", 1, "bra", "SBATCH_CONTAINER SLURM_CONTAINER SALLOC_CONTAINER", "start the container in the script"),
    "context": ("", 1, "bra", "", "security contexts are not set"),
    "contiguous": ("", 0, "bra", "", "nodes have no order; name them with --nodelist"),
    "core-spec": ("S", 1, "bra", "SBATCH_CORE_SPEC SLURM_CORE_SPEC SALLOC_CORE_SPEC", _SPECIALIZED),
    "cores-per-socket": ("", 1, "bra", "SLURM_NCORES_PER_SOCKET", _SOCKETS),
    "cpu-freq": ("", 1, "bra", "SBATCH_CPU_FREQ_REQ SLURM_CPU_FREQ_REQ SALLOC_CPU_FREQ_REQ", _FREQUENCY),
    "debugger-test": ("", 0, "r", "", "debuggers attach to the processes themselves"),
    "delay-boot": ("", 1, "bra", "SBATCH_DELAY_BOOT SLURM_DELAY_BOOT SALLOC_DELAY_BOOT", "nodes are not booted for jobs"),
    "extra-node-info": ("B", 1, "bra", "", _SOCKETS),
    "get-user-env": ("", 2, "ba", "SBATCH_GET_USER_ENV", "log in inside the script: #!/bin/bash -l"),
    "gid": ("", 1, "bra", "", "a job runs with the groups its user has on the node"),
    "gpu-bind": ("", 1, "bra", "SBATCH_GPU_BIND SLURM_GPU_BIND SALLOC_GPU_BIND", "give each task its own with --gpus-per-task"),
    "gpu-freq": ("", 1, "bra", "SBATCH_GPU_FREQ SLURM_GPU_FREQ SALLOC_GPU_FREQ", _FREQUENCY),
    "gpus-per-socket": ("", 1, "bra", "SBATCH_GPUS_PER_SOCKET SLURM_GPUS_PER_SOCKET SALLOC_GPUS_PER_SOCKET", _SOCKETS),
    "gres-flags": ("", 1, "bra", "SBATCH_GRES_FLAGS SLURM_GRES_FLAGS SALLOC_GRES_FLAGS", "GPUs are not bound to sockets"),
    "het-group": ("", 1, "r", "", "there are no heterogeneous jobs"),
    "interactive": ("", 0, "r", "", "use srun --pty"),
    "kill-on-invalid-dep": ("", 1, "b", "", "such a job waits with the reason DependencyNeverSatisfied; scancel it"),
    "mcs-label": ("", 1, "bra", "", "jobs have no security labels"),
    "mem-bind": ("", 1, "bra", "SBATCH_MEM_BIND SLURM_MEM_BIND SALLOC_MEM_BIND", "memory is not bound to sockets"),
    "mincpus": ("", 1, "bra", "", "ask for CPUs with --ntasks-per-node and --cpus-per-task"),
    "network": ("", 1, "bra", "SBATCH_NETWORK SLURM_NETWORK SALLOC_NETWORK", "networks are not allocated"),
    "no-allocate": ("Z", 0, "r", "", "every step belongs to a job"),
    "ntasks-per-core": ("", 1, "bra", "", _SOCKETS),
    "ntasks-per-gpu": ("", 1, "bra", "SLURM_NTASKS_PER_GPU", "write it the other way round: --gpus-per-task"),
    "ntasks-per-socket": ("", 1, "bra", "", _SOCKETS),
    "ntasks-per-tres": ("", 1, "bra", "SLURM_NTASKS_PER_TRES", "write it the other way round: --gpus-per-task"),
    "pack-group": ("", 1, "r", "", "there are no heterogeneous jobs"),
    "power": ("", 1, "bra", "SBATCH_POWER SLURM_POWER SALLOC_POWER", "power is not managed"),
    "prefer": ("", 1, "bra", "", "features are wanted or not: --constraint"),
    "reboot": ("", 0, "bra", "", "nodes are not booted for jobs"),
    "resv-ports": ("", 2, "r", "SLURM_RESV_PORTS", "ports are not reserved"),
    "send-libs": ("", 2, "r", "SLURM_SEND_LIBS", _FILES),
    "slurmd-debug": ("", 1, "r", "SLURMD_DEBUG", "the agent's log says what it does"),
    "sockets-per-node": ("", 1, "bra", "SLURM_NSOCKETS_PER_NODE", _SOCKETS),
    "spread-job": ("", 0, "bra", "SBATCH_SPREAD_JOB SLURM_SPREAD_JOB SALLOC_SPREAD_JOB", "say --nodes and --ntasks-per-node"),
    "switches": ("", 1, "bra", "SBATCH_REQ_SWITCH SLURM_REQ_SWITCH SALLOC_REQ_SWITCH", "switches are not known"),
    "task-epilog": ("", 1, "r", "SLURM_TASK_EPILOG", "start it from the program"),
    "task-prolog": ("", 1, "r", "SLURM_TASK_PROLOG", "start it from the program"),
    "thread-spec": ("", 1, "bra", "SBATCH_THREAD_SPEC SLURM_THREAD_SPEC SALLOC_THREAD_SPEC", _SPECIALIZED),
    "threads-per-core": ("", 1, "bra", "SBATCH_THREADS_PER_CORE SLURM_THREADS_PER_CORE SALLOC_THREADS_PER_CORE", _SOCKETS),
    "tmp": ("", 1, "bra", "", "temporary disk is not counted"),
    "use-min-nodes": (
        "", 0, "bra", "SBATCH_USE_MIN_NODES SLURM_USE_MIN_NODES SALLOC_USE_MIN_NODES", "give one number to --nodes",
    ),
    "wckey": ("", 1, "bra", "SBATCH_WCKEY SLURM_WCKEY SALLOC_WCKEY", "usage is charged to accounts: --account"),
    "x11": ("", 2, "ra", "", "windows are not forwarded; use ssh -X"),
}  # fmt: skip
