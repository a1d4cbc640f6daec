"""What the target's own state says: healthy before and after, who rejoined, who restarted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.aspects.base import Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, flag, no_figure
from harness.model.metric import Metric
from harness.model.page import Column, Group, Table
from harness.model.sources import Sources
from harness.record.run import Record

CRASHES = ("crash", "out_of_memory")
"""Kinds after which the container's restart policy must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What the check said; it says more, part by part, for people."""

    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Flags are True, False, or None if not observed."""

    healthy_before: bool | None = None
    healthy: bool | None = None
    details: Details = Details()
    old_primary_rejoined: bool | None = None
    new_replica_built: bool | None = None
    restarted_by_itself: bool | None = None
    killed_for_memory: bool | None = None


def figures(record: Record) -> Target:
    """What events and faults say."""
    checks = {check["when"]: check for check in record.events_of("target.check")}
    after = checks.get("after", {})
    restarts = [_restarted(record, f) for f in record.faults if f["kind"] in CRASHES]
    memory = [f for f in record.faults if f["kind"] == "out_of_memory"]
    wiped = [f for f in record.faults if f["kind"] == "wipe"]
    rejoined = _rejoined(record)
    return Target(
        healthy_before=checks.get("before", {}).get("healthy"),
        healthy=after.get("healthy"),
        details=after.get("details", {}),
        old_primary_rejoined=rejoined,
        new_replica_built=rejoined if wiped else None,
        restarted_by_itself=all(restarts) if restarts else None,
        killed_for_memory=all(f.get("killed_for_memory") for f in memory) if memory else None,
    )


def _restarted(record: Record, fault: dict[str, Any]) -> bool:
    """Whether the engine started the container between the fault and the begin of its healing."""
    healing = [e["t_s"] for e in record.events_of("fault.healing") if e["fault"] == fault["fault"]]
    until_s = healing[0] if healing else record.experiment.end_s
    return fault["start_s"] is not None and any(
        event["service"] == fault["service"] and fault["start_s"] < event["t_s"] < until_s
        for event in record.events_of("container.start")
    )


def _rejoined(record: Record) -> bool | None:
    """Whether each former primary that was broken streams as a replica again."""
    victims = {
        str(fault["service"])
        for fault in record.faults
        if fault["selector"].get("role") == "db-primary" and fault["service"]
    }
    if not victims:
        return None
    return victims <= {str(event["service"]) for event in record.events_of("target.rejoined")}


def _figure(item: Expectation, findings: Findings) -> Figure:
    """1 if it is true, 0 if not. Whether it is healthy is looked at when the run is over."""
    found = findings.of(ASPECT)
    value: bool | None = getattr(found, item.metric)
    if value is None:
        return no_figure(f"`{item.metric}` was not observed")
    if item.metric != "healthy" or value:
        return flag(value, "observed" if value else "this was not the case")
    text = "; ".join(found.details.problems) or "this was not the case"
    return replace(flag(value, text), happened_s=(findings.run.end_s or 0.0, math.inf))


def _lacks(item: Expectation, experiment: Experiment, sources: Sources) -> str:
    kinds = {fault.kind for fault in experiment.faults}
    wanted = {"restarted_by_itself": CRASHES, "killed_for_memory": ("out_of_memory",),
              "new_replica_built": ("wipe",)}.get(item.metric, ())  # fmt: skip
    if wanted and not kinds & set(wanted):
        return f"needs a fault of kind {' or '.join(wanted)}; add one, or leave it out"
    if item.metric not in ("old_primary_rejoined", "new_replica_built"):
        return ""
    if not any(fault.selector.get("role") == "db-primary" for fault in experiment.faults):
        return "needs a fault on `role: db-primary`; add one, or leave it out"
    return sources.lacks_label("harness.probe.patroni")


def _tables(findings: Findings) -> Iterator[Table]:
    """What is known, in alphabetical order, and what was wrong."""
    found = findings.of(ASPECT)
    names = sorted((*ASPECT.metrics["target"], "healthy_before"))
    known = [(name.replace("_", " "), getattr(found, name)) for name in names]
    rows = [(name, value) for name, value in known if value is not None]
    columns = (Column("Check"), Column("Result"))
    text = "; ".join(found.details.problems)
    yield Table("The target after the run", columns, [Group("", rows)], id="target", text=text)


ASPECT = Aspect[Target](
    section="target",
    found=Target,
    measure=lambda record, _: figures(record),
    metrics={
        "target": {
            "healthy": Metric("flag", "target_unhealthy"),
            "old_primary_rejoined": Metric("flag", "old_primary_not_rejoined"),
            "restarted_by_itself": Metric("flag", "not_restarted_by_itself"),
            "killed_for_memory": Metric("flag", "not_killed_for_memory"),
            "new_replica_built": Metric("flag", "new_replica_not_built"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    tables=_tables,
)
