"""The harness as processes of its own: one run, and commands beside it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq

from campaigns.harness_command import HARNESS, ROOT

EVENT_S, END_S, HEALTHY_S = 60.0, 180.0, 90.0


class Run:
    """One `harness run` as a process of its own."""

    def __init__(self, text: str, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        file = output / "interrupted.yaml"
        file.write_text(text)
        self.output = output
        command = [str(HARNESS), "run", str(file), "--no-up", "--output", str(output)]
        with (output / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, process_group=0
            )

    @property
    def folder(self) -> Path | None:
        """The run folder, None before there is one."""
        return next((path.parent for path in self.output.glob("2*/events.jsonl")), None)

    def wait_for(self, moment: str) -> None:
        """Return as soon as the event is in the log."""
        name, _, number = moment.partition(" ")
        deadline_s = time.monotonic() + EVENT_S
        while self.count(name) < int(number or 1):
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.process.terminate()
                self.end()
                raise RuntimeError(f"{moment} did not come: {self.text()[-500:]}")
            time.sleep(0.002)

    def count(self, event: str) -> int:
        """How often the event is in the log."""
        if self.folder is None:
            return 0
        return (self.folder / "events.jsonl").read_text().count(f'"event": "{event}"')

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(END_S)

    def text(self) -> str:
        """What it printed."""
        return (self.output / "log").read_text()

    def samples(self) -> int:
        """How many requests were recorded."""
        parts = self.folder.glob("samples/*.parquet") if self.folder else ()
        return sum(pq.read_metadata(part).num_rows for part in parts)

    def status(self) -> str:
        """What a later stage reads out of the folder."""
        command = [str(HARNESS), "analyze", str(self.folder)]
        subprocess.run(command, cwd=ROOT, timeout=60, check=True, stdout=subprocess.DEVNULL)
        assert self.folder is not None
        return str(json.loads((self.folder / "findings.json").read_text())["status"])

    def children(self) -> list[str]:
        """Processes of the run that are still there: load and watchdog name its folder."""
        name = self.folder.name if self.folder else "no folder"
        listed = subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        )
        return [line.strip() for line in listed.stdout.splitlines() if name in line]

    def watchdogs(self) -> list[int]:
        """Their process ids: of this run only."""
        return [int(line.split()[0]) for line in self.children() if "watchdog" in line]


def harness(*arguments: str) -> tuple[int, str]:
    """One command, to its end."""
    command = [str(HARNESS), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


def healthy_after_s() -> float:
    """How long it takes from now until `harness status` calls the stack healthy."""
    started_s, text = time.monotonic(), ""
    while time.monotonic() < started_s + HEALTHY_S:
        code, text = harness("status", "--json")
        if code == 0 and json.loads(text)["healthy"]:
            return time.monotonic() - started_s
        time.sleep(0.5)
    raise RuntimeError(f"not healthy after {HEALTHY_S:.0f} s: {text[-500:]}")
