"""1,734 reads and 18 writes a second (the text) for 60 s through the whole stack; how much more?

`python benchmarks/stack_rate.py [SECONDS]`; needs Docker and built images, and leaves the stack
running. The load enters at the edge, its keys are Zipf-distributed; stack and generator share the
machine's cores. A warm-up of 20 s is not measured; in it the rate rises from a tenth, because the
caches are cold and the text's rate is that of warm ones. Then the rate is doubled until it does not
hold, and halved in between: each step lasts 25 s, of which the rise of 10 s is not measured. Every
step has a seed of its own, so that it does not ask for the very keys that the edge just kept.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import numpy as np
import pandas as pd

from harness.adapters.clock import SystemClock
from harness.bundled.traffic import OPERATIONS, TRAFFIC
from harness.load.driver import LoadConfig, LoadDriver
from harness.lock import run_lock
from harness.model.load import Load, Stage
from harness.record.folder import RunFolder
from harness.session.project import Project

READS_PER_S, WRITES_PER_S, SECONDS = 1734.0, 18.0, 60.0
P95_LIMIT_S, ERROR_RATE_LIMIT = 0.2, 0.001
LATE_P99_LIMIT_S, DROPPED_LIMIT = 0.05, 0.001  # else the generator, not the stack, was measured
WARMUP_S, STEP_RISE_S, STEP_S = 20.0, 10.0, 15.0
STEPS_MAX, CLOSE_ENOUGH = 7, 1.06
LEAD_S = 0.5
COLUMNS = ["op", "intended_s", "sent_s", "done_s", "ok", "error", "status", "cache"]


@dataclass(frozen=True)
class Step:
    """What one rate did; times from the moment a request was due."""

    rate_per_s: float
    p95_s: dict[str, float]
    error_rate: float
    errors: dict[str, int]
    late_p99_s: float
    dropped: float
    edge_share: float
    generator_percent: float

    @property
    def is_held(self) -> bool:
        """Whether stack and generator kept all limits."""
        return (
            max(self.p95_s.values()) < P95_LIMIT_S
            and self.error_rate < ERROR_RATE_LIMIT
            and self.late_p99_s <= LATE_P99_LIMIT_S
            and self.dropped <= DROPPED_LIMIT
        )


def measure(project: Project, rate_per_s: float, rise_s: float, seconds: float) -> Step:
    """Rise to `rate_per_s` arrivals in the text's mix, then measure for `seconds`."""
    with TemporaryDirectory() as temporary:
        now = datetime.now().astimezone()
        folder = RunFolder(Path(temporary) / f"{now:%Y%m%d-%H%M%S}-rate")
        folder.create()
        load = Load(
            entry="edge",
            rate_per_s=rate_per_s / 10,
            stages=(Stage(rate_per_s=rate_per_s, ramp_s=rise_s, hold_s=seconds),),
            mix={"redirect": READS_PER_S, "create": WRITES_PER_S},
            keys=TRAFFIC.keys,
            canary_rate_per_s=0,
        )
        config = LoadConfig(
            load=load,
            operations=OPERATIONS,
            endpoints=project.endpoints(load),
            seed=int(now.timestamp()),
            run_id=folder.run_id,
            duration_s=rise_s + seconds,
            canary_key_offset=0,
            samples_dir=folder.samples_dir,
        )
        cpu_percent = _send(LoadDriver(config, folder), rise_s + seconds)
        samples = folder.read_samples("main", COLUMNS).to_pandas()
    measured = samples[samples["intended_s"].between(rise_s, rise_s + seconds)]
    return _step(rate_per_s, measured, cpu_percent)


def _send(driver: LoadDriver, seconds: float) -> float:
    """Run the load for `seconds`; the generator's CPU in per cent of one core."""
    clock = SystemClock()
    try:
        driver.start()
        began_s = clock.now_s() + LEAD_S
        driver.begin(began_s)
        while clock.now_s() < began_s + seconds:
            clock.sleep_until_s(min(clock.now_s() + 1, began_s + seconds))
            driver.check()
        summary = driver.stop()
    except BaseException:
        driver.kill()
        raise
    return 100 * summary.cpu_s / summary.duration_s


