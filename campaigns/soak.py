"""Repeats the shipped experiments on the healthy stack, in turn; counts false alarms.

`python -m campaigns.soak [NAME ...] [--family FAMILY] [--runs N] [--resume] [--hogs CORES]`; N runs
in all, 60 if not given; needs Docker. Alone on the machine every verdict but PASS is a false alarm,
and the committed table docs/results/experiments.csv counts how many runs passed in a row. Beside
hogs only a FAIL or an error is: the target must not be blamed for them.

Reports of runs that did not pass are kept in reports/soak/, and a row for each run in
reports/soak/rows.jsonl, so that `--resume` goes on where it was stopped. The last line is one JSON
object. Exit codes: 0 no false alarm, 1 some, 2 wrong usage, 4 no engine, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from campaigns import results
from campaigns.campaign import Campaign, Job, refuse, remove_report, say
from campaigns.catalogue import choose_experiments
from campaigns.harness_command import ROOT
from campaigns.row import Row

FOLDER = ROOT / "reports" / "soak"


class Soak(Campaign):
    """Runs `names` in turn until there are `asked` rows."""

    def __init__(
        self,
        names: Sequence[str],
        asked: int,
        hogs_count: int = 0,
        folder: Path = FOLDER,
        table: results.Table | None = None,
    ) -> None:
        super().__init__(folder, table or results.experiments(), hogs_count)
        self.names, self.asked = names, asked

    @override
    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        while len(rows) < self.asked:
            yield Job(self.names[len(rows) % len(self.names)], self.folder)

    @override
    def ended(self, row: Row, rows: Sequence[Row]) -> None:
        found = ", ".join(row.codes) or row.message
        text = f"{len(rows):>4} of {self.asked}  {row.experiment:<26}{row.verdict:<14}{found}"
        say(text.rstrip())
        if row.verdict == "pass":
            remove_report(row)

    @override
    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        verdicts = Counter(row.verdict for row in rows)
        alarms = self._alarms(rows)
        return {
            "asked": self.asked,
            "runs": len(rows),
            "hogs": self.hogs_count,
            "passed": verdicts["pass"],
            "false_alarms": len(alarms),
            "verdicts": dict(verdicts),
            "experiments": dict(Counter(row.experiment for row in rows)),
            "alarms": [row.facts() for row in alarms],
        }

    @override
    def is_right(self, rows: Sequence[Row]) -> bool:
        return not self._alarms(rows)

    def _alarms(self, rows: Sequence[Row]) -> list[Row]:
        honest = ("pass", "inconclusive") if self.hogs_count else ("pass",)
        return [row for row in rows if row.verdict not in honest]


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and print the count."""
    options = _parse(arguments)
    try:
        names = choose_experiments(options.names, options.family)
    except ValueError as error:
        return refuse(str(error))
    if options.runs < 1:
        return refuse("--runs: N is a number from 1 on")
    return Soak(names, options.runs, options.hogs).conduct(resume=options.resume)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Repeat healthy experiments; all must pass.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--family", metavar="FAMILY", help="only those of experiments/FAMILY")
    parser.add_argument("--runs", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--resume", action="store_true", help="go on after the runs of last time")
    parser.add_argument("--hogs", type=int, default=0, metavar="CORES", help="keep them busy")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
