"""The shared time axis of the charts."""

from __future__ import annotations

from typing import Any

import pytest
from bokeh.models import BoxAnnotation

from harness.model.findings import FaultFound
from harness.report.plot import TimeAxis


@pytest.mark.parametrize(
    ("fault", "end_s"),
    [
        ({"healed_s": 88.0}, 88.0),
        ({"healed_s": 88.0, "lost_s": None}, 88.0),
        ({"healed_s": 88.0, "lost_s": 64.0}, 64.0),  # over before its healing
        ({"healed_s": None}, 120.0),
    ],
)
def test_a_fault_is_shaded_for_as_long_as_it_was_there(fault: dict[str, Any], end_s: float) -> None:
    found = FaultFound(kind="kill", proven=True, start_s=30.0, **fault)
    axis = TimeAxis(120.0, {}, [found])
    plot = axis.figure(100)
    (band,) = [one for one in plot.center if isinstance(one, BoxAnnotation)]
    assert (band.left, band.right) == (30.0, end_s)
    assert axis.end_of(axis.faults[0]) == end_s
