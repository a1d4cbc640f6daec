"""Plants each defect of tests/defects/catalogue.yaml and looks whether its experiment names it.

`python scripts/defects.py [DEFECT ...] [--experiment NAME] [--resume] [--hogs CORES] [--list]`;
needs Docker. Beside hogs, which keep so many cores busy, it is enough that no defect passes.
Each defect gets a stack of its own: whatever ran before, and its data, is removed. A line for each
is in reports/defects/rows.jsonl as soon as it ends, so that `--resume` runs only those which no
right finding has caught yet. The last line is one JSON object about all that were chosen. Exit
codes: 0 all were caught by the right finding, 1 not all, 2 no such defect, 4 no engine, 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from harness_command import (
    ROOT,
    Run,
    add_row,
    engine_problem,
    read_rows,
    run_experiment,
    take_down,
)
from hogs import hogs

OUTPUT, ROWS = ROOT / "reports" / "defects", "rows.jsonl"
FOLDER = ROOT / "tests" / "defects"
CATALOGUE = FOLDER / "catalogue.yaml"


@dataclass(frozen=True)
class Defect:
    """One row of the catalogue: an override, the experiment that must fail, its reason code."""

    name: str
    experiment: str
    code: str
    because: str
    scene: tuple[str, ...] = ()
    in_ci: bool = False

    @property
    def overrides(self) -> tuple[str, ...]:
        """The override files, in the order in which they are merged."""
        return (*self.scene, self.name)


@dataclass(frozen=True)
class Row:
    """What came of one defect; `caught`: the verdict was FAIL, for whatever reason."""

    defect: str
    experiment: str
    expected: str
    verdict: str
    codes: tuple[str, ...]
    caught: bool
    right_finding: bool
    duration_s: float
    report: str
    message: str


def read_catalogue(path: Path = CATALOGUE) -> list[Defect]:
    """All planted defects, in the order of the file."""
    return [
        Defect(
            name=row["defect"],
            experiment=row["experiment"],
            code=row["code"],
            because=row["because"],
            scene=tuple(row.get("with", ())),
            in_ci=row.get("in_ci", False),
        )
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def judge_run(defect: Defect, run: Run) -> Row:
    """Whether the run caught the defect, and for the right reason."""
    caught = run.verdict == "fail"
    return Row(
        defect=defect.name,
        experiment=defect.experiment,
        expected=defect.code,
        verdict=run.verdict,
        codes=run.codes,
        caught=caught,
        right_finding=caught and defect.code in run.codes,
        duration_s=round(run.duration_s, 1),
        report=str(run.folder.relative_to(ROOT)) if run.folder else "",
        message=run.message,
    )


def rows_so_far(path: Path) -> list[Row]:
    """The newest row of each defect and experiment."""
    newest = {}
    for facts in read_rows(path):
        row = Row(**{**facts, "codes": tuple(facts["codes"])})
        newest[row.defect, row.experiment] = row
    return list(newest.values())


def still_to_run(defects: Sequence[Defect], rows: Iterable[Row]) -> list[Defect]:
    """Those without a right finding."""
    done = {(row.defect, row.experiment) for row in rows if row.right_finding}
    return [defect for defect in defects if (defect.name, defect.experiment) not in done]


def summary(chosen: Sequence[Defect], rows: Iterable[Row]) -> dict[str, Any]:
    """The last line of the output: `defects` were chosen, `rows` are those that ran."""
    names = {(defect.name, defect.experiment) for defect in chosen}
    rows = [row for row in rows if (row.defect, row.experiment) in names]
    return {
        "defects": len(chosen),
        "caught": sum(row.caught for row in rows),
        "right_finding": sum(row.right_finding for row in rows),
        "passed": sum(row.verdict == "pass" for row in rows),
        "rows": [asdict(row) for row in rows],
    }


def choose(catalogue: Sequence[Defect], options: argparse.Namespace) -> list[Defect]:
    """The rows that are wanted; ValueError names what is not in the catalogue."""
    unknown = set(options.names) - {defect.name for defect in catalogue}
    if unknown:
        raise ValueError(f"not in {CATALOGUE.relative_to(ROOT)}: {', '.join(sorted(unknown))}")
    return [
        defect
        for defect in catalogue
        if (not options.names or defect.name in options.names)
        and options.experiment in (None, defect.experiment)
    ]


def plant(defects: Iterable[Defect], hogs_count: int = 0) -> None:
    """Run them all, each on a new stack; a row for each is on disk as it ends."""
    take_down()
    _say(_line("defect", "experiment", "verdict", "caught by"))
    for defect in defects:
        try:
            with hogs(hogs_count):
                run = run_experiment(defect.experiment, defect.overrides, OUTPUT / defect.name)
        finally:
            take_down()
        row = judge_run(defect, run)
        add_row(OUTPUT / ROWS, asdict(row))
        found = ", ".join(row.codes) or row.message or "-"
        if not row.right_finding:
            found += f"  <- NOT by {defect.code}; see {row.report or 'above'}"
        _say(_line(row.defect, row.experiment, row.verdict, found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant what is asked for, and print what caught it."""
    options = _parse(arguments)
    try:
        defects = choose(read_catalogue(), options)
    except ValueError as error:
        sys.stderr.write(f"error: {error}; see --list\n")
        return 2
    if options.list:
        for each in defects:
            _say(_line(each.name, each.experiment, each.code, each.because))
        return 0
    if problem := engine_problem():
        sys.stderr.write(f"error: {problem}\n")
        return 4
    if not options.resume:
        (OUTPUT / ROWS).unlink(missing_ok=True)
    interrupted = False
    try:
        plant(still_to_run(defects, rows_so_far(OUTPUT / ROWS)), options.hogs)
    except KeyboardInterrupt:
        interrupted = True
    found = summary(defects, rows_so_far(OUTPUT / ROWS))
    _say(json.dumps({**found, "interrupted": interrupted}))
    if interrupted:
        return 130
    return 0 if _is_right(found, hogs_count=options.hogs) else 1


def _is_right(found: dict[str, Any], hogs_count: int) -> bool:
    if hogs_count:
        return len(found["rows"]) == found["defects"] and not found["passed"]
    return bool(found["right_finding"] == found["defects"])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plant defects; the experiments must name them.")
    parser.add_argument("names", nargs="*", metavar="DEFECT", help="default: all")
    parser.add_argument("--experiment", metavar="NAME", help="only those that NAME must catch")
    parser.add_argument("--resume", action="store_true", help="only those not rightly caught yet")
    parser.add_argument("--hogs", type=int, default=0, metavar="CORES", help="keep them busy")
    parser.add_argument("--list", action="store_true", help="print the catalogue, run nothing")
    return parser.parse_args(arguments)


def _line(name: str, experiment: str, verdict: str, found: str) -> str:
    return f"{name:<30}{experiment:<26}{verdict:<26}{found}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
