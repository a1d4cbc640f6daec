"""Alerts in made-up runs whose times are known: two phases of 20 s before and after a fault.

warmup 0-10 | baseline 10-30 | fault 30-60 | recovery 60-100
"""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest
from alert_events import FAULT, PHASES, SPANS, WATCHED, Event, fires, page, seen, silent, state
from plain import plain

from harness.aspects import Findings
from harness.aspects.alerts import ASPECT, figures
from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.judge import judge
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure
from harness.model.findings import FaultFound, Run, Span
from harness.model.load import Load
from harness.model.sources import Sources
from harness.record.run import Record


def found_of(*events: Event, faults: Any = (FAULT,), watched: Any = None, **facts: Any) -> Findings:
    """The findings of a run with these events."""
    items = tuple(facts.pop("items", ()))
    allowed = tuple(facts.pop("allowed", ()))
    experiment = Experiment.model_construct(
        phases=PHASES, hypothesis=items, allowed_alerts=allowed, operations={},
        load=Load(rate_per_s=1, mix={"x": 1}),
    )  # fmt: skip
    rows = [
        {"fault": f"f-{number}", "start_s": start_s, "healed_s": healed_s, "effect_s": None,
         "kind": "kill", "phase": phase_at(start_s), **facts}
        for number, (start_s, healed_s) in enumerate(faults, 1)
    ]  # fmt: skip
    nothing = pd.DataFrame()
    events_of = [*(WATCHED if watched is None else watched), *events]
    found = figures(Record(experiment, events_of, nothing, nothing, rows))
    run = Run(
        status="completed", end_s=100.0, phases={n: Span(*span) for n, span in SPANS.items()},
        faults=[
            FaultFound(fault=row["fault"], kind="kill", phase=row["phase"], proven=True,
                       start_s=row["start_s"], healed_s=row["healed_s"], healed=True)
            for row in rows
        ],
    )  # fmt: skip
    # What is judged was written and read again.
    again = findings_from_json({"alerts": plain(found)}).of(ASPECT)
    assert plain(again) == plain(found)
    return Findings(run, {"alerts": again})


def phase_at(at_s: float) -> str:
    return next(name for name, (start_s, end_s) in SPANS.items() if start_s <= at_s < end_s)


def item(clause: str, subject: str = "alert.Errors", phase: str = "fault") -> Expectation:
    return parse_expectation(phase, subject, clause, set())


def figure(clause: str, *events: Event, subject: str = "alert.Errors", **facts: Any) -> Figure:
    wanted = item(clause, subject, facts.pop("phase", "fault"))
    facts["items"] = (wanted, *facts.get("items", ()))
    return ASPECT.figure(wanted, found_of(*events, **facts))


def outcome(clause: str, *events: Event, subject: str = "alert.Errors", **facts: Any) -> str:
    """The verdict, and its code where it is no pass."""
    wanted = item(clause, subject, facts.pop("phase", "fault"))
    facts["items"] = (wanted, *facts.get("items", ()))
    findings = found_of(*events, **facts)
    experiment = Experiment.model_construct(phases=PHASES, hypothesis=(wanted,))
    [judged] = judge(experiment, findings).judgements
    return f"{judged.outcome} {judged.code}".strip()


GOOD = [*fires(32, 34, 66), page(34.25)]


@pytest.mark.parametrize(
    ("clause", "value"),
    [
        ("fires_within < 15s", 4.0),
        ("pages_within < 20s", 4.25),
        ("resolves_within < 30s", 6.0),
        ("flaps == 0", 0.0),
        ("silent_before", 1.0),
    ],
)
def test_an_alert_as_it_should_be(clause: str, value: float) -> None:
    assert figure(clause, *GOOD).value == value
    assert outcome(clause, *GOOD) == "pass"


def test_what_it_says_for_people() -> None:
    assert figure("fires_within < 15s", *GOOD).evidence == (
        "Errors.warning fired 4.00 s (± 500 ms) after f-1 began"
    )
    assert figure("pages_within < 15s", *GOOD).evidence == "paged 4.25 s after f-1 began"
    assert figure("resolves_within < 15s", *GOOD).evidence == (
        "Errors.warning resolved 6.00 s (± 500 ms) after healing"
    )


