"""What the charts draw: one value a second, all on the run's own clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

Values = Sequence[float | None]
"""One for each of `t_s`; None where nothing was measured in that second."""
Changes = Sequence[tuple[float, str]]
"""Since when a state holds, in seconds since run start, and which."""


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """`t_s`: when each bucket begins, in seconds since run start; all are `bucket_s` long."""

    bucket_s: float = 1.0
    t_s: Sequence[float] = ()


@dataclass(frozen=True, kw_only=True)
class MachineSeries(Buckets):
    """Who had the processor: by name of Shares, each a share of the usable time."""

    shares: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CanarySeries:
    """Canaries of one operation each second: successes, those of them over the limit for latency,
    and failures; `slow` is None where the experiment sets no such limit. `p95` in seconds."""

    ok: Values = ()
    failed: Values = ()
    slow: Values | None = None
    p95: Values = ()

    LEFT_OUT: ClassVar[tuple[str, ...]] = ("slow",)


@dataclass(frozen=True, kw_only=True)
class Series(Buckets):
    """The main load and the canaries by operation, shares by name, states by who has them.

    `response_time_s`: by operation, then p50, p95 and p99. `breakers` are by "server/breaker", `lb`
    by "balancer/backend/server".
    """

    offered_per_s: Values = ()
    achieved_per_s: Values = ()
    failed_per_s: Mapping[str, Values] = field(default_factory=dict)
    response_time_s: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    canary: Mapping[str, CanarySeries] = field(default_factory=dict)
    traffic_share: Mapping[str, Values] = field(default_factory=dict)
    cache_share: Mapping[str, Values] = field(default_factory=dict)
    replica_share: Mapping[str, Values] = field(default_factory=dict)
    breakers: Mapping[str, Changes] = field(default_factory=dict)
    lb: Mapping[str, Changes] = field(default_factory=dict)
