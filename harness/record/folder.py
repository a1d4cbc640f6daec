"""The layout of one run folder: where everything is, and reading and writing it.

reports/<run-id>/
  experiment.yaml     the file as it was run            written by: run
  plan.json           steps, faults, seed                           run
  environment.json    allow-listed facts of machine and target      run
  events.jsonl        one event a line, in order of time            run
  samples/*.parquet   one row per request: main-*.parquet (load), canary-*.parquet; tokens-*: what
                      acknowledged writes returned, where they are read back by it; traced-*:
                      numbers of requests that were sampled or failed
  samples/*.json      a few wrong answers of each kind              run
  load/               what the generators were told and said        run
  target/*.json       what the target was asked after the run (writes, clicks, settings, metrics)
  logs/*.jsonl.gz     what each part logged during the run; about.json: what was cut
  findings.json       every figure                                  analyze
  result.json         the verdict and the figures scripts rely on   judge
  junit.xml summary.md                                              judge
  index.html                                                        report
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import RunFolderError
from harness.model.example import Example
from harness.model.experiment import Experiment
from harness.model.plan_json import experiment_from_json
from harness.record.damage import DAMAGED, lacking, understood
from harness.record.events import events_in
from harness.record.examples import read_examples
from harness.record.tables import (
    CLICKS,
    METRICS,
    SAMPLES,
    TOKENS,
    TOKENS_PREFIX,
    TRACED,
    TRACED_PREFIX,
    WRITES,
    read_replay,
    read_table,
    refuse_gaps,
    write_table,
)
from harness.whole_file import recorded, write_whole


class RunFolder:
    """One run folder; nothing is created before the first write.

    What cannot be written is a RecordError, what cannot be read or understood a RunFolderError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def samples_dir(self) -> Path:
        """Where the engines write their Parquet parts."""
        return self.path / "samples"

    def create(self) -> None:
        """Make the folder; RecordError if a run with this id was written before."""
        with recorded(self.path):
            self.samples_dir.mkdir(parents=True)
            (self.path / "target").mkdir()

    def write_text(self, name: str, text: str) -> None:
        """Write one file whole or not at all."""
        write_whole(self.path / name, text)

    def write_json(self, name: str, value: Any) -> None:
        """Write `value` as sorted, indented JSON: the same value gives the same bytes."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")

    def read_text(self, name: str) -> str:
        """The text of one file; the error says which stage would have written it."""
        with understood(self.path / name, _stage_hint(name, self.path)):
            return (self.path / name).read_text(encoding="utf-8")

    def read_json(self, name: str, needed: Mapping[str, type] | None = None) -> dict[str, Any]:
        """The object in one JSON file, which has at least the values that are `needed`."""
        path, hint = self.path / name, _stage_hint(name, self.path)
        text = self.read_text(name)
        with understood(path, hint):
            value = json.loads(text)
        if not isinstance(value, dict):
            raise RunFolderError(f"{path}: not a JSON object", hint)
        if wrong := lacking(value, needed or {}):
            raise RunFolderError(f"{path}: {wrong}; was it written by another version?", hint)
        return value

    def read_experiment(self) -> Experiment:
        """The experiment that was run, out of plan.json."""
        value = self.read_json("plan.json", {"experiment": dict, "plan": dict})
        with understood(self.path / "plan.json", DAMAGED):
            return experiment_from_json(value)

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.path / name).exists()

    def read_events(self) -> list[dict[str, Any]]:
        """All events in order; see `events.py`."""
        return events_in(self.read_text("events.jsonl"), self.path / "events.jsonl")

    def sample_parts(self, stream: str) -> list[Path]:
        """The Parquet parts of a stream (`main` or `canary`) in the order they were written."""
        parts = sorted(self.samples_dir.glob(f"{stream}-*.parquet"))
        refuse_gaps(parts)
        return parts

    def read_samples(self, stream: str, columns: list[str] | None = None) -> pa.Table:
        """All samples of a stream, or only some `columns` of them; empty if there are none."""
        tables = [read_table(part, SAMPLES, columns) for part in self.sample_parts(stream)]
        if not tables:
            return SAMPLES.empty_table().select(columns or SAMPLES.names)
        return pa.concat_tables(tables).unify_dictionaries()

    def read_tokens(self, stream: str) -> pa.Table:
        """What acknowledged writes of a stream returned, where it counts (columns: TOKENS)."""
        return self._read_parts(f"{TOKENS_PREFIX}{stream}", TOKENS)

    def read_traced(self, stream: str) -> pa.Table:
        """Which requests of a stream were sampled or failed (columns: TRACED)."""
        return self._read_parts(f"{TRACED_PREFIX}{stream}", TRACED)

    def _read_parts(self, stream: str, schema: pa.Schema) -> pa.Table:
        tables = [read_table(part, schema) for part in self.sample_parts(stream)]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def read_examples(self) -> list[Example]:
        """A few wrong answers of each operation and class of error, in order of time."""
        return read_examples(self.samples_dir)

    def read_replay(self) -> pa.Table | None:
        """What was planned to be sent again: `intended_s` (rising) and `op`, the place in the mix.

        None for a run that replayed none, or whose plan of it is gone.
        """
        path = self.path / "load" / "replay.parquet"
        return read_replay(path) if path.exists() else None

    def read_writes(self) -> pa.Table:
        """What the read-back found (columns: WRITES)."""
        return read_table(self.path / "target" / "writes.parquet", WRITES)

    def read_clicks(self) -> pa.Table:
        """What the click counts gained (columns: CLICKS)."""
        return read_table(self.path / "target" / "clicks.parquet", CLICKS)

    def read_metrics(self) -> pa.Table:
        """What the target's own monitoring has seen (columns: METRICS)."""
        return read_table(self.path / "target" / "metrics.parquet", METRICS)

    def write_metrics(self, facts: Mapping[str, Any], rows: Mapping[str, Any]) -> None:
        """Write `target/metrics.parquet` (columns: METRICS), and the facts to `metrics.json`."""
        write_table(self.path / "target" / "metrics.parquet", METRICS, rows)
        self.write_json("target/metrics.json", {**facts, "rows_file": "target/metrics.parquet"})

    def write_readback(
        self,
        nodes: Mapping[str, Any],
        rows: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `target/writes.parquet` (columns: WRITES), and the nodes to `writes.json` there.

        `facts` (see aspects/writes.py) say what was read back, if that is not every write.
        """
        write_table(self.path / "target" / "writes.parquet", WRITES, rows)
        about = {"nodes": nodes, "rows_file": "target/writes.parquet", **(facts or {})}
        self.write_json("target/writes.json", about)

    def write_clicks(self, facts: Mapping[str, Any], gained: Mapping[str, int]) -> None:
        """Write `target/clicks.parquet` (columns: CLICKS), and the facts to `clicks.json` there."""
        rows = {"code": list(gained), "clicks": list(gained.values())}
        write_table(self.path / "target" / "clicks.parquet", CLICKS, rows)
        self.write_json("target/clicks.json", {**facts, "rows_file": "target/clicks.parquet"})

    def write_settings(self, readings: Mapping[str, Any]) -> None:
        """Write what was read of the target's settings, by when (before, after; None: not read)."""
        self.write_json("target/settings.json", readings)


def new_folder(reports: Path, name: str) -> Path:
    """A folder named by time and `name` that is not there yet."""
    stem = f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{name}"
    path, number = reports / stem, 2
    while path.exists():
        path, number = reports / f"{stem}-{number}", number + 1
    return path


def run_folders(reports: Path) -> Iterator[RunFolder]:
    """All run folders below `reports`, newest first by their id."""
    for path in sorted(reports.glob("*/events.jsonl"), reverse=True):
        if not path.parent.is_symlink():
            yield RunFolder(path.parent)


def _stage_hint(name: str, path: Path) -> str:
    stages = {"findings.json": "analyze", "result.json": "judge", "index.html": "report"}
    return f"harness {stages[name]} {path}" if name in stages else DAMAGED
