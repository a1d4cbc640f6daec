"""A group of repeated runs, and a comparison of two sides: pages, Markdown, rows of a table.

Reads group.json or comparison.json and computes no figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.comparison import read_comparison, read_group
from harness.record.folder import RunFolder
from harness.report.formats import GAP, MINUS, NOTHING, SYMBOLS, by_unit, count, is_number, seconds
from harness.report.templating import templates

Row = Mapping[str, Any]
OUTCOMES = {
    "regression": ("Regression", "fail"),
    "improvement": ("Improvement", "pass"),
    "too few runs to tell": ("Too few runs to tell", "inconclusive"),
    "no change that matters": ("No change that matters", ""),
}
"""By outcome: the heading of its rows, and their tone; in the order of the page."""

GROUP_COLUMNS = ("expectation", "median", "spread", "worst", "outcome")
COMPARISON_COLUMNS = ("figure", "A", "B", "change", "95 % interval")
PLOT_WIDTH, PLOT_EFFECTS = 150.0, 4.0
"""A plot of a change reaches from -4 to 4 times the smallest change that matters."""


def render_group(path: Path) -> Path:
    """Write index.html and summary.md of a group into its folder; the page's path."""
    group = read_group(path)
    text = templates().get_template("group.html").render(
        group=group,
        group_id=path.name,
        symbol=SYMBOLS.get(group["verdict"], "?"),
        phases=_by_phase(group["figures"]),
        strips={_key(row): _strip(row) for row in group["figures"]},
        key=_key,
        runs=_runs(path, zip(group["run_ids"], group["verdicts"], strict=True)),
        reasons=group.get("reasons") or [],
    )  # fmt: skip
    return _write(path, text, group_markdown(group))


def render_comparison(path: Path) -> Path:
    """Write index.html and summary.md of a comparison into its folder; the page's path."""
    found = read_comparison(path)
    sides = {
        name: _runs(path, ((run["run_id"], run["verdict"]) for run in found[name]["runs"]))
        for name in ("a", "b")
    }
    text = templates().get_template("comparison.html").render(
        found=found,
        word=outcome_word(found),
        headline=headline(found),
        tone=_tone(found),
        sections=[
            (heading, tone, [_drawn(row, found) for row in _largest_first(found, outcome)])
            for outcome, (heading, tone) in OUTCOMES.items()
        ],
        sides=sides,
        about=about(found),
        width=PLOT_WIDTH,
        effects=PLOT_EFFECTS,
    )  # fmt: skip
    return _write(path, text, comparison_markdown(found))


def outcome_word(found: Row) -> str:
    """The outcome in a word or two."""
    if found["is_regression"]:
        return "Regression"
    return "No regression found" if found["tested"] else "Too few runs to tell"


def headline(found: Row) -> str:
    """The outcome in a sentence."""
    counts = found["counts"]
    worse = counts["regression"]
    parts = [
        f"{worse} {'figure is' if worse == 1 else 'figures are'} worse" if worse else "",
        f"{counts['improvement']} better" if counts["improvement"] else "",
        f"{counts['no change that matters']} without a change that matters",
        f"{counts['too few runs to tell']} with too few runs to tell",
    ]
    text = ", ".join(part for part in parts if part)
    return text[0].upper() + text[1:] + "."


def about(found: Row) -> list[str]:
    """What the reader must know of the two sides, a sentence each."""
    notes = []
    for name in ("a", "b"):
        for run in found[name]["left_out"]:
            notes.append(f"{name.upper()}: {run['run_id']} is left out: {run['why']}.")
    few = [name.upper() for name in ("a", "b") if len(found[name]["runs"]) < found["runs_min"]]
    if few:
        notes.append(
            f"Fewer than {found['runs_min']} runs in {' and '.join(few)}: only events that must "
            "never happen are detected. For more runs: harness run --repeat 5 FILE."
        )
    if found["experiment_differences"]:
        changed = "; ".join(found["experiment_differences"])
        notes.append(f"Different experiments are compared: {changed}.")
    if found["on_both_sides"]:
        notes.append(f"On both sides: {', '.join(found['on_both_sides'])}.")
    return notes


