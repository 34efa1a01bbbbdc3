"""How many of equal units are free at which time to come, and when are so many free for so long?

A step function: from `times[i]` on `free[i]` units are free, up to the next of the times; the last holds for ever. No two steps are alike,
so that equal functions are equal arrays. What is free may be negative: more was promised than there is.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FOREVER = float("inf")


class Promises(msgspec.Struct, frozen=True):
    """Planned starts that the next cycle is to keep, and what was free beside them."""

    order: tuple[int, ...]  #: the jobs, as they stood
    starts: dict[int, float]
    profile: "Profile"


class Profile:
    """From `times[0]`, which is now, on."""

    __slots__ = ("free", "size", "times")

    def __init__(self, times: Times, free: Counts) -> None:
        self.size = len(times)
        room = max(64, 2 * self.size)
        self.times, self.free = np.empty(room, np.float64), np.empty(room, np.int64)
        self.times[: self.size], self.free[: self.size] = times, free

    @classmethod
    def of(cls, now: float, free: int, changes: Sequence[tuple[Times, Counts]]) -> "Profile":
        """What is free now, and what comes or goes at which times; those that are past count from now on."""
        when = np.concatenate([[now], *(np.maximum(times, now) for times, _ in changes)])
        much = np.concatenate([[free], *(counts for _, counts in changes)])
        keep = when < FOREVER
        when, much = when[keep], much[keep]
        order = np.argsort(when, kind="stable")
        when, level = when[order], np.cumsum(much[order])
        last = np.append(when[1:] != when[:-1], True)  # of one moment the last counts
        when, level = when[last], level[last]
        steps = np.append(True, level[1:] != level[:-1])
        return cls(when[steps], level[steps])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Profile)
            and np.array_equal(self.times[: self.size], other.times[: other.size])
            and np.array_equal(self.free[: self.size], other.free[: other.size])
        )

    __hash__ = None  # type: ignore[assignment]

    def since(self, now: float) -> "Profile":
        """The same from a later time on."""
        first = int(np.searchsorted(self.times[: self.size], now, side="right")) - 1
        if first < 0:
            return self
        found = Profile(self.times[first : self.size], self.free[first : self.size])
        found.times[0] = now
        return found

    def fits(self, start: float, count: int, span: float) -> bool:
        """Are so many free from then on for so long?"""
        times, free = self.times[: self.size], self.free[: self.size]
        first = int(np.searchsorted(times, start, side="right")) - 1
        last = int(np.searchsorted(times, start + span, side="left"))
        return bool(free[first:last].min() >= count)

    def earliest(self, count: int, span: float) -> float:
        """From when on so many are free for so long; FOREVER = never."""
        times = self.times[: self.size]
        short = np.flatnonzero(self.free[: self.size] < count)  # the steps with too few
        if not len(short):
            return float(times[0])
        if short[0] > 0 and times[0] + span <= times[short[0]]:
            return float(times[0])
        if short[-1] == self.size - 1:
            begins = times[short[:-1] + 1]
        else:
            begins = times[short + 1]
        ends = np.append(times[short[1:]], FOREVER)[: len(begins)]
        wide = np.flatnonzero(begins + span <= ends)
        return float(begins[wide[0]]) if len(wide) else FOREVER

    def take(self, start: float, span: float, count: int) -> None:
        """So many are not free from then on for so long; a negative count gives them back."""
        first = self._step_at(start)
        last = self._step_at(start + span) if start + span < FOREVER else self.size
        self.free[first:last] -= count
        for index in (last, first):  # the later first, so that the earlier stays where it is
            if 0 < index < self.size and self.free[index] == self.free[index - 1]:
                self._remove(index)

    def _step_at(self, time: float) -> int:
        """The step that begins then: a new one if there is none."""
        index = int(np.searchsorted(self.times[: self.size], time, side="left"))
        if index < self.size and self.times[index] == time:
            return index
        if self.size == len(self.times):
            self.times = np.resize(self.times, 2 * self.size)
            self.free = np.resize(self.free, 2 * self.size)
        self.times[index + 1 : self.size + 1] = self.times[index : self.size]
        self.free[index + 1 : self.size + 1] = self.free[index : self.size]
        self.times[index], self.free[index] = time, self.free[index - 1]
        self.size += 1
        return index

    def _remove(self, index: int) -> None:
        self.times[index : self.size - 1] = self.times[index + 1 : self.size]
        self.free[index : self.size - 1] = self.free[index + 1 : self.size]
        self.size -= 1
