"""How does a figure look as SVG? Lines over time, curves of shares, bars; for a page that needs nothing else."""

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 40
#: Of the series, one after another; readable on white and on black, also for the colour-blind (Okabe and Ito).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a", "#b8a500")

Points = Sequence[tuple[float, float]]


def lines(
    series: Sequence[tuple[str, Points]],
    x_label: str,
    y_label: str,
    *,
    stepped: bool = False,
    log: bool = False,
    top: float = 0.0,
) -> str:
    """One line for each. `stepped`: a value holds until the next; `log`: x is drawn in its logarithm; `top`: where y ends."""
    drawn = [(name, [(max(x, 1.0), y) for x, y in points] if log else list(points)) for name, points in series]
    every = [point for _, points in drawn for point in points]
    if not every:
        return '<p class="none">Nothing to draw.</p>'
    low_x, high_x = min(x for x, _ in every), max(x for x, _ in every)
    high_y = top or nice_top(max(y for _, y in every))
    if log:
        high_x = max(high_x, low_x * 10)
    elif high_x <= low_x:
        high_x = low_x + 1

    def at(x: float, y: float) -> tuple[float, float]:
        share = math.log(x / low_x) / math.log(high_x / low_x) if log else (x - low_x) / (high_x - low_x)
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / high_y * (HEIGHT - TOP - BOTTOM)

    found = [_frame(x_label, y_label)]
    for y in ticks(0.0, high_y):
        _, height = at(low_x, y)
        found.append(f'<line class="grid" x1="{LEFT}" y1="{height:.1f}" x2="{WIDTH - RIGHT}" y2="{height:.1f}"/>')
        found.append(f'<text x="{LEFT - 7}" y="{height + 4:.1f}" text-anchor="end">{short(y)}</text>')
    for x in powers(low_x, high_x) if log else ticks(low_x, high_x):
        left, _ = at(x, 0)
        found.append(f'<text x="{left:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{short(x)}</text>')
    for number, (name, points) in enumerate(drawn):
        path = []
        before: tuple[float, float] | None = None
        for point in points:
            left, height = at(*point)
            if stepped and before is not None:
                path.append(f"{left:.1f},{before[1]:.1f}")
            path.append(f"{left:.1f},{height:.1f}")
            before = (left, height)
        colour = COLOURS[number % len(COLOURS)]
        found.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" points="{" ".join(path)}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    return _svg(found, HEIGHT)


def bars(rows: Sequence[tuple[str, Sequence[float]]], names: Sequence[str], unit: str) -> str:
    """For each row one bar for each name."""
    most = max((value for _, values in rows for value in values), default=0.0) or 1.0
    thick, gap, left = 12, 10, 150
    found, y = [], 6
    for label, values in rows:
        middle = y + len(values) * thick / 2 + 4
        found.append(f'<text x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(label[:22])}</text>')
        for number, value in enumerate(values):
            width = value / most * (WIDTH - left - 90)
            colour = COLOURS[number % len(COLOURS)]
            found.append(
                f'<rect x="{left}" y="{y}" width="{max(width, 0.5):.1f}" height="{thick - 2}" rx="2" fill="{colour}">'
                f"<title>{escape(names[number])}: {value:,.2f} {escape(unit)}</title></rect>"
            )
            found.append(f'<text class="value" x="{left + width + 5:.1f}" y="{y + 9}">{short(value)}</text>')
            y += thick
        y += gap
    return _svg(found, y)


def legend(names: Sequence[str]) -> str:
    items = [
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{"".join(items)}</p>'


def _frame(x_label: str, y_label: str) -> str:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return (
        f'<line class="axis" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text class="label" x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{escape(y_label)}</text>'
    )


def _svg(parts: Sequence[str], height: float) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img">{"".join(parts)}</svg>'


def alone(svg: str) -> str:
    """The same as a file of its own."""
    style = "text{fill:#667085;font:11.5px sans-serif}.grid{stroke:#d8dde6}.axis{stroke:#667085}"
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        'role="img">', f'role="img"><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>', 1
    )


# -- numbers


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers between the two."""
    step = _round_step((high - low) / wanted)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough - 1e-12)


def nice_top(most: float) -> float:
    if most <= 0:
        return 1.0
    step = _round_step(most / 6)
    return math.ceil(most / step - 1e-9) * step


def powers(low: float, high: float) -> list[float]:
    """Of ten."""
    return [10.0**n for n in range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)]


def short(value: float) -> str:
    """1.5M, 20k, 0.25."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if letter == "k" else limit
            return f"{value / scale:.3g}{letter}"
    return f"{value:.4g}"