def group_rows(group: Row) -> list[list[str]]:
    """The cells of GROUP_COLUMNS, a row for each judged figure."""
    return [
        [
            f"{row['phase']}.{row['subject']}: {row['text']}",
            *(_short(_figure_text(row, name)) for name in ("median", "spread", "worst")),
            row["outcome"].upper() if row["outcome"] == "fail" else row["outcome"],
        ]
        for row in group["figures"]
    ]


def comparison_rows(found: Row, outcome: str) -> list[list[str]]:
    """The cells of COMPARISON_COLUMNS, a row for each figure with this outcome."""
    names = ("a_text", "b_text", "change", "interval_text")
    return [
        [row["id"], *(_short(_texts(row, found)[name]) for name in names)]
        for row in _largest_first(found, outcome)
    ]


def group_markdown(group: Row) -> str:
    """The verdict and every judged figure, for a pull request."""
    runs = len(group["run_ids"])
    lines = [f"## {group['verdict'].upper()} in {runs} runs: {_cell(group['title'])}", ""]
    lines += [f"- {_code(reason['code'])} {_cell(reason['text'])}" for reason in group["reasons"]]
    head = ("expected", "median", "spread", "worst", "outcome")
    lines += ["", *_table(head, group_rows(group))]
    return "\n".join([*lines, "", f"Runs: {', '.join(map(_code, group['run_ids']))}\n"])


def comparison_markdown(found: Row) -> str:
    """The outcome and every figure, for a pull request."""
    lines = [f"## {outcome_word(found)}: {headline(found)}", ""]
    lines += [f"B {_code(found['b']['name'])} against A {_code(found['a']['name'])}", ""]
    lines += [f"- {_cell(note)}" for note in about(found)]
    rows = [[outcome, *cells] for outcome in OUTCOMES for cells in comparison_rows(found, outcome)]
    return "\n".join([*lines, "", *_table(("outcome", *COMPARISON_COLUMNS), rows), ""])


def _largest_first(found: Row, outcome: str) -> list[Row]:
    """The figures with this outcome, by how many times their change is what matters."""
    rows = [row for row in found["figures"] if row["outcome"] == outcome]
    return sorted(rows, key=_size, reverse=True)


def _size(row: Row) -> float:
    if not is_number(row["difference"]):
        return math.inf if row["difference"] else -1.0
    return abs(float(row["difference"])) / max(float(row["minimum_effect"]), 1e-12)


def _drawn(row: Row, found: Row) -> dict[str, Any]:
    return {**row, **_texts(row, found), "plot": _plot(row)}


def _texts(row: Row, found: Row) -> dict[str, str]:
    """One figure's cells as words."""
    low_high = [_signed(end, row["unit"]) for end in row["interval"] or ()]
    return {
        "a_text": _side_text(row, "a"),
        "b_text": _side_text(row, "b"),
        "change": _signed(row["difference"], row["unit"]),
        "relative_text": _relative(row["relative"]),
        "interval_text": " to ".join(low_high) or NOTHING,
        "why": _why(row, found),
    }


def _side_text(row: Row, side: str) -> str:
    values, median = row[side]["values"], row[side]["median"]
    if not values:
        return NOTHING
    if row["unit"] == "flag":
        return f"{sum(1 for value in values if value)} of {len(values)}"
    if row["kind"] == "never":
        return f"{count(max(values))}" + (" at worst" if len(values) > 1 and max(values) else "")
    return by_unit(median, row["unit"]) if is_number(median) else "not recovered"


def _signed(value: Any, unit: str) -> str:
    if isinstance(value, str):
        return (MINUS if value.startswith("-") else "+") + "unbounded"
    if not is_number(value):
        return NOTHING
    sign = "+" if value > 0 else ""
    if unit == "share":
        return f"{sign}{_digits(value * 100)}{GAP}pp".replace("-", MINUS)
    return sign + (seconds(value) if unit == "s" else count(value).replace("-", MINUS))


