"""What does a cycle decide?"""

from collections.abc import Iterator, Set

import msgspec

from corral.model.allocation import Allocation
from corral.model.job import JobId
from corral.model.reason import Reason
from corral.scheduler.preemption import Victim
from corral.scheduler.profile import Promises


class Start(msgspec.Struct, frozen=True):
    """Give the job (or this element of an array) these resources now."""

    job: JobId
    allocation: Allocation
    task_index: int | None = None
    time_limit: int | None = None  #: seconds, when less than was asked for (--time-min)
    gang: int = 0  #: not without the others of this number
    is_backfill: bool = False  #: jobs before it still wait


class Preemption(msgspec.Struct, frozen=True, kw_only=True):
    """Let these go, and give their place to the job (or this element of an array) as soon as it is free."""

    job: JobId
    allocation: Allocation
    victims: tuple[Victim, ...]
    leaving: tuple[int, ...] = ()  #: others that have something of it, and are about to be gone anyhow
    element: int | None = None
    time_limit: int | None = None  #: as in Start

    def names(self) -> Iterator[int]:
        """All jobs that this is about."""
        yield self.job
        yield from (victim.job for victim in self.victims)
        yield from self.leaving


class NotNow(msgspec.Struct, frozen=True):
    """Why not: the code that squeue shows, and words."""

    reason: Reason
    text: str = ""


class Expected(msgspec.Struct, frozen=True):
    """When and where a waiting job is planned to start."""

    time: float
    nodes: str
    allocation: Allocation | None = None  #: what it is planned to get


class Rest(msgspec.Struct, frozen=True):
    """The jobs of a group from this position of its queue on wait for the same thing."""

    position: int
    why: NotNow


class Plan(msgspec.Struct, kw_only=True):
    starts: list[Start] = []
    reasons: dict[JobId, NotNow] = {}  #: of the first of each group that does not start
    rest: dict[int, Rest] = {}  #: by the group's number in the snapshot: why those behind the first wait
    expected: dict[JobId, Expected] = {}
    preemptions: list[Preemption] = []
    broken: list[tuple[JobId, int | None]] = []  #: promises to a job, or an element, that can't be kept
    resumes: list[JobId] = []  #: jobs that were suspended for others go on
    exempt_until: float = float("inf")  #: when a job may be preempted that may not yet
    looked_at: int = 0  #: how many jobs were considered
    backfilled: int = 0  #: how many of the starts are of jobs before which others wait
    moments: int = 0  #: at how many moments to come it was looked whether a job would fit
    kept: Promises | None = None  #: planned starts that the next cycle is to keep
    without_plans: bool = False  #: nothing was free, and no start was planned: what was expected before still is
    more: bool = False  #: the rest of it is still to come

    def without(self, jobs: Set[JobId]) -> "Plan":
        """Only what is about none of these."""
        if not jobs or jobs.isdisjoint(self._named()):
            return self
        gangs = {start.gang for start in self.starts if start.gang and start.job in jobs}
        return msgspec.structs.replace(
            self,
            starts=[one for one in self.starts if one.job not in jobs and (not one.gang or one.gang not in gangs)],
            preemptions=[one for one in self.preemptions if jobs.isdisjoint(one.names())],
            broken=[one for one in self.broken if one[0] not in jobs],
            resumes=[one for one in self.resumes if one not in jobs],
        )

    def _named(self) -> Iterator[int]:
        yield from (start.job for start in self.starts)
        for one in self.preemptions:
            yield from one.names()
        yield from (job for job, _ in self.broken)
        yield from self.resumes

    def pieces(self, most: int) -> list["Plan"]:
        """So that each can be committed in little time: at most so many starts, those of a gang together. The last has all else."""
        found: list[Plan] = []
        begin = 0
        for at in range(1, len(self.starts)):
            if at - begin >= most and (not self.starts[at].gang or self.starts[at].gang != self.starts[at - 1].gang):
                found.append(Plan(starts=self.starts[begin:at], more=True))
                begin = at
        return [*found, msgspec.structs.replace(self, starts=self.starts[begin:])]
