"""Which of this machine's CPUs is the one that the controller calls 5?

The controller counts sockets, then cores, then threads: id = (socket * cores + core) * threads + thread. The kernel often counts the
second threads of all cores last.
"""

import functools
import os

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/{}"


@functools.cache
def in_order() -> tuple[int, ...]:
    """The kernel's numbers of the CPUs that are ours, in the controller's order."""
    return ordered(
        {cpu: (_number(cpu, "physical_package_id"), _number(cpu, "core_id")) for cpu in os.sched_getaffinity(0)}
    )


def ordered(places: dict[int, tuple[int, int]]) -> tuple[int, ...]:
    """CPUs by (socket, core); as they are counted when some of it is not known."""
    if any(-1 in place for place in places.values()):
        return tuple(sorted(places))
    return tuple(sorted(places, key=lambda cpu: (places[cpu], cpu)))


def kernels(ids: tuple[int, ...]) -> tuple[int, ...] | None:
    """The kernel's numbers for these ids; None when the machine has not all of them."""
    known = in_order()
    return tuple(sorted(known[i] for i in ids)) if all(i < len(known) for i in ids) else None


def _number(cpu: int, what: str) -> int:
    try:
        with open(_TOPOLOGY.format(cpu, what)) as file:
            return int(file.read())
    except (OSError, ValueError):
        return -1


def highest() -> int:
    """The highest of the kernel's numbers that a CPU may have here, and one more."""
    return max(os.sched_getaffinity(0), default=0) + 1


def cores_of(kernel: tuple[int, ...], threads: int) -> tuple[int, ...]:
    """The controller's numbers of the cores that these CPUs, by the kernel's numbers, are of; where that is all of them or none, ()."""
    known = in_order()
    wanted = set(kernel)
    found = sorted({place // max(1, threads) for place, cpu in enumerate(known) if cpu in wanted})
    return tuple(found) if len(found) < -(-len(known) // max(1, threads)) else ()


def listed(path: str) -> tuple[int, ...]:
    """The CPUs in a file of the kernel: 0-3,8-11."""
    try:
        with open(path) as file:
            parts = file.read().strip().split(",")
        ends = [part.partition("-") for part in parts if part]
        return tuple(cpu for low, dash, high in ends for cpu in range(int(low), int(high if dash else low) + 1))
    except (OSError, ValueError):
        return ()
