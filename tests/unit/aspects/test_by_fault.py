"""Which of several faults an outage is charged to, and the recovery from each of them."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest

from harness.aspects.recovery.by_fault import Recovered, by_fault, duration_s, of_fault, worst
from harness.aspects.recovery.outages import Outage
from harness.record.run import Record

STARTS = [10.0, 40.0, 41.0, 90.0]


def outage(
    good_s: float, seen_s: float, end_s: float | None, uncertainty_s: float = 0.25
) -> Outage:
    """Last success, first failure seen, end."""
    return Outage("total", good_s, end_s, uncertainty_s, 9, 9, good_s, seen_s, good_s, seen_s)


def recovered(start_s: float, time_s: float | None, uncertainty_s: float = 0.25) -> Recovered:
    return Recovered(
        recovery_time_s=time_s, uncertainty_s=uncertainty_s, recovered=time_s is not None,
        fault_start_s=start_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outages", "times_s"),
    [
        pytest.param([], {}, id="none"),
        pytest.param([outage(9.9, 10.5, 15.0)], {10.0: 5.0}, id="in flight when the first began"),
        pytest.param([outage(10.0, 10.0, 15.0)], {10.0: 5.0}, id="seen at the moment it began"),
        pytest.param([outage(60.0, 61.0, 70.0)], {41.0: 29.0}, id="late: the last one before it"),
        pytest.param([outage(39.9, 41.5, 50.0)], {40.0: 10.0, 41.0: 9.0}, id="since the success"),
        pytest.param([outage(40.0, 41.5, 50.0)], {40.0: 10.0, 41.0: 9.0}, id="just since then"),
        pytest.param([outage(40.5, 41.0, 50.0)], {41.0: 9.0}, id="not before the success"),
        pytest.param([outage(5.0, 6.0, 9.0)], {}, id="over before any began"),
        pytest.param([outage(5.0, 6.0, 10.0)], {}, id="over when the first began"),
        pytest.param([outage(5.0, 6.0, 10.5)], {10.0: 0.5}, id="begun before, not yet over"),
        pytest.param(
            [outage(5.0, 6.0, None)], dict.fromkeys(STARTS), id="begun before, and never over"
        ),
        pytest.param([outage(95.0, 96.0, None)], {90.0: None}, id="never over"),
        pytest.param(
            [outage(10.0, 11.0, 45.0)], {10.0: 35.0, 40.0: 5.0, 41.0: 4.0}, id="three in it"
        ),
        pytest.param(
            [outage(8.0, 13.0, 9.0)], {}, id="over, and a request that hung failed much later"
        ),
        pytest.param(
            [outage(10.0, 11.0, 12.0), outage(30.0, 30.5, 31.0), outage(91.0, 92.0, 93.0)],
            {10.0: 21.0, 90.0: 3.0}, id="the last of several",
        ),
        pytest.param(
            [outage(10.0, 11.0, 12.0), outage(91.0, 92.0, None)], {10.0: 2.0, 90.0: None},
            id="one that ended and one that did not",
        ),
    ],
)  # fmt: skip
def test_an_outage_is_charged_to_its_causes(
    outages: list[Outage], times_s: dict[float, float | None]
) -> None:
    found = {start_s: of_fault(outages, start_s, STARTS) for start_s in STARTS}
    assert found == {
        start_s: recovered(start_s, times_s[start_s])
        if start_s in times_s
        else recovered(start_s, 0.0, 0.0)
        for start_s in STARTS
    }


def test_a_recovery_is_as_uncertain_as_the_outage_that_ended_it() -> None:
    outages = [outage(10.0, 11.0, 12.0, 0.5), outage(12.5, 13.0, 14.0, 0.125)]
    assert of_fault(outages, 10.0, [10.0]) == recovered(10.0, 4.0, 0.125)


def test_each_fault_that_was_injected_has_its_recovery() -> None:
    starts = {"kill-1": 40.0, "down-1": None, "pause-1": 10.0}  # in the plan's order
    faults = [{"fault": name, "start_s": start_s} for name, start_s in starts.items()]
    record = Record(cast(Any, None), [], pd.DataFrame(), pd.DataFrame(), faults)
    outages = [outage(10.0, 10.5, 12.0), outage(40.0, 40.5, 49.0)]
    assert by_fault(record, outages) == {
        "kill-1": recovered(40.0, 9.0), "pause-1": recovered(10.0, 2.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("end_s", "uncertainty_s", "held_s", "after_s"),
    [
        (52.0, 0.25, 50.0, 1.75),
        (50.25, 0.0, 50.0, 0.0),
        (50.0, 0.25, 50.0, 0.0),  # within its uncertainty
        (49.9, 0.25, 50.0, None),  # over before
        (None, 0.25, 50.0, None),
        (52.0, 0.25, None, None),  # it ended by itself, or does not last
    ],
)
def test_the_part_of_a_recovery_after_the_harness_began_to_heal(
    end_s: float | None, uncertainty_s: float, held_s: float | None, after_s: float | None
) -> None:
    faults = [{"fault": "pause-1", "start_s": 10.0, "healed_s": 51.0, "held_s": held_s}]
    healing = [
        {"event": "fault.healing", "t_s": t_s, "fault": fault}
        for t_s, fault in ((49.0, "kill-2"), (50.25, "pause-1"), (50.5, "pause-1"))
    ]
    record = Record(cast(Any, None), healing, pd.DataFrame(), pd.DataFrame(), faults)
    found = by_fault(record, [outage(10.0, 10.5, end_s, uncertainty_s)])["pause-1"]
    assert found.after_healing_s == after_s
    assert found.recovery_time_s == (None if end_s is None else end_s - 10.0)


def test_what_had_no_outage_has_none_after_healing() -> None:
    assert of_fault([], 10.0, [10.0], 50.0).after_healing_s is None


SHORT, LONG = recovered(10.0, 2.0), recovered(20.0, 9.0)
LOST, LOST_TOO = recovered(5.0, None), recovered(30.0, None)


@pytest.mark.parametrize(
    ("several", "expected"),
    [
        ([], Recovered()),
        ([SHORT], SHORT),
        ([SHORT, LONG, SHORT], LONG),
        ([LONG, LOST, SHORT], LOST),
        ([LONG, LOST_TOO, LOST], LOST_TOO),
    ],
)
def test_the_worst_is_the_first_that_did_not_end_else_the_longest(
    several: list[Recovered], expected: Recovered
) -> None:
    assert worst({f"fault-{n}": one for n, one in enumerate(several)}) == expected


def test_what_has_no_end_lasts_longer_than_anything() -> None:
    assert [duration_s(one) for one in (SHORT, LONG, LOST)] == [2.0, 9.0, float("inf")]


def test_recovered_at_an_unknown_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no recovery_time_s"):
        Recovered(recovered=True)
    assert not Recovered(recovered=False).recovered
