"""Analysis, judgement and report of a run of many recorded requests: time, memory, size.

`python benchmarks/report.py [REQUESTS]`; without an argument 10,000,000, limit 15 s; for up to
1,000,000 the limit is 10 s. At most 1 GiB, the report below 3 MB. Both times are told: a busy
machine stretches the wall clock, CPU seconds show what the work itself costs.
"""

from __future__ import annotations

import sys
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import numpy as np
import pandas as pd

CANARIES_PER_S, WRITES_SHARE, CHUNK = 200, 0.04, 1_000_000
STAGES = ("analyze", "judge", "report")


def main(requests: int) -> int:
    """Make the run, then have each stage done by a process of its own, as on the command line."""
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "20260101-000000-made-up"
        maker = get_context("spawn").Process(target=make_run, args=(path, requests))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise RuntimeError(f"the run could not be made: exit code {maker.exitcode}")
        used = {stage: common.run_measured("-m", "harness", stage, str(path)) for stage in STAGES}
        size_mb = (path / "index.html").stat().st_size / 1e6
    limit_s = 10.0 if requests <= 1_000_000 else 15.0
    figures = [
        *(common.Figure(f"{stage}_s", usage.wall_s, "s") for stage, usage in used.items()),
        *(common.Figure(f"{stage}_cpu_s", usage.cpu_s, "s") for stage, usage in used.items()),
        common.Figure("total_s", sum(usage.wall_s for usage in used.values()), "s", limit_s),
        common.Figure("peak_mib", max(usage.peak_mib for usage in used.values()), "MiB", 1024),
        common.Figure("html_mb", size_mb, "MB", 3),
    ]
    return common.show("report", figures, requests=requests)


def make_run(path: Path, requests: int) -> None:
    """A run of 10 min with `requests` recorded requests, all writes found again on every node."""
    folder = common.make_folder(path)
    canaries = min(int(CANARIES_PER_S * common.END_S), requests // 2)
    due_s = np.arange(canaries) * (common.END_S / canaries)
    canary = common.make_samples(due_s, np.arange(canaries) % 2 == 1)
    common.write_stream(folder, "canary", canary)
    found = [_found("c", canary)]
    main_requests = requests - canaries
    part = 0
    for first in range(0, main_requests, CHUNK):
        numbers = np.arange(first, min(first + CHUNK, main_requests))
        is_write = np.random.default_rng(first).random(len(numbers)) < WRITES_SHARE
        samples = common.make_samples(numbers * (common.END_S / main_requests), is_write)
        samples["key"] = numbers
        part = common.write_stream(folder, "main", samples, part)
        found.append(_found("m", samples))
    common.write_found(folder, dict.fromkeys(common.NODES, pd.concat(found)))


def _found(stream: str, samples: pd.DataFrame) -> pd.DataFrame:
    numbers = samples["key"][samples["write"] == "ok"]
    return pd.DataFrame({"stream": stream, "n": numbers, "rows": 1})


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000))
