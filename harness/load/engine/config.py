"""What an arrival engine is told when it starts: data only, one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.errors import LoadError
from harness.load.allowed_hosts import check_hosts
from harness.model.http import Address
from harness.record.tables import part_name


@dataclass(frozen=True)
class Entry:
    """Where some operations are sent; `file` says where it has moved to, see moving_entry.py."""

    endpoints: list[Address]
    file: str = ""


@dataclass(frozen=True)
class EngineConfig:
    """One stream of arrivals; `rate_per_s` is the first rate, commands may change it.

    From the start the rate goes through `stages` (rate, ramp_s, hold_s) and keeps the last one.
    Rates, stages and seed are those of the whole stream: of its arrivals, numbered from 0, worker
    `worker` of `workers` sends number `worker` and every `workers`-th after it.
    """

    stream: str  # main or canary
    run_id: str
    seed: int
    endpoints: list[Address]
    load: dict[str, Any]  # model.load.Load as JSON data
    operations: dict[str, dict[str, Any]]
    mix: dict[str, float]
    samples: str
    rate_per_s: float = 0.0
    stages: list[tuple[float, float, float]] = field(default_factory=list)
    replay: str = ""  # a file of recorded arrivals in place of drawn ones; its pace is rate 1
    in_flight_max: int = 0  # 0: what the highest rate and the time-out need
    cold_keys_offset: int = -1  # -1: Zipf keys of the population
    max_duration_s: float = 3600.0
    worker: int = 0
    workers: int = 1
    entry_file: str = ""  # where the entry has moved to; see moving_entry.py
    entries: dict[str, Entry] = field(default_factory=dict)  # other ones, that operations name
    data: list[str] = field(default_factory=list)  # the files of load.data, in its order
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)  # Target.headers as JSON data

    def to_json(self) -> str:
        """The configuration as text, for the file that the engine is started with."""
        return json.dumps(asdict(self))

    @property
    def part_name(self) -> str:
        """The start of the name of each file of samples."""
        return part_name(self.stream, self.worker, self.workers)

    @property
    def all_entries(self) -> dict[str, Entry]:
        """By name; that of the load is ""."""
        return {"": Entry(self.endpoints, self.entry_file), **self.entries}


def engine_config_from_json(text: str) -> EngineConfig:
    """The configuration in `text`; LoadError unless load may go to all endpoints."""
    value = json.loads(text)
    value["endpoints"] = _addresses(value["endpoints"])
    value["entries"] = {
        name: Entry(_addresses(entry["endpoints"]), entry["file"])
        for name, entry in value["entries"].items()
    }
    return EngineConfig(**value)


def _addresses(listed: list[tuple[str, int]]) -> list[Address]:
    addresses = [(host, port) for host, port in listed]
    check_endpoints(addresses)
    return addresses


def check_endpoints(endpoints: list[Address]) -> None:
    """LoadError unless there are endpoints, and all are on this machine or allowed by its user."""
    if not endpoints:
        raise LoadError("no endpoint to send load to", "is the entry published on a port?")
    check_hosts(host for host, _ in endpoints)
