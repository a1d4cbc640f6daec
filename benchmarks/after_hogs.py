"""How long the stack serves worse after other programs have kept the machine busy for 30 s.

`python benchmarks/after_hogs.py [ROUNDS]`; needs Docker and built images, and leaves the stack
running. Each round is a run without any fault, beside one hog, two, and as many as a build on a
much larger machine would start: 15 s as a baseline, 30 s with the hogs, 40 s after them. Counted
from the hogs' end: the last request that failed, the last second whose p95 was twice the worst of
the baseline and above 50 ms, the last breaker that closed, the last server that came back into the
rotation; 600 s if one never did. The worst p95 beside the hogs shows what they did.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import common
import pandas as pd

from campaigns.harness_command import HARNESS
from campaigns.hogs import hogs
from harness.adapters.clock import SystemClock
from harness.model.clock import wait_until
from harness.model.experiment import Phase
from harness.record.folder import RunFolder

COUNTS = (1, 2, 14)
HOGS_S, START_S, RUN_S, LIMIT_S = 30.0, 300.0, 600.0, 10.0
SLOWER, UNNOTICED_S = 2.0, 0.05
EXPERIMENT = """\
title: Nothing is broken, but the machine is busy for a while
load: {entry: lb, rate: 200/s, canary_rate: 50/s, mix: {redirect: 0.96, create: 0.04}}
phases: {warmup: 10s, baseline: 15s, busy: 32s, after: 40s}
faults: []
expect: {after: {redirect: [error_rate < 100%]}}
"""


@dataclass(frozen=True)
class Seen:
    """How long each kind of trouble lasted after the hogs, 0 if it had ended before them.

    `p95_s` is the worst of any second and operation while the hogs were there.
    """

    lasting_s: dict[str, float]
    p95_s: float


def measure(count: int) -> Seen:
    """One run beside so many hogs."""
    clock = SystemClock()
    with TemporaryDirectory(prefix="after-hogs-") as temporary:
        file, output = Path(temporary) / "busy.yaml", Path(temporary) / "runs"
        file.write_text(EXPERIMENT)
        command = [str(HARNESS), "run", str(file), "--scale", "auto", "--output", str(output)]
        with (Path(temporary) / "log").open("w+") as log:
            run = subprocess.Popen(command, cwd=common.ROOT, stdout=log, stderr=log)
            try:
                folder, start_s = _begun(run, output, clock)
                clock.sleep_until_s(start_s + _phase(folder, "busy").start_s)
                with hogs(count):
                    sleep(HOGS_S)
                hogs_s = clock.now_s() - start_s
                run.wait(RUN_S)
            finally:
                run.terminate()
                run.wait(RUN_S)
        return _seen(folder, hogs_s)


def _begun(
    run: subprocess.Popen[bytes], output: Path, clock: SystemClock
) -> tuple[RunFolder, float]:
    """The run's folder, and the monotonic time at which the run began."""
    found, _ = wait_until(
        clock, START_S, lambda: _start(output), lambda seen: seen or run.poll() is not None, 0.1
    )
    if found is None:
        raise RuntimeError(f"no run began within {START_S:.0f} s; harness run: {run.poll()}")
    return found


def _start(output: Path) -> tuple[RunFolder, float] | None:
    for log in output.glob("*/events.jsonl"):
        folder = RunFolder(log.parent)
        for event in folder.read_events():
            if event["event"] == "run.started":
                return folder, float(event["t0_monotonic_s"])
    return None


def _phase(folder: RunFolder, name: str) -> Phase:
    return next(phase for phase in folder.read_experiment().phases if phase.name == name)


def _seen(folder: RunFolder, hogs_s: float) -> Seen:
    """What a run recorded whose hogs ended at its second `hogs_s`."""
    events = folder.read_events()
    columns = ["op", "intended_s", "done_s", "ok"]
    samples = pd.concat(
        [folder.read_samples(each, columns).to_pandas() for each in ("main", "canary")]
    )
    p95_s = _p95_by_second(samples)
    last_s = {
        "failed": _last_failed_s(samples),
        "slow": _last_slow_s(p95_s, _phase(folder, "baseline")),
        "breaker": _last_back(events, "breaker.transition", ("server", "breaker"), "to"),
        "rotation": _last_back(events, "lb.server", ("lb", "backend", "server"), "status"),
    }
    beside = p95_s[p95_s["second"].between(_phase(folder, "busy").start_s, hogs_s - 1)]
    lasting_s = {name: max(0.0, at_s - hogs_s) for name, at_s in last_s.items()}
    return Seen(lasting_s, float(beside["p95_s"].max()))


def _p95_by_second(samples: pd.DataFrame) -> pd.DataFrame:
    took = samples.assign(
        second=samples["intended_s"].astype(int), p95_s=samples["done_s"] - samples["intended_s"]
    )
    by_second = took.groupby(["op", "second"], observed=True)["p95_s"]
    return by_second.quantile(0.95).reset_index()


def _last_failed_s(samples: pd.DataFrame) -> float:
    failed = samples[~samples["ok"]]
    return max(failed["done_s"].fillna(failed["intended_s"]), default=0.0)


def _last_slow_s(p95_s: pd.DataFrame, baseline: Phase) -> float:
    """The end of the last second that was slow for any operation."""
    before = p95_s[p95_s["second"].between(baseline.start_s, baseline.end_s - 1)]
    worst_s = before.groupby("op", observed=True)["p95_s"].max()
    limit_s = (SLOWER * worst_s).clip(lower=UNNOTICED_S)
    slow = p95_s[p95_s["p95_s"] > p95_s["op"].astype(str).map(limit_s)]
    return max(slow["second"] + 1, default=0.0)


def _last_back(
    events: Sequence[dict[str, Any]], name: str, parts: Sequence[str], state: str
) -> float:
    """When the last of these was again in the state that it began in; RUN_S if one never was."""
    seen: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for event in events:
        if event["event"] == name:
            before = [(0.0, str(event["from"]))] if "from" in event else []
            changes = seen.setdefault(tuple(event[part] for part in parts), before)
            changes.append((event["t_s"], str(event[state])))
    return max(
        (RUN_S if each[-1][1] != each[0][1] else each[-1][0] for each in seen.values()), default=0.0
    )


def main(rounds: int) -> int:
    """The longest of all rounds, by hogs."""
    figures: list[common.Figure] = []
    for count in COUNTS:
        seen = [measure(count) for _ in range(rounds)]
        sys.stdout.writelines(f"beside {count}: {_words(one)}\n" for one in seen)
        sys.stdout.flush()
        figures += _figures(count, seen)
    return common.show("after_hogs", figures, rounds=rounds)


def _words(one: Seen) -> str:
    lasting = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.lasting_s.items())
    return f"p95 {1e3 * one.p95_s:.0f} ms; after them: {lasting}"


def _figures(count: int, seen: Sequence[Seen]) -> list[common.Figure]:
    p95_s = max(one.p95_s for one in seen)
    lasting_s = [one.lasting_s for one in seen]
    return [
        common.Figure(f"p95_beside_{count}_ms", 1e3 * p95_s, "ms"),
        *(
            common.Figure(f"{name}_after_{count}_s", max(o[name] for o in lasting_s), "s", LIMIT_S)
            for name in lasting_s[0]
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
