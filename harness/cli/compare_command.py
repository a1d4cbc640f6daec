"""`harness compare A B`: what changed, by how much, and whether that is more than chance."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.console import Screen
from harness.comparison import (
    MinimumEffect,
    Side,
    read_comparison,
    read_side,
    refuse_different,
    refuse_occupied,
    write_comparison,
)
from harness.comparison import compare as compare_sides
from harness.errors import UsageError
from harness.report.comparison import (
    COMPARISON_COLUMNS,
    OUTCOMES,
    about,
    comparison_rows,
    headline,
    outcome_word,
    render_comparison,
)


def compare(options: argparse.Namespace, screen: Screen) -> int:
    """Compare two sides, write the page; 1 on a regression, else 0."""
    a, b = (read_side(_paths(text)) for text in (options.a, options.b))
    if not options.different:
        refuse_different(a, b)
    path = options.output or Path("reports") / f"compare-{a.name}-{b.name}"
    refuse_occupied(path)
    minimum = MinimumEffect(
        options.min_relative,
        options.min_response_time,
        options.min_error_rate,
        options.min_recovery,
    )
    write_comparison(path, compare_sides(a, b, minimum))
    page = render_comparison(path)
    screen.summary((path / "summary.md").read_text(encoding="utf-8"))
    return _show(path, page, (a, b), screen)


def _paths(text: str) -> list[Path]:
    paths = [Path(part.strip()) for part in text.split(",") if part.strip()]
    if not paths:
        raise UsageError(f"{text!r} does not name a run folder", "ls reports")
    return paths


def _show(path: Path, page: Path, sides: tuple[Side, Side], screen: Screen) -> int:
    found = read_comparison(path)
    if screen.as_json:
        screen.value({**found, "page": str(page)})
        return int(found["is_regression"])
    for letter, side in zip("AB", sides, strict=True):
        count = len(side.runs)
        screen.say(f"{letter}: {count} {'run' if count == 1 else 'runs'}, {side.name}")
    for note in about(found):
        screen.say(f"  {note}")
    for outcome in ("too few runs to tell", "improvement", "regression"):  # the rest: on the page
        if rows := comparison_rows(found, outcome):
            screen.table(f"{OUTCOMES[outcome][0]} ({len(rows)})", COMPARISON_COLUMNS, rows)
    style = "bold red" if found["is_regression"] else "bold"
    screen.say(f"{outcome_word(found).upper()}: {headline(found)}", style)
    screen.say(f"  report: {page}")
    return int(found["is_regression"])
