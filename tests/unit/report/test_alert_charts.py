"""Alerts on the time axis of all charts, and what the monitoring saw below what clients saw."""

from __future__ import annotations

from typing import Any

import pytest
from bokeh.models import BoxAnnotation, GlyphRenderer, HBar, LabelSet, Scatter
from made_up_run import make_run

from harness.aspects.alerts import AlertFound, Alerts
from harness.aspects.alerts.found import Charted, Unseen
from harness.model.findings import Run, Span
from harness.report.alert_charts import MAX_ROWS
from harness.report.charts import make_charts
from harness.report.plot import ORANGE, RED, Chart

WATCHED = {"prometheus": 100.0}


def charts(**facts: Any) -> dict[str, Chart]:
    run = Run(run_id="r", end_s=100.0, phases={"all": Span(0.0, 100.0)})
    made = make_charts(run, alerts=Alerts(watched_s=WATCHED, **facts))
    return {chart.id: chart for chart in made}


def fired(**facts: Any) -> AlertFound:
    known = {"alert": "Errors", "severity": "warning", "labels": {"part": "app-1"}}
    return AlertFound(**{**known, **facts})


def bars(chart: Chart) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Colour, hatch, and from when to when, of all bars that look alike."""
    return [
        (r.glyph.fill_color, r.glyph.hatch_pattern,
         list(zip(r.data_source.data["left"], r.data_source.data["right"], strict=True)))
        for r in chart.figure.renderers
        if isinstance(r, GlyphRenderer) and isinstance(r.glyph, HBar)
    ]  # fmt: skip


def labels(chart: Chart) -> list[str]:
    [found] = [one for one in chart.figure.center if isinstance(one, LabelSet)]
    return list(found.source.data["text"])


def test_pending_is_hatched_firing_filled_and_a_page_marked() -> None:
    one = fired(pending_s=32.0, firing_s=35.0, resolved_s=60.0, notified_s=35.5)
    two = fired(severity="critical", pending_s=33.0, firing_s=40.0, notified_s=40.25)
    chart = charts(alerts=[one, two], expected=["Errors"])["alerts"]
    assert bars(chart) == [
        (ORANGE, "right_diagonal_line", [(32.0, 35.0), (33.0, 40.0)]),
        (ORANGE, " ", [(35.0, 60.0)]),
        (RED, " ", [(40.0, 100.0)]),  # it never resolved
    ]
    [pages] = [r.data_source.data for r in chart.figure.renderers if isinstance(r.glyph, Scatter)]
    assert (list(pages["x"]), list(pages["y"])) == ([35.5, 40.25], [0.22, 1.22])
    assert labels(chart) == ["Errors · warning · app-1", "Errors · critical · app-1"]
    assert [key.label for key in chart.keys] == [
        "pending", "firing", "firing, critical", "somebody was paged",
    ]  # fmt: skip


def test_alerts_of_before_the_run_begin_at_its_start_and_pending_alone_does_not_fire() -> None:
    old = fired(pending_s=-70.0, firing_s=-60.0, resolved_s=5.0)
    only = fired(alert="Cpu", pending_s=40.0, resolved_s=42.0)
    late = fired(alert="Late", pending_s=101.0, firing_s=104.0)
    chart = charts(alerts=[old, only, late], expected=["Errors", "Cpu"])["alerts"]
    assert bars(chart) == [
        (ORANGE, "right_diagonal_line", [(40.0, 42.0)]), (ORANGE, " ", [(0.0, 5.0)]),
    ]  # fmt: skip


def test_what_was_expected_comes_first_and_the_rest_says_so() -> None:
    times = [
        fired(alert="B", firing_s=50.0), fired(alert="A", firing_s=60.0, labels={}),
        fired(alert="C", firing_s=10.0), fired(alert="H", severity="none", firing_s=0.0),
    ]  # fmt: skip
    chart = charts(alerts=[*times, fired(alert="B", firing_s=80.0)], expected=["A", "B"])["alerts"]
    assert labels(chart) == [
        "B · warning · app-1", "A · warning", "C · warning · app-1 (not expected)",
    ]  # fmt: skip


def test_where_nothing_was_seen_is_shaded() -> None:
    unseen = [Unseen(who="prometheus", end_s=-0.5), Unseen(who="pager", start_s=40.0)]
    chart = charts(alerts=[fired(firing_s=50.0)], unseen=unseen)["alerts"]
    bands = [one for one in chart.figure.center if isinstance(one, BoxAnnotation)]
    assert [(band.left, band.right) for band in bands] == [(40.0, 100.0)]
    assert chart.keys[-1].label == "Prometheus or the pager was not seen"


def test_a_run_without_alerts_says_so_and_one_that_nobody_watched_says_nothing() -> None:
    quiet = charts()["alerts"]
    assert (quiet.figure, quiet.note) == (None, "none was pending or fired")
    run = Run(run_id="r", end_s=100.0, phases={"all": Span(0.0, 100.0)})
    assert [chart.id for chart in make_charts(run)] == ["strip"]


def test_a_storm_of_alerts_is_cut() -> None:
    many = [fired(labels={"part": f"app-{n:03}"}, firing_s=float(n)) for n in range(MAX_ROWS + 3)]
    chart = charts(alerts=many)["alerts"]
    assert len(labels(chart)) == MAX_ROWS
    assert chart.note.endswith("; 3 more are in findings.json")


@pytest.mark.parametrize(
    ("unit", "drawn", "note"),
    [
        ("share", 50.0, "per cent, as Prometheus saw it"),
        ("s", 500.0, "milliseconds, as Prometheus saw it"),
        ("bytes", 0.5 / 1048576, "MiB, as Prometheus saw it"),
        ("/s", 0.5, "/s, as Prometheus saw it"),
        ("", 0.5, "as Prometheus saw it"),
    ],
)
def test_series_of_the_target_are_drawn_in_units_that_read_well(
    unit: str, drawn: float, note: str
) -> None:
    found = Charted(t_s=[1.0, 2.0], unit=unit, lines={"app-1": [0.5, None], "": [0.25, 0.5]})
    chart = charts(series={"CPU usage": found})["monitored-0"]
    assert (chart.title, chart.note) == ("CPU usage", note)
    assert [key.label for key in chart.keys] == ["app-1", "CPU usage"]
    data = chart.figure.renderers[0].data_source.data
    assert list(data["x"]) == [1.0, 2.0, 2.0, 3.0]
    assert data["c0"][:2] == [drawn, drawn]
    assert str(data["c0"][2]) == "nan"


def test_the_errors_of_the_monitoring_are_named_and_lines_left_out_are_said() -> None:
    found = Charted(t_s=[1.0], unit="/s", lines={"": [2.0]}, left_out=3)
    chart = charts(series={"errors": found})["monitored-0"]
    assert chart.title == "Errors, as the monitoring knows them"
    assert chart.note == "/s, as Prometheus saw it; 3 more are in target/metrics.parquet"


DETECTION = {
    "fault": "kill-1", "alert": "Errors", "severity": "critical", "part": "app-1",
    "start_s": 30.0, "detected_s": 4.25,
    "marks": [
        {"part": "pending_s", "at_s": 32.0, "uncertainty_s": 0.0, "evidence": "Prometheus"},
        {"part": "firing_s", "at_s": 34.0, "uncertainty_s": 0.5, "evidence": "Prometheus"},
        {"part": "notified_s", "at_s": 34.25, "uncertainty_s": 0.0, "evidence": "the pager"},
    ],
    "parts": {"pending_s": 2.0, "firing_s": 2.0, "notified_s": 0.25},
}  # fmt: skip
FIRED = {"alert": "Errors", "severity": "critical", "pending_s": 32.0, "firing_s": 34.0}


def page(tmp_path: Any, **alerts: Any) -> str:
    from harness.aspects.findings_json import read_findings
    from harness.report.render import render

    found = {"watched_s": WATCHED, "rules": [{"alert": "Errors"}], **alerts}
    folder = make_run(tmp_path, series={}, alerts=found)
    return render(folder, read_findings(folder), folder.read_json("result.json")).read_text()


def test_who_was_paged_when_is_said_in_a_sentence_with_its_parts(tmp_path: Any) -> None:
    unpaged = {**DETECTION, "alert": "Cpu", "parts": {"firing_s": 4.0}, "detected_s": 4.0,
               "marks": [DETECTION["marks"][1]]}  # fmt: skip
    extra = {**DETECTION, "alert": "Extra", "is_expected": False}
    text = page(tmp_path, detections=[DETECTION, unpaged, extra], alerts=[FIRED])
    assert "Errors (critical) of app-1: somebody was paged 4.25\u00a0s after kill-1 began" in text
    assert (
        "Cpu (critical) of app-1: fired 4.00\u00a0s after kill-1 began, and nobody was paged"
        in (text)
    )
    assert "Extra (critical)" not in text
    assert "pending <b>2.00\u00a0s</b>" in text
    assert "firing <b>2.00\u00a0s</b> ±\u00a0500\u00a0ms" in text
    assert "Time to detect" in text
    assert "Alerts that fired" in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "No alert was pending or fired."),
        ({"alerts": [FIRED]}, "No alert that the experiment names or allows fired after a fault."),
        ({"blind_spots": {"by_phase": {"run": 0}}}, "saw errors at the same times"),
        ({"blind_spots": {"why": "nobody said"}}, "the same errors is not known: nobody said."),
        ({"problems": ["cpu: refused"]}, "Not read from Prometheus: cpu: refused"),
        (
            {"blind_spots": {"by_phase": {"run": 1}, "spots": [
                {"who": "clients", "start_s": 1.0, "end_s": 2.0, "errors": 7.0}]}},
            "Who saw nothing",
        ),
    ],
)  # fmt: skip
def test_what_else_is_said_of_alerts(tmp_path: Any, facts: Any, words: str) -> None:
    assert words in page(tmp_path, **facts)


def test_a_run_without_prometheus_does_not_mention_alerts(tmp_path: Any) -> None:
    text = page(tmp_path, rules=[], watched_s={})
    assert 'id="alerts"' not in text
