"""What does a listing of sacctmgr ask for: conditions, flags and a format?"""

from __future__ import annotations

from corral.cli.sacctmgr import values
from corral.cli.sacctmgr.conditions import USE_SET
from corral.cli.sacctmgr.words import is_short_for, meant, names, split

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from corral.cli.sacctmgr.session import Session


class Asked:
    """Conditions, flags and the format of a listing."""

    def __init__(
        self, session: Session, words: list[str], table: Sequence[tuple[str, int, str]], bare: str = "names",
        flags: Sequence[tuple[str, int]] = (), hint: str = USE_SET,
    ) -> None:  # fmt: skip
        self.where: dict[str, list[Any]] = {}
        self.flags: set[str] = set()
        self.format = ""
        self.what = "QOS ID" if any(known == "QOSLevel" for known, _, _ in table) else "AssocId"
        for word in words:
            key, _, value = split(word)
            if value is None:
                flag = meant(key, flags)
                if flag:
                    self.flags.add(flag)
                elif not (is_short_for(key, "where", 5) or is_short_for(key, "set", 3)):
                    self._add(session, bare, word)
                continue
            name = meant(key, [(known, least) for known, least, _ in table])
            target = next((target for known, _, target in table if known == name), "")
            if not target:
                session.problem(f" Unknown condition: {word}" + (f"\n{hint}" if hint else ""))
            elif target == "format":
                self.format += ("," if self.format else "") + value
            else:
                self._add(session, target, value)

    def _add(self, session: Session, target: str, text: str) -> None:
        found: list[Any] = names(text, lower=target != "partitions")
        if target == "ids":
            try:
                found = [values.count(one, self.what) for one in found]
            except values.BadValue as error:
                session.error(str(error))
                return
        if target in ("qos", "default_qos"):
            known = [qos["name"] for qos in session.books["qos"]]
            for one in found:
                if one not in known:
                    session.error(f"You gave a bad qos '{one}'. Valid QOS's are {','.join(known) or '(null)'}")
        self.where[target] = [*self.where.get(target, ()), *found]

    def takes(self, target: str, value: Any) -> bool:
        """Is this one of those asked for, or is nothing asked?"""
        wanted = self.where.get(target)
        return not wanted or value in wanted
