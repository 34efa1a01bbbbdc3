"""Which options of the real commands does Corral not have, and what does it say to those who use them?

Nothing is accepted and then ignored: a job that asks for what it cannot get is told so. An option moves from here into the
table of `corral.cli.options` when what it means has been built.
"""

from __future__ import annotations

_FREQUENCY = "clock frequencies are not changed"
_BURST = "there are no burst buffers"

#: name -> (letter, argument kind, commands (b = sbatch, r = srun, a = salloc), input variables, why not)
REFUSED: dict[str, tuple[str, int, str, str, str]] = {
    "accel-bind": ("", 1, "r", "", "accelerators are bound with --gpus-per-task"),
    "bb": ("", 1, "bra", "SBATCH_BURST_BUFFER SLURM_BURST_BUFFER SALLOC_BURST_BUFFER", _BURST),
    "bbf": ("", 1, "bra", "", _BURST),
    "cluster-constraint": (
        "", 1, "bra", "SBATCH_CLUSTER_CONSTRAINT SLURM_CLUSTER_CONSTRAINT SALLOC_CLUSTER_CONSTRAINT",
        "there is one cluster; features of nodes are named with --constraint",
    ),
    "container": ("", 1, "bra", "SBATCH_CONTAINER SLURM_CONTAINER SALLOC_CONTAINER", "no OCI bundles; use --container-image"),
    "context": ("", 1, "bra", "", "security contexts are not set"),
    "cpu-freq": ("", 1, "bra", "SBATCH_CPU_FREQ_REQ SLURM_CPU_FREQ_REQ SALLOC_CPU_FREQ_REQ", _FREQUENCY),
    "debugger-test": ("", 0, "r", "", "debuggers attach to the processes themselves"),
    "delay-boot": ("", 1, "bra", "SBATCH_DELAY_BOOT SLURM_DELAY_BOOT SALLOC_DELAY_BOOT", "nodes are not booted for jobs"),
    "gpu-freq": ("", 1, "bra", "SBATCH_GPU_FREQ SLURM_GPU_FREQ SALLOC_GPU_FREQ", _FREQUENCY),
    "interactive": ("", 0, "r", "", "use srun --pty"),
    "mcs-label": ("", 1, "bra", "", "jobs have no security labels"),
    "network": ("", 1, "bra", "SBATCH_NETWORK SLURM_NETWORK SALLOC_NETWORK", "networks are not allocated"),
    "no-allocate": ("Z", 0, "r", "", "every step belongs to a job"),
    "power": ("", 1, "bra", "SBATCH_POWER SLURM_POWER SALLOC_POWER", "power is not managed"),
    "reboot": ("", 0, "bra", "", "nodes are not booted for jobs"),
    "slurmd-debug": ("", 1, "r", "SLURMD_DEBUG", "the agent's log says what it does"),
}  # fmt: skip
