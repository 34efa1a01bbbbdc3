"""Which settings stand behind the keywords of `set`, `add account` and the like, and how does sacctmgr show them?"""

from __future__ import annotations

from corral.cli.sacctmgr import values
from corral.cli.sacctmgr.values import BadValue
from corral.cli.sacctmgr.words import meant, unquoted
from corral.cli.times import minutes_text, padded
from corral.syntax import tres as tres_syntax

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

COUNT, FRACTION, SHARES, MINUTES, TRES, ONE_TRES, QOS, WORD, DEFAULT_QOS, FLAGS, MODE, SECONDS = range(12)


class Keyword:
    """least: letters that are enough; field: of the record; label: in messages."""

    __slots__ = ("field", "kind", "label", "least", "name", "resource")

    def __init__(self, name: str, least: int, field: str, kind: int, label: str = "", resource: str = "") -> None:
        self.name = name
        self.least = least
        self.field = field
        self.kind = kind
        self.label = label or name
        self.resource = resource  #: the one TRES that it means


ASSOCIATION = (
    Keyword("DefaultQOS", 8, "default_qos", DEFAULT_QOS), Keyword("FairShare", 1, "shares", SHARES),
    Keyword("Shares", 1, "shares", SHARES, "FairShare"),
    Keyword("GrpCPUMins", 7, "grp_tres_mins", ONE_TRES, "", "cpu"), Keyword("GrpCPURunMins", 7, "grp_tres_run_mins", ONE_TRES, "", "cpu"),
    Keyword("GrpCPUs", 7, "grp_tres", ONE_TRES, "GrpCpus", "cpu"), Keyword("GrpJobs", 4, "grp_jobs", COUNT),
    Keyword("GrpJobsAccrue", 8, "grp_jobs_accrue", COUNT), Keyword("GrpMemory", 4, "grp_tres", ONE_TRES, "", "mem"),
    Keyword("GrpNodes", 4, "grp_tres", ONE_TRES, "", "node"), Keyword("GrpSubmitJobs", 4, "grp_submit", COUNT),
    Keyword("GrpTRES", 7, "grp_tres", TRES), Keyword("GrpTRESMins", 8, "grp_tres_mins", TRES),
    Keyword("GrpTRESRunMins", 8, "grp_tres_run_mins", TRES), Keyword("GrpWall", 4, "grp_wall", MINUTES),
    Keyword("MaxCPUMinsPerJob", 7, "max_tres_mins", ONE_TRES, "", "cpu"),
    Keyword("MaxCPURunMins", 7, "max_tres_run_mins", ONE_TRES, "", "cpu"),
    Keyword("MaxCPUsPerJob", 7, "max_tres", ONE_TRES, "MaxCpusPerJob", "cpu"), Keyword("MaxJobs", 4, "max_jobs", COUNT),
    Keyword("MaxJobsAccrue", 8, "max_jobs_accrue", COUNT), Keyword("MaxNodesPerJob", 4, "max_tres", ONE_TRES, "MaxNodes", "node"),
    Keyword("MaxSubmitJobs", 4, "max_submit", COUNT), Keyword("MaxTRESPerJob", 7, "max_tres", TRES),
    Keyword("MaxTRESPerNode", 11, "max_tres_per_node", TRES), Keyword("MaxTRESMinsPerJob", 8, "max_tres_mins", TRES),
    Keyword("MaxTRESRunMins", 8, "max_tres_run_mins", TRES),
    Keyword("MaxWallDurationPerJob", 4, "max_wall", MINUTES, "MaxWall"),
    Keyword("MinPrioThresh", 4, "min_priority", COUNT), Keyword("Priority", 2, "priority", COUNT),
    Keyword("QosLevel", 1, "qos", QOS),
)  # fmt: skip

