"""The undo journal: what is broken right now, on disk before it is broken.

journal.jsonl in the project's state folder (state_folder.py) holds one line per fault that is
not healed yet, and per part of a remedy that is going on or is to be taken back:

    {"fault": id, "spec": {...}, "undo": {...}, "run_id": ..., "boot_id": ..., "wall_s": ...}

No record, no fault; the record goes when the healing was verified. The file is replaced as a
whole (whole_file.py), so a power cut leaves the old or the new one. Forgetting the newest entry
shortens the file instead: that works on a full disk too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, HealError
from harness.faults import KINDS, spec_to_json
from harness.faults.base import Fault, FaultKind, Proof, Tools
from harness.faults.undo_record import Undo
from harness.model.clock import Clock, wait_until
from harness.model.experiment import FaultSpec
from harness.remedies import KINDS as REMEDIES
from harness.whole_file import recorded, write_whole

HEAL_TIMEOUT_S = 30.0
RETRY_S = 0.5
IN_FLIGHT_S = 15.0  # the engine ends a call although who made it was killed: `stop` takes 10 s


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that is not healed yet; `boot_id` says on which boot of the machine it began.

    Or one part of a `remedy`, by its id, that is not taken back yet; `fault` is the part's name.
    """

    fault: str
    spec: FaultSpec
    undo: Undo
    run_id: str
    boot_id: str
    wall_s: float
    remedy: str = ""

    @property
    def healing(self) -> str:
        """The event of its healing's begin."""
        return "remedy.undoing" if self.remedy else "fault.healing"

    @property
    def facts(self) -> dict[str, str]:
        """Which one it is, in events."""
        if self.remedy:
            return {"remedy": self.remedy, "target": self.undo.target}
        return {"fault": self.fault}

    def healed(self, healed_s: float) -> tuple[str, dict[str, Any]]:
        """The event of its verified end, at that time in seconds since run start."""
        name, when = ("remedy.undone", "undone_s") if self.remedy else ("fault.healed", "healed_s")
        return name, {**self.facts, when: healed_s, "verified": True}

    def act(self, tools: Tools) -> Fault:
        """What it describes; only its healing can be asked of it."""
        kind = _kind_of(self.spec.kind, is_remedy=bool(self.remedy))
        return kind.make(self.spec, kind.parameters(**self.spec.parameters), tools)

    def to_json(self) -> Mapping[str, Any]:
        """The journal's line."""
        return {
            "fault": self.fault,
            "spec": spec_to_json(self.spec),
            "undo": self.undo.to_json(),
            "run_id": self.run_id,
            "boot_id": self.boot_id,
            "wall_s": self.wall_s,
            **({"remedy": self.remedy} if self.remedy else {}),
        }


class Journal:
    """The entries in the order they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """What is not healed; HealError if a line of the file cannot be understood."""
        read = [(line, _read_entry(line)) for line in self._lines()]
        if damaged := [line for line, entry in read if entry is None]:
            raise HealError(
                f"{self.path}: cannot read a line: {damaged[0][:200]}",
                "harness heal fixes what the other lines name; then harness down, which "
                "removes the containers, and what is broken in them, and empties the journal",
            )
        return [entry for _, entry in read if entry is not None]

    def readable(self) -> list[Entry]:
        """What is not healed, as far as it can be understood: a damaged line hides no other."""
        return [entry for line in self._lines() if (entry := _read_entry(line)) is not None]

    def is_empty(self) -> bool:
        """Whether nothing is broken; a line that cannot be understood counts as a fault."""
        return not self._lines()

    def add(self, entry: Entry) -> None:
        """Put `entry` on disk; when this returns it survives a power cut. RecordError if not."""
        self.entries()  # refuses a damaged file
        kept = self._without(entry.fault)
        self._replace([*kept, json.dumps(entry.to_json())])

    def remove(self, fault: str) -> None:
        """Forget the entry of `fault`, because it is verifiably healed; harmless if repeated."""
        kept = self._without(fault)
        if len(kept) < len(self._lines()):
            self._keep(kept)

    def clear(self) -> None:
        """Forget everything, because what was broken does not exist any more."""
        if self._lines():
            self._keep([])

    def _lines(self) -> list[str]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HealError(
                f"{self.path}: {error.strerror}", "fix this, then: harness heal"
            ) from error
        return [line for line in text.split("\n") if line.strip()]

    def _without(self, fault: str) -> list[str]:
        read = [(line, _read_entry(line)) for line in self._lines()]
        return [line for line, entry in read if entry is None or entry.fault != fault]

    def _replace(self, lines: list[str]) -> None:
        with recorded(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, "".join(f"{line}\n" for line in lines), is_durable=True)

    def _keep(self, lines: list[str]) -> None:
        """Forget all but these lines."""
        start = "".join(f"{line}\n" for line in lines).encode()
        if not self.path.read_bytes().startswith(start):
            self._replace(lines)
            return
        with recorded(self.path), self.path.open("r+b") as file:
            file.truncate(len(start))
            os.fsync(file.fileno())


def boot_id() -> str:
    """What tells one boot of this machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def heal_fault(fault: Fault, undo: Undo, clock: Clock, timeout_s: float = HEAL_TIMEOUT_S) -> Proof:
    """Heal and verify, again and again until it is seen to be healed.

    HealError, with what was seen last, after `timeout_s`.
    """

    def heal() -> Proof:
        try:
            fault.heal(undo)
            return fault.is_healed(undo)
        except HarnessError as error:
            return Proof(proven=False, detail=error.message)

    last, is_healed = wait_until(clock, timeout_s, heal, lambda proof: proof.proven, RETRY_S)
    if not is_healed:
        what = f"{undo.kind} of {undo.target}"
        raise HealError(f"{what} is not healed: {last.detail}", "harness heal")
    return last


