"""The part `remedies`: what the operator does, in this order, and what each one waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.experiment_file.faults import FAULTS_MAX, read_parameters, start_of
from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.faults.base import Parameters
from harness.model.experiment import FaultSpec, Phase, RemedySpec
from harness.model.quantity import parse_duration
from harness.remedies import KINDS
from harness.remedies.base import FAULT_AT

WITHIN_S, WITHIN_MAX_S = 60.0, 600.0
TIMES = ("at", "after", "for", "within")
FAULT, REMEDY = "fault ", "remedy "
"""Before an id in `after`, where a fault and a remedy are called the same."""


@dataclass(frozen=True, slots=True)
class _When:
    """What a remedy waits for: the fields of a RemedySpec."""

    phase: str = ""
    start_s: float | None = None
    after_fault: str = ""
    after_remedy: str = ""
    delay_s: float = 0.0


def read_remedies(
    root: Node, phases: Sequence[Phase], faults: Sequence[FaultSpec], names: Names
) -> list[RemedySpec]:
    """Every remedy that is right, in the order of the file."""
    entries, found = root.get("remedies", []), []
    if not isinstance(entries, list) or len(entries) > FAULTS_MAX:
        text = f"not a list of up to {FAULTS_MAX}"
        root.problem("remedies", text, "write a list, or leave the key out")
        return []
    ids = [_id_of(tree, number) for number, tree in enumerate(entries, 1)]
    for index, tree in enumerate(entries):
        path = f"remedies[{index}]"
        if not isinstance(tree, Mapping):
            right = "write - start: {service: NAME}"
            root.problem("remedies", "not a mapping", right, path)
            continue
        known = _Known(phases, [fault.id for fault in faults], ids, index)
        if spec := _read(root.entry(tree, path), known, names):
            found.append(spec)
    return found


def _id_of(tree: Any, number: int) -> str:
    """As of a fault: its kind, and its place in the list; "" if it has no kind."""
    keys = [key for key in tree if key not in TIMES] if isinstance(tree, Mapping) else []
    return f"{keys[0]}-{number}" if keys else ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a remedy may wait for: phases, the ids of all faults, and of all remedies in order."""

    phases: Sequence[Phase]
    faults: Sequence[str]
    remedies: Sequence[str]
    index: int

    @property
    def id(self) -> str:
        return self.remedies[self.index]

    @property
    def before(self) -> Sequence[str]:
        """The remedies above it in the list."""
        return self.remedies[: self.index]


def _read(entry: Node, known: _Known, names: Names) -> RemedySpec | None:
    """One remedy; None, with problems, if it is wrong."""
    kind = _kind(entry)
    if kind is None:
        return None
    body = entry.mapping(kind)
    services = _services(body, names)
    parameters = read_parameters(body, KINDS[kind].parameters)
    when, within_s = _when(entry, known), _within(entry)
    if parameters is None or when is None or not services:
        return None
    _check_place(body, parameters, known)
    return RemedySpec(
        id=known.id,
        kind=kind,
        services=services,
        parameters=parameters.model_dump(mode="json"),
        phase=when.phase,
        start_s=when.start_s,
        after_fault=when.after_fault,
        after_remedy=when.after_remedy,
        delay_s=when.delay_s,
        within_s=within_s,
        for_s=_for(entry, kind, parameters, when, known),
    )


def _kind(entry: Node) -> str | None:
    """The one key that is no time."""
    keys = [key for key in entry if key not in TIMES]
    if len(keys) == 1 and keys[0] in KINDS:
        return str(keys[0])
    wrong = keys[-1] if keys else "nothing"
    text = f"unknown kind of remedy: {wrong}" if len(keys) < 2 else f"more than one kind: {wrong}"
    entry.problem(wrong, text, suggest(str(wrong), KINDS), entry.path)
    return None


