"""What the benchmarks share: a made-up run on disk, measured children, the printed result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import parse_experiment
from harness.faults import KINDS
from harness.model.plan_json import plan_to_json
from harness.plan import make_plan
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder
from harness.record.tables import write_samples
from harness.session.targets import Choice

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # for campaigns, which are not installed
ROWS_PER_PART = 20_000  # as the recorder writes them
NODES = ("db-1", "db-2", "db-3")
EXPERIMENT = """\
title: Killing the database primary stops writes for at most 30 s
load: {entry: lb, rate: 400/s, mix: {redirect: 0.96, create: 0.04}}
phases: {warmup: 30s, baseline: 150s, fault: 240s, recovery: 180s}
faults:
  - kill: {role: db-primary}
    at: fault + 0s
expect:
  baseline: {redirect: [p95 < 200ms, error_rate < 0.1%], cache: [redis_share >= 20%]}
  fault: {create: [recovery_time <= 30s], redirect: [p99 < 200ms, error_rate < 0.1%]}
  run: {writes: [lost == 0, phantom == 0, duplicates == 0], target: [healthy]}
safeguards: {max_duration: 15m}
"""
END_S, FAULT_S, RECOVERED_S = 600.0, 180.0, 201.4


@dataclass(frozen=True, slots=True)
class Part:
    """What runs beside `core`, and the most that all of it may cost: start, idle CPU, memory."""

    files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ("core",)
    up_s: float = 40.0
    idle_percent: float = 25.0
    idle_mib: float = 1536.0

    @property
    def choice(self) -> Choice:
        """What the commands' flags would say."""
        files = tuple(ROOT / name for name in ("docker-compose.yml", *self.files))
        return Choice(compose=files, profiles=self.profiles)

    @property
    def flags(self) -> list[str]:
        """The same, for a command of its own."""
        files = [flag for path in self.choice.compose for flag in ("-f", str(path))]
        return [*files, *(flag for name in self.profiles for flag in ("--profile", name))]


