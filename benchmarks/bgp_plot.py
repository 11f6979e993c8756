"""Groups of bars as an SVG picture, one panel for each measure."""

from __future__ import annotations

from html import escape
from pathlib import Path

COLOURS = ("#1b6ca8", "#6fb1e0", "#e08e0b", "#4c9f70", "#a23b72", "#c44536", "#7a7a7a")
LEFT, WIDTH, NUMBER, BAR, GAP, TOP = 210, 230, 70, 14, 16, 84

Bar = tuple[str, str, float]
"""Group, name, value."""


def write_plot(path: Path, title: str, panels: list[tuple[str, list[Bar]]]) -> None:
    """`panels`: what is measured, and its bars; in each panel the longest bar fills the width."""
    bars = [bar for _, some in panels for bar in some]
    groups = list(dict.fromkeys(group for group, _, _ in bars))
    names = list(dict.fromkeys(name for _, name, _ in bars))
    out = [f'<text x="12" y="22" font-size="15">{escape(title)}</text>']
    for number, name in enumerate(names):
        x = LEFT + 95 * number
        out.append(f'<rect x="{x}" y="34" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        out.append(f'<text x="{x + 14}" y="43">{escape(name)}</text>')
    bottom = TOP
    for column, (measure, some) in enumerate(panels):
        x, y = LEFT + column * (WIDTH + NUMBER), TOP
        most = max((value for _, _, value in some), default=1.0)
        out.append(f'<text x="{x}" y="{TOP - 12}" font-weight="bold">{escape(measure)}</text>')
        for group in groups:
            if column == 0:
                out.append(f'<text x="12" y="{y + 11}">{escape(group)}</text>')
            found = {name: value for other, name, value in some if other == group}
            for number, name in enumerate(names):
                if name in found:
                    width = WIDTH * found[name] / most
                    colour = COLOURS[number % len(COLOURS)]
                    out.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
                    out.append(f'<text x="{x + width + 4:.1f}" y="{y + 10}">{found[name]:,.0f}</text>')
                    y += BAR
            y += GAP
        bottom = max(bottom, y)
    size = f'width="{LEFT + len(panels) * (WIDTH + NUMBER) + 12}" height="{bottom}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    path.write_text("\n".join((head, ground, *out, "</svg>")) + "\n")
