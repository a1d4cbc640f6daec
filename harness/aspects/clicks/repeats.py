"""Which clicks the load balancers' own retries can have counted twice.

A request that is sent again after a server had it may be counted twice. Its code, and when it was
in flight, are known; so is when a balancer's counter of retries (`wretr`) rose. Both must fit. A
request that went to another server because none could be connected to (`wredis` alone) reached one.

   counter     5 . . . 5 . . . 7           two were tried again in this look
   request           |-------|             it can be one of them
   request  |--|                           it cannot
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from harness.record.run import Array, Record

LOOK_S = 0.05
"""Uncertainty of the time at which the counters were polled."""


def retries(record: Record, servers: Iterable[str]) -> tuple[int, Array]:
    """How many requests to these servers were tried again, and the spans in which (n x 2)."""
    wanted = set(servers)
    found = record.events_of("lb.retries")
    events = [e for e in found if e["server"] in wanted and e["retries"] > 0]
    total = sum(int(e["retries"]) for e in events)
    spans = [
        (e["t_s"] - float(e.get("span_s", 0.0)) - LOOK_S, float(e["t_s"]) + LOOK_S) for e in events
    ]
    return total, np.array(sorted(spans)).reshape(len(spans), 2)


def overlaps(sent_s: Array, done_s: Array, spans: Array) -> Array:
    """For each request whether it was in flight during one of the spans, which are in order."""
    if not spans.size:
        return np.zeros(len(sent_s), bool)
    # The spans that began before the request ended; of those the last end must be after it began.
    latest_end_s = np.maximum.accumulate(spans[:, 1])
    begun = np.searchsorted(spans[:, 0], done_s, side="right")
    return np.asarray((begun > 0) & (latest_end_s[np.maximum(begun, 1) - 1] >= sent_s))


def explained(surplus: Mapping[str, int], eligible: Mapping[str, int], total: int) -> int:
    """The most doubles that retries explain: by code (both are counts by code), and in all."""
    by_code = sum(min(count, eligible.get(code, 0)) for code, count in surplus.items())
    return min(by_code, total)
