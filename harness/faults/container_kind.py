"""A kind of fault on one container, made of a few functions: the steps that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Generic, TypeVar

from typing_extensions import override

from harness.faults.base import CONTAINER, Effect, FaultKind, Parameters, Proof, Tools
from harness.faults.target import pick_running
from harness.faults.undo_record import Touched, Undo
from harness.model.container import Container
from harness.model.experiment import FaultSpec

P = TypeVar("P", bound=Parameters)
U = TypeVar("U", bound=Undo)


@dataclass(frozen=True)
class ContainerKind(FaultKind, Generic[P, U]):
    """`inject` breaks it and says what it did; `proof` looks for the effect.

    `heal` and `healed` have the undo record only: after a crash they run in another process.
    `record` makes that record, where it holds more than the container; TargetError if the container
    cannot be broken or not be restored. `choose` finds the container. `is_at_once`: the effect
    is there when `inject` returns; otherwise the proof says since when.
    """

    parameters: type[P]
    undo: type[U]
    _: KW_ONLY
    selectors: frozenset[str] = CONTAINER
    inject: Callable[[ContainerFault[P, U]], str]
    proof: Callable[[ContainerFault[P, U]], Proof]
    heal: Callable[[U, Tools], None]
    healed: Callable[[U, Tools], Proof]
    record: Callable[[ContainerFault[P, U]], U] | None = None
    choose: Callable[[Mapping[str, str], Tools], Container] = pick_running
    is_at_once: bool = False

    @override
    def make(self, spec: FaultSpec, parameters: Any, tools: Tools) -> ContainerFault[P, U]:
        return ContainerFault(self, spec, parameters, tools)


@dataclass
class ContainerFault(Generic[P, U]):
    """One fault of a kind, and what its steps work with.

    `target` is the container as it was before, `undo` its record: both since `prepare`. `wall_s` is
    just before `inject`; `done` what that did, "" until it has returned.
    """

    kind: ContainerKind[P, U]
    spec: FaultSpec
    parameters: P
    tools: Tools
    target: Container = field(init=False)
    undo: U = field(init=False)
    wall_s: float = 0.0
    done: str = ""

    def prepare(self) -> U:
        """Choose the container, and record what the kind says is needed."""
        self.target = self.kind.choose(self.spec.selector, self.tools)
        record = self.kind.record
        self.undo = record(self) if record else self.kind.undo(*self.chosen)
        return self.undo

    def inject(self) -> Effect:
        """Break it; the clock is read just before."""
        clock = self.tools.clock
        self.wall_s, start_s = clock.wall_s(), clock.now_s()
        self.done = self.kind.inject(self)
        return Effect(start_s, clock.now_s() if self.kind.is_at_once else None, self.done)

    def is_active(self) -> Proof:
        """What the kind's proof sees."""
        return self.kind.proof(self)

    def heal(self, undo: U) -> None:
        """As the kind does."""
        self.kind.heal(undo, self.tools)

    def is_healed(self, undo: U) -> Proof:
        """What the kind sees of it."""
        return self.kind.healed(undo, self.tools)

    @property
    def chosen(self) -> tuple[str, str, tuple[Touched, ...]]:
        """Kind, target and containers: the first three fields of every undo record."""
        return self.spec.kind, self.target.service, (Touched.of(self.target),)

    def now(self) -> Container | None:
        """The container as it is now; None if it is gone."""
        return self.tools.engine.inspect(self.target.id)
