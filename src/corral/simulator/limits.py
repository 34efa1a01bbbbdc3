"""Do the limits of accounts and QOS hold for whoever enters or starts? Counted job by job, not by the tallies that the engine keeps.

A limit that is lowered later, and what an operator has set beyond it, is nobody's breach: so it is looked at when a job enters or starts,
and what started after it in the same batch does not count.
"""

from collections.abc import Iterable, Sequence

from corral.engine.exempt import spared
from corral.engine.meter import qos_of
from corral.engine.rules import RuleBook, buckets
from corral.engine.state import ClusterState
from corral.model import ranges
from corral.model.job import Job, JobId, JobState
from corral.protocol import events as ev
from corral.scheduler.quota import LONGEST, Bucket, Rule, Rules, gets, held
from corral.simulator.invariants import InvariantBroken

_RUNNING = frozenset({JobState.CONFIGURING, JobState.RUNNING, JobState.SUSPENDED})
#: Minutes: sums of floats.
_SLACK = 1e-6


def check_limits(state: ClusterState, enforced: Sequence[str], records: Iterable[ev.AnyEvent]) -> None:
    """After a message that has recorded these."""
    if not state.books or not ("limits" in enforced or "safe" in enforced):
        return
    found = list(records)
    book = RuleBook(state.books, True, "safe" in enforced)
    for at, record in enumerate(found):
        if isinstance(record, ev.JobStarted | ev.JobSubmitted):
            job = state.jobs.get(record.job.id)
            if job is None or job.state is not record.job.state:
                continue
            later = {one.job.id for one in found[at + 1 :] if isinstance(one, type(record))}
            check = _Check(state, later, record.time)
            rules = _rules(state, book, job)
            check.start(job, rules) if isinstance(record, ev.JobStarted) else check.entry(job, rules)


def _rules(state: ClusterState, book: RuleBook, job: Job) -> Rules:
    partition = job.allocation.partition if job.allocation is not None else job.partition
    names = qos_of(state.spec(job).qos, partition, state.books, state.partitions)
    return spared(book.of(job.association, names, job.owner.user), job.exempt)


class _Check:
    def __init__(self, state: ClusterState, later: set[JobId], now: float) -> None:
        self.state, self.later, self.now = state, later, now

    def entry(self, job: Job, rules: Rules) -> None:
        for rule in rules.submitted:
            count = sum(ranges.count(one.array_waiting) or 1 for one in self.inside(rule.bucket, running=False))
            self.holds(count <= rule.limit, job, rule, count)

    def start(self, job: Job, rules: Rules) -> None:
        assert job.allocation is not None
        own = gets(job.allocation, job.time_limit)
        for rule in rules.jobs:
            count = len(self.inside(rule.bucket))
            self.holds(count <= rule.limit, job, rule, count)
        for rule in rules.tres:
            amount = self.held(rule)
            self.holds(amount <= rule.limit, job, rule, amount)
        for rule in rules.run_minutes:
            minutes = self.ahead(rule)
            self.holds(minutes <= rule.limit + _SLACK, job, rule, minutes)
        for rule in rules.minutes:
            minutes = self.state.meter.used(rule.bucket, self.now).minutes(rule.resource)
            self.holds(minutes < rule.limit, job, rule, minutes)
            if rules.safe:
                minutes += self.ahead(rule)
                self.holds(minutes <= rule.limit + _SLACK, job, rule, minutes)
        for rule in rules.wall:
            minutes = self.state.meter.used(rule.bucket, self.now).wall_minutes
            self.holds(minutes < rule.limit, job, rule, minutes)
        for rule in rules.longest:
            self.holds(min(job.time_limit, LONGEST) / 60 <= rule.limit, job, rule, job.time_limit)
        for rule in rules.per_job:
            self.holds(own.amounts.get(rule.resource, 0) <= rule.limit, job, rule, own.amounts)
        for rule in rules.per_node:
            self.holds(own.per_node.get(rule.resource, 0) <= rule.limit, job, rule, own.per_node)
        for rule in rules.least:
            self.holds(own.amounts.get(rule.resource, 0) >= rule.limit, job, rule, own.amounts)
        for rule in rules.minutes_per_job:
            self.holds(own.minutes(rule.resource) <= rule.limit, job, rule, own.minutes(rule.resource))

    def inside(self, bucket: Bucket, running: bool = True) -> list[Job]:
        return [
            one
            for one in self.state.jobs.values()
            if one.id not in self.later
            and not one.has_ended
            and one.state is not JobState.COMPLETING
            and (not running or one.state in _RUNNING)
            and bucket in self.where(one)
        ]

    def where(self, job: Job) -> tuple[Bucket, ...]:
        state, spec = self.state, self.state.spec(job)
        own = state.books.associations.get(job.association)
        names = qos_of(spec.qos, job.partition, state.books, state.partitions)
        return buckets(state.books, own.id if own else 0, names, job.owner.user, own.account if own else spec.account)

    def held(self, rule: Rule) -> int:
        allocations = [one.allocation for one in self.inside(rule.bucket) if one.allocation is not None]
        if rule.resource == "node":  # one that several share counts once
            return len({name for allocation in allocations for name in allocation.node_names})
        return sum(held(allocation).get(rule.resource, 0) for allocation in allocations)

    def ahead(self, rule: Rule) -> float:
        """Minutes that those who run may still use."""
        found = 0.0
        for one in self.inside(rule.bucket):
            assert one.allocation is not None
            ends = int(one.start_time + min(one.time_limit, LONGEST) + one.suspended_seconds)
            since = int(one.suspend_time) if one.state is JobState.SUSPENDED else self.now
            found += held(one.allocation).get(rule.resource, 0) * max(0.0, ends - since) / 60 * self.factor(one)
        return found

    def factor(self, job: Job) -> float:
        names = qos_of(self.state.spec(job).qos, job.partition, self.state.books, self.state.partitions)
        own = self.state.books.qos[names[-1]] if names else None
        return own.usage_factor if own is not None and "UsageFactorSafe" in own.flags else 1.0

    def holds(self, is_kept: bool, job: Job, rule: Rule, found: object) -> None:
        if not is_kept:
            words = (
                f"job {job.id} ({job.state}) breaks {rule.name}{rule.resource and '=' + rule.resource} of {rule.bucket}"
            )
            raise InvariantBroken(f"{words}: {found}, at most {rule.limit:g}")