def _services(body: Node, names: Names) -> tuple[str, ...]:
    """All that it is done to; () with a problem if that is none, or one of them twice."""
    said = body.get("service")
    listed = tuple(map(str, said)) if isinstance(said, list) else (str(said),)
    if not said or not listed or len(set(listed)) < len(listed):
        text = "not a service or a list of different ones"
        body.problem("service", text, "write service: NAME, or service: [NAME, OTHER]")
        return ()
    for name in listed:
        names.check_target(body, "service", name)
    return listed


def _when(entry: Node, known: _Known) -> _When | None:
    """Exactly one of `at` and `after`."""
    if not known.phases:
        return None  # that is reported where they are missing
    if ("at" in entry) == ("after" in entry):
        text = "`at` and `after` are both given" if "at" in entry else "nothing says when"
        right = "write at: PHASE + 5s, or after: a fault's or remedy's id, as in kill-1 + 10s"
        entry.problem("after", text, right, entry.path)
        return None
    if "at" in entry:
        found = start_of(entry, str(entry.get("at")), known.phases)
        if found is not None and found[1] >= known.phases[-1].end_s:
            text = f"{found[1]:.1f} s is not within the run"
            entry.problem("at", text, f"the run ends at {known.phases[-1].end_s:.1f} s")
            return None
        return None if found is None else _When(*found)
    return _after(entry, known)


def _after(entry: Node, known: _Known) -> _When | None:
    name, plus, offset = (part.strip() for part in str(entry.get("after")).partition("+"))
    try:
        delay_s = parse_duration(offset) if plus else 0.0
    except ValueError as error:
        entry.problem("after", str(error), "write it like kill-1 + 10s")
        return None
    faults = [] if name.startswith(REMEDY) else [*known.faults]
    remedies = [] if name.startswith(FAULT) else [*filter(None, known.before)]
    wanted = name.removeprefix(REMEDY).removeprefix(FAULT)
    if wanted in faults and wanted in remedies:
        right = f"write `after: {FAULT}{wanted}`, or `after: {REMEDY}{wanted}`"
        entry.problem("after", f"{wanted} is a fault and a remedy", right)
    elif wanted in faults:
        return _When(after_fault=wanted, delay_s=delay_s)
    elif wanted in remedies:
        return _When(after_remedy=wanted, delay_s=delay_s)
    elif wanted in known.remedies:
        text = f"{wanted} is not above it, and they are done in this order"
        entry.problem("after", text, "move it up, or this one down")
    else:
        right = suggest(wanted, [*faults, *remedies]) if faults or remedies else "write at: PHASE"
        entry.problem("after", f"no fault or remedy {wanted}", right)
    return None


def _within(entry: Node) -> float:
    """Its bound; the usual one, with a problem, if it is out of range."""
    said_s = entry.quantity("within", parse_duration)
    if said_s is None:
        return WITHIN_S
    if not 0 < said_s <= WITHIN_MAX_S:
        text = f"{entry.get('within')} is out of range"
        entry.problem("within", text, f"write a duration of up to {WITHIN_MAX_S:.0f}s")
        return WITHIN_S
    return said_s


def _for(
    entry: Node, kind: str, parameters: Parameters, when: _When, known: _Known
) -> float | None:
    """For how long it lasts; None if it is not said, or cannot be."""
    for_s = entry.quantity("for", parse_duration)
    if for_s is None:
        return None
    if not KINDS[kind].can_end(parameters):
        right = "give it an `undo`" if "undo" in parameters.model_dump() else "leave out `for`"
        entry.problem("for", f"{kind} cannot be taken back", right)
        return None
    ends_s, run_ends_s = (when.start_s or 0.0) + for_s, known.phases[-1].end_s
    if for_s <= 0 or ends_s > run_ends_s:
        entry.problem("for", f"not within the run, which ends at {run_ends_s:.1f} s", "shorten it")
    return for_s


def _check_place(body: Node, parameters: Parameters, known: _Known) -> None:
    """In a run without faults nothing can be filled in."""
    words = getattr(parameters, "command", ())
    if any(FAULT_AT in word for word in words) and not known.faults:
        text = f"{FAULT_AT} stands for the first fault, and there is none"
        body.problem("command", text, "write a time, or add a fault")
