"""sacctmgr modify job: comments and derived exit codes of jobs that have ended."""

from __future__ import annotations

from corral.cli.run import Exit
from corral.cli.sacctmgr.conditions import USE_SET, USE_WHERE, parts
from corral.cli.sacctmgr.words import meant, names, split, unquoted
from corral.client.connection import new_key
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

_CONDITIONS = [("Clusters", 1), ("EndTime", 1), ("JobID", 1), ("StartTime", 1), ("Users", 1), ("WCKeys", 1)]
_SETTINGS = [
    ("AdminComment", 12), ("Comment", 7), ("DerivedExitCode", 12), ("DerivedECode", 9), ("NewWCKey", 1), ("SystemComment", 13),
]  # fmt: skip
_FIELDS = {"AdminComment": "admin_comment", "Comment": "comment", "SystemComment": "system_comment"}
_NOBODY = (
    "accounting_storage/slurmdbd: acct_storage_p_modify_job: "
    "Request didn't affect anything or your user doesn't have privilege to perform this action"
)


def modify_job(session: Session, words: list[str]) -> None:
    where, rest = parts(words)
    asked: dict[str, Any] = {}
    changes: dict[str, Any] = {}
    unknown: list[str] = []
    for word in where:
        _condition(session, asked, word)
    for word in rest:
        _setting(session, changes, word, unknown)
    is_wrong = bool(session.exit_code)
    if not changes and not is_wrong:
        session.problem(" You didn't give me anything to set")
    for word in unknown:
        if word:
            session.out(f" Unknown option: {word}\n{USE_WHERE}")
            session.exit_code = 1
    if is_wrong or unknown or not changes:
        return
    _carry_out(session, {**asked, "changes": changes})


def _condition(session: Session, asked: dict[str, Any], word: str) -> None:
    key, _, value = split(word)
    name = meant(key, _CONDITIONS) if value is not None else ""
    match name:
        case "Clusters":
            if session.cluster.lower() not in names(value or ""):
                asked["users"] = [""]  # those of other clusters are not here
        case "JobID":
            asked["jobs"] = [*asked.get("jobs", ()), *_jobs(value or "")]
        case "EndTime" | "StartTime":
            asked["until" if name == "EndTime" else "since"] = _time(unquoted(value or ""))
        case "Users" | "WCKeys":
            found = names(value or "", lower=False)
            asked[name.lower()] = [*asked.get(name.lower(), ()), *found]
        case _:
            session.problem(f" Unknown condition: {word}\n{USE_SET}")


def _jobs(text: str) -> list[tuple[int, int | None]]:
    from corral.errors import UsageError
    from corral.syntax import jobid

    found = []
    for word in names(text):
        try:
            reference = jobid.parse(word)
        except UsageError:
            raise Exit(1, f"sacctmgr: fatal: Bad job/step specified: {word}") from None
        found += [(reference.job, element) for element in reference.tasks or (None,)]
    return found


def _time(text: str) -> float:
    import time

    from corral.errors import InvalidTimestamp
    from corral.syntax import timestamp

    try:
        return float(timestamp.parse(text, time.time(), past=True))
    except InvalidTimestamp:
        raise Exit(1, f"Invalid time specification (pos=0): {text}") from None


def _setting(session: Session, changes: dict[str, Any], word: str, unknown: list[str]) -> None:
    key, _, value = split(word)
    if value is None:
        session.problem(f" Bad format on {word}: End your option with an '=' sign")
        return
    name = meant(key, _SETTINGS)
    value = unquoted(value)
    if name in _FIELDS:
        changes[_FIELDS[name]] = value
    elif name.startswith("Derived"):
        digits = value[: len(value) - len(value.lstrip("0123456789"))]
        if not digits or int(digits) > 0xFFFF:
            session.program.error(f"Invalid value for DerivedExitCode ({value})")
            unknown.append("")
        else:
            changes["derived_exit_status"] = int(digits)
    elif name == "NewWCKey":
        session.problem(" The wckey of a job that has ended is not changed here: the sums of its hours are kept by it.")
    else:
        unknown.append(word)


def _carry_out(session: Session, body: dict[str, Any]) -> None:
    def ask(*, test: bool) -> dict[str, Any]:
        answer = session.connection().request("POST", "/v1/history/jobs", {**body, "test": test}, key=new_key())
        return dict(answer)

    try:
        found = ask(test=True)
    except Refused as error:
        session.error("Your user doesn't have privilege to perform this action")
        session.problem(f" Error with request: {error}")
        return
    for job in found["living"]:
        session.problem(f" Job {job} has not ended: scontrol update JobId={job} changes it.")
    if not found["changed"]:
        session.problem(f"sacctmgr: {_NOBODY}")
        session.out(" Nothing modified")
        return
    from corral.cli.times import moment

    lines = [f"  {one['job']} submitted at {moment(one['submit'])}" for one in found["changed"]]
    session.out(" Modified jobs...\n" + "\n".join(lines))
    if session.agrees("Would you like to commit changes?"):
        ask(test=False)
    else:
        session.out(" Changes Discarded")
