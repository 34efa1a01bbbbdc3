"""Do the pages hold together? Every relative link leads to a file, every #anchor to a heading, and every file named exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
#: `engine/nodes.py`: below the root, the package, or the state directory of a cluster.
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|sh|toml|md|json))`")
HEADING = re.compile(r"^#+\s+(.+?)\s*$", re.MULTILINE)


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return sorted(path for path in {ROOT / line for line in listed.stdout.splitlines()} if path.exists())


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    text = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(FENCE.sub("", page.read_text()))}


def dead_names(page: Path) -> list[str]:
    named = sorted(set(NAMED.findall(page.read_text())))
    places = (ROOT, ROOT / "src" / "corral", page.parent)
    return [
        f"{page.relative_to(ROOT)}: no such file: {name}"
        for name in named
        if not any((place / name).exists() for place in places)
    ]


def faults(page: Path) -> list[str]:
    found = dead_names(page)
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            found.append(f"{page.relative_to(ROOT)}: no such file: {target}")
        elif fragment and file.suffix == ".md" and fragment not in anchors(file):
            found.append(f"{page.relative_to(ROOT)}: no such heading: {target}")
    return found


def main() -> int:
    found = [fault for page in pages() for fault in faults(page)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
