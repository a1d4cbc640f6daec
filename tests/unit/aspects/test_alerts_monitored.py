"""What the monitoring has seen beside what clients saw, in made-up runs of known times.

warmup 0-10 | baseline 10-30 | fault 30-60 | recovery 60-100
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from alert_events import FAULT, PHASES, WATCHED, Event, fires, page, silent

from harness.analysis.rounding import rounded
from harness.aspects import Findings
from harness.aspects.alerts import ASPECT, figures
from harness.aspects.alerts.monitored import NOT_ASKED, Line, seen_s
from harness.aspects.clause import parse_expectation
from harness.errors import RunFolderError
from harness.model.experiment import Experiment
from harness.model.figure import Figure
from harness.model.findings import Run, Span
from harness.model.load import Load
from harness.model.sources import MONITORED_ERRORS, Sources
from harness.record.folder import RunFolder
from harness.record.run import Record

ERRORS = {"series": "errors", "kind": "errors", "query": "e", "unit": "/s"}
CPU = {"series": "cpu", "kind": "chart", "query": "c", "unit": "share"}
SIGNAL = {"series": "signal e", "kind": "signal", "query": "e", "unit": ""}


def folder_of(
    path: Path, rows: list[tuple[str, str, float, float]], queries: Any = (ERRORS,), **facts: Any
) -> RunFolder:
    folder = RunFolder(path)
    folder.create()
    names = ("series", "labels", "t_s", "value")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    columns["labels"] = [_json(str(text)) for text in columns["labels"]]
    about = {"step_s": 1.0, "queries": list(queries), "problems": [], **facts}
    folder.write_metrics(about, columns)
    return folder


def _json(text: str) -> str:
    return json.dumps(dict(pair.split("=") for pair in text.split(",") if pair))


def rates(*stretches: tuple[float, float], rate: float = 2.0, to_s: int = 100) -> list[Any]:
    """`errors` each second: a rate within the stretches, 0 outside them."""
    is_in = [any(a <= t < b for a, b in stretches) for t in range(to_s)]
    return [("errors", "", float(t), rate * is_in[t]) for t in range(to_s)]


def samples(*failed_s: float, error: str = "wrong_status") -> pd.DataFrame:
    """A request each second that succeeds, and those that fail, when they ended."""
    times = np.array([*np.arange(100.0), *failed_s])
    errors = [""] * 100 + [error] * len(failed_s)
    return pd.DataFrame({"done_s": times, "ok": [not e for e in errors], "error": errors})


def run(folder: RunFolder | None, *events: Event, main: Any = None, canary: Any = None) -> Findings:
    experiment = Experiment.model_construct(
        phases=PHASES, hypothesis=(), allowed_alerts=(), operations={},
        load=Load(rate_per_s=1, mix={"x": 1}),
    )  # fmt: skip
    fault = {"fault": "f-1", "start_s": FAULT[0], "healed_s": FAULT[1], "effect_s": None}
    main = samples() if main is None else main
    canary = samples() if canary is None else canary
    found = figures(Record(experiment, [*WATCHED, *events], main, canary, [fault]), folder)
    phases = {phase.name: Span(phase.start_s, phase.end_s) for phase in PHASES}
    return Findings(Run(status="completed", end_s=100.0, phases=phases), {"alerts": found})


def figure(findings: Findings, clause: str = "blind_spots == 0", phase: str = "run") -> Figure:
    return ASPECT.figure(parse_expectation(phase, "alerts", clause, set()), findings)


def spots(findings: Findings) -> list[tuple[str, float, float, float]]:
    found = findings.of(ASPECT).blind_spots.spots
    return [(one.who, one.start_s, one.end_s, one.errors) for one in found]


def test_where_both_see_the_same_errors_nobody_is_blind(tmp_path: Path) -> None:
    """A rate shows an error up to its window later: the steps around count as well."""
    found = run(folder_of(tmp_path / "a", rates((41, 51))), main=samples(39.5, 40.5, 41.5))
    assert spots(found) == []
    assert (figure(found).value, figure(found).gap) == (0.0, "")
    assert figure(found).evidence == "clients and monitoring saw errors at the same times"


def test_errors_of_clients_that_no_metric_shows(tmp_path: Path) -> None:
    failed = [41.0, 42.0, 53.0, 54.0]
    found = run(folder_of(tmp_path / "a", rates()), main=samples(*failed), canary=samples(43.0))
    assert spots(found) == [("monitoring", 40.0, 60.0, 5.0)]
    assert figure(found).value == 1.0
    assert figure(found).evidence == "the monitoring saw none of 5 errors from 40 to 60 s"
    assert figure(found, phase="fault").value == 1.0
    assert figure(found, phase="baseline").value == figure(found, phase="recovery").value == 0.0


def test_errors_of_the_monitoring_that_no_client_saw(tmp_path: Path) -> None:
    """Two a second for 5 s are ten; a target with other clients has some of its own."""
    found = run(folder_of(tmp_path / "a", rates((65, 70))))
    assert spots(found) == [("clients", 60.0, 70.0, 10.0)]


@pytest.mark.parametrize(
    ("failed", "error", "count"),
    [
        ((45.0,), "wrong_status", 0),  # one alone is below what a rate resolves
        ((45.0, 46.0), "wrong_status", 1),
        ((45.0, 46.0), "too_slow", 0),  # it was answered
        ((45.0, 46.0), "dropped", 0),  # the generator's own
        ((5.0, 6.0), "wrong_status", 0),  # in the warm-up
        ((25.0, 45.0), "wrong_status", 0),  # each alone
        ((45.0, float("nan")), "wrong_status", 0),
    ],
)
def test_what_counts_as_an_error_of_a_client(
    tmp_path: Path, failed: tuple[float, ...], error: str, count: int
) -> None:
    found = run(folder_of(tmp_path / "a", rates()), main=samples(*failed, error=error))
    assert figure(found).value == count


def test_errors_by_part_are_added(tmp_path: Path) -> None:
    rows = [(n, f"part={part}", t, v / 4) for part in ("a", "b") for n, _, t, v in rates((65, 67))]
    assert spots(run(folder_of(tmp_path / "a", rows))) == [("clients", 60.0, 70.0, 2.0)]


def test_what_is_not_known_is_no_figure(tmp_path: Path) -> None:
    assert figure(run(None)).gap == "Prometheus was not read"
    assert figure(run(folder_of(tmp_path / "a", [], [CPU]))).gap == NOT_ASKED
    failed = folder_of(tmp_path / "b", [], problems=["errors: parse error"])
    assert "could not be read: errors: parse error" in figure(run(failed)).gap
    silence = run(folder_of(tmp_path / "c", rates()), *silent("prometheus", 45, 50))
    assert "Prometheus was not seen from 45.0 s" in figure(silence).gap
    assert figure(silence, phase="recovery").gap == ""
    seen_blind = run(folder_of(tmp_path / "d", rates((65, 70))), *silent("prometheus", 45, 50))
    assert (figure(seen_blind).value, figure(seen_blind).gap) == (1.0, "")


def test_an_experiment_can_expect_it_only_where_the_target_says_what_errors_are() -> None:
    item = parse_expectation("run", "alerts", "blind_spots == 0", set())
    labels = {"watch": {"harness.probe.prometheus": "9090"}}
    experiment = Experiment.model_construct()
    assert ASPECT.lacks(item, experiment, Sources(labels)) == NOT_ASKED
    told = Sources(labels, frozenset({MONITORED_ERRORS}))
    assert ASPECT.lacks(item, experiment, told) == ""
    assert ASPECT.lacks(item, experiment, Sources({}, told.readings)).startswith("no service has")


def signal(*changes: tuple[float, float], labels: str = "", to_s: int = 100) -> list[Any]:
    """The signal each second: 1 or 1.5 in turn, and from a time on a value."""
    rows = []
    for t in range(to_s):
        value = 1.0 + 0.5 * (t % 2)
        value = next((v for at_s, v in reversed(changes) if t >= at_s), value)
        rows.append(("signal e", labels, float(t), value))
    return rows


RULE = {"alert": "Errors", "severity": "warning", "query": "e > 1", "signal": "e"}
KNOWN = {"event": "alert.rules", "t_s": -0.4, "service": "prometheus", "rules": [RULE]}


def parts(path: Path, rows: list[Any], *events: Event) -> Any:
    [one] = run(folder_of(path / "x", rows, [SIGNAL]), KNOWN, *events).of(ASPECT).detections
    assert sum(one.parts.values()) == pytest.approx(one.detected_s)
    return dict(one.parts)


def test_the_time_to_detect_has_the_first_value_that_left_its_range(tmp_path: Path) -> None:
    events = [*fires(33, 36, part="app-1"), page(36.5, part="app-1")]
    assert parts(tmp_path, signal((31, 9.0)), *events) == {
        "seen_s": 1.0, "pending_s": 2.0, "firing_s": 3.0, "notified_s": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "seen_after_s"),
    [
        (signal((32, 0.2)), 2.0),  # it may fall as well
        (signal((31, 9.0), (32, 1.2), (33, 7.0)), 3.0),  # it came back once: not yet for good
        (signal((25, 9.0)), None),  # it did so before, in the baseline
        (signal((34, 9.0)), None),  # only when it was pending already
        (signal((31, 9.0), labels="part=app-1"), 1.0),
        (signal((31, 9.0), labels="part=app-2"), None),  # that of another part
        ([*signal((31, 9.0), labels="part=app-1"), *signal((30, 9.0), labels="part=app-2")], 1.0),
        ([row for row in signal((31, 9.0)) if row[2] >= 26], None),  # hardly a baseline
        ([row for row in signal((31, 9.0)) if row[2] < 30], None),
        ([], None),
    ],
)
def test_when_the_signal_was_first_seen_to_be_off(
    tmp_path: Path, rows: list[Any], seen_after_s: float | None
) -> None:
    found = parts(tmp_path, rows, *fires(33, 36, part="app-1"))
    assert found.get("seen_s") == seen_after_s


def test_an_alert_that_was_pending_before_the_fault_was_not_seen_because_of_it(
    tmp_path: Path,
) -> None:
    assert "seen_s" not in parts(tmp_path, signal((31, 9.0)), *fires(29, 36))


def test_a_line_that_was_outside_from_the_start_was_seen_at_once() -> None:
    t_s = np.arange(100.0)
    line = Line({}, t_s, np.where(t_s < 30, 1.0, 2.0))
    assert seen_s([line], {}, (10, 30), (30.5, 33)) == 31.0


def test_the_series_of_the_target_are_kept_for_charts(tmp_path: Path) -> None:
    rows = [("cpu", f"part=app-{n:02}", float(t), n / 20) for n in range(14) for t in (0, 1)]
    more = [("errors", "code=500,part=a", 0.0, 2.0)]
    late = [("cpu", "part=late", 2.0, 0.5)]
    folder = folder_of(tmp_path / "a", [*late, *more, *rows], [ERRORS, CPU, SIGNAL], step_s=0.5)
    found = run(folder).of(ASPECT).series
    assert list(found) == ["cpu", "errors"]
    cpu = found["cpu"]
    assert (cpu.unit, cpu.bucket_s, cpu.left_out, len(cpu.lines)) == ("share", 0.5, 3, 12)
    assert cpu.t_s == [0.0, 1.0, 2.0]
    assert cpu.lines["app-01"][:2] == [0.05, 0.05]
    assert np.isnan([cpu.lines["app-01"][2], *cpu.lines["late"][:2]]).all()
    assert cpu.lines["late"][2] == 0.5
    assert list(found["errors"].lines) == ["code 500, part a"]
    assert rounded(found["cpu"])["lines"]["late"] == [None, None, 0.5]


@pytest.mark.parametrize(
    "about", [{"queries": [{}]}, {"queries": [1]}, {"step_s": "1"}, {"queries": None}]
)
def test_a_damaged_record_is_one_error(tmp_path: Path, about: dict[str, Any]) -> None:
    folder = folder_of(tmp_path / "a", rates())
    known = folder.read_json("target/metrics.json")
    folder.write_json("target/metrics.json", {**known, **about})
    with pytest.raises(RunFolderError, match=r"metrics\.json: "):
        run(folder)
