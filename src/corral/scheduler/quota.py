"""May one more job start, as far as the limits of its association and its QOS go?

A limit is a Rule: it says in which bucket things are counted (an association with all below it, a QOS, a user or an account within
a QOS), how much is allowed, and with which word a job waits. The rules of a job are made once for all jobs that are alike
(engine/rules.py); here they are held against what is counted. What a cycle starts is counted on top, in tallies of its own.
"""

from collections.abc import Mapping

import msgspec

from corral.model.allocation import Allocation
from corral.model.job import UNLIMITED
from corral.model.reason import Reason
from corral.scheduler.demand import Demand
from corral.scheduler.priority import requested

#: ("association", id), ("qos", name), ("user", qos, user), ("account", qos, account)
Bucket = tuple[str, ...]

#: Seconds that a job without a limit counts for.
LONGEST = 365 * 86400


class Rule(msgspec.Struct, frozen=True, gc=False):
    bucket: Bucket
    limit: int
    reason: Reason
    resource: str = ""


class Rules(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """All limits of a job in one partition. Jobs with equal ones have one answer within a cycle."""

    buckets: tuple[Bucket, ...] = ()  #: where a start counts
    submitted: tuple[Rule, ...] = ()  #: jobs that wait and run
    jobs: tuple[Rule, ...] = ()
    tres: tuple[Rule, ...] = ()  #: held at one time
    run_minutes: tuple[Rule, ...] = ()  #: what the running jobs may still use
    minutes: tuple[Rule, ...] = ()  #: used so far
    wall: tuple[Rule, ...] = ()  #: minutes
    per_job: tuple[Rule, ...] = ()
    per_node: tuple[Rule, ...] = ()
    minutes_per_job: tuple[Rule, ...] = ()
    least: tuple[Rule, ...] = ()  #: a job must ask for so much
    longest: tuple[Rule, ...] = ()  #: minutes of a job
    accruing: tuple[Rule, ...] = ()  #: so many waiting jobs grow older
    safe: bool = False  #: it starts only if it can end within the minutes that are left
    deny: bool = False  #: what can't start by itself is refused at once
    reserves: bool = True  #: it may hold up others by a planned start
    min_priority: int = 0  #: with less it may not
    ignores: frozenset[str] = frozenset()  #: limits of the partition that do not hold: time, max_nodes, min_nodes

    def __bool__(self) -> bool:
        return self != NO_RULES


NO_RULES = Rules()


class Tally:
    """What is counted in one bucket."""

    __slots__ = ("ends", "frozen", "going", "jobs", "submitted", "tres")

    def __init__(self) -> None:
        self.jobs = 0  #: running
        self.submitted = 0  #: waiting and running
        self.tres: dict[str, int] = {}  #: held
        # What running jobs may still use, at a time: sum of tres x (end - now) = ends - going x now; and of suspended ones, frozen.
        self.ends: dict[str, int] = {}
        self.going: dict[str, int] = {}
        self.frozen: dict[str, int] = {}

    def run_seconds(self, resource: str, now: float) -> float:
        left = self.ends.get(resource, 0) - self.going.get(resource, 0) * now
        return max(0.0, left) + self.frozen.get(resource, 0)


EMPTY = Tally()


class Quota:
    """The tallies as one cycle sees them: those of the state, and what the cycle itself has started."""

    def __init__(self, tallies: Mapping[Bucket, Tally], used: "Mapping[Bucket, Used]", now: float) -> None:
        self.tallies = tallies
        self.used = used  #: minutes used so far, of the buckets that have such a limit
        self.now = now
        self.started: dict[Bucket, Tally] = {}

    def before(self, rules: Rules, time_limit: int) -> Reason | None:
        """What stands against it before anybody knows where it would run?"""
        for rule in rules.minutes:
            used = self.used.get(rule.bucket)
            if used is not None and used.minutes(rule.resource) >= rule.limit:
                return rule.reason
            if used is None and rule.limit <= 0:
                return rule.reason
        for rule in rules.jobs:
            if self._jobs(rule.bucket) >= rule.limit:
                return rule.reason
        for rule in rules.wall:
            used = self.used.get(rule.bucket)
            if (used.wall_minutes if used is not None else 0.0) >= rule.limit:
                return rule.reason
        for rule in rules.longest:
            if minutes_of(time_limit) > rule.limit:
                return rule.reason
        return None

    def with_amounts(
        self, rules: Rules, amounts: Mapping[str, int], per_node: Mapping[str, int], time_limit: int
    ) -> Reason | None:
        """And with so much of each resource?"""
        seconds = min(time_limit, LONGEST)
        reason = alone(rules, amounts, per_node, time_limit)
        if reason is not None:
            return reason
        for rule in rules.tres:
            if self._held(rule.bucket, rule.resource) + amounts.get(rule.resource, 0) > rule.limit:
                return rule.reason
        for rule in rules.run_minutes:
            more = amounts.get(rule.resource, 0) * seconds
            if self._run_seconds(rule.bucket, rule.resource) + more > rule.limit * 60:
                return rule.reason
        for rule in rules.minutes if rules.safe else ():
            used = self.used.get(rule.bucket)
            minutes = used.minutes(rule.resource) if used is not None else 0.0
            ahead = self._run_seconds(rule.bucket, rule.resource) + amounts.get(rule.resource, 0) * seconds
            if minutes + ahead / 60 > rule.limit:
                return rule.reason
        return None

    def take(self, rules: Rules, amounts: Mapping[str, int], time_limit: int) -> None:
        seconds = min(time_limit, LONGEST)
        for bucket in rules.buckets:
            tally = self.started.get(bucket)
            if tally is None:
                tally = self.started[bucket] = Tally()
            tally.jobs += 1
            for resource, amount in amounts.items():
                tally.tres[resource] = tally.tres.get(resource, 0) + amount
                tally.frozen[resource] = tally.frozen.get(resource, 0) + amount * seconds

    def _jobs(self, bucket: Bucket) -> int:
        return self.tallies.get(bucket, EMPTY).jobs + self.started.get(bucket, EMPTY).jobs

    def _held(self, bucket: Bucket, resource: str) -> int:
        held = self.tallies.get(bucket, EMPTY).tres.get(resource, 0)
        return held + self.started.get(bucket, EMPTY).tres.get(resource, 0)

    def _run_seconds(self, bucket: Bucket, resource: str) -> float:
        seconds = self.tallies.get(bucket, EMPTY).run_seconds(resource, self.now)
        return seconds + self.started.get(bucket, EMPTY).run_seconds(resource, self.now)


class Used(msgspec.Struct, frozen=True):
    """What a bucket has used, with decay."""

    seconds: dict[str, float]
    wall: float = 0.0

    def minutes(self, resource: str) -> float:
        return self.seconds.get(resource, 0.0) / 60

    @property
    def wall_minutes(self) -> float:
        return self.wall / 60


def alone(rules: Rules, amounts: Mapping[str, int], per_node: Mapping[str, int], time_limit: int) -> Reason | None:
    """Could a job like this never start, even if nothing else ran?"""
    for rule in rules.per_job:
        if amounts.get(rule.resource, 0) > rule.limit:
            return rule.reason
    for rule in rules.per_node:
        if per_node.get(rule.resource, 0) > rule.limit:
            return rule.reason
    for rule in rules.least:
        if amounts.get(rule.resource, 0) < rule.limit:
            return rule.reason
    for rule in rules.minutes_per_job:
        if amounts.get(rule.resource, 0) * min(time_limit, LONGEST) > rule.limit * 60:
            return rule.reason
    return None


def refused_alone(rules: Rules, demand: Demand, time_limit: int | None) -> Reason | None:
    """DenyOnLimit: what is refused at submission, by the job's own size."""
    amounts = asked(demand)
    limit = UNLIMITED if time_limit is None else time_limit
    for rule in rules.longest:
        if time_limit is not None and minutes_of(time_limit) > rule.limit:
            return rule.reason
    reason = alone(rules, amounts, {}, limit)
    if reason is not None:
        return reason
    for rule in rules.tres:
        if amounts.get(rule.resource, 0) > rule.limit:
            return rule.reason
    return None


def minutes_of(seconds: int) -> int:
    return -(-min(seconds, LONGEST) // 60)


def asked(demand: Demand) -> dict[str, int]:
    """The least that it will hold, by the names of TRES."""
    found = requested(demand)
    for requests in (demand.gres_per_node, demand.gres_per_task, demand.gres_total):
        for request in requests:
            if request.type:
                times = demand.nodes_min if requests is demand.gres_per_node else 1
                if requests is demand.gres_per_task:
                    times = demand.ntasks or demand.nodes_min
                name = f"gres/{request.name}:{request.type}"
                found[name] = found.get(name, 0) + request.count * times
    for name, count in demand.licenses:
        found[f"license/{name}"] = count
    found["billing"] = found["cpu"]
    return found


def held(allocation: Allocation) -> dict[str, int]:
    """By the names of TRES; memory in MB."""
    found = {
        "cpu": allocation.cpu_count,
        "mem": allocation.memory_mb,
        "node": len(allocation.nodes),
        "billing": allocation.billed,
    }
    for share in allocation.nodes:
        for gres in share.gres:
            count = len(gres.indices)
            found[f"gres/{gres.name}"] = found.get(f"gres/{gres.name}", 0) + count
            if gres.type:
                typed = f"gres/{gres.name}:{gres.type}"
                found[typed] = found.get(typed, 0) + count
    for name, count in allocation.licenses:
        found[f"license/{name}"] = count
    return found


def billed(amounts: Mapping[str, int], weights: Mapping[str, float]) -> int:
    """What a second of this is charged with: the sum of its parts, memory in GB."""
    total = 0.0
    for name, weight in weights.items():
        amount = amounts.get(name, 0)
        total += weight * (amount / 1024 if name == "mem" else amount)
    return int(total)


def most_per_node(allocation: Allocation) -> dict[str, int]:
    """The largest amount on one node."""
    found: dict[str, int] = {}
    for share in allocation.nodes:
        own: dict[str, int] = {"cpu": len(share.cpus), "mem": share.memory_mb}
        for gres in share.gres:
            name = f"gres/{gres.name}"
            own[name] = own.get(name, 0) + len(gres.indices)
        for name, amount in own.items():
            found[name] = max(found.get(name, 0), amount)
    return found
