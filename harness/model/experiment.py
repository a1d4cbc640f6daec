"""An experiment: a claim, the load, the phases, the faults, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.model.check import CheckSpec
from harness.model.expectation import Expectation
from harness.model.geography import Geography
from harness.model.load import Load, Operation
from harness.model.target import Target


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Phase(_Frozen):
    """A named stretch of the run, in seconds since run start; `warmup` is never judged."""

    name: str
    start_s: float
    end_s: float

    @property
    def is_judged(self) -> bool:
        """False for the warm-up."""
        return self.name != "warmup"


class FaultSpec(_Frozen):
    """One fault: its kind, the typed parameters of that kind, when it starts and ends.

    `selector` chooses the target: {"service": x} | {"role": x} | {"container": x} |
    {"link": x, may hold * wildcards}. Times are seconds since run start.
    `candidates`: the names that the selector's was chosen from, by seed and repetition; empty if
    the file names one.
    """

    id: str
    kind: str
    selector: Mapping[str, str]
    candidates: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    phase: str
    start_s: float
    end_s: float


class RemedySpec(_Frozen):
    """What the operator does about a fault: its kind, on which services, and when it is begun.

    It is due at `start_s` (seconds since run start, in `phase`), or `delay_s` after a fault took
    effect or another remedy was done (their ids). It must be done `within_s` of its begin. It is
    taken back `for_s` after that, None: at the end of the run, if at all.
    """

    id: str
    kind: str
    services: tuple[str, ...]
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    phase: str = ""
    start_s: float | None = None
    after_fault: str = ""
    after_remedy: str = ""
    delay_s: float = 0.0
    within_s: float = 60.0
    for_s: float | None = None

    @property
    def target(self) -> str:
        """All services, as text."""
        return ", ".join(self.services)

    @property
    def when(self) -> str:
        """What it waits for: `at 20 s`, `after wipe-1 + 10s`."""
        if self.start_s is not None:
            return f"at {self.start_s:g} s"
        delay = f" + {self.delay_s:g}s" if self.delay_s else ""
        return f"after {self.after_fault or self.after_remedy}{delay}"


class Safeguard(_Frozen):
    """Abort when `operation`'s error rate stays over `error_rate` for `for_s` seconds."""

    operation: str
    error_rate: float
    for_s: float


class Experiment(_Frozen):
    """Everything one YAML file says, with all names resolved and all times in seconds.

    `title` is the claim in one sentence, `description` what else is claimed and done, "" for none.
    `profiles`: parts of the Compose project that it needs beside the target's own.
    `remedies`: what the operator does, one after the other in this order.
    `checks` are looked at while it runs; what they expect is in `hypothesis`.
    `allowed_surprises`: codes of model/surprise.py that are reported, and judge nothing.
    `allowed_alerts`: those that may fire although nothing expects them, as NAME or NAME.severity.
    `ignores_steady_state`: it goes on although an operation fails before the load, or the phases
    before the first fault miss their own limits.
    `geography`: where the places of its load are, and the regions; None if it has no places.
    `scale` is what the file's rates were multiplied by (`--scale`); those in `load` are the result.
    """

    name: str
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    target: Target = Target()
    profiles: tuple[str, ...] = ()
    load: Load
    operations: Mapping[str, Operation]
    phases: tuple[Phase, ...]
    faults: tuple[FaultSpec, ...]
    remedies: tuple[RemedySpec, ...] = ()
    hypothesis: tuple[Expectation, ...]
    checks: tuple[CheckSpec, ...] = ()
    safeguards: tuple[Safeguard, ...] = ()
    max_duration_s: float = 600.0
    allow_total_loss: bool = False
    allowed_surprises: tuple[str, ...] = ()
    allowed_alerts: tuple[str, ...] = ()
    ignores_steady_state: bool = False
    geography: Geography | None = None
    scale: float = 1.0

    @property
    def end_s(self) -> float:
        """Seconds from run start to the end of the last phase."""
        return self.phases[-1].end_s

    @property
    def first_change_s(self) -> float:
        """When the first fault or remedy is planned; the end of the run if there is none.

        A remedy that waits for either is never the first.
        """
        remedies = [each.start_s for each in self.remedies if each.start_s is not None]
        return min([*(fault.start_s for fault in self.faults), *remedies], default=self.end_s)

    @property
    def other_entries(self) -> tuple[str, ...]:
        """The entries that operations name, but for that of the load."""
        sent = (self.operations[name] for name in self.load.shares if name in self.operations)
        named = dict.fromkeys(operation.entry for operation in sent)
        return tuple(entry for entry in named if entry not in ("", self.load.entry))

    def phase(self, name: str) -> Phase:
        """The phase called `name`; KeyError if there is none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)