OF_QOS = (
    Keyword("Description", 1, "description", WORD), Keyword("Flags", 2, "flags", FLAGS),
    Keyword("GraceTime", 3, "grace_time", COUNT), Keyword("GrpCPUMins", 7, "grp_tres_mins", ONE_TRES, "", "cpu"),
    Keyword("GrpCPURunMins", 7, "grp_tres_run_mins", ONE_TRES, "", "cpu"), Keyword("GrpCPUs", 7, "grp_tres", ONE_TRES, "", "cpu"),
    Keyword("GrpJobs", 4, "grp_jobs", COUNT), Keyword("GrpJobsAccrue", 8, "grp_jobs_accrue", COUNT),
    Keyword("GrpMemory", 4, "grp_tres", ONE_TRES, "", "mem"), Keyword("GrpNodes", 4, "grp_tres", ONE_TRES, "", "node"),
    Keyword("GrpSubmitJobs", 4, "grp_submit", COUNT), Keyword("GrpTRES", 7, "grp_tres", TRES),
    Keyword("GrpTRESMins", 8, "grp_tres_mins", TRES), Keyword("GrpTRESRunMins", 8, "grp_tres_run_mins", TRES),
    Keyword("GrpWall", 4, "grp_wall", MINUTES), Keyword("LimitFactor", 6, "limit_factor", FRACTION),
    Keyword("MaxCPUMinsPerJob", 7, "max_tres_mins", ONE_TRES, "MaxCPUMins", "cpu"),
    Keyword("MaxCPUsPerJob", 7, "max_tres", ONE_TRES, "MaxCPUs", "cpu"),
    Keyword("MaxCPUsPerUser", 11, "max_tres_pu", ONE_TRES, "", "cpu"),
    Keyword("MaxJobsAccruePerAccount", 16, "max_jobs_accrue_pa", COUNT, "MaxJobsAccruePA"),
    Keyword("MaxJobsAccruePA", 15, "max_jobs_accrue_pa", COUNT),
    Keyword("MaxJobsAccruePerUser", 16, "max_jobs_accrue_pu", COUNT, "MaxJobsAccruePU"),
    Keyword("MaxJobsAccruePU", 15, "max_jobs_accrue_pu", COUNT),
    Keyword("MaxJobsPerUser", 4, "max_jobs_pu", COUNT, "MaxJobsPU"), Keyword("MaxJobsPU", 9, "max_jobs_pu", COUNT),
    Keyword("MaxJobsPerAccount", 11, "max_jobs_pa", COUNT, "MaxJobsPA"), Keyword("MaxJobsPA", 9, "max_jobs_pa", COUNT),
    Keyword("MaxNodesPerJob", 4, "max_tres", ONE_TRES, "", "node"),
    Keyword("MaxNodesPerUser", 12, "max_tres_pu", ONE_TRES, "", "node"),
    Keyword("MaxSubmitJobsPerUser", 4, "max_submit_pu", COUNT, "MaxSubmitJobsPU"),
    Keyword("MaxSubmitJobsPU", 15, "max_submit_pu", COUNT),
    Keyword("MaxSubmitJobsPerAccount", 17, "max_submit_pa", COUNT, "MaxSubmitJobsPA"),
    Keyword("MaxSubmitJobsPA", 15, "max_submit_pa", COUNT),
    Keyword("MaxTRESPerAccount", 11, "max_tres_pa", TRES), Keyword("MaxTRESPA", 9, "max_tres_pa", TRES),
    Keyword("MaxTRESPerJob", 7, "max_tres", TRES), Keyword("MaxTRESPerNode", 11, "max_tres_per_node", TRES),
    Keyword("MaxTRESPerUser", 11, "max_tres_pu", TRES), Keyword("MaxTRESPU", 9, "max_tres_pu", TRES),
    Keyword("MaxTRESMinsPerJob", 8, "max_tres_mins", TRES),
    Keyword("MaxTRESRunMinsPA", 16, "max_tres_run_mins_pa", TRES),
    Keyword("MaxTRESRunMinsPU", 16, "max_tres_run_mins_pu", TRES),
    Keyword("MaxWallDurationPerJob", 4, "max_wall", MINUTES, "MaxWall"),
    Keyword("MinPrioThresh", 4, "min_priority", COUNT), Keyword("MinTRESPerJob", 7, "min_tres", TRES),
    Keyword("MinCPUsPerJob", 7, "min_tres", ONE_TRES, "MinCPUs", "cpu"),
    Keyword("PreemptMode", 8, "preempt_mode", MODE), Keyword("PreemptExemptTime", 8, "preempt_exempt_time", SECONDS),
    Keyword("Preempt", 7, "preempt", QOS), Keyword("Priority", 3, "priority", COUNT),
    Keyword("UsageFactor", 6, "usage_factor", FRACTION), Keyword("UsageThreshold", 6, "usage_threshold", FRACTION),
)  # fmt: skip

MODES = ("cluster", "off", "cancel", "gang", "requeue", "suspend", "within")


