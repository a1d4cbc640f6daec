"""The operator of a run: does the remedies one after the other, beside the walk, within bounds.

    due -> resolve, guard, journal | act, prove (in threads) | done -> taken back: `for`, or the end
                    failed: those that wait for it are skipped, the run goes on

`step` is called again and again by the walk, and never waits for a remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.errors import EngineError, HarnessError, HealError, TargetError
from harness.faults.base import Effect, Proof, Tools
from harness.faults.undo_record import Undo
from harness.faults.watch import wait_for
from harness.guard import Allowing, check_parts
from harness.model.clock import wait_until
from harness.model.experiment import RemedySpec
from harness.remedies import KINDS, parts_of
from harness.remedies.base import Part
from harness.runner.active_faults import ActiveFaults, Record
from harness.runner.world import Site
from harness.undo import IN_FLIGHT_S

LATE_S = 1.0
"""After its bound a part has so long to say itself what it has seen last."""
POLL_S = 0.2
CUT_OFF = "the run ended before it was due"


@dataclass(slots=True)
class _Doing:
    """A part that is being carried out in another thread; `over_s`: since when it is not."""

    part: Part
    undo: Undo
    bound_s: float
    effect: Effect | None = None
    proof: Proof | None = None
    problem: str = ""
    over_s: float | None = None

    @property
    def name(self) -> str:
        """Of its entry in the journal."""
        return self.part.spec.id

    def work(self) -> None:
        """Act and look until it is proven, or until its bound."""
        clock = self.part.tools.clock
        try:
            self.effect = self.part.inject()
            self.proof = self._look(self.part.tools)
            if not self.proof.proven:
                self.problem = self.proof.detail
        except HarnessError as error:
            self.problem = error.message
        except Exception as error:  # noqa: BLE001  # it must not end a thread of the run unheard
            self.problem = f"{type(error).__name__}: {error}"
        self.over_s = clock.now_s()

    def _look(self, tools: Tools) -> Proof:
        left_s = max(0.0, self.bound_s - tools.clock.now_s())
        return wait_for(tools, self.part.is_active, left_s)

    @property
    def detail(self) -> str:
        """What it did and what was seen of that; below, what its command printed."""
        did, _, printed = (self.effect.detail if self.effect else "").partition("\n")
        saw, _, _ = (self.proof.detail if self.proof else "").partition("\n")
        said = ": ".join(dict.fromkeys(filter(None, (did, saw))))
        return f"{said}\n{printed}" if printed else said


@dataclass(slots=True)
class _Going:
    spec: RemedySpec
    start_s: float
    parts: list[_Doing]

    @property
    def bound_s(self) -> float:
        return self.start_s + self.spec.within_s

    @property
    def is_over(self) -> bool:
        return all(part.over_s is not None for part in self.parts)

    @property
    def over_s(self) -> float:
        return max(one.over_s or 0.0 for one in self.parts)

    @property
    def problems(self) -> list[str]:
        return [part.problem for part in self.parts if part.problem]


@dataclass(slots=True)
class _Past:
    """What became of the remedies: by id when one was done (monotonic), or why it was not."""

    done_s: dict[str, float] = field(default_factory=dict)
    not_done: dict[str, str] = field(default_factory=dict)


class Remedies:
    """Does what a plan asks of the operator; its parts are healed by `faults`, as faults are."""

    def __init__(
        self,
        specs: Sequence[RemedySpec],
        site: Site,
        faults: ActiveFaults,
        record: Record,
        allowing: Allowing,
    ) -> None:
        self._waiting = list(specs)
        self._site, self._faults, self._record = site, faults, record
        self._allowing, self._clock = allowing, site.tools.clock
        self._t0_s = math.inf  # nothing is due before `begin`
        self._going: _Going | None = None
        self._past = _Past()
        self._ends: list[tuple[float, str]] = []  # when which part is to be taken back
        self._late: list[_Doing] = []  # given up, and perhaps not over

    @property
    def words(self) -> tuple[str, ...]:
        """Kind and target of the one that is going on."""
        going = self._going
        return (f"{going.spec.kind} {going.spec.target}",) if going else ()

    @property
    def next_s(self) -> float:
        """When there is something to do next that is known already, monotonic."""
        due_s = self._due_s(self._waiting[0]) if self._waiting and not self._going else math.inf
        return min([due_s, *(at_s for at_s, _ in self._ends)])

    def begin(self, t0_s: float) -> None:
        """Second 0 of the run."""
        self._t0_s = t0_s

    def step(self) -> None:
        """Take back what has had its time, look at the one going on, begin the next if it is due.

        HealError if something cannot be taken back.
        """
        now_s = self._clock.now_s()
        self._take_back(now_s)
        if self._going:
            self._look(self._going, now_s)
        elif self._waiting:
            self._consider(self._waiting[0], now_s)

    def close(self) -> None:
        """The plan is at its end: no other remedy is begun."""
        for spec in self._waiting:
            self._skip(spec, self._hopeless(spec) or CUT_OFF)
        self._waiting.clear()

    def end(self) -> None:
        """Whatever ended the walk: what goes on is given up, and its calls have returned.

        Waits for these within limits, so that healing comes after them; nothing is raised.
        """
        if self._going:
            took_s = self._clock.now_s() - self._going.start_s
            self._fail(self._going, f"it was cut off after {took_s:.1f} s")
        self.close()
        grace_s = [float(one.part.spec.parameters.get("grace_s", 0)) for one in self._late]
        limit_s = IN_FLIGHT_S + max(grace_s, default=0.0)
        kept = [one for one in self._late if KINDS[one.part.spec.kind].is_kept(one.undo)]
        wait_until(
            self._clock,
            limit_s,
            look=lambda: all(one.over_s is not None for one in kept),
            holds=bool,
            every_s=POLL_S,
        )

    def _consider(self, spec: RemedySpec, now_s: float) -> None:
        if why := self._hopeless(spec):
            self._waiting.remove(spec)
            self._skip(spec, why)
        elif now_s >= (due_s := self._due_s(spec)):
            self._waiting.remove(spec)
            self._begin(spec, due_s)

    def _due_s(self, spec: RemedySpec) -> float:
        """When it is to be begun, monotonic; without end while that is not known."""
        if spec.start_s is not None:
            return self._t0_s + spec.start_s
        known = self._faults.effects_s if spec.after_fault else self._past.done_s
        return known.get(spec.after_fault or spec.after_remedy, math.inf) + spec.delay_s

    def _hopeless(self, spec: RemedySpec) -> str:
        """Why it will never be due, "" if it may be."""
        if spec.after_fault in self._faults.unproven:
            return f"{spec.after_fault} was not seen to take effect"
        if spec.after_remedy in self._past.not_done:
            return f"{spec.after_remedy} {self._past.not_done[spec.after_remedy]}"
        return ""

    def _begin(self, spec: RemedySpec, due_s: float) -> None:
        going = _Going(spec, self._clock.now_s(), [])
        try:
            going.parts = self._prepared(going)
        except (TargetError, EngineError) as error:
            self._tell(going, due_s, {})
            self._fail(going, error.message)
            return
        if KINDS[spec.kind].ends_faults:
            self._faults.end_looks([one.undo.containers[0].id for one in going.parts])
        command = [*going.parts[0].part.spec.parameters.get("command", ())]
        self._tell(going, due_s, {"command": [*map(self._site.hide, command)]} if command else {})
        self._faults.end_if_rescued()  # the record that was just made is gone
        self._going = going
        for one in going.parts:
            self._site.beside(one.work)

    def _tell(self, going: _Going, due_s: float, more: Mapping[str, Any]) -> None:
        spec, times = going.spec, {"asked_s": due_s, "start_s": going.start_s}
        facts = {"remedy": spec.id, "kind": spec.kind, "target": spec.target}
        since_s = {name: self._record.since_s(at_s) for name, at_s in times.items()}
        self._record.write("remedy.started", **facts, **since_s, **more)

    def _prepared(self, going: _Going) -> list[_Doing]:
        """Resolve, guard, journal; TargetError if it cannot be, or must not be."""
        spec, tools = going.spec, self._site.tools
        parts = parts_of(spec, tools, self._fault_at())
        doing = [_Doing(part, part.prepare(), going.bound_s) for part in parts]
        undos, containers = [one.undo for one in doing], tools.engine.containers()
        kind = KINDS[spec.kind].part
        check_parts(kind, undos, containers, self._site.project, self._allowing)
        for one in doing:
            self._faults.hold(one.part.spec, one.part, one.undo, spec.id)
        return doing

    def _fault_at(self) -> str:
        """When the first fault took effect, for commands; "" if none was injected."""
        wall_s = self._faults.first_wall_s
        if wall_s is None:
            return ""
        return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="microseconds")

    def _look(self, going: _Going, now_s: float) -> None:
        if not going.is_over and now_s <= going.bound_s + LATE_S:
            return
        if going.problems:
            self._fail(going, *going.problems)
        elif not going.is_over or going.over_s > going.bound_s:
            self._fail(going, f"it was not done within {going.spec.within_s:g} s")
        else:
            self._finish(going, going.over_s)

    def _finish(self, going: _Going, done_s: float) -> None:
        spec = going.spec
        self._going, self._past.done_s[spec.id] = None, done_s
        names = [one.name for one in going.parts]
        detail, printed = self._said([one.detail for one in going.parts])
        facts = {"remedy": spec.id, "done_s": self._since(done_s), "parts": names}
        self._record.write("remedy.done", **facts, detail=detail, **printed)
        for one in going.parts:
            if not KINDS[spec.kind].is_kept(one.undo):
                self._faults.forget(one.name)
        if spec.for_s is not None:
            ends_s = going.start_s + spec.for_s
            self._ends += [(ends_s, name) for name in names if name in self._faults]

    def _fail(self, going: _Going, *problems: str) -> None:
        """All its parts, done or half done, are taken back at the end of the run."""
        spec, now_s = going.spec, self._clock.now_s()
        self._going, self._past.not_done[spec.id] = None, "failed"
        message, printed = self._said(problems)
        facts = {"message": message, "done_s": self._since(now_s), **printed}
        self._record.note("remedy.failed", remedy=spec.id, **facts)
        self._late += [one for one in going.parts if one.over_s is None]

    def _skip(self, spec: RemedySpec, why: str) -> None:
        self._past.not_done[spec.id] = "was skipped"
        self._record.note("remedy.skipped", remedy=spec.id, message=why)

    def _take_back(self, now_s: float) -> None:
        for ends_s, name in list(self._ends):
            if now_s >= ends_s:
                self._ends.remove((ends_s, name))
                if failure := self._faults.heal(name):
                    raise HealError(failure, "harness heal")

    def _said(self, texts: Sequence[str]) -> tuple[str, dict[str, list[str]]]:
        """Their first lines as one, and what commands printed below them; no secrets are in it."""
        heads, printed = [], list[str]()
        for text in texts:
            head, *below = map(self._site.hide, text.split("\n"))
            heads.append(head)
            printed += below
        return "; ".join(heads), {"output": printed} if printed else {}

    def _since(self, monotonic_s: float) -> float:
        return self._record.since_s(monotonic_s)
