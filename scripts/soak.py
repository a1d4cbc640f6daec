"""Repeats the shipped experiments on the healthy stack, in turn; counts false alarms.

`python scripts/soak.py [N] [--resume] [--hogs CORES] [--experiment NAME ...]`; N runs in all, 60 if
not given; needs Docker. Alone on the machine every verdict but PASS is a false alarm. Beside hogs,
which keep so many cores busy, only a FAIL is: the target must not be blamed for them.

Reports of runs that did not pass are kept in reports/soak/, and a line for each run in
reports/soak/runs.jsonl, so that `--resume` goes on where it was stopped. The last line is one JSON
object. Exit codes: 0 no false alarm, 1 some, 2 wrong usage, 4 no engine, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

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

FOLDER = ROOT / "reports" / "soak"


def shipped_experiments() -> list[str]:
    """The names of all of them."""
    return sorted(path.stem for path in (ROOT / "experiments").glob("*/*.yaml"))


def to_row(number: int, name: str, run: Run) -> dict[str, Any]:
    """The line of one run."""
    return {
        "run": number,
        "experiment": name,
        "verdict": run.verdict,
        "codes": list(run.codes),
        "duration_s": round(run.duration_s, 1),
        "report": str(run.folder.relative_to(ROOT)) if run.folder else "",
        "message": run.message,
    }


def summary(rows: Sequence[dict[str, Any]], asked: int, hogs_count: int = 0) -> dict[str, Any]:
    """The last line of the output, with all false alarms."""
    verdicts = Counter(row["verdict"] for row in rows)
    honest = ("pass", "inconclusive") if hogs_count else ("pass",)
    alarms = [row for row in rows if row["verdict"] not in honest]
    return {
        "asked": asked,
        "runs": len(rows),
        "hogs": hogs_count,
        "passed": verdicts["pass"],
        "false_alarms": len(alarms),
        "verdicts": dict(verdicts),
        "experiments": dict(Counter(row["experiment"] for row in rows)),
        "alarms": alarms,
    }


def soak(names: Sequence[str], asked: int, rows: list[dict[str, Any]], hogs_count: int = 0) -> None:
    """Run until there are `asked` rows; each is on disk before the next run begins.

    The stack stays up between runs, as in use; after a run without a verdict it is made anew.
    """
    while len(rows) < asked:
        name = names[len(rows) % len(names)]
        with hogs(hogs_count):
            run = run_experiment(name, (), FOLDER)
        row = to_row(len(rows) + 1, name, run)
        rows.append(row)
        add_row(FOLDER / "runs.jsonl", row)
        said = ", ".join(run.codes) or run.message
        _say(f"{row['run']:>4} of {asked}  {name:<26}{run.verdict:<14}{said}".rstrip())
        if run.verdict == "pass" and run.folder:
            shutil.rmtree(run.folder)
        if run.verdict == "error":
            take_down()


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and print the count; what was done before a Ctrl-C counts."""
    options = _parse(arguments)
    names = options.experiment or shipped_experiments()
    unknown = [name for name in names if name not in shipped_experiments()]
    if unknown or options.runs < 1:
        what = f"no experiment {unknown[0]}" if unknown else "N is a number from 1 on"
        sys.stderr.write(f"error: {what}\n")
        return 2
    if problem := engine_problem():
        sys.stderr.write(f"error: {problem}\n")
        return 4
    if not options.resume:
        (FOLDER / "runs.jsonl").unlink(missing_ok=True)
    rows = read_rows(FOLDER / "runs.jsonl")
    interrupted = False
    try:
        soak(names, options.runs, rows, options.hogs)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        take_down()
    found = summary(rows, options.runs, options.hogs)
    _say(json.dumps({**found, "interrupted": interrupted}))
    if interrupted:
        return 130
    return 1 if found["false_alarms"] else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Repeat healthy experiments; all must pass.")
    parser.add_argument("runs", nargs="?", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--resume", action="store_true", help="go on after the runs of last time")
    parser.add_argument("--hogs", type=int, default=0, metavar="CORES", help="keep them busy")
    parser.add_argument(
        "--experiment", action="append", metavar="NAME", help="default: all shipped ones"
    )
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
