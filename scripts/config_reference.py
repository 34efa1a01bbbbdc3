"""Writes docs/reference/configuration.md from the records of the configuration in model/; --check only compares."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "src" / "corral" / "model" / name for name in ("cluster.py", "partition.py", "topology.py")]
PAGE = ROOT / "docs" / "reference" / "configuration.md"
HEAD = """# Configuration

Every key of `corral.toml`. An empty file is a valid configuration. An unknown key or a bad value is refused with its line
number. Times are in seconds, or written as `"30s"`, `"5m"`, `"2h"`, `"7d"`, or as Slurm's time limits (`"4:00:00"`, `"1-00:00:00"`,
`"UNLIMITED"`). Memory is in MB (2^20 bytes) where a name ends in `_mb`, or written as `"64G"`.

`corral up` reads the file `corral.toml` in its state directory unless `--config` names another one. `scontrol reconfigure` reads it
again.

This page is written by `scripts/config_reference.py` from the records that are the configuration.
"""


class Record:
    """One record's docstring and fields: name, type, default and `#:` comment."""

    def __init__(self, node: ast.ClassDef, lines: list[str]) -> None:
        self.about = ast.get_docstring(node) or ""
        self.fields = [
            (item.target.id, ast.unparse(item.annotation), item.value and ast.unparse(item.value), comment(item, lines))
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]


def comment(field: ast.AnnAssign, lines: list[str]) -> str:
    for number in range(field.lineno, (field.end_lineno or field.lineno) + 1):
        _, mark, text = lines[number - 1].partition("#:")
        if mark:
            return text.strip()
    return ""


def records() -> dict[str, Record]:
    found = {}
    for source in SOURCES:
        text = source.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = Record(node, text.splitlines())
    return found


def table(record: Record, all_records: dict[str, Record]) -> str:
    rows = ["| key | default | |", "| --- | --- | --- |"]
    for name, kind, default, about in record.fields:
        if not is_table(kind, all_records):
            rows.append(f"| `{name}` | {default_text(default)} | {about.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def is_table(kind: str, all_records: dict[str, Record]) -> str | None:
    """The record behind a key that is a table of its own."""
    bare = kind.removeprefix("tuple[").removesuffix(", ...]")
    return bare if bare in all_records and all_records[bare].fields and not bare.endswith("State") else None


def default_text(default: str | None) -> str:
    if default is None:
        return "required"
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return f'`"{default.rpartition(".")[2]}"`' if "." in default else f"`{default}`"
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'`"{value}"`'
        case tuple():
            return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
        case _:
            return f"`{value}`"


def page() -> str:
    all_records = records()
    cluster = all_records["ClusterConfig"]
    sections = [HEAD, "## At the top\n", table(cluster, all_records)]
    for name, kind, _, about in cluster.fields:
        record_name = is_table(kind, all_records)
        if record_name:
            record = all_records[record_name]
            heading = f"[[{name}]]" if kind.startswith("tuple[") else f"[{name}]"
            sections.append(f"\n## {heading}\n")
            sections += [f"{text}\n" for text in (record.about, about and about[0].upper() + about[1:] + ".") if text]
            sections.append(table(record, all_records))
    return "\n".join(sections) + "\n"


def main(arguments: list[str]) -> int:
    if "--check" not in arguments:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        print(f"{PAGE.relative_to(ROOT)} is not up to date: run scripts/config_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
