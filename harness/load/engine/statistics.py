"""Counts since the last report, in the form that Locust's own statistics take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import numpy as np

from harness.load.engine.recorder import Columns, Names

Array = np.ndarray[Any, Any]
USED = ("op", "error", "status", "bytes", "intended_s", "sent_s", "done_s")


class Statistics:
    """`add` what the recorder collected, `take` one batch of counters per operation.

    `methods` has the HTTP method of each operation; one that is not in it is a `GET`.
    """

    def __init__(self, names: Mapping[str, Names], methods: Mapping[str, str]) -> None:
        self._names, self._methods = names, methods
        self._parts: list[Columns] = []
        self._started_s = time()

    def add(self, columns: Columns | None) -> None:
        """Count these requests in the next batch."""
        if columns is not None:
            self._parts.append({name: columns[name] for name in USED})

    def take(self) -> dict[str, Any]:
        """The batch as JSON data, counted for the second it ends in; counting starts anew."""
        now_s = time()
        parts, self._parts = self._parts, []
        batch = {"window_s": now_s - self._started_s, "ops": [], "late_p99_s": 0.0}
        self._started_s = now_s
        if parts:
            columns = {name: np.concatenate([part[name] for part in parts]) for name in USED}
            late_s = columns["sent_s"] - columns["intended_s"]
            late_s = late_s[~np.isnan(late_s)]
            batch["late_p99_s"] = float(np.percentile(late_s, 99)) if late_s.size else 0.0
            batch["ops"] = self._operations(columns, now_s)
        return batch

    def _operations(self, columns: Columns, now_s: float) -> list[dict[str, Any]]:
        found = []
        for name, code in self._names["op"].items():
            is_mine = columns["op"] == code
            if is_mine.any():
                mine = {column: values[is_mine] for column, values in columns.items()}
                method = self._methods.get(name, "GET")
                found.append({"name": name, "method": method, **self._figures(mine, now_s)})
        return found

    def _figures(self, mine: Columns, now_s: float) -> dict[str, Any]:
        took_ms = 1e3 * (mine["done_s"] - mine["intended_s"])
        took_ms = took_ms[~np.isnan(took_ms)]
        requests, failures = len(mine["op"]), int((mine["error"] != 0).sum())
        second = int(now_s)
        return {
            "last_request_timestamp": now_s,
            "start_time": now_s - 0.5,
            "num_requests": requests,
            "num_none_requests": requests - len(took_ms),
            "num_failures": failures,
            "total_response_time": float(took_ms.sum()),
            "max_response_time": float(took_ms.max(initial=0.0)),
            "min_response_time": float(took_ms.min()) if took_ms.size else None,
            "total_content_length": int(mine["bytes"].sum(dtype=np.int64)),
            "response_times": _counted(_buckets(took_ms)),
            "num_reqs_per_sec": [[second, requests]],
            "num_fail_per_sec": [[second, failures]] if failures else [],
            "errors": self._errors(mine) if failures else [],
        }

    def _errors(self, mine: Columns) -> list[tuple[str, int]]:
        names = list(self._names["error"])
        failed = mine["error"] != 0
        pairs = np.stack([mine["error"][failed].astype(int), mine["status"][failed].astype(int)])
        found, counts = np.unique(pairs, axis=1, return_counts=True)
        return [
            (f"{names[error]} {status or ''}".strip(), int(count))
            for (error, status), count in zip(found.T.tolist(), counts, strict=True)
        ]


def _buckets(took_ms: Array) -> Array:
    """Locust's rule: two significant digits from 100 ms on."""
    step = np.select([took_ms < 100, took_ms < 1000, took_ms < 10_000], [1, 10, 100], 1000)
    buckets: Array = (np.round(took_ms / step) * step).astype(int)
    return buckets


def _counted(buckets: Array) -> list[list[int]]:
    values, counts = np.unique(buckets, return_counts=True)
    return np.stack([values, counts], axis=1).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class WindowFigures:
    """What a few successive batches say together."""

    rate_per_s: float
    error_rate: dict[str, float]
    p95_s: float


def summarise(batches: list[dict[str, Any]], engines: int = 1) -> WindowFigures:
    """Rate, share of errors of each operation and p95 over `batches`; zeros if there are none.

    Those of several `engines` cover the same time.
    """
    window_s = sum(batch["window_s"] for batch in batches) / max(1, engines) or 1.0
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
