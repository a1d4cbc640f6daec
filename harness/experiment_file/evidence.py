"""Expectations that no run can answer: said when the file is read, not after the run."""

from __future__ import annotations

from math import ceil, isfinite

from harness.aspects import aspect_of
from harness.experiment_file.node import Node
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment

ROUNDING = 1e-9


def check_evidence(root: Node, experiment: Experiment, each: str) -> None:
    """Report each expectation for which too few requests are due.

    `each` is the key under which expectations of every phase stand. How many requests a user's own
    Locust class sends nobody knows.
    """
    if experiment.load.locustfile is not None:
        return
    expect = root.mapping("expect")
    for item in experiment.hypothesis:
        if wrong := _too_few(item, experiment):
            phase, subject = _written_at(item, expect, each)
            path = expect.mapping(phase).path_of(item.subject)
            text = f"{item.text}: {wrong}"
            expect.mapping(phase).problem(subject, text, _remedy(item, experiment), path)


def _written_at(item: Expectation, expect: Node, each: str) -> tuple[str, str]:
    """Phase and subject under which it stands: `redirect` stands for that of all places."""
    names = (item.subject, item.subject.partition(".")[2])
    ways = ((phase, name) for name in names for phase in (item.phase, each))
    return next((way for way in ways if way[1] in expect.mapping(way[0])), (each, item.subject))


def _too_few(item: Expectation, experiment: Experiment) -> str:
    need = aspect_of(item).needs(item, experiment)
    if need is None or need.sent >= need.needed * (1 - ROUNDING):
        return ""
    needed = ceil(need.needed) if isfinite(need.needed) else need.needed
    return f"needs {needed:,} {need.unit}, and about {need.sent:,.0f} are due"


def _remedy(item: Expectation, experiment: Experiment) -> str:
    """What gives it enough: more load, a longer phase, a canary, or a limit that needs fewer."""
    has_canary = item.subject in experiment.load.canaries
    canary = "" if has_canary else ", give it a canary (load.canary_rate)"
    return f"raise load.rate, make the phase longer{canary}, or expect what needs fewer"
