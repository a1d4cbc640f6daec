"""Outages of an operation, and how long it took to recover from each fault.

    ok ok ok | X X X X X ok X X | ok ok ok ok ok ...
             ^                  ^
       outage start          outage end: a success that begins a stable run, that is at least
                             20 successes in a row and 1 s without a failure

The start lies between the sending of the last success and that of the first failure; the end
between the last sign that the target was still broken (a failure sent, or one that ended) and the
first success done. Each is reported as the middle, with half the gap as its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.record import Record, is_the_targets

STABLE_SUCCESSES, STABLE_S = 20, 1.0
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Outage:
    """`end_s` is None if it had not ended when the samples did.

    `last_good_s`: when the last success before it was sent; `first_failed_s`: when the first
    failure was seen. What caused it began before the latter.
    """

    start_s: float
    end_s: float | None
    uncertainty_s: float
    failed: int
    last_good_s: float
    first_failed_s: float


def find_outages(sent_s: Array, done_s: Array, ok: Array) -> list[Outage]:
    """All outages in one stream of probes.

    Three arrays with one element per probe, in any order: seconds since run start when it was
    sent and when it ended, and whether it succeeded.
    """
    order = np.argsort(sent_s, kind="stable")
    sent_s, done_s, ok = sent_s[order], done_s[order], ok[order].astype(bool)
    failures = np.flatnonzero(~ok)
    if not failures.size:
        return []
    groups = np.split(failures, _breaks(failures, sent_s) + 1)
    return [_outage(group, sent_s, done_s) for group in groups]


def _breaks(failures: Array, sent_s: Array) -> Array:
    """Positions in `failures` after which a stable run of successes begins."""
    between = np.diff(failures) - 1
    first_success = np.minimum(failures[:-1] + 1, len(sent_s) - 1)
    quiet_s = sent_s[failures[1:]] - sent_s[first_success]
    return np.flatnonzero((between >= STABLE_SUCCESSES) & (quiet_s >= STABLE_S))


def _outage(group: Array, sent_s: Array, done_s: Array) -> Outage:
    first, last = int(group[0]), int(group[-1])
    last_good_s = float(sent_s[max(first - 1, 0)])
    start_s, start_half_s = _middle(last_good_s, float(sent_s[first]))
    failed_s = done_s[group]
    end_s, uncertainty_s = None, start_half_s
    after = slice(last + 1, last + 1 + STABLE_SUCCESSES)
    if len(sent_s[after]) == STABLE_SUCCESSES and sent_s[-1] - sent_s[last + 1] >= STABLE_S:
        good_s = float(done_s[after].min())
        broken_s = float(failed_s[failed_s <= good_s].max(initial=sent_s[last]))
        end_s, end_half_s = _middle(broken_s, good_s)
        gap_half_s = float(sent_s[last + 1] - sent_s[last]) / 2
        uncertainty_s = max(start_half_s, end_half_s, gap_half_s)
    return Outage(
        start_s, end_s, uncertainty_s, len(group), last_good_s, float(failed_s.min(initial=np.inf))
    )


def _middle(low: float, high: float) -> tuple[float, float]:
    return (low + high) / 2, (high - low) / 2


def figures(record: Record) -> dict[str, Any]:
    """By operation; from the canary where there is one, else from the main load."""
    return {name: _of_operation(record, name) for name in record.experiment.load.mix}


def _of_operation(record: Record, name: str) -> dict[str, Any]:
    stream = "canary" if (record.canary["op"] == name).any() else "main"
    samples = record.canary if stream == "canary" else record.main
    is_wanted = (samples["op"] == name) & is_the_targets(samples)
    samples = samples.loc[is_wanted, ["intended_s", "sent_s", "done_s", "ok"]]
    samples = samples.dropna(subset=["sent_s", "done_s"])
    outages = find_outages(
        samples["sent_s"].to_numpy(), samples["done_s"].to_numpy(), samples["ok"].to_numpy()
    )
    faults = [fault for fault in record.faults if fault["start_s"] is not None]
    starts = [float(fault["start_s"]) for fault in faults]
    by_fault = {
        fault["fault"]: _of_fault(outages, start_s, starts)
        for fault, start_s in zip(faults, starts, strict=True)
    }
    figures_ = _worst(by_fault)
    return {
        **figures_,
        "failed_requests": int((~samples["ok"]).sum()),
        "never_failed": not outages,
        "outages": [
            {
                "start_s": outage.start_s,
                "end_s": outage.end_s,
                "uncertainty_s": outage.uncertainty_s,
                "failed": outage.failed,
            }
            for outage in outages
        ],
        "degradation_time_s": _degradation_s(record, name, samples),
        "parts": _parts(record, figures_),
        "stream": stream,
        "probes": len(samples),
        "by_fault": by_fault,
    }


def _of_fault(outages: list[Outage], start_s: float, starts: list[float]) -> dict[str, Any]:
    """Recovery time = end of the last outage that the fault can have caused - fault start."""
    mine = [outage for outage in outages if _concerns(outage, start_s, starts)]
    if not mine:
        return _recovery(0.0, 0.0, start_s, recovered=True)
    last = mine[-1]
    if last.end_s is None:
        return _recovery(None, last.uncertainty_s, start_s, recovered=False)
    return _recovery(last.end_s - start_s, last.uncertainty_s, start_s, recovered=True)


def _concerns(outage: Outage, start_s: float, starts: list[float]) -> bool:
    """Whether the fault that began at `start_s` can be a cause of the outage.

    The cause is the last fault before the first failure was seen, and each other fault since the
    last success; a fault that begins while the outage lasts is held against its end, too.
    """
    if start_s > outage.first_failed_s:
        return outage.end_s is None or outage.end_s > start_s
    latest_s = max(other for other in starts if other <= outage.first_failed_s)
    return start_s >= min(latest_s, outage.last_good_s)


def _recovery(
    time_s: float | None, uncertainty_s: float, start_s: float, *, recovered: bool
) -> dict[str, Any]:
    return {
        "recovery_time_s": time_s,
        "uncertainty_s": uncertainty_s,
        "recovered": recovered,
        "fault_start_s": start_s,
    }


def _worst(by_fault: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not by_fault:
        empty = {"recovery_time_s": None, "uncertainty_s": None, "recovered": None}
        return {**empty, "fault_start_s": None}
    lost = [found for found in by_fault.values() if not found["recovered"]]
    return dict(lost[0] if lost else max(by_fault.values(), key=lambda f: f["recovery_time_s"]))


def _degradation_s(record: Record, name: str, samples: pd.DataFrame) -> float | None:
    """From the first fault until the last second in which a request failed or p95 was over the
    limit that the experiment sets for it; None without such a limit, 0 if it never was."""
    limits = [
        item.limit
        for item in record.experiment.hypothesis
        if item.subject == name and item.metric == "p95"
    ]
    starts = [fault["start_s"] for fault in record.faults if fault["start_s"] is not None]
    if not limits or not starts or samples.empty:
        return None
    after = samples[samples["intended_s"] >= starts[0]]
    after = after.assign(response_s=after["done_s"] - after["intended_s"])
    seconds = after.groupby(np.floor(after["intended_s"]))
    bad = (seconds["response_s"].quantile(0.95) > min(limits)) | ~seconds["ok"].all()
    return float(bad.index[bad][-1]) + 1 - starts[0] if bad.any() else 0.0


def _parts(record: Record, figures_: dict[str, Any]) -> dict[str, float]:
    """Detected, promoted, routed, first success: durations that add up to the recovery time.

    What the target does not tell is left out, and its time is in the next part.
    """
    total_s, start_s = figures_["recovery_time_s"], figures_["fault_start_s"]
    fault = next((f for f in record.faults if f["start_s"] == start_s), None)
    if not total_s or fault is None:
        return {}
    marks = _marks(record, fault, start_s, start_s + total_s)
    parts, at_s = {}, start_s
    for name, seen_s in marks:
        mark_s = min(max(seen_s, at_s), start_s + total_s)  # kept in order
        parts[name] = mark_s - at_s
        at_s = mark_s
    return parts if len(marks) > 1 else {}


def _marks(
    record: Record, fault: dict[str, Any], start_s: float, end_s: float
) -> list[tuple[str, float]]:
    victim = fault["service"]
    looks = [e for e in record.events_of("patroni.cluster") if start_s < e["t_s"]]
    lost = next((e for e in looks if e.get("unlocked") or e.get("leader") != victim), None)
    new = next((e for e in looks if e.get("leader") not in (None, victim)), None)
    marks = [("detected_s", lost["t_s"])] if lost else []
    if new:
        marks.append(("promoted_s", new["t_s"]))
        routes = [
            e["t_s"]
            for e in record.events_of("lb.server")
            if e["t_s"] > start_s
            and e["server"] == new["leader"]
            and e["backend"] == "rw"
            and str(e["status"]).startswith("UP")
        ]
        marks += [("routed_s", routes[0])] if routes else []
    return [*marks, ("first_success_s", end_s)]
