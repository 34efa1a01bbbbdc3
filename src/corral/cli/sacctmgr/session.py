"""What do all verbs of sacctmgr share: how it was called, the cluster's books, and the question before a change?"""

from __future__ import annotations

import os
import sys

from corral.cli.run import Program, say

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import Any

    from corral.client.connection import Connection

    Json = dict[str, Any]

#: Seconds to answer yes or no.
PATIENCE = 30


class Wrong(Exception):
    """This command is not carried out; what there was to say is said."""


class Session:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.immediate = False
        self.header = True
        self.parsable = ""  #: "", "p" (with a mark at the end) or "P"
        self.readonly = False
        self.with_associations = False
        self.json = False
        self.exit_code = 0
        self.input = 0  #: the file descriptor that answers come from
        self._connection: Connection | None = None
        self._books: Json | None = None

    def connection(self) -> Connection:
        if self._connection is None:
            from corral.client.connection import Connection

            self._connection = Connection()
        return self._connection

    @property
    def books(self) -> Json:
        """Accounts, users, associations, QOS and TRES; read once for each command."""
        if self._books is None:
            self._books = self.connection().request("GET", "/v1/accounts")
        return self._books

    def forget(self) -> None:
        self._books = None

    @property
    def cluster(self) -> str:
        return str(self.books["cluster"])

    # -- speaking

    def out(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def problem(self, text: str) -> None:
        """To standard error, as it is; the command has failed."""
        self.exit_code = 1
        say(text + "\n")

    def error(self, text: str) -> None:
        self.exit_code = 1
        self.program.error(text)

    def agrees(self, question: str) -> bool:
        """Yes? Anything but y or n is asked again; no answer in time, or an end of the input, is a no."""
        if self.immediate:
            return True
        self.out(f"{question} (You have {PATIENCE} seconds to decide)")
        answer = None
        with _Keys(self.input) as keys:
            while answer not in ("Y", "y", "N", "n", "\n"):
                if answer is not None:
                    self.out("Y or N please")
                sys.stdout.write("(N/y): ")
                sys.stdout.flush()
                answer = keys.next()
                if answer is None:
                    self.out("timeout")
                    return False
                self.out("")
        return answer in ("Y", "y")

    # -- changing

    def ask(self, verb: str, kind: str, where: Json, settings: Json, test: bool = False) -> Json:
        """What the change has touched; Refused when it may not be."""
        from corral.client.connection import new_key

        request = {
            "type": "ChangeAccounts",
            "verb": verb,
            "kind": kind,
            "where": where,
            "settings": settings,
            "test": test,
        }
        reply = self.connection().request("POST", "/v1/requests", request, key=new_key())
        return dict(reply["touched"])

    def commit(self, verb: str, kind: str, where: Json, settings: Json) -> bool:
        """Ask, and do it."""
        if not self.agrees("Would you like to commit changes?"):
            self.out(" Changes Discarded")
            return False
        self.ask(verb, kind, where, settings)
        self.forget()
        return True


class _Keys:
    """One key after another, without waiting for the end of a line."""

    def __init__(self, source: int) -> None:
        self._source = source

    def __enter__(self) -> _Keys:
        self._saved: Any = None
        if os.isatty(self._source):
            import termios

            self._saved = termios.tcgetattr(self._source)
            changed = termios.tcgetattr(self._source)
            changed[3] &= ~termios.ICANON
            changed[6][termios.VMIN] = 1
            termios.tcsetattr(self._source, termios.TCSANOW, changed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._source, termios.TCSANOW, self._saved)

    def next(self) -> str | None:
        import select

        if not select.select([self._source], [], [], PATIENCE)[0]:
            return None
        data = os.read(self._source, 1)
        return data.decode("latin-1") if data else None


def read_line(source: int) -> str | None:
    """A line of the input, at the prompt; None at its end. Unbuffered, so that no answer is swallowed."""
    data = b""
    while not data.endswith(b"\n"):
        byte = os.read(source, 1)
        if not byte:
            break
        data += byte
    return data.decode("utf-8", "surrogateescape") if data else None
