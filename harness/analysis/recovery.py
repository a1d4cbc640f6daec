"""What each operation's probes say: outages, failures that make none, recovery, degradation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.analysis import degradation, parts
from harness.analysis.outages import BUDGET, Outage, find_outages
from harness.analysis.record import Array, Record, is_the_targets, within
from harness.analysis.recovery_time import by_fault, worst
from harness.model.experiment import Phase

BUDGET_MAX = 0.05
"""An experiment that lets more fail than this in some phase still has its outages found."""
UPPER = ("<", "<=", "==")
COLUMNS = ["intended_s", "sent_s", "done_s", "ok"]


def figures(record: Record) -> dict[str, Any]:
    """By operation; from the canary where one was planned, else from the main load.

    A canary that recorded nothing is no evidence (see coverage): the main load asks for keys that
    caches hold, and must not stand in for it.
    """
    return {name: _of_operation(record, name) for name in record.experiment.load.mix}


def _of_operation(record: Record, name: str) -> dict[str, Any]:
    stream = "canary" if record.experiment.load.canary_rate_per_s > 0 else "main"
    samples = _probes(record.canary if stream == "canary" else record.main, name)
    sent_s, done_s = (samples[column].to_numpy() for column in ("sent_s", "done_s"))
    ok = samples["ok"].to_numpy(dtype=bool)
    budget = _budget(record, name)
    outages = find_outages(sent_s, done_s, ok, budget)
    recoveries = by_fault(record, outages) if len(samples) else {}
    recovery = worst(recoveries)
    slow = degradation.figures(record, name, samples, outages)
    marks = parts.marks(record, recovery)
    return {
        **recovery,
        "failed_requests": int((~ok).sum()),
        "never_failed": bool(ok.size and ok.all()),
        "error_budget": budget,
        "outages": [as_row(outage) for outage in outages],
        "scattered": _scattered(sent_s, ok, outages),
        "degradation": slow,
        "degradation_time_s": slow["recovery_time_s"] if slow else None,
        "marks": marks,
        "parts": parts.durations(marks, recovery["fault_start_s"]),
        "stream": stream,
        "cold_share": _cold_share(record, name) if stream == "canary" else None,
        "probes": len(samples),
        "by_fault": recoveries,
    }


def _cold_share(record: Record, name: str) -> float | None:
    """Of the canaries in the judged time before any fault: the share that no cache answered.

    None where the canary has no cold keys to ask for, or nothing was sent then.
    """
    load, operation = record.experiment.load, record.experiment.operations[name]
    if not load.keys.cold_population or "{key}" not in operation.path:
        return None
    starts = [fault["start_s"] for fault in record.faults if fault["start_s"] is not None]
    judged = record.judged[-1]
    before = Phase(name="", start_s=judged.start_s, end_s=min(starts, default=judged.end_s))
    mine = within(record.canary, before)
    answered = mine.loc[((mine["op"] == name) & mine["ok"]).to_numpy(), "cache"]
    return float(answered.isin(["db", ""]).mean()) if len(answered) else None


def as_row(outage: Outage) -> dict[str, Any]:
    """One outage as it stands in the findings."""
    return {
        "kind": outage.kind,
        "start_s": outage.start_s,
        "end_s": outage.end_s,
        "uncertainty_s": outage.uncertainty_s,
        "failed": outage.failed,
        "probes": outage.probes,
        "error_rate": outage.failed / outage.probes,
    }


def _probes(samples: pd.DataFrame, name: str) -> pd.DataFrame:
    """The operation's requests that were sent and say something about the target."""
    is_wanted = (samples["op"] == name).to_numpy() & is_the_targets(samples)
    return samples.loc[is_wanted, COLUMNS].dropna(subset=["sent_s", "done_s"])


def _budget(record: Record, name: str) -> float:
    """The share of failures that is no outage: the strictest limit that the experiment sets."""
    limits = [
        item.limit
        for item in record.experiment.hypothesis
        if item.subject == name and item.metric == "error_rate" and item.comparison in UPPER
    ]
    return min(max(min(limits, default=BUDGET), BUDGET), BUDGET_MAX)


def _scattered(sent_s: Array, ok: Array, outages: list[Outage]) -> dict[str, Any]:
    """The failures outside all outages, as a share of the probes outside them."""
    is_outside = np.ones(len(ok), dtype=bool)
    for outage in outages:
        is_outside &= (sent_s < outage.failed_from_s) | (sent_s > outage.failed_to_s)
    alone_s = sent_s[is_outside & ~ok]
    probes = int(is_outside.sum())
    return {
        "failed": len(alone_s),
        "error_rate": len(alone_s) / probes if probes else None,
        "first_s": float(alone_s.min()) if alone_s.size else None,
        "last_s": float(alone_s.max()) if alone_s.size else None,
    }
