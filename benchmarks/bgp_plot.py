"""Groups of bars as an SVG picture."""

from __future__ import annotations

from html import escape
from pathlib import Path

COLOURS = ("#1b6ca8", "#e08e0b", "#4c9f70", "#a23b72", "#7a7a7a", "#c44536")
LEFT, WIDTH, BAR, GAP, TOP = 260, 560, 14, 16, 60


def write_plot(path: Path, title: str, bars: list[tuple[str, str, float]]) -> None:
    """`bars`: (group, name, value); the longest fills the width."""
    groups = list(dict.fromkeys(group for group, _, _ in bars))
    names = list(dict.fromkeys(name for _, name, _ in bars))
    most = max((value for _, _, value in bars), default=1.0)
    out = [f'<text x="12" y="22" font-size="15">{escape(title)}</text>']
    for number, name in enumerate(names):
        x = LEFT + 95 * number
        out.append(f'<rect x="{x}" y="34" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        out.append(f'<text x="{x + 14}" y="43">{escape(name)}</text>')
    y = TOP
    for group in groups:
        out.append(f'<text x="12" y="{y + 11}">{escape(group)}</text>')
        for _, name, value in (bar for bar in bars if bar[0] == group):
            width = WIDTH * value / most
            colour = COLOURS[names.index(name) % len(COLOURS)]
            out.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>')
            out.append(f'<text x="{LEFT + width + 4:.1f}" y="{y + 10}">{value:,.0f}</text>')
            y += BAR
        y += GAP
    size = f'width="{LEFT + WIDTH + 90}" height="{y}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    path.write_text("\n".join((head, ground, *out, "</svg>")) + "\n")
