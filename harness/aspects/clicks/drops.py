"""How many clicks app servers gave up and said so, over all the processes that they had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.record.run import Record


def dropped_clicks(record: Record, before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """What all servers told as dropped during the run; `before` and `after` are what they said
    just before the load and after healing.

    A process counts from 0, and what one that died had told is known from the last look at it.
    """
    return sum(
        _of_server(record, name, before.get(name), after.get(name)) for name in {*before, *after}
    )


def _of_server(
    record: Record, server: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> int:
    looks = [e for e in record.events_of("clicks.waiting") if e["server"] == server]
    if not looks:
        return _without_looks(before or {}, after)
    starts_s = [e["t_s"] for e in record.events_of("container.start") if e["service"] == server]
    total, known, known_s = 0, int((before or {}).get("dropped") or 0), -math.inf
    for look in looks:
        told, at_s = int(look["dropped"]), float(look["t_s"])
        is_renewed = told < known or any(known_s < start_s <= at_s for start_s in starts_s)
        total += told if is_renewed else told - known
        known, known_s = told, at_s
    # Polling continues after the last reading, unless the server was gone.
    return total + max(0, int((after or {}).get("dropped") or 0) - known)


def _without_looks(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> int:
    if after is None:
        return 0
    is_same = before.get("started_s") == after["started_s"]
    return max(0, (after["dropped"] or 0) - ((before.get("dropped") or 0) if is_same else 0))
