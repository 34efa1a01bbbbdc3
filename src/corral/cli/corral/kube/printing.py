"""How are objects printed: as kubectl's table, wide, yaml, json, name, jsonpath, custom columns?"""

from __future__ import annotations

import sys

from corral.cli.run import Exit

TYPE_CHECKING = False  # importing typing costs 5 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    Json = dict[str, Any]

NONE = "<none>"
_NAMES = "json, yaml, name, wide, jsonpath=..., jsonpath-file=..., custom-columns=..., custom-columns-file=..."


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--output", "-o", default="", metavar="FORM", help=_NAMES)


class Output:
    """What -o says."""

    def __init__(self, text: str) -> None:
        self.kind, _, self.template = text.partition("=")
        if self.kind in ("", "wide", "json", "yaml", "name"):
            if self.template:
                raise Exit(1, f"error: -o {self.kind} takes nothing after =")
            return
        if self.kind in ("jsonpath-file", "custom-columns-file"):
            try:
                with open(self.template) as file:
                    self.template = file.read()
            except OSError as error:
                raise Exit(1, f"error: {self.template}: {error.strerror}") from None
            self.kind = self.kind.removesuffix("-file")
            if self.kind == "custom-columns":
                lines = [line.split() for line in self.template.splitlines() if line.strip()]
                if len(lines) != 2 or len(lines[0]) != len(lines[1]):
                    raise Exit(1, "error: a file of custom columns has two lines: the headers, and as many paths")
                self.template = ",".join(f"{name}:{path}" for name, path in zip(*lines, strict=True))
        if self.kind not in ("jsonpath", "custom-columns"):
            raise Exit(
                1,
                f'error: unable to match a printer suitable for the output format "{text}", allowed formats are: {_NAMES}',
            )
        if not self.template:
            raise Exit(1, f"error: {self.kind} format specified but no template given")

    @property
    def is_table(self) -> bool:
        return self.kind in ("", "wide")

    def show(self, value: Json, *, headers: bool = True, names: list[str] | None = None) -> None:
        """An object, or a List of them. `names`: of each, for -o name."""
        match self.kind:
            case "json":
                _hide_managers(value)
                import json

                out(json.dumps(value, indent=4, ensure_ascii=False) + "\n")
            case "yaml":
                _hide_managers(value)
                from corral.syntax import yamltext

                out(yamltext.dumped(value))
            case "name":
                out("".join(f"{name}\n" for name in names or ()))
            case "jsonpath":
                out(self._rendered(value))
            case _:
                self._columns(value.get("items", []) if value.get("kind") == "List" else [value], headers)

    def _rendered(self, value: Json) -> str:
        from corral.syntax import jsonpath

        try:
            return jsonpath.rendered(self.template, value)
        except jsonpath.BadPath as error:
            raise Exit(1, f"error: error parsing jsonpath {self.template}, {error}") from None

    def _columns(self, items: list[Json], headers: bool) -> None:
        from corral.syntax import jsonpath

        columns = [word.partition(":")[::2] for word in _apart(self.template)]
        if any(not name or not path for name, path in columns):
            raise Exit(1, f"error: unexpected custom-columns spec: {self.template}, expected <header>:<json-path-expr>")
        rows = [[name for name, _ in columns]] if headers else []
        try:
            for one in items:
                cells = []
                for _, path in columns:
                    path = path[1:-1] if path[:1] == "{" and path[-1:] == "}" else path
                    cells.append(",".join(map(jsonpath.text_of, jsonpath.values(path, one))) or NONE)
                rows.append(cells)
        except jsonpath.BadPath as error:
            raise Exit(1, f"error: {error}") from None
        out(aligned(rows))


def _apart(text: str) -> list[str]:
    """At the commas that are in no brackets."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text + ","):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth <= 0:
            found.append(text[start:at])
            start = at + 1
    return found


def _hide_managers(value: Json) -> None:
    """As kubectl: who manages which field is nothing to read."""
    for one in (value, *(value.get("items") or ())):
        if isinstance(one, dict) and isinstance(one.get("metadata"), dict):
            one["metadata"].pop("managedFields", None)


def out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def aligned(rows: list[list[str]], widths: list[int] | None = None) -> str:
    """Three spaces between columns. `widths` are those so far, and are made wider."""
    widths = widths if widths is not None else []
    for row in rows:
        widths += [0] * (len(row) - len(widths))
        for at, cell in enumerate(row):
            widths[at] = max(widths[at], len(cell))
    lines = []
    for row in rows:
        last = len(row) - 1
        lines.append("".join(cell if at == last else cell.ljust(widths[at] + 3) for at, cell in enumerate(row)) + "\n")
    return "".join(lines)


class Tables:
    """Prints the server's tables; goes on with the same columns when watching."""

    def __init__(
        self, *, wide: bool, headers: bool, namespace: bool, kind: bool, labels: list[str], show_labels: bool
    ) -> None:
        self.wide, self.headers = wide, headers
        self.namespace, self.kind, self.labels, self.show_labels = namespace, kind, labels, show_labels
        self.columns: list[int] = []
        self.is_named = True  #: the first column is the name
        self.widths: list[int] = []

    def text(self, table: Json, title: str) -> str:
        """`title` stands before names: deployment.apps."""
        rows = []
        if table.get("columnDefinitions"):
            self.columns = [at for at, one in enumerate(table["columnDefinitions"]) if self.wide or not one["priority"]]
            names = [str(table["columnDefinitions"][at]["name"]).upper() for at in self.columns]
            self.is_named = names[:1] == ["NAME"]
            header = (["NAMESPACE"] if self.namespace else []) + names
            header += [name.rpartition("/")[2].upper() for name in self.labels] + (
                ["LABELS"] if self.show_labels else []
            )
            if self.headers:
                rows.append(header)
                self.headers = False
        for row in table.get("rows") or []:
            meta = row["object"]["metadata"]
            cells = [str(row["cells"][at]) for at in self.columns]
            if self.kind and self.is_named:
                cells[0] = f"{title}/{cells[0]}"
            if self.namespace:
                cells.insert(0, meta.get("namespace", ""))
            found = meta.get("labels") or {}
            cells += [found.get(name, "") for name in self.labels]
            if self.show_labels:
                cells.append(",".join(f"{name}={value}" for name, value in sorted(found.items())) or NONE)
            rows.append(cells)
        return aligned(rows, self.widths)
