"""How well the arrival engine keeps its schedule at a high, steady rate.

`python benchmarks/fidelity.py [RATE [SECONDS]]`; without arguments 5,000 a second for 60 s. The
engine runs on core 0, nginx on core 1. All figures are of the samples it recorded, against the
arrivals that the schedule has: one that is not recorded at all counts as not on schedule.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import common
import numpy as np
import pandas as pd
from load_tools.engine import engine, make_config, read_samples
from load_tools.nginx import nginx

from harness.analysis.load_health import NOT_SENT, ON_TIME_S

ENGINE_CORE, SERVER_CORE = 0, 1
ON_SCHEDULE_MIN, LATENESS_P99_MAX_MS = 0.999, 2.0


def main(rate_per_s: float, duration_s: float) -> int:
    """Run the schedule once, and hold it against the limits."""
    os.sched_setaffinity(0, {SERVER_CORE})
    with TemporaryDirectory() as temporary, nginx(SERVER_CORE) as server:
        folder = Path(temporary)
        config = make_config(folder, server.port, rate_per_s)
        with engine(config, ENGINE_CORE) as process:
            start_s = process.begin()
            sleep(max(0.0, start_s + duration_s - monotonic()))
            process.stop()
        samples = read_samples(folder)
    due = samples[samples["intended_s"] < duration_s]
    return common.show(
        "fidelity",
        _figures(due, rate_per_s * duration_s),
        rate_per_s=rate_per_s,
        duration_s=duration_s,
    )


def _figures(due: pd.DataFrame, arrivals: float) -> list[common.Figure]:
    late_s = (due["sent_s"] - due["intended_s"]).dropna().to_numpy()
    p50, p99, p999 = np.percentile(late_s, [50, 99, 99.9]) * 1e3
    on_schedule = float((late_s <= ON_TIME_S).sum()) / arrivals
    return [
        common.Figure("arrivals", arrivals),
        common.Figure("recorded", len(due)),
        common.Figure("on_schedule_share", on_schedule, "", ON_SCHEDULE_MIN, at_least=True),
        common.Figure("lateness_p50_ms", p50, "ms"),
        common.Figure("lateness_p99_ms", p99, "ms", LATENESS_P99_MAX_MS),
        common.Figure("lateness_p99.9_ms", p999, "ms"),
        common.Figure("lateness_max_ms", late_s.max() * 1e3, "ms"),
        common.Figure("dropped", int(due["error"].isin(NOT_SENT).sum()), "", 0),
        common.Figure("failures", int((~due["ok"]).sum()), "", 0),
    ]


if __name__ == "__main__":
    sys.exit(
        main(
            float(sys.argv[1]) if len(sys.argv) > 1 else 5_000.0,
            float(sys.argv[2]) if len(sys.argv) > 2 else 60.0,
        )
    )
