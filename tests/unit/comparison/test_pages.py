"""The pages and Markdown tables of a comparison and of a group: readable, whole and safe."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from made_up_runs import EXPERIMENT, RECOVERY, drawn, experiment, side_of, with_values

from harness.comparison import (
    MinimumEffect,
    compare,
    make_group,
    read_comparison,
    write_comparison,
    write_group,
)
from harness.comparison.sides import Run, Side
from harness.report.comparison import render_comparison, render_group

HOSTILE = "a|b <script>alert(1)</script> <img src=x onerror=alert(2)>&\"' `x` {{ 7*7 }}"


class Page(HTMLParser):
    """The tags of a page and its readable text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._open = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def rendered(path, render):
    page = render(path)
    markdown = (path / "summary.md").read_text(encoding="utf-8")
    return Page(page.read_text(encoding="utf-8")), markdown


def pages_of(tmp_path, a, b):
    path = tmp_path / "compare-a-b"
    write_comparison(path, compare(a, b, MinimumEffect()))
    return rendered(path, render_comparison)


def cells(markdown):
    """The cells of each row of the table; a bar inside a cell is written `\\|`."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_a_regression_is_told_first(tmp_path):
    page, markdown = pages_of(tmp_path, drawn(5, 0), drawn(5, 10, later_s=5))
    assert page.text.index("REGRESSION") < page.text.index("redirect recovery time")
    assert "1 figure is worse" in page.text
    assert re.search(r"\+2\d%", page.text)
    assert markdown.startswith("## Regression: 1 figure is worse, ")
    head, _, first, *rest = cells(markdown)
    assert head == ["outcome", "figure", "A", "B", "change", "95 % interval"]
    assert first[:2] == ["regression", "run.redirect.recovery_time"]
    assert re.fullmatch(r"\+\d\.\d\d s", first[4])
    assert re.fullmatch(r"\+\d\.\d\d s to \+\d\.\d\d s", first[5])
    assert {len(row) for row in rest} == {6}
    assert len(rest) + 1 == len(read_comparison(tmp_path / "compare-a-b")["figures"])


def test_too_few_runs_are_said_to_be_too_few(tmp_path):
    page, markdown = pages_of(tmp_path, drawn(1, 0), drawn(2, 10, slower=3))
    for text in (page.text, markdown):
        assert "Fewer than 3 runs in A and B" in text
        assert "harness run --repeat 5 FILE" in text
    assert "TOO FEW RUNS TO TELL" in page.text
    assert re.search("\N{MULTIPLICATION SIGN} 3[.]\\d", page.text)
    assert markdown.startswith("## Too few runs to tell: ")
    too_few = [row[1] for row in cells(markdown) if row[0] == "too few runs to tell"]
    assert too_few[0].startswith("fault.")  # the largest change is not hidden in the crowd


def test_what_did_not_recover_is_said_in_words(tmp_path):
    page, markdown = pages_of(
        tmp_path, with_values(RECOVERY, [21.0] * 3), with_values(RECOVERY, [float("inf")] * 3)
    )
    row = next(row for row in cells(markdown) if row[1] == RECOVERY.id)
    assert row[2:5] == ["21.0 s", "not recovered", "+unbounded"]
    assert "in B, and in no run of A; once is enough" in page.text


def test_left_out_runs_and_different_experiments_are_named(tmp_path):
    bad = Run("run-9", EXPERIMENT, {}, "the load fell behind")
    other = experiment(load=EXPERIMENT.load.model_copy(update={"rate_per_s": 200}))
    b = Side("b", tuple(Run(f"b-{at}", other, {}) for at in range(3)))
    page, markdown = pages_of(tmp_path, side_of(*drawn(3, 0).runs, bad), b)
    for text in (page.text, markdown):
        assert "A: run-9 is left out: the load fell behind." in text
        assert "Different experiments are compared: load.rate_per_s 100.0 -" in text


def test_runs_are_linked_where_their_reports_are(tmp_path):
    (tmp_path / "run-0").mkdir()
    (tmp_path / "run-0" / "index.html").touch()
    page, _ = pages_of(tmp_path, drawn(1, 0), drawn(1, 1))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert "../run-0/index.html" in links
    assert not any("run-1" in link for link in links)


def hostile_comparison(tmp_path):
    claim = experiment(title=HOSTILE, name=HOSTILE)
    a, b = (
        Side(HOSTILE, tuple(Run(HOSTILE, claim, run.figures, facts=facts) for run in side.runs))
        for side, facts in ((drawn(1, 0), {}), (drawn(1, 1), {"git_commit": HOSTILE}))
    )
    a = Side(a.name, a.runs, (Run("bad", claim, {}, HOSTILE),))
    return pages_of(tmp_path, a, b)


def hostile_group(tmp_path):
    judgement = {"outcome": "fail", "value": 40.0, "evidence": HOSTILE, "code": HOSTILE}
    run = {"run_id": HOSTILE, "status": "completed", "verdict": "fail", "reasons": []}
    claim = experiment(title=HOSTILE, hypothesis=EXPERIMENT.hypothesis[1:2])
    path = tmp_path / "group"
    write_group(path, make_group(claim, [{**run, "judgements": [judgement]}], 1))
    return rendered(path, render_group)


@pytest.mark.parametrize("made", [hostile_comparison, hostile_group])
def test_names_of_the_target_are_text_and_nothing_else(tmp_path, made):
    page, markdown = made(tmp_path)
    assert not [tag for tag, _ in page.tags if tag in ("script", "img")]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "<script>alert(1)</script>" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "{{ 7*7 }}" in page.text
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert len({len(row) for row in cells(markdown)}) == 1


def test_a_page_needs_no_network_and_repeats_byte_for_byte(tmp_path):
    page, _ = pages_of(tmp_path, drawn(3, 0), drawn(3, 10))
    for tag, attrs in page.tags:
        assert "src" not in attrs, tag
        assert tag not in ("link", "iframe", "object", "base"), tag
        assert not re.match(r"[a-z]+:|//", attrs.get("href", ""))
    path = tmp_path / "compare-a-b"
    before = {file: file.read_bytes() for file in path.iterdir()}
    render_comparison(path)
    assert {file: file.read_bytes() for file in path.iterdir()} == before


def test_a_group_shows_median_spread_and_worst(tmp_path):
    values = [("pass", 21.0), ("pass", 25.0), ("fail", 33.0)]
    results = [
        {
            "run_id": f"run-{at}", "status": "completed", "verdict": outcome, "reasons": [],
            "judgements": [{"outcome": outcome, "value": value, "evidence": "", "code": "slow"}],
        }
        for at, (outcome, value) in enumerate(values)
    ]  # fmt: skip
    claim = experiment(hypothesis=EXPERIMENT.hypothesis[1:2])
    write_group(tmp_path / "group", make_group(claim, results, 3))
    page, markdown = rendered(tmp_path / "group", render_group)
    assert markdown.startswith("## FAIL in 3 runs: Nobody notices the outage")
    assert cells(markdown)[2] == [
        "fault.redirect: recovery_time &lt;= 30s", "25.0 s", "6.00 s", "33.0 s", "FAIL",
    ]  # fmt: skip
    assert "The claim did not hold in every run." in page.text
    assert len([tag for tag, _ in page.tags if tag == "circle"]) == 3
