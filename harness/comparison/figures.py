"""What is compared: a list of figures out of the findings of a run. Less is always better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.aspects import ASPECTS, Findings
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation


def figures_of(findings: Findings, hypothesis: Iterable[Expectation]) -> dict[Compared, Measured]:
    """Every figure that was measured, those of phases in the order of the run.

    Only the hypothesis knows whether a breaker should open at all.
    """
    return dict(_all(findings, {f"{item.subject}.{item.metric}" for item in hypothesis}))


def _all(findings: Findings, expected: set[str]) -> Iterator[tuple[Compared, Measured]]:
    for aspect in ASPECTS:
        yield from aspect.compare(findings, expected)
    aborted = float(findings.run.status == "aborted")
    yield Compared("run", "status", "aborted", "never", "flag"), Measured(aborted)
