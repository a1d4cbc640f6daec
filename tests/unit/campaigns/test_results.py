"""The committed tables: complete, in order, one row for each, the newest run in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from campaigns import results
from campaigns.catalogue import read_catalogue, representatives, shipped
from campaigns.results import Table, not_passed, row_of_folder, take_over
from campaigns.row import Figures, Row, add_row

RUN = Row(
    experiment="redis-crash",
    verdict="pass",
    date="2027-01-02T03:04:59+00:00",
    commit="abc1234",
    stack="7",
    figures=Figures(1.0, 50_000, 0, 4.8, 0.0, None),
)
DEFECT = read_catalogue()[0]
PLANTED = Row(
    experiment=DEFECT.experiment,
    verdict="fail",
    codes=("other", DEFECT.code),
    date="2027-01-02T03:04:59+00:00",
    commit="abc1234",
    stack="7",
    defect=DEFECT.name,
    expected=DEFECT.code,
)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Table, Table]:
    folder = tmp_path / "results"
    return replace(results.experiments(folder), stack="7"), replace(
        results.defects(folder), stack="7"
    )


def _line(table: Table, name: str) -> str:
    lines = table.path.read_text().splitlines()
    [found] = [line for line in lines if name in line.split(",")]
    return found


@pytest.mark.parametrize("table", [results.experiments(), results.defects()])
def test_the_committed_tables_are_complete(table: Table) -> None:
    assert table.problems() == []


def test_every_experiment_and_every_row_of_the_catalogue_is_wanted() -> None:
    assert {name for (name,) in results.experiments().wanted} == shipped().keys()
    assert len(results.defects().wanted) == len(read_catalogue())


def test_what_was_never_run_is_listed_as_such(tables: tuple[Table, Table]) -> None:
    for table in tables:
        assert table.problems()
        table.complete()
        assert table.problems() == []
        assert len(table.path.read_text().splitlines()) == 1 + len(table.wanted)
        assert {row["verdict"] for row in table.read().values()} == {"never run"}
    assert _line(tables[0], "redis-crash") == "cache,redis-crash,never run,,,,,,,,,,,"


def test_a_run_replaces_the_row_of_its_key_and_no_other(tables: tuple[Table, Table]) -> None:
    table, of_defects = tables
    table.complete()
    before = table.path.read_text().splitlines()
    assert table.record(RUN)
    after = table.path.read_text().splitlines()
    assert _line(table, "redis-crash") == (
        "cache,redis-crash,pass,1,2027-01-02 03:04,abc1234,7,1,50000,0,4.8,0,,"
    )
    changed = [line for line in before if line not in after]
    assert changed == ["cache,redis-crash,never run,,,,,,,,,,,"]
    assert [line.split(",")[1] for line in before] == [line.split(",")[1] for line in after]
    assert of_defects.record(PLANTED)
    assert _line(of_defects, DEFECT.name) == (
        f"{DEFECT.name},{DEFECT.experiment},{DEFECT.code},fail,yes,2027-01-02 03:04,abc1234,7,"
        f"other {DEFECT.code}"
    )


def test_rows_are_sorted_whatever_the_order_in_which_they_came(
    tables: tuple[Table, Table],
) -> None:
    table = tables[0]
    for name in reversed(list(shipped())):
        table.record(replace(RUN, experiment=name))
    rows = [line.split(",")[:2] for line in table.path.read_text().splitlines()[1:]]
    assert rows == sorted(rows)


def test_a_newer_run_replaces_an_older_one_and_never_the_other_way_round(
    tables: tuple[Table, Table],
) -> None:
    table = tables[0]
    newer = replace(RUN, verdict="fail", codes=("writes_lost",), date="2027-01-03T00:00:00+00:00")
    assert table.record(RUN)
    assert table.record(newer)
    assert not table.record(RUN)
    assert table.read()["redis-crash",]["verdict"] == "fail"


def test_runs_that_pass_in_a_row_are_counted_until_one_does_not(
    tables: tuple[Table, Table],
) -> None:
    def counted(day: int, verdict: str, stack: str = "7") -> str:
        date = f"2027-01-{day:02}T00:00:00+00:00"
        table = replace(tables[0], stack=stack)
        assert table.record(replace(RUN, verdict=verdict, date=date, stack=stack))
        return table.read()["redis-crash",]["passed_in_a_row"]

    assert [counted(day, "pass") for day in (1, 2, 3)] == ["1", "2", "3"]
    assert counted(3, "pass") == "3", "the same run, imported again"
    assert counted(4, "inconclusive") == "0"
    assert [counted(day, "pass") for day in (5, 6)] == ["1", "2"]
    assert counted(7, "pass", stack="8") == "1", "another version of the stack"


def test_a_run_of_what_is_not_listed_is_not_recorded(tables: tuple[Table, Table]) -> None:
    assert not tables[0].record(replace(RUN, experiment="mine"))
    assert not tables[1].record(replace(PLANTED, expected="another_code"))


def test_a_run_on_another_version_of_the_stack_counts_as_never_run(
    tables: tuple[Table, Table],
) -> None:
    table = tables[0]
    table.record(RUN)
    later = replace(table, stack="8")
    assert later.problems()
    later.complete()
    assert later.problems() == []
    assert later.read()["redis-crash",]["verdict"] == "never run"


def test_what_has_not_passed_on_this_version_is_still_to_be_proven(
    tables: tuple[Table, Table],
) -> None:
    table = tables[0]
    assert not_passed(table) == list(shipped())
    table.record(RUN)
    table.record(replace(RUN, experiment="redis-freeze", verdict="inconclusive"))
    assert not_passed(table) == [name for name in shipped() if name != "redis-crash"]
    assert not_passed(replace(table, stack="8")) == list(shipped())


def test_every_family_has_a_representative() -> None:
    assert {shipped()[name] for name in representatives()} == set(shipped().values())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cache,redis-crash,never run,,,,,,,,,,,\n", "", "not listed: redis-crash"),
        ("redis-crash", "redis-splash", "no longer there: redis-splash"),
        ("never run,", "pass,", "not as it is written"),
    ],
)
def test_the_check_says_what_is_wrong(
    tables: tuple[Table, Table], old: str, new: str, words: str
) -> None:
    table = tables[0]
    table.complete()
    text = table.path.read_text()
    assert old in text
    table.path.write_text(text.replace(old, new, 1))
    assert any(words in problem for problem in table.problems())
    table.complete()
    assert table.path.read_text() == text


def test_the_check_ends_with_1_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table(tmp_path / "x.csv", ("a",), ("a", "verdict"), {("1",): {}}, _none, "7")
    monkeypatch.setattr(results, "experiments", lambda: table)
    monkeypatch.setattr(results, "defects", lambda: table)
    assert results.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "x.csv: not listed: 1" in said
    assert "try: .venv/bin/python -m campaigns.results\n" in said
    assert results.main([]) == 0
    assert results.main(["--check"]) == 0


def _none(_row: Row) -> dict[str, str]:
    return {}


def _folder(path: Path, *overrides: str, **changes: Any) -> Path:
    """A run folder, as far as a table needs it."""
    path.mkdir(parents=True)
    result = {
        "experiment": DEFECT.experiment if overrides else "redis-crash",
        "verdict": "fail",
        "reasons": [{"code": DEFECT.code}, {"code": DEFECT.code}],
        "started_at": "2027-01-04T00:00:00+00:00",
        "writes": {"lost": 3},
        **changes,
    }
    facts = {
        "git_commit": "fff0000",
        "git_dirty": bool(overrides),
        "overrides": [f"tests/defects/{name}.yaml" for name in overrides],
    }
    (path / "result.json").write_text(json.dumps(result))
    (path / "environment.json").write_text(json.dumps(facts))
    return path


def test_a_run_folder_is_taken_over_with_what_it_says(
    tmp_path: Path, tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "stack_version", lambda: "7")
    healthy = _folder(tmp_path / "20270104-000000-redis-crash")
    planted = _folder(tmp_path / "x", *DEFECT.overrides)
    assert take_over([healthy, planted], tables, "") == 0
    assert tables[0].read()["redis-crash",]["date"] == "2027-01-04 00:00"
    key = (DEFECT.name, DEFECT.experiment, DEFECT.code)
    assert tables[1].read()[key]["right_finding"] == "yes"
    row = row_of_folder(healthy)
    assert (row.date, row.commit, row.defect) == ("2027-01-04T00:00:00+00:00", "fff0000", "")
    assert row.figures.writes_lost == 3
    row = row_of_folder(planted)
    assert (row.defect, row.expected, row.commit) == (DEFECT.name, DEFECT.code, "fff0000+changes")
    assert row.right_finding


def test_a_folder_with_unknown_overrides_or_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in the catalogue"):
        row_of_folder(_folder(tmp_path / "x", "mine"))
    with pytest.raises(ValueError, match=r"redis-crash with .* not in the catalogue"):
        row_of_folder(_folder(tmp_path / "y", *DEFECT.overrides, experiment="redis-crash"))
    with pytest.raises(ValueError, match="not a run folder"):
        row_of_folder(tmp_path)


def test_rows_of_an_older_version_get_their_date_from_the_report(
    tmp_path: Path, tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "stack_version", lambda: "7")
    path = tmp_path / "reports" / "soak" / "rows.jsonl"
    kept = "reports/soak/20270104-000001-redis-crash"
    _folder(tmp_path / kept)
    add_row(path, Row("redis-crash", "fail", report=kept))
    gone = "reports/soak/20270102-030405-redis-freeze"
    add_row(path, Row("redis-freeze", "pass", report=gone))
    own = replace(RUN, experiment="redis-outage", report=kept)
    add_row(path, own)
    assert take_over([path], tables, "abc1234") == 0
    rows = tables[0].read()
    assert rows["redis-crash",]["date"] == "2027-01-04 00:00"
    assert (rows["redis-crash",]["commit"], rows["redis-crash",]["writes_lost"]) == ("fff0000", "3")
    assert (rows["redis-outage",]["date"], rows["redis-outage",]["commit"]) == (
        "2027-01-02 03:04",
        "abc1234",
    )
    local = rows["redis-freeze",]["date"]
    assert results._date_of(gone)[:16].replace("T", " ") == local
    assert rows["redis-freeze",]["commit"] == "abc1234"


def test_what_says_nothing_for_a_table_is_left_out_and_counted(
    tmp_path: Path, tables: tuple[Table, Table], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        replace(RUN, hogs=1),
        replace(RUN, date=""),
        replace(RUN, commit=""),
        replace(RUN, experiment="mine"),
        RUN,
    ]
    for row in rows:
        add_row(path, row)
    assert take_over([path], tables, "") == 4
    said = capsys.readouterr().out.splitlines()
    words = ["beside hogs", "when it ran is not known", "--commit", "not listed", "pass"]
    assert all(word in line for word, line in zip(words, said, strict=True))
    assert tables[0].read()["redis-crash",]["verdict"] == "pass"


def test_a_path_that_is_nothing_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [table.path.read_text() for table in (results.experiments(), results.defects())]
    assert results.main(["--import", str(tmp_path / "gone")]) == 2
    assert "gone: no such file or folder" in capsys.readouterr().err
    assert before == [t.path.read_text() for t in (results.experiments(), results.defects())]


@pytest.mark.parametrize("in_the_way", ["results", "results/experiments.csv/folder"])
def test_a_table_that_cannot_be_written_is_one_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    in_the_way: str,
) -> None:
    made = results.experiments(tmp_path / "results")
    monkeypatch.setattr(results, "experiments", lambda: made)
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("")
    assert results.main([]) == 4
    said = capsys.readouterr().err
    assert f"error: {made.path}: cannot be written: " in said
    assert "\n  try: " in said
