"""The part `faults`: kind, target, parameters, and when each one starts and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.experiment_file.times import field_of, unit_s
from harness.faults.base import FaultKind, Parameters
from harness.model.experiment import FaultSpec, Phase
from harness.model.quantity import parse_duration

FAULTS_MAX = 50
WRONG = object()
"""In place of a value that was reported already."""
SELECTORS = ("service", "role", "container", "link")


def read_faults(
    root: Node, phases: Sequence[Phase], names: Names
) -> tuple[list[FaultSpec], frozenset[str] | None]:
    """Every fault that is right, in the order of the file, and the phases in which one starts.

    None in place of the phases if one of the faults is wrong: where it starts is not known then.
    """
    entries, found = root.get("faults", []), []
    if not isinstance(entries, list) or len(entries) > FAULTS_MAX:
        text = f"not a list of up to {FAULTS_MAX}"
        root.problem("faults", text, "write a list, or leave the key out")
        return [], None
    for index, tree in enumerate(entries):
        path = f"faults[{index}]"
        if not isinstance(tree, Mapping):
            root.problem("faults", "not a mapping", "write - kill: {service: NAME}", path)
        elif spec := read_fault(root.entry(tree, path), index + 1, phases, names):
            found.append(spec)
    are_known = len(found) == len(entries)
    return found, frozenset(spec.phase for spec in found) if are_known else None


def read_fault(entry: Node, number: int, phases: Sequence[Phase], names: Names) -> FaultSpec | None:
    """One fault, as a file writes it; None, with problems, if it is wrong."""
    kind = _kind(entry, names)
    if kind is None:
        return None
    body = entry.mapping(kind)
    selector, candidates = _selector(body, names.kinds[kind], names)
    parameters = read_parameters(body, names.kinds[kind].parameters)
    times = _times(entry, phases)
    if parameters is None or times is None:
        return None
    phase, start_s, end_s = times
    return FaultSpec(
        id=f"{kind}-{number}",
        kind=kind,
        selector=selector,
        candidates=candidates,
        parameters=parameters.model_dump(mode="json"),
        phase=phase,
        start_s=start_s,
        end_s=end_s,
    )


def _kind(entry: Node, names: Names) -> str | None:
    """The one key that is neither `at` nor `for`."""
    keys = [key for key in entry if key not in ("at", "for")]
    if len(keys) == 1 and keys[0] in names.kinds:
        return str(keys[0])
    wrong = keys[0] if keys else "nothing"
    if wrong == "start":
        text = "starting a container is no fault, but what an operator does"
        right = "move the entry as it is from `faults:` to `remedies:`"
        entry.problem(wrong, text, right, f"{entry.path}.start")
        return None
    text = f"unknown kind of fault: {wrong}"
    entry.problem(wrong, text, suggest(str(wrong), names.kinds), entry.path)
    return None


def _selector(body: Node, kind: FaultKind, names: Names) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the fault is aimed at; of a list the first, and all of it as candidates."""
    named = {str(key): value for key, value in body.tree.items() if key in SELECTORS}
    if len(named) != 1 or not named.keys() <= kind.selectors:
        right = f"write one of {', '.join(sorted(kind.selectors))}"
        body.problem(next(iter(named), ""), "needs exactly one target", right, body.path)
        return {}, ()
    [(how, value)] = named.items()
    listed = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if not listed or len(set(listed)) < len(listed) or len(listed) > FAULTS_MAX:
        body.problem(how, "not a name or a list of different names", "write [NAME, OTHER]")
        return {how: ""}, ()
    for name in listed:
        names.check_target(body, how, name)
    return {how: listed[0]}, listed if isinstance(value, list) else ()


def read_parameters(body: Node, parameters: type[Parameters]) -> Parameters | None:
    """What is no selector, as `parameters`; None, with problems, if it is wrong.

    A time may be written as a duration: `latency: 100ms`, `hold: 250ms`."""
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    for key in map(str, body):
        if key in SELECTORS:
            continue
        name = field_of(parameters, key)
        written[name] = key
        unit = unit_s(parameters, name)
        is_duration = unit is not None and (name != key or _has_unit(body.get(key)))
        values[name] = _time(body, key, unit or 1.0) if is_duration else body.get(key)
    wrong = {name for name, value in values.items() if value is WRONG}
    return body.model(parameters, values, written, wrong)


def _has_unit(value: Any) -> bool:
    """Whether it is text that is no plain number."""
    return isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).isdecimal()


def _time(body: Node, key: str, unit: float) -> Any:
    """A duration as a number of units, whole where it is; WRONG, with a problem, if it is none."""
    seconds = body.quantity(key, parse_duration)
    if seconds is None:
        return WRONG
    number = round(seconds / unit, 6)
    return int(number) if number.is_integer() else number


def _times(entry: Node, phases: Sequence[Phase]) -> tuple[str, float, float] | None:
    """The phase that `at` names, start and end in seconds since run start."""
    found = start_of(entry, str(entry.get("at", "fault + 0s")), phases)
    if found is None:
        return None
    name, start_s = found
    phase = next(phase for phase in phases if phase.name == name)
    hold_s = entry.quantity("for", parse_duration)
    end_s = phase.end_s if hold_s is None else start_s + hold_s
    if not start_s < end_s <= phases[-1].end_s:
        text = f"from {start_s:.1f} s to {end_s:.1f} s is not within the run"
        entry.problem("at", text, f"the run ends at {phases[-1].end_s:.1f} s", entry.path)
        return None
    return name, start_s, end_s


def start_of(entry: Node, said: str, phases: Sequence[Phase]) -> tuple[str, float] | None:
    """The phase that `at` names, and the moment in seconds since run start; None if it is wrong."""
    if not phases:
        return None  # that is reported where they are missing
    name, _, offset = (part.strip() for part in said.partition("+"))
    phase = next((phase for phase in phases if phase.name == name), None)
    if phase is None:
        entry.problem("at", f"no phase named {name}", suggest(name, [p.name for p in phases]))
        return None
    try:
        return phase.name, phase.start_s + parse_duration(offset or "0s")
    except ValueError as error:
        entry.problem("at", str(error), "write it like fault + 5s")
        return None
