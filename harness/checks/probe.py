"""Looks at a check again and again while a run goes on; aspects/checks.py makes figures of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.checks import KINDS
from harness.checks.base import CheckKind, Engine, Parameters, Site
from harness.checks.clause import Clause, parse_clause, wrong
from harness.checks.http import KIND as HTTP
from harness.checks.http import HttpParameters
from harness.errors import EngineError, HarnessError
from harness.load.excerpt import excerpt
from harness.model.check import CheckSpec
from harness.model.clock import Clock
from harness.model.experiment import Experiment
from harness.model.http import Address
from harness.model.load import Operation
from harness.model.observation import Observation
from harness.model.quantity import format_duration
from harness.probes.base import event

HANGING_MAX = 20
"""A command that does not end stays where it was started; after so many no more are started."""
SEEN_MAX = 200

Addresses = Callable[[str], Sequence[Address]]
"""Where an entry is published."""


def checks_of(
    experiment: Experiment, engine: Engine, clock: Clock, addresses: Addresses
) -> tuple[CheckProbe, ...]:
    """A probe for each check of the experiment."""
    return tuple(
        CheckProbe(spec, Site(engine, clock, experiment.load, addresses), clock)
        for spec in experiment.checks
    )


def missed_checks(
    experiment: Experiment, checks: Sequence[CheckProbe], began_s: float
) -> list[str]:
    """Each check that must hold before the faults and was seen not to, as text.

    `began_s` is the monotonic time of second 0; the warm-up does not count.
    """
    judged_s = min((p.start_s for p in experiment.phases if p.is_judged), default=0.0)
    mine = [check for check in checks if "before" in check.spec.when]
    seen = [(check, check.missed_since(began_s + judged_s)) for check in mine]
    return [f"{check.name}: {', '.join(check.spec.expect)}: {text}" for check, text in seen if text]


def checks_words(checks: Sequence[CheckSpec]) -> list[str]:
    """What each of them does, and how often."""
    kinds = [(spec, KINDS[spec.kind]) for spec in checks]
    return [
        f"{kind.words(kind.parameters.model_validate(spec.parameters))} every"
        f" {format_duration(spec.every_s)} (check {spec.name})"
        for spec, kind in kinds
    ]


def requests_of(checks: Sequence[CheckSpec]) -> list[Operation]:
    """What they send by HTTP."""
    return [
        HttpParameters.model_validate(spec.parameters).operation
        for spec in checks
        if KINDS[spec.kind] is HTTP
    ]


@dataclass
class CheckProbe:
    """One check; `event` check.look of each look says whether it holds, and what was seen.

    `holds` is None where nothing could be seen: the container did not run, or the engine refused.
    """

    spec: CheckSpec
    site: Site
    clock: Clock
    _hanging: int = 0
    _missed: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"check {self.spec.name}"
        self.interval_s = self.spec.every_s
        self._kind: CheckKind = KINDS[self.spec.kind]
        self._parameters: Parameters = self._kind.parameters.model_validate(self.spec.parameters)
        self._clauses: list[Clause] = [parse_clause(each, self._kind) for each in self.spec.expect]

    def observe(self) -> Observation:
        """One look, for at most the check's own time."""
        began_s = self.clock.now_s()
        holds, seen = self._look()
        at_s = self.clock.now_s()
        if holds is False:
            self._missed.append((began_s, seen))
        facts = {"check": self.spec.name, "holds": holds, "seen": seen[:SEEN_MAX]}
        look = event(at_s, "check.look", took_s=round(at_s - began_s, 6), **facts)
        errors = {} if holds is not None else {"error": seen}
        return Observation(self.name, at_s, holds is not None, errors, (look,))

    def finish(self) -> Observation:
        """The last look, after everything was healed."""
        return self.observe()

    def missed_since(self, monotonic_s: float) -> str:
        """What was seen first that must not be, of the looks since then; "" for nothing."""
        return next((seen for began_s, seen in self._missed if began_s >= monotonic_s), "")

    def _look(self) -> tuple[bool | None, str]:
        if self._hanging >= HANGING_MAX:
            return None, f"not looked any more: it did not end {HANGING_MAX} times"
        began_s = self.clock.now_s()
        try:
            seen = self._kind.look(self._parameters, self.site, self.spec.timeout_s)
        except HarnessError as error:
            took_s = self.clock.now_s() - began_s
            self._hanging += isinstance(error, EngineError) and took_s >= self.spec.timeout_s
            return None, error.message
        if text := wrong(self._clauses, self._kind, seen):
            return False, text
        return True, excerpt(seen.text.encode()) or f"{self._kind.status} {seen.status}"