def _step(rate_per_s: float, samples: pd.DataFrame, generator_percent: float) -> Step:
    sent = samples[~samples["sent_s"].isna()]
    failed = sent[~sent["ok"]]
    took_s = sent["done_s"] - sent["intended_s"]
    return Step(
        rate_per_s=rate_per_s,
        p95_s={
            str(name): float(np.percentile(took_s[sent["op"] == name], 95))
            for name in sent["op"].unique()
        },
        error_rate=len(failed) / len(sent),
        errors=dict(Counter(map("{} {}".format, failed["error"], failed["status"])).most_common(3)),
        late_p99_s=float(np.percentile(sent["sent_s"] - sent["intended_s"], 99)),
        dropped=1 - len(sent) / len(samples),
        edge_share=float((sent.loc[sent["op"] == "redirect", "cache"] == "edge").mean()),
        generator_percent=generator_percent,
    )


def search(project: Project, held: Step) -> Step:
    """The step with the highest rate that holds: doubled until one does not, then in between."""
    too_much_per_s = float("inf")
    for _ in range(STEPS_MAX):
        if too_much_per_s / held.rate_per_s < CLOSE_ENOUGH:
            break
        is_bounded = too_much_per_s < float("inf")
        rate_per_s = sqrt(held.rate_per_s * too_much_per_s) if is_bounded else 2 * held.rate_per_s
        step = measure(project, round(rate_per_s), STEP_RISE_S, STEP_S)
        _say(step)
        if step.is_held:
            held = step
        else:
            too_much_per_s = step.rate_per_s
            _start_anew(project)
    return held


def _start_anew(project: Project) -> None:
    """What one rate broke must not count against the next."""
    project.compose.down()
    project.compose.up()
    project.wait_healthy()


def _say(step: Step) -> None:
    times = ", ".join(f"{name} p95 {p95_s * 1e3:.1f} ms" for name, p95_s in step.p95_s.items())
    told = "".join(f", {count} {error}" for error, count in step.errors.items())
    sys.stdout.write(
        f"{step.rate_per_s:,.0f}/s {'held' if step.is_held else 'NOT held'}: {times},"
        f" errors {step.error_rate:.3%}{told}, late p99 {step.late_p99_s * 1e3:.1f} ms,"
        f" dropped {step.dropped:.3%}, edge {step.edge_share:.1%}\n"
    )
    sys.stdout.flush()


def main(seconds: float) -> int:
    """The text's rate, then the search."""
    project = Project()
    project.check_journal()
    with run_lock(project.lock_path, "benchmarks/stack_rate.py"):
        project.compose.up()
        project.wait_healthy()
        first = measure(project, READS_PER_S + WRITES_PER_S, WARMUP_S, seconds)
        _say(first)
        highest = search(project, first) if first.is_held else None
    figures = [
        common.Figure("cores", os.cpu_count() or 0),
        common.Figure("rate", first.rate_per_s, "/s"),
        common.Figure("seconds", seconds, "s"),
        *(
            common.Figure(f"{name}_p95_ms", p95_s * 1e3, "ms", P95_LIMIT_S * 1e3)
            for name, p95_s in sorted(first.p95_s.items())
        ),
        common.Figure("error_percent", 100 * first.error_rate, "%", 100 * ERROR_RATE_LIMIT),
        common.Figure("late_p99_ms", first.late_p99_s * 1e3, "ms", LATE_P99_LIMIT_S * 1e3),
        common.Figure("dropped_percent", 100 * first.dropped, "%", 100 * DROPPED_LIMIT),
        common.Figure("edge_percent", 100 * first.edge_share, "%"),
        common.Figure("generator_percent", first.generator_percent, "%"),
        common.Figure("highest_rate", highest.rate_per_s if highest else 0.0, "/s"),
    ]
    return common.show("stack_rate", figures)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
