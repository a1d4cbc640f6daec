"""Alerts: whether they fire when they must, and only then, and how long until somebody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.aspects.alerts.by_fault import by_alert, unexpected
from harness.aspects.alerts.detection import detections
from harness.aspects.alerts.figures import figure_of
from harness.aspects.alerts.found import AlertFound, Alerts, Detection, RuleFound
from harness.aspects.alerts.history import history
from harness.aspects.alerts.monitored import NOT_ASKED, blind_spots, charted, read_monitored
from harness.aspects.base import Aspect, Comparison, Findings
from harness.model.alert import FOR_NOBODY, PAGER_LABEL, PROMETHEUS_LABEL
from harness.model.compared import Compared, Measured
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure
from harness.model.metric import ALERT, ALERTS, Metric
from harness.model.page import Column, Group, Table, Tile
from harness.model.sources import MONITORED_ERRORS, Sources
from harness.record.folder import RunFolder
from harness.record.run import Record

__all__ = ["ASPECT", "AlertFound", "Alerts", "Detection", "RuleFound"]

ADD_PROFILE = "label the service, or name the profile that has it: profiles: [...]"
PARTS = {
    "effect_s": "Effect",
    "seen_s": "Seen",
    "pending_s": "Pending",
    "firing_s": "Firing",
    "notified_s": "Paged",
}
"""The parts of a time to detect, in order."""


def figures(record: Record, folder: RunFolder | None = None) -> Alerts:
    """What was seen of alerts, and how each fault was detected."""
    known, monitored = history(record), read_monitored(folder)
    found = Alerts(
        rules=known.rules,
        alerts=known.alerts,
        pages=known.pages,
        unseen=known.unseen,
        watched_s=known.watched_s,
        expected=_expected(record.experiment),
    )
    return replace(
        found,
        by_alert=by_alert(record, found),
        unexpected=unexpected(record, found),
        detections=detections(record, found, monitored),
        blind_spots=blind_spots(record, monitored),
        problems=monitored.problems,
        series=charted(monitored),
    )


def _expected(experiment: Experiment) -> list[str]:
    """The alerts that the experiment names in expectations, or allows."""
    heads = [item.subject.partition(".") for item in experiment.hypothesis]
    named = [name for head, _, name in heads if head == ALERT]
    return sorted({*named, *experiment.allowed_alerts})


def _figure(item: Expectation, findings: Findings) -> Figure:
    return figure_of(item, findings.of(ASPECT), findings.run)


def _lacks(item: Expectation, _: Experiment, sources: Sources) -> str:
    """Which service is missing that could tell, or which query."""
    if item.metric == "blind_spots" and MONITORED_ERRORS not in sources.readings:
        return NOT_ASKED
    wanted = PAGER_LABEL if item.metric == "pages_within" else PROMETHEUS_LABEL
    if any(wanted in labels for labels in sources.labels.values()):
        return ""
    return f"no service has the label {wanted}; {ADD_PROFILE}"


def _compare(findings: Findings, _: object) -> Comparison:
    """Of each alert that is expected the longest time from a fault to its firing, and its page."""
    longest: dict[tuple[str, str], float] = {}
    for one in findings.of(ASPECT).detections:
        name = f"{ALERT}.{one.alert}.{one.severity}".rstrip(".")
        for mark in one.marks if one.is_expected else ():
            if metric := {"firing_s": "fires_within", "notified_s": "pages_within"}.get(mark.part):
                took_s = mark.at_s - one.start_s
                longest[name, metric] = max(took_s, longest.get((name, metric), 0.0))
    for (name, metric), took_s in sorted(longest.items()):
        yield Compared("run", name, metric, "duration", "s"), Measured(took_s)


def _tiles(findings: Findings) -> Iterator[Tile]:
    """For each fault, how long until somebody was paged, or until an expected alert fired."""
    expected = [one for one in findings.of(ASPECT).detections if one.is_expected]
    for fault in dict.fromkeys(one.fault for one in expected):
        mine = [one for one in expected if one.fault == fault]
        one = min(mine, key=lambda one: (not _is_paged(one), one.detected_s or 0.0))
        word = "paged after" if _is_paged(one) else "alert fired after"
        note = f"{one.alert} ({one.severity or 'no severity'}), from the start of {fault}"
        yield Tile(word, one.detected_s, note, "", one.marks[-1].uncertainty_s, "seconds")


def _is_paged(one: Detection) -> bool:
    return "notified_s" in one.parts


def _tables(findings: Findings) -> Iterator[Table]:
    found = findings.of(ASPECT)
    yield _time_to_detect(found)
    yield Table(
        "Blind spots",
        (Column("Who saw nothing"), Column("From", "clock"), Column("To", "clock"),
         Column("Errors, about", "count")),
        [Group("", [(o.who, o.start_s, o.end_s, o.errors) for o in found.blind_spots.spots])],
        text="Where clients saw errors and the monitoring none, or the other way.",
    )  # fmt: skip
    yield _fired(found)


def _time_to_detect(found: Alerts) -> Table:
    return Table(
        "Time to detect",
        (
            *(Column("Fault"), Column("Alert"), Column("Severity"), Column("Part")),
            *(Column(name, "seconds") for name in PARTS.values()),
            *(Column("In all", "seconds"), Column("Resolved at", "clock"), Column("Expected")),
        ),
        [Group("", [_row(one) for one in found.detections])],
        id="detection",
        text=(
            "Each part is counted from the end of the part before it that was observed;"
            " together they are the time from the fault's start."
        ),
    )


def _fired(found: Alerts) -> Table:
    times = ("Pending at", "Fired at", "Paged at", "Resolved at")
    columns = (Column("Alert"), Column("Severity"), Column("Part"))
    clocks = tuple(Column(name, "clock") for name in times)
    rows = [
        (
            *(one.alert, one.severity, one.labels.get("part", "")),
            *(one.pending_s, one.firing_s, one.notified_s, one.resolved_s),
            one.summary,
        )
        for one in found.alerts
        if one.firing_s is not None and one.severity != FOR_NOBODY
    ]
    return Table(
        "Alerts that fired",
        (*columns, *clocks, Column("What it said", "text")),
        [Group("", rows)],
    )


def _row(one: Detection) -> tuple[object, ...]:
    parts = (one.parts.get(name) for name in PARTS)
    expected = "yes" if one.is_expected else "no"
    where = (one.fault, one.alert, one.severity, one.part)
    return (*where, *parts, one.detected_s, one.resolved_s, expected)


def _has_any(findings: Findings) -> bool:
    found = findings.of(ASPECT)
    return bool(found.rules or found.alerts or found.pages)


ASPECT: Aspect[Alerts] = Aspect(
    section="alerts",
    found=Alerts,
    measure=figures,
    metrics={
        ALERT: {
            "silent_before": Metric("flag", "alert_fired_before", "fault"),
            "fires_within": Metric("s", "alert_late", "fault"),
            "pages_within": Metric("s", "page_late", "fault"),
            "resolves_within": Metric("s", "alert_not_resolved", "fault"),
            "flaps": Metric("count", "alert_flaps", "fault"),
        },
        ALERTS: {
            "unexpected": Metric("count", "alerts_unexpected", "phase"),
            "blind_spots": Metric("count", "blind_spots", "phase", needs_load=True),
        },
    },
    figure=_figure,
    lacks=_lacks,
    compare=_compare,
    tiles=_tiles,
    tables=_tables,
    template="alerts.html",
    has_any=_has_any,
)
