"""sacctmgr: which accounts, users, associations and QOS are there, with which limits? See and change them; at a prompt, too."""

from __future__ import annotations

import os
import sys

from corral.cli import getopt
from corral.cli.getopt import NO
from corral.cli.run import VERSION, Exit, Program, program_text
from corral.cli.run import main as run
from corral.cli.sacctmgr.session import Session, Wrong, read_line
from corral.cli.sacctmgr.words import is_short_for
from corral.errors import Refused, Unreachable

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import NoReturn

OPTIONS = (
    ("help", "h", NO), ("usage", "", NO), ("immediate", "i", NO), ("noheader", "n", NO), ("oneliner", "o", NO), ("parsable", "p", NO),
    ("parsable2", "P", NO), ("quiet", "Q", NO), ("readonly", "r", NO), ("associations", "s", NO), ("verbose", "v", NO),
    ("version", "V", NO),
)  # fmt: skip

#: keyword -> how many of its letters are enough
KEYWORDS = {
    "associations": 3, "dump": 3, "help": 2, "load": 2, "oneliner": 1, "quiet": 4, "exit": 4, "\\q": 2, "quit": 4, "add": 3,
    "create": 3, "archive": 3, "clear": 3, "show": 3, "list": 3, "modify": 1, "update": 1, "delete": 3, "remove": 3, "verbose": 4,
    "readonly": 4, "reconfigure": 4, "rollup": 2, "shutdown": 4, "version": 4,
}  # fmt: skip

#: Where its fields are listed.
FIELD_TABLES = {"format": "corral.cli.sacctmgr.fields:names"}

_READONLY = "Can't run this command in readonly mode."


def main() -> NoReturn:
    program = Program("sacctmgr")
    run(program, lambda argv: Sacctmgr(program).main(argv))


class Sacctmgr:
    """One run of the command, of one line or of many."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.session = Session(program)
        self.ended = False

    def main(self, argv: list[str]) -> int:
        try:
            found, words = getopt.parse(argv, OPTIONS, permute=True)
        except getopt.GetoptError as error:
            raise Exit(1, f"sacctmgr: {error}", 'Try "sacctmgr --help" for more information') from None
        for name, _ in found:
            self._option(name)
        try:
            if words:
                self.run(words)
            else:
                self.prompt()
        except Unreachable as error:
            raise Exit(
                1,
                "sacctmgr: error: slurm_persist_conn_open_without_init: failed to open persistent connection",
                f"sacctmgr: error: Problem talking to the database: {error}",
            ) from None
        return self.session.exit_code

    def _option(self, name: str) -> None:
        session = self.session
        match name:
            case "help" | "usage":
                sys.stdout.write(program_text("sacctmgr", "help"))
                raise Exit(0)
            case "version":
                sys.stdout.write(VERSION + "\n")
                raise Exit(0)
            case "immediate":
                session.immediate = True
            case "noheader":
                session.header = False
            case "parsable" | "parsable2":
                session.parsable = "P" if name == "parsable2" else "p"
            case "readonly":
                session.readonly = True
            case "associations":
                session.with_associations = True
            case "verbose":
                self.program.verbosity += 1
            case "quiet":
                self.program.verbosity = -1

    def prompt(self) -> None:
        """Line after line, until exit, quit or the end of the input."""
        failed = 0
        last: list[str] = []
        while not self.ended:
            sys.stdout.write("sacctmgr: ")
            sys.stdout.flush()
            line = read_line(self.session.input)
            if line is None:
                sys.stdout.write("\n")
                break
            if not os.isatty(self.session.input):
                sys.stdout.write(line.rstrip("\n") + "\n")
            if line.startswith("#"):
                continue
            words = last if line.strip() == "!!" else tokens(line)
            last = words
            self.session.exit_code = 0
            if words:
                self.run(words)
            failed = failed or self.session.exit_code
        self.session.exit_code = failed

    def run(self, words: list[str]) -> None:
        """One command; what goes wrong is said, and the next one may follow."""
        self.session.forget()
        try:
            self._run(words[0], words[1:])
        except Wrong as error:
            if str(error):
                self.session.problem(str(error))
            self.session.exit_code = 1
        except Refused as error:
            self.session.error(str(error))

    def _run(self, keyword: str, words: list[str]) -> None:
        session = self.session
        name = next((known for known, least in KEYWORDS.items() if is_short_for(keyword, known, least)), "")
        changes = ("add", "create", "modify", "update", "delete", "remove", "archive", "load", "reconfigure", "clear")
        if name in changes and session.readonly:
            session.problem(_READONLY)
            return
        match name:
            case "add" | "create":
                from corral.cli.sacctmgr import adding

                adding.add(session, words)
            case "modify" | "update":
                from corral.cli.sacctmgr import modifying

                modifying.modify(session, words)
            case "delete" | "remove":
                from corral.cli.sacctmgr import removing

                removing.delete(session, words)
            case "show" | "list":
                from corral.cli.sacctmgr import listing

                listing.show(session, words)
            case "dump":
                from corral.cli.sacctmgr import dumping

                dumping.dump(session, words)
            case "load":
                from corral.cli.sacctmgr import loading

                loading.load(session, words)
            case "archive":
                from corral.cli.sacctmgr import archiving

                archiving.archive(session, words)
            case "clear":
                if not words or not is_short_for(words[0], "stats", 1):
                    session.problem('No valid entity in clear command\nInput line must include "Stats"')
            case "reconfigure":
                from corral.client.connection import new_key

                session.connection().request("POST", "/v1/requests", {"type": "Reconfigure"}, key=new_key())
            case "rollup" | "shutdown":
                raise Wrong(f" There is no database daemon to {name}: the controller keeps the accounts.")
            case "":
                session.problem(f"invalid keyword: {keyword}")
            case _:
                self._word(name, keyword, words)

    def _word(self, name: str, keyword: str, words: list[str]) -> None:
        """Those that stand alone."""
        session = self.session
        if words and name != "associations":
            session.problem(f"too many arguments for keyword:{keyword}")
        match name:
            case "associations":
                session.with_associations = True
            case "help":
                sys.stdout.write(program_text("sacctmgr", "help"))
            case "exit" | "quit" | "\\q":
                self.ended = True
            case "quiet":
                self.program.verbosity = -1
            case "verbose":
                self.program.verbosity = 1
            case "readonly":
                session.readonly = True
            case "version":
                sys.stdout.write(VERSION + "\n")


def tokens(line: str) -> list[str]:
    """By blanks that stand in no quotes; the quotes stay."""
    found: list[str] = []
    word, quote = "", ""
    for letter in line.strip() + " ":
        if letter in "'\"" and (not quote or quote == letter):
            quote = "" if quote else letter
        if letter.isspace() and not quote:
            if word:
                found.append(word)
            word = ""
        else:
            word += letter
    return [*found, word] if word.strip() else found