@pytest.mark.parametrize(
    ("clause", "events", "code"),
    [
        ("fires_within < 15s", [], "alert_not_fired"),
        ("fires_within < 15s", fires(32, 47), "alert_late"),
        ("pages_within < 15s", fires(32, 34), "page_late"),
        ("pages_within < 15s", [*fires(32, 34), page(48)], "page_late"),
        ("resolves_within < 15s", fires(32, 34, 80), "alert_not_resolved"),
        ("resolves_within < 15s", fires(32, 34), "alert_not_resolved"),
        ("flaps == 0", [*fires(32, 34, 40), *fires(42, 44, 66)], "alert_flaps"),
        ("silent_before", fires(14, 16, 20), "alert_fired_before"),
        ("silent_before", fires(-70, -50), "alert_fired_before"),
    ],
)
def test_an_alert_as_it_should_not_be(clause: str, events: list[Event], code: str) -> None:
    assert outcome(clause, *events) == f"fail {code}"


@pytest.mark.parametrize(
    ("clause", "events"),
    [
        ("fires_within < 4.2s", fires(32, 34)),
        ("resolves_within < 6.2s", fires(32, 34, 66)),
        ("silent_before", fires(28, 30.2)),
        ("silent_before", fires(2, 4, 9.8)),
    ],
)
def test_a_limit_within_the_uncertainty_decides_nothing(clause: str, events: list[Event]) -> None:
    assert outcome(clause, *events).startswith("inconclusive")


def test_a_short_watch_is_no_evidence_of_what_never_came() -> None:
    """Watched to 101 s: 71 s after the fault, 41 s after its healing."""
    assert outcome("fires_within < 72s") == "inconclusive not_measured"
    assert outcome("fires_within < 71s") == "fail alert_not_fired"
    assert outcome("pages_within < 72s") == "inconclusive not_measured"
    assert outcome("pages_within < 71s") == "fail page_late"
    assert outcome("resolves_within < 42s", *fires(32, 34)) == "inconclusive not_measured"
    assert outcome("resolves_within < 41s", *fires(32, 34)) == "fail alert_not_resolved"
    assert outcome("resolves_within < 41s") == "inconclusive not_measured"  # it never fired


@pytest.mark.parametrize(
    ("clause", "events", "gap", "wanted"),
    [
        ("silent_before", [], (12, 14), "inconclusive not_measured"),
        ("silent_before", [], (32, 34), "pass"),
        ("silent_before", fires(20, 22, 24), (12, 14), "fail alert_fired_before"),
        ("fires_within < 15s", [], (40, 44), "inconclusive not_measured"),
        ("fires_within < 15s", [], (46, 50), "fail alert_not_fired"),
        ("fires_within < 15s", fires(32, 34), (40, 44), "pass"),
        ("fires_within < 15s", fires(33, 38), (34, 37), "pass"),  # it was seen to fire in time
        ("fires_within < 15s", fires(45, 50), (40, 44), "inconclusive not_measured"),
        ("fires_within < 15s", fires(45, 50), (70, 74), "fail alert_late"),
        ("resolves_within < 15s", fires(32, 34, 66), (70, 72), "inconclusive not_measured"),
        ("resolves_within < 15s", fires(32, 34, 66), (76, 78), "pass"),
        ("resolves_within < 15s", fires(32, 34, 90), (61, 64), "fail alert_not_resolved"),
        ("resolves_within < 15s", fires(32, 34), (76, None), "fail alert_not_resolved"),
        ("resolves_within < 15s", fires(32, 34), (70, None), "inconclusive not_measured"),
        ("flaps == 0", fires(32, 34, 66), (70, 72), "inconclusive not_measured"),
        ("flaps == 0", fires(32, 34, 66), (12, 14), "pass"),
        (
            "flaps == 0",
            [*fires(32, 34, 40), *fires(42, 44)],
            (70, 72),
            "fail alert_flaps",
        ),
    ],
)
def test_nothing_passes_for_a_time_in_which_prometheus_was_not_seen(
    clause: str, events: list[Event], gap: tuple[float, float | None], wanted: str
) -> None:
    assert outcome(clause, *events, *silent("prometheus", *gap)) == wanted
    assert outcome(clause, *events, *silent("pager", *gap)) != "inconclusive not_measured"


def test_only_the_pager_says_who_was_paged() -> None:
    clause, fired = "pages_within < 15s", fires(32, 34)
    assert outcome(clause, *fired, *silent("pager", 40, 44)) == "inconclusive not_measured"
    assert outcome(clause, *fired, *silent("pager", 46, 50)) == "fail page_late"
    assert outcome(clause, *fired, *silent("prometheus", 40, 44)) == "fail page_late"
    assert outcome(clause, *fired, page(34.5), *silent("pager", 35, 44)) == "pass"
    late = [*fired, page(60), *silent("pager", 35, 44)]
    assert outcome(clause, *late) == "inconclusive not_measured"
    # It was paged although nobody saw the rule fire.
    assert outcome(clause, page(34.5), *silent("prometheus", 31, 44)) == "pass"


