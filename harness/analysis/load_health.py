"""Whether the generator kept its schedule: only then do its figures speak of the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Array, Record, within

LATENESS_MAX_S, DROPPED_MAX, ON_TIME_S = 0.050, 0.001, 0.010
NOT_SENT = ("dropped", "no_descriptors")


def figures(record: Record) -> dict[str, Any]:
    """Counts, send lateness (sent - intended, judged phases) and what is wrong, in words."""
    streams = [within(samples, record.judged[-1]) for samples in (record.main, record.canary)]
    intended = sum(len(samples) for samples in streams)
    late_s = np.concatenate([_late_s(samples) for samples in streams])
    dropped = sum(int(samples["error"].isin(NOT_SENT).sum()) for samples in streams)
    lateness = _lateness(late_s)
    summary = (record.events_of("load.summary") or [{}])[-1]
    duration_s = float(summary.get("duration_s") or 0)
    problems = _problems(intended, dropped, lateness["p99"])
    if exit_code := summary.get("exit_code"):
        problems.append(f"a load generator ended with exit code {exit_code}; see load.log")
    return {
        "intended": intended,
        "sent": intended - dropped,
        "dropped": dropped,
        "send_lateness_s": lateness,
        "on_schedule_share": float((late_s <= ON_TIME_S).mean()) if late_s.size else None,
        "cpu_share": float(summary["cpu_s"]) / duration_s if duration_s else None,
        "healthy": not problems,
        "problems": problems,
    }


def _late_s(samples: pd.DataFrame) -> Array:
    late_s = samples["sent_s"].to_numpy() - samples["intended_s"].to_numpy()
    return np.asarray(late_s[~np.isnan(late_s)])


def _lateness(late_s: Array) -> dict[str, float | None]:
    if not late_s.size:
        return {"p50": None, "p99": None, "max": None}
    p50, p99 = np.percentile(late_s, [50, 99])
    return {"p50": float(p50), "p99": float(p99), "max": float(late_s.max())}


def _problems(intended: int, dropped: int, p99_s: float | None) -> list[str]:
    problems = []
    if not intended:
        problems.append("no request was sent")
    if p99_s is not None and p99_s > LATENESS_MAX_S:
        text = f"sent late: p99 {p99_s * 1e3:.0f} ms, over {LATENESS_MAX_S * 1e3:.0f} ms"
        problems.append(f"{text}; lower load.rate, or stop what else runs on this machine")
    if intended and dropped / intended > DROPPED_MAX:
        share = dropped / intended
        problems.append(f"{share:.2%} of the arrivals dropped; lower load.rate or load.timeout")
    return problems
