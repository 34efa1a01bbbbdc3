"""May several jobs start at once, as far as the limits go? Each counts against those that come after it."""

from collections.abc import Iterable, Sequence

from corral.model.reason import Reason
from corral.scheduler.quota import Quota, Rules, Wanted

#: A job in one of its partitions: its rules there, and what it asks for or gets.
Way = tuple[Rules, Wanted]


def held_back(quota: Quota, jobs: Iterable[Sequence[Way]]) -> Reason | None:
    """The limit that stands against all ways in which one of them could start; None = all may."""
    trial = quota.trial()
    for ways in jobs:
        reason: Reason | None = None
        for rules, wanted in ways:
            reason = trial.before(rules, wanted.time_limit) or trial.with_amounts(
                rules, wanted.amounts, wanted.per_node, wanted.time_limit, wanted.nodes or ()
            )
            if reason is None:
                trial.take(rules, wanted.amounts, wanted.time_limit, wanted.nodes or ())
                break
        if reason is not None:
            return reason
    return None
