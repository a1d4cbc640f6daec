"""What several runs of one experiment say together: each figure judged on its worst value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.rounding import rounded
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.verdict import Outcome

SCHEMA_VERSION = 1
Judgement = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """One expectation with its judgement in each run."""

    expectation: Expectation
    judgements: Sequence[Judgement]

    @property
    def evidence(self) -> list[Judgement]:
        """The judgements that rest on evidence."""
        return [item for item in self.judgements if item["outcome"] != "inconclusive"]

    @property
    def worst(self) -> Judgement | None:
        """The one that is nearest to failing or fails most; None without evidence."""
        return max(self.evidence, key=self._badness, default=None)

    @property
    def outcome(self) -> Outcome:
        """Fail if the worst value does, inconclusive if any run is, else pass."""
        if self.worst and self.worst["outcome"] == "fail":
            return "fail"
        return "pass" if len(self.evidence) == len(self.judgements) else "inconclusive"

    def _badness(self, judgement: Judgement) -> float:
        value = judgement["value"]
        if value is None:
            return float("inf")  # it failed without a number: not recovered, never opened
        if self.expectation.comparison == "==":
            return abs(float(value) - self.expectation.limit)
        return float(value) if self.expectation.comparison[0] == "<" else -float(value)


def make_group(
    experiment: Experiment, results: Sequence[Mapping[str, Any]], asked: int
) -> dict[str, Any]:
    """The group of the runs with these result.json, as plain JSON data.

    `asked` runs were wanted: with fewer, what is not there makes the group inconclusive.
    """
    judged = [
        Judged(item, [result["judgements"][index] for result in results])
        for index, item in enumerate(experiment.hypothesis)
    ]
    found: dict[str, Any] = rounded({
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.name,
        "title": experiment.title,
        "asked": asked,
        "run_ids": [result["run_id"] for result in results],
        "verdicts": [result["verdict"] for result in results],
        "verdict": _verdict(judged, results, asked),
        "reasons": [
            {"code": code, "text": text} for code, text in _reasons(judged, results, asked)
        ],
        "figures": [_figure(item, results) for item in judged],
    })  # fmt: skip
    return found


def _verdict(judged: Sequence[Judged], results: Sequence[Mapping[str, Any]], asked: int) -> Outcome:
    verdicts = {result["verdict"] for result in results} | {item.outcome for item in judged}
    if "fail" in verdicts:
        return "fail"
    return "inconclusive" if "inconclusive" in verdicts or len(results) < asked else "pass"


def _reasons(
    judged: Sequence[Judged], results: Sequence[Mapping[str, Any]], asked: int
) -> Iterator[tuple[str, str]]:
    total = len(results)
    for item in judged:
        if item.outcome == "fail" and item.worst:
            failed = sum(judgement["outcome"] == "fail" for judgement in item.judgements)
            where = item.expectation.id.rpartition(".")[0]
            text = f"{where}: {item.expectation.text}, but missed in {failed} of {total} runs"
            yield item.worst["code"], f"{text}; worst: {item.worst['evidence']}"
    for result in results:
        if result["status"] not in ("completed", "not_steady"):
            text = f"{result['run_id']} ended as {result['status']}"
            code = {"aborted": "safeguard_tripped"}.get(result["status"], "run_interrupted")
            yield code, text
        elif result["verdict"] == "inconclusive" and result["reasons"]:
            first = result["reasons"][0]
            yield first["code"], f"{result['run_id']} is inconclusive: {first['text']}"
    if total < asked:
        yield "runs_missing", f"{total} of {asked} runs have a result"


def _figure(item: Judged, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    expectation, worst = item.expectation, item.worst
    known = [float(one["value"]) for one in item.evidence if one["value"] is not None]
    unbounded = [float("inf")] * (len(item.evidence) - len(known))
    return {
        "id": expectation.id,
        "text": expectation.text,
        "phase": expectation.phase,
        "subject": expectation.subject,
        "metric": expectation.metric,
        "unit": expectation.unit,
        "values": [judgement["value"] for judgement in item.judgements],
        "outcomes": [judgement["outcome"] for judgement in item.judgements],
        "median": float(np.median(known + unbounded)) if item.evidence else None,
        "spread": float(np.subtract(*np.percentile(known, [75, 25]))) if known else None,
        "worst": worst["value"] if worst else None,
        "worst_run": results[_index(item, worst)]["run_id"] if worst else None,
        "evidence": worst["evidence"] if worst else item.judgements[0]["evidence"],
        "comparison": expectation.comparison,
        "limit": expectation.limit,
        "outcome": item.outcome,
    }


def _index(item: Judged, judgement: Judgement) -> int:
    return next(at for at, one in enumerate(item.judgements) if one is judgement)