def test_who_was_never_seen_is_no_evidence() -> None:
    for clause in ("fires_within < 9s", "silent_before", "resolves_within < 9s", "flaps == 0"):
        assert figure(clause, watched=()).gap == "Prometheus was not seen"
    assert figure("pages_within < 9s", watched=seen("prometheus", -1)).gap == (
        "the pager was not seen"
    )
    only_first = [WATCHED[0], WATCHED[-1]]
    assert outcome("fires_within < 15s", watched=only_first) == "fail alert_not_fired"
    late = [*seen("prometheus", 12.0), WATCHED[-1]]
    assert outcome("silent_before", watched=late) == "inconclusive not_measured"
    assert outcome("silent_before", watched=[*seen("prometheus", 9.0), WATCHED[-1]]) == "pass"
    assert ASPECT.figure(item("fires_within < 9s"), findings_from_json({})).gap == (
        "no fault was injected"
    )


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"event": "probe.gap", "error": "it was restarted"}, (18.0, 20.5)),
        ({"event": "probe.late", "silent_s": 9.0}, (11.0, 20.0)),
    ],
)
def test_a_probe_that_could_not_look_has_not_seen(event: Event, wanted: Any) -> None:
    found = found_of({"t_s": 20.0, "probe": "prometheus prometheus", **event}).of(ASPECT)
    assert [(u.start_s, u.end_s) for u in found.unseen if u.start_s is not None] == [wanted]
    other = found_of({"t_s": 20.0, "probe": "patroni", **event}).of(ASPECT)
    assert [u for u in other.unseen if u.start_s is not None] == []


def test_the_first_instance_to_fire_counts_and_the_last_to_resolve() -> None:
    events = [
        *fires(32, 36, 62, part="app-2"), *fires(32, 34, 70, part="app-1"),
        *fires(33, 41, 64, severity="critical", part="app-1"), page(36.5, part="app-2"),
    ]  # fmt: skip
    assert figure("fires_within < 9s", *events).value == 4.0
    assert "Errors.warning of app-1" in figure("fires_within < 9s", *events).evidence
    assert figure("pages_within < 9s", *events).value == 6.5
    assert figure("resolves_within < 30s", *events).value == 10.0
    critical = "alert.Errors.critical"
    assert figure("fires_within < 15s", *events, subject=critical).value == 11.0
    assert figure("resolves_within < 9s", *events, subject=critical).value == 4.0
    assert outcome("pages_within < 15s", *events, subject=critical) == "fail page_late"
    again = [*events, *fires(72, 74, 76, part="app-2")]
    assert figure("flaps == 0", *again).value == 1.0
    assert figure("flaps == 0", *again, subject=critical).value == 0.0


def test_an_alert_that_fired_already_detects_nothing() -> None:
    before = fires(20, 22, 64)
    assert outcome("fires_within < 15s", *before) == "inconclusive not_measured"
    assert outcome("pages_within < 15s", *before, page(30.5)) == "inconclusive not_measured"
    again = [*fires(20, 22, 26), *fires(33, 35)]
    assert outcome("fires_within < 15s", *again) == "pass"
    assert outcome("silent_before", *again) == "fail alert_fired_before"


def test_one_that_was_pending_before_any_fault_proves_nothing_by_firing() -> None:
    assert outcome("fires_within < 15s", *fires(29, 31)) == "inconclusive alert_pending_before"
    assert outcome("fires_within < 15s", *fires(29, 50)) == "fail alert_late"


TWO = ((30.0, 40.0), (50.0, 60.0))


def test_of_several_faults_the_worst_counts() -> None:
    events = [*fires(32, 34, 47), *fires(55, 57, 64), page(34), page(59)]
    assert figure("fires_within < 9s", *events, faults=TWO).value == 7.0
    assert figure("pages_within < 9s", *events, faults=TWO).value == 9.0
    assert figure("resolves_within < 9s", *events, faults=TWO).value == 7.0
    assert figure("flaps == 0", *events, faults=TWO).value == 0.0
    assert outcome("fires_within < 9s", *fires(32, 34, 43), faults=TWO) == "fail alert_not_fired"
    missed_first = fires(55, 57, 64)
    assert outcome("fires_within < 9s", *missed_first, faults=TWO) == "fail alert_not_fired"


