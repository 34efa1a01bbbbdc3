"""May one more job start, as far as the limits of its association and its QOS go?

A limit is a Rule: it says in which bucket things are counted (an association with all below it, a QOS, a user or an account within
a QOS), how much is allowed, and with which word a job waits. The rules of a job are made once for all jobs that are alike
(engine/rules.py); here they are held against what is counted. What a cycle starts is counted on top, in tallies of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from corral.model.allocation import Allocation, default_charge
from corral.model.job import UNLIMITED
from corral.model.reason import Reason
from corral.scheduler.demand import Demand
from corral.scheduler.priority import requested

#: ("association", id), ("qos", name), ("user", qos, user), ("account", qos, account)
Bucket = tuple[str, ...]

#: Parts of what running jobs may still use.
AHEAD = 1000

#: Seconds that a job without a limit counts for.
LONGEST = 365 * 86400


class Rule(msgspec.Struct, frozen=True, gc=False):
    bucket: Bucket
    limit: float
    reason: Reason
    resource: str = ""
    name: str = ""  #: as sacctmgr calls it


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
    threshold: tuple[Rule, ...] = ()  #: its association's fair share must be so much (UsageThreshold)
    accruing: tuple[Rule, ...] = ()  #: so many waiting jobs grow older
    safe: bool = False  #: it starts only if it can end within the minutes that are left
    usage_factor: float = 1.0  #: its minutes count so much then (UsageFactorSafe)
    deny: bool = False  #: what can't start by itself is refused at once
    reserves: bool = True  #: it may hold up others by a planned start
    min_priority: int = 0  #: with less it may not
    ignores: frozenset[str] = frozenset()  #: limits of the partition that do not hold: time, max_nodes, min_nodes

    def __bool__(self) -> bool:
        return self != NO_RULES


NO_RULES = Rules()


class Tally:
    """What is counted in one bucket."""

    __slots__ = ("ends", "frozen", "going", "jobs", "nodes", "submitted", "tres")

    def __init__(self) -> None:
        self.jobs = 0  #: running
        self.submitted = 0  #: waiting and running
        self.tres: dict[str, int] = {}  #: held
        self.nodes: dict[str, int] = {}  #: on each node so many jobs: a node that several share counts once
        # What running jobs may still use, at a time: sum of tres x (end - now) = ends - going x now, both in thousandths; and of
        # suspended ones, frozen.
        self.ends: dict[str, int] = {}
        self.going: dict[str, int] = {}
        self.frozen: dict[str, int] = {}

    def copy(self) -> "Tally":
        """Of one that a cycle has made."""
        found = Tally()
        found.jobs, found.tres, found.frozen = self.jobs, dict(self.tres), dict(self.frozen)
        found.nodes = dict(self.nodes)
        return found

    def run_seconds(self, resource: str, now: float) -> float:
        left = (self.ends.get(resource, 0) - self.going.get(resource, 0) * now) / AHEAD
        return max(0.0, left) + self.frozen.get(resource, 0)


EMPTY = Tally()


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """What a job asks for."""

    amounts: Mapping[str, int]
    per_node: Mapping[str, int]  #: the most on one node
    time_limit: int
    nodes: (
        tuple[str, ...] | None
    ) = ()  #: those it gets; () = not known: it may share those of others; None = it does not

    def minutes(self, resource: str) -> float:
        return self.amounts.get(resource, 0) * min(self.time_limit, LONGEST) / 60


class Quota:
    """The tallies as one cycle sees them: those of the state, and what the cycle itself has started."""

    def __init__(
        self,
        tallies: Mapping[Bucket, Tally],
        used: "Mapping[Bucket, Used]",
        now: float,
        fair_shares: Mapping[Bucket, float] | None = None,
    ) -> None:
        self.tallies = tallies
        self.used = used  #: minutes used so far, of the buckets that have such a limit
        self.now = now
        self.fair_shares = fair_shares or {}  #: of the associations for which it decides
        self.started: dict[Bucket, Tally] = {}

    def before(self, rules: Rules, time_limit: int) -> Reason | None:
        """What stands against it before anybody knows where it would run?"""
        return self._first(rules, Wanted({}, {}, time_limit), BEFORE)

    def with_amounts(
        self,
        rules: Rules,
        amounts: Mapping[str, int],
        per_node: Mapping[str, int],
        time_limit: int,
        nodes: tuple[str, ...] = (),
    ) -> Reason | None:
        """And with so much of each resource?"""
        return self._first(rules, Wanted(amounts, per_node, time_limit, nodes), AFTER)

    def _first(self, rules: Rules, wanted: Wanted, checks: "tuple[Check, ...]") -> Reason | None:
        for field, measured in checks:
            broken: Rule
            for broken in getattr(rules, field):
                if measured(self, rules, broken, wanted)[2]:
                    return broken.reason
        return None

    def beyond(self, rules: Rules, wanted: Wanted, checks: "tuple[Check, ...]") -> "Iterator[tuple[Rule, Measure]]":
        """The limits that it would break, in Slurm's order, with how it stands to them."""
        for field, measured in checks:
            for rule in getattr(rules, field):
                found = Measure(*measured(self, rules, rule, wanted))
                if found.breaks:
                    yield rule, found

    def take(self, rules: Rules, amounts: Mapping[str, int], time_limit: int, nodes: tuple[str, ...] = ()) -> None:
        seconds = min(time_limit, LONGEST) * rules.usage_factor
        counted = [(resource, amount, int(amount * seconds)) for resource, amount in amounts.items() if amount]
        for bucket in rules.buckets:
            tally = self.started.get(bucket)
            if tally is None:
                tally = self.started[bucket] = Tally()
            tally.jobs += 1
            tally.nodes |= dict.fromkeys(nodes, 1)
            for resource, amount, ahead in counted:
                tally.tres[resource] = tally.tres.get(resource, 0) + amount
                tally.frozen[resource] = tally.frozen.get(resource, 0) + ahead

    def trial(self) -> "Quota":
        """A copy, to see what would be when others have started too."""
        copy = Quota(self.tallies, self.used, self.now, self.fair_shares)
        copy.started = {bucket: tally.copy() for bucket, tally in self.started.items()}
        return copy

    def jobs(self, bucket: Bucket) -> int:
        return self.tallies.get(bucket, EMPTY).jobs + self.started.get(bucket, EMPTY).jobs

    def nodes(self, bucket: Bucket) -> set[str]:
        return {*self.tallies.get(bucket, EMPTY).nodes, *self.started.get(bucket, EMPTY).nodes}

    def held(self, bucket: Bucket, resource: str) -> int:
        held = self.tallies.get(bucket, EMPTY).tres.get(resource, 0)
        return held + self.started.get(bucket, EMPTY).tres.get(resource, 0)

    def run_minutes(self, bucket: Bucket, resource: str) -> float:
        seconds = self.tallies.get(bucket, EMPTY).run_seconds(resource, self.now)
        return (seconds + self.started.get(bucket, EMPTY).run_seconds(resource, self.now)) / 60

    def minutes(self, rule: Rule) -> float:
        used = self.used.get(rule.bucket)
        return used.minutes(rule.resource) if used is not None else 0.0

    def wall_minutes(self, rule: Rule) -> float:
        used = self.used.get(rule.bucket)
        return used.wall_minutes if used is not None else 0.0


