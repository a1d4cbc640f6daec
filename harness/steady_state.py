"""What of an experiment's limits is missed before its first fault: then nothing is broken.

Asked once, just before the first fault, of what is recorded by then:

    warmup | baseline ............. | fault
                  judged here --> |x|^ asked
                                   3 s that may not be on disk yet

Figures and limits are the judge's own (aspects/operations.py), without the analysis: it would take
seconds of processor time while the load is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.aspects import operations
from harness.errors import RunFolderError
from harness.model.experiment import Experiment, Phase
from harness.record.folder import RunFolder
from harness.record.run import NOT_THE_TARGETS, Array

METRICS = (*operations.RANKS, *operations.FAILURES)
"""What can be said before a phase is over: how many requests there are in all cannot."""
UNWRITTEN_S = 3.0
"""The engines write each 2 s, in a thread that gives way to the load."""
COLUMNS = ["op", "intended_s", "done_s", "ok", "error"]


def missed(experiment: Experiment, folder: RunFolder, at_s: float) -> list[str]:
    """Each limit of a phase before the first fault that the record up to `at_s` misses, as text.

    Nothing where there is no evidence: then the verdict says what is missing.
    """
    phases = {phase.name: phase for phase in phases_before(experiment)}
    items = [i for i in experiment.hypothesis if i.phase in phases and i.metric in METRICS]
    sent = [item for item in items if item.subject in experiment.load.shares]
    try:
        samples = [_columns(folder, stream) for stream in ("main", "canary")] if sent else []
    except RunFolderError:
        return []
    found: list[str] = []
    for item in sent:
        requests = _requests(samples, item.subject, phases[item.phase], at_s - UNWRITTEN_S)
        figure = operations.figure_of(item, requests)
        if not figure.gap and figure.value is not None and not item.holds(figure.value):
            found.append(f"{item.phase}.{item.subject}: {item.text}, but {figure.evidence}")
    return found


def phases_before(experiment: Experiment) -> list[Phase]:
    """The judged phases that are over when the first fault, or remedy, starts."""
    first_s = experiment.first_change_s
    return [each for each in experiment.phases if each.is_judged and each.end_s <= first_s]


def _columns(folder: RunFolder, stream: str) -> dict[str, Array]:
    """Columns of all samples so far; of names an array of texts."""
    table = folder.read_samples(stream, COLUMNS)
    return {name: _array(table[name].combine_chunks()) for name in COLUMNS}


def _array(column: Any) -> Array:
    if pa.types.is_dictionary(column.type):
        names: Array = np.array([*column.dictionary.to_pylist(), ""], dtype=object)
        found: Array = names[column.indices.to_numpy(zero_copy_only=False)]
    else:
        found = column.to_numpy(zero_copy_only=False)
    return found


def _requests(
    samples: Sequence[dict[str, Array]], name: str, phase: Phase, until_s: float
) -> operations.Requests:
    """As aspects/operations.py counts them, of main load and canary together."""
    end_s = min(phase.end_s, until_s)
    parts = [_wanted(one, name, phase.start_s, end_s) for one in samples]
    whole = {column: np.concatenate([part[column] for part in parts]) for column in COLUMNS}
    count, errors = len(whole["op"]), Counter(whole["error"][~whole["ok"].astype(bool)].tolist())
    failed = errors.total()
    return operations.Requests(
        requests=count,
        failed=failed,
        error_rate=failed / count if count else None,
        success_rate=1 - failed / count if count else None,
        errors=dict(sorted(errors.items())),
        response_time_s=operations.percentiles(whole["done_s"] - whole["intended_s"]),
    )


def _wanted(columns: dict[str, Array], name: str, start_s: float, end_s: float) -> dict[str, Array]:
    due_s = columns["intended_s"]
    rows = (columns["op"] == name) & (due_s >= start_s) & (due_s < end_s)
    rows &= ~np.isin(columns["error"].astype(str), NOT_THE_TARGETS)
    return {column: values[rows] for column, values in columns.items()}
