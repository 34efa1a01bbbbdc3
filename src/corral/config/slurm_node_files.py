"""What do gres.conf, cgroup.conf and job_container.conf say of nodes, and what of it has a counterpart?"""

from __future__ import annotations

import re
from typing import Any

from corral.config.slurm_found import Imported, Line
from corral.syntax import hostlist

# ---------------------------------------------------------------------------------------------------- gres.conf


def gres_line(found: Imported, line: Line) -> None:
    """Agents find GPUs themselves: of these only what a node does not say is news. Of other devices their files are."""
    words = line.words
    if "name" not in words:
        if "autodetect" not in words:
            found.left.append((line, "not understood"))
        return
    name, kind = words["name"], words.get("type", "")
    if name == "mps":
        return  # mps_as_shares
    names = hostlist.expand(words["nodename"]) if "nodename" in words else None
    meant = [
        node
        for node in found.nodes
        if (names is None or set(names) & set(hostlist.expand(node["name"])))
        and any(part.split(":")[0] == name for part in node.get("gres", "").split(","))
    ]
    if not meant:
        found.left.append((line, f"no NodeName line has Gres={name}"))
        return
    for node in meant:
        if kind and f"{name}:{kind}" not in node["gres"]:
            node["gres"] = re.sub(rf"\b{re.escape(name)}:(?=\d)", f"{name}:{kind}:", node["gres"])
        if name == "gpu":
            _connections(node, words)
    if name not in ("gpu", "shard"):  # each GPU of a node has as many shards
        _device(found, line, words)


def _device(found: Imported, line: Line, words: dict[str, str]) -> None:
    files = words.get("file", words.get("multiplefiles", ""))
    if "multiplefiles" in words:
        found.left.append((line, "MultipleFiles: a unit has one file"))
        return
    if not files:
        return  # a count, which the node's own line has
    table: dict[str, Any] = {"name": words["name"], "files": [files]}
    if words.get("type"):
        table["type"] = words["type"]
    if "nodename" in words:
        table["nodes"] = words["nodename"]
    found.devices.append(table)


def _connections(node: dict[str, Any], words: dict[str, str]) -> None:
    """Cores= and Links= of one line: of its GPUs."""
    count = len(hostlist.expand(words["file"])) if "file" in words else int(words.get("count", "1"))
    if "cores" in words:
        node["gpu_cores"] = [*node.get("gpu_cores", ()), *[words["cores"]] * count]
    if "links" in words and count == 1:
        node["gpu_links"] = [*node.get("gpu_links", ()), words["links"]]


def mps_as_shares(found: Imported, line: Line, node: dict[str, Any]) -> None:
    """Gres=gpu:2,mps:200: every GPU counts a hundred of gres/mps, and agents start the daemons."""
    parts = node.get("gres", "").split(",")
    mps = [part for part in parts if part.partition(":")[0] == "mps"]
    if not mps:
        return
    node["gres"] = ",".join(part for part in parts if part not in mps)
    found.tables.setdefault("gpu_sharing", {})["fence"] = "mps"
    gpus, counted = (sum(_count(part) for part in some) for some in (set(parts) - set(mps), mps))
    if gpus and counted != 100 * gpus:
        found.left.append((line, f"mps: each of the {gpus} GPUs counts 100, not {counted // gpus}"))


def _count(part: str) -> int:
    words = part.split(":")
    if words[0] not in ("gpu", "mps"):
        return 0
    return int(words[-1]) if len(words) > 1 and words[-1].isdigit() else 1


# ---------------------------------------------------------------------------------------------------- cgroup.conf

_CONSTRAINED = {"constraincores": "cpu", "constrainramspace": "memory", "constraindevices": "devices"}
_SWAP = ("constrainswapspace", "allowedswapspace")
_PERCENT = ("allowedramspace", "maxrampercent", "maxswappercent", "maxkmempercent")
_WITHOUT_EFFECT = frozenset(
    ("cgroupautomount", "cgroupmountpoint", "cgroupplugin", "ignoresystemd", "ignoresystemdonfailure", "taskaffinity",
     "cgroupreleaseagentdir", "systemdtimeout", "enablecontrollers")
)  # fmt: skip
_LOST = {
    "allowedramspace": "a job's hard limit is the memory that it asked for; a soft one is memory_soft_percent in [isolation]",
    "maxrampercent": "a job that asks for no memory has no limit of its own: set default_memory_per_cpu_mb in [scheduling]",
    "maxswappercent": "a job that asks for no memory has no limit of its own",
    "minramspace": "a job has no less than it asked for",
    "memoryswappiness": "the kernel's own value holds: set vm.swappiness on the nodes",
    "constrainkmemspace": "what the kernel uses for a job counts as its memory",
    "allowedkmemspace": "what the kernel uses for a job counts as its memory",
    "maxkmempercent": "what the kernel uses for a job counts as its memory",
    "minkmemspace": "what the kernel uses for a job counts as its memory",
    "signalchildrenprocesses": "signals go where scancel says",
}


def cgroup_lines(found: Imported, lines: list[Line]) -> None:
    """What is enforced, and how much swap there is."""
    said: dict[str, str] = {}
    for line in lines:
        for name, value in line.words.items():
            is_default = name in _PERCENT and value.partition(".")[0] == "100"
            is_off = name.startswith("constrain") and not _yes(value) and name not in (*_CONSTRAINED, *_SWAP)
            if name in _CONSTRAINED or name in _SWAP:
                said[name] = value
                if name == "constrainswapspace" and not _yes(value):
                    found.left.append((line, "swap is always limited: swap_percent in [isolation] says to how much"))
            elif name not in _WITHOUT_EFFECT and not is_default and not is_off:
                found.left.append((line, _LOST.get(name, f"there is nothing like {name} yet")))
    kept = [word for name, word in _CONSTRAINED.items() if _yes(said.get(name, "no"))]
    if _yes(said.get("constrainswapspace", "no")):
        kept = list(dict.fromkeys((*kept, "memory")))  # as in Slurm, memory is limited with swap
        if percent := float(said.get("allowedswapspace", "0")):
            found.tables.setdefault("isolation", {})["swap_percent"] = percent
    order = ("cpu", "memory", "devices")
    if len(kept) < len(order):
        found.top["enforce"] = [word for word in order if word in kept]


def _yes(text: str) -> bool:
    return text.lower() in ("yes", "1", "true")


# ---------------------------------------------------------------------------------------------------- job_container.conf


def container_lines(found: Imported, lines: list[Line]) -> None:
    """Directories of each job's own."""
    for line in lines:
        words = line.words
        if words.get("basepath", "").lower() == "none":
            found.left.append((line, "jobs have their own directories on all nodes, or on none"))
            continue
        if "basepath" in words or "dirs" in words:
            directories = words.get("dirs", "/tmp,/dev/shm").split(",")
            found.tables.setdefault("isolation", {})["private_dirs"] = [name for name in directories if name]
        for name, value in words.items():
            if name == "basepath":
                found.left.append((line, "the directories lie in the agent's state directory, not in BasePath"))
            elif name == "nodename":
                found.left.append((line, "jobs have their own directories on all nodes, or on none"))
            elif name in ("initscript", "clonensscript", "clonensepilog"):
                found.left.append((line, "no program is run for it: use [programs] prolog"))
            elif name == "shared" and _yes(value):
                found.left.append((line, "mounts made later on the node are seen in jobs anyway"))
            elif name not in ("autobasepath", "dirs", "entirestepinns", "shared"):
                found.left.append((line, f"there is nothing like {name} yet"))