PARTS = {
    "core": Part(),
    "recovery": Part(("target/recovery/archiving.yaml",), ("core", "recovery"), 60.0, 33.0, 2048.0),
    "regions": Part(("target/regions/joined.yaml",), ("core", "regions"), 90.0, 40.0, 6144.0),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; a limit is a most, with `at_least` a least."""

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the limit was kept; True without one."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def show(benchmark: str, figures: Sequence[Figure], **facts: Any) -> int:
    """Print a table, then one line of JSON; 1 if a limit was missed, else 0."""
    for figure in figures:
        limit = (
            "" if figure.limit is None else f"{'>=' if figure.at_least else '<='} {figure.limit:g}"
        )
        verdict = "" if figure.limit is None else ("kept" if figure.is_kept else "MISSED")
        row = f"{figure.name:<34}{figure.value:>14,.6g} {figure.unit:<8}{limit:>12}  {verdict}"
        sys.stdout.write(row.rstrip() + "\n")
    is_kept = all(figure.is_kept for figure in figures)
    result = {
        "benchmark": benchmark,
        **facts,
        **{figure.name: round(figure.value, 6) for figure in figures},
        "limits": {figure.name: figure.limit for figure in figures if figure.limit is not None},
        "kept": is_kept,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if is_kept else 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What a child took: wall and CPU seconds, and its largest resident size in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def run_measured(*arguments: str) -> Usage:
    """Run `python ARGUMENTS` to its end; RuntimeError if it fails.

    A child's peak starts at its parent's size when it was forked: keep the parent small.
    """
    started_s = monotonic()
    child = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1, 3):  # a verdict is no failure here
        raise RuntimeError(f"{' '.join(arguments)} ended with {child.returncode}")
    cpu_s = used.ru_utime + used.ru_stime
    return Usage(monotonic() - started_s, cpu_s, used.ru_maxrss / 1024)


def make_folder(path: Path) -> RunFolder:
    """A run folder with plan and events of a primary that was killed, and no samples yet."""
    experiment = parse_experiment(EXPERIMENT.encode(), path, KINDS, None, shortener_traffic)
    folder = RunFolder(path)
    folder.create()
    folder.write_json("plan.json", plan_to_json(make_plan(experiment, 1), experiment))
    events = EventLog(folder)
    for second in range(int(END_S)):
        events.write(second, "run.clock", wall_s=1.7e9 + second)
    resolved = {"containers": [{"service": "db-2"}]}
    facts = {"fault": "kill-1", "kind": "kill", "target": "db-2", "resolved": resolved}
    events.write(FAULT_S, "fault.injecting", **facts)
    events.write(FAULT_S, "fault.active", fault="kill-1", start_s=FAULT_S, effect_s=FAULT_S + 0.1)
    events.write(420, "fault.healed", fault="kill-1", healed_s=420.0, verified=True)
    events.write(END_S, "target.check", when="after", healthy=True, details={})
    events.write(END_S, "load.summary", cpu_s=120.0, duration_s=END_S)
    events.write(END_S, "run.finished", status="completed")
    events.close()
    return folder


def make_samples(due_s: np.ndarray[Any, Any], is_write: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Requests due at these times as a run records them: the outage fails writes, all else is ok.

    `key` is the request's number, so that a write's token is unique in its stream.
    """
    chance = np.random.default_rng(len(due_s))
    took_s = chance.lognormal(-6.0, 0.8, len(due_s))
    failed = is_write & (due_s >= FAULT_S) & (due_s < RECOVERED_S)
    tier = np.where(is_write, 0, chance.choice(4, len(due_s), p=[0.0, 0.4, 0.35, 0.25]))
    node = np.where(tier == 3, chance.integers(1, 4, len(due_s)), 0)
    return pd.DataFrame(
        {
            "op": _named(("redirect", "create"), is_write),
            "key": np.arange(len(due_s)),
            "intended_s": due_s,
            "sent_s": due_s + chance.exponential(0.0003, len(due_s)),
            "done_s": due_s + 0.0005 + took_s,
            "status": np.where(failed, 503, np.where(is_write, 201, 302)),
            "ok": ~failed,
            "error": _named(("", "wrong_status"), failed),
            "bytes": np.full(len(due_s), 180),
            "served_by": _named(("app-1", "app-2", "app-3"), chance.integers(0, 3, len(due_s))),
            "cache": _named(("", "local", "redis", "db"), tier),
            "db_node": _named(("", *NODES), node),
            "write": _named(("", "ok", "unknown"), is_write.astype(int) + failed),
        }
    )


def _named(names: Sequence[str], codes: np.ndarray[Any, Any]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes.astype(np.int64).tolist(), pd.Index(names))


def write_stream(folder: RunFolder, stream: str, samples: pd.DataFrame, first_part: int = 0) -> int:
    """Write samples in parts as a run does; the number of the next part."""
    parts = range(0, len(samples), ROWS_PER_PART)
    for number, start in enumerate(parts, first_part):
        rows = {
            str(name): column.array
            for name, column in samples[start : start + ROWS_PER_PART].items()
        }
        write_samples(folder.samples_dir, stream, number, rows)
    return first_part + len(parts)


def write_found(
    folder: RunFolder,
    found: Mapping[str, pd.DataFrame],
    lagging: Sequence[str] = (),
) -> None:
    """Write what the read-back found: by node a frame of `stream`, `n` and `rows`."""
    facts = {
        node: {
            "role": "primary" if node == NODES[0] else "replica",
            "caught_up": node not in lagging,
            "found": len(rows),
        }
        for node, rows in found.items()
    }
    frames = pd.concat([rows.assign(node=node) for node, rows in found.items()])
    folder.write_readback(facts, {str(name): column.array for name, column in frames.items()})
