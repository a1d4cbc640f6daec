"""The strip of phases, faults and disturbances above all charts."""

from __future__ import annotations

import pytest
from bokeh.models import GlyphRenderer, Text

from harness.model.findings import Busy, Machine, Run, Span, Stretch
from harness.model.series import CanarySeries, Series
from harness.report.charts import make_charts
from harness.report.plot import Chart


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


def failures(main: list[float], canary: list[float] | None) -> Chart:
    """The chart of a run of three seconds; `canary`: None for an operation without one."""
    series = Series(
        t_s=[0.0, 1.0, 2.0],
        failed_per_s={"home": main},
        canary={} if canary is None else {"home": CanarySeries(ok=[1.0] * 3, failed=canary)},
    )
    run = Run(run_id="r", end_s=3.0, phases={"all": Span(0.0, 3.0)}, series=series)
    (found,) = [chart for chart in make_charts(run) if chart.id == "errors"]
    return found


NONE, SOME = [0.0, 0.0, 0.0], [0.0, 5.0, 0.0]
MAIN, CANARY = "home failed", "home failed (canary)"


@pytest.mark.parametrize(
    ("main", "canary", "lines", "note"),
    [
        (SOME, SOME, [MAIN, CANARY], "a second, by operation"),
        (NONE, SOME, [MAIN, CANARY], "a second, by operation"),
        (SOME, NONE, [MAIN], "a second; none of the canary"),
        (SOME, None, [MAIN], "a second, by operation"),
        (NONE, NONE, [], "none in the whole run"),
        (NONE, None, [], "none in the whole run"),
    ],
)
def test_failures_of_the_canary_are_drawn_too(
    main: list[float], canary: list[float] | None, lines: list[str], note: str
) -> None:
    """A verdict counts both, so the chart never shows 0 where the verdict fails for a canary."""
    chart = failures(main, canary)
    assert ([key.label for key in chart.keys], chart.note) == (lines, note)
    assert (chart.figure is None) == (not lines)
    if CANARY in lines:
        drawn = [r.data_source.data["c1"] for r in chart.figure.renderers]
        assert list(drawn[0]) == [value for value in SOME for _ in range(2)]


@pytest.mark.parametrize("has_cold_keys", [True, False])
def test_the_canary_says_that_no_cache_holds_its_keys_only_where_that_is_so(
    has_cold_keys: bool,
) -> None:
    series = Series(t_s=[0.0], canary={"home": CanarySeries(ok=[1.0], failed=[0.0])})
    run = Run(run_id="r", end_s=1.0, phases={"all": Span(0.0, 1.0)}, series=series)
    charts = make_charts(run, has_cold_keys=has_cold_keys)
    (canary,) = [chart for chart in charts if chart.id == "canary"]
    assert ("cache" in canary.note) is has_cold_keys
