"""What did the user ask for, all in all: on the command line, in input variables, in #SBATCH lines?"""

from __future__ import annotations

from corral.cli import getopt, options
from corral.cli.options.values import BadValue, FatalValue, SubmissionFailed, flag, not_offered
from corral.cli.run import Exit, Program, failure, program_text

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

#: How each command begins what the controller refuses.
REFUSED_AS = {
    "sbatch": "Batch job submission failed: ",
    "scrontab": "",
    "srun": "Unable to allocate resources: ",
    "salloc": "Job submit/allocate failed: ",
}
_MEMORY = ("mem", "mem-per-cpu", "mem-per-gpu")
_MEMORY_VARIABLES = "SLURM_MEM_PER_CPU, SLURM_MEM_PER_GPU, and SLURM_MEM_PER_NODE are mutually exclusive."


class Given:
    """The options of one command line, as values by their names; what is read later wins."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values: dict[str, Any] = {}
        self.from_environment: set[str] = set()
        self._table = options.table(program.name)
        self._by_name = {option.name: option for option in self._table}

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def drop(self, *names: str) -> None:
        for name in names:
            self.values.pop(name, None)

    def split(self, argv: list[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
        """The options of a command line as texts, and what follows them. --help, --usage and --version end the program."""
        try:
            found, rest = getopt.parse(argv, [(row.name, row.letter, row.argument) for row in self._table])
        except getopt.GetoptError as error:
            raise self.program.bad_usage(str(error)) from None
        return found, rest

    def answer(self, found: list[tuple[str, str | None]]) -> None:
        """--help, --usage, --version: say it and end."""
        for name, _ in found:
            if name in ("help", "usage"):
                self._print(program_text(self.program.name, name))
            elif name == "version":
                from corral.cli.run import VERSION

                self._print(VERSION + "\n")

    def _print(self, text: str, status: int = 0) -> NoReturn:
        import sys

        sys.stdout.write(text)
        raise Exit(status)

    def take(self, found: list[tuple[str, str | None]]) -> None:
        """Read the values of the options found."""
        if any(name.startswith("no-container-") or name == "container-readonly" for name, _ in found):
            try:
                options.containers.check(found)
            except BadValue as error:
                raise self._bad(error) from None
        for name, given in found:
            if name in ("help", "usage", "version"):
                continue
            option = self._by_name[name]
            if name == "verbose":
                self.values["verbose"] = self.values.get("verbose", 0) + 1
            else:
                self._read(option, given or "", f"--{name}")
            self.from_environment.discard(option.same_as)

    def take_environment(self, environment: Mapping[str, str]) -> None:
        """Read the input variables."""
        for option in self._table:
            if not option.variables:
                continue
            for variable in options.variables_of(option, self.program.name):
                given = environment.get(variable)
                if given is None or (
                    not given and option.argument == getopt.REQUIRED and option.reader is not options.values.text
                ):
                    continue
                if option.name == "verbose":
                    self.values["verbose"] = int(given) if given.isascii() and given.isdigit() else 1
                    continue
                if option.argument == getopt.NO and not flag(given or "yes", option.name):
                    continue
                self._read(option, given, variable)
                self.from_environment.add(option.same_as)

    def _read(self, option: options.Option, given: str, written: str) -> None:
        try:
            if option.refusal:
                raise not_offered(written, option.refusal)
            self.values[option.same_as] = option.reader(given, option.name)
        except SubmissionFailed as error:
            *before, last = error.errors
            lines = [*before, REFUSED_AS[self.program.name] + last]
            raise Exit(failure(), *(f"{self.program.name}: error: {line}" for line in lines)) from None
        except options.places.HelpWanted as wanted:
            self._print(program_text(wanted.errors[0], "help"), wanted.status)
        except BadValue as error:
            raise self._bad(error) from None

    def _bad(self, error: BadValue) -> Exit:
        lines = [f"{self.program.name}: error: {text}" for text in error.errors]
        if isinstance(error, FatalValue):
            lines[-1] = f"{self.program.name}: fatal: {error.errors[-1]}"
        return Exit(error.status, *([error.raw] if error.raw else []), *lines)

    def settle(self) -> None:
        """How much is said, and which of several that exclude one another holds."""
        self.program.verbosity = -1 if self.get("quiet") else self.get("verbose", 0)
        by_hand = [name for name in _MEMORY if name in self.values and name not in self.from_environment]
        by_variable = [name for name in _MEMORY if name in self.values and name in self.from_environment]
        if len(by_hand) > 1:
            raise self.program.fatal("--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.")
        if by_hand:
            self.drop(*by_variable)
        elif len(by_variable) > 1:
            raise self.program.fatal(_MEMORY_VARIABLES)
        if self.program.verbosity > 0:
            self._say_options()

    def _say_options(self) -> None:
        self.program.verbose("defined options")
        self.program.verbose("-------------------- --------------------")
        for name in sorted(self.values):
            value = self.values[name]
            self.program.verbose(
                f"{name:<20}: {'set' if value is True and name != 'exclusive' else _shown(name, value)}"
            )
        self.program.verbose("-------------------- --------------------")
        self.program.verbose("end of defined options")


def _shown(name: str, value: Any) -> str:
    """A value as a user would write it."""
    if name == "nodes":
        return str(value[0]) if value[0] == value[1] else f"{value[0]}-{value[1]}"
    if name == "exclusive":
        return name
    if name in ("gres", "gpus", "gpus-per-node", "gpus-per-task"):
        return ",".join(f"gres:{n}:{t + ':' if t else ''}{f'{m[0] / 1000:g}' if m else c}" for n, t, c, *m in value)
    if name in _MEMORY:
        from corral.syntax.size import format_memory

        return format_memory(value)
    if name in ("time", "time-min"):
        from corral.syntax.duration import format_padded

        return format_padded(value)
    return ",".join(str(part) for part in value) if isinstance(value, list) else str(value)
