"""The harness' own arrival engine: started on a core, told its schedule, its samples read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pandas as pd
from common import ROOT

from harness.load.engine.config import EngineConfig
from harness.model.load import Load, Operation
from harness.record.folder import RunFolder
from load_tools.peers import HEADERS

READY_MAX_S, END_MAX_S, DRAIN_S = 30.0, 60.0, 6.0
READ = {"read": Operation(path="/", status=(200,), headers=HEADERS)}
LEAD_S = 0.2  # from the command to the first arrival


class EngineProcess:
    """The engine as a run starts it, on one core."""

    def __init__(self, config: EngineConfig, core: int) -> None:
        path = Path(config.samples).parent / "engine.json"
        path.write_text(config.to_json())
        self.child = subprocess.Popen(
            [sys.executable, "-m", "harness.load.engine", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        # Set before the interpreter has begun to import: its threads inherit it.
        os.sched_setaffinity(self.child.pid, {core})
        self._ready = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self) -> float:
        """Have the schedule start; the monotonic time of its first arrival."""
        if not self._ready.wait(READY_MAX_S):
            raise TimeoutError(f"the engine was not ready within {READY_MAX_S:g} s")
        start_s = monotonic() + LEAD_S
        self.say(f"begin {start_s!r}")
        return start_s

    def say(self, command: str) -> None:
        """Send one command."""
        assert self.child.stdin
        self.child.stdin.write(f"{command}\n".encode())
        self.child.stdin.flush()

    def stop(self) -> float:
        """Send nothing more, wait until all is recorded; the monotonic time then."""
        self.say(f"stop {DRAIN_S:g}")
        if code := self.child.wait(END_MAX_S):
            raise RuntimeError(f"the engine ended with exit code {code}")
        self._reader.join(5)
        return monotonic()

    def _read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            report = json.loads(line)
            if report.get("error"):
                sys.stderr.write(f"engine: {report['error']}\n")
            if report.get("ready"):
                self._ready.set()


@contextmanager
def engine(config: EngineConfig, core: int) -> Iterator[EngineProcess]:
    """A running engine, killed at the end if it is still there."""
    process = EngineProcess(config, core)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait(5)


def make_config(
    folder: Path,
    port: int,
    rate_per_s: float,
    *,
    in_flight_max: int = 0,
    operations: Mapping[str, Operation] = READ,
) -> EngineConfig:
    """One stream of operations, equally often; if none is given of `GET /`, answered by 200."""
    (folder / "samples").mkdir(parents=True)
    mix = dict.fromkeys(operations, 1.0)
    load = Load(rate_per_s=rate_per_s, mix=mix, canary_rate_per_s=0.0)
    return EngineConfig(
        stream="main",
        run_id="benchmark",
        seed=1,
        endpoints=[("127.0.0.1", port)],
        load=load.model_dump(mode="json"),
        operations={name: each.model_dump(mode="json") for name, each in operations.items()},
        mix=mix,
        samples=str(folder / "samples"),
        rate_per_s=rate_per_s,
        in_flight_max=in_flight_max,
    )


def read_samples(folder: Path, stream: str = "main") -> pd.DataFrame:
    """All that the engine recorded, in order of the intended time."""
    columns = ["intended_s", "sent_s", "done_s", "ok", "error"]
    table = RunFolder(folder).read_samples(stream, columns)
    samples: pd.DataFrame = table.to_pandas()
    return samples.sort_values("intended_s", ignore_index=True)
