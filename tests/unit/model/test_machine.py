"""Shares of the processor, and what the findings say of who disturbed a run."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.aspects.findings_json import findings_from_json
from harness.model.findings import Machine
from harness.model.machine import Look, busy_words

QUIET = Look(
    duration_s=1.0, cpus=2.0, project_s=0.4, harness_s=0.1, engine_s=0.1, kernel_s=0.0,
    foreign_s=0.0, steal_s=0.0, idle_s=1.4,
)  # fmt: skip
used = st.floats(0, 5)
looks = st.builds(
    Look, st.floats(0.1, 5), st.floats(0.1, 64), used, used, used, used, used, used, used
)


@given(looks)
def test_shares_are_never_negative_and_make_one(look: Look) -> None:
    shares = astuple(look.shares)
    assert min(shares) >= 0
    assert sum(shares) == pytest.approx(1)


def test_others_have_what_is_left() -> None:
    shares = replace(QUIET, idle_s=0.4).shares
    assert shares.others == pytest.approx(0.5)
    assert shares.own == pytest.approx(0.3)


def test_what_others_were_seen_to_use_counts_where_interrupts_are_counted_twice() -> None:
    """The kernel's part is in the project's as well: nothing seems left, but a hog was seen."""
    look = replace(QUIET, project_s=0.9, kernel_s=0.4, idle_s=0.0, foreign_s=0.9)
    assert look.shares.others > 0.3


def test_a_paused_machine_is_others_and_nobody_is_named() -> None:
    look = Look(10.0, 2.0, 0.4, 0.1, 0.1, 0.0, 0.0, 0.0, 1.4)
    assert look.shares.others == pytest.approx(0.9)
    assert look.who_shares == ()


def test_busy_says_who_and_quiet_says_nothing() -> None:
    assert busy_words(QUIET) == ""
    hog = replace(QUIET, idle_s=0.4, foreign_s=1.0, who=(("clang", 0.94), ("sshd", 0.001)))
    assert busy_words(hog) == "other programs used 50% of the CPU time in 1.00 s (clang 47%)"


def row(start_s: float, end_s: float, share: float = 0.5, **changes: Any) -> dict[str, Any]:
    who = [{"name": "clang", "share": 0.47}]
    return {
        "start_s": start_s, "end_s": end_s, "share": share, "why": "others", "who": who, **changes,
    }  # fmt: skip


def machine(*rows: dict[str, Any], **headroom: Any) -> Machine:
    value = {"machine": {"disturbed": list(rows), "headroom": headroom}}
    return findings_from_json(value).run.machine


@pytest.mark.parametrize(
    ("start_s", "end_s", "is_disturbed"),
    [(0, 10, False), (0, 13, True), (20, 25, True), (40.9, 60, True), (41, 60, False)],
)
def test_ten_seconds_after_a_disturbance_belong_to_it(
    start_s: float, end_s: float, is_disturbed: bool
) -> None:
    found = machine(row(12, 31))
    assert (found.disturbed_in(start_s, end_s) is not None) == is_disturbed


def test_the_worst_disturbance_is_the_one_that_is_told() -> None:
    worst = machine(row(10, 12, 0.9), row(14, 40, 0.2), row(50, 51)).disturbed_in(0, 45)
    assert worst is not None
    assert worst.start_s == 14


def test_findings_of_earlier_runs_have_no_disturbance() -> None:
    for value in ({}, {"machine": None}):
        found = findings_from_json(value).run.machine
        assert found.disturbances == ()
        assert found.disturbed_in(0, 100) is None
        assert found.no_headroom is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "other programs used 50% of the CPU time from 12 s to 31 s (clang 47%): stop it,"),
        ({"who": []}, "which ones is unknown: run with --when-quiet"),
        ({"why": "steal"}, "the hypervisor gave 50% of the CPU time to other machines from 12 s"),
        ({"why": "gap"}, "nothing was recorded from 12 s to 31 s: the harness was stopped"),
    ],
)
def test_a_disturbance_says_who_when_and_what_to_do(changes: dict[str, Any], words: str) -> None:
    (one,) = machine(row(12, 31, **changes)).disturbances
    assert words in one.text


def test_what_began_before_the_run_is_said_to_begin_with_it() -> None:
    (one,) = machine(row(-0.4, 31)).disturbances
    assert "from 0 s to 31 s" in one.text


def test_no_headroom_says_what_would_fit() -> None:
    found = machine(
        no_headroom=True, idle_share=0.21, rate_per_s=600.0, rate_that_fits_per_s=450.0
    ).no_headroom
    assert found is not None
    assert "left 21% of the CPU time idle, 30% is needed; 450/s instead of 600/s" in found.text
    assert "--scale 0.75" in found.text


def test_headroom_enough_unknown_or_impossible() -> None:
    assert machine(no_headroom=False, idle_share=0.5, rate_per_s=600.0).no_headroom is None
    assert machine(no_headroom=None, idle_share=None, rate_per_s=None).no_headroom is None
    found = machine(
        no_headroom=True, idle_share=0.1, rate_per_s=600.0, rate_that_fits_per_s=None
    ).no_headroom
    assert found is not None
    assert "too small for this stack" in found.text
