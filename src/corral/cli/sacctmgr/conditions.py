"""Which words of a command line say which ones are meant, and which say what to set?"""

from __future__ import annotations

from corral.cli.sacctmgr import settings as st
from corral.cli.sacctmgr import values
from corral.cli.sacctmgr.settings import Collected, Keyword, Misfit
from corral.cli.sacctmgr.values import BadValue
from corral.cli.sacctmgr.words import is_short_for, meant, names, split

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corral.cli.sacctmgr.session import Session

    Where = dict[str, Any]

USE_WHERE = " Use keyword 'where' to modify condition"
USE_SET = " Use keyword 'set' to modify value"

#: keyword of a condition -> letters that are enough, and the condition
ACCOUNT_WHERE = (
    ("Names", 1, "names"), ("Accounts", 2, "names"), ("Acct", 4, "names"), ("Clusters", 1, "clusters"),
    ("Descriptions", 3, "descriptions"), ("Organizations", 1, "organizations"), ("Parent", 2, "parents"),
    ("DefaultQOS", 8, "default_qos"), ("QosLevel", 1, "qos"),
)  # fmt: skip
USER_WHERE = (
    ("Names", 1, "names"), ("Users", 1, "names"), ("Account", 2, "accounts"), ("Acct", 4, "accounts"),
    ("AdminLevel", 2, "admin_level"), ("Clusters", 1, "clusters"), ("DefaultAccount", 8, "default_accounts"),
    ("DefaultQOS", 8, "default_qos"), ("Partitions", 3, "partitions"), ("QosLevel", 1, "qos"),
)  # fmt: skip
QOS_WHERE = (
    ("Names", 1, "names"), ("QOSLevel", 1, "names"), ("Descriptions", 1, "descriptions"), ("Ids", 1, "ids"),
    ("PreemptMode", 8, "preempt_mode"),
)  # fmt: skip
CLUSTER_WHERE = (("Names", 1, "names"), ("Clusters", 3, "names"))

#: Words that belong to a listing.
_FLAGS_OF_LISTS = (
    ("WithAssoc", 5), ("WithCoordinators", 5), ("WithDeleted", 5), ("WithRawQOSLevel", 5), ("WOPLimits", 4),
)  # fmt: skip


class Words:
    """The rest of a command line: conditions and settings, told apart by `where` and `set`."""

    def __init__(self, session: Session, words: list[str]) -> None:
        self.session = session
        self.words = words
        self.where: Where = {}
        self.found = Collected()
        self.own: Collected = Collected()  #: of the account or user itself
        self.given = False  #: some condition

    def condition(self, word: str, table: Sequence[tuple[str, int, str]], hint: str = USE_SET) -> None:
        key, _, value = split(word)
        if value is None:
            if meant(key, _FLAGS_OF_LISTS):
                return
            self._add("names", names(key))
            return
        name = meant(key, [(known, least) for known, least, _ in table])
        if not name:
            self.session.problem(f" Unknown condition: {word}" + (f"\n{hint}" if hint else ""))
            return
        target = next(target for known, _, target in table if known == name)
        if target == "admin_level":
            self.where[target] = values.level(value)
            self.given = True
        elif target == "ids":
            try:
                self._add(target, [values.count(one, "QOS ID") for one in names(value)])
            except BadValue as error:
                self.session.error(str(error))
        elif target == "preempt_mode":
            modes = names(value)
            known = self.session.books["qos"]
            self.given = True
            self._add("names", [qos["name"] for qos in known if (qos["preempt_mode"] or "cluster") in modes] or ["\n"])
        else:
            self._add(target, names(value))

    def _add(self, target: str, found: list[Any]) -> None:
        if found:
            self.where[target] = [*self.where.get(target, ()), *found]
            self.given = True

    def setting(
        self, word: str, table: tuple[Keyword, ...], hint: str, to_output: bool = False, twice: bool = False
    ) -> bool:
        """False when no keyword of the table is meant."""
        key, sign, value = split(word)
        keyword = st.find(key, table)
        if keyword is None or value is None:
            return False
        try:
            st.take(self.session, self.found, keyword, sign, value, word)
        except Misfit as error:
            if str(error).startswith((" Unknown QOS flag", "PreemptType")):
                self.session.out(str(error))
                self.session.exit_code = 1
            else:
                self.session.problem(str(error))
        except BadValue as error:
            if error.is_error:
                for _ in range(2 if twice and keyword.name == "QosLevel" else 1):
                    self.session.error(str(error))
            else:
                self.session.problem(str(error))
            if to_output:
                return True
            self.unknown(word, hint)
        return True

    def unknown(self, word: str, hint: str) -> None:
        self.session.problem(f" Unknown option: {word}" + (f"\n{hint}" if hint else ""))


def parts(words: list[str], starts_with_where: bool = True) -> tuple[list[str], list[str]]:
    """What stands behind `where` (or first), and what behind `set`."""
    where: list[str] = []
    settings: list[str] = []
    now = where if starts_with_where else settings
    for word in words:
        if "=" not in word and is_short_for(word, "where", 5):
            now = where
        elif "=" not in word and is_short_for(word, "set", 3):
            now = settings
        else:
            now.append(word)
    return where, settings
