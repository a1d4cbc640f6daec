"""The committed tables in docs/results: the newest run of each experiment and planted defect.

`make experiments`, `make soak` and `make defects` replace a row as each run ends. What was never
run on this major version of the stack (target/VERSION) is listed as such.

    python -m campaigns.results                     complete both tables
    python -m campaigns.results --check             only say whether they are complete
    python -m campaigns.results --import PATH ...   take over what was run before

A PATH is a rows.jsonl of a campaign, or a run folder. Its runs count as runs of this version of
the stack unless they say another; one that is older than what is in the table is left out. Exit
codes: 0 complete, or all was taken over; 1 not; 2 wrong usage; 4 a table cannot be written.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from campaigns.catalogue import read_catalogue, shipped
from campaigns.harness_command import ROOT, dirty_commit, stack_version
from campaigns.row import Row, codes_of, figures_of, read_rows
from harness.errors import RecordError
from harness.whole_file import recorded, write_whole

FOLDER = ROOT / "docs" / "results"
NEVER = "never run"
UPDATE = ".venv/bin/python -m campaigns.results"
IN_A_ROW = "passed_in_a_row"
_WHEN = ("date", "commit", "stack")
Cells = dict[str, str]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A CSV file with one row for each of `wanted`, in that order.

    `keys` are the columns that say what a row is of; `wanted` are their values, with what else is
    known of a row that was never run. `cells_of` gets a run and the row that it replaces, empty if
    that is of another version of the stack.
    """

    path: Path
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    wanted: Mapping[Key, Cells]
    cells_of: Callable[[Row, Cells], Cells]
    stack: str

    def record(self, row: Row) -> bool:
        """Replace the row of the same key, unless that is of a newer run; whether it was."""
        rows, key = self.read(), self._key(_cells(row))
        before = rows.get(key, {})
        if key not in self.wanted or before.get("date", "") > _date(row):
            return False
        cells = self.cells_of(row, before if before.get("stack") == row.stack else {})
        self._write({**rows, key: cells})
        return True

    def complete(self) -> None:
        """Add what is missing as never run, and drop what is no longer there."""
        self._write(self.read())

    def problems(self) -> list[str]:
        """What is wrong with the file, each in a sentence; empty if it is complete."""
        rows = self.read()
        if self.path.is_file() and self.path.read_text(encoding="utf-8") == self.text(rows):
            return []
        name = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        missing = [key for key in self.wanted if key not in rows]
        gone = [key for key in rows if key not in self.wanted]
        found = [f"{name}: not listed: {', '.join(key)}" for key in missing]
        found += [f"{name}: no longer there: {', '.join(key)}" for key in gone]
        return found or [f"{name}: of an older version of the stack, or not as it is written"]

    def read(self) -> dict[Key, Cells]:
        """The rows of the file by their keys."""
        if not self.path.is_file():
            return {}
        text = self.path.read_text(encoding="utf-8")
        rows = [
            {k: v or "" for k, v in row.items() if k} for row in csv.DictReader(io.StringIO(text))
        ]
        return {self._key(row): row for row in rows}

    def text(self, rows: Mapping[Key, Cells]) -> str:
        """The whole file; a row that was not run on this version of the stack was never run."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        for key, known in self.wanted.items():
            row = rows.get(key, {})
            if row.get("stack") != self.stack:
                row = {"verdict": NEVER}
            own = {name: value for name, value in row.items() if name in self.columns}
            writer.writerow({**own, **known, **dict(zip(self.keys, key, strict=True))})
        return file.getvalue()

    def _write(self, rows: Mapping[Key, Cells]) -> None:
        with recorded(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, self.text(rows))

    def _key(self, cells: Mapping[str, str]) -> Key:
        return tuple(cells.get(name, "") for name in self.keys)


def experiments(folder: Path = FOLDER) -> Table:
    """The newest run of each shipped experiment on the healthy stack."""
    figures = ("scale", "requests", "failed", "p95_ms", "recovery_s", "writes_lost")
    return Table(
        path=folder / "experiments.csv",
        keys=("experiment",),
        columns=("family", "experiment", "verdict", IN_A_ROW, *_WHEN, *figures, "codes"),
        wanted={(name,): {"family": family} for name, family in shipped().items()},
        cells_of=_experiment_cells,
        stack=stack_version(),
    )


def defects(folder: Path = FOLDER) -> Table:
    """The newest run of each planted defect, and whether the right finding caught it."""
    rows = [(each.name, each.experiment, each.code) for each in read_catalogue()]
    keys = ("defect", "experiment", "expected")
    return Table(
        path=folder / "defects.csv",
        keys=keys,
        columns=(*keys, "verdict", "right_finding", *_WHEN, "codes"),
        wanted={key: {} for key in sorted(rows)},
        cells_of=_defect_cells,
        stack=stack_version(),
    )


def not_passed(table: Table) -> list[str]:
    """The experiments whose newest run on this version of the stack did not pass, or is missing."""
    proof = ("pass", table.stack)
    proven = {k for k, row in table.read().items() if (row["verdict"], row["stack"]) == proof}
    return [key[0] for key in table.wanted if key not in proven]


def _experiment_cells(row: Row, before: Cells) -> Cells:
    figures = {name: _cell(value) for name, value in vars(row.figures).items()}
    return {**_cells(row), **figures, IN_A_ROW: str(_passed_in_a_row(row, before))}


def _passed_in_a_row(row: Row, before: Cells) -> int:
    """How many runs on this version of the stack passed since one did not."""
    counted = int(before.get(IN_A_ROW) or 0)
    if before.get("date") == _date(row):
        return counted
    return counted + 1 if row.verdict == "pass" else 0


def _defect_cells(row: Row, _before: Cells) -> Cells:
    return {**_cells(row), "right_finding": "yes" if row.right_finding else "no"}


def _cells(row: Row) -> Cells:
    return {
        "experiment": row.experiment,
        "defect": row.defect,
        "expected": row.expected,
        "verdict": row.verdict,
        "date": _date(row),
        "commit": row.commit,
        "stack": row.stack,
        "codes": " ".join(row.codes),
    }


def _date(row: Row) -> str:
    return row.date[:16].replace("T", " ")


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def import_rows(path: Path) -> list[Row]:
    """The runs that a rows.jsonl or a run folder holds, with all that their folders still say.

    ValueError if it is neither.
    """
    if path.is_dir():
        return [row_of_folder(path)]
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    return [_completed(row, path) for row in read_rows(path)]


def row_of_folder(folder: Path) -> Row:
    """The row of a run folder; ValueError if it is none, or of a defect that is not known."""
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        facts = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: not a run folder: {error}") from error
    name, code = _planted(facts.get("overrides", []), result["experiment"])
    return Row(
        experiment=result["experiment"],
        verdict=result["verdict"],
        codes=codes_of(result),
        date=result.get("started_at") or _date_of(folder.name),
        commit=dirty_commit(facts.get("git_commit", ""), is_dirty=facts.get("git_dirty", False)),
        report=str(folder),
        figures=figures_of(result),
        defect=name,
        expected=code,
    )


def _planted(overrides: Sequence[str], experiment: str) -> tuple[str, str]:
    """The name and the code of the defect that these overrides plant; "" for none."""
    if not overrides:
        return "", ""
    stems = tuple(Path(each).stem for each in overrides)
    for each in read_catalogue():
        if (each.overrides, each.experiment) == (stems, experiment):
            return each.name, each.code
    raise ValueError(f"{experiment} with {', '.join(stems)}: not in the catalogue of defects")


def _completed(row: Row, path: Path) -> Row:
    """With what its run folder says, wherever that is seen from the file that names it."""
    places = [place / row.report for place in (ROOT, *path.resolve().parents)]
    folders = [place for place in places if row.report and (place / "result.json").is_file()]
    if not folders:
        return replace(row, date=row.date or _date_of(row.report))
    found = row_of_folder(folders[0])
    return replace(
        row, date=row.date or found.date, commit=row.commit or found.commit, figures=found.figures
    )


def _date_of(report: str) -> str:
    """When a run began by the name of its folder, which is in local time; "" if it has none."""
    found = re.search(r"\d{8}-\d{6}", report)
    if not found:
        return ""
    local = datetime.strptime(found[0], "%Y%m%d-%H%M%S").astimezone()
    return local.astimezone(UTC).isoformat()


def take_over(paths: Iterable[Path], tables: tuple[Table, Table], at_commit: str) -> int:
    """Record what is in `paths`; how many rows could not be taken over, each with its reason.

    `at_commit` is for runs that do not say what was checked out.
    """
    left_out, (of_experiments, of_defects) = 0, tables
    for path in paths:
        for row in import_rows(path):
            known = replace(row, stack=row.stack or stack_version(), commit=row.commit or at_commit)
            table = of_defects if row.defect else of_experiments
            why = _why_not(known) or ("" if table.record(known) else "not listed, or older")
            left_out += bool(why)
            name = " ".join(filter(None, (row.defect, row.experiment)))
            sys.stdout.write(f"{name}, {row.date or 'no date'}: {why or row.verdict}\n")
    return left_out


def _why_not(row: Row) -> str:
    """Why a row says nothing for a table, "" if it does."""
    if row.hogs:
        return "left out: beside hogs"
    if not row.date:
        return "left out: when it ran is not known"
    return "" if row.commit else "left out: its commit is not known; say it with --commit"


def main(arguments: Sequence[str] | None = None) -> int:
    """Complete, check, or take over."""
    options = _parse(arguments)
    tables = (experiments(), defects())
    if options.check:
        problems = [problem for table in tables for problem in table.problems()]
        for problem in problems:
            sys.stderr.write(f"error: {problem}\n")
        if problems:
            sys.stderr.write(f"  try: {UPDATE}\n")
        return int(bool(problems))
    try:
        left_out = take_over(options.paths, tables, options.commit)
        for table in tables:
            table.complete()
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except RecordError as error:
        sys.stderr.write(f"error: {error.message}\n  try: {error.hint}\n")
        return error.exit_code
    return int(bool(left_out))


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description="The tables of docs/results.")
    parser.add_argument("--check", action="store_true", help="say whether they are complete")
    parser.add_argument(
        "--import", dest="paths", nargs="+", type=Path, default=[], metavar="PATH",
        help="rows.jsonl of a campaign, or run folders",
    )  # fmt: skip
    parser.add_argument("--commit", default="", help="of runs that do not say it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
