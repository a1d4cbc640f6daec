"""Outages as the harness finds them, against a server whose outages are known to the microsecond.

`python benchmarks/recovery_time.py [OUTAGES [SEED]]`; without arguments 60. Four servers at a time,
each watched by a canary of its own at 100/s, refuse, hang, reset and answer 503, equally often,
in random order, for 0.1 to 5 s.

    server    ok | broken          | ok          start, end: when the server changed (it says so)
    canary    | | | | x x x x x x x | | | |       found: `find_outages` on the recorded samples

The errors of start, end and duration are found - true. A start or end further off than the
uncertainty that is reported with it counts as outside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import common
import numpy as np
from load_tools.engine import EngineProcess, engine, make_config, read_samples

from harness.aspects.recovery.outages import Outage, find_outages
from harness.bundled.traffic import OPERATIONS

sys.path.insert(0, str(common.ROOT / "tests"))
from ground_truth import GroundTruth, Step, ground_truth

ENGINE_CORE, SERVER_CORE = 0, 1
SERVERS, CANARY_PER_S = 4, 100.0
KINDS = ("refuse", "hang", "reset", "status_503")
LENGTH_S, QUIET_S = (0.1, 5.0), (2.0, 3.0)  # of an outage, and until the next
WORST_MAX_MS, MEDIAN_MAX_MS = 20.0, 5.0
BEFORE_S, AFTER_S = 3.0, 3.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One outage as the server is told to have it, in seconds since the canary's start."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One outage as it really was, and as it was found; None: missed."""

    true: Planned
    found: Outage | None

    @property
    def errors_ms(self) -> tuple[float, float, float]:
        """Of start, end and duration; infinite if it was missed or has no end."""
        if self.found is None or self.found.end_s is None:
            return (np.inf, np.inf, np.inf)
        start_s = self.found.start_s - self.true.start_s
        end_s = self.found.end_s - self.true.end_s
        return (start_s * 1e3, end_s * 1e3, (end_s - start_s) * 1e3)

    @property
    def outside_ms(self) -> tuple[float, float]:
        """By how much start and end are further off than the reported uncertainty; 0: within."""
        uncertainty_ms = self.found.uncertainty_s * 1e3 if self.found else 0.0
        start_ms, end_ms, _ = self.errors_ms
        return max(0.0, abs(start_ms) - uncertainty_ms), max(0.0, abs(end_ms) - uncertainty_ms)


def main(outages: int, seed: int) -> int:
    """Have the outages happen, find them, hold them against what the servers say."""
    os.sched_setaffinity(0, {SERVER_CORE})
    plans = make_plans(outages, seed)
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        watches = [
            _Watch(stack, Path(temporary) / str(number), plan) for number, plan in enumerate(plans)
        ]
        for watch in watches:
            watch.begin()
        results = [watch.end() for watch in watches]
    pairs = [pair for pairs, _ in results for pair in pairs]
    _print_table(pairs)
    figures = _figures(pairs, sum(false for _, false in results))
    return common.show("recovery_time", figures, outages=outages, seed=seed)


def make_plans(outages: int, seed: int) -> list[list[Planned]]:
    """For each server its outages; every kind equally often over all of them."""
    random = Random(seed)
    kinds = [KINDS[number % len(KINDS)] for number in range(outages)]
    random.shuffle(kinds)
    plans = []
    for server in range(SERVERS):
        plan, now_s = [], BEFORE_S
        for kind in kinds[server::SERVERS]:
            start_s = now_s + random.uniform(0, QUIET_S[1] - QUIET_S[0])
            end_s = start_s + random.uniform(*LENGTH_S)
            plan.append(Planned(kind, start_s, end_s))
            now_s = end_s + QUIET_S[0]
        plans.append(plan)
    return plans


