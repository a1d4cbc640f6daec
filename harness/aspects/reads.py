"""Reads of what was written: does a read that begins after the acknowledgement see the write?

An operation with `reads` asks for a write that was acknowledged before. An answer that does not
have it (404, or the wrong content) is stale; an error or a time-out is no answer and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from harness.aspects.base import Aspect, Comparison, Findings, never
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, no_figure
from harness.model.metric import Metric
from harness.model.planned import Need, phase_of, requests_due
from harness.model.quantity import format_duration
from harness.model.samples import READS_MIN
from harness.record.folder import RunFolder
from harness.record.run import Array, Record

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 10
COLUMNS = ["op", "key", "intended_s", "sent_s", "done_s", "status", "error", "write"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """`answered`: reads that say something; `stale`: those that did not see the write.

    `stale_for_s`: the longest time after its acknowledgement at which a write was not seen. It is
    exact, for both ends are moments of one process: a lower bound of how long the write was not to
    be seen, which `uncertainty_s` does not make wider.
    """

    answered: int | None = None
    stale: int | None = None
    stale_for_s: float | None = None
    uncertainty_s: float | None = 0.0


@dataclass(frozen=True, kw_only=True)
class Reads(Counts):
    """Of the whole run, and in `phases` of the reads due in each judged phase."""

    phases: Mapping[str, Counts] | None = None
    examples: Sequence[str] = ()

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("phases",)


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads that found or missed their write: when due, how old the write was, what came."""

    due_s: Array
    age_s: Array
    key: Array
    status: Array
    is_missed: Array

    def within(self, start_s: float, end_s: float) -> Counts:
        """The counts of those due in a stretch of the run."""
        is_inside = (self.due_s >= start_s) & (self.due_s < end_s)
        missed_s = self.age_s[is_inside & self.is_missed]
        known_s = missed_s[~np.isnan(missed_s)]
        longest_s = float(known_s.max()) if known_s.size else float("nan")
        return Counts(
            answered=int(is_inside.sum()),
            stale=missed_s.size,
            stale_for_s=longest_s if missed_s.size else 0.0,
        )

    def examples(self) -> list[str]:
        """The first that were stale, in words."""
        first = np.flatnonzero(self.is_missed)[:EXAMPLES]
        return [
            f"{_when(self.age_s[at])}, write {self.key[at]} was answered {self.status[at]}"
            for at in first
        ]


def _when(age_s: float) -> str:
    if np.isnan(age_s):
        return "at an unknown time after its acknowledgement"
    return f"{age_s:.3f} s after its acknowledgement"


def figures(record: Record, folder: RunFolder) -> Reads:
    """All counts, None in a run that reads no writes."""
    operations, sent = record.experiment.operations, record.experiment.load.shares
    reads = [name for name in sent if operations[name].reads and not operations[name].is_change]
    if not reads:
        return Reads()
    parts = [
        _answered(folder.read_samples(stream, COLUMNS).to_pandas(), reads)
        for stream in ("main", "canary")
    ]
    answers = Answers(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return Reads(
        **asdict(answers.within(-np.inf, np.inf)),
        phases={p.name: answers.within(p.start_s, p.end_s) for p in record.judged[:-1]},
        examples=answers.examples(),
    )


def _answered(samples: pd.DataFrame, reads: list[str]) -> list[Array]:
    """The columns of Answers, of one stream."""
    writes = samples[samples["write"].isin(["ok"])].set_index("key")["done_s"]
    mine = samples[samples["op"].isin(reads)]
    is_miss = mine["status"].isin([404, 410]) & (mine["error"] == "wrong_status")
    is_wrong = mine["error"] == "wrong_content"
    mine = mine[mine["error"].isin(["", "too_slow"]) | is_miss | is_wrong]
    age_s = mine["sent_s"] - mine["key"].map(writes)
    is_missed = mine["error"].isin(["wrong_status", "wrong_content"])
    times = (mine["intended_s"].to_numpy(dtype=float), age_s.to_numpy(dtype=float))
    facts = (mine["key"].to_numpy(), mine["status"].to_numpy())
    return [*times, *facts, is_missed.to_numpy(dtype=bool)]


def _figure(item: Expectation, findings: Findings) -> Figure:
    """How many were stale in the phase, and for how long at most."""
    reads: Counts = findings.of(ASPECT)
    if item.phase != "run":
        reads = (findings.of(ASPECT).phases or {}).get(item.phase, Counts())
    answered, stale = reads.answered or 0, reads.stale or 0
    if answered < READS_MIN:
        gap = f"not enough samples: {answered} reads of acknowledged writes, {READS_MIN} needed"
        return no_figure(gap, "too_few_samples")
    seen = f"{stale:,} of {answered:,} reads did not return a write acknowledged before"
    if stale and reads.stale_for_s is not None:
        seen += f", up to {format_duration(reads.stale_for_s)} later"
    if item.metric == "stale":
        return Figure(stale, seen)
    return Figure(reads.stale_for_s, seen, uncertainty=reads.uncertainty_s or 0.0)


def _needs(item: Expectation, experiment: Experiment) -> Need:
    load, phase = experiment.load, phase_of(item.phase, experiment)
    readers = [name for name in load.sent if experiment.operations[name].reads]
    sent = sum(requests_due(load, name, phase) for name in readers)
    return Need(READS_MIN, sent, "reads of acknowledged writes")


def _compare(findings: Findings, _: object) -> Comparison:
    found = findings.of(ASPECT)
    return never("reads", {"stale": found.stale}, is_known=bool(found.answered))


ASPECT = Aspect[Reads](
    section="reads",
    found=Reads,
    measure=figures,
    metrics={
        "reads": {
            "stale": Metric("count", "reads_stale", "phase"),
            "stale_for": Metric("s", "reads_stale", "phase"),
        }
    },
    figure=_figure,
    needs=_needs,
    compare=_compare,
    template="reads.html",
)
