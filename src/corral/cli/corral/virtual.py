"""How does one ask for virtual nodes: how many, how large, with which names?"""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace

from corral.cli.run import Exit
from corral.errors import UsageError
from corral.syntax import hostlist, size

MOST = 10_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_LAYOUT = ("sockets", "cores_per_socket", "threads_per_core")


def add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "virtual nodes", "They share this machine: their sizes are claimed, their GPUs are numbers."
    )
    group.add_argument("--nodes", metavar="N", help="how many; or their names: dgx[0180-0189]")
    group.add_argument("--cpus", type=int, metavar="N", help="of each (default: this machine's)")
    group.add_argument("--sockets", type=int, metavar="N", help="of each (default: 1)")
    group.add_argument("--cores-per-socket", type=int, metavar="N", help="(default: as many as the CPUs give)")
    group.add_argument("--threads-per-core", type=int, metavar="N", help="(default: 1)")
    group.add_argument("--mem", metavar="SIZE", help="of each, in MB or as 64G (default: this machine's)")
    group.add_argument("--gpus", type=int, default=0, metavar="N", help="of each")
    group.add_argument("--gpu-type", default="", metavar="TYPE", help="v100, h100, ...")
    group.add_argument("--features", default="", metavar="A,B", help="of each")
    group.add_argument(
        "--prefix",
        default="node",
        metavar="NAME",
        help="with digits, the first node's name: dgx0180 counts on from there",
    )


def names(count: str, prefix: str) -> list[str]:
    """node -> node1, node2, ...; dgx0180 -> dgx0180, dgx0181, ..."""
    if not count.isdigit():
        found = hostlist.expand(count)
        if wrong := [name for name in found if not _NAME.fullmatch(name)]:
            raise Exit(1, f"corral: error: --nodes={count}: {wrong[0]!r} is not a node's name")
        if len(found) > MOST:
            raise Exit(1, f"corral: error: --nodes={count}: at most {MOST} virtual nodes are possible")
        return found
    if not 0 < int(count) <= MOST:
        raise Exit(1, f"corral: error: --nodes={count}: from 1 to {MOST} virtual nodes are possible")
    if not _NAME.fullmatch(prefix):
        raise Exit(1, f"corral: error: --prefix={prefix}: not a node's name")
    stem = prefix.rstrip("0123456789")
    digits = prefix[len(stem) :]
    first = int(digits or 1)
    return [f"{stem}{first + i:0{len(digits)}}" for i in range(int(count))]


def flags(given: Namespace) -> list[str]:
    """For the agent's program; none when the machine itself is the node."""
    if given.nodes is None:
        for option in ("cpus", *_LAYOUT, "mem", "gpus", "gpu_type", "features"):
            if getattr(given, option):
                raise Exit(
                    1,
                    f"corral: error: --{option.replace('_', '-')} goes with --nodes: without, the machine is what it is",
                )
        return []
    try:
        folded = hostlist.fold(names(given.nodes, given.prefix))
        memory = size.parse(given.mem) if given.mem else _machine_memory_mb()
    except UsageError as error:
        raise Exit(1, f"corral: error: {error}") from None
    layout, cpus = _layout(given)
    if not 0 < cpus <= 65535 or not 0 <= given.gpus <= 1024 or memory < 1:
        raise Exit(1, "corral: error: a node has 1 to 65535 CPUs, some memory and 0 to 1024 GPUs")
    found = ["--nodes", folded, *layout, "--cpus", str(cpus), "--mem", str(memory), "--gpus", str(given.gpus)]
    found += ["--gpu-type", given.gpu_type] if given.gpu_type else []
    found += ["--features", given.features] if given.features else []
    return found


def _layout(given: Namespace) -> tuple[list[str], int]:
    """Sockets, cores and threads as flags, and how many CPUs they make."""
    asked = [getattr(given, name) for name in _LAYOUT]
    if any(number is not None and not 0 < number <= 65535 for number in asked):
        raise Exit(1, "corral: error: a node has at least one socket, core and thread of each")
    cpus = len(os.sched_getaffinity(0)) if given.cpus is None else given.cpus
    if not any(asked):
        return [], cpus
    sockets, threads = asked[0] or 1, asked[2] or 1
    cores = asked[1] or max(1, cpus // (sockets * threads))
    made = sockets * cores * threads
    if given.cpus not in (None, made):
        raise Exit(
            1,
            f"corral: error: --cpus={given.cpus}: {sockets} sockets of {cores} cores with {threads} threads have {made}",
        )
    return ["--sockets", str(sockets), "--cores-per-socket", str(cores), "--threads-per-core", str(threads)], made


def _machine_memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
