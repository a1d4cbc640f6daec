"""Experiments one after another on the real stack, a row for each, and what they say together."""

from __future__ import annotations

import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from campaigns.catalogue import Defect
from campaigns.harness_command import (
    ROOT,
    Run,
    commit,
    engine_problem,
    lock_path,
    run_experiment,
    stack_version,
    take_down,
)
from campaigns.hogs import hogs
from campaigns.results import Table
from campaigns.row import Figures, Row, add_row, figures_of, read_rows
from harness.errors import HarnessError, RecordError
from harness.lock import run_lock
from harness.session.stop import Stop, handled_by

ROWS = "rows.jsonl"
NOT_READY = 4


@dataclass(frozen=True)
class Job:
    """An experiment to run, its reports into `output`; with a planted defect if there is one."""

    experiment: str
    output: Path
    defect: Defect | None = None


class Campaign(ABC):
    """What differs: which runs, and what is made of their rows.

    The stack stays up between runs, as in use. It is made anew for a planted defect, and after a
    run without a verdict; at the end it is removed with its data. Beside hogs, which keep
    `hogs_count` cores busy, verdicts say nothing of the stack: they are not in the `table`.
    """

    def __init__(self, folder: Path, table: Table, hogs_count: int = 0) -> None:
        self.folder, self.table = folder, table
        self.hogs_count = hogs_count

    @abstractmethod
    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        """What to run next; `rows` grows with each run."""

    @abstractmethod
    def ended(self, row: Row, rows: Sequence[Row]) -> None:
        """Say how a run ended, and keep what is to be kept of it."""

    @abstractmethod
    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The last line of the output."""

    @abstractmethod
    def is_right(self, rows: Sequence[Row]) -> bool:
        """Whether all ended as they should; asked when no job is left."""

    def conduct(self, *, resume: bool) -> int:
        """Run all jobs; what was done before a signal counts. Without `resume` none is done yet.

        Exit codes: 0 all is right, 1 not all, 130 interrupted; 4 no engine, another campaign on
        this stack, which it would take away, no room for a row, or a stack that cannot be removed.
        """
        if problem := engine_problem():
            return refuse(problem, NOT_READY)
        try:
            with run_lock(lock_path(), "a campaign"):
                return self._conduct(resume=resume)
        except HarnessError as error:
            return refuse(error.message, NOT_READY)

    def _conduct(self, *, resume: bool) -> int:
        path = self.folder / ROWS
        if not resume:
            path.unlink(missing_ok=True)
        rows, interrupted = read_rows(path), False
        try:
            with handled_by(_interrupt, Stop.NUMBERS):
                for job in self.jobs(rows):
                    row = self._run(job)
                    rows.append(row)
                    add_row(path, row)
                    if not self.hogs_count:
                        self.table.record(row)
                    self.ended(row, rows)
        except KeyboardInterrupt:
            interrupted = True
        except RecordError as error:
            return refuse(f"{error.message}; {error.hint}; then: --resume", NOT_READY)
        finally:
            take_down()
        say(json.dumps({**self.summary(rows), "interrupted": interrupted}))
        if interrupted:
            return 130
        return 0 if self.is_right(rows) else 1

    def _run(self, job: Job) -> Row:
        overrides = job.defect.overrides if job.defect else ()
        if overrides:
            take_down()
        at_commit = commit()
        with hogs(self.hogs_count):
            run = run_experiment(job.experiment, overrides, job.output)
        if run.verdict == "error":
            take_down()
        return to_row(job, run, at_commit, self.hogs_count)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP end a campaign as Ctrl-C does; so does SIGINT where nohup ignores it."""
    raise KeyboardInterrupt


def to_row(job: Job, run: Run, at_commit: str, hogs_count: int = 0) -> Row:
    """The row of a run that has just ended; `at_commit` was checked out when it began."""
    return Row(
        experiment=job.experiment,
        verdict=run.verdict,
        codes=run.codes,
        date=run.date,
        commit=at_commit,
        stack=stack_version(),
        duration_s=round(run.duration_s, 1),
        report=str(run.folder.relative_to(ROOT)) if run.folder else "",
        message=run.message,
        figures=figures_of(run.result) if run.result else Figures(),
        hogs=hogs_count,
        defect=job.defect.name if job.defect else "",
        expected=job.defect.code if job.defect else "",
    )


def remove_report(row: Row) -> None:
    """Delete the run folder: a hundred of them fill a disk."""
    if row.report:
        shutil.rmtree(ROOT / row.report)


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def refuse(text: str, code: int = 2) -> int:
    """Say what is wrong, with the arguments unless there is another code; the exit code for it."""
    sys.stderr.write(f"error: {text}\n")
    return code
