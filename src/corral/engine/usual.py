"""Which shapes of GPU jobs are usual here? Counted as jobs come, so that placement keeps room for their like."""

from collections.abc import Iterable

from corral.model.allocation import Allocation
from corral.model.gres import WHOLE
from corral.scheduler.demand import Demand
from corral.scheduler.popular import Popular, Shape, shape_of

#: When so many jobs have been counted, all counts are halved: what is long ago counts less and less.
MEMORY = 8192
#: An array counts as so many jobs at most.
MOST_ELEMENTS = 64


class Usual:
    def __init__(self) -> None:
        self.counts: dict[Shape, int] = {}
        self.total = 0
        self.last = 0  #: the highest number of a job that has been counted
        self._made: tuple[int, Popular] | None = None  #: of so many jobs

    def note(self, job: int, demands: Iterable[Demand], elements: int, shards_per_gpu: int) -> None:
        """A job that waits for the first time."""
        if job <= self.last:
            return
        self.last = job
        for demand in demands:
            shape = shape_of(demand, shards_per_gpu)
            if shape is not None:
                self._count(shape, max(1, min(elements, MOST_ELEMENTS)))
            return

    def note_running(self, allocation: Allocation) -> None:
        """A job that ran when the controller was started."""
        share = allocation.nodes[0]
        gpus = [one for one in share.gres if one.name in ("gpu", "shard")]
        count = sum(len(one.indices) for one in gpus)
        if count:
            self._count(Shape(len(share.cpus), share.memory_mb, count, gpus[0].milli or WHOLE), 1)

    def popular(self) -> Popular | None:
        """None = there have been none. Made anew when a quarter more have come: the first ones count at once, later ones slowly."""
        if not self.total:
            return None
        if self._made is None or self.total >= self._made[0] * 1.25:
            self._made = (self.total, Popular(self.counts.items()))
        return self._made[1]

    def _count(self, shape: Shape, times: int) -> None:
        self.counts[shape] = self.counts.get(shape, 0) + times
        self.total += times
        if self.total > MEMORY:
            self.counts = {one: count // 2 for one, count in self.counts.items() if count > 1}
            self.total = sum(self.counts.values())
            self._made = None
