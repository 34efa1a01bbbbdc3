"""scontrol show assoc_mgr: the users, associations and QOS that the controller has, and what counts against their limits."""

from __future__ import annotations

import sys

from corral.cli.command import unreachable
from corral.cli.run import Exit
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from corral.client.connection import Connection

    Row = dict[str, Any]

_SECTIONS = ("users", "assoc", "qos")
_INVALID_FLAG = "invalid flag '{}', valid options are 'Assoc, QOS, and/or Users'"


class Asked:
    """What the words after assoc_mgr choose."""

    def __init__(self, words: list[str]) -> None:
        self.sections: set[str] = set()
        self.chosen: dict[str, set[str]] = {}
        for word in words:
            tag, _, value = word.partition("=")
            if not value:
                raise Exit(0, f"No value given for option {word}")
            low = tag.lower() or "a"
            if "flags".startswith(low):
                found = {section for section in _SECTIONS if section in value.lower()}
                if not found and not self.sections:
                    raise Exit(0, _INVALID_FLAG.format(value))
                self.sections |= found
                continue
            name = next((one for one in ("accounts", "qos", "users") if one.startswith(low)), None)
            if name is None:
                raise Exit(1, f"invalid entity: {word} for keyword:show assoc_mgr")
            self.chosen.setdefault(name, set()).update(
                part.strip().lower() for part in value.split(",") if part.strip()
            )
        self.sections = self.sections or set(_SECTIONS)

    def takes(self, kind: str, name: str) -> bool:
        return kind not in self.chosen or name.lower() in self.chosen[kind]


def show(connect: Callable[[], Connection], words: list[str], one_line: bool) -> int:
    asked = Asked(words)
    try:
        answer: Row = connect().request("GET", "/v1/assoc_mgr")
    except Unreachable as error:
        raise unreachable("slurm_load_assoc_mgr_info error", error) from None
    except Refused as error:
        raise Exit(1, f"slurm_load_assoc_mgr_info error: {error}") from None
    sys.stdout.write(text(answer, asked, one_line))
    return 0


def text(answer: Row, asked: Asked, one_line: bool) -> str:
    gap = "" if one_line else "\n"
    found = ["Current Association Manager state\n"]
    for section, title, none, rows in (
        ("users", "User", "users", _users(answer, asked)),
        ("assoc", "Association", "associations", _associations(answer, asked)),
        ("qos", "QOS", "QOS", _qos(answer, asked, one_line)),
    ):
        if section not in asked.sections:
            continue
        records = list(rows)
        if not records:
            found.append(f"{gap}No {none} currently cached in Slurm.\n{gap}")
            continue
        found.append(f"{gap}{title} Records\n{gap}")
        found += [_joined(record, one_line) for record in records]
    return "".join(found)


def _joined(lines: list[str], one_line: bool) -> str:
    if one_line:
        return " ".join([lines[0], *(line.lstrip(" ") for line in lines[1:])]) + "\n"
    return "\n".join([lines[0], *(f"    {line}" for line in lines[1:])]) + "\n"


def _users(answer: Row, asked: Asked) -> Iterable[list[str]]:
    for user in answer["users"]:
        if asked.takes("users", user["name"]):
            yield [
                f"UserName={user['name']}({user['uid']}) DefAccount={user['default_account']} DefWckey= "
                f"AdminLevel={user['admin_level']}"
            ]


def _associations(answer: Row, asked: Asked) -> Iterable[list[str]]:
    """Of an account itself too, when users are chosen."""
    for row in answer["associations"]:
        if asked.takes("accounts", row["account"]) and (not row["user"] or asked.takes("users", row["user"])):
            yield association(answer["cluster"], row)


def _qos(answer: Row, asked: Asked, one_line: bool) -> Iterable[list[str]]:
    for row in answer["qos"]:
        if asked.takes("qos", row["name"]):
            yield qos(row, one_line)


