"""Writes the list of modules in ARCHITECTURE.md from their docstrings; --check only compares."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "corral"
PAGE = ROOT / "ARCHITECTURE.md"
BLOCK = re.compile(r"<!-- modules -->\n.*?<!-- end -->\n", re.DOTALL)
#: From the bottom up, as the layers are.
PACKAGES = (
    "syntax", "model", "protocol", "store", "bus", "config", "auth", "scheduler", "services", "engine", "client", "daemon",
    "controller", "agent", "gateway", "proxy", "simulator", "cli",
)  # fmt: skip


def question(module: Path) -> str:
    """The first paragraph of its docstring."""
    text = ast.get_docstring(ast.parse(module.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def modules(package: str) -> list[Path]:
    found = sorted((SOURCE / package).rglob("*.py"))
    return [path for path in found if path.name != "__main__.py" and (path.name != "__init__.py" or _has_code(path))]


def _has_code(init: Path) -> bool:
    return any(not isinstance(node, ast.Expr) for node in ast.parse(init.read_text()).body)


def code_map() -> str:
    known = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    if unlisted := known - set(PACKAGES):
        raise SystemExit(f"scripts/code_map.py does not know the package {', '.join(sorted(unlisted))}")
    parts = []
    for package in PACKAGES:
        rows = [f"| `{path.relative_to(SOURCE)}` | {question(path)} |" for path in modules(package)]
        about = question(SOURCE / package / "__init__.py")
        parts.append("\n".join((f"#### {package}/\n\n{about}\n", "| module | |", "| --- | --- |", *rows, "")))
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    now = PAGE.read_text()
    block = f"<!-- modules -->\n{code_map()}<!-- end -->\n"
    new, count = BLOCK.subn(lambda _: block, now)
    if count != 1:
        raise SystemExit(f"{PAGE.name} has no place for the modules")
    if "--check" not in arguments:
        PAGE.write_text(new)
    elif new != now:
        print(f"{PAGE.name} is not up to date: run scripts/code_map.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
