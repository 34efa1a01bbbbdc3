"""What may be done to a job to make room for another, and what is promised to whom it is done for?"""

from typing import NamedTuple

import msgspec

from corral.model.allocation import Allocation

#: What becomes of a preempted job, the gentlest first.
ACTIONS = ("OFF", "SUSPEND", "REQUEUE", "CANCEL")


class Mode(NamedTuple):
    """A PreemptMode: REQUEUE, or SUSPEND,GANG, or CANCEL,WITHIN."""

    action: str = "OFF"  #: one of ACTIONS
    gang: bool = False
    within: bool = False  #: jobs of one QOS may preempt each other, by priority

    def __str__(self) -> str:
        """As Slurm writes it."""
        words = ["GANG"] * self.gang + ["WITHIN"] * self.within + [self.action] * (self.action != "OFF")
        return ",".join(words) or "OFF"


def mode_of(text: str) -> Mode | None:
    """What is written there, in any order and case; None = it is no mode."""
    words = [word.strip() for word in text.upper().split(",")]
    actions = [word for word in words if word in ACTIONS]
    if len(actions) > 1 or any(word not in (*ACTIONS, "GANG", "WITHIN") for word in words):
        return None
    action = actions[0] if actions else "OFF"
    if action == "OFF" and actions and len(words) > 1:
        return None
    return Mode(action, "GANG" in words, "WITHIN" in words)


class Promise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a waiting job gets as soon as those that it preempts are gone."""

    allocation: Allocation
    victims: tuple[tuple[int, int], ...]  #: job, and which of its runs
    element: int | None = None  #: of an array
    time_limit: int | None = None  #: seconds, when less than was asked for


class Preempted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A running job that is to make room."""

    time: float  #: since when
    ends: float  #: when its grace is over
    action: str  #: SUSPEND, REQUEUE or CANCEL
    by: int = 0  #: the job that it makes room for

    @property
    def is_grace(self) -> bool:
        """It will be ended, whatever becomes of it until then."""
        return self.action in ("REQUEUE", "CANCEL")
