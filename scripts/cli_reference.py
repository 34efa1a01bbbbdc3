"""Writes the tables of docs/reference/cli.md from the option and column tables of the commands; --check only compares.

A table stands between <!-- NAME --> and <!-- end -->; what is outside is written by hand.
"""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import cli_meanings

from corral.cli import history_columns, job_columns, node_columns, options, priority_columns, step_columns
from corral.cli.commands import sshare
from corral.cli.getopt import NO, OPTIONAL

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"
BLOCK = re.compile(r"<!-- (\S+) -->\n.*?<!-- end -->\n", re.DOTALL)
SUBMITTERS = ("sbatch", "srun", "salloc")


def written(name: str, letter: str, argument: int) -> str:
    value = "" if argument == NO else "[=...]" if argument == OPTIONAL else "=..."
    return f"`-{letter}`, `--{name}{value}`" if letter else f"`--{name}{value}`"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# -- sbatch, srun, salloc


def all_rows() -> list[tuple[options.Option, list[str]]]:
    """Every row of the three commands once, with those whose it is."""
    found: dict[tuple[str, str, int, str], tuple[options.Option, list[str]]] = {}
    for command in SUBMITTERS:
        for option in options.table(command):
            key = (option.name, option.letter, option.argument, option.refusal)
            found.setdefault(key, (option, []))[1].append(command)
    return sorted(found.values(), key=lambda row: (row[0].name, row[1]))


def submitters(commands: list[str]) -> str:
    return "all" if len(commands) == len(SUBMITTERS) else ", ".join(commands)


def offered() -> str:
    rows = []
    for option, commands in all_rows():
        if option.refusal:
            continue
        meanings: dict[Any, str] = cli_meanings.SUBMIT
        meaning = meanings.get((option.name, option.commands)) or meanings[option.name]
        variables = dict.fromkeys(f"`{name}`" for command in commands for name in options.variables_of(option, command))
        name = written(option.name, option.letter, option.argument)
        rows.append([name, submitters(commands), " ".join(variables), meaning])
    return table(["option", "of", "input variables", "meaning"], rows)


def refused() -> str:
    """One line per reason."""
    by_reason: dict[str, list[str]] = {}
    for option, commands in all_rows():
        if option.refusal:
            of = "" if len(commands) == len(SUBMITTERS) else f" ({submitters(commands)})"
            name = written(option.name, option.letter, NO) + of
            by_reason.setdefault(option.refusal, []).append(name)
    return table(["option", "why not"], [[", ".join(names), why] for why, names in by_reason.items()])


# -- the others


def module(command: str) -> ModuleType:
    return importlib.import_module(f"corral.cli.commands.{command}")


def refused_by(command: str) -> dict[str, str]:
    if command == "scontrol":  # its REFUSED are keywords
        return dict(module(command).REFUSED_OPTIONS)
    return dict(getattr(module(command), "REFUSED", {}))


def options_of(command: str) -> str:
    meanings, no = cli_meanings.BY_COMMAND[command], refused_by(command)
    same = getattr(module(command), "_SAME", {})
    variables: dict[str, list[str]] = {}
    for attribute in ("VARIABLES", "SWITCHES"):
        for variable, name in getattr(module(command), attribute, {}).items():
            variables.setdefault(name, []).append(f"`{variable}`")
    rows = []
    for name, letter, argument in module(command).OPTIONS:
        if name in no or name in same:
            continue
        rows.append([written(name, letter, argument), " ".join(variables.get(name, [])), meanings[name]])
    refusals: dict[str, list[str]] = {}
    for name, letter, _ in module(command).OPTIONS:
        if name in no:
            refusals.setdefault(no[name], []).append(written(name, letter, NO))
    lines = table(["option", "input variable", "meaning"], rows)
    if not refusals:
        return lines
    return lines + "\nRefused:\n\n" + table(["option", "why not"], [[", ".join(n), why] for why, n in refusals.items()])


def keywords() -> str:
    found = module("scontrol")
    return table(["keyword", "what instead"], [[f"`{name}`", why] for name, why in sorted(found.REFUSED.items())])


def letters_and_names(letters: dict[str, Any], names: dict[str, Any], same: dict[str, str]) -> str:
    by_letter = sorted(letters.items(), key=lambda pair: (pair[0].lower(), pair[0]))
    rows = [
        [
            f"`{letter}`",
            f"`{column.header}`" if column.header else "",
            " ".join(f"`{n}`" for n in same.get(letter, "").split()),
        ]
        for letter, column in by_letter
    ]
    with_letter = {name for words in same.values() for name in words.split()}
    rest = sorted(set(names) - with_letter)
    if not names:
        return table(["letter (`-o`)", "header"], [row[:2] for row in rows])
    text = table(["letter (`-o`)", "header", "names (`-O`)"], rows)
    return text + "\nBy name only: " + ", ".join(f"`{name}`" for name in rest) + ".\n"


def sacctmgr_fields() -> str:
    from corral.cli.sacctmgr.fields import FIELDS

    names = [f"`{name[:least]}`{name[least:]}" for name, least, _, _ in FIELDS]
    return ", ".join(names) + ".\n"


def sacct_fields() -> str:
    """Those that hold something, then those that are always empty or the same, for scripts that ask for them."""
    kept = [field for field in history_columns.FIELDS if field.needs]
    fixed = [field for field in history_columns.FIELDS if not field.needs]
    lines = ", ".join(f"`{field.name}`" for field in kept)
    return f"{lines}.\n\nKnown, but always empty or the same: {', '.join(f'`{field.name}`' for field in fixed)}.\n"


BLOCKS = {
    "submit-options": offered,
    "submit-refused": refused,
    **{f"{command}-options": lambda command=command: options_of(command) for command in cli_meanings.BY_COMMAND},
    "scontrol-refused": keywords,
    "squeue-columns": lambda: letters_and_names(job_columns.LETTERS, job_columns.names(), job_columns._SAME),
    "squeue-step-columns": lambda: letters_and_names(step_columns.LETTERS, step_columns.names(), step_columns._SAME),
    "sinfo-columns": lambda: letters_and_names(node_columns.LETTERS, node_columns.names(), node_columns._SAME),
    "sacct-fields": sacct_fields,
    "sacctmgr-fields": sacctmgr_fields,
    "sshare-fields": lambda: ", ".join(f"`{name}`" for name in sshare.field_names()) + ".\n",
    "sprio-columns": lambda: letters_and_names(priority_columns.letters({}), {}, {}),
}


def page(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{BLOCKS[match[1]]()}<!-- end -->\n"

    missing = set(BLOCKS) - set(BLOCK.findall(text))
    if missing:
        raise SystemExit(f"{PAGE.name} has no place for {', '.join(sorted(missing))}")
    return BLOCK.sub(block, text)


def main(arguments: list[str]) -> int:
    now = PAGE.read_text()
    new = page(now)
    if "--check" not in arguments:
        PAGE.write_text(new)
    elif new != now:
        print(f"docs/reference/{PAGE.name} is not up to date: run scripts/cli_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
