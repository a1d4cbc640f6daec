"""The strip of phases, faults and disturbances above all charts."""

from __future__ import annotations

import pytest
from bokeh.models import GlyphRenderer, Text

from harness.model.findings import Busy, Machine, Run, Span, Stretch
from harness.report.charts import make_charts


@pytest.mark.parametrize(
    ("starts_s", "texts"),
    [
        ([20.0], ["disturbed: bash 7%"]),
        ([20.0, 40.0], ["disturbed", "disturbed: bash 7%"]),  # 15 letters of room
        ([20.0, 26.0, 110.0], ["", "disturbed: bash 7%", ""]),
        ([-2.0, 30.0], ["disturbed: bash 7%", "disturbed: bash 7%"]),  # it began before the run
    ],
)
def test_labels_of_disturbances_never_overlap(starts_s: list[float], texts: list[str]) -> None:
    who = (Busy(name="bash", share=0.07),)
    disturbed = [
        Stretch(start_s=start_s, end_s=start_s + 3, share=0.08, why="others", who=who)
        for start_s in starts_s
    ]
    machine = Machine(disturbed=disturbed)
    run = Run(run_id="r", end_s=120.0, phases={"all": Span(0.0, 120.0)}, machine=machine)
    strip = make_charts(run)[0]
    (drawn,) = [
        renderer.data_source.data
        for renderer in strip.figure.renderers
        if isinstance(renderer, GlyphRenderer) and isinstance(renderer.glyph, Text)
    ]
    assert list(drawn["text"]) == ["all", *texts]
