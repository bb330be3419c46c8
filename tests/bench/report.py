# SPDX-License-Identifier: Apache-2.0
"""What the forwarding benchmark found: as a table, beside what it must reach, as JSON and as a picture."""
from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

OURS = "vswitchd"


@dataclasses.dataclass
class Row:
    """One thing measured, of several switches: values[switch][round]."""
    section: str
    name: str
    metric: str
    more_is_better: bool
    values: dict = dataclasses.field(default_factory=dict)

    def median(self, side: Any) -> Any:
        return statistics.median(self.values[side].values())

    def spread(self, side: Any) -> Any:
        """Half of the way from the least to the greatest, as a share of the median."""
        middle, values = self.median(side), self.values[side].values()
        return (max(values) - min(values)) / 2 / middle if middle else 0

    def json(self) -> dict[Any, Any]:
        return {**dataclasses.asdict(self), "median": {side: self.median(side) for side in self.values}}


class Results:
    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}

    def add(self, section: str, name: str, metric: str, side: Any, turn: int, value: float, more_is_better: bool = True) -> None:
        key = (section, name, metric)
        row = self.rows.setdefault(key, Row(*key, more_is_better))
        row.values.setdefault(side, {})[turn] = value

    def values(self, section: str, name: str, metric: str, side: Any) -> Any:
        row = self.rows.get((section, name, metric))
        return row.values.get(side, {}) if row else {}

    def json(self) -> list[Any]:
        return [row.json() for row in self.rows.values()]


def ratios(over: Any, under: Any) -> list[Any]:
    """Of the rounds that both have; one in which the lower one was 0 says nothing."""
    return [over[turn] / under[turn] for turn in over if under.get(turn)]


def number_text(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


# ---- what it must reach

@dataclasses.dataclass(frozen=True)
class Goal:
    """The median of `over` / `under` (each (section, row, metric, side)), round by round, is at least or at most the limit."""
    text: str
    at_least: bool
    limit: float
    over: tuple[str, str, str, str]
    under: tuple[str, str, str, str] | None = None

    def ratios(self, results: Results) -> Any:
        over = results.values(*self.over)
        return ratios(over, results.values(*self.under)) if self.under else list(over.values())

    def judge(self, results: Results) -> tuple[Any, ...]:
        """(median, least, greatest, verdict)"""
        found = self.ratios(results)
        if not found:
            return None, None, None, "not measured"
        middle = statistics.median(found)
        met = middle >= self.limit if self.at_least else middle <= self.limit
        return middle, min(found), max(found), "met" if met else "missed"


def goals_table(goals: Any, results: Results) -> Iterator[Any]:
    yield f"  {'what it must reach, as medians of ratios':105}{'at':>9}{'':8}{'found':>7}  {'spread':14}"
    for goal in goals:
        middle, least, greatest, verdict = goal.judge(results)
        limit = f"{'at least' if goal.at_least else 'at most':>9} {goal.limit:<7g}"
        found = f"{middle:7.3g}  {f'{least:.3g}..{greatest:.3g}':14}" if middle is not None else f"{'-':>7}  {'':14}"
        yield f"  {goal.text:105}{limit}{found}{verdict}"


def goals_json(goals: Any, results: Results) -> list[Any]:
    names = ("median", "least", "greatest", "verdict")
    return [{"goal": goal.text, "at_least": goal.at_least, "limit": goal.limit, **dict(zip(names, goal.judge(results)))}
            for goal in goals]


# ---- the table

NOT_COMPARED = ("offered/s", "lost", "% lost")  # whose ratios say nothing


def table(results: Results, titles: Any) -> Iterator[Any]:
    """A line of medians with their spread for each row, and below it how ours compares: a ratio above 1 is better, whatever the unit."""
    for section, title in titles.items():
        rows = [row for row in results.rows.values() if row.section == section]
        if not rows:
            continue
        sides = list(dict.fromkeys(side for row in rows for side in row.values))
        yield ""
        yield f"{title}"
        yield f"  {'':66}" + "".join(f"{side:>22}" for side in sides)
        for row in rows:
            yield from row_lines(row, sides)


def row_lines(row: Row, sides: Any) -> Iterator[Any]:
    yield f"  {f'{row.name}: {row.metric}':66}" + "".join(f"{cell(row, side):>22}" for side in sides)
    if OURS not in row.values or len(row.values) == 1 or row.metric in NOT_COMPARED:
        return
    compared = [f"{ratio_text(row, side):>22}" for side in sides]
    yield f"  {'':66}" + "".join(compared)


def cell(row: Row, side: Any) -> str:
    if side not in row.values:
        return ""
    return f"{number_text(row.median(side))} ±{100 * row.spread(side):.0f} %"


def ratio_text(row: Row, side: Any) -> Any:
    if side == OURS or side not in row.values:
        return ""
    over, under = row.values[OURS], row.values[side]
    found = ratios(over, under) if row.more_is_better else ratios(under, over)
    return f"x {number_text(statistics.median(found))}" if found else ""


# ---- the picture

BAR, GAP, LEFT, WIDTH = 18, 6, 170, 620
COLOURS = {True: "#1f6f8b", False: "#b8c4cc"}


def picture(panels: Any) -> Any:
    """An SVG of (title, unit, [(name, value)]) panels, one below the other; ours stands out."""
    parts, top = [], 10
    for title, unit, bars in panels:
        if bars:
            drawn, height = panel(title, unit, bars, top)
            parts += drawn
            top += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 40}" height="{top}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"


def panel(title: str, unit: str, bars: Any, top: Any) -> tuple[Any, ...]:
    greatest = max(value for _, value in bars) or 1
    room = WIDTH - LEFT - 70
    lines = [text(10, top + 14, f"{title} ({unit})", 'font-weight="bold"')]
    at = top + 26
    for name, value in bars:
        length = max(room * value / greatest, 1)
        lines += [text(LEFT - 8, at + 13, name, 'text-anchor="end"'),
                  f'<rect x="{LEFT}" y="{at}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[name.startswith(OURS)]}"/>',
                  text(LEFT + length + 6, at + 13, number_text(value))]
        at += BAR + GAP
    return lines, at - top + 10


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{escape(words)}</text>'
