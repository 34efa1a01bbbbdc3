"""Writes docs/slurm-compatibility.md: every command, option and field of Slurm's, and what becomes of it here; --check only compares.

What the real commands know is in tests/golden: `option_names/options.tsv` and `field_names.tsv`. What ours know they say themselves:
OPTIONS, REFUSED and FIELD_TABLES of their modules. A name that is in none of our tables has to be in NOT_HERE, with the reason.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from corral.cli import options

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "slurm-compatibility.md"
GOLDEN = ROOT / "tests" / "golden"

SUBMITTERS = ("sbatch", "srun", "salloc")
COMMANDS = (
    "sbatch", "srun", "salloc", "sattach", "sbcast", "scancel", "squeue", "sinfo", "scontrol", "sprio", "sdiag", "sacct", "sacctmgr",
    "sreport", "sstat", "sshare", "scrontab", "strigger",
)  # fmt: skip

#: What Slurm knows and no table of ours: (command, name) -> why.
NOT_HERE = {
    ("srun", "ctrl-comm-ifhn"): "obsolete: Slurm takes it and does nothing",
    ("srun", "mpi-combine"): "obsolete",
    ("srun", "slurmd_debug"): "a mistake in Slurm's usage text: the option is `--slurmd-debug`",
}

#: What is shown alike for every job or node, since there is none of it here.
_CONSTANT = "always the same here"


class Names:
    """Of one command: what Slurm knows, with what we do about each. why: "" = supported."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.module = module_of(command)
        self.known: list[tuple[str, str]] = []  #: option, letter
        self.why: dict[str, str] = {}
        self.missing: list[str] = []  #: in no table
        for name, letter in real_options(command):
            self.known.append((name, letter))
            why = self._why(name, letter)
            if why is None:
                self.missing.append(name)
            else:
                self.why[name] = why
        self.extra = sorted(set(self._own()) - {name for name, _ in self.known})

    def _own(self) -> dict[str, str]:
        """Our options, and why they are refused."""
        if self.command in SUBMITTERS:
            return {option.name: option.refusal for option in options.table(self.command)}
        if self.module is None:
            return {}
        own = dict.fromkeys((row[0] for row in getattr(self.module, "OPTIONS", ())), "")
        refused = getattr(self.module, "REFUSED_OPTIONS", None)
        return own | dict(getattr(self.module, "REFUSED", {}) if refused is None else refused)

    def _why(self, name: str, letter: str) -> str | None:
        own = self._own()
        if name in own:
            return own[name]
        if len(name) == 1 and self.module is not None:  # known by a letter alone
            rows = getattr(self.module, "OPTIONS", ())
            if any(name in row[1] for row in rows):
                return ""
        return NOT_HERE.get((self.command, name))


class Fields:
    """Of one table of one command."""

    def __init__(self, command: str, table: str, path: str) -> None:
        module_name, _, attribute = path.partition(":")
        module = importlib.import_module(module_name)
        found = getattr(module, attribute)
        found = found() if callable(found) else found
        self.constant: set[str] = set()
        own: set[str] = set()
        for name, column in found.items() if isinstance(found, dict) else ((one.name, one) for one in found):
            own.add(name)
            needs = getattr(column, "fields", getattr(column, "needs", None))
            if needs is not None and not needs:
                self.constant.add(name)
        refused = {**getattr(module, "REFUSED", {}), **getattr(module, "NOT_SHOWN", {})} if "scontrol" in path else {}
        self.known = real_fields(command, table)
        self.why = {name: refused.get(name, "") for name in self.known if same(name, own) is not None}
        self.missing = [name for name in self.known if name not in self.why]
        self.constant = {name for name in self.known if same(name, self.constant) is not None}


def same(name: str, known: set[str]) -> str | None:
    """As we write it: sacct's names in any case, scontrol's also in the plural."""
    for one in (name, f"{name}s", name.lower()):
        if one in known:
            return one
    return None


def module_of(command: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"corral.cli.commands.{command}")
    except ModuleNotFoundError:
        return None