class Measure(NamedTuple):
    """How a job stands to a limit, in the limit's unit."""

    used: float
    asked: float
    breaks: bool


#: The same without names: they are made for every rule of every start.
Measures = tuple[float, float, bool]


def _minutes(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    used = quota.minutes(rule)
    return used, 0.0, used >= rule.limit


def _jobs(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    running = quota.jobs(rule.bucket)
    return running, 1, running >= rule.limit


def _wall(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    used = quota.wall_minutes(rule)
    return used, 0.0, used >= rule.limit


def _longest(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    asked = minutes_of(wanted.time_limit)
    return 0, asked, asked > rule.limit


def _per_job(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    asked = wanted.amounts.get(rule.resource, 0)
    return 0, asked, asked > rule.limit


def _per_node(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    asked = wanted.per_node.get(rule.resource, 0)
    return 0, asked, asked > rule.limit


def _least(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    asked = wanted.amounts.get(rule.resource, 0)
    return 0, asked, asked < rule.limit


def _minutes_per_job(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    asked = wanted.minutes(rule.resource)
    return 0, asked, asked > rule.limit


def _tres(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    if rule.resource == "node":
        return _nodes(quota, rule, wanted)
    held, asked = quota.held(rule.bucket, rule.resource), wanted.amounts.get(rule.resource, 0)
    return held, asked, held + asked > rule.limit


def _nodes(quota: Quota, rule: Rule, wanted: Wanted) -> Measures:
    """A node that several jobs share counts once."""
    held, asked = quota.nodes(rule.bucket), wanted.amounts.get("node", 0)
    if wanted.nodes is None:
        total = len(held) + asked
    elif wanted.nodes:
        total = len(held.union(wanted.nodes))
    else:
        total = max(len(held), asked)
    return len(held), asked, total > rule.limit


def _run_minutes(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    ahead = quota.run_minutes(rule.bucket, rule.resource)
    asked = wanted.minutes(rule.resource) * rules.usage_factor
    return ahead, asked, ahead + asked > rule.limit


def _minutes_to_end(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    """With `safe` it has to be able to end within what is left when all that run have ended."""
    if not rules.safe:
        return 0, 0, False
    used = quota.minutes(rule) + quota.run_minutes(rule.bucket, rule.resource)
    asked = wanted.minutes(rule.resource) * rules.usage_factor
    return used, asked, used + asked > rule.limit


def _threshold(quota: Quota, rules: Rules, rule: Rule, wanted: Wanted) -> Measures:
    own = quota.fair_shares.get(rule.bucket, 1.0)
    return 0, own, own < rule.limit


#: Which of a job's rules, and how it stands to each of them.
Measured = Callable[[Quota, Rules, Rule, Wanted], Measures]
Check = tuple[str, Measured]
BEFORE: tuple[Check, ...] = (
    ("minutes", _minutes), ("jobs", _jobs), ("wall", _wall), ("longest", _longest), ("threshold", _threshold),
)  # fmt: skip
ALONE: tuple[Check, ...] = (
    ("per_job", _per_job), ("per_node", _per_node), ("least", _least), ("minutes_per_job", _minutes_per_job),
)  # fmt: skip
AFTER: tuple[Check, ...] = (*ALONE, ("tres", _tres), ("run_minutes", _run_minutes), ("minutes", _minutes_to_end))


class Used(msgspec.Struct, frozen=True):
    """What a bucket has used, with decay."""

    seconds: dict[str, float]
    wall: float = 0.0

    def minutes(self, resource: str) -> float:
        return self.seconds.get(resource, 0.0) / 60

    @property
    def wall_minutes(self) -> float:
        return self.wall / 60


def refused_alone(rules: Rules, demand: Demand, time_limit: int | None) -> Reason | None:
    """DenyOnLimit: what is refused at submission, by the job's own size."""
    nothing = Quota({}, {}, 0.0)
    amounts = asked(demand)
    wanted = Wanted(amounts, asked_per_node(amounts, demand), UNLIMITED if time_limit is None else time_limit)
    checks = ((("longest", _longest),) if time_limit is not None else ()) + ALONE + (("tres", _tres),)
    return next((rule.reason for rule, _ in nothing.beyond(rules, wanted, checks)), None)


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
    found["billing"] = default_charge(found["cpu"], found.get("gres/gpu", 0))
    return found


def asked_per_node(amounts: Mapping[str, int], demand: Demand) -> dict[str, int]:
    """What is known of it before a place is found: as Slurm has it, all of it over the least number of nodes."""
    nodes = max(1, demand.nodes_min)
    return {name: amount // nodes for name, amount in amounts.items() if name != "node"}


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
            count = gres.count
            found[f"gres/{gres.name}"] = found.get(f"gres/{gres.name}", 0) + count
            if gres.type:
                typed = f"gres/{gres.name}:{gres.type}"
                found[typed] = found.get(typed, 0) + count
    for name, count in allocation.licenses:
        found[f"license/{name}"] = count
    return found


class Billing(msgspec.Struct, frozen=True):
    """What a partition charges."""

    weights: dict[str, float]  #: by resource; of memory each GB
    largest: bool = False  #: MAX_TRES: of what nodes have only the dearest counts, and all licences


def gets(allocation: Allocation, time_limit: int) -> Wanted:
    """What a job has with this."""
    return Wanted(held(allocation), most_per_node(allocation), time_limit, allocation.node_names)


def billed(amounts: Mapping[str, int], billing: Billing) -> int:
    """What a second of this is charged with: the sum of its parts, or of the nodes' the largest."""
    total = largest = 0.0
    for name, weight in billing.weights.items():
        amount = amounts.get(name, 0)
        charge = weight * (amount / 1024 if name == "mem" else amount)
        if billing.largest and not name.startswith("license/"):
            largest = max(largest, charge)
        else:
            total += charge
    return int(total + largest)


def most_per_node(allocation: Allocation) -> dict[str, int]:
    """The largest amount on one node."""
    found: dict[str, int] = {}
    for share in allocation.nodes:
        own: dict[str, int] = {"cpu": len(share.cpus), "mem": share.memory_mb}
        for gres in share.gres:
            name = f"gres/{gres.name}"
            own[name] = own.get(name, 0) + gres.count
        for name, amount in own.items():
            found[name] = max(found.get(name, 0), amount)
    return found
