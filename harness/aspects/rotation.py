"""When a load balancer took a broken server out of its rotation, and when it came back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from harness.aspects.base import Aspect, Findings
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment
from harness.model.figure import Figure, failed, no_figure
from harness.model.metric import Metric
from harness.model.page import Column, Group, Table
from harness.model.sources import Sources
from harness.model.uncertain import Uncertainty, largest, uncertainty_of
from harness.record.run import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault of a server, as one backend of one load balancer saw it."""

    fault: str
    server: str
    lb: str
    backend: str = ""
    left_s: float | None = None
    leaves_rotation_s: float | None = None
    alive_s: float | None = None
    returned_s: float | None = None
    returns_to_rotation_s: float | None = None
    uncertainty_s: Uncertainty = field(default_factory=dict)


def figures(record: Record) -> list[Row]:
    """One row per fault of a server, load balancer and backend.

    Times are those of HAProxy's own statistics, polled four times a second. `alive_s` is when the
    engine started the container again; a server that is still booting is counted as alive.
    `leaves_rotation_s` is how long a dead server was in the rotation: it ends when it left, or, of
    one that never left, when it was alive again. `uncertainty_s` is of each of the two times: that
    of a poll, and of the wall clock where the engine's word counts.
    """
    rows, faults = [], record.injected
    for index, fault in enumerate(faults):
        following = [f["start_s"] for f in faults[index + 1 :] if f["service"] == fault["service"]]
        until_s = following[0] if following else float("inf")
        rows += _of_fault(record, fault, until_s)
    return rows


def _of_fault(record: Record, fault: dict[str, Any], until_s: float) -> list[Row]:
    start_s = float(fault["start_s"])
    changes: dict[str, list[dict[str, Any]]] = {}
    for event in record.events_of("lb.server"):
        if event["server"] == fault["service"] and event["backend"] not in ("rw", "ro"):
            changes.setdefault(f"{event['lb']}/{event['backend']}", []).append(event)
    starts = [
        event["t_s"]
        for event in record.events_of("container.start")
        if event["service"] == fault["service"] and start_s < event["t_s"] < until_s
    ]
    alive_s = starts[0] if starts else None
    return [
        _row(
            fault,
            name,
            [e for e in events if start_s <= e["t_s"] < until_s],
            alive_s,
            record.wall_uncertainty_s(),
        )
        for name, events in sorted(changes.items())
        if fault["kind"] != "start"
    ]


def _row(
    fault: dict[str, Any],
    name: str,
    events: list[dict[str, Any]],
    alive_s: float | None,
    wall_half_s: float,
) -> Row:
    left = next((e for e in events if not _is_up(e)), None)
    back = next((e for e in events if left and e["t_s"] > left["t_s"] and _is_up(e)), None)
    lb, _, backend = name.partition("/")
    left_s, returned_s = (event["t_s"] if event else None for event in (left, back))
    was_alive_s = alive_s if alive_s is not None else fault["healed_s"]
    # Our own heal is exact; without a reading of the wall clock, only the poll counts.
    alive_half_s = 0.0 if alive_s is None or isnan(wall_half_s) else wall_half_s
    ended_s = left_s if left else was_alive_s
    returns_s = None
    if returned_s is not None and was_alive_s is not None:
        returns_s = max(0.0, returned_s - was_alive_s)
    elif not left and was_alive_s is not None:
        returns_s = 0.0
    return Row(
        fault=fault["fault"],
        server=fault["service"],
        lb=lb,
        backend=backend,
        left_s=left_s,
        leaves_rotation_s=ended_s - fault["start_s"] if ended_s is not None else None,
        alive_s=was_alive_s,
        returned_s=returned_s,
        returns_to_rotation_s=returns_s,
        uncertainty_s={
            "leaves_rotation_s": _half_s(left) if left else alive_half_s,
            "returns_to_rotation_s": _half_s(back) + alive_half_s if back else 0.0,
        },
    )


def _half_s(event: dict[str, Any]) -> float:
    return float(event.get("uncertainty_s") or 0.0)


def _is_up(event: dict[str, Any]) -> bool:
    return str(event["status"]).startswith("UP")


DONE = {"leaves_rotation": "left", "returns_to_rotation": "returned"}


def _figure(item: Expectation, findings: Findings) -> Figure:
    """The worst of all load balancers and of the phase's faults."""
    mine = {fault.fault for fault in findings.run.faults_of(item.phase)}
    rows = [row for row in findings.of(ASPECT) if row.fault in mine]
    if not rows:
        return no_figure("no load balancer reported the state of a broken server")
    done, known = DONE[item.metric], list[tuple[Row, float, float]]()
    for row in rows:
        time_s = _times(row)[item.metric]
        if time_s is None:
            text = f"{row.server} never {done} on {row.lb} after {row.fault}"
            return failed(text, f"never_{done}_rotation")
        known.append((row, time_s, uncertainty_of(row.uncertainty_s, f"{item.metric}_s")))
    worst, worst_s, _ = max(known, key=lambda one: one[1])
    text = f"{worst.server} on {worst.lb}/{worst.backend}: {worst_s:.2f} s (worst)"
    value, half_s = largest((time_s, half_s) for _, time_s, half_s in known)
    return Figure(value, text, uncertainty=half_s)


def _lacks(_: Expectation, __: Experiment, sources: Sources) -> str:
    return sources.lacks_label("harness.probe.haproxy")


def _times(row: Row) -> Mapping[str, float | None]:
    return {
        "leaves_rotation": row.leaves_rotation_s,
        "returns_to_rotation": row.returns_to_rotation_s,
    }


def _tables(findings: Findings) -> Iterator[Table]:
    columns = (
        *(Column("Fault"), Column("Server"), Column("Balancer")),
        *(Column("Left after", "seconds"), Column("Alive at", "clock"), Column("Back at", "clock")),
        Column("Back, since alive", "seconds"),
    )
    rows = [
        (
            *(row.fault, row.server, f"{row.lb} · {row.backend}" if row.backend else row.lb),
            row.leaves_rotation_s if row.left_s is not None else "never left",
            *(row.alive_s, row.returned_s, row.returns_to_rotation_s),
        )
        for row in findings.of(ASPECT)
    ]
    yield Table("Load balancer rotation", columns, [Group("", rows)], id="rotation")


ASPECT = Aspect[Sequence[Row]](
    section="rotation",
    found=Sequence[Row],
    measure=lambda record, _: figures(record),
    metrics={
        "rotation": {
            "leaves_rotation": Metric("s", "leaves_rotation_late", "fault"),
            "returns_to_rotation": Metric("s", "returns_to_rotation_late", "fault"),
        }
    },
    figure=_figure,
    lacks=_lacks,
    tables=_tables,
)
