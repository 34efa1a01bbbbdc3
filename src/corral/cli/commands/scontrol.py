"""scontrol: look at and change jobs, nodes and partitions; hold, release, requeue, suspend; at a prompt, too."""

from __future__ import annotations

import sys

from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.run import VERSION, Exit, Program, program_text, say
from corral.cli.run import main as run

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from corral.client.connection import Connection

OPTIONS = (
    ("all", "a", NO), ("cluster", "M", REQUIRED), ("clusters", "M", REQUIRED), ("details", "d", NO), ("federation", "", NO),
    ("future", "F", NO), ("help", "h", NO), ("hide", "", NO), ("local", "", NO), ("oneliner", "o", NO), ("quiet", "Q", NO),
    ("sibling", "", NO), ("uid", "u", REQUIRED), ("usage", "", NO), ("verbose", "v", NO), ("version", "V", NO), ("json", "", OPTIONAL),
    ("yaml", "", OPTIONAL),
)  # fmt: skip

#: keyword -> how many of its letters are enough
KEYWORDS = {
    "abort": 5, "all": 3, "cancel_reboot": 3, "cluster": 2, "completing": 3, "create": 2, "delete": 3, "details": 1,
    "errnumstr": 2, "exit": 1, "fsdampeningfactor": 3, "help": 2, "hide": 2, "hold": 3, "holdu": 4, "uhold": 2, "listpids": 1,
    "notify": 1, "oneliner": 1, "pidinfo": 3, "ping": 3, "quiet": 4, "quit": 4, "reboot": 3, "reconfigure": 3, "release": 3,
    "requeue": 3, "requeuehold": 8, "resume": 3, "schedloglevel": 3, "setdebug": 4, "setdebugflags": 9, "show": 3, "shutdown": 8,
    "suspend": 2, "takeover": 8, "token": 3, "top": 3, "update": 1, "verbose": 4, "version": 4, "wait_job": 1, "write": 1,
}  # fmt: skip

#: entity of `show` -> how many of its letters are enough
ENTITIES = {
    "aliases": 1, "assoc_mgr": 2, "bbstat": 2, "burstbuffer": 2, "config": 1, "daemons": 1, "dwstat": 2, "federation": 3,
    "frontend": 2, "hostlist": 5, "hostlistsorted": 9, "hostnames": 5, "jobs": 1, "licenses": 1, "nodes": 1, "partitions": 1,
    "reservations": 1, "slurmd": 2, "steps": 2, "topology": 1,
}  # fmt: skip

#: Where its keywords, and what `show` knows, are listed.
FIELD_TABLES = {
    "keywords": "corral.cli.commands.scontrol:KEYWORDS",
    "entities": "corral.cli.commands.scontrol:ENTITIES",
}

#: What `show` says of things that there are none of here.
FIXED = {
    "aliases": "", "bbstat": "", "burstbuffer": "", "dwstat": "", "federation": "",
    "daemons": "slurmctld slurmd\n", "frontend": "No nodes in the system\n",
}  # fmt: skip

#: What `show` knows in Slurm, and not here.
NOT_SHOWN = {
    "slurmd": "`corral status` says how this machine's agent is",
}  # fmt: skip

#: Options that Slurm has and Corral has not, and why.
REFUSED_OPTIONS = {
    **dict.fromkeys(("federation", "sibling"), "there are no federations here"),
    "uid": "an update is made by who makes it", "future": "there are no FUTURE nodes",
}  # fmt: skip

#: Keywords that Slurm has and Corral has not, with what to do instead.
REFUSED = {
    "abort": "`corral down` stops the cluster",
    "cluster": "CORRAL_ENDPOINT says which cluster is asked",
    "fsdampeningfactor": "write priority.fair_share_dampening into corral.toml",
    "shutdown": "`corral down` stops the cluster", "takeover": "another controller takes over by itself",
}  # fmt: skip


