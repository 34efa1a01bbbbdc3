"""How much is there of several things, in each of many rows, at every time from now on?

Theory: a row is cut into stretches of time in which its amounts stay the same. All stretches of all rows lie in flat arrays, those of a row
side by side and in order, with some spare places behind them (their time is "never"); a row that outgrows its places moves to the end,
where the arrays have places that no row has yet. So a question to all rows is one pass over the arrays, and a change costs as much as
the rows it is about.
"""

import numpy as np
import numpy.typing as npt

from corral.scheduler.nodetable import BoolColumn, IntColumn

Times = npt.NDArray[np.float64]

FOREVER = float("inf")
_LARGE = np.int64(1) << 50
#: Places left free behind a row, at least one: its time says that the last stretch never ends.
SPARE = 5


class Stretches:
    def __init__(self, now: float, amounts: IntColumn, rows: IntColumn, times: Times, changes: IntColumn) -> None:
        """`amounts` has a line for each thing and a column for each row; each change a row, a time, and a line of what is added then."""
        self.now = now
        order = np.lexsort((times, rows))
        rows, times, changes = rows[order], times[order], changes[order]
        fresh = np.ones(len(rows), np.bool_)
        fresh[1:] = (rows[1:] != rows[:-1]) | (times[1:] != times[:-1])
        at = np.flatnonzero(fresh)
        if len(at):
            rows, times, changes = rows[at], times[at], np.add.reduceat(changes, at, axis=0)
        count = np.bincount(rows, minlength=amounts.shape[1])
        self.used: IntColumn = count + 1
        self.room: IntColumn = self.used + self.used // 2 + SPARE
        self.first: IntColumn = np.cumsum(self.room) - self.room
        place = self.first[rows] + 1 + np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        self.row: IntColumn = np.repeat(np.arange(len(count)), self.room)
        self.times: Times = np.full(len(self.row), FOREVER)
        self.times[self.first], self.times[place] = now, times
        added = np.zeros((len(amounts), len(self.row)), np.int64)
        added[:, self.first], added[:, place] = amounts, changes.T
        summed = np.cumsum(added, axis=1)
        self.free: IntColumn = summed - np.repeat(summed[:, self.first] - amounts, self.room, axis=1)
        self.length = len(self.row)  #: of the arrays; behind it nothing is any row's

    def __len__(self) -> int:
        return int(self.used.sum())

    def add(self, rows: IntColumn, amounts: IntColumn, start: float, end: float | Times) -> None:
        """So much more of each thing (a column for each row) between then and then. Each may have an end of its own."""
        places, inside = self._between(rows, start, end)
        self.free[:, places[inside]] += np.repeat(amounts, inside.sum(axis=1), axis=1)

    def add_each(self, rows: IntColumn, amounts: IntColumn, ends: Times) -> None:
        """So much more from now on, in each row (which may be there more than once) until an end of its own."""
        order = np.argsort(rows, kind="stable")
        rows, amounts, ends = rows[order], amounts[:, order], ends[order]
        while len(rows):  # one round for each time that a row is there
            again = np.zeros(len(rows), np.bool_)
            again[1:] = rows[1:] == rows[:-1]
            once = ~again
            self.add(rows[once], amounts[:, once], self.now, ends[once])
            rows, amounts, ends = rows[again], amounts[:, again], ends[again]

    def limit(self, rows: IntColumn, most: IntColumn, start: float, end: float) -> None:
        """No more of each thing than this between then and then."""
        places, inside = self._between(rows, start, end)
        found = places[inside]
        self.free[:, found] = np.minimum(self.free[:, found], most[:, None])

    def least(self, rows: IntColumn, start: float | Times, end: float) -> IntColumn:
        """What of each thing there is all the time between: a column for each row. Each may have a start of its own."""
        places, is_one = self._places(rows)
        times = self.times[places]
        inside = is_one & (times < end) & (self.times[places + 1] > start)
        found: IntColumn = np.where(inside, self.free[:, places], _LARGE).min(axis=2)
        return found

    def lacks_from(self, rows: IntColumn, amounts: IntColumn, since: float) -> float:
        """The first moment from then on at which a row has less than this."""
        places, is_one = self._places(rows)
        lacking = is_one & (self.free[:, places] < amounts[:, :, None]).any(axis=0)
        times = self.times[places]
        return float(times[lacking & (times >= since)].min(initial=FOREVER))

    def of(self, wanted: BoolColumn, since: float) -> IntColumn:
        """The places of all stretches of these rows that reach beyond then: by row, in order."""
        later = np.append(self.times[1:], FOREVER)
        return np.flatnonzero((self.times < FOREVER) & (later > since) & wanted[self.row])

    def ends(self, places: IntColumn) -> Times:
        return self.times[places + 1]

    def moments(self) -> Times:
        found: Times = np.unique(self.times)
        return found[found < FOREVER]

    def _places(self, rows: IntColumn) -> tuple[IntColumn, BoolColumn]:
        """A line for each row, with a place for each of its stretches; and which of these are no mere filling."""
        used = self.used[rows]
        column = np.arange(int(used.max(initial=1)))[None, :]
        is_one = column < used[:, None]
        places: IntColumn = self.first[rows][:, None] + np.where(is_one, column, 0)
        return places, is_one

    def _between(self, rows: IntColumn, start: float, end: float | Times) -> tuple[IntColumn, BoolColumn]:
        """Their stretches, and which of them lie between, once they have been cut there."""
        over: Times = np.broadcast_to(np.asarray(end, np.float64), rows.shape)
        if start > self.now:
            self._cut(rows, np.broadcast_to(np.float64(start), rows.shape))
        ends = over < FOREVER
        if ends.all():
            self._cut(rows, over)
        elif ends.any():
            self._cut(rows[ends], over[ends])
        places, is_one = self._places(rows)
        times = self.times[places]
        return places, is_one & (times >= start) & (times < over[:, None])

    def _cut(self, rows: IntColumn, at: Times) -> None:
        places, is_one = self._places(rows)
        lacking = ~(is_one & (self.times[places] == at[:, None])).any(axis=1)
        rows, at = rows[lacking], at[lacking]
        if not len(rows):
            return
        narrow = rows[self.used[rows] + 1 >= self.room[rows]]
        if len(narrow):
            self._move(narrow)
        places, is_one = self._places(rows)
        before = (is_one & (self.times[places] < at[:, None])).sum(axis=1)
        column = np.arange(places.shape[1] + 1)[None, :]
        into = (column >= before[:, None]) & (column <= self.used[rows][:, None])
        to = (self.first[rows][:, None] + column)[into]
        self.free[:, to] = self.free[:, to - 1]
        self.times[to] = self.times[to - 1]
        self.times[self.first[rows] + before] = at
        self.used[rows] += 1

    def _move(self, rows: IntColumn) -> None:
        """To the end, with more room."""
        places, is_one = self._places(rows)
        old, used = places[is_one], self.used[rows]
        more = 2 * used + SPARE
        first = self.length + np.cumsum(more) - more
        new = (first[:, None] + np.arange(places.shape[1])[None, :])[is_one]
        begin, self.length = self.length, self.length + int(more.sum())
        if self.length > len(self.row):
            self._extend(self.length - len(self.row) + len(self.row) // 2)
        self.row[begin : self.length] = np.repeat(rows, more)
        self.times[new], self.free[:, new] = self.times[old], self.free[:, old]
        self.times[old] = FOREVER
        self.first[rows], self.room[rows] = first, more

    def _extend(self, places: int) -> None:
        self.row = np.concatenate([self.row, np.zeros(places, np.int64)])
        self.times = np.concatenate([self.times, np.full(places, FOREVER)])
        self.free = np.concatenate([self.free, np.zeros((len(self.free), places), np.int64)], axis=1)
