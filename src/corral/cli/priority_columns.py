"""Which columns can sprio show of a waiting job? Weighted with capital letters, as shares from 0 to 1 with small ones."""

from __future__ import annotations

from corral.cli.columns import Column

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sorting import Key

    Weights = dict[str, Any]

FIELDS = (
    "id",
    "user",
    "partition",
    "priority",
    "set",
    "nice",
    "site",
    "age",
    "assoc",
    "fair_share",
    "job_size",
    "partition_share",
    "qos",
    "tres",
)

#: letter of the weighted column, its header, the share, where it stands in -l
_SHARES = (
    ("A", "AGE", "age"), ("B", "ASSOC", "assoc"), ("F", "FAIRSHARE", "fair_share"), ("J", "JOBSIZE", "job_size"),
    ("P", "PARTITION", "partition_share"), ("Q", "QOS", "qos"),
)  # fmt: skip

#: A priority is a share of this.
_MOST = (1 << 32) - 1


def weight_of(weights: Weights, share: str) -> int:
    found: int = weights.get("partition" if share == "partition_share" else share, 0)
    return found


def normal_priority(points: float, is_set: bool) -> str:
    return f"{points if is_set else points / _MOST:.14f}"


def letters(weights: Weights) -> dict[str, Column]:
    """-o's letters; %T and %t name only what is weighed."""
    found = {
        "c": Column("CLUSTER", "", "(null)"),
        "i": Column("JOBID", "id"),
        "N": Column("NICE", "nice"),
        "r": Column("PARTITION", "partition"),
        "S": Column("SITE", "site", str),
        "T": Column("TRES", "tres", _weighted(weights.get("tres", {}))),
        "t": Column("TRES", "tres", shares),
        "u": Column("USER", "user"),
        "Y": Column("PRIORITY", "priority", int),
        "y": Column("PRIORITY", "priority set", normal_priority),
    }
    for letter, header, share in _SHARES:
        weight = weight_of(weights, share)
        found[letter] = Column(header, share, lambda value, weight=weight: f"{value * weight:.0f}")
        found[letter.lower()] = Column(header, share, lambda value: f"{value:.7f}")
    return found


def every_letter() -> dict[str, Column]:
    """Whatever weighs something."""
    return letters({})


_FIRST = ("cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages")


def _in_order(tres: dict[str, float]) -> list[tuple[str, float]]:
    """As Slurm numbers them, whatever the order of the weights."""
    return sorted(
        tres.items(), key=lambda entry: (_FIRST.index(entry[0]) if entry[0] in _FIRST else len(_FIRST), entry[0])
    )


def _weighted(weights: dict[str, int]) -> Any:
    def text(tres: dict[str, float]) -> str:
        return ",".join(f"{name}={share * weights.get(name, 0):.0f}" for name, share in _in_order(tres) if share)

    return text


def shares(tres: dict[str, float]) -> str:
    return ",".join(f"{name}={share:.2f}" for name, share in _in_order(tres) if share)


def of_weights(weights: Weights) -> dict[str, Column]:
    """-w: the same columns with the weights in them."""
    tres = ",".join(f"{name}={weight}" for name, weight in weights.get("tres", {}).items())
    found = {letter: Column(column.header, "", "") for letter, column in letters(weights).items()}
    found |= {"i": Column("JOBID", "", "Weights"), "S": Column("SITE", "", "1"), "T": Column("TRES", "", tres)}
    for letter, header, share in _SHARES:
        found[letter] = found[letter.lower()] = Column(header, "", str(weight_of(weights, share)))
    return found


def usual(weights: Weights, normal: bool, long: bool, by_user: bool) -> str:
    """The columns without -o: of the shares only those that weigh something, with -l all."""
    shown = [one for one in _SHARES if long or weight_of(weights, one[2])]
    tres = long or any(weights.get("tres", {}).values())
    text = "%.15i %9r" + (" %.8u" if long or by_user else "")
    if normal:
        return text + " %10y" + "".join(f" %10{letter.lower()}" for letter, _, _ in shown) + (" %20t" if tres else "")
    text += " %.10Y %.10S" + "".join(f" %.10{letter}" for letter, _, _ in shown)
    return text + (" %.11N" if long else "") + (" %.20T" if tres else "")


SORT_KEYS: dict[str, Key] = {
    "i": ("id", None), "N": ("nice", None), "r": ("partition", None), "u": ("user", None), "y": ("priority", None),
    "Y": ("priority", None), "c": ("priority", lambda priority: 0), **dict.fromkeys("tT", ("tres", lambda tres: sum(tres.values()))),
    **{letter: (share, None) for upper, _, share in _SHARES for letter in (upper, upper.lower())},
}  # fmt: skip
