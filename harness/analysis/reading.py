"""Reads a run folder into a Record; the only place that makes tables of requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.model.plan_json import experiment_from_json
from harness.record.faults import fault_rows
from harness.record.folder import RunFolder
from harness.record.remedies import remedies_found
from harness.record.run import Record

COLUMNS = [
    *("op", "key", "intended_s", "sent_s", "done_s", "status", "ok", "error"),
    *("served_by", "cache", "db_node", "write"),
]


def read_record(folder: RunFolder) -> Record:
    """The record of the run in `folder`."""
    experiment = experiment_from_json(folder.read_json("plan.json"))
    events = folder.read_events()
    return Record(
        experiment,
        events,
        _samples(folder, "main"),
        _samples(folder, "canary"),
        fault_rows(experiment, events),
        remedies_found(experiment, events),
    )


def _samples(folder: RunFolder, stream: str) -> pd.DataFrame:
    """Column by column, so that a run of ten million requests is never in memory twice."""
    order = np.argsort(_column(folder, stream, "intended_s").to_numpy(), kind="stable")
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        column = _column(folder, stream, name)
        if pa.types.is_dictionary(column.type):
            codes = column.indices.to_numpy()[order]
            columns[name] = pd.Categorical.from_codes(codes, column.dictionary.to_pylist())
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)[order]
    return pd.DataFrame(columns, copy=False)


def _column(folder: RunFolder, stream: str, name: str) -> pa.Array:
    return folder.read_samples(stream, [name])[name].combine_chunks()
