"""How much worse can a node serve the usual GPU jobs once this job is on it?

The idea is that of fragmentation gradient descent (Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
Fragmentation Gradient Descent", USENIX ATC 2023): what is free of a node's GPUs is a fragment for a shape of job as far as a job of this
shape can't use it. All of it is one if the node has too few CPUs, too little memory or too few GPUs for the job; else the free parts that
are smaller than what it wants of a GPU. A job goes where the fragments grow least, in the mean over the usual shapes, each
weighted by how often it is asked for.

Three things differ from the paper:

- Fragments are counted in jobs of the shape, not in GPUs: half a GPU lost is one lost job for those that want half of one.
- Beside the question whether one more job fits stands, with a smaller weight, how many would fit until the node is full. So a
  node that runs short of CPUs before it runs short of GPUs is noticed while there is still time.
- Jobs without GPUs are not scored. They go where no GPU is free; else where they leave enough CPUs for the free GPUs, as many for
  each as three of four usual jobs are content with; else where they take the fewest of those (`beside_gpus`). That is as good as
  the score, and costs nothing.
"""

import numpy as np

from corral.model.gres import WHOLE
from corral.scheduler.columns import BoolColumn, IntColumn
from corral.scheduler.gpushares import GpuColumns
from corral.scheduler.nodetable import NodeTable
from corral.scheduler.popular import Need, Popular, Scores, hashed


class _Looks:
    """How the rows of a table look: a number for each look that has been seen, and what was free of such a row.

    Whole GPUs are given alike on all rows of one look, so the growth is worked out once for each look and kind of job.
    """

    def __init__(self, table: NodeTable, popular: Popular) -> None:
        assert table.gpus is not None
        self.popular = popular
        self.kind = np.array(table.kinds, np.int64)
        self.moment = np.full(len(table), -1, np.int64)  #: of each row, when it was looked at last
        self.look = np.zeros(len(table), np.int64)  #: of each row
        self.known: dict[int, int] = {}  #: what a look is hashed to -> its number
        self.row = np.zeros(0, np.int64)  #: of each look, and of some more to come: one that has looked so
        self.cpus, self.memory = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.free = np.zeros((0, table.gpus.free.shape[1]), np.int64)
        self.now: Scores = np.zeros(0, np.float64)  #: its fragments
        self.growth: dict[Need, Scores] = {}  #: NaN = not worked out yet

    def growths(self, table: NodeTable, gpus: GpuColumns, need: Need, candidates: IntColumn) -> Scores:
        stale = (self.moment != gpus.changed).nonzero()[0]
        if len(stale):
            self._look_at(table, gpus, stale)
        known = self.growth.get(need)
        if known is None or len(known) < len(self.row):
            more = np.full(len(self.row) - (0 if known is None else len(known)), np.nan)
            known = self.growth[need] = more if known is None else np.concatenate([known, more])
        looks = self.look[candidates]
        found: Scores = known[looks]
        unknown = np.isnan(found)
        if unknown.any():
            fresh = np.unique(looks[unknown])
            known[fresh] = self._grown(table, gpus, need, fresh)
            found = known[looks]
        return found

    def _look_at(self, table: NodeTable, gpus: GpuColumns, rows: IntColumn) -> None:
        true_cpus, true_memory = table.true_free
        cpus, memory, free = true_cpus[rows], true_memory[rows], gpus.free[rows]
        known, numbers, fresh = self.known, [], []
        begin = len(known)
        for at, key in enumerate((hashed(cpus, memory, free) + self.kind[rows] * 0x2545F4914F6CDD1D).tolist()):
            number = known.get(key)
            if number is None:
                number = known[key] = len(known)
                fresh.append(at)
            numbers.append(number)
        self.moment[rows], self.look[rows] = gpus.changed[rows], numbers
        if not fresh:
            return
        if len(known) > len(self.row):
            self._extend(2 * len(known))
        new = slice(begin, len(known))
        self.row[new], self.cpus[new], self.memory[new], self.free[new] = (
            rows[fresh],
            cpus[fresh],
            memory[fresh],
            free[fresh],
        )
        self.now[new] = self.popular.fragments(cpus[fresh], memory[fresh], free[fresh])

    def _extend(self, length: int) -> None:
        for name in ("row", "cpus", "memory", "free", "now"):
            column = getattr(self, name)
            larger = np.zeros((length, *column.shape[1:]), column.dtype)
            larger[: len(column)] = column
            setattr(self, name, larger)

    def _grown(self, table: NodeTable, gpus: GpuColumns, need: Need, looks: IntColumn) -> Scores:
        free, rows = self.free[looks], self.row[looks]
        whole = (free == WHOLE) & gpus.of_type(need.type)[rows]
        taken = whole & (np.cumsum(whole, axis=1) <= need.gpus)
        cpus, memory = _left(self.cpus[looks], self.memory[looks], table.threads[rows], need)
        after = self.popular.fragments(cpus, memory, np.where(taken, 0, free))
        found: Scores = np.where(whole.sum(axis=1) >= need.gpus, np.round(after - self.now[looks], 6), np.inf)
        return found