def association(cluster: str, row: Row) -> list[str]:
    limits: Row = row["limits"]
    user = f"UserName={row['user']}({row['uid']})" if row["user"] else "UserName="
    is_account_below = not row["user"] and row["parent"]
    parent = f"{row['parent']}({row['parent_id']})" if is_account_below else ""
    return [
        f"ClusterName={cluster} Account={row['account']} {user} Partition={row['partition']} "
        f"Priority={row['priority']} ID={row['id']}",
        f"SharesRaw/Norm/Level/Factor={row['shares']}/{row['norm_shares']:.2f}/{row['siblings']}/{row['factor']:.2f}",
        f"UsageRaw/Norm/Efctv={row['usage']:.2f}/{row['norm_usage']:.2f}/{row['effective']:.2f}",
        f"ParentAccount={parent} Lft={row['left']} DefAssoc={'Yes' if row['is_default'] else 'No'}",
        f"{_group('GrpJobs', limits.get('grp_jobs'), row['jobs'])} "
        + _group("GrpJobsAccrue", limits.get("grp_jobs_accrue"), row["accruing"]),
        f"{_group('GrpSubmitJobs', limits.get('grp_submit'), row['submitted'])} "
        + _group("GrpWall", limits.get("grp_wall"), f"{row['wall']:.2f}"),
        *_groups(limits, row),
        f"{_own('MaxJobs', limits.get('max_jobs'), row['jobs'])} "
        f"{_own('MaxJobsAccrue', limits.get('max_jobs_accrue'), row['accruing'])} "
        f"{_own('MaxSubmitJobs', limits.get('max_submit'), row['submitted'])} MaxWallPJ={_number(limits.get('max_wall'))}",
        *_of_job(limits),
        f"MinPrioThresh={_number(limits.get('min_priority'))}",
    ]


def qos(row: Row, one_line: bool) -> list[str]:
    limits: Row = row["limits"]
    lines = [
        f"QOS={row['name']}({row['id']})",
        f"UsageRaw={row['usage']:.6f}",
        f"{_group('GrpJobs', limits.get('grp_jobs'), row['jobs'])} "
        f"{_group('GrpJobsAccrue', limits.get('grp_jobs_accrue'), row['accruing'])} "
        f"{_group('GrpSubmitJobs', limits.get('grp_submit'), row['submitted'])} "
        + _group("GrpWall", limits.get("grp_wall"), f"{row['wall']:.2f}"),
        *_groups(limits, row),
        f"MaxWallPJ={_number(limits.get('max_wall'))}",
        *_of_job(limits),
        f"MinPrioThresh={_number(limits.get('min_priority'))} ",
        f"MinTRESPJ={_amounts(limits.get('min_tres'))}",
        f"PreemptMode={(row['preempt_mode'] or 'off').upper()}",
        f"Priority={row['priority']}",
    ]
    for title, rows, key, short in (("Account", row["accounts"], "name", "pa"), ("User", row["users"], "uid", "pu")):
        lines += _inside(title, [(str(one[key]), _within(limits, one, short)) for one in rows], one_line)
    return lines


def _inside(title: str, rows: list[tuple[str, list[str]]], one_line: bool) -> list[str]:
    """What each account or user has of a QOS."""
    if one_line:
        parts = [f"{name}={{{' '.join(lines)}}}" for name, lines in rows]
        return [" ".join([f"{title} Limits=", *parts]) if rows else f"{title} Limits=No {title}s"]
    found = [f"{title} Limits"]
    for name, lines in rows:
        found += [f"  {name}", *(f"    {line}" for line in lines)]
    return found if rows else [*found, f"    No {title}s"]


def _within(limits: Row, one: Row, short: str) -> list[str]:
    letters = short.upper()
    return [
        f"{_group(f'MaxJobs{letters}', limits.get(f'max_jobs_{short}'), one['jobs'])} "
        f"{_group(f'MaxJobsAccrue{letters}', limits.get(f'max_jobs_accrue_{short}'), one['accruing'])} "
        + _group(f"MaxSubmitJobs{letters}", limits.get(f"max_submit_{short}"), one["submitted"]),
        f"MaxTRES{letters}={_used(limits.get(f'max_tres_{short}'), one['held'])}",
    ]


def _groups(limits: Row, row: Row) -> list[str]:
    return [
        f"GrpTRES={_used(limits.get('grp_tres'), row['held'])}",
        f"GrpTRESMins={_used(limits.get('grp_tres_mins'), row['minutes'])}",
        f"GrpTRESRunMins={_used(limits.get('grp_tres_run_mins'), row['run_minutes'])}",
    ]


def _of_job(limits: Row) -> list[str]:
    return [
        f"MaxTRESPJ={_amounts(limits.get('max_tres'))}",
        f"MaxTRESPN={_amounts(limits.get('max_tres_per_node'))}",
        f"MaxTRESMinsPJ={_amounts(limits.get('max_tres_mins'))}",
    ]


def _number(limit: int | None) -> str:
    return "" if limit is None else str(limit)


def _group(name: str, limit: int | None, used: object) -> str:
    return f"{name}={'N' if limit is None else limit}({used})"


def _own(name: str, limit: int | None, used: int) -> str:
    return f"{name}=" if limit is None else f"{name}={limit}({used})"


def _used(limits: dict[str, int] | None, used: dict[str, int]) -> str:
    """All that is counted, each with its limit."""
    known = limits or {}
    return ",".join(f"{name}={known.get(name, 'N')}({amount})" for name, amount in used.items())


def _amounts(limits: dict[str, int] | None) -> str:
    return ",".join(f"{name}={amount}" for name, amount in (limits or {}).items())
