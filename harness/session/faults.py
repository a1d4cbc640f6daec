"""Faults from Python: a part of the project is broken during a block, and healed however it ends.

    with Session(Settings()).faults("my tests") as harness:
        with harness.fault("kill", service="db"):
            ...  # the database is seen to be gone
        harness.wait_healthy()

It is what a run does, by the same code: the guard, the journal before the break, the proof, the
looks while it lasts, verified healing, and a watchdog that heals if this process is killed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.errors import HealError, TargetError, UsageError
from harness.experiment_file.faults import read_fault
from harness.experiment_file.names import Names, Services
from harness.experiment_file.node import Node
from harness.experiment_file.problems import Problems
from harness.faults import KINDS
from harness.guard import LONGEST_FAULT_S
from harness.model.experiment import FaultSpec, Phase
from harness.runner import ActiveFaults, Record, Site

LOOK_S = 1.0
_WHILE_ASKED = Phase(name="fault", start_s=0.0, end_s=LONGEST_FAULT_S)


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that was seen to act; `detail` says what was seen."""

    id: str
    kind: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Allowing:
    allow_total_loss: bool


class Faults:
    """Breaks parts of one project that is locked and watched over; see `Session.faults`.

    `events`: what happened, as a run's events.jsonl has it; `t_s` in seconds since the beginning.
    """

    def __init__(
        self,
        site: Site,
        run_id: str,
        services: Services,
        wait_healthy: Callable[[], object],
        *,
        allow_exec: bool = False,
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self._clock, self._began_s = site.tools.clock, site.tools.clock.now_s()
        self._names, self._wait_healthy = Names(KINDS, services), wait_healthy
        self._allow_exec, self._count = allow_exec, 0
        record = Record(self._note, self._note, self._since_s)
        self._active = ActiveFaults(site, run_id, record)

    @contextmanager
    def fault(
        self, kind: str, *, allow_total_loss: bool = False, **options: Any
    ) -> Iterator[Broken]:
        """Break something while the block runs; `options` are what an experiment file writes.

            harness.fault("latency", link="app.redis", latency=200)

        UsageError for what no file could say either; TargetError if the guard forbids it, if no
        effect was seen, or if something else than us ended the fault before the block did;
        HealError if it could not be healed: then nothing else should be started.
        """
        spec = self._spec(kind, options)
        try:
            proof = self._active.inject(spec, _Allowing(allow_total_loss))
            target = self._found("fault.injecting", spec)["target"]
            if not proof.proven:
                text = f"{kind} of {target} was not seen to act: {proof.detail}"
                raise TargetError(text, "harness status")
            yield Broken(spec.id, kind, target, proof.detail)
        finally:
            self._end(spec)
        self._check_lasted(spec, target)

    def wait_healthy(self) -> None:
        """Wait until the project is healthy; TargetError with what is wrong after 60 s."""
        self._wait_healthy()

    @contextmanager
    def watched(self) -> Iterator[Faults]:
        """Looks at what ought to last once a second, and heals what is left at the end."""
        ended = threading.Event()
        looks = threading.Thread(target=self._look_until, args=(ended,), daemon=True)
        looks.start()
        try:
            yield self
        finally:
            failures = self._active.heal_all()
            ended.set()
            looks.join(LOOK_S)
            if failures:
                raise HealError("; ".join(failures), "harness heal")

    def _look_until(self, ended: threading.Event) -> None:
        while not ended.wait(LOOK_S):
            self._active.look()

    def _spec(self, kind: str, options: dict[str, Any]) -> FaultSpec:
        """The fault, read by the code that reads it in a file."""
        self._count += 1
        problems = Problems()
        entry = Node({kind: options}, "", problems)
        spec = read_fault(entry, self._count, [_WHILE_ASKED], self._names)
        if spec is None or problems:
            texts = [re.sub(r"^line \d+: ", "", text) for text in problems.texts()]
            raise UsageError("; ".join(texts), "docs/PYTHON.md")
        if spec.candidates:
            raise UsageError(f"{kind}: several targets; a block breaks one", "name one")
        if KINDS[kind].needs_flag and not self._allow_exec:
            text = f"{kind} runs commands inside containers"
            raise UsageError(text, "Settings(allow_exec=True); pytest --harness-allow-exec")
        return spec

    def _end(self, spec: FaultSpec) -> None:
        """Heal it, whatever comes meanwhile; an interruption that this held back comes after it."""
        failure = self._active.heal(spec.id)
        if failure:
            raise HealError(failure, "harness heal")
        if self._active.was_interrupted:
            raise KeyboardInterrupt

    def _check_lasted(self, spec: FaultSpec, target: str) -> None:
        """What a block measured of a fault that was not there proves nothing."""
        self._active.end_if_rescued()
        if lost := self._found("fault.lost", spec):
            text = f"{spec.kind} of {target} did not last: {lost['detail']}"
            raise TargetError(text, "does something else start or heal it?")

    def _found(self, event: str, spec: FaultSpec) -> dict[str, Any]:
        """The event of that fault, {} if there was none."""
        mine = (e for e in self.events if e["event"] == event and e["fault"] == spec.id)
        return next(mine, {})

    def _note(self, event: str, **facts: Any) -> None:
        at_s = self._since_s(self._clock.now_s())
        self.events.append({"t_s": at_s, "event": event, **facts})

    def _since_s(self, monotonic_s: float) -> float:
        return round(monotonic_s - self._began_s, 6)
