"""A surprise: something that happened in a run and that no fault of the run explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["fail", "inconclusive", "note"]

SURPRISES = {
    "container_died": "a container exited, or was killed",
    "container_out_of_memory": "the kernel killed a container, or a process in it, to free memory",
    "container_paused": "a container was paused",
    "container_started": "a container was started that should not run",
    "breaker_open_before": "a circuit breaker was open when the run started",
    "breaker_opened": "a circuit breaker opened",
    "left_rotation": "a load balancer took a server out of rotation",
    "alert_fired": "an alert fired before anything was broken",
    "failover": "another database node became the primary, or started a new timeline",
    "replica_not_caught_up": "a database node had not caught up with the primary at the end",
    "generator_stalled": "the load generator stalled",
    "probe_gap": "a probe failed, or was late",
}
"""The stable code of each kind, and what it means."""
EXITS = ("container_died", "container_out_of_memory")
"""What is said first: it explains most of the rest."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """`at_s`: seconds since run start; `who`: a service, a probe or a stream of the load.

    `outcome`: whether it fails the run, makes it inconclusive, or is only reported.
    """

    code: str
    at_s: float
    who: str
    text: str
    phase: str
    outcome: Weight
