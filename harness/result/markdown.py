"""summary.md: the verdict for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN_MAX = 8
"""How many surprises are listed where there is little room."""


def summary_markdown(result: Mapping[str, Any]) -> str:
    """The verdict, its reasons and every expectation, for a pull request."""
    lines = [f"## {result['verdict'].upper()}: {_cell(result['title'])}", ""]
    if result.get("description"):
        lines += [_cell(result["description"]), ""]
    lines += [f"- `{reason['code']}` {_cell(reason['text'])}" for reason in result["reasons"]]
    lines += _surprises(result.get("surprises") or ())
    lines += ["", "| | phase | expected | measured |", "|---|---|---|---|"]
    marks = {"pass": "✓ pass", "fail": "✗ FAIL", "inconclusive": "? inconclusive"}
    for item in result["judgements"]:
        where = item["expectation_id"].rpartition(".")[0]
        cells = (marks[item["outcome"]], where, _cell(item["text"]), _cell(item["evidence"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Run `{result['run_id']}`", ""])


def _surprises(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What happened that no fault explains, the gravest first."""
    if not rows:
        return []
    lines = ["", "Not explained by a fault:", ""]
    lines += [
        f"- {row['at_s']:.1f} s: {_cell(row['text'])} (`{row['code']}`)" for row in rows[:SHOWN_MAX]
    ]
    more = len(rows) - SHOWN_MAX
    return [*lines, f"- {more} more in result.json"] if more > 0 else lines


def error_markdown(title: str, message: str) -> str:
    """Why an experiment has no result."""
    return f"## ERROR: {_cell(title)}\n\n- {_cell(message)}\n"


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("\n", " ")
    return text.replace("<", "&lt;").replace("[", "\\[")  # no tag, link or image