def test_a_fault_that_misses_the_limit_fails_although_of_another_nothing_was_seen() -> None:
    blind = silent("prometheus", 50, 58)
    late = [*fires(35, 37, 43), *blind]
    assert outcome("fires_within < 5s", *late, faults=TWO) == "fail alert_late"
    assert outcome("fires_within < 9s", *late, faults=TWO) == "inconclusive not_measured"


def test_a_fault_that_begins_at_the_healing_of_another_is_the_later_cause() -> None:
    touching = ((30.0, 45.0), (45.0, 60.0))
    assert outcome("fires_within < 20s", *fires(46, 48), faults=touching) == "fail alert_not_fired"
    apart = ((30.0, 45.5), (45.0, 60.0))  # both were active: it may be due to either
    assert outcome("fires_within < 20s", *fires(46, 48), faults=apart) == "pass"


def test_an_alert_that_was_pending_because_of_the_first_fault_counts_for_the_second() -> None:
    both = ((30.0, 60.0), (34.0, 62.0))
    assert outcome("fires_within < 9s", *fires(32, 36), faults=both) == "pass"


def test_one_that_fired_before_any_fault_is_explained_by_none() -> None:
    found = figure("fires_within < 9s", *fires(20, 22), faults=TWO)
    assert found.gap == "Errors.warning was firing already when f-1 began"


def test_faults_that_overlap_share_an_alert() -> None:
    """It is counted from each of them, and resolves after the last healing."""
    both = ((30.0, 60.0), (34.0, 62.0))
    events = [*fires(36, 38, 67), page(38.5)]
    assert figure("fires_within < 9s", *events, faults=both).value == 8.0
    assert figure("resolves_within < 9s", *events, faults=both).value == 5.0
    later = ((30.0, 60.0), (40.0, 62.0))  # it fires already when the second begins
    assert figure("fires_within < 9s", *events, faults=later).value == 8.0
    assert outcome("pages_within < 9s", *events, faults=later) == "pass"


def test_a_fault_that_was_never_healed_is_nothing_to_resolve_after() -> None:
    assert outcome("resolves_within < 9s", *GOOD, faults=((30.0, None),)) == (
        "inconclusive not_measured"
    )
    half = ((30.0, 40.0), (50.0, None))
    events = [*fires(32, 34, 45), *fires(55, 57, 64)]
    assert outcome("resolves_within < 9s", *events, faults=half) == "inconclusive not_measured"
    assert figure("resolves_within < 9s", *events[:3], faults=half[:1]).value == 5.0


def test_what_only_the_pager_knows_is_judged_by_its_notifications() -> None:
    """The dead man's switch: no rule has it, and Prometheus is not there to be asked."""
    gone = silent("prometheus", 30, 66)
    events = [
        *gone, page(46, "MonitoringSilent", "critical"),
        page(68, "MonitoringSilent", "critical", "resolved"),
    ]  # fmt: skip
    asked = {"subject": "alert.MonitoringSilent"}
    assert figure("pages_within < 20s", *events, **asked).value == 16.0
    assert figure("fires_within < 20s", *events, **asked).value == 16.0
    assert figure("resolves_within < 20s", *events, **asked).value == 8.0
    assert outcome("silent_before", *events, **asked) == "pass"
    assert outcome("fires_within < 20s", *gone, **asked) == "fail alert_not_fired"
    assert outcome("silent_before", *silent("pager", 12, 14), **asked).startswith("inconclusive")


def test_a_page_alone_is_no_alert_where_the_rules_are_not_known() -> None:
    """It may be of a rule, whose times only Prometheus knows."""
    assert found_of(page(34), watched=seen("pager", -1.0)).of(ASPECT).alerts == []
    [foreign] = found_of(page(34, "FromElsewhere")).of(ASPECT).alerts
    assert (foreign.firing_s, foreign.pending_s) == (34.0, None)


