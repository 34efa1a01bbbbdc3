"""May several jobs start at once, as far as the limits go? Each counts against those that come after it."""

from collections.abc import Iterable, Sequence

from corral.model.reason import Reason
from corral.scheduler.quota import Quota, Rules, Wanted

#: A job in one of its partitions: its rules there, and what it asks for or gets.
Way = tuple[Rules, Wanted]


def held_back(quota: Quota, jobs: Iterable[Sequence[Way]]) -> Reason | None:
    """The limit that stands against all ways in which one of them could start; None = all may."""
    several = list(jobs)
    trial = quota.trial() if len(several) > 1 else quota
    for number, ways in enumerate(several, 1):
        reason: Reason | None = None
        for rules, wanted in ways:
            reason = trial.before(rules, wanted.time_limit) or trial.with_amounts(
                rules, wanted.amounts, wanted.per_node, wanted.time_limit, wanted.nodes or ()
            )
            if reason is None:
                if number < len(several):  # nobody comes after the last
                    trial.take(rules, wanted.amounts, wanted.time_limit, wanted.nodes or ())
                break
        if reason is not None:
            return reason
    return None
