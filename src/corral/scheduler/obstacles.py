"""Which limits stand against a job, how much of each is used, by whom, and how much does it ask for?

As quota.py decides it, but all of them and with their numbers: for who asks why a job waits. Who uses a limit up is told from what each
job counts for.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from corral.model.reason import Reason
from corral.scheduler.quota import AFTER, BEFORE, Bucket, Quota, Rule, Rules, Wanted

#: Of one limit at most so many jobs and users are named, those with the most.
MOST_NAMED = 20


class Holder(msgspec.Struct, frozen=True):
    """A running job, and what it has of a limit."""

    job: int
    user: str
    amount: float


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that a job would break if it started now."""

    reason: Reason  #: Slurm's word
    name: str  #: as sacctmgr calls it: GrpTRES, MaxJobsPerUser
    resource: str = ""  #: of TRES: cpu, mem (MB), gres/gpu
    scope: str  #: "association" or "qos"
    whose: str  #: "account chem", "user ann of account chem", "QOS high", "user ann in QOS high"
    value: float
    used: float
    asked: float
    jobs: tuple[Holder, ...] = ()  #: those with the most first
    users: tuple[tuple[str, float], ...] = ()

    @property
    def text(self) -> str:
        """In a sentence: GrpTRES=gres/gpu:16 of account chem: 14 used (bob 10, ann 4), 4 asked for."""
        limit = f"{self.name}={self.resource}:{self.value:g}" if self.resource else f"{self.name}={self.value:g}"
        holders = ", ".join(f"{user} {amount:g}" for user, amount in self.users)
        used = f"{self.used:g} used" + (f" ({holders})" if holders else "")
        return f"{limit} of {self.whose}: {used}, {self.asked:g} asked for"


class Counted(NamedTuple):
    """What a running job counts for in a bucket."""

    job: int
    user: str
    tres: dict[str, int]
    seconds_left: float


#: Bucket -> the running jobs in it.
Holders = Callable[[Bucket], Iterable[Counted]]


def obstacles(
    quota: Quota, rules: Rules, wanted: Wanted, whose: Callable[[Bucket], str], holders: Holders, known: Reason
) -> tuple[Obstacle, ...]:
    """All that stand against it now, in the order in which Slurm looks at them. `known` = why it waits as the last cycle found it."""
    found, seen = [], set()
    for checks in (BEFORE, AFTER):
        for rule, measure in quota.beyond(rules, wanted, checks):
            if rule in seen or (
                rule.resource == "node" and rule.reason is not known and _may_share(quota, rule, wanted)
            ):
                continue
            seen.add(rule)
            jobs, users = _who(rule, holders)
            found.append(
                Obstacle(
                    reason=rule.reason, name=rule.name, resource=rule.resource,
                    scope="association" if rule.bucket[0] == "association" else "qos", whose=whose(rule.bucket),
                    value=rule.limit, used=measure.used, asked=measure.asked, jobs=jobs, users=users,
                )
            )  # fmt: skip
    return tuple(found)


def _may_share(quota: Quota, rule: Rule, wanted: Wanted) -> bool:
    """Could it run on nodes that are counted already?"""
    return max(len(quota.nodes(rule.bucket)), wanted.amounts.get("node", 0)) <= rule.limit


def _who(rule: Rule, holders: Holders) -> tuple[tuple[Holder, ...], tuple[tuple[str, float], ...]]:
    """Nobody uses up what holds for a job by itself."""
    if rule.name in _OF_ONE_JOB:
        return (), ()
    found = [Holder(one.job, one.user, _amount(rule, one)) for one in holders(rule.bucket)]
    found = sorted((one for one in found if one.amount > 0), key=lambda one: (-one.amount, one.job))
    users: dict[str, float] = {}
    for one in found:
        users[one.user] = users.get(one.user, 0.0) + one.amount
    ordered = sorted(users.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(found[:MOST_NAMED]), tuple(ordered[:MOST_NAMED])


_OF_ONE_JOB = frozenset({"MaxTRESPerJob", "MaxTRESPerNode", "MaxTRESMinsPerJob", "MinTRESPerJob", "MaxWall"})


def _amount(rule: Rule, one: Counted) -> float:
    if not rule.resource:
        return 1
    held = one.tres.get(rule.resource, 0)
    return held * one.seconds_left / 60 if rule.name.endswith("RunMins") else float(held)
