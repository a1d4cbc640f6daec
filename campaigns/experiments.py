"""Runs every shipped experiment once on the healthy stack; all must pass.

`python -m campaigns.experiments [NAME ...] [--family FAMILY] [--resume]`; needs Docker. A row for
each is in reports/experiments/rows.jsonl as soon as it ends, so that `--resume` runs only those
that have not passed yet, and in the committed table docs/results/experiments.csv. The last line is
one JSON object about all that were chosen. Exit codes: 0 all passed, 1 not all, 2 no such
experiment, 4 no engine, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from campaigns import results
from campaigns.campaign import Campaign, Job, refuse, say
from campaigns.catalogue import choose_experiments
from campaigns.harness_command import ROOT
from campaigns.row import Row, newest

FOLDER = ROOT / "reports" / "experiments"


class Experiments(Campaign):
    """Runs each of `names` that has not passed yet."""

    def __init__(
        self, names: Sequence[str], folder: Path = FOLDER, table: results.Table | None = None
    ) -> None:
        super().__init__(folder, table or results.experiments())
        self.names = names

    @override
    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        passed = {row.experiment for row in rows if row.verdict == "pass"}
        for name in [name for name in self.names if name not in passed]:
            yield Job(name, self.folder)

    @override
    def ended(self, row: Row, rows: Sequence[Row]) -> None:
        found = ", ".join(row.codes) or row.message
        number = self.names.index(row.experiment) + 1
        text = f"{number:>3} of {len(self.names)}  {row.experiment:<26}{row.verdict:<14}{found}"
        say(text.rstrip())

    @override
    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        mine = self._newest(rows)
        return {
            "experiments": len(self.names),
            "passed": sum(row.verdict == "pass" for row in mine),
            "rows": [row.facts() for row in mine],
        }

    @override
    def is_right(self, rows: Sequence[Row]) -> bool:
        return all(row.verdict == "pass" for row in self._newest(rows))

    def _newest(self, rows: Sequence[Row]) -> list[Row]:
        """The last row of each chosen experiment that was run, in their order."""
        return newest(rows, lambda row: row.experiment, self.names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and print what came of it."""
    options = _parse(arguments)
    try:
        names = choose_experiments(options.names, options.family)
    except ValueError as error:
        return refuse(str(error))
    return Experiments(names).conduct(resume=options.resume)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the shipped experiments; all must pass.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--family", metavar="FAMILY", help="only those of experiments/FAMILY")
    parser.add_argument("--resume", action="store_true", help="only those that did not pass yet")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
