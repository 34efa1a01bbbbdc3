"""How busy is the controller, and with what? Counters since it began, or since an operator has reset them; sdiag shows them.

Counting costs a dictionary look-up per event and two readings of a clock per request, so it is always on. As in Slurm, the counters of
jobs and cycles begin anew at midnight UTC, those of requests only when told to.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from corral.model import ranges
from corral.model.job import Job, JobState
from corral.protocol import events as ev
from corral.scheduler.plan import Plan

_DAY = 86400
_MICROSECONDS = 1_000_000

#: What has ended for reasons that lie with the cluster, not with the job or its owner.
_FAILED = frozenset({JobState.NODE_FAIL, JobState.BOOT_FAIL})


class Spans:
    """Of one kind of work: how often, how long."""

    __slots__ = ("count", "last", "longest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.last = self.longest = self.total = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.last = seconds
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def shown(self) -> dict[str, int]:
        """In microseconds."""
        return {
            "count": self.count, "last": _micro(self.last), "max": _micro(self.longest), "sum": _micro(self.total),
        }  # fmt: skip

    def forget(self) -> None:
        """All but the last, which stays what it was."""
        self.count = 0
        self.longest = self.total = 0.0


class Depth:
    """A number of each cycle: the last, and the sum of all."""

    __slots__ = ("last", "total")

    def __init__(self) -> None:
        self.last = self.total = 0

    def add(self, number: int) -> None:
        self.last = number
        self.total += number


class Statistics:
    def __init__(self, now: float, monotonic: Callable[[], float]) -> None:
        self.requests: dict[str, Spans] = {}  #: by what was asked for, or reported
        self.users: dict[tuple[int, str], Spans] = {}
        self.submitted_ever = self.started_ever = 0  #: since the controller began, whatever is reset
        self.ended_ever: Counter[JobState] = Counter()
        self.cycles_ever = Spans()
        self.in_work = 0  #: requests that are being answered
        self.cycles = Spans()
        self.depth = Depth()
        self.backfill = Spans()
        self.backfill_depth = Depth()
        self.backfill_tries = Depth()
        self.backfill_queue = Depth()
        self.backfill_table = Depth()
        self.backfill_when = 0.0
        self.backfilled_ever = 0
        self.queue_length = 0
        began = monotonic()
        for _ in range(1000):
            monotonic()
        self.clock_latency = monotonic() - began  #: seconds that 1000 readings of the clock take
        self._begin(now)

    def _begin(self, now: float) -> None:
        self.since = now
        self._midnight = (now // _DAY + 1) * _DAY
        self.submitted = self.started = self.completed = self.canceled = self.failed = 0
        self.backfilled = self.backfilled_last = 0
        self.cycles.forget()
        self.backfill.forget()
        self.depth = Depth()
        self.backfill_depth, self.backfill_tries = Depth(), Depth()
        self.backfill_queue, self.backfill_table = Depth(), Depth()

    def reset(self, now: float) -> None:
        """By an operator: the requests as well."""
        self._begin(now)
        self.requests.clear()
        self.users.clear()

    # -- counting

    def on_event(self, event: ev.AnyEvent) -> None:
        count = _COUNTED.get(type(event))
        if count is not None:
            count(self, event.job)  # type: ignore[union-attr]  # only events of jobs are in the table

    def _on_submitted(self, job: Job) -> None:
        count = ranges.count(job.array_waiting) or 1
        self.submitted += count
        self.submitted_ever += count

    def _on_started(self, job: Job) -> None:
        self.started += 1
        self.started_ever += 1

    def _on_ended(self, job: Job) -> None:
        self.ended_ever[job.state] += 1
        if job.state is JobState.CANCELLED:
            self.canceled += 1
        elif job.state in _FAILED:
            self.failed += 1
        else:
            self.completed += 1

    def on_cycle(self, plan: Plan, waiting: int, seconds: float, now: float) -> None:
        """A cycle in which starts were planned, or jobs begun before others that wait, is one of backfilling too."""
        if now >= self._midnight:
            self._begin(now)
        self.cycles.add(seconds)
        self.cycles_ever.add(seconds)
        self.depth.add(plan.looked_at)
        self.queue_length = waiting
        if not plan.expected and not plan.backfilled:
            return
        self.backfill.add(seconds)
        self.backfill_when = now
        self.backfill_depth.add(plan.looked_at)
        self.backfill_tries.add(plan.backfilled + len(plan.expected))
        self.backfill_queue.add(waiting)
        self.backfill_table.add(plan.moments)
        self.backfilled_last = plan.backfilled
        self.backfilled += plan.backfilled
        self.backfilled_ever += plan.backfilled

    def on_request(self, name: str, seconds: float, uid: int = -1, user: str = "") -> None:
        spans = self.requests.get(name)
        if spans is None:
            spans = self.requests[name] = Spans()
        spans.add(seconds)
        if uid >= 0:
            of_user = self.users.get((uid, user))
            if of_user is None:
                of_user = self.users[uid, user] = Spans()
            of_user.add(seconds)

    # -- telling

    def shown(self, now: float) -> dict[str, Any]:
        if now >= self._midnight:
            self._begin(now)
        return {
            "time": now,
            "since": self.since,
            "in_work": self.in_work,
            "clock_latency": _micro(self.clock_latency),
            "jobs": {
                "submitted": self.submitted,
                "started": self.started,
                "completed": self.completed,
                "canceled": self.canceled,
                "failed": self.failed,
            },
            "cycle": self.cycles.shown() | {"depth": _depth(self.depth), "queue_length": self.queue_length},
            "backfill": self.backfill.shown()
            | {
                "jobs_ever": self.backfilled_ever,
                "jobs": self.backfilled,
                "jobs_last": self.backfilled_last,
                "when": self.backfill_when,
                "depth": _depth(self.backfill_depth),
                "tries": _depth(self.backfill_tries),
                "queue": _depth(self.backfill_queue),
                "table": _depth(self.backfill_table),
            },
            "requests": [
                {"name": name, "count": one.count, "sum": _micro(one.total)} for name, one in self.requests.items()
            ],
            "users": [
                {"uid": uid, "user": user, "count": one.count, "sum": _micro(one.total)}
                for (uid, user), one in self.users.items()
            ],
        }


_COUNTED: dict[type, Callable[[Statistics, Job], None]] = {
    ev.JobSubmitted: Statistics._on_submitted,
    ev.JobStarted: Statistics._on_started,
    ev.JobEnded: Statistics._on_ended,
}


def _micro(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)


def _depth(depth: Depth) -> dict[str, int]:
    return {"last": depth.last, "sum": depth.total}
