"""sacctmgr load: the accounts of a file, as `dump` writes it; what is new is added, what differs is changed."""

from __future__ import annotations

from corral.cli.sacctmgr import settings as st
from corral.cli.sacctmgr.session import Wrong
from corral.cli.sacctmgr.settings import ASSOCIATION, Collected
from corral.cli.sacctmgr.values import BadValue
from corral.cli.sacctmgr.words import is_short_for, names, split, unquoted

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Request = tuple[str, str, dict[str, Any], dict[str, Any]]

_OWN = (
    ("AdminLevel", 2, "admin_level"), ("Coordinator", 2, "coordinator"), ("DefaultAccount", 8, "default_account"),
    ("Description", 3, "description"), ("Organization", 1, "organization"), ("Partition", 4, "partition"),
    ("DefaultWCKey", 8, "wckey"), ("WCKeys", 1, "wckey"), ("Classification", 3, "classification"), ("Flags", 2, "flags"),
)  # fmt: skip


class Line:
    """`Account - 'cs':Fairshare=3:Description='...'`."""

    def __init__(self, session: Session, text: str, number: int) -> None:
        kind, dash, rest = text.partition("-")
        parts = _apart(rest.strip())
        if not dash or not parts:
            raise Wrong(f" Bad format on line {number}: {text}")
        self.kind = kind.strip().lower()
        self.name = unquoted(parts[0]).lower()
        self.own: dict[str, str] = {}
        self.found = Collected()
        for part in parts[1:]:
            key, sign, value = split(part)
            own = next((field for name, least, field in _OWN if is_short_for(key, name, least)), "")
            keyword = st.find(key, ASSOCIATION)
            if value is None:
                raise Wrong(f" Bad format on {part} (line {number}): End your option with an '=' sign")
            if own and not (keyword is not None and own == "default_account"):
                self.own[own] = unquoted(value)
            elif keyword is not None:
                try:
                    st.take(session, self.found, keyword, sign, value, part)
                except BadValue as error:
                    raise Wrong(f" line {number}: {error}") from None
            else:
                raise Wrong(f" Unknown option: {part} (line {number})")

    @property
    def qos_free(self) -> dict[str, Any]:
        return self.found.request()


def _apart(text: str) -> list[str]:
    """By colons that stand in no quotes; gres/gpu:v100=2 keeps its own."""
    found: list[str] = []
    word, quote = "", ""
    for letter in text + ":":
        if letter in "'\"" and (not quote or quote == letter):
            quote = "" if quote else letter
        if letter == ":" and not quote:
            if found and "/" in found[-1].rpartition(",")[2] and "=" not in found[-1].rpartition("/")[2] and word:
                found[-1] += f":{word}"
            elif word:
                found.append(word)
            word = ""
        else:
            word += letter
    return [*found, word] if word else found


