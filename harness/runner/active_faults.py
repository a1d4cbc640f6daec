"""The faults that are active now: how one is broken, watched and healed, whoever asks for it.

    resolve, guard, journal, break, prove ---- looked at while it lasts ---- last look, heal, verify

A run does this by its plan (run.py), a test by its own code (session/faults.py). What remedies have
to take back (remedies.py) is in the same journal, and is healed in the same order: newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from harness.errors import Interrupted, RecordError
from harness.faults import KINDS, make_fault
from harness.faults.base import Fault, Proof
from harness.faults.undo_record import Undo
from harness.faults.watch import wait_for
from harness.guard import Allowing, check_fault
from harness.lasting import LastingFaults, Lost
from harness.model.experiment import FaultSpec
from harness.runner.world import Site
from harness.undo import Entry, heal_fault


@dataclass(frozen=True, slots=True)
class Record:
    """Where it is written what happens, as the events of record/events.py.

    `write` may raise RecordError; `note` raises nothing, because healing must go on. `since_s` is a
    monotonic time in seconds since the start of the record.
    """

    write: Callable[..., None]
    note: Callable[..., None]
    since_s: Callable[[float], float]


@dataclass(slots=True)
class _Active:
    entry: Entry
    fault: Fault


class ActiveFaults:
    """What is broken at a site; whoever owns it must call `heal_all` at the end, whatever happens.

    `was_interrupted`: by a KeyboardInterrupt that a healing held back. `effects_s`: when each fault
    that was proven took effect, monotonic; `unproven`: those that were not. `first_wall_s`: the
    wall time when the first one did, or was injected where that is not known.
    """

    def __init__(self, site: Site, run_id: str, record: Record) -> None:
        self._site, self._run_id, self._record = site, run_id, record
        self._clock = site.tools.clock
        self._active: dict[str, _Active] = {}
        self._lasting = LastingFaults(self._clock, self._lost, site.beside)
        self.was_interrupted = False
        self.effects_s: dict[str, float] = {}
        self.unproven: set[str] = set()
        self.first_wall_s: float | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._active

    def words(self) -> tuple[str, ...]:
        """Kind and target of each fault."""
        faults = [a.entry for a in self._active.values() if not a.entry.remedy]
        return tuple(f"{entry.spec.kind} {entry.undo.target}" for entry in faults)

    def inject(self, spec: FaultSpec, allowing: Allowing) -> Proof:
        """Resolve, guard, journal, break, prove: in this order; what was seen of it."""
        site, write = self._site, self._record.write
        fault = make_fault(spec, site.tools)
        undo = fault.prepare()
        check_fault(KINDS[spec.kind], undo, site.tools.engine.containers(), site.project, allowing)
        self.hold(spec, fault, undo)
        facts: dict[str, Any] = {"fault": spec.id, "kind": spec.kind, "target": undo.target}
        write("fault.injecting", **facts, resolved=undo.to_json())
        self.end_if_rescued()  # the record that was just made is gone
        effect = fault.inject()
        facts["start_s"] = self._record.since_s(effect.start_s)
        proof = wait_for(site.tools, fault.is_active, KINDS[spec.kind].proof_s)
        effect_s = proof.effect_s if proof.effect_s is not None else effect.effect_s
        if self.first_wall_s is None:
            began_s = effect.start_s if effect_s is None else effect_s
            self.first_wall_s = self._clock.wall_s() - self._clock.now_s() + began_s
        if not proof.proven:
            self.unproven.add(spec.id)
            write("fault.unproven", **facts, detail=proof.detail)
            return proof
        self.effects_s[spec.id] = self._clock.now_s() if effect_s is None else effect_s
        write(
            "fault.active",
            **facts,
            effect_s=None if effect_s is None else self._record.since_s(effect_s),
            detail=f"{effect.detail}: {proof.detail}",
            proven=True,
            **proof.facts,
        )
        if KINDS[spec.kind].lasts:
            self._lasting.begin(spec.id, fault)
        return proof

    def hold(self, spec: FaultSpec, act: Fault, undo: Undo, remedy: str = "") -> None:
        """Put on disk how it is undone; from now on `heal` and `heal_all` know of it.

        Known to them first: an interruption just after the record must remove it again.
        """
        site, wall_s = self._site, self._clock.wall_s()
        entry = Entry(spec.id, spec, undo, self._run_id, site.boot_id, wall_s, remedy)
        self._active[spec.id] = _Active(entry, act)
        site.journal.add(entry)

    def forget(self, name: str) -> None:
        """Nothing of it has to be undone any more."""
        self._site.journal.remove(name)
        self._active.pop(name, None)

    def end_looks(self, containers: Collection[str]) -> None:
        """A last look at the faults of these containers (ids): somebody is about to end them."""
        for name, active in self._active.items():
            if any(one.id in containers for one in active.entry.undo.containers):
                self.confirm(name)
                self._lasting.forget(name)

    def look(self) -> None:
        """Begin to look whether those that ought to last still do."""
        self._lasting.look()

    def end_if_rescued(self) -> None:
        """Interrupted if this process was suspended so long that its watchdog healed its faults."""
        if self._site.watchdog.has_acted:
            raise Interrupted(
                "this process was suspended (Ctrl-Z, SIGSTOP); its watchdog healed the faults"
            )

    def heal(self, name: str) -> str:
        """A last look, then its healing: "" if that was verified, else why not."""
        if name not in self._active:
            return ""
        self.confirm(name)
        return self._heal(self._active[name])

    def heal_all(self) -> list[str]:
        """Heal newest first; what is left broken, as texts. Nothing interrupts this."""
        failures = [self._heal(active) for active in reversed(list(self._active.values()))]
        return [failure for failure in failures if failure]

    def confirm(self, name: str) -> None:
        """A last look whether a fault that ought to last still does."""
        held = self._lasting.confirm(name)
        if held is not None:
            held_s = self._record.since_s(held.held_s)
            self._record.note("fault.held", fault=name, held_s=held_s, looks=held.looks)

    def _lost(self, lost: Lost) -> None:
        lost_s, seen_s = self._record.since_s(lost.lost_s), self._record.since_s(lost.seen_s)
        facts = {"lost_s": lost_s, "seen_s": seen_s, "detail": lost.detail}
        self._record.note("fault.lost", fault=lost.fault, **facts)

    def _heal(self, active: _Active) -> str:
        """ "" if it was healed and verified, else why not; then the journal keeps its entry."""
        entry, note = active.entry, self._record.note
        name = entry.fault
        self._lasting.forget(name)
        for last_try in (False, True):
            try:
                note(entry.healing, **entry.facts)
                proof = self._healed_by_watchdog(active) or heal_fault(
                    active.fault, entry.undo, self._clock
                )
                self._site.journal.remove(name)
                self._healed(entry, proof)
            except KeyboardInterrupt:
                self.was_interrupted = True
                if last_try:
                    return f"{name} is not healed: interrupted twice"
            except RecordError as error:
                return f"{name} is healed, but its undo record could not be removed: {error}"
            except Exception as error:  # noqa: BLE001  # the other faults must be healed too
                note("heal.failed", **entry.facts, message=str(error))
                return f"{name} is not healed: {error}"
            else:
                return ""
        return ""

    def _healed_by_watchdog(self, active: _Active) -> Proof | None:
        """The proof that the watchdog healed it, None if it has not: nothing is undone twice."""
        watchdog = self._site.watchdog
        if not watchdog.has_acted:
            return None
        watchdog.wait_until_done()
        if any(entry.fault == active.entry.fault for entry in self._site.journal.readable()):
            return None
        proof = active.fault.is_healed(active.entry.undo)
        return proof if proof.proven else None

    def _healed(self, entry: Entry, proof: Proof) -> None:
        self._active.pop(entry.fault, None)
        event, facts = entry.healed(self._record.since_s(self._clock.now_s()))
        self._record.note(event, **facts, detail=proof.detail, **proof.facts)
