"""With which change of what it asks for would a job start sooner? Each is tried on the cluster as it is; only what is true is said.

Of each kind of change there is a ladder from the smallest to the largest, and the first step with which the job starts at once is
told; if none does, the first with which it starts earlier. What is tried is bounded, so that an answer comes soon on any cluster.
"""

import msgspec

from corral.protocol.explanations import Suggestion
from corral.scheduler.explain_start import Scene
from corral.scheduler.snapshot import LONGEST, PendingGroup
from corral.scheduler.trial import Trial
from corral.syntax import duration

#: So many changes are tried, and so many of those that help are told.
MOST_TRIES = 24
MOST_TOLD = 4
#: To be told, a start that is not at once must be so many seconds earlier, and by such a part of the wait.
LEAST_GAIN, LEAST_PART = 60.0, 0.1


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The job with another request."""

    change: str  #: "--gres=gpu:2"
    instead: str  #: "gpu:4"
    words: str  #: "with 2 GPUs a node instead of 4"
    group: PendingGroup
    ahead: tuple[PendingGroup, ...] | None = None  #: who comes before it then; None = the same as now


#: The variants of one kind, the smallest change first.
Ladder = tuple[Variant, ...]


class Tried(msgspec.Struct, frozen=True):
    found: tuple[Suggestion, ...]
    count: int


def tried(scene: Scene, own: PendingGroup, ladders: tuple[Ladder, ...], trial: Trial, wait: float | None) -> Tried:
    """`trial`: after those before it. `wait`: when it is planned to start; None = nobody knows."""
    trials = _Trials(scene, trial, wait)
    found = [trials.best(ladder) for ladder in (_shorter(scene, own, trial), *ladders)]
    told = [one for one in found if one is not None]
    told.sort(key=lambda one: one.start)  # stable: of those that start together the cheapest kind first
    return Tried(tuple(told[:MOST_TOLD]), trials.count)


class _Trials:
    def __init__(self, scene: Scene, trial: Trial, wait: float | None) -> None:
        self.scene, self.trial, self.wait, self.count = scene, trial, wait, 0

    def best(self, ladder: Ladder) -> Suggestion | None:
        """The smallest change with which it starts at once; else the smallest with which it starts earlier."""
        sooner: Suggestion | None = None
        for variant in ladder:
            if self.count >= MOST_TRIES:
                break
            self.count += 1
            trial = self.trial if variant.ahead is None else self.scene.trial(variant.ahead)
            outcome = trial.ask(variant.group)
            if outcome.starts:
                return _suggestion(variant, self.scene.now, True, outcome.nodes)
            expected = outcome.expected
            if sooner is None and expected is not None and self.is_gain(expected.time):
                sooner = _suggestion(variant, expected.time, False, expected.nodes)
        return sooner

    def is_gain(self, start: float) -> bool:
        if self.wait is None:
            return True
        gain = self.wait - start
        return gain >= LEAST_GAIN and gain >= LEAST_PART * (self.wait - self.scene.now)


def _suggestion(variant: Variant, start: float, now: bool, nodes: str) -> Suggestion:
    return Suggestion(
        change=variant.change, instead=variant.instead, text=variant.words, start=start, now=now, nodes=nodes
    )


# -- shorter


def _shorter(scene: Scene, own: PendingGroup, trial: Trial) -> Ladder:
    """It would be gone before a planned start, or before a reservation begins: the longest times for which that is so."""
    if own.gang or own.time_min:
        return ()
    holes = {expected.time - scene.now for expected in trial.before.expected.values()}
    holes |= {scene.reserved.next_kept(demand, scene.now) - scene.now for demand in own.demands}
    limits = {rounded(hole) for hole in holes if hole < LONGEST}
    return tuple(_of_time(own, limit) for limit in sorted(limits, reverse=True) if 60 <= limit < own.time_limit)


def rounded(hole: float) -> int:
    """A time limit that still fits when it is asked for a moment later."""
    step = 60 if hole < 3600 else 300
    return int((hole - 30) // step * step)


def _of_time(own: PendingGroup, limit: int) -> Variant:
    text, now = duration.format_seconds(limit), duration.format_seconds(own.time_limit)
    return Variant(
        change=f"--time={text}", instead=now, words=f"with --time={text} instead of {now}",
        group=msgspec.structs.replace(own, time_limit=limit),
    )  # fmt: skip
