"""A surprise: something that happened in a run and that no fault of the run explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["fail", "inconclusive", "note"]

SURPRISES = {
    "container_died": "a container exited, or was killed",
    "container_out_of_memory": "the kernel killed a container, or a process in it, for memory",
    "container_paused": "somebody froze a container",
    "container_started": "a container was started that was not to run",
    "breaker_open_before": "a circuit breaker was open when the run began",
    "breaker_opened": "a circuit breaker opened",
    "left_rotation": "a load balancer took a server out of its rotation",
    "failover": "another database node became the primary, or began a new timeline",
    "replica_not_caught_up": "a database node lacked something of the primary's at the end",
    "generator_stalled": "the load generator stood still",
    "probe_gap": "a probe could not look, or looked late",
}
"""The stable code of each kind, and what it means."""


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
