"""The plot of a run: for each case how fast each of our kernel sets is, as a ratio on a log axis.

Colours and greys are those that can be read on white and on black, so that the background may be either.
"""

from __future__ import annotations

import math
from html import escape

WIDTH, LEFT, RIGHT, ROW = 960, 360, 70, 19
GREY, LINE = "#767676", "#76767655"
LOOKS = {"scalar": ("#d55e00", "square"), "neon": ("#d55e00", "square"), "sse2": ("#cc79a7", "square"),
         "avx2": ("#e69f00", "triangle"), "avx512": ("#3a94d4", "circle"), "amx": ("#009e73", "diamond")}


def svg(found: dict) -> str:
    """The plot of a document of results.py; rows without a ratio of ours are left out."""
    groups = [(heading(table, rows), rows) for table in found["tables"]
              if (rows := [points for row in table["rows"] if (points := points_of(row))])]
    ratios = [p["ratio"] for _, rows in groups for row in rows for p in row["points"]] or [1.0]
    scale = Scale(min(ratios), max(ratios))
    body, y = [], 92
    for title, rows in groups:
        body.append(text(12, y, title, weight="bold"))
        y += ROW
        for row in rows:
            body += drawn(row, y, scale)
            y += ROW
        y += ROW // 2
    return "\n".join(frame(found, scale, y, body)) + "\n"


class Scale:
    """From a ratio to a place on the axis, which is logarithmic and shows 0.25 to 2 at least."""

    def __init__(self, least: float, most: float):
        self.low = max(min(math.floor(math.log2(least)), -2), -6)
        self.high = min(max(math.ceil(math.log2(most)), 1), 6)

    def __call__(self, ratio: float) -> float:
        part = (min(max(math.log2(ratio), self.low), self.high) - self.low) / (self.high - self.low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> list[float]:
        return [2.0 ** n for n in range(self.low, self.high + 1)]


def points_of(row: dict) -> dict | None:
    """A row's ratios of our sets to the first of the others, and the targets among them."""
    ours = [r for r in row["ratios"] if r["ours"].startswith("loom ") and r["ours"][5:] in LOOKS]
    ours = [r for r in ours if r["theirs"] == ours[0]["theirs"] and r["ratio"]]
    if not ours:
        return None
    return {"case": row["case"], "theirs": ours[0]["theirs"], "points": ours,
            "targets": sorted({r["target"] for r in ours if r["target"]})}


def heading(table: dict, rows: list[dict]) -> str:
    short = table["title"].split(";")[0].split(":")[0]
    others = sorted({row["theirs"] for row in rows})
    return f"{short} / {others[0]}" if len(others) == 1 else short


def drawn(row: dict, y: float, scale: Scale) -> list[str]:
    """One row: its name, a thin line, its targets, its points, and the number of the last point."""
    middle = y - 4
    parts = [text(24, y, row["case"]),
             f'<path d="M{LEFT} {middle}H{WIDTH - RIGHT}" stroke="{LINE}" stroke-dasharray="1 4"/>']
    parts += [target(scale(ratio), middle) for ratio in row["targets"]]
    for point in row["points"]:
        parts.append(mark(point["ours"][5:], scale(point["ratio"]), middle))
    last = row["points"][-1]
    colour = LOOKS[last["ours"][5:]][0]
    return parts + [text(WIDTH - RIGHT + 12, y, f"{last['ratio']:.2f}", fill=colour)]


def mark(name: str, x: float, y: float) -> str:
    """A point in its set's colour and shape, since not everybody tells colours apart."""
    colour, shape = LOOKS[name]
    paths = {"square": "M-4 -4h8v8h-8z", "triangle": "M0 -5l5 9h-10z", "diamond": "M0 -6l6 6l-6 6l-6 -6z"}
    at = f'transform="translate({x:.1f} {y:.1f})" fill="{colour}"'
    return f'<circle r="4.5" {at}/>' if shape == "circle" else f'<path d="{paths[shape]}" {at}/>'


def target(x: float, y: float) -> str:
    """The bar at the least ratio that is aimed at."""
    return f'<path d="M{x:.1f} {y - 7}v14" stroke="{GREY}" stroke-width="2"/>'


def text(x: float, y: float, words: str, *, fill: str = GREY, weight: str = "normal",
         anchor: str = "start") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-weight="{weight}" '
            f'text-anchor="{anchor}">{escape(words)}</text>')


def frame(found: dict, scale: Scale, bottom: float, body: list[str]) -> list[str]:
    """Title, key, axis, and the body between them."""
    machine = found["machine"]
    sets = [name for name in LOOKS if name in machine["sets"]]
    top = 66
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 8:.0f}" '
             f'viewBox="0 0 {WIDTH} {bottom + 8:.0f}" font-family="system-ui, DejaVu Sans, sans-serif" '
             'font-size="12">',
             text(12, 20, "Speed of planetbridging as a multiple of the other library's, which stands behind "
                  "the slash: 2 is twice as fast, 1/2 half as fast", weight="bold"),
             text(12, 38, f"{machine['processor']}, {machine['date']}, one core unless a line says another number; "
                  "the number at the right is that of the last mark"),
             text(12, 56, "Instructions that planetbridging uses:")]
    x = LEFT
    for name in sets:
        lines += [mark(name, x, 52), text(x + 9, 56, name)]
        x += 90
    lines += [target(x, 52), text(x + 9, 56, "least that is aimed at")]
    for tick in scale.ticks():
        strong = tick == 1
        lines.append(f'<path d="M{scale(tick):.1f} {top + 10}V{bottom - ROW}" '
                     f'stroke="{GREY if strong else LINE}" stroke-width="{1.5 if strong else 1}"/>')
        label = f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}"
        lines += [text(scale(tick), top + 6, label, anchor="middle", weight="bold" if strong else "normal")]
    return lines + body + ["</svg>"]
