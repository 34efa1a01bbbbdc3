"""sacctmgr dump: the accounts as a file that `load` reads."""

from __future__ import annotations

from corral.cli.run import say
from corral.cli.sacctmgr.session import Wrong
from corral.cli.sacctmgr.settings import tres_text
from corral.cli.sacctmgr.words import is_short_for, split, unquoted
from corral.cli.times import minutes_text

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Row = dict[str, Any]

HEADER = """# To edit this file start with a cluster line for the new cluster
# Cluster - 'cluster_name':MaxTRESPerJob=node=50
# Followed by Accounts you want in this fashion (root is created by default)...
# Parent - 'root'
# Account - 'cs':MaxTRESPerJob=node=5:MaxJobs=4:MaxTRESMinsPerJob=cpu=20:FairShare=399:MaxWallDurationPerJob=40:Description='Computer Science':Organization='LC'
# Any of the options after a ':' can be left out and they can be in any order.
# If you want to add any sub accounts just list the Parent THAT HAS ALREADY
# BEEN CREATED before the account line in this fashion...
# Parent - 'cs'
# Account - 'test':MaxTRESPerJob=node=1:MaxJobs=1:MaxTRESMinsPerJob=cpu=1:FairShare=1:MaxWallDurationPerJob=1:Description='Test Account':Organization='Test'
# To add users to a account add a line like this after a Parent - 'line'
# User - 'lipari':MaxTRESPerJob=node=2:MaxJobs=3:MaxTRESMinsPerJob=cpu=4:FairShare=1:MaxWallDurationPerJob=1
"""  # noqa: E501 (as Slurm writes it)

_LIMITS = (
    ("GrpTRESMins", "grp_tres_mins"), ("GrpTRESRunMins", "grp_tres_run_mins"), ("GrpTRES", "grp_tres"), ("GrpJobs", "grp_jobs"),
    ("GrpJobsAccrue", "grp_jobs_accrue"), ("GrpSubmitJobs", "grp_submit"), ("GrpWall", "grp_wall"), ("MaxTRESMinsPerJob", "max_tres_mins"),
    ("MaxTRESRunMins", "max_tres_run_mins"), ("MaxTRESPerJob", "max_tres"), ("MaxTRESPerNode", "max_tres_per_node"),
    ("MaxJobs", "max_jobs"), ("MaxJobsAccrue", "max_jobs_accrue"), ("MaxSubmitJobs", "max_submit"),
    ("MaxWallDurationPerJob", "max_wall"), ("MinPrioThresh", "min_priority"),
)  # fmt: skip


def dump(session: Session, words: list[str]) -> None:
    cluster = file = ""
    for word in words:
        key, _, value = split(word)
        if value is None or is_short_for(key, "Cluster", 1):
            cluster = unquoted(word if value is None else value)
        elif is_short_for(key, "File", 1):
            file = unquoted(value)
        else:
            session.problem(f" Unknown option: {word}")
    if not cluster:
        raise Wrong(" We need a cluster to dump.")
    if cluster != session.cluster:
        raise Wrong(f" There is no cluster {cluster} here: this one is {session.cluster}.")
    text = HEADER + "".join(line + "\n" for line in lines(session))
    try:
        with open(file or f"{cluster}.cfg", "w", encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise Wrong(f" Can't open {file or cluster + '.cfg'}: {error.strerror}") from None


def lines(session: Session) -> list[str]:
    """Each said on standard error too, as Slurm does."""
    books = session.books
    below: dict[str, list[Row]] = {}
    root: Row | None = None
    for one in books["associations"]:
        if one["depth"] == 0:
            root = one
        else:
            below.setdefault(one["account"] if one["user"] else one["parent"], []).append(one)
    if root is None:
        return []
    found = [f"Cluster - '{session.cluster}':{_settings(root)}"]
    accounts = {one["name"]: one for one in books["accounts"]}
    users = {one["name"]: one for one in books["users"]}
    coordinated: dict[str, list[str]] = {}
    for account in books["accounts"]:
        for name in account["own_coordinators"]:
            coordinated.setdefault(name, []).append(account["name"])
    ahead = ["root"]
    while ahead:
        parent = ahead.pop(0)
        own = below.get(parent, [])
        if not own:
            continue
        found.append(f"Parent - '{parent}'")
        for one in own:
            if one["user"]:
                found.append(_user(one, users.get(one["user"], {}), coordinated.get(one["user"], [])))
            else:
                account = accounts.get(one["account"], {})
                head = f"Account - '{one['account']}':Description='{account.get('description', '')}':"
                found.append(head + f"Organization='{account.get('organization', '')}':{_settings(one)}")
                ahead.append(one["account"])
    for line in found:
        say(f"sacctmgr: {line}\n")
    return found


def _user(one: Row, user: Row, coordinated: list[str]) -> str:
    parts = [f"User - '{one['user']}'"]
    if one["partition"]:
        parts.append(f"Partition='{one['partition']}'")
    parts.append(f"DefaultAccount='{user.get('default_account', '')}'")
    if user.get("admin_level", "None") != "None":
        parts.append(f"AdminLevel='{user['admin_level']}'")
    if coordinated:
        parts.append(f"Coordinator='{','.join(coordinated)}'")
    return ":".join([*parts, _settings(one)])


def _settings(one: Row) -> str:
    """Its own limits, not those that it takes over."""
    limits = one["own_limits"]
    parts = [f"Fairshare={one['shares']}"]
    if one["own_default_qos"]:
        parts.append(f"DefaultQOS='{one['own_default_qos']}'")
    for label, field in _LIMITS:
        value = limits.get(field)
        if value is None or value == {}:
            continue
        if isinstance(value, dict):
            text = tres_text(value)
        elif field in ("grp_wall", "max_wall"):
            text = minutes_text(value)
        else:
            text = str(value)
        parts.append(f"{label}={text}")
    if one["own_qos"]:
        parts.append(f"QOS='{','.join(one['own_qos'])}'")
    return ":".join(parts)