Say = Callable[[Entry, Proof | None, str], None]


def replay(journal: Journal, tools: Tools, say: Say, returned: Container[str] = ()) -> list[Entry]:
    """Heal all entries, newest first; those that could not be healed are returned and stay.

    A fault so young that the call which breaks may still be in flight stays in the journal until
    that time is over and it is seen to be healed then; not if it is known to have `returned`.
    HealError, after all that can be healed is, if a line of the journal cannot be understood.
    """
    left: list[Entry] = []
    young: list[Entry] = []
    for entry in reversed(journal.readable()):
        with _reported(entry, left, say):
            proof = heal_fault(entry.act(tools), entry.undo, tools.clock)
            if entry.fault not in returned and _in_flight_s(entry, tools.clock) > 0:
                young.append(entry)
            else:
                journal.remove(entry.fault)
            say(entry, proof, proof.detail)
    for entry in young:
        with _reported(entry, left, say):
            _watch_over(entry, tools, say)
            journal.remove(entry.fault)
    journal.entries()
    return left


def _in_flight_s(entry: Entry, clock: Clock) -> float:
    """For how many seconds from now the call that breaks may still take effect."""
    longest_s = IN_FLIGHT_S + float(entry.spec.parameters.get("grace_s", 0))
    return min(longest_s, entry.wall_s + longest_s - clock.wall_s())


def _watch_over(entry: Entry, tools: Tools, say: Say) -> None:
    """Heal it again whenever it is broken again, until nothing can be in flight any more."""
    clock, fault = tools.clock, entry.act(tools)
    deadline_s = clock.now_s() + _in_flight_s(entry, clock)
    while True:
        is_over = clock.now_s() >= deadline_s
        if not fault.is_healed(entry.undo).proven:
            proof = heal_fault(fault, entry.undo, clock)
            say(entry, proof, f"{proof.detail} (it took effect late)")
        if is_over:
            return
        clock.sleep_until_s(min(deadline_s, clock.now_s() + RETRY_S))


@contextmanager
def _reported(entry: Entry, left: list[Entry], say: Say) -> Iterator[None]:
    try:
        yield
    except HarnessError as error:
        left.append(entry)
        say(entry, None, error.message)
    except Exception as error:  # noqa: BLE001  # the other entries must be healed too
        left.append(entry)
        say(entry, None, f"{type(error).__name__}: {error}")


def _read_entry(line: str) -> Entry | None:
    """The entry in a line, None if it is none."""
    try:
        raw = json.loads(line)
        spec = FaultSpec.model_validate(raw["spec"])
        remedy = str(raw.get("remedy", ""))
        kind = _kind_of(spec.kind, is_remedy=bool(remedy))
        kind.parameters(**spec.parameters)
        undo, wall_s = kind.undo.from_json(raw["undo"]), float(raw["wall_s"])
        return Entry(raw["fault"], spec, undo, raw["run_id"], raw["boot_id"], wall_s, remedy)
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _kind_of(name: str, *, is_remedy: bool) -> FaultKind:
    """The kind of fault, or of a part of a remedy; `start` was a fault in earlier versions."""
    return REMEDIES[name].part if is_remedy or name not in KINDS else KINDS[name]
