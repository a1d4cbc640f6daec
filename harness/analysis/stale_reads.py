"""Reads of what was written: does a read that begins after the acknowledgement see the write?

An operation with `reads` asks for a write that was acknowledged before. An answer that does not
have it (404, or the wrong content) is stale; an error or a time-out is no answer and says nothing.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.record import Record
from harness.run_store import RunFolder

EXAMPLES = 10
COLUMNS = ["op", "key", "intended_s", "sent_s", "done_s", "status", "error", "write"]


def figures(record: Record, folder: RunFolder) -> dict[str, Any]:
    """`answered`: reads that say something; `stale`: those that did not see the write.

    `stale_for_s`: the longest time after its acknowledgement at which a write was not seen. It is
    exact, for both ends are moments of one process: a lower bound of how long the write was not to
    be seen, which `uncertainty_s` does not make wider.
    Of the whole run, and in `phases` of the reads due in each judged phase.
    """
    operations = record.experiment.operations
    mix = record.experiment.load.mix
    reads = [name for name in mix if operations[name].reads and not operations[name].is_change]
    if not reads:
        return {
            "answered": None,
            "stale": None,
            "stale_for_s": None,
            "uncertainty_s": 0.0,
            "examples": [],
        }
    streams = [folder.read_samples(stream, COLUMNS).to_pandas() for stream in ("main", "canary")]
    answered = pd.concat([_answered(samples, reads) for samples in streams], ignore_index=True)
    due_s = answered["intended_s"]
    return {
        **_counts(answered),
        "phases": {
            phase.name: _counts(answered[(due_s >= phase.start_s) & (due_s < phase.end_s)])
            for phase in record.judged[:-1]
        },
        "examples": [
            f"{age_s:.3f} s after its acknowledgement write {key} was answered {status}"
            for age_s, key, status in zip(*_stale(answered), strict=True)
        ],
    }


def _counts(answered: pd.DataFrame) -> dict[str, Any]:
    stale = _missed(answered)
    return {
        "answered": len(answered),
        "stale": len(stale),
        "stale_for_s": float(stale["age_s"].max()) if len(stale) else 0.0,
        "uncertainty_s": 0.0,
    }


def _missed(answered: pd.DataFrame) -> pd.DataFrame:
    return answered[answered["error"].isin(["wrong_status", "wrong_content"])]


def _stale(answered: pd.DataFrame) -> list[Any]:
    first = _missed(answered).head(EXAMPLES)
    return [first[column] for column in ("age_s", "key", "status")]


def _answered(samples: pd.DataFrame, reads: list[str]) -> pd.DataFrame:
    """Reads of one stream that found or missed their write, with the write's age when sent."""
    writes = samples[samples["write"].isin(["ok"])].set_index("key")["done_s"]
    mine = samples[samples["op"].isin(reads)]
    is_miss = mine["status"].isin([404, 410]) & (mine["error"] == "wrong_status")
    is_wrong = mine["error"] == "wrong_content"
    mine = mine[mine["error"].isin(["", "too_slow"]) | is_miss | is_wrong]
    return mine.assign(age_s=mine["sent_s"] - mine["key"].map(writes))
