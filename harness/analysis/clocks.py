"""How far the clocks of a run agree: the containers' monotonic one, and the host's wall clock.

Containers share the host's monotonic clock (docs/adr/0003), so an app's own times need no
translation; the offset that was measured says so. What exists only as wall time (Patroni's history,
the engine's events) is placed by the pairs of both clocks that are logged each second. A worker of
the load on another machine has a clock of its own: its times were put on the host's as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.model.findings import Clock, Clocks, WallClock
from harness.record.run import Record, clock_offsets, workers_of


def started_at(record: Record) -> str | None:
    """The wall time at which the run began, in UTC, to the second; None where no clock was read."""
    readings = record.events_of("run.clock")
    if not readings:
        return None
    began_s = float(readings[0]["wall_s"]) - float(readings[0]["t_s"])
    return datetime.fromtimestamp(began_s, UTC).isoformat(timespec="seconds")


def lasted_s(record: Record) -> float | None:
    """From the start of the run to the last thing that was recorded of it."""
    return max((float(event["t_s"]) for event in record.events), default=None)


def figures(record: Record) -> Clocks:
    """By container its offset from the host's monotonic clock; the wall clock's spread."""
    containers = {
        service: Clock(
            offset_s=event["offset_s"],
            uncertainty_s=event["uncertainty_s"],
            is_shared=abs(event["offset_s"]) <= event["uncertainty_s"],
        )
        for service, event in sorted(clock_offsets(record).items())
    }
    pairs = len(record.events_of("run.clock"))
    return Clocks(
        containers=containers,
        workers={_worker(state): _clock(state) for state in workers_of(record)},
        wall=WallClock(pairs=pairs, uncertainty_s=record.wall_uncertainty_s()),
    )


def _worker(state: Mapping[str, Any]) -> str:
    return f"worker {state['number']} ({state.get('host') or 'unknown'})"


def _clock(state: Mapping[str, Any]) -> Clock:
    return Clock(
        offset_s=state.get("offset_s"),
        uncertainty_s=state.get("uncertainty_s"),
        is_shared=bool(state.get("is_shared")),
    )
