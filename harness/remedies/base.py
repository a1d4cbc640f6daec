"""What every remedy is: steps of a kind of fault on each of several containers, all at once.

    file: {stop: {service: [db-1, db-2]}} --parts_of--> a part on db-1, a part on db-2

A part is prepared, journaled, carried out, proven and taken back as a fault is, by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from harness.errors import TargetError
from harness.faults.base import Parameters, Tools
from harness.faults.container_kind import ContainerFault, ContainerKind
from harness.model.container import Container
from harness.model.experiment import FaultSpec, RemedySpec

Part = ContainerFault[Any, Any]
FAULT_AT = "{fault_at}"
"""In a command: when the first fault took effect, in UTC."""
UP = ("running", "restarting", "paused")


@dataclass(frozen=True, slots=True)
class Asked:
    """A remedy as it is asked for, on one container.

    `parameters` are the kind's own. `fault_at`: the wall time when the first fault took effect,
    as ISO text; "" if there was none yet.
    """

    spec: RemedySpec
    parameters: Any
    container: Container
    fault_at: str = ""


Settle = Callable[[Asked], Parameters]
Choose = Callable[[RemedySpec, Sequence[Container]], list[Container]]


def as_written(asked: Asked) -> Parameters:
    """A part does what the file says."""
    found: Parameters = asked.parameters
    return found


@dataclass(frozen=True)
class RemedyKind:
    """`parameters` are those that a file writes; `settle` makes those of a part out of them.

    `part`: the steps on one container. `choose` finds the containers, and raises TargetError if
    there is nothing to be done. `is_kept`: whether a part that is done has something to take back,
    by its undo record. `can_end`: whether a file with these parameters may say `for`.
    `ends_faults`: a fault of the same container is not expected to last any longer.
    """

    parameters: type[Parameters]
    part: ContainerKind[Any, Any]
    _: KW_ONLY
    choose: Choose
    settle: Settle = as_written
    is_kept: Callable[[Any], bool] = lambda _: False
    can_end: Callable[[Any], bool] = lambda _: False
    ends_faults: bool = False

    def parts_of(self, spec: RemedySpec, tools: Tools, fault_at: str) -> list[Part]:
        """A part for each container that is meant now, not prepared; TargetError if none can be."""
        parameters = self.parameters(**spec.parameters)
        chosen = self.choose(spec, _named(spec, tools.engine.containers()))
        return [self._part_on(Asked(spec, parameters, one, fault_at), tools) for one in chosen]

    def _part_on(self, asked: Asked, tools: Tools) -> Part:
        settled = self.settle(asked)
        spec = FaultSpec(
            id=f"{asked.spec.id} of {asked.container.name}",
            kind=asked.spec.kind,
            selector={"container": asked.container.name},
            parameters=settled.model_dump(mode="json"),
            phase=asked.spec.phase,
            start_s=0.0,
            end_s=asked.spec.within_s,
        )
        return self.part.make(spec, settled, tools)


def all_that(is_meant: Callable[[Container], bool], otherwise: str) -> Choose:
    """All containers of the services that are as they should be; `otherwise` says how none is."""

    def choose(spec: RemedySpec, containers: Sequence[Container]) -> list[Container]:
        found = [one for one in containers if is_meant(one)]
        if not found:
            states = ", ".join(f"{one.service} is {one.status}" for one in containers)
            raise TargetError(f"nothing to {spec.kind}: {states}", otherwise)
        if temporary := next((one for one in found if one.removes_itself), None):
            text = f"{temporary.service} removes itself when it ends, so it cannot be started again"
            raise TargetError(text, "start it without --rm")
        return found

    return choose


def first_that_runs(spec: RemedySpec, containers: Sequence[Container]) -> list[Container]:
    """One container, in which a command can be run."""
    found = next((one for one in containers if one.is_running), None)
    if found is None:
        text = f"{spec.target} does not run, so nothing can be run in it"
        raise TargetError(text, f"a remedy before it: start: {{service: {spec.target}}}")
    return [found]


def filled(words: Sequence[str], asked: Asked) -> tuple[str, ...]:
    """A command with its place filled in; TargetError if no fault was injected yet."""
    if not asked.fault_at and any(FAULT_AT in word for word in words):
        text = f"{asked.spec.id}: {FAULT_AT} stands for the first fault, and there was none yet"
        raise TargetError(text, "give it `after: FAULT`")
    return tuple(word.replace(FAULT_AT, asked.fault_at) for word in words)


def _named(spec: RemedySpec, containers: Sequence[Container]) -> list[Container]:
    """Those of its services, in their order; TargetError if a service has none."""
    found = {name: [c for c in containers if c.service == name] for name in spec.services}
    if missing := [name for name, mine in found.items() if not mine]:
        raise TargetError(f"{', '.join(missing)}: there is no such container", "harness status")
    return [one for mine in found.values() for one in mine]
