"""What does the text behind the options mean that say where a job runs, and on what its tasks are bound?

Readers as those of `values.py`; what they say together is in `corral.cli.placing`.
"""

from __future__ import annotations

from corral.cli.options.values import BadValue, FatalValue, integer, invalid, not_offered, submission_failed

NO_SUCH_CORES = "Socket, core and/or thread specification can not be satisfied"
_HINTS = ("compute_bound", "memory_bound", "multithread", "nomultithread")


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
