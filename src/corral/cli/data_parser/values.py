"""How does data_parser write a number that may be missing or endless, a list in a text, and an exit status?"""

from __future__ import annotations

from corral.cli import signals
from corral.cli.times import UNLIMITED

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

NOT_SET: Row = {"set": False, "infinite": False, "number": 0}
INFINITE: Row = {"set": False, "infinite": True, "number": 0}


def number(value: float | None) -> Row:
    """None = not set."""
    return NOT_SET if value is None else {"set": True, "infinite": False, "number": value}


def moment(when: float | None) -> Row:
    return number(int(when or 0))


def minutes(seconds: float | None) -> Row:
    """Of a time limit."""
    if seconds is None:
        return NOT_SET
    return INFINITE if seconds >= UNLIMITED else number(int(seconds) // 60)


def most(count: int | None) -> Row:
    """Of a limit whose absence means none."""
    return INFINITE if count is None else number(count)


def words(text: str) -> list[str]:
    return text.split(",") if text else []


def exit_status(pair: list[int], pending: bool = False) -> Row:
    """A code and the signal that ended it, as wait(2) tells them apart."""
    code, signal = pair
    word = "PENDING" if pending else "SIGNALED" if signal else "ERROR" if code else "SUCCESS"
    return {
        "status": [word],
        "return_code": NOT_SET if pending else number(0 if signal else code),
        "signal": {"id": number(signal) if signal else NOT_SET, "name": signals.name(signal) if signal else ""},
    }


#: A job's word of state as its base and the flags beside it.
_STATES = {"CONFIGURING": ["RUNNING", "CONFIGURING"], "REQUEUED": ["PENDING", "REQUEUED"]}


def job_state(state: str, becomes: str | None = None) -> list[str]:
    """`becomes`: what a COMPLETING job ends as."""
    if state == "COMPLETING":
        return [becomes or "COMPLETED", state]
    return _STATES.get(state, [state])


def tres(text: str) -> list[Row]:
    """cpu=2,mem=4G,gres/gpu=1 as records."""
    from corral.errors import InvalidSize
    from corral.syntax import size

    found = []
    for part in words(text):
        key, _, value = part.partition("=")
        try:
            count = size.parse_printed(value) if key == "mem" else int(value)
        except (ValueError, InvalidSize):
            continue
        found.append(tres_record(key, count))
    return found


def tres_record(key: str, count: int) -> Row:
    kind, _, name = key.partition("/")
    return {"type": kind, "name": name, "id": _IDS.get(kind, 1001), "count": count}


#: Slurm's numbers of what every cluster counts; what is configured begins at 1001.
_IDS = {"cpu": 1, "mem": 2, "energy": 3, "node": 4, "billing": 5, "fs": 6, "vmem": 7, "pages": 8}
