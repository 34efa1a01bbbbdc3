"""sdiag: how busy are the controller and its scheduler?"""

from __future__ import annotations

import sys

from corral.cli import clusters, command
from corral.cli.getopt import NO, OPTIONAL, REQUIRED
from corral.cli.run import Exit, Program
from corral.cli.run import main as run
from corral.client.connection import Connection
from corral.errors import Refused

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from typing import NoReturn

OPTIONS = (
    ("all", "a", NO), ("cluster", "M", REQUIRED), ("help", "h", NO), ("json", "", OPTIONAL), ("reset", "r", NO),
    ("sort-by-id", "i", NO), ("sort-by-time", "t", NO), ("sort-by-time2", "T", NO), ("usage", "", NO), ("version", "V", NO),
    ("yaml", "", OPTIONAL),
)  # fmt: skip


def main() -> NoReturn:
    program = Program("sdiag")
    run(program, lambda argv: Sdiag(program, argv).main())


class Sdiag:
    """One call of the command."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self.program = program
        found, _ = command.options(program, argv, OPTIONS)
        self.given: dict[str, str | None] = {"clusters" if name == "cluster" else name: value for name, value in found}
        doing = [name for name, _ in found if name in ("all", "reset")]
        self.resets = doing[-1:] == ["reset"]
        self.order = next((name for name, _ in reversed(found) if name.startswith("sort-by-")), "")

    def main(self) -> int:
        asker = "slurm_reset_statistics" if self.resets else "slurm_get_statistics"
        return command.reaching(asker, self.work)

    def work(self) -> int:
        with Connection() as connection:
            named, where = clusters.asked(self.given)
            if named:
                clusters.own("sdiag", connection, named, where)
            if self.resets:
                return self.reset(connection)
            figures = connection.request("GET", "/v1/statistics")
            if "json" in self.given or "yaml" in self.given:
                from corral.cli.data_parser import document, stats

                form = document.form_of(self.program, self.given)
                assert form is not None
                stats.write(form, figures, connection)
            else:
                from corral.cli import diagnosis

                sys.stdout.write(diagnosis.text(figures, self.order))
        return 0

    def reset(self, connection: Connection) -> int:
        try:
            connection.request("DELETE", "/v1/statistics")
        except Refused as error:
            raise Exit(255, f"slurm_reset_statistics: {error}") from None
        sys.stdout.write("Reset scheduling statistics\n")
        return 0
