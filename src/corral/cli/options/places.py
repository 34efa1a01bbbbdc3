"""What does the text behind the options mean that say where a job runs, and on what its tasks are bound?

Readers as those of `values.py`, and what they say together (`settle`).
"""

from __future__ import annotations

from corral.cli.options.values import BadValue, FatalValue, integer, invalid, not_offered, submission_failed

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.given import Given

#: What Slurm takes for "as many as there are".
_EVERY = 0xFFFF
NO_SUCH_CORES = "Socket, core and/or thread specification can not be satisfied"
_HINTS = ("compute_bound", "memory_bound", "multithread", "nomultithread")
#: Options that say the same in numbers: a hint does not hold beside them.
_GEOMETRY = ("ntasks-per-core", "threads-per-core", "extra-node-info")


def distribution(given: str, name: str) -> str:
    """block:cyclic,Pack and so on, in one form; "" for *."""
    from corral.errors import InvalidDistribution
    from corral.syntax import distribution as orders

    if given.lower().split(",")[0].split(":")[0].startswith("plane"):
        size = given.lower().split(",")[0][6:]
        if not (size.isascii() and size.isdigit() and int(size)):
            raise BadValue("Invalid plane size or size not specified", "Invalid --distribution specification")
    try:
        return str(orders.parse(given))
    except InvalidDistribution:
        raise invalid(name) from None


class HelpWanted(BadValue):
    """=help: a text, and the end. Its file and the exit status."""


def hint(given: str, name: str) -> str:
    if given == "help":
        raise HelpWanted("hint", status=1)
    if given not in _HINTS:
        raise BadValue(f'unrecognized --hint argument "{given}", see --hint=help', status=1)
    return given


def exclusive(given: str, name: str) -> bool | str:
    if given == "mcs":
        raise not_offered("--exclusive=mcs", "jobs have no security labels; --exclusive=user keeps others away")
    if given not in ("", "user"):
        raise invalid(name)
    return given or True


def node_info(given: str, name: str) -> list[int]:
    """-B 2:4:1 or 2:*: sockets, cores, threads; 0 = any number."""
    words = given.split(":")
    numbers = []
    for place, word in zip(("first", "second", "third"), (*words, "", ""), strict=False):
        numbers.append(0 if word in ("", "*") else integer(word, f"{place} arg of -B", 0))
    if len(words) > 3:
        raise _no_such_node()
    if words[0] == "0":
        raise submission_failed("Node count specification invalid")
    return numbers


def _no_such_node() -> BadValue:
    return submission_failed(NO_SUCH_CORES, "Requested node configuration is not available")


def switches(given: str, name: str) -> list[int | None]:
    """2, 2@1:00: at most so many leaf switches, and after how many seconds it may be more."""
    from corral.errors import InvalidDuration
    from corral.syntax import duration

    count, at, wait = given.partition("@")
    seconds = None
    if at:
        try:
            seconds = duration.parse(wait)
        except InvalidDuration:
            raise not_offered(f"--switches={given}", "what stands behind @ is no time") from None
    return [integer(count, "--switches", 1), seconds]


def gres_flags(given: str, name: str) -> str:
    word = given.lower()
    if word not in ("enforce-binding", "disable-binding"):
        raise invalid(name)
    return word


def gpu_bind(given: str, name: str) -> str:
    """[verbose,]closest, single:2, per_task:1, map_gpu:0,1, mask_gpu:0x1,0x2, none."""
    from corral.errors import InvalidBinding
    from corral.syntax import gpubind

    kind, colon, number = given.lower().rpartition(",")[2].removeprefix("gpu:").partition(":")
    if kind in ("single", "per_task") and not (colon and number.isascii() and number.isdigit() and int(number)):
        raise not_offered(f"--gpu-bind={given}", f"a number stands behind {kind}:")
    try:
        gpubind.parse(given)
    except InvalidBinding:
        raise BadValue(f"Invalid --gpu-bind argument: gpu:{given}") from None
    return given


def cpu_bind(given: str, name: str) -> str:
    if given == "help":
        raise HelpWanted("cpu-bind", status=1)
    from corral.errors import InvalidBinding
    from corral.syntax import cpubind

    try:
        return str(cpubind.parse(given))
    except InvalidBinding as error:
        text = error.reason or f'unrecognized --cpu-bind argument "{error.part}"'
        words = text, "Failed to parse --cpu-bind= values."
        raise FatalValue(*words, status=1) from None


def mem_bind(given: str, name: str) -> str:
    """Only what needs no NUMA library: none and local are what a task has anyway."""
    if given == "help":
        raise HelpWanted("mem-bind")
    words = given.lower().split(",")
    kinds = [word for word in words if word not in ("q", "quiet", "v", "verbose")]
    if kinds in ([], ["none"], ["no"], ["local"]):
        return ",".join(words)
    known = ("rank", "map_mem", "mask_mem", "prefer", "sort", "nosort", "help")
    if kinds[0].split(":")[0] in known:
        raise not_offered(f"--mem-bind={given}", "memory comes from where a task runs (--mem-bind=local)")
    raise BadValue(f'unrecognized --mem-bind argument "{kinds[0]}"')


def settle(given: Given) -> None:
    """What the options mean together: a hint in numbers, -B, what is only allowed by configuration."""
    program = given.program
    for option, written in (("core-spec", "-S"), ("thread-spec", "--thread-spec")):
        if option in given:
            program.error(f"Ignoring {written} since it's not allowed by configuration (AllowSpecResourcesUsage = No)")
            given.drop(option)
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
