"""What do SelectType and SelectTypeParameters of a slurm.conf mean here?"""

from typing import Any

#: Cores singly, to one job at a time, with memory: as it is here. A CPU is a core, or a thread that is configured as a node's CPU.
_AS_HERE = frozenset(("CR_CORE_MEMORY", "CR_CPU_MEMORY", "CR_MEMORY"))
_WITHOUT_MEMORY = frozenset(("CR_CORE", "CR_CPU"))
_MORE: dict[str, tuple[str, Any]] = {
    "CR_ONE_TASK_PER_CORE": ("one_task_per_core", True),
    "CR_CORE_DEFAULT_DIST_BLOCK": ("core_order", "block"),
    "CR_LLN": ("placement", "spread"),
}
_LOST = {
    "CR_SOCKET": "sockets are not given out whole: cores are (use --exclusive for nodes)",
    "CR_SOCKET_MEMORY": "sockets are not given out whole: cores are (use --exclusive for nodes)",
    "CR_PACK_NODES": "tasks are spread over a job's nodes unless it says --distribution=pack",
    "LL_SHARED_GRES": "the lowest GPUs that are near are taken, however busy",
    "MULTIPLE_SHARING_GRES_PJ": "GPUs are not shared by several jobs",
}


def scheduling_of(kind: str, parameters: str) -> tuple[dict[str, Any], str, str]:
    """Keys of [scheduling]; what of each of the two is lost."""
    kind = kind.removeprefix("select/")
    words = [word.upper() for word in parameters.split(",") if word]
    if kind not in ("linear", "cons_res", "cons_tres"):
        return {}, f"select/{kind}: cores, memory and GPUs are given out singly", ""
    found: dict[str, Any] = {"select": "nodes"} if kind == "linear" else {}
    if not _AS_HERE.intersection(words) and (kind == "linear" or _WITHOUT_MEMORY.intersection(words)):
        found["count_memory"] = False
    lost = []
    for word in words:
        if word in _MORE:
            name, value = _MORE[word]
            found[name] = value
        elif word not in _AS_HERE | _WITHOUT_MEMORY:
            lost.append(f"{word}: {_LOST.get(word, 'there is nothing like it yet')}")
    return found, "", "; ".join(lost)
