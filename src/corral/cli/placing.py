"""What do the options that say where a job runs mean together: a hint in numbers, -B, what is only allowed by configuration?"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given

#: What Slurm takes for "as many as there are".
_EVERY = 0xFFFF
#: Options that say the same in numbers: a hint does not hold beside them.
_GEOMETRY = ("ntasks-per-core", "threads-per-core", "extra-node-info")


def settle(given: Given) -> None:
    """What the options mean together: a hint in numbers, -B, what is only allowed by configuration."""
    program = given.program
    for option, written in (("core-spec", "-S"), ("thread-spec", "--thread-spec")):
        if option in given:
            program.error(f"Ignoring {written} since it's not allowed by configuration (AllowSpecResourcesUsage = No)")
            given.drop(option)
    order = given.get("distribution") or ""
    if order.startswith("arbitrary") and not given.get("nodelist"):
        _take_host_file(given)
    if "hint" in given and any(option in given for option in _GEOMETRY):
        given.drop("hint")
    if "extra-node-info" in given:
        sockets, cores, threads = given.get("extra-node-info")
        product = 1
        for option, count in (
            ("sockets-per-node", sockets),
            ("cores-per-socket", cores),
            ("threads-per-core", threads),
        ):
            if count:
                given.values[option] = count
                product *= count
        least, most = given.get("nodes", (1, 1))
        if "ntasks" not in given and most in (0, least):
            given.values["ntasks"] = max(1, least) * product
    _settle_hint(given)
    if "ntasks-per-gpu" in given and "gpus-per-task" in given:
        raise program.fatal("--gpus-per-task is mutually exclusive with --ntasks-per-gpu and SLURM_NTASKS_PER_GPU")


def _take_host_file(given: Given) -> None:
    """SLURM_HOSTFILE: a node for each task, in the order of their ranks."""
    import os

    path = os.environ.get("SLURM_HOSTFILE", "")
    if not path:
        return
    from corral.cli.options.values import nodes_in
    from corral.syntax import hostlist

    try:
        given.values["nodelist"] = nodes_in(path)
    except OSError as error:
        raise given.program.fatal(f"SLURM_HOSTFILE {path}: {error.strerror}") from None
    if "ntasks" not in given or "ntasks" in given.from_environment:
        given.values["ntasks"] = len(hostlist.expand(given.values["nodelist"]))


def _settle_hint(given: Given) -> None:
    match given.get("hint"):
        case "compute_bound" | "nomultithread":
            given.values["threads-per-core"] = 1
        case "memory_bound":
            given.values["threads-per-core"] = given.values["cores-per-socket"] = 1
        case "multithread":
            given.values["ntasks-per-core"] = _EVERY


def gpu_problem(given: Given) -> str:
    """What is wrong with the numbers of GPUs to sockets and tasks; "" = nothing."""
    asked = any(given.get(option) for option in ("gpus", "gpus-per-node", "gpus-per-task", "gres", "gpus-per-socket"))
    if "gpus-per-socket" in given and "sockets-per-node" not in given:
        return "--gpus-per-socket option requires --sockets-per-node specification"
    if "ntasks-per-gpu" in given and not asked and "ntasks" not in given and "nodes" not in given:
        return (
            "gres_job_state_validate: --ntasks-per-tres needs either a GRES GPU specification or a node/ntask "
            "specification"
        )
    return ""


def fields(given: Given) -> dict[str, Any]:
    """What goes into a JobSpec in another shape than it was given."""
    spec: dict[str, Any] = {}
    if given.get("exclusive") == "user":
        spec["exclusive_user"] = True
    elif given.get("exclusive"):
        spec["exclusive"] = True
    if "switches" in given:
        spec["switches"], wait = given.get("switches")
        if wait is not None:
            spec["switches_wait"] = wait
    return spec
