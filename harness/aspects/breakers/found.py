"""What one breaker did, on one server and on all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.aspects.breakers.contradictions import Contradiction
from harness.model.uncertain import Uncertainty


@dataclass(frozen=True, slots=True, kw_only=True)
class InPhase:
    """One breaker of one server in a phase."""

    flaps: int = 0
    state_at_end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One breaker of one server; None if it did not happen, or was not observed."""

    state_at_fault: str | None = None
    opened_s: float | None = None
    opened_after_fault_s: float | None = None
    failures_to_open: int | None = None
    reopened: int = 0
    failures_to_reopen: int | None = None
    probes_per_cooldown: int | None = None
    shortest_cooldown_s: float | None = None
    closed_s: float | None = None
    closed_after_heal_s: float | None = None
    state_at_end: str | None = None
    flaps: int = 0
    phases: Mapping[str, InPhase] = field(default_factory=dict)
    fast_fails: int = 0
    fast_fail_p99_s: float | None = None
    uncertainty_s: Uncertainty = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What it did, in a few words."""
        if self.opened_s is None:
            return "never opened"
        text = f"opened after {self.failures_to_open} failures, re-opened {self.reopened} times"
        return f"{text}, {self.state_at_end} at the end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One breaker on all servers, and of each metric the worst of them; None: not measured.

    `expected_servers`: those that have to speak of the breaker; `missing_servers`: those of them
    that did not. What has to be so on all servers is not so where one is missing.
    """

    servers: Mapping[str, Server]
    expected_servers: Sequence[str] = ()
    missing_servers: Sequence[str] = ()
    opened_on_all: bool = False
    failures_to_open: int | None = None
    opens_within: float | None = None
    reopened_on_all: bool = False
    failures_to_reopen: int | None = None
    probes_per_cooldown: int | None = None
    cooldown: float | None = None
    fast_fail_p99: float | None = None
    closes_within: float | None = None
    closed_at_end: bool = False
    flaps: int | None = None
    uncertainty_s: Uncertainty = field(default_factory=dict)

    @property
    def ever_opened(self) -> bool:
        """Whether any of them opened."""
        return any(row.opened_s is not None for row in self.servers.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakers:
    """All transitions, each breaker by name, and what contradicts a server's own word."""

    transitions: Sequence[Mapping[str, str | float | None]] = ()
    by_breaker: Mapping[str, Breaker] = field(default_factory=dict)
    contradictions: Sequence[Contradiction] = ()
