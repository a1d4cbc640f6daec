"""How long the stack serves worse after other programs have kept the machine busy for 30 s.

`python benchmarks/after_hogs.py [ROUNDS]`; needs Docker and built images, and leaves the stack
running. Each round is a run without any fault, beside one hog, two, and as many as a build on a
much larger machine would start: 15 s as a baseline, 30 s with the hogs, 40 s after them. Counted
from the hogs' end: the last request that failed, the last second whose p95 was twice the worst of
the baseline and above 50 ms, the last breaker that closed, the last server that came back into the
rotation; 600 s if one never did. The worst p95 beside the hogs shows what they did.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import common
import pandas as pd

from campaigns.harness_command import HARNESS
from campaigns.hogs import hogs
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
class Ended:
    """When, in the run's seconds, the hogs ended, and when each kind of trouble was last seen.

    `p95_s` is the worst of any second and operation while the hogs were there.
    """

    hogs_s: float
    last_s: dict[str, float]
    p95_s: float

    def lasting_s(self) -> dict[str, float]:
        """How long each lasted after the hogs; 0 if it had ended before them, or never was."""
        return {name: max(0.0, at_s - self.hogs_s) for name, at_s in self.last_s.items()}


def measure(count: int) -> Ended:
    """One run beside so many hogs."""
    with TemporaryDirectory(prefix="after-hogs-") as temporary:
        file, output = Path(temporary) / "busy.yaml", Path(temporary) / "runs"
        file.write_text(EXPERIMENT)
        command = [str(HARNESS), "run", str(file), "--scale", "auto", "--output", str(output)]
        with (Path(temporary) / "log").open("w+") as log:
            run = subprocess.Popen(command, cwd=common.ROOT, stdout=log, stderr=log)
            try:
                folder = _wait_until_busy(run, output)
                with hogs(count):
                    sleep(HOGS_S)
                ended_s = monotonic()
                run.wait(RUN_S)
            finally:
                run.terminate()
                run.wait(RUN_S)
        return _ended(RunFolder(folder), ended_s)


def _wait_until_busy(run: subprocess.Popen[bytes], output: Path) -> Path:
    """The run's folder, once its phase for the hogs has begun."""
    deadline_s = monotonic() + START_S
    while monotonic() < deadline_s:
        for log in output.glob("*/events.jsonl"):
            if any(e.get("phase") == "busy" for e in _events(log)):
                return log.parent
        if run.poll() is not None:
            break
        sleep(0.1)
    raise RuntimeError(f"no phase began within {START_S:.0f} s; harness run: {run.poll()}")


def _events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def _ended(folder: RunFolder, ended_s: float) -> Ended:
    events = _events(folder.path / "events.jsonl")
    phases = {e["phase"]: e["t_s"] for e in events if e["event"] == "phase.started"}
    [start_s] = [e["t0_monotonic_s"] for e in events if e["event"] == "run.started"]
    columns = ["op", "intended_s", "done_s", "ok"]
    streams = [folder.read_samples(each, columns).to_pandas() for each in ("main", "canary")]
    samples, busy_s, hogs_s = pd.concat(streams), phases["busy"], ended_s - start_s
    p95_s = _p95_by_second(samples)
    last_s = {
        "failed": _last_failed_s(samples),
        "slow": _last_slow_s(p95_s, phases["baseline"], busy_s),
        "breaker": _last_back(events, "breaker.transition", ("server", "breaker"), "to"),
        "rotation": _last_back(events, "lb.server", ("lb", "backend", "server"), "status"),
    }
    beside = p95_s[p95_s["second"].between(busy_s, hogs_s - 1)]
    return Ended(hogs_s, last_s, float(beside["p95_s"].max()))


def _p95_by_second(samples: pd.DataFrame) -> pd.DataFrame:
    took = samples.assign(
        second=samples["intended_s"].astype(int), p95_s=samples["done_s"] - samples["intended_s"]
    )
    by_second = took.groupby(["op", "second"], observed=True)["p95_s"]
    return by_second.quantile(0.95).reset_index()


def _last_failed_s(samples: pd.DataFrame) -> float:
    failed = samples[~samples["ok"]]
    return max(failed["done_s"].fillna(failed["intended_s"]), default=0.0)


def _last_slow_s(p95_s: pd.DataFrame, from_s: float, to_s: float) -> float:
    """The end of the last second that was slow for any operation, compared with those between."""
    before = p95_s[p95_s["second"].between(from_s, to_s - 1)]
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


def _words(one: Ended) -> str:
    lasting = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.lasting_s().items())
    return f"p95 {1e3 * one.p95_s:.0f} ms; after them: {lasting}"


def _figures(count: int, seen: Sequence[Ended]) -> list[common.Figure]:
    p95_s = max(one.p95_s for one in seen)
    lasting_s = [one.lasting_s() for one in seen]
    return [
        common.Figure(f"p95_beside_{count}_ms", 1e3 * p95_s, "ms"),
        *(
            common.Figure(f"{name}_after_{count}_s", max(o[name] for o in lasting_s), "s", LIMIT_S)
            for name in lasting_s[0]
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