def test_alerts_that_nobody_expected_are_counted_once_each() -> None:
    def unexpected(*events: Event, phase: str = "run", **facts: Any) -> float | None:
        return figure("unexpected == 0", *events, subject="alerts", phase=phase, **facts).value

    assert unexpected(*fires(-9, 0, name="Heartbeat", severity="none")) == 0
    events = [*fires(32, 34, 40), *fires(42, 44, 66), *fires(33, 35, 64, "Cpu", part="app-1")]
    assert unexpected(*events) == 2
    assert unexpected(*events, state("pending", 50.0, "Cpu", part="app-2")) == 2
    assert unexpected(*events, allowed=["Cpu"]) == 1
    assert unexpected(*events, allowed=["Cpu.critical"]) == 2
    assert unexpected(*events, allowed=["Cpu.warning"]) == 1
    assert unexpected(*events, items=[item("flaps == 1")]) == 1
    assert unexpected(*events, items=[item("flaps == 1", "alert.Errors.critical")]) == 2
    assert unexpected(*events, phase="baseline") == 0
    assert unexpected(*events, phase="recovery") == 2  # they still fired then
    assert unexpected(*fires(2, 4, 9)) == 0  # in the warm-up
    assert unexpected(*fires(101, 103)) == 0  # when it was over
    assert unexpected(page(50, "FromElsewhere")) == 1
    shown = figure("unexpected == 0", *events, subject="alerts", phase="run")
    assert shown.evidence == "fired: Errors.warning, Cpu.warning of app-1"


@pytest.mark.parametrize(
    ("events", "phase", "wanted"),
    [
        (fires(2, 4, 10.2), "baseline", "inconclusive not_measured"),
        (fires(2, 4, 9.4), "baseline", "pass"),
        (fires(2, 4, 10.6), "baseline", "fail alerts_unexpected"),
        (fires(28, 29.8, 40), "baseline", "inconclusive not_measured"),
        (fires(30.1, 30.2, 40), "baseline", "pass"),  # not even pending before its end
        (fires(28, 30.6, 40), "baseline", "pass"),
        (fires(28, 29.8, 40), "fault", "fail alerts_unexpected"),
    ],
)
def test_an_alert_at_the_edge_of_a_phase_is_counted_only_where_that_is_sure(
    events: list[Event], phase: str, wanted: str
) -> None:
    assert outcome("unexpected == 0", *events, subject="alerts", phase=phase) == wanted


@pytest.mark.parametrize(
    ("events", "gap", "wanted"),
    [
        ([], (12, 14), "inconclusive not_measured"),
        ([], (2, 4), "pass"),
        ([], (97, None), "inconclusive not_measured"),
        (fires(32, 34), (12, 14), "fail alerts_unexpected"),
    ],
)
def test_none_was_unexpected_only_if_all_was_seen(
    events: list[Event], gap: tuple[float, float | None], wanted: str
) -> None:
    gaps = silent("prometheus", *gap)
    assert outcome("unexpected == 0", *events, *gaps, subject="alerts", phase="run") == wanted


def test_a_run_without_prometheus_says_nothing_of_unexpected_alerts() -> None:
    assert outcome("unexpected == 0", subject="alerts", phase="run", watched=()) == (
        "inconclusive not_measured"
    )


def test_the_time_to_detect_is_the_sum_of_its_parts() -> None:
    [one] = found_of(*GOOD, effect_s=30.5, items=[item("flaps == 0")]).of(ASPECT).detections
    assert (one.fault, one.alert, one.severity) == ("f-1", "Errors", "warning")
    assert one.parts == {"effect_s": 0.5, "pending_s": 1.5, "firing_s": 2.0, "notified_s": 0.25}
    assert sum(one.parts.values()) == one.detected_s == 4.25
    assert (one.healed_s, one.resolved_s, one.is_expected) == (60.0, 66.0, True)


def test_parts_that_were_not_seen_are_left_out_and_none_is_negative() -> None:
    [unpaged] = found_of(*fires(32, 34), effect_s=33.0).of(ASPECT).detections
    assert unpaged.parts == {"pending_s": 2.0, "firing_s": 2.0}  # the proof came later
    assert not unpaged.is_expected
    [early] = found_of(*fires(32, 34), page(33.75)).of(ASPECT).detections
    assert early.parts == {"pending_s": 2.0, "firing_s": 2.0, "notified_s": 0.0}
    [before] = found_of(*fires(29, 31)).of(ASPECT).detections
    assert before.parts == {"firing_s": 1.0}


def test_an_alert_that_is_for_nobody_detects_nothing() -> None:
    """As the one that always fires: where Prometheus was restarted it fires anew."""
    findings = found_of(*fires(40, 40, name="Heartbeat", severity="none"))
    assert findings.of(ASPECT).detections == []
    assert [table.is_empty for table in ASPECT.tables(findings)] == [True, True, True]