def lines(path: str) -> list[list[str]]:
    rows = (GOLDEN / path).read_text().splitlines()
    return [row.split("\t") for row in rows if row and not row.startswith("#")]


def real_options(command: str) -> list[tuple[str, str]]:
    rows = lines("option_names/options.tsv")
    return [(row[1], row[2] if len(row) > 2 else "") for row in rows if row[0] == command]


def real_fields(command: str, table: str) -> list[str]:
    return [row[2] for row in lines("field_names.tsv") if row[:2] == [command, table]]


def fields_of(command: str) -> dict[str, Fields]:
    tables: dict[str, str] = getattr(module_of(command), "FIELD_TABLES", {})
    return {table: Fields(command, table, path) for table, path in tables.items()}


# -- the page

HEAD = """# Slurm compatibility

Written by `scripts/compatibility.py` from the tables of the commands, compared with what Slurm 22.05.8 says of itself: `--help`,
`--usage`, manual pages, every field name tried alone. The Slurm-named commands answer `slurm 22.05.8` to `--version`: that is the level
they keep to, and newer options come on top. What Slurm has and Corral has not is refused with a message that says why; nothing is taken
in silence. What each option means is in [the commands](reference/cli.md).

## JSON and YAML

`--json` and `--yaml` of `squeue`, `sinfo`, `sacct`, `sdiag` and `scontrol show job|node|partition|step` write what current Slurm
writes: its data_parser v0.0.40, where a number that may be missing or endless is `{"set": ..., "infinite": ..., "number": ...}` and
states are lists of words. Programs written against Slurm 22.05 ask for `--json=v0.0.38`; `--json=list` names the versions.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    written = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in written)


def option_text(name: str, letter: str) -> str:
    if len(name) == 1:
        return f"`-{name}`"
    return ", ".join([*[f"`-{one}`" for one in letter.split()], f"`--{name}`"])


def overview() -> str:
    rows = []
    for command in COMMANDS:
        names = Names(command)
        if names.module is None:
            rows.append([f"`{command}`", "not there", NOT_HERE.get((command, ""), "")])
            continue
        supported = sum(1 for why in names.why.values() if not why)
        rows.append([f"[`{command}`](#{command})", f"{supported} of {len(names.known)}", ""])
    return table(["command", "options", ""], rows)


def section(command: str) -> str:
    names = Names(command)
    if names.module is None:
        return ""
    text = f"\n## {command}\n\n"
    supported = [option_text(name, letter) for name, letter in names.known if names.why.get(name) == ""]
    text += f"Options: {', '.join(supported)}.\n"
    if names.extra:
        text += f"\nFrom newer Slurm, or other spellings: {', '.join(option_text(name, '') for name in names.extra)}.\n"
    refused: dict[str, list[str]] = {}
    for name, letter in names.known:
        if names.why.get(name):
            refused.setdefault(names.why[name], []).append(option_text(name, letter))
    if refused:
        text += "\n" + table(["refused", "why"], [[", ".join(found), why] for why, found in refused.items()])
    for title, fields in fields_of(command).items():
        text += f"\n{title.capitalize()}: {', '.join(f'`{name}`' for name in fields.known if not fields.why.get(name, 'x'))}.\n"
        no: dict[str, list[str]] = {}
        for name, why in fields.why.items():
            if why:
                no.setdefault(why, []).append(f"`{name}`")
        if no:
            text += "\n" + table(["refused", "why"], [[", ".join(found), why] for why, found in no.items()])
        if fields.constant:
            text += f"\nOf these, {_CONSTANT}: {', '.join(f'`{name}`' for name in fields.known if name in fields.constant)}.\n"
    return text


def page() -> str:
    return HEAD + "\n## Commands\n\n" + overview() + "".join(section(command) for command in COMMANDS)


def main(arguments: list[str]) -> int:
    now = PAGE.read_text() if PAGE.exists() else ""
    new = page()
    if "--check" not in arguments:
        PAGE.write_text(new)
    elif new != now:
        print(f"docs/{PAGE.name} is not up to date: run scripts/compatibility.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
