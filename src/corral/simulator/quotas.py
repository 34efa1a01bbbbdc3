"""Which accounts, limits and changes of them does a seed make?

Every limit that sacctmgr can set is among them. Whoever can't start because of one waits until the limits are taken away at the end.
"""

import random
from typing import Any

import msgspec

from corral.model.job import JobSpec
from corral.protocol.accounting import CLEAR, Condition, Settings
from corral.protocol.requests import ChangeAccounts

QOS = ("normal", "fast", "part")
#: Field -> the least and the most that it is limited to.
_ASSOCIATION_NUMBERS = {
    "grp_jobs": (1, 4), "grp_submit": (8, 40), "grp_wall": (1, 5), "max_jobs": (1, 4), "max_submit": (8, 40), "max_wall": (1, 3),
}  # fmt: skip
_QOS_NUMBERS = {
    "grp_jobs": (1, 4), "grp_submit": (8, 40), "grp_wall": (1, 5), "max_jobs_pu": (1, 4), "max_jobs_pa": (1, 4),
    "max_submit_pu": (8, 40), "max_submit_pa": (8, 40), "max_wall": (1, 3),
}  # fmt: skip
_ASSOCIATION_AMOUNTS = (
    "grp_tres",
    "grp_tres_mins",
    "grp_tres_run_mins",
    "max_tres",
    "max_tres_per_node",
    "max_tres_mins",
    "max_tres_run_mins",
)
_QOS_AMOUNTS = (
    "grp_tres", "grp_tres_mins", "grp_tres_run_mins", "max_tres", "max_tres_per_node", "max_tres_mins", "max_tres_pu", "max_tres_pa",
    "max_tres_run_mins_pu", "max_tres_run_mins_pa", "min_tres",
)  # fmt: skip
RESOURCES = ("cpu", "node", "mem", "gres/gpu")
_FLAGS = ("DenyOnLimit", "OverPartQOS", "UsageFactorSafe", "NoReserve", "NoDecay", "EnforceUsageThreshold")


def books(chance: random.Random) -> list[ChangeAccounts]:
    """Two accounts under one, with ann in both; three QOS."""
    every = tuple(f"={name}" for name in QOS)
    found = [
        _add("account", ("lab",), words={"parent": "root"}),
        _add("account", ("chem", "bio"), words={"parent": "lab"}),
        *(_add("qos", (name,), **_qos(chance)) for name in QOS[1:]),
        ChangeAccounts(
            verb="add", kind="user", where=Condition(names=("ann",), accounts=("chem", "bio")),
            settings=Settings(words={"default_account": "chem", "default_qos": "normal"}, lists={"qos": every}),
        ),
    ]  # fmt: skip
    return found + [_change(chance) for _ in range(chance.randint(2, 5))]


def changes(chance: random.Random, count: int) -> list[ChangeAccounts]:
    """Of limits while jobs wait and run."""
    return [_change(chance) for _ in range(count)]


def cleared() -> list[ChangeAccounts]:
    """No limit any more."""
    amounts = dict.fromkeys(RESOURCES, CLEAR)
    found = [
        ChangeAccounts(
            verb="modify", kind="account", where=Condition(names=("lab", "chem", "bio")),
            settings=Settings(
                numbers=dict.fromkeys(_ASSOCIATION_NUMBERS, float(CLEAR)), tres=dict.fromkeys(_ASSOCIATION_AMOUNTS, amounts)
            ),
        ),
        ChangeAccounts(
            verb="modify", kind="qos", where=Condition(names=QOS),
            settings=Settings(
                numbers=dict.fromkeys((*_QOS_NUMBERS, "usage_threshold"), float(CLEAR)),
                tres=dict.fromkeys(_QOS_AMOUNTS, amounts),
            ),
        ),
    ]  # fmt: skip
    return found


def charged(chance: random.Random, spec: JobSpec) -> JobSpec:
    """To one of the accounts, with one of the QOS."""
    if spec.qos:  # it is chosen already
        return spec
    return msgspec.structs.replace(
        spec, account=chance.choice(("", "chem", "bio")), qos=chance.choice(("", "", "normal", "fast"))
    )


def _add(kind: Any, names: tuple[str, ...], **settings: Any) -> ChangeAccounts:
    return ChangeAccounts(verb="add", kind=kind, where=Condition(names=names), settings=Settings(**settings))


def _qos(chance: random.Random) -> dict[str, Any]:
    flags = tuple(f"={flag}" for flag in _FLAGS if chance.random() < 0.2)
    numbers = {"usage_factor": chance.choice((0.5, 1, 1, 2))} | _numbers(chance, _QOS_NUMBERS)
    if chance.random() < 0.3:
        numbers["usage_threshold"] = chance.choice((0.2, 0.5))
    return {"numbers": numbers, "tres": _amounts(chance, _QOS_AMOUNTS), "lists": {"flags": flags} if flags else {}}


def _change(chance: random.Random) -> ChangeAccounts:
    if chance.random() < 0.5:
        name = chance.choice(("lab", "chem", "bio"))
        settings = Settings(numbers=_numbers(chance, _ASSOCIATION_NUMBERS), tres=_amounts(chance, _ASSOCIATION_AMOUNTS))
        return ChangeAccounts(verb="modify", kind="account", where=Condition(names=(name,)), settings=settings)
    settings = Settings(numbers=_numbers(chance, _QOS_NUMBERS), tres=_amounts(chance, _QOS_AMOUNTS))
    return ChangeAccounts(verb="modify", kind="qos", where=Condition(names=(chance.choice(QOS),)), settings=settings)


def _numbers(chance: random.Random, known: dict[str, tuple[int, int]]) -> dict[str, float]:
    return {name: float(chance.randint(*bounds)) for name, bounds in known.items() if chance.random() < 0.15}


def _amounts(chance: random.Random, known: tuple[str, ...]) -> dict[str, dict[str, int]]:
    found = {}
    for name in known:
        if chance.random() < 0.12:
            resource = chance.choice(RESOURCES)
            most = {"cpu": 12, "node": 3, "mem": 4000, "gres/gpu": 3}[resource]
            least = 1
            if name == "min_tres":
                most = min(most, 2)
            elif "mins" in name:
                most *= chance.choice((1, 20))
            found[name] = {resource: chance.randint(least, most)}
    return found
