"""Whether the generator kept its schedule: only then do its figures speak of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from harness.model.findings import LoadHealth, WorkerFound
from harness.record.run import Array, Record, within, workers_of

LATENESS_MAX_S, DROPPED_MAX, ON_TIME_S = 0.050, 0.001, 0.010
BUSY_SHARE = 0.8
NOT_SENT = ("dropped", "no_descriptors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """What the generators reported of themselves at the end; None where they did not."""

    cpu_share: float | None = None
    stalls: int | None = None
    stall_max_s: float | None = None
    not_reached: int | None = None
    exit_code: int | None = None
    workers: Sequence[Mapping[str, Any]] = ()


def figures(record: Record) -> LoadHealth:
    """Counts, send lateness (sent - intended, judged phases) and what is wrong, in words.

    `stalls` counts how often the engine's loop stood still for over 10 ms, `stall_max_s` is the
    longest; `cpu_share` is the generators' use of one core.
    `not_reached` counts steps of chains that were not sent as one before them failed.
    """
    streams = [within(samples, record.judged[-1]) for samples in (record.main, record.canary)]
    intended = sum(len(samples) for samples in streams)
    late_s = np.concatenate([_late_s(samples) for samples in streams])
    dropped = sum(int(samples["error"].isin(NOT_SENT).sum()) for samples in streams)
    lateness = _lateness(late_s)
    generator = _generator(record)
    problems = _problems(intended, dropped, lateness["p99"], generator)
    workers = [WorkerFound(**_known(state)) for state in generator.workers]
    lost = _lost(record, workers)
    return LoadHealth(
        intended=intended,
        sent=intended - dropped,
        dropped=dropped,
        send_lateness_s=lateness,
        on_schedule_share=float((late_s <= ON_TIME_S).mean()) if late_s.size else None,
        cpu_share=generator.cpu_share,
        stalls=generator.stalls,
        stall_max_s=generator.stall_max_s,
        not_reached=generator.not_reached,
        healthy=not problems and not lost,
        problems=problems,
        workers=workers,
        lost=lost,
    )


def _known(state: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: state[field.name] for field in fields(WorkerFound) if field.name in state}


def _lost(record: Record, workers: Sequence[WorkerFound]) -> str:
    """Whose share of the load is missing, the first that was lost; "" if nobody's is.

    Where it is not known that all are whole, they are not taken for whole.
    """
    of = record.experiment.load.workers
    lost = sorted((w for w in workers if w.problem), key=lambda worker: worker.lost_s or 0.0)
    if lost:
        first = lost[0]
        more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
        return (
            f"worker {first.number} of {of} ({first.host}){more}: {first.problem}; "
            f"its share of the load is missing from {first.lost_s or 0.0:.1f} s on"
        )
    if of > 1 and len(workers) < of:
        return f"only {len(workers)} of {of} workers are known to have recorded their share"
    return ""


def _generator(record: Record) -> Generator:
    summary = (record.events_of("load.summary") or [{}])[-1]
    duration_s = float(summary.get("duration_s") or 0)
    return Generator(
        cpu_share=float(summary["cpu_s"]) / duration_s if duration_s else None,
        stalls=summary.get("stalls"),
        stall_max_s=summary.get("stall_max_s"),
        not_reached=summary.get("not_reached"),
        exit_code=summary.get("exit_code"),
        workers=workers_of(record),
    )


def _late_s(samples: pd.DataFrame) -> Array:
    late_s = samples["sent_s"].to_numpy() - samples["intended_s"].to_numpy()
    return np.asarray(late_s[~np.isnan(late_s)])


def _lateness(late_s: Array) -> dict[str, float | None]:
    if not late_s.size:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = np.percentile(late_s, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(late_s.max())}


def _problems(intended: int, dropped: int, p99_s: float | None, generator: Generator) -> list[str]:
    """What is wrong and what to change, most important first."""
    problems = []
    if not intended:
        problems.append("no request was sent; see load.log")
    if p99_s is not None and p99_s > LATENESS_MAX_S:
        text = f"sent late: p99 {p99_s * 1e3:.0f} ms, over {LATENESS_MAX_S * 1e3:.0f} ms"
        problems.append(f"{text}; {_hint(generator)}")
    if intended and dropped / intended > DROPPED_MAX:
        share = dropped / intended
        text = f"{share:.2%} of the arrivals dropped, over {DROPPED_MAX:.2%}"
        problems.append(f"{text}; lower load.rate or load.timeout: fewer are in flight then")
    if code := generator.exit_code:
        problems.append(f"a load generator ended with exit code {code}; see load.log")
    return problems


def _hint(generator: Generator) -> str:
    """What to change, by who had the processor."""
    cpu_share, stalls, workers = generator.cpu_share, generator.stalls, len(generator.workers)
    if cpu_share is not None and cpu_share > BUSY_SHARE * max(1, workers):
        text = f"the generator took {cpu_share:.0%} of a core"
        if workers > 1:
            return f"{text} in {workers} workers: lower load.rate, or raise load.workers"
        return f"{text}: lower load.rate or load.canary_rate"
    if stalls:
        text = f"it stood still {stalls:,} times, up to {(generator.stall_max_s or 0) * 1e3:.0f} ms"
        text += f", with {cpu_share:.0%} of a core used" if cpu_share is not None else ""
        return f"{text}: stop other containers and programs, or lower load.rate"
    return "lower load.rate or load.canary_rate, or stop what else runs on this machine"
