"""Clicks that servers reported as dropped, over all processes that they had."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.aspects.clicks.drops import dropped_clicks
from harness.record.run import Record


def said(dropped: int | None, started_s: float = 1.0) -> dict[str, Any]:
    return {"started_s": started_s, "dropped": dropped}


def look(at_s: float, dropped: int, server: str = "app-1") -> dict[str, Any]:
    return {"event": "clicks.waiting", "t_s": at_s, "server": server, "dropped": dropped}


def start(at_s: float, service: str = "app-1") -> dict[str, Any]:
    return {"event": "container.start", "t_s": at_s, "service": service}


def dropped(
    events: list[dict[str, Any]], before: dict[str, Any] | None, after: dict[str, Any] | None
) -> int:
    """Of app-1, beside two others that dropped 100 and 1,000."""
    others = [look(2.0, 100, "app-2"), look(3.5, 7, "app-9"), start(3.0, "app-2")]
    record = Record(cast(Any, None), [*others, *events], pd.DataFrame(), pd.DataFrame())
    sides = [{"app-1": side} if side else {} for side in (before, after)]
    sides[0] |= {"app-2": said(0), "app-3": said(500)}
    sides[1] |= {"app-3": said(1500), "app-2": said(100)}
    return dropped_clicks(record, *sides) - 1100


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (said(2), said(5), 3),
        (said(2), said(5, started_s=7.0), 5),
        (said(None), said(5), 5),
        (said(2), said(None), 0),
        (said(2), None, 0),
        (None, said(5), 5),
        (None, said(None), 0),
        (None, None, 0),
    ],
)
def test_of_a_server_that_was_not_looked_at(
    before: dict[str, Any] | None, after: dict[str, Any] | None, expected: int
) -> None:
    assert dropped([], before, after) == expected


@pytest.mark.parametrize(
    ("events", "before", "after", "expected"),
    [
        pytest.param([look(1.0, 12), look(4.0, 15)], said(10), said(15), 5, id="one process"),
        pytest.param([look(1.0, 12), look(4.0, 15)], None, said(15), 15, id="not asked before"),
        pytest.param([look(1.0, 12)], said(None), said(12), 12, id="it did not say before"),
        pytest.param([look(1.0, 12)], said(10), None, 2, id="gone afterwards"),
        pytest.param([look(1.0, 12)], said(10), said(None), 2, id="it does not say afterwards"),
        pytest.param([look(1.0, 12)], said(10), said(19), 9, id="some since the last look"),
        pytest.param([look(1.0, 12)], said(10), said(7), 2, id="less than at the last look"),
        pytest.param(
            [look(1.0, 12), look(4.0, 4), look(5.0, 6)], said(10), said(6), 2 + 6,
            id="a new process, whose start nobody saw",
        ),
        pytest.param(
            [look(1.0, 12), start(3.0), look(4.0, 14)], said(10), said(14), 2 + 14,
            id="a new process that dropped more",
        ),
        pytest.param(
            [look(1.0, 12), start(4.0), look(4.0, 14)], said(10), said(14), 2 + 14,
            id="looked at as it began",
        ),
        pytest.param(
            [look(0.5, 11), look(1.0, 12), start(1.0), look(4.0, 14)], said(10), said(14), 15,
            id="a start at the moment of a look renews it once",
        ),
        pytest.param(
            [look(1.0, 12), look(2.0, 12), start(1.5, "app-2"), start(1.5, "app-3")],
            said(10), said(12), 2, id="others began",
        ),
        pytest.param(
            [start(0.5), look(1.0, 12), start(2.0), start(3.0), look(4.0, 20), look(5.0, 21)],
            said(10), said(21), 12 + 20 + 1, id="three starts, two of which were looked at",
        ),
        pytest.param(
            [look(4.0, 15), look(1.0, 12)], said(10), said(15), 5, id="in order of time"
        ),
    ],
)  # fmt: skip
def test_of_a_server_that_was_looked_at(
    events: list[dict[str, Any]],
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    expected: int,
) -> None:
    assert dropped(events, before, after) == expected


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=4))
def test_all_that_its_processes_dropped_until_the_last_look_at_each(
    processes: list[list[int]],
) -> None:
    """Each list is what one process dropped from look to look."""
    events, at_s, total = [], 0.0, 0
    for steps in processes:
        at_s += 1
        events.append(start(at_s))
        count = 0
        for step in steps:
            at_s, count = at_s + 1, count + step
            events.append(look(at_s, count))
        total += count
    assert dropped(events, None, said(count)) == total
