"""Rows on disk: what is written is read again, also what an older version wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from campaigns.row import Figures, Row, add_row, figures_of, read_rows

NUMBERS = st.none() | st.integers(0, 10**6)
ROWS = st.builds(
    Row,
    experiment=st.text(min_size=1),
    verdict=st.sampled_from(["pass", "fail", "inconclusive", "error"]),
    codes=st.lists(st.text()).map(tuple),
    message=st.text(),
    figures=st.builds(Figures, requests=NUMBERS, failed=NUMBERS),
    hogs=st.integers(0, 2),
    defect=st.text(min_size=1),
    expected=st.text(),
)


@given(ROWS)
def test_a_row_is_read_as_it_was_written(row: Row) -> None:
    assert Row.of(json.loads(json.dumps(row.facts()))) == row


def test_a_row_of_the_healthy_stack_says_nothing_of_defects() -> None:
    assert not {"defect", "expected", "caught", "right_finding"} & Row("x", "pass").facts().keys()


def test_only_a_fail_with_the_code_is_the_right_finding() -> None:
    rows = {
        ("fail", ("writes_lost", "target_unhealthy")): (True, True),
        ("fail", ("target_unhealthy",)): (True, False),
        ("inconclusive", ("writes_lost",)): (False, False),
        ("pass", ()): (False, False),
        ("error", ()): (False, False),
    }
    for (verdict, codes), wanted in rows.items():
        row = Row("x", verdict, codes, defect="d", expected="writes_lost")
        assert (row.caught, row.right_finding) == wanted
        facts = row.facts()
        assert (facts["caught"], facts["right_finding"]) == wanted


def test_rows_of_an_older_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    old = {
        "run": 3, "defect": "d", "experiment": "x", "expected": "c", "verdict": "fail",
        "codes": ["c"], "caught": True, "right_finding": True, "duration_s": 61.2,
        "report": "reports/x", "message": "",
    }  # fmt: skip
    path.write_text(json.dumps(old) + "\n")
    [row] = read_rows(path)
    assert (row.defect, row.codes, row.date, row.right_finding) == ("d", ("c",), "", True)


def test_a_line_that_was_cut_off_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "below" / "rows.jsonl"
    add_row(path, Row("a", "pass"))
    with path.open("a") as file:
        file.write('{"experiment": "b", "ver')
    assert [row.experiment for row in read_rows(path)] == ["a"]
    add_row(path, Row("c", "fail"))
    assert [row.experiment for row in read_rows(path)] == ["a", "c"]


def _operation(requests: int, failed: int, *p95_s: float | None) -> dict[str, Any]:
    phases = {f"phase-{n}": {"response_time_s": {"p95": value}} for n, value in enumerate(p95_s)}
    return {**phases, "run": {"requests": requests, "failed": failed, "response_time_s": {}}}


def test_the_key_figures_are_the_worst_of_any_operation_and_phase() -> None:
    result = {
        "scale": 0.5,
        "operations": {
            "redirect": _operation(7000, 1, 0.004, 0.0123, None),
            "create": _operation(300, 20, 0.011),
        },
        "recovery": {"redirect": {"recovery_time_s": 0.0}, "create": {"recovery_time_s": 21.54}},
        "writes": {"lost": 2},
    }
    assert figures_of(result) == Figures(0.5, 7300, 21, 12.3, 21.5, 2)


def test_what_did_not_recover_has_no_recovery_time() -> None:
    recovery = {"redirect": {"recovery_time_s": 3.0}, "create": {"recovery_time_s": None}}
    assert figures_of({"recovery": recovery}) == Figures()
