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
