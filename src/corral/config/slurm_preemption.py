"""What do the words on preemption in a slurm.conf mean as keys of [preemption]?"""

from typing import Any

from corral.model.preemption import mode_of
from corral.syntax import duration

_TYPES = {"preempt/none": "none", "preempt/qos": "qos", "preempt/partition_prio": "partition_prio"}

#: Words of PreemptParameters, of SchedulerParameters and of SlurmctldParameters (there with preempt_ before them).
SWITCHES = ("strict_order", "send_user_signal")
#: So it is always: the young go before the old, and no more than must.
ALWAYS = ("youngest_first", "reorder_count")


def type_of(text: str) -> str:
    if text.lower() not in _TYPES:
        raise ValueError(f"PreemptType={text} is none of {', '.join(_TYPES)}")
    return _TYPES[text.lower()]


def mode(text: str) -> str:
    """Also of a partition."""
    found = mode_of(text)
    if found is None:
        raise ValueError(f"PreemptMode={text} is none of OFF, CANCEL, REQUEUE and SUSPEND, with GANG and WITHIN")
    return str(found)


def exempt_time(text: str) -> int | None:
    """In Slurm's ways to write a time; -1 is none."""
    return None if text == "-1" else duration.parse(text)


def switches(words: dict[str, str]) -> dict[str, Any]:
    """The keys that single words of three parameters set."""
    found: dict[str, Any] = {}
    for name in ("preemptparameters", "schedulerparameters", "slurmctldparameters"):
        for word in words.get(name, "").split(","):
            key = word.strip().partition("=")[0]
            if name != "preemptparameters":
                key = key.removeprefix("preempt_") if key.startswith("preempt_") else ""
            if key in SWITCHES:
                found[key] = True
    return found


def unknown(text: str) -> list[str]:
    """Words of PreemptParameters that mean nothing here."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [word for word in words if word.partition("=")[0] not in (*SWITCHES, *ALWAYS)]
