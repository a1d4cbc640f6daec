"""Outages found in hand-made timelines whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.aspects.recovery.by_fault import of_fault as recovery_of
from harness.aspects.recovery.outages import find_outages

GAP_S = 0.01


def probes(*failing: tuple[float, float], end_s: float = 60.0, took_s: float = 0.001):
    """One probe each 10 ms; those sent in a failing stretch fail."""
    sent = np.arange(0, end_s, GAP_S)
    ok = np.ones(len(sent), dtype=bool)
    for start_s, stop_s in failing:
        ok &= ~((sent >= start_s) & (sent < stop_s))
    return sent, sent + took_s, ok


def test_no_failure_is_no_outage() -> None:
    assert find_outages(*probes()) == []


def test_an_outage_is_found_within_its_stated_uncertainty() -> None:
    (outage,) = find_outages(*probes((20.0, 41.5)))
    assert outage.start_s == pytest.approx(20.0, abs=outage.uncertainty_s + 1e-9)
    assert outage.end_s == pytest.approx(41.5, abs=outage.uncertainty_s + 1e-9)
    assert outage.uncertainty_s <= GAP_S
    assert outage.failed == 2150


def test_a_short_good_stretch_does_not_end_an_outage() -> None:
    """0.9 s of successes are no stable run; 1.5 s are."""
    assert len(find_outages(*probes((20.0, 21.0), (21.9, 23.0)))) == 1
    assert len(find_outages(*probes((20.0, 21.0), (22.5, 23.0)))) == 2


def test_twenty_successes_are_needed_however_long_they_take() -> None:
    sent = np.arange(0, 60, 0.1)  # ten probes a second
    ok = ~((sent >= 20) & (sent < 21)) & ~((sent >= 22.5) & (sent < 23))
    assert len(find_outages(sent, sent, ok)) == 1  # 15 successes between, in 1.5 s


def test_not_recovered_by_the_end_has_no_end() -> None:
    (outage,) = find_outages(*probes((50.0, 59.5)))
    assert outage.end_s is None


def test_requests_that_hang_count_from_when_they_were_sent() -> None:
    sent, done, ok = probes((20.0, 30.0))
    done = np.where(ok, done, sent + 5)  # each failure is a time-out of 5 s
    (outage,) = find_outages(sent, done, ok)
    assert outage.end_s == pytest.approx(30.0, abs=0.02)


def test_requests_that_hang_until_the_target_is_back_end_with_it() -> None:
    """Those that waited less than their limit are answered at 30.0; the others timed out."""
    limit_s = 1.5
    sent, done, _ = probes()
    waiting = (sent >= 20) & (sent < 30)
    ok = ~(waiting & (sent + limit_s < 30))
    done = np.where(waiting, np.minimum(sent + limit_s, 30.0), done)
    (outage,) = find_outages(sent, done, ok)
    assert outage.end_s == pytest.approx(30.0, abs=outage.uncertainty_s + 1e-9)
    assert outage.uncertainty_s <= GAP_S


def of_fault(fault_s: float, *all_s: float, failing: tuple[tuple[float, float], ...]) -> float:
    found = recovery_of(find_outages(*probes(*failing, took_s=0.012)), fault_s, list(all_s))
    assert found.recovery_time_s is not None
    return found.recovery_time_s


def test_each_of_two_faults_is_charged_with_its_own_outage_only() -> None:
    """The first failure of a fault was sent before it: the second outage is not the first's."""
    failing = ((9.99, 12.0), (39.99, 45.0))
    assert of_fault(10.0, 10.0, 40.0, failing=failing) == pytest.approx(2.0, abs=2 * GAP_S)
    assert of_fault(40.0, 10.0, 40.0, failing=failing) == pytest.approx(5.0, abs=2 * GAP_S)
    assert of_fault(10.0, 10.0, 40.0, failing=failing[1:]) == 0
    assert of_fault(40.0, 10.0, 40.0, failing=failing[:1]) == 0


def test_a_fault_that_begins_in_an_outage_is_held_against_its_end() -> None:
    failing = ((10.0, 45.0),)
    assert of_fault(10.0, 10.0, 40.0, failing=failing) == pytest.approx(35.0, abs=GAP_S)
    assert of_fault(40.0, 10.0, 40.0, failing=failing) == pytest.approx(5.0, abs=GAP_S)


def test_an_outage_that_comes_late_is_charged_to_the_last_fault_before_it() -> None:
    assert of_fault(10.0, 10.0, failing=((15.0, 20.0),)) == pytest.approx(10.0, abs=GAP_S)


def test_probes_in_any_order_give_the_same_outages() -> None:
    sent, done, ok = probes((20.0, 41.5))
    order = np.random.default_rng(1).permutation(len(sent))
    assert find_outages(sent[order], done[order], ok[order]) == find_outages(sent, done, ok)


@given(st.floats(5, 20), st.floats(0.05, 20))
def test_any_outage_is_measured_within_a_probe_gap(start_s: float, length_s: float) -> None:
    (outage,) = find_outages(*probes((start_s, start_s + length_s)))
    assert outage.end_s is not None
    assert outage.start_s == pytest.approx(start_s, abs=GAP_S)
    assert outage.end_s == pytest.approx(start_s + length_s, abs=GAP_S)