def main() -> NoReturn:
    program = Program("scontrol")
    run(program, lambda argv: Scontrol(program).main(argv))


class Scontrol:
    """A session: one command of the command line, or many at the prompt. The connection is opened when first needed."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._connection: Connection | None = None
        self.flags: set[str] = set()
        self.forms: dict[str, str | None] = {}  #: --json or --yaml, with the version
        self.last: list[str] = []
        self.clusters: str | None = None  #: -M

    def main(self, argv: list[str]) -> int:
        if argv and not any(word.startswith("-") for word in argv):
            return self.one(argv)
        from corral.cli import command

        found, left = command.options(self.program, argv, OPTIONS, REFUSED_OPTIONS)
        self.flags.update(name for name, _ in found)
        self.forms = {name: value for name, value in found if name in ("json", "yaml")}
        self.clusters = next((value for name, value in reversed(found) if name in ("cluster", "clusters")), None)
        return self.one(left) if left else self.prompt()

    def connect(self) -> Connection:
        if self._connection is None:
            from corral.client.connection import Connection

            self._connection = Connection()
            from corral.cli import clusters

            named, where = clusters.asked({"clusters": self.clusters})
            if named:
                clusters.own("scontrol", self._connection, named, where)
        return self._connection

    def prompt(self) -> int:
        """Commands as they are typed, until exit, quit or the end of the input."""
        import shlex

        status = 0
        if sys.stdin.isatty():
            try:
                import readline  # noqa: F401  (the prompt gets editing and history by it)
            except ImportError:
                pass
        while True:
            try:
                line = input("scontrol: ")
                if not sys.stdin.isatty():  # a terminal shows by itself what is typed
                    sys.stdout.write(line + "\n")
            except EOFError:
                sys.stdout.write("\n")
                return status
            try:
                words = shlex.split(line)
            except ValueError as error:
                words = []
                say(f"scontrol: error: {error}\n")
                status = 1
            if words[:1] == ["!!"]:
                words = self.last
            if not words:
                status = 1
                continue
            self.last = words
            if _keyword(words[0]) in ("exit", "quit"):
                return status
            try:
                status |= self.one(words)
            except Exit as end:
                for text in end.lines:
                    say(text + "\n")
                status |= end.status

    def one(self, words: list[str]) -> int:
        """One command; -Q says nothing of what goes wrong."""
        try:
            return self._one(words)
        except Exit as end:
            raise Exit(end.status) if "quiet" in self.flags else end from None

    def _one(self, words: list[str]) -> int:
        keyword, rest = words[0], words[1:]
        full = _keyword(keyword)
        if full is None:
            raise Exit(1, f"invalid keyword: {keyword}")
        if full in REFUSED:
            raise Exit(1, f"scontrol: error: {full} is not supported: {REFUSED[full]}.")
        if full in ("all", "details", "hide", "oneliner", "quiet", "verbose"):
            self.flags.add(full)
            return 0
        if full == "show":
            return self.show(keyword, rest)
        if full in _FROM_ONE and not rest:
            raise Exit(1, f"too few arguments for {'update keyword' if full == 'update' else f'keyword:{full}'}")
        if full == "update":
            from corral.cli import command, scontrol_update

            return command.reaching("slurm_update error", lambda: scontrol_update.update(self.connect, rest))
        if full in ("create", "delete"):
            return self.change_entity(full, keyword, rest)
        if full == "version":
            sys.stdout.write(VERSION + "\n")
            return self._no_more(full, rest)
        if full == "help":
            sys.stdout.write(program_text("scontrol", "help"))
            return 0
        if full in ("exit", "quit"):
            return 0
        if full == "errnumstr":
            from corral.cli import errnumstr

            return errnumstr.say(rest)
        from corral.cli import scontrol_control

        act: Callable[[Callable[[], Connection], str, list[str]], int] = scontrol_control.ACTIONS[full]
        return act(self.connect, full, rest)

    def change_entity(self, full: str, keyword: str, rest: list[str]) -> int:
        from corral.cli import command, scontrol_reservation

        if not rest:
            raise Exit(1, f"too few arguments for {keyword} keyword")
        if full == "delete":
            return command.reaching("slurm_delete error", lambda: scontrol_reservation.delete(self.connect, rest))
        entity, equals, _ = rest[0].partition("=")
        low = entity.lower()
        if low and "partitionname".startswith(low):
            from corral.cli import scontrol_partition

            if not equals:
                raise Exit(1, f"scontrol: error: Invalid input: {rest[0]}  Request aborted")
            return command.reaching(
                "Error creating the partition", lambda: scontrol_partition.create(self.connect, rest)
            )
        if low and "nodename".startswith(low):
            raise Exit(1, "scontrol: error: create node is not supported: a node comes when its agent registers.")
        if not low or not ("reservationname".startswith(low) or low == "reservation"):
            raise Exit(1, f"scontrol: error: Invalid creation entity: {entity}")
        words = rest if equals else rest[1:]
        return command.reaching(
            "Error creating the reservation", lambda: scontrol_reservation.create(self.connect, words)
        )

    def _no_more(self, keyword: str, rest: list[str]) -> int:
        if rest:
            raise Exit(1, f"too many arguments for {keyword} keyword")
        return 0

    def show(self, keyword: str, rest: list[str]) -> int:
        if not rest:
            raise Exit(1, f"too few arguments for keyword:{keyword}")
        if _entity(rest[0]) == "assoc_mgr":
            from corral.cli import scontrol_assoc

            return scontrol_assoc.show(self.connect, rest[1:], "oneliner" in self.flags)
        if len(rest) == 1 and "=" in rest[0]:  # show node=n1
            word, _, value = rest[0].partition("=")
            rest = [word, value] if value else [word]
        if len(rest) > 2:
            raise Exit(1, f"too many arguments for keyword:{keyword}")
        name = rest[1] if len(rest) > 1 else None
        entity = "jobs" if rest[0].lower() == "jobid" else _entity(rest[0])
        if entity is None:
            raise Exit(1, f"invalid entity:{rest[0]} for keyword:{keyword} ")
        if entity.startswith("host"):
            from corral.cli import hostnames
            from corral.syntax import hostlist

            if entity == "hostnames":
                return hostnames.names(name)
            return hostnames.folded(name, hostlist.fold if entity == "hostlist" else hostlist.fold_sorted)
        if entity in FIXED:
            sys.stdout.write(FIXED[entity])
            return 0
        if entity in NOT_SHOWN:
            raise Exit(1, f"scontrol: error: show {entity} is not supported: {NOT_SHOWN[entity]}.")
        from corral.cli import scontrol_show

        manner = scontrol_show.Manner()
        manner.one_line, manner.detailed = "oneliner" in self.flags, "details" in self.flags
        manner.everything = "all" in self.flags
        if self.forms:
            from corral.cli.data_parser import document

            manner.form, manner.words = document.form_of(self.program, self.forms), ["scontrol", "show", *rest]
        return scontrol_show.show(
            self.connect, manner, entity if entity in ("config", "topology") else entity.removesuffix("s"), name
        )


#: These need something to act on.
_FROM_ONE = frozenset(
    (
        "hold", "holdu", "uhold", "release", "requeue", "requeuehold", "schedloglevel", "setdebug", "setdebugflags", "suspend", "resume",
        "top", "update", "wait_job", "write",
    )
)  # fmt: skip


def _keyword(word: str) -> str | None:
    return _match(word.lower(), KEYWORDS)


def _entity(word: str) -> str | None:
    return _match(word.lower(), ENTITIES)


def _match(word: str, known: dict[str, int]) -> str | None:
    if word in known:
        return word
    return next((name for name, least in known.items() if len(word) >= least and name.startswith(word)), None)
