"""Which keys the canary of a run reads: those that were read the longest ago."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.model.experiment import Experiment
from harness.whole_file import write_whole

FILE = "canary_offset"
SPARE_S = 30


@dataclass(frozen=True, slots=True)
class CanaryKeys:
    """Where the canary's keys begin, and whether some were `read_before`, so that caches know them.

    Nothing is emptied when all were read once; `db_reached` in the findings says of how many
    answers no cache knew.
    """

    offset: int
    read_before: bool


def take_canary_keys(experiment: Experiment, state_dir: Path) -> CanaryKeys:
    """The next keys; those after them are the next run's."""
    path = state_dir / FILE
    keys = experiment.load.keys
    population = keys.cold_population or keys.population
    needed = keys_needed(experiment, experiment.end_s + SPARE_S)
    used = _used_keys(path)
    write_whole(path, str(used + needed))
    return CanaryKeys(used % population, read_before=needed > 0 and used + needed > population)


def keys_needed(experiment: Experiment, duration_s: float) -> int:
    """How many keys the canaries draw in that time: each operation that draws one has its own."""
    drawing = sum(experiment.operations[name].draws_key for name in experiment.load.canaries)
    return drawing * (int(experiment.load.canary_rate_per_s * duration_s) + 1)


def _used_keys(path: Path) -> int:
    """How many keys the canaries of all runs have read; 0 where that is not known."""
    try:
        return max(0, int(path.read_text()))
    except (OSError, ValueError):
        return 0
