"""What have a step's tasks used, in all and each at the most and at the least?

A node measures its tasks and sends one `Usage`; those of all nodes added up are the step's. Which node a task was on is known from
its rank, so only ranks are kept.
"""

import msgspec

#: What is measured of each task, in the order of `Usage.amounts`. The last two only where GPUs can be asked.
KINDS = ("cpu", "mem", "vmem", "pages", "read", "written", "gpumem", "gpuutil")


class Amount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One kind over all tasks: the sum, and which task had most and least of it. cpu in milliseconds, sizes in bytes."""

    total: int
    most: int
    most_rank: int
    least: int
    least_rank: int

    def plus(self, other: "Amount") -> "Amount":
        """Of several with the same the first counts."""
        most = min((-self.most, self.most_rank), (-other.most, other.most_rank))
        least = min((self.least, self.least_rank), (other.least, other.least_rank))
        return Amount(self.total + other.total, -most[0], most[1], least[0], least[1])


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """Of one step, or of its tasks on one node."""

    tasks: int = 0  #: how many were measured
    user_us: int = 0  #: CPU time of all processes, in microseconds
    system_us: int = 0
    amounts: tuple[Amount, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tasks or self.user_us or self.system_us)

    def plus(self, other: "Usage") -> "Usage":
        if not self:
            return other
        longer, shorter = sorted((self.amounts, other.amounts), key=len, reverse=True)
        both = tuple(one.plus(two) for one, two in zip(longer, shorter, strict=False))
        return Usage(
            self.tasks + other.tasks,
            self.user_us + other.user_us,
            self.system_us + other.system_us,
            both + longer[len(both) :],
        )

    def of(self, kind: str) -> Amount | None:
        place = KINDS.index(kind)
        return self.amounts[place] if place < len(self.amounts) else None


NOTHING = Usage()


def of_task(rank: int, user_us: int, system_us: int, values: tuple[int, ...], now: tuple[int, ...] = ()) -> Usage:
    """What one task has used, in the order of KINDS; `now`: what of it counts for the sum, when the task still runs."""
    totals = now or values
    return Usage(1, user_us, system_us, tuple(Amount(t, v, rank, v, rank) for t, v in zip(totals, values, strict=True)))