class Collected:
    """Settings for a request, as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.tres: dict[str, dict[str, int]] = {}
        self.words: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.limits_set = False

    def request(self) -> dict[str, Any]:
        return {"numbers": self.numbers, "tres": self.tres, "words": self.words, "lists": self.lists}

    def __bool__(self) -> bool:
        return bool(self.numbers or self.tres or self.words or self.lists)


def find(word: str, table: tuple[Keyword, ...]) -> Keyword | None:
    name = meant(word, [(one.name, one.least) for one in table])
    return next((one for one in table if one.name == name), None)


def take(session: Session, into: Collected, key: Keyword, sign: str, value: str, text: str) -> None:
    """Put it in; BadValue when it means nothing."""
    match key.kind:
        case 0:
            into.numbers[key.field] = values.count(value, key.label)
        case 1:
            into.numbers[key.field] = values.fraction(value, key.label)
        case 2:
            into.numbers[key.field] = values.shares(value, key.label)
        case 3:
            into.numbers[key.field] = values.minutes(value, key.label, text)
        case 4:
            known = session.books["tres"]
            into.tres[key.field] = into.tres.get(key.field, {}) | values.tres(value, key.label, known)
        case 5:
            amount = values.count(value, key.label)
            into.tres[key.field] = into.tres.get(key.field, {}) | {key.resource: amount}
        case 6:
            known_qos = [qos["name"] for qos in session.books["qos"]]
            into.lists[key.field] = values.qos_list(value, sign, known_qos)
        case 7:
            into.words[key.field] = unquoted(value).lower()
        case 8:
            _default_qos(session, into, key, value)
        case 9:
            into.lists[key.field] = _flags(sign, value)
        case 10:
            into.words[key.field] = _mode(value, text)
        case _:
            into.numbers[key.field] = _seconds(value, key.label, text)
    into.limits_set = True


def _default_qos(session: Session, into: Collected, key: Keyword, value: str) -> None:
    name = unquoted(value).lower()
    if name and name != "-1" and name not in [qos["name"] for qos in session.books["qos"]]:
        raise Misfit(f"You gave a bad default qos '{name}'.  Use 'list qos' to get complete list.")
    into.words[key.field] = name


class Misfit(BadValue):
    """Said alone, without naming the option as unknown."""


def _flags(sign: str, value: str) -> list[str]:
    from corral.model.qos import FLAGS as known

    found = []
    text = unquoted(value)
    if text == "-1":
        return ["="]
    for word in text.split(","):
        name = next((flag for flag in known if word and flag.lower().startswith(word.lower())), "")
        if not name:
            raise Misfit(f" Unknown QOS flag used in:\n  '{value}'\n Valid QOS flags are\n  '{','.join(known)}'", False)
        found.append(sign + name)
    return found


def _mode(value: str, text: str) -> str:
    words = unquoted(value).lower().split(",")
    if any(word not in MODES for word in words):
        raise Misfit(f" Bad Preempt Mode given: {text}")
    return ",".join(sorted(set(words)))


def _seconds(value: str, label: str, text: str) -> int:
    from corral.errors import UsageError
    from corral.syntax import duration

    if unquoted(value) == "-1":
        return values.CLEAR
    try:
        return duration.parse(unquoted(value))
    except UsageError:
        raise BadValue(f" Bad {label} format: {text}") from None


# -- shown before the question

_SHOWN = (
    ("GrpJobs", "grp_jobs"), ("GrpJobsAccrue", "grp_jobs_accrue"), ("GrpSubmitJobs", "grp_submit"), ("GrpTRES", "grp_tres"),
    ("GrpTRESMins", "grp_tres_mins"), ("GrpTRESRunMins", "grp_tres_run_mins"), ("GrpWall", "grp_wall"),
    ("MaxJobs", "max_jobs"), ("MaxJobsPrioAcc", "max_jobs_accrue"), ("MaxSubmitJobs", "max_submit"), ("MaxTRES", "max_tres"),
    ("MaxTRESPerNode", "max_tres_per_node"), ("MaxTRESMins", "max_tres_mins"), ("MaxTRESRUNMins", "max_tres_run_mins"),
    ("MaxWall", "max_wall"), ("MinPrioThresh", "min_priority"),
)  # fmt: skip


def shown(found: Collected, parent: str = "") -> list[str]:
    """The lines of what is not as by default."""
    lines = []
    if "shares" in found.numbers:
        shares = found.numbers["shares"]
        lines.append(_line("Fairshare", "parent" if shares == values.PARENT else _none_or(shares)))
    for label, field in _SHOWN:
        text = _text(found, field)
        if text is not None:
            lines.append(f"  {label:<24} = {text}" if field == "grp_jobs_accrue" else _line(label, text))
    if parent:
        lines.append(_line("Parent", parent))
    if "priority" in found.numbers:
        lines.append(_line("Priority", _none_or(found.numbers["priority"])))
    if "qos" in found.lists:
        lines.append(_line("QOS", ",".join(word.removeprefix("=") for word in found.lists["qos"])))
    if "default_qos" in found.words:
        lines.append(_line("DefQOS", found.words["default_qos"]))
    return lines


_SHOWN_OF_QOS = (
    ("GrpJobs", "grp_jobs"), ("GrpJobsAccrue", "grp_jobs_accrue"), ("GrpSubmitJobs", "grp_submit"), ("GrpTRES", "grp_tres"),
    ("GrpTRESMins", "grp_tres_mins"), ("GrpTRESRunMins", "grp_tres_run_mins"), ("GrpWall", "grp_wall"),
    ("MaxJobsAccruePerAccount", "max_jobs_accrue_pa"), ("MaxJobsAccruePerUser", "max_jobs_accrue_pu"),
    ("MaxJobsPerAccount", "max_jobs_pa"), ("MaxJobsPerUser", "max_jobs_pu"), ("MaxSubmitJobsPerAccount", "max_submit_pa"),
    ("MaxSubmitJobsPerUser", "max_submit_pu"), ("MaxTRESPerAccount", "max_tres_pa"), ("MaxTRESPerJob", "max_tres"),
    ("MaxTRESPerNode", "max_tres_per_node"), ("MaxTRESPerUser", "max_tres_pu"), ("MinPrioThresh", "min_priority"),
    ("MinTRESPerJob", "min_tres"), ("MaxTRESMins", "max_tres_mins"), ("MaxTRESRUNMinsPerAccount", "max_tres_run_mins_pa"),
    ("MaxTRESRUNMinsPerUser", "max_tres_run_mins_pu"), ("MaxWall", "max_wall"),
)  # fmt: skip


def shown_of_qos(found: Collected) -> list[str]:
    lines = []
    if "flags" in found.lists:
        from corral.model.qos import FLAGS as known

        words = [word[1:] for word in found.lists["flags"]]
        lines.append(_wide("Flags", ",".join(sorted(words, key=known.index))))
    if "grace_time" in found.numbers:
        lines.append(_wide("GraceTime", _none_or(found.numbers["grace_time"])))
    for label, field in _SHOWN_OF_QOS:
        text = _text(found, field)
        if text is not None:
            lines.append(f"  {label:<14} = {text}" if field == "max_jobs_pu" else _wide(label, text))
    if "preempt" in found.lists:
        lines.append(_wide("Preempt", ",".join(sorted(word.removeprefix("=") for word in found.lists["preempt"]))))
    if found.words.get("preempt_mode"):
        lines.append(_wide("PreemptMode", found.words["preempt_mode"].upper()))
    if "preempt_exempt_time" in found.numbers:
        seconds = found.numbers["preempt_exempt_time"]
        lines.append(_wide("PreemptExemptTime", "NONE" if seconds == values.CLEAR else padded(seconds)))
    for label, field in (
        ("Priority", "priority"),
        ("UsageFactor", "usage_factor"),
        ("UsageThreshold", "usage_threshold"),
        ("LimitFactor", "limit_factor"),
    ):
        text = _text(found, field)
        if text is not None:
            lines.append(_wide(label, text))
    return lines


def _text(found: Collected, field: str) -> str | None:
    if field in found.tres:
        return tres_text(found.tres[field])
    if field not in found.numbers:
        return None
    number = found.numbers[field]
    if number == values.CLEAR:
        return "NONE"
    if field in ("grp_wall", "max_wall"):
        return minutes_text(int(number))
    return f"{number:.4f}" if field in ("usage_factor", "usage_threshold", "limit_factor") else f"{number:.0f}"


def tres_text(amounts: dict[str, int]) -> str:
    """cpu=4,gres/gpu=2,mem=10G: by name, as Slurm keeps it; -1 where a limit is taken away."""
    cleared = {name: amount for name, amount in amounts.items() if amount < 0}
    parts = [
        f"{name}=-1" if name in cleared else tres_syntax.format_tres({name: amounts[name]}) for name in sorted(amounts)
    ]
    return ",".join(parts)


def _none_or(number: float) -> str:
    return "NONE" if number == values.CLEAR else f"{number:.0f}"


def _line(label: str, text: str) -> str:
    return f"  {label:<14}= {text}"


def _wide(label: str, text: str) -> str:
    return f"  {label:<24} = {text}"
