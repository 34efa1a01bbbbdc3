"""Which job states do the commands take, by name or letters?"""

from __future__ import annotations

from corral.cli.job_columns import STATE_LETTERS

#: In the order of Slurm's message. Those without letters of their own here are taken, and no job is ever in them.
NAMES = (
    "PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,"
    "COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,"
    "STAGE_OUT,STOPPED"
)  # fmt: skip
_NEVER = {
    "RS": "RESIZING", "RD": "RESV_DEL_HOLD", "RF": "REQUEUE_FED", "RH": "REQUEUE_HOLD", "RV": "REVOKED", "SI": "SIGNALING",
    "SO": "STAGE_OUT", "ST": "STOPPED",
}  # fmt: skip

#: What squeue shows unless told otherwise.
LIVE = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING")


class UnknownState(Exception):
    """The word that is no state."""


def parse(words: list[str]) -> list[str]:
    """The states' names."""
    by_letters = {letters: name for name, letters in STATE_LETTERS.items()} | _NEVER
    known = set(NAMES.split(","))
    found = []
    for word in words:
        name = word.upper()
        name = by_letters.get(name, name)
        if name not in known:
            raise UnknownState(word)
        found.append(name)
    return found


def here(names: list[str]) -> list[str]:
    """Those in which a job can be here."""
    return [name for name in names if name in STATE_LETTERS]
