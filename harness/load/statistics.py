"""Counts since the last report, in the form that Locust's own statistics take."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from time import time
from typing import Any

import numpy as np


class Statistics:
    """One batch of counters per operation."""

    def __init__(self, operations: list[tuple[str, str]]) -> None:
        self._operations = {name: _Batch(method, name) for method, name in operations}
        self._lateness_s: list[float] = []
        self._started_s = time()

    def add_operation(self, method: str, name: str) -> None:
        """Make an operation known that was not from the start."""
        if name not in self._operations:
            self._operations[name] = _Batch(method, name)

    def add_lateness(self, late_s: float) -> None:
        """Note how long after it was due an arrival was sent."""
        self._lateness_s.append(late_s)

    def add(self, name: str, took_s: float, size: int, error: str) -> None:
        """Count one request that was sent; `error` is "" for a success."""
        self._operations[name].add(took_s, size, error)

    def add_dropped(self, name: str, error: str) -> None:
        """Count one arrival that could not be sent."""
        self._operations[name].add_dropped(error)

    def take(self) -> dict[str, Any]:
        """The batch as JSON data, counted for the second it ends in; counting starts anew."""
        now_s = time()
        batch = {
            "window_s": now_s - self._started_s,
            "ops": [o.report(now_s) for o in self._operations.values() if o.requests],
            "late_p99_s": float(np.percentile(self._lateness_s, 99)) if self._lateness_s else 0.0,
        }
        self._started_s, self._lateness_s = now_s, []
        return batch


class _Batch:
    def __init__(self, method: str, name: str) -> None:
        self._method, self._name = method, name
        self._clear()

    def _clear(self) -> None:
        self.requests = self._failures = self._dropped = self._bytes = 0
        self._total_ms = self._max_ms = 0.0
        self._min_ms: float | None = None
        self._times: defaultdict[int, int] = defaultdict(int)
        self._errors: defaultdict[str, int] = defaultdict(int)

    def add(self, took_s: float, size: int, error: str) -> None:
        took_ms = took_s * 1e3
        self.requests += 1
        self._bytes += size
        self._total_ms += took_ms
        self._max_ms = max(self._max_ms, took_ms)
        self._min_ms = took_ms if self._min_ms is None else min(self._min_ms, took_ms)
        self._times[_bucket(took_ms)] += 1
        if error:
            self._failures += 1
            self._errors[error] += 1

    def add_dropped(self, error: str) -> None:
        self.requests += 1
        self._dropped += 1
        self._failures += 1
        self._errors[error] += 1

    def report(self, now_s: float) -> dict[str, Any]:
        second = int(now_s)
        report = {
            "name": self._name,
            "method": self._method,
            "last_request_timestamp": now_s,
            "start_time": now_s - 0.5,
            "num_requests": self.requests,
            "num_none_requests": self._dropped,
            "num_failures": self._failures,
            "total_response_time": self._total_ms,
            "max_response_time": self._max_ms,
            "min_response_time": self._min_ms,
            "total_content_length": self._bytes,
            "response_times": list(self._times.items()),
            "num_reqs_per_sec": [[second, self.requests]],
            "num_fail_per_sec": [[second, self._failures]] if self._failures else [],
            "errors": list(self._errors.items()),
        }
        self._clear()
        return report


def _bucket(took_ms: float) -> int:
    """Locust's rule: two significant digits from 100 ms on."""
    if took_ms < 100:
        return round(took_ms)
    return int(round(took_ms, -1 if took_ms < 1000 else -2 if took_ms < 10000 else -3))


@dataclass(frozen=True)
class WindowFigures:
    """What a few successive batches say together."""

    rate_per_s: float
    error_rate: dict[str, float]
    p95_s: float


def summarise(batches: list[dict[str, Any]]) -> WindowFigures:
    """Rate, share of errors of each operation and p95 over `batches`; zeros if there are none."""
    window_s = sum(batch["window_s"] for batch in batches) or 1.0
    requests, failures, times = Counter[str](), Counter[str](), Counter[int]()
    for op in (op for batch in batches for op in batch["ops"]):
        requests[op["name"]] += op["num_requests"]
        failures[op["name"]] += op["num_failures"]
        times.update(dict(op["response_times"]))
    return WindowFigures(
        rate_per_s=requests.total() / window_s,
        error_rate={name: failures[name] / count for name, count in requests.items()},
        p95_s=_percentile_ms(times, 0.95) / 1e3,
    )


def _percentile_ms(times: Counter[int], share: float) -> float:
    left = share * times.total()
    for bucket in sorted(times):
        left -= times[bucket]
        if left <= 0:
            return bucket
    return 0.0
