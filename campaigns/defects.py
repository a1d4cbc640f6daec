"""Plants each defect of tests/defects/catalogue.yaml and looks whether its experiment names it.

`python -m campaigns.defects [DEFECT ...] [--experiment NAME] [--resume] [--hogs CORES] [--list]`;
needs Docker. Beside hogs, which keep so many cores busy, it is enough that no defect passes.
Each defect gets a stack of its own: whatever ran before, and its data, is removed. A row for each
is in reports/defects/rows.jsonl as soon as it ends, so that `--resume` runs only those which no
right finding has caught yet, and in the committed table docs/results/defects.csv. The last line is
one JSON object about all that were chosen. Exit codes: 0 all were caught by the right finding,
1 not all, 2 no such defect, 4 no engine, 130 interrupted.
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
from campaigns.catalogue import CATALOGUE, Defect, read_catalogue
from campaigns.harness_command import ROOT
from campaigns.row import Row, newest

FOLDER = ROOT / "reports" / "defects"


class Defects(Campaign):
    """Plants each of the `chosen` ones that no right finding has caught yet."""

    def __init__(
        self,
        chosen: Sequence[Defect],
        hogs_count: int = 0,
        folder: Path = FOLDER,
        table: results.Table | None = None,
    ) -> None:
        super().__init__(folder, table or results.defects(), hogs_count)
        self.chosen = chosen

    @override
    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        caught = {(row.defect, row.experiment) for row in rows if row.right_finding}
        say(_line("defect", "experiment", "verdict", "caught by"))
        for each in self.chosen:
            if (each.name, each.experiment) not in caught:
                yield Job(each.experiment, self.folder / each.name, each)

    @override
    def ended(self, row: Row, rows: Sequence[Row]) -> None:
        found = ", ".join(row.codes) or row.message or "-"
        if not row.right_finding:
            found += f"  <- NOT by {row.expected}; see {row.report or 'above'}"
        say(_line(row.defect, row.experiment, row.verdict, found))

    @override
    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        mine = self._newest(rows)
        return {
            "defects": len(self.chosen),
            "caught": sum(row.caught for row in mine),
            "right_finding": sum(row.right_finding for row in mine),
            "passed": sum(row.verdict == "pass" for row in mine),
            "rows": [row.facts() for row in mine],
        }

    @override
    def is_right(self, rows: Sequence[Row]) -> bool:
        mine = self._newest(rows)
        if self.hogs_count:
            return all(row.verdict != "pass" for row in mine)
        return all(row.right_finding for row in mine)

    def _newest(self, rows: Sequence[Row]) -> list[Row]:
        """The last row of each chosen defect that was planted, in their order."""
        names = [(each.name, each.experiment) for each in self.chosen]
        return newest(rows, lambda row: (row.defect, row.experiment), names)


def choose(
    catalogue: Sequence[Defect], names: Sequence[str], experiment: str | None
) -> list[Defect]:
    """The rows that are wanted; ValueError names what is not in the catalogue."""
    if unknown := set(names) - {defect.name for defect in catalogue}:
        raise ValueError(f"not in {CATALOGUE.relative_to(ROOT)}: {', '.join(sorted(unknown))}")
    return [
        defect
        for defect in catalogue
        if (not names or defect.name in names) and experiment in (None, defect.experiment)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant what is asked for, and print what caught it."""
    options = _parse(arguments)
    try:
        chosen = choose(read_catalogue(), options.names, options.experiment)
    except ValueError as error:
        return refuse(f"{error}; see --list")
    if options.list:
        for each in chosen:
            say(_line(each.name, each.experiment, each.code, each.because))
        return 0
    return Defects(chosen, options.hogs).conduct(resume=options.resume)


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


if __name__ == "__main__":
    sys.exit(main())
