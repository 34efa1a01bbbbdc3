"""Draws a recorded terminal session as a picture: scripts/session_svg.py docs/images/session.txt docs/images/session.svg

The recording is plain text; a line that begins with "$ " is what the user typed, one with "# " a remark.
"""

import sys
from html import escape
from pathlib import Path

CHARACTER, LINE, MARGIN, BAR = 8.43, 20, 18, 34
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
BACKGROUND, EDGE, TEXT, PROMPT, TYPED, REMARK = "#11151c", "#2b3340", "#c9d1d9", "#7ee787", "#ffffff", "#8b949e"


def drawn(line: str) -> str:
    if line.startswith("$ "):
        return f'<tspan fill="{PROMPT}">$</tspan><tspan fill="{TYPED}" font-weight="600"> {escape(line[2:])}</tspan>'
    if line.startswith("# "):
        return f'<tspan fill="{REMARK}" font-style="italic">{escape(line)}</tspan>'
    return escape(line)


def picture(recording: str) -> str:
    lines = recording.expandtabs().rstrip("\n").split("\n")
    width = round(2 * MARGIN + CHARACTER * max(map(len, lines)))
    height = BAR + LINE * len(lines) + MARGIN
    dots = "".join(
        f'<circle cx="{20 + 20 * i}" cy="17" r="6" fill="{colour}"/>'
        for i, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    rows = "\n".join(
        f'<text x="{MARGIN}" y="{BAR + 14 + LINE * row}">{drawn(line)}</text>' for row, line in enumerate(lines) if line
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">
<title>A session on a Corral cluster</title>
<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" fill="{BACKGROUND}" stroke="{EDGE}"/>
{dots}
<g font-family="{FONT}" font-size="14" fill="{TEXT}" xml:space="preserve">
{rows}
</g>
</svg>
"""


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: session_svg.py RECORDING.txt PICTURE.svg", file=sys.stderr)
        return 2
    Path(arguments[1]).write_text(picture(Path(arguments[0]).read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