def test_each_fault_has_its_own_times_to_detect() -> None:
    events = [
        *fires(32, 34, 43), *fires(32, 33, 43, "Cpu"), *fires(55, 57, 64), page(34), page(59),
    ]  # fmt: skip
    found = found_of(*events, faults=TWO).of(ASPECT).detections
    assert [(one.fault, one.alert, one.detected_s) for one in found] == [
        ("f-1", "Cpu", 3.0), ("f-1", "Errors", 4.0), ("f-2", "Errors", 9.0),
    ]  # fmt: skip


def test_a_notification_is_of_the_time_in_which_it_came() -> None:
    events = [
        *fires(32, 34, 40, part="a"), *fires(42, 44, 60, part="a"), *fires(33, 35, part="b"),
        page(44.5, part="a"), page(45, part="a", status="resolved"), page(39.9, part="b"),
    ]  # fmt: skip
    found = found_of(*events).of(ASPECT).alerts
    assert [(a.labels["part"], a.firing_s, a.notified_s) for a in found] == [
        ("a", 34.0, None), ("b", 35.0, 39.9), ("a", 44.0, 44.5),
    ]  # fmt: skip


def test_the_wall_clocks_uncertainty_is_added() -> None:
    clocks = [
        {"event": "run.clock", "t_s": t_s, "wall_s": 1e9 + t_s + off}
        for t_s, off in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.125))
    ]
    [one] = found_of(*fires(32, 34), *clocks).of(ASPECT).alerts
    assert one.uncertainty_s == {"pending_s": 0.125, "firing_s": 0.625}


def test_a_name_may_have_dots() -> None:
    rules = [{"alert": "a.b", "severity": "warning", "query": "x", "for_s": 0, "interval_s": 1}]
    watched = [*seen("prometheus", -1), {**WATCHED[-1], "rules": rules}]
    events = fires(32, 34, name="a.b")
    for subject in ("alert.a.b", "alert.a.b.warning"):
        assert figure("fires_within < 9s", *events, subject=subject, watched=watched).value == 4.0


def test_what_the_report_shows() -> None:
    findings = found_of(*GOOD, *fires(33, 36, name="Cpu"), items=[item("flaps == 0")])
    [tile] = ASPECT.tiles(findings)
    assert (tile.label, tile.value) == ("paged after", 4.25)
    assert tile.note == "Errors (warning), from the start of f-1"
    detection, _, fired = ASPECT.tables(findings)
    assert detection.groups[0].rows == [
        ("f-1", "Errors", "warning", "", None, None, 2.0, 2.0, 0.25, 4.25, 66.0, "yes"),
        ("f-1", "Cpu", "warning", "", None, None, 3.0, 3.0, None, 6.0, None, "no"),
    ]
    assert len(detection.columns) == 12
    assert fired.groups[0].rows == [
        ("Errors", "warning", "", 32.0, 34.0, 34.25, 66.0, "Errors!"),
        ("Cpu", "warning", "", 33.0, 36.0, None, None, "Cpu!"),
    ]
    assert ASPECT.has_any(findings)
    assert not ASPECT.has_any(findings_from_json({}))
    assert [t.is_empty for t in ASPECT.tables(findings_from_json({}))] == [True, True, True]
    compared = {figure.id: measured.value for figure, measured in ASPECT.compare(findings, set())}
    assert compared == {
        "run.alert.Errors.warning.fires_within": 4.0,
        "run.alert.Errors.warning.pages_within": 4.25,
    }


def test_what_a_target_must_have_to_tell() -> None:
    def lack(clause: str, *labels: str, subject: str = "alert.Errors", phase: str = "fault") -> str:
        sources = Sources({"watch": dict.fromkeys(labels, "1")})
        return ASPECT.lacks(item(clause, subject, phase), cast(Experiment, None), sources)

    prometheus, pager = "harness.probe.prometheus", "harness.probe.pager"
    assert lack("fires_within < 9s", prometheus) == lack("pages_within < 9s", pager) == ""
    assert lack("pages_within < 9s", prometheus).startswith(f"no service has the label {pager}; ")
    assert lack("unexpected == 0", pager, subject="alerts", phase="run").startswith(
        f"no service has the label {prometheus}; label the service, or name the profile"
    )


def test_subjects_have_a_name() -> None:
    with pytest.raises(ValueError, match=r"unknown subject 'alert'; known: .*alert\.NAME"):
        parse_expectation("fault", "alert", "flaps == 0", set())
    assert item("flaps == 0", "alert.Errors.critical").aspect == "alert"
    with pytest.raises(ValueError, match="alert has no metric 'unexpected'"):
        item("unexpected == 0")
