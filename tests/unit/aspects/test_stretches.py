"""The outages of a run, over all operations."""

from __future__ import annotations

from harness.aspects.recovery import OutageFound, Recovery
from harness.aspects.recovery.stretches import Stretch, stretches


def _recovery(*outages: tuple[float, float | None]) -> Recovery:
    found = [
        OutageFound(start_s=start_s, end_s=end_s, uncertainty_s=0.1, failed=3)
        for start_s, end_s in outages
    ]
    return Recovery(outages=found)


def test_outages_that_overlap_are_one_in_order_of_time() -> None:
    recoveries = {
        "redirect": _recovery((41.0, 43.0), (70.0, 71.0)),
        "create": _recovery((40.0, 42.0), (80.0, None)),
        "stats": _recovery((42.5, 50.0), (90.0, 91.0)),
    }
    assert stretches(recoveries) == [
        Stretch("outage-1", 40.0, 50.0, ("create", "redirect", "stats")),
        Stretch("outage-2", 70.0, 71.0, ("redirect",)),
        Stretch("outage-3", 80.0, None, ("create", "stats")),
    ]


def test_a_shorter_one_within_a_longer_one_does_not_end_it() -> None:
    recoveries = {"a": _recovery((1.0, 9.0)), "b": _recovery((2.0, 3.0), (8.0, 8.5))}
    assert stretches(recoveries) == [Stretch("outage-1", 1.0, 9.0, ("a", "b"))]


def test_none() -> None:
    assert stretches({"a": _recovery()}) == []