def _digits(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _relative(value: Any) -> str:
    if not is_number(value) or not value:
        return ""
    return (
        f"\N{MULTIPLICATION SIGN} {1 + value:,.1f}"
        if value >= 1
        else f"{value:+.0%}".replace("-", MINUS)
    )


def _why(row: Row, found: Row) -> str:
    """Why it is too early to tell, or why one run is enough."""
    missing = "A" if not row["a"]["values"] else "B"
    reasons = {
        "not_measured": f"not measured in {missing}",
        "too_few_runs": f"{found['runs_min']} runs on each side are needed",
        "interval_too_wide": "the interval includes changes that matter and changes that do not",
        "may_be_chance": f"it matters, but with so few runs chance alone may cause it in one of "
        f"{found['tested']} figures",
        "seen_in_b_alone": "in B, and in no run of A; once is enough",
    }
    return reasons.get(row["reason"], "")


def _figure_text(row: Row, name: str) -> str:
    value = row[name]
    if value is None and name != "spread" and "fail" in row["outcomes"]:
        return "unbounded"
    if row["unit"] == "flag" and name == "spread":
        return NOTHING
    return by_unit(value, row["unit"])


def _strip(row: Row) -> dict[str, Any] | None:
    """Where each run's value lies between 0 and the limit or the largest, from 0 to PLOT_WIDTH."""
    values = [value for value in row["values"] if is_number(value)]
    if row["unit"] == "flag" or not values:
        return None
    right = 1.08 * max(*values, row["limit"], 1e-12)
    dots = [round(PLOT_WIDTH * max(value, 0) / right, 1) for value in values]
    return {"dots": dots, "limit": round(PLOT_WIDTH * row["limit"] / right, 1)}


def _plot(row: Row) -> dict[str, float] | None:
    """The interval and the change in multiples of the smallest that matters, as places."""
    ends, effect = [*(row["interval"] or ()), row["difference"]], row["minimum_effect"]
    if len(ends) < 3 or not is_number(effect) or effect <= 0 or not all(map(is_number, ends)):
        return None
    low, high, middle = (_place(value / effect) for value in ends)
    return {"low": low, "high": high, "middle": middle, "left": _place(-1), "right": _place(1)}


def _place(effects: float) -> float:
    clipped = min(max(effects, -PLOT_EFFECTS), PLOT_EFFECTS)
    return round(PLOT_WIDTH * (clipped + PLOT_EFFECTS) / (2 * PLOT_EFFECTS), 1)


def _tone(found: Row) -> str:
    if found["is_regression"]:
        return "fail"
    return "inconclusive" if found["counts"]["too few runs to tell"] else "pass"


def _key(row: Row) -> str:
    return f"{row['id']} {row['text']}"


def _by_phase(rows: Iterable[Row]) -> dict[str, list[Row]]:
    phases: dict[str, list[Row]] = {}
    for row in rows:
        phases.setdefault(row["phase"], []).append(row)
    return phases


def _runs(path: Path, runs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Each run with its verdict, with a link if its report is next to this folder."""
    return [
        {
            "run_id": run_id,
            "verdict": verdict,
            "symbol": SYMBOLS.get(verdict, "·"),
            "href": f"../{run_id}/index.html"
            if (path.parent / run_id / "index.html").exists()
            else "",
        }
        for run_id, verdict in runs
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("\n", " ")
    return text.replace("<", "&lt;").replace("[", "\\[")  # no tag, link or image


def _code(name: str) -> str:
    inside = _cell(name).replace("`", "'")
    return f"`{inside}`"


def _short(text: str) -> str:
    return text.replace(GAP, " ")


def _write(path: Path, page: str, summary: str) -> Path:
    folder = RunFolder(path)
    folder.write_text("summary.md", summary)
    folder.write_text("index.html", page)
    return path / "index.html"