class _Watch:
    """One server and the canary that watches it."""

    def __init__(self, stack: ExitStack, folder: Path, plan: Sequence[Planned]) -> None:
        self._folder, self._plan = folder, plan
        self._server: GroundTruth = stack.enter_context(ground_truth())
        redirect = {"redirect": OPERATIONS["redirect"]}
        config = make_config(folder, self._server.port, CANARY_PER_S, operations=redirect)
        config = replace(config, stream="canary", cold_keys_offset=0)
        self._engine: EngineProcess = stack.enter_context(engine(config, ENGINE_CORE))
        self._start_s = 0.0

    def begin(self) -> None:
        self._start_s = self._engine.begin()
        steps: list[Step] = []
        for outage in self._plan:
            steps += [(outage.start_s, outage.kind, 0.0), (outage.end_s, "ok", 0.0)]
        self._server.begin(self._start_s, steps)

    def end(self) -> tuple[list[Pair], int]:
        """The outages with what was found of them, and how many were found that never were."""
        last_s = self._start_s + self._plan[-1].end_s
        times = self._server.times(last_s + AFTER_S + 30 - monotonic())
        sleep(max(0.0, last_s + AFTER_S - monotonic()))
        self._engine.stop()
        moments = [at_s - self._start_s for at_s in times]
        true = [
            Planned(outage.kind, start_s, end_s)
            for outage, start_s, end_s in zip(self._plan, moments[::2], moments[1::2], strict=True)
        ]
        return pair_up(true, self._found())

    def _found(self) -> list[Outage]:
        samples = read_samples(self._folder, "canary").dropna(subset=["sent_s", "done_s"])
        sent_s, done_s, ok = (samples[name].to_numpy() for name in ("sent_s", "done_s", "ok"))
        return find_outages(sent_s, done_s, ok)


def pair_up(true: Sequence[Planned], found: Sequence[Outage]) -> tuple[list[Pair], int]:
    """Each true outage with the one found that overlaps it most; how many found ones are left."""
    left = list(found)
    pairs = []
    for outage in true:
        best = max(left, key=lambda each: _overlap_s(outage, each), default=None)
        if best is not None and _overlap_s(outage, best) > 0:
            left.remove(best)
            pairs.append(Pair(outage, best))
        else:
            pairs.append(Pair(outage, None))
    return pairs, len(left)


def _overlap_s(true: Planned, found: Outage) -> float:
    end_s = np.inf if found.end_s is None else found.end_s
    return min(true.end_s, end_s) - max(true.start_s, found.start_s)


def _figures(pairs: Sequence[Pair], false: int) -> list[common.Figure]:
    errors_ms = np.abs([pair.errors_ms for pair in pairs])
    outside_ms = np.array([pair.outside_ms for pair in pairs])
    found = sum(pair.found is not None for pair in pairs)
    figures = [
        common.Figure("found", found, limit=len(pairs), at_least=True),
        common.Figure("found_but_untrue", false, limit=0),
    ]
    for name, errors in zip(("start", "end", "duration"), errors_ms.T, strict=True):
        figures += [
            common.Figure(f"{name}_error_median_ms", np.median(errors), "ms", MEDIAN_MAX_MS),
            common.Figure(f"{name}_error_worst_ms", errors.max(), "ms", WORST_MAX_MS),
        ]
    return [
        *figures,
        common.Figure("outside_uncertainty", int((outside_ms > 0).sum()), limit=0),
        common.Figure("outside_by_at_most_ms", outside_ms.max(), "ms"),
    ]


def _print_table(pairs: Sequence[Pair]) -> None:
    head = "".join(f"{name + ' med.':>16}{'worst':>8}" for name in ("start", "end", "duration"))
    sys.stdout.write(f"{'kind, ms':<12}{'n':>3}{head}{'uncertainty':>13}{'outside':>9}\n")
    for kind in KINDS:
        mine = [pair for pair in pairs if pair.true.kind == kind]
        errors_ms = np.abs([pair.errors_ms for pair in mine])
        cells = "".join(f"{np.median(e):>16.2f}{e.max():>8.2f}" for e in errors_ms.T)
        uncertain_ms = np.median([p.found.uncertainty_s * 1e3 for p in mine if p.found])
        outside = sum(each > 0 for pair in mine for each in pair.outside_ms)
        sys.stdout.write(f"{kind:<12}{len(mine):>3}{cells}{uncertain_ms:>13.2f}{outside:>9}\n")


if __name__ == "__main__":
    sys.exit(
        main(
            int(sys.argv[1]) if len(sys.argv) > 1 else 60,
            int(sys.argv[2]) if len(sys.argv) > 2 else 1,
        )
    )