class _Known:
    """What is known of one kind of share: for each row the growth and the GPU, and as of when."""

    def __init__(self, rows: int) -> None:
        self.moment = np.full(rows, -1, np.int64)
        self.growth: Scores = np.zeros(rows, np.float64)
        self.unit = np.zeros(rows, np.int64)


def growth(table: NodeTable, need: Need, candidates: IntColumn) -> Scores:
    """For each of these rows, by how much the fragments grow when the job goes there; infinite where no GPU has room."""
    if need.gpus:
        assert table.gpus is not None
        assert isinstance(table.popular, Popular)
        looks = table.scores.get(table.popular)
        if not isinstance(looks, _Looks):
            looks = table.scores[table.popular] = _Looks(table, table.popular)
        return looks.growths(table, table.gpus, need, candidates)
    return _known(table, need, candidates).growth[candidates]


def best_unit(table: NodeTable, need: Need, row: int) -> int | None:
    """On which GPU of this row is a share best? None = on none."""
    known = _known(table, need, np.array([row], np.int64))
    return int(known.unit[row]) if known.growth[row] < np.inf else None


def beside_gpus(table: NodeTable, gpus: GpuColumns, candidates: IntColumn, cpus: int) -> Scores:
    """How many CPUs that its free GPUs need does a node lose by so many for a job without GPUs? Less than none if no GPU is free."""
    assert isinstance(table.popular, Popular)
    free = gpus.totals()[candidates]
    spare = table.free_cpus[candidates] - free * (table.popular.cpus_per_gpu / WHOLE)
    lost: Scores = np.where(free == 0, -1.0, np.clip(cpus - np.maximum(0.0, spare), 0.0, None))
    return lost


def _known(table: NodeTable, need: Need, candidates: IntColumn) -> _Known:
    gpus, popular = table.gpus, table.popular
    assert gpus is not None
    assert isinstance(popular, Popular)
    known = table.scores.get((popular, need))
    if not isinstance(known, _Known):
        known = table.scores[popular, need] = _Known(len(table))
    stale = candidates[known.moment[candidates] != gpus.changed[candidates]]
    if len(stale):
        _score_share(table, gpus, popular, need, stale, known)
        known.moment[stale] = gpus.changed[stale]
    return known


def _left(cpus: IntColumn, memory: IntColumn, threads: IntColumn, need: Need) -> tuple[IntColumn, IntColumn]:
    """CPUs (whole cores are given) and memory that the job leaves."""
    return np.maximum(0, cpus - -(-need.cpus // threads) * threads), np.maximum(0, memory - need.memory_mb)


def _score_share(
    table: NodeTable, gpus: GpuColumns, popular: Popular, need: Need, rows: IntColumn, known: _Known
) -> None:
    """Each GPU of a row with another amount free is tried."""
    free = gpus.free[rows]
    wanted = gpus.thousandths(need.milli, need.shards)
    able = gpus.usable(wanted, need.type, need.owner)[rows]
    able &= ~_seen_before(free, able)
    at, unit = able.nonzero()
    cpus, memory = _left(table.free_cpus[rows], table.free_memory[rows], table.threads[rows], need)
    after = free[at]
    after[np.arange(len(at)), unit] -= wanted[rows][at]
    now = popular.fragments(table.free_cpus[rows], table.free_memory[rows], free)
    found = np.full(free.shape, np.inf)
    found[at, unit] = np.round(popular.fragments(cpus[at], memory[at], after) - now[at], 6)
    best = found.argmin(axis=1)
    known.unit[rows] = best
    known.growth[rows] = found[np.arange(len(rows)), best]


def _seen_before(free: IntColumn, able: BoolColumn) -> BoolColumn:
    """Which GPUs have a twin before them in the same line?"""
    twin = np.zeros_like(able)
    for unit in range(1, free.shape[1]):
        twin[:, unit] = ((free[:, :unit] == free[:, unit : unit + 1]) & able[:, :unit]).any(axis=1)
    return twin
