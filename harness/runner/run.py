"""Walks a plan against the clock: load, faults, probes; writes events; heals whatever happens.

    start load -> t0 -> [tick each second | steps: phase, inject, heal | remedies] -> heal the rest
                     (not steady before the first fault, exception, Ctrl-C, safeguard) --^
    -> stop load -> wait for a healthy target -> take the readings -> last look of each probe

The runner judges nothing. Every wait has a limit, and healing has its own, which nothing shortens.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from harness.errors import (
    HarnessError,
    HealError,
    Interrupted,
    NotSteady,
    RecordError,
    SafeguardTripped,
)
from harness.model.clock import wait_until
from harness.model.experiment import Experiment
from harness.model.load import LoadSnapshot
from harness.model.observation import Observation
from harness.model.timeline import Plan, Step
from harness.model.verdict import RunStatus
from harness.probes.base import ProbeThread
from harness.probes.health import Health
from harness.record.event_log import EventLog
from harness.record.folder import RunFolder
from harness.runner.active_faults import ActiveFaults, Record
from harness.runner.readings import Readings
from harness.runner.remedies import Remedies
from harness.runner.world import Progress, World
from harness.safeguard import SafeguardWatch

LEAD_S = 0.5  # between "the load is ready" and second 0
TICK_S, SLICE_S = 1.0, 0.2  # an interruption is noticed within a slice
SETTLE_S = 60.0
ASKED_S = 1.0  # so long before the first fault: the answer takes a moment, which delays no fault
BY_USER = "interrupted by the user"
SETTLING = ("completed", "aborted", "not_steady")
"""How a run may end for which it is still of interest how its target is."""


def run_plan(plan: Plan, experiment: Experiment, world: World, folder: RunFolder) -> RunStatus:
    """Run it and return how it ended.

    After all else HealError if something is left broken, RecordError if events are missing.
    """
    run = _Run(plan, experiment, world, folder)
    try:
        return run.execute()
    finally:
        run.close()


class _Run:
    def __init__(self, plan: Plan, experiment: Experiment, world: World, folder: RunFolder) -> None:
        self._plan, self._experiment, self._world = plan, experiment, world
        self._folder = folder
        self._clock = world.tools.clock
        self._events = EventLog(folder)
        self._lock = threading.Lock()
        self._threads = [
            ProbeThread(probe, self._clock, self._observed, LEAD_S * number / len(world.probes))
            for number, probe in enumerate(world.probes)
        ]
        record = Record(self._write, self._note, self._since)
        self._faults = ActiveFaults(world, folder.run_id, record)
        self._remedies = Remedies(plan.remedies, world, self._faults, record, experiment)
        self._specs = {spec.id: spec for spec in plan.faults}
        self._watch = SafeguardWatch(experiment.safeguards)
        self._phase = "warmup"
        self._has_asked = False  # whether the target is steady, before the first fault
        self._missing: set[str] = set()
        self._readings = Readings(world.readings, folder, self._gap)
        self._t0_s = self._clock.now_s()
        self._next_tick_s = self._t0_s
        self._unrecorded: RecordError | None = None

    def execute(self) -> RunStatus:
        """Walk, heal, settle; the status and one `run.finished` come out however it ends."""
        status, message = _guarded(self._walk)
        _guarded(self._remedies.end)
        failures = self._faults.heal_all()
        self._stop_load()
        if status in SETTLING and not failures:
            settled, why = _guarded(self._settle)
            if settled != "completed" and status == "completed":
                status, message = settled, why
        _guarded(self._stop_probes)
        if status == "completed" and self._unrecorded is not None:
            status, message = _ending(self._unrecorded)
        if failures:
            status, message = "error", "; ".join(failures)
        self._note("run.finished", status=status, message=message)
        if failures:
            raise HealError(message, "harness heal")
        if self._unrecorded is not None:
            raise self._unrecorded
        return status

    def close(self) -> None:
        """Close the log; probes that still look write nothing more."""
        with self._lock:
            self._events.close()

    def _walk(self) -> None:
        self._begin()
        changes_s = [s.at_s for s in self._plan.steps if s.action in ("inject", "remedy")]
        first_s = min(changes_s, default=math.inf)
        for step in self._plan.steps:
            if step.at_s >= first_s and not self._has_asked:
                self._wait_until(self._t0_s + first_s - ASKED_S)
                self._refuse_unsteady()
            self._wait_until(self._t0_s + step.at_s)
            self._do(step)
        self._wait_for_remedy()

    def _begin(self) -> None:
        before = self._world.health()
        with self._readings.taken_before():
            self._world.driver.start()
        self._t0_s = self._next_tick_s = self._clock.now_s() + LEAD_S
        self._remedies.begin(self._t0_s)
        self._write(
            "run.started",
            run_id=self._folder.run_id,
            seed=self._plan.seed,
            t0_monotonic_s=self._t0_s,
            wall_s=self._clock.wall_s() + LEAD_S,
        )
        self._write_check("before", before)
        self._world.driver.begin(self._t0_s)
        for thread in self._threads:
            thread.start()

    def _wait_until(self, at_s: float) -> None:
        """Wait in slices, ticking once a second; Interrupted as soon as the user asks for it."""
        while True:
            now_s = self._clock.now_s()
            if self._faults.was_interrupted or self._world.is_stopped():
                raise Interrupted(BY_USER)
            self._faults.end_if_rescued()
            if now_s >= self._next_tick_s:
                self._tick()
                self._next_tick_s = max(self._next_tick_s + TICK_S, now_s)
            if now_s >= at_s:
                return
            self._remedies.step()
            due_s = min(at_s, self._next_tick_s, self._remedies.next_s, now_s + SLICE_S)
            self._clock.sleep_until_s(max(due_s, now_s))

    def _wait_for_remedy(self) -> None:
        """The one that is still going on has its time; no other is begun."""
        self._remedies.close()
        while self._remedies.words:
            if self._world.is_stopped():
                raise Interrupted(BY_USER)
            self._faults.end_if_rescued()
            self._remedies.step()
            self._clock.sleep_until_s(self._clock.now_s() + SLICE_S)

    def _tick(self) -> None:
        if self._unrecorded is not None:
            raise self._unrecorded
        at_s = self._clock.now_s()
        self._write("run.clock", monotonic_s=at_s, wall_s=self._clock.wall_s())
        self._faults.look()
        self._world.driver.check()
        snapshot = self._world.driver.snapshot()
        self._write(
            "load.snapshot",
            sent=snapshot.sent,
            failed=snapshot.failed,
            dropped=snapshot.dropped,
            rate_per_s=snapshot.window_rate_per_s,
            error_rate=dict(snapshot.window_error_rate),
            p95_s=snapshot.window_p95_s,
        )
        self._note_missing(snapshot)
        self._show(snapshot)
        tripped = self._watch.tripped(at_s, snapshot)
        if tripped is not None:
            self._write("safeguard.tripped", **tripped.model_dump())
            raise SafeguardTripped(
                f"{tripped.operation} error_rate > {tripped.error_rate:.1%} for {tripped.for_s:g} s"
            )

    def _note_missing(self, snapshot: LoadSnapshot) -> None:
        """Each worker of the load that is missed, once."""
        for text in set(snapshot.missing) - self._missing:
            self._write("load.worker_missing", worker=text)
        self._missing |= set(snapshot.missing)

    def _show(self, snapshot: LoadSnapshot) -> None:
        at_s = self._clock.now_s() - self._t0_s
        words = self._faults.words()
        facts = (self._folder.run_id, at_s, self._plan.end_s, self._phase, words, snapshot)
        scale, doing = self._experiment.scale, self._remedies.words
        self._world.show(Progress(*facts, scale=scale, remedies=doing))

    def _do(self, step: Step) -> None:
        if step.action == "phase":
            self._phase = step.name
            self._write("phase.started", phase=step.name)
        elif step.action == "inject":
            self._faults.inject(self._specs[step.name], self._experiment)
        elif step.action == "heal":
            self._heal(step)

    def _heal(self, step: Step) -> None:
        """Heal a fault; at the very end, where remedies hold something, all of it newest first."""
        if self._plan.remedies and step.at_s >= self._plan.end_s:
            self._faults.confirm(step.name)
        elif failure := self._faults.heal(step.name):
            raise HealError(failure, "harness heal")

    def _refuse_unsteady(self) -> None:
        """NotSteady if limits are missed although nothing is broken yet."""
        self._has_asked = True
        if missed := self._world.missed(self._since(self._clock.now_s())):
            self._write("steady_state.missed", limits=list(missed))
            raise NotSteady(f"not steady before the fault: {'; '.join(missed)}")

    def _stop_load(self) -> None:
        """Drain and record; a generator that does not end is killed."""
        try:
            self._note("load.summary", **asdict(self._world.driver.stop()))
        except BaseException as error:  # noqa: BLE001  # the run's own end matters more
            self._note("probe.gap", probe="load", error=repr(error))
            self._world.driver.kill()

    def _stop_probes(self) -> None:
        for thread in self._threads:
            thread.stop()

    def _settle(self) -> None:
        """Wait, within a limit, until the target is healthy; then read all that is to be read."""
        health, _ = wait_until(
            self._clock,
            SETTLE_S,
            look=self._world.health,
            holds=lambda seen: seen.healthy or self._world.is_stopped(),
            every_s=TICK_S,
        )
        self._write_check("after", health)
        self._readings.take_after()

    def _write_check(self, when: str, health: Health) -> None:
        details = {**health.details, "problems": list(health.problems)}
        self._write("target.check", when=when, healthy=health.healthy, details=details)

    def _observed(self, observation: Observation) -> None:
        for change in observation.events:
            facts = dict(change)
            at_s, name = facts.pop("at_s"), facts.pop("event")
            with self._kept():
                self._append(at_s - self._t0_s, name, facts)

    def _gap(self, probe: str, error: HarnessError) -> None:
        self._write("probe.gap", probe=probe, error=error.message)

    def _since(self, monotonic_s: float) -> float:
        return round(monotonic_s - self._t0_s, 6)

    def _write(self, event: str, **facts: Any) -> None:
        self._append(self._clock.now_s() - self._t0_s, event, facts)

    def _note(self, event: str, **facts: Any) -> None:
        """Write an event if that is possible: a full disk must not stop what goes on."""
        with self._kept():
            self._write(event, **facts)

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep the first error of the log; the next tick, or the end, raises or tells it."""
        try:
            yield
        except RecordError as error:
            self._unrecorded = self._unrecorded or error

    def _append(self, at_s: float, event: str, facts: Mapping[str, Any]) -> None:
        with self._lock:
            self._events.write(at_s, event, **facts)


def _guarded(work: Callable[[], None]) -> tuple[RunStatus, str]:
    """How `work` ended: healing and the run's end come next, whatever it was."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # even one that is no Exception
        return _ending(error)
    return "completed", ""


def _ending(error: BaseException) -> tuple[RunStatus, str]:
    """The status and the message that an error ends a run with."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", BY_USER
    if isinstance(error, Interrupted):
        return "interrupted", error.message
    if isinstance(error, SafeguardTripped):
        return "aborted", error.message
    if isinstance(error, NotSteady):
        return "not_steady", error.message
    if isinstance(error, HarnessError):
        return "error", "; ".join(filter(None, (error.message, error.hint)))
    return "error", f"{type(error).__name__}: {error}"