def load(session: Session, words: list[str]) -> None:
    file = cluster = ""
    clean = False
    for word in words:
        key, _, value = split(word)
        if value is None and is_short_for(key, "clean", 3):
            clean = True
        elif value is None or is_short_for(key, "File", 1):
            if file:
                session.problem(f" File name already set to {file}")
                continue
            file = unquoted(word if value is None else value)
        elif is_short_for(key, "Cluster", 3):
            cluster = unquoted(value)
        else:
            session.problem(f" Unknown option: {word}")
    if not file:
        raise Wrong(" No filename given, specify one with file=''")
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as source:
            text = source.read()
    except OSError as error:
        raise Wrong(f' Unable to read "{file}": {error.strerror}') from None
    found = [
        Line(session, line.strip(), number)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found or found[0].kind != "cluster":
        raise Wrong(" A cluster line is needed before accounts and users.")
    named = cluster or found[0].name
    if named != session.cluster.lower():
        raise Wrong(
            f" There is no cluster {named} here: this one is {session.cluster}. cluster={session.cluster} loads it all the same."
        )
    books = session.books
    removed: list[Request] = []
    if clean:
        removed, books = _cleaned(books)
    _carry_out(session, removed + requests(books, found))


def _cleaned(books: dict[str, Any]) -> tuple[list[Request], dict[str, Any]]:
    """Everything but root goes, with all that was set of it: what is to be asked, and what is there then."""
    users = sorted({one["user"] for one in books["associations"] if one["user"] not in ("", "root")})
    accounts = sorted({one["account"] for one in books["associations"] if one["account"] != "root"})
    asked: list[Request] = []
    if users:
        asked.append(("remove", "user", {"names": users}, {}))
    if accounts:
        asked.append(("remove", "account", {"names": accounts}, {}))
    left = {
        "associations": [one for one in books["associations"] if one["account"] == "root" and one["user"] in ("", "root")],
        "users": [one for one in books["users"] if one["name"] not in users],
    }  # fmt: skip
    return asked, left


def requests(books: dict[str, Any], lines: list[Line]) -> list[Request]:
    """What is to be asked, in order."""
    known = {one["account"] for one in books["associations"] if not one["user"]}
    there = {(one["account"], one["user"], one["partition"]) for one in books["associations"]}
    users = {one["name"]: one for one in books["users"]}
    asked: list[Request] = []
    parent = "root"
    defaults: dict[str, str] = {}
    coordinators: list[Request] = []
    for line in lines:
        settings = line.found.request()
        if line.kind == "cluster":
            if line.found:
                asked.append(("modify", "cluster", {}, settings))
        elif line.kind == "parent":
            parent = line.name
            if parent not in known:
                raise Wrong(f" Parent '{parent}' is not there, and no line before makes it.")
        elif line.kind == "account":
            words = {key: line.own[key] for key in ("description", "organization") if key in line.own}
            new = line.name not in known
            settings["words"] = {**settings["words"], **words, **({"parent": parent} if new else {})}
            asked.append(("add" if new else "modify", "account", {"names": [line.name]}, settings))
            known.add(line.name)
        elif line.kind == "user":
            partition = line.own.get("partition", "")
            new = (parent, line.name, partition) not in there
            where: dict[str, Any] = {"names": [line.name], "accounts": [parent]}
            if partition:
                where["partitions"] = [partition]
            if line.name not in users:
                level = line.own.get("admin_level", "None")
                settings["words"] = {**settings["words"], "admin_level": level}
                users[line.name] = {"name": line.name}
            asked.append(("add" if new else "modify", "user", where, settings))
            there.add((parent, line.name, partition))
            if line.own.get("default_account"):
                defaults[line.name] = line.own["default_account"].lower()
            for account in names(line.own.get("coordinator", "")):
                coordinators.append(("add", "coordinator", {"names": [line.name], "accounts": [account]}, {}))
        else:
            raise Wrong(f" Misformatted line: {line.kind} - '{line.name}'")
    for name, account in defaults.items():
        if users[name].get("default_account") != account:
            asked.append(("modify", "user", {"names": [name]}, {"words": {"default_account": account}}))
    return asked + coordinators


def _carry_out(session: Session, asked: list[Request]) -> None:
    if not asked:
        session.out(" Nothing new added.")
        return
    for _, kind, where, _ in [one for one in asked if one[0] == "remove"]:
        session.out(f" Deleting {kind}s...\n" + "\n".join(f"  {name}" for name in where["names"]))
    new = [(kind, where["names"][0]) for verb, kind, where, _ in asked if verb == "add" and kind != "coordinator"]
    for kind, title in (("account", " Adding Account(s)"), ("user", " Adding User(s)")):
        listed = list(dict.fromkeys(name for one, name in new if one == kind))
        if listed:
            session.out(title + "\n" + "\n".join(f"  {name}" for name in listed))
    changed = sum(1 for verb, *_ in asked if verb == "modify")
    if changed:
        session.out(f" Setting {changed} that {'is' if changed == 1 else 'are'} there already")
    if not session.agrees("Would you like to commit changes?"):
        session.out(" Changes Discarded")
        return
    for verb, kind, where, settings in asked:
        session.ask(verb, kind, where, settings)
    session.forget()
