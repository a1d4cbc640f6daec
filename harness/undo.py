"""The undo journal: what is broken right now, on disk before it is broken.

.harness/<project>/journal.jsonl holds one line per fault that is not healed yet:

    {"fault": id, "spec": {...}, "undo": {...}, "run_id": ..., "boot_id": ..., "wall_s": ...}

No record, no fault; the record goes when the healing was verified. The file is replaced as a
whole (write, fsync, rename, fsync the folder), so a power cut leaves the old or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, HealError
from harness.faults import make_fault, spec_to_json
from harness.faults.base import Fault, Proof, Tools, Undo
from harness.model.clock import Clock
from harness.model.experiment import FaultSpec

HEAL_TIMEOUT_S = 30.0
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that is not healed yet; `boot_id` says on which boot of the machine it began."""

    fault: str
    spec: FaultSpec
    undo: Undo
    run_id: str
    boot_id: str
    wall_s: float

    def to_json(self) -> Mapping[str, Any]:
        """The journal's line."""
        return {
            "fault": self.fault,
            "spec": spec_to_json(self.spec),
            "undo": self.undo,
            "run_id": self.run_id,
            "boot_id": self.boot_id,
            "wall_s": self.wall_s,
        }


class Journal:
    """The entries in the order they were made."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """What is not healed; HealError if the file cannot be understood."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        try:
            return [_read_entry(line) for line in lines if line.strip()]
        except (ValueError, KeyError, TypeError) as error:
            raise HealError(
                f"{self.path}: cannot be read: {error}",
                "undo what it names by hand (or harness down), then delete the file",
            ) from error

    def add(self, entry: Entry) -> None:
        """Put `entry` on disk; when this returns it survives a power cut."""
        kept = [e for e in self.entries() if e.fault != entry.fault]
        self._replace([*kept, entry])

    def remove(self, fault: str) -> None:
        """Forget the entry of `fault`, because it is verifiably healed."""
        self._replace([entry for entry in self.entries() if entry.fault != fault])

    def _replace(self, entries: list[Entry]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry.to_json()) + "\n" for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def boot_id() -> str:
    """What tells one boot of this machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def heal_fault(fault: Fault, undo: Undo, clock: Clock, timeout_s: float = HEAL_TIMEOUT_S) -> Proof:
    """Heal and verify, again and again until it is seen to be healed.

    HealError, with what was seen last, after `timeout_s`.
    """
    deadline_s = clock.now_s() + timeout_s
    last = "not tried"
    while True:
        try:
            fault.heal(undo)
            proof = fault.is_healed(undo)
            if proof.proven:
                return proof
            last = proof.detail
        except HarnessError as error:
            last = error.message
        if clock.now_s() >= deadline_s:
            target = undo.get("target", "?")
            raise HealError(f"{undo.get('kind')} of {target} is not healed: {last}", "harness heal")
        clock.sleep_until_s(clock.now_s() + RETRY_S)


def replay(
    journal: Journal, tools: Tools, say: Callable[[Entry, Proof | None, str], None]
) -> list[Entry]:
    """Heal all entries, newest first; those that could not be healed are returned and stay."""
    left: list[Entry] = []
    for entry in reversed(journal.entries()):
        with _reported(entry, left, say):
            proof = heal_fault(make_fault(entry.spec, tools), entry.undo, tools.clock)
            journal.remove(entry.fault)
            say(entry, proof, proof.detail)
    return left


@contextmanager
def _reported(
    entry: Entry, left: list[Entry], say: Callable[[Entry, Proof | None, str], None]
) -> Iterator[None]:
    try:
        yield
    except HarnessError as error:
        left.append(entry)
        say(entry, None, error.message)


def _read_entry(line: str) -> Entry:
    raw = json.loads(line)
    spec = FaultSpec.model_validate(raw["spec"])
    return Entry(
        raw["fault"], spec, raw["undo"], raw["run_id"], raw["boot_id"], float(raw["wall_s"])
    )
