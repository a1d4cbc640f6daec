"""A roster with workers that are played by the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.load.engine.config import EngineConfig
from harness.load.workers import BEGIN, HELLO, PING, PONG, READY
from harness.load.workers.protocol import protocol
from harness.load.workers.roster import ANSWERS_MIN, Expected, Roster
from harness.record.tables import SAMPLES, Traced, write_samples, write_tokens, write_traced

KEY = "of the driver"
ROW = {
    "op": "look", "key": 0, "intended_s": 0.0, "sent_s": 0.0, "done_s": 0.1, "status": 200,
    "ok": True, "error": "", "bytes": 5, "served_by": "", "cache": "", "db_node": "", "write": "",
}  # fmt: skip


def engine_config(samples: Path, **changes: Any) -> EngineConfig:
    values: dict[str, Any] = {
        "stream": "main", "run_id": "run", "seed": 3, "endpoints": [("127.0.0.1", 80)],
        "load": {"timeout_s": 1.0}, "operations": {"look": {"path": "/"}, "buy": {"path": "/b"}},
        "mix": {"look": 1.0}, "samples": str(samples), "rate_per_s": 100.0,
    }  # fmt: skip
    return EngineConfig(**{**values, **changes})


def part(folder: Path, due_s: list[float], **changes: Any) -> bytes:
    """A part of a record, as an engine writes it."""
    rows = [{**ROW, "intended_s": at, "sent_s": at, "done_s": at + 0.1, **changes} for at in due_s]
    columns = {name: [row[name] for row in rows] for name in SAMPLES.names}
    return write_samples(folder, "made", 0, columns).read_bytes()


def tokens(folder: Path, *found: tuple[int, str]) -> bytes:
    """Tokens of acknowledged writes, as an engine writes them."""
    write_tokens(folder, "made", 0, found)
    return (folder / "tokens-made-00000.parquet").read_bytes()


def traced(folder: Path, *found: Traced) -> bytes:
    """Requests that were sampled or failed, as an engine writes them."""
    write_traced(folder, "made", 0, found)
    return (folder / "traced-made-00000.parquet").read_bytes()


def batch(**changes: Any) -> bytes:
    """A report of an engine, as it writes it."""
    op = {
        "name": "look", "num_requests": 10, "num_none_requests": 1, "num_failures": 2,
        "response_times": [[5, 9]], "more": "that nobody needs",
    }  # fmt: skip
    value = {
        "ops": [op], "window_s": 0.5, "cpu_s": 0.2, "stalls": 1, "stall_max_s": 0.02, "error": "",
        "not_reached": 3,
    }  # fmt: skip
    return json.dumps({**value, **changes}).encode()


class Played:
    """A roster, what it sent and told, and workers with clocks of their own."""

    def __init__(self, folder: Path, workers: int, elsewhere: int, **config: Any) -> None:
        self.samples = folder / "samples"
        self.samples.mkdir()
        self.folder = folder
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.told: list[dict[str, Any]] = []
        self.now_s = 1000.0
        self.ahead_s: dict[str, float] = {}
        self.roster = Roster(
            engine_config(self.samples, **config),
            Expected(workers, elsewhere, KEY),
            lambda kind, worker, data: self.sent.append((kind, worker, data)),
            self.told.append,
        )

    def hear(self, kind: str, worker: str, data: object) -> None:
        self.roster.hear(kind, worker, data, self.now_s)

    def join(self, worker: str, key: str = KEY, ahead_s: float = 0.0, **facts: Any) -> None:
        """It says hello, has its engine, and its clock is known to within 2 ms."""
        self.hear(HELLO, worker, {"protocol": protocol(), "host": f"host-{worker}", "key": key})
        self.hear(READY, worker, {"is_here": key == KEY, **facts})
        self.ahead_s[worker] = ahead_s
        for _ in range(ANSWERS_MIN):
            self.answer(worker)

    def answer(self, worker: str, way_s: float = 0.004) -> None:
        """It looks at its clock in the middle of the way."""
        sent_s = self.now_s
        there_s = sent_s + way_s / 2 + self.ahead_s[worker]
        self.now_s += way_s
        self.hear(PONG, worker, {"sent_s": sent_s, "there_s": there_s})

    def pass_time(self, seconds: float) -> None:
        """Everybody answers each second."""
        for _ in range(round(seconds)):
            self.now_s += 1.0
            self.roster.tick(self.now_s)
            for kind, worker, _ in self.take(PING):
                assert kind == PING
                self.answer(worker)

    def take(self, kind: str) -> list[tuple[str, str, dict[str, Any]]]:
        """What of this kind was sent since the last time."""
        found = [one for one in self.sent if one[0] == kind]
        self.sent = [one for one in self.sent if one[0] != kind]
        return found

    def begun(self) -> dict[str, float]:
        """Second 0 of each worker, on its own clock."""
        return {worker: data["start_s"] for _, worker, data in self.take(BEGIN)}

    def states(self, *, is_last: bool = True) -> list[dict[str, Any]]:
        self.roster.tell_states(self.now_s, is_last=is_last)
        return [told["workers"] for told in self.told if "workers" in told][-1]
