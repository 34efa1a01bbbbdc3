"""sacctmgr archive dump and load: old history out of the store, and back into it."""

from __future__ import annotations

from corral.cli.sacctmgr.session import Session
from corral.client.connection import new_key

#: How much of a name is enough: what Slurm can archive, and what that is here.
_KINDS = {"jobs": 1, "steps": 2, "usage": 1, "events": 1}
#: What there is nothing of here.
_NOTHING = ("reservations", "suspend", "txn", "script")
_AFTER = {
    "purgejobafter": "purge_jobs_after", "purgestepafter": "purge_steps_after", "purgeusageafter": "purge_usage_after",
    "purgeeventafter": "purge_events_after",
}  # fmt: skip
_UNITS = {"hours": 3600, "days": 86400, "months": 2592000}
_QUESTION = "This may result in loss of accounting database records (if Purge* options enabled).\nAre you sure you want to continue?"


def archive(session: Session, words: list[str]) -> None:
    if words and _is_short_for(words[0], "dump"):
        _dump(session, words[1:])
    elif words and _is_short_for(words[0], "load"):
        _load(session, words[1:])
    else:
        session.problem('No valid entity in archive command\nInput line must include, "Dump", or "load"')


def _dump(session: Session, words: list[str]) -> None:
    body: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        low = name.lower()
        if not equals and any(kind.startswith(low) and len(low) >= least for kind, least in _KINDS.items()):
            continue  # which kinds are archived follows from what is purged
        field = next((field for known, field in _AFTER.items() if len(low) > 5 and known.startswith(low)), None)
        if low and equals and "directory".startswith(low):
            body["directory"] = value.strip("\"'")
        elif field is not None and equals:
            seconds = span(value)
            if seconds is None:
                session.problem(f" Bad time for {name}: {value}")
                session.exit_code = 1
                return
            body[field] = seconds
        elif any(kind.startswith(low) for kind in _NOTHING) or low.startswith("purge"):
            session.problem(f" There is nothing of that kind to archive: {word}")
            session.exit_code = 1
            return
        else:
            session.problem(f" Unknown option: {word}")
            session.exit_code = 1
            return
    if session.agrees(_QUESTION):
        _say(session, session.connection().request("POST", "/v1/archive/dump", body, key=new_key()), "purged")


def _load(session: Session, words: list[str]) -> None:
    file = ""
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name and "file".startswith(name.lower()):
            file = value.strip("\"'")
        elif not equals and not file:
            file = word
        else:
            session.problem(f" Unknown option: {word}")
            session.exit_code = 1
            return
    if not file:
        session.problem(" No archive file given: file=...")
        session.exit_code = 1
    elif session.agrees("Would you like to load this archive?"):
        _say(session, session.connection().request("POST", "/v1/archive/load", {"file": file}, key=new_key()), "loaded")


def _say(session: Session, answer: dict[str, object], done: str) -> None:
    session.out(f" {answer['jobs']} jobs, {answer['steps']} steps {done}")
    files = answer["files"]
    for path in files if isinstance(files, list) and done == "purged" else ():
        session.out(f"  {path}")


def span(text: str) -> float | None:
    """12hours, 30days, 2months, or a number of months: seconds."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(digits) :].lower()
    factor = next((seconds for name, seconds in _UNITS.items() if name.startswith(unit or "months")), None)
    return float(int(digits) * factor) if digits.isdigit() and factor is not None else None


def _is_short_for(word: str, name: str) -> bool:
    return bool(word) and name.startswith(word.lower())
