"""The parts `expect` and `safeguards`: what must hold, and what aborts a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from harness.aspects import metric_of
from harness.aspects.clause import parse_expectation
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.model.expectation import Expectation
from harness.model.experiment import Phase, Safeguard
from harness.model.metric import ALERT, CHECK
from harness.model.quantity import parse_duration, parse_share

DURATION_DEFAULT_S = 600.0
EACH = "each"
"""Instead of a phase: every judged one."""
_RULE = "error_rate > SHARE for DURATION, as in error_rate > 50% for 30s"


def read_hypothesis(
    root: Node, phases: Sequence[Phase], operations: set[str], broken: Set[str] | None
) -> list[Expectation]:
    """Every expectation that is right; limits that contradict each other are reported.

    `operations` are those that are sent: of the others there will be no figure. `broken` are the
    phases in which a fault starts; None if that is not known.
    """
    expect = root.mapping("expect")
    if not expect and root.is_mapping("expect"):
        root.problem("expect", "missing", "a run without expectations proves nothing")
    judged = [phase.name for phase in phases if phase.is_judged]
    found: list[Expectation] = []
    for phase in expect:
        if phase == EACH:
            continue
        if phases and phase not in (*judged, "run"):
            expect.problem(phase, "not a judged phase", suggest(str(phase), (*judged, "run", EACH)))
            continue
        subjects = expect.mapping(phase)
        for subject in subjects:
            found += _clauses(str(phase), subject, subjects, operations)
    found += _of_each(expect, judged, operations, {item.id for item in found})
    if broken is not None:
        _check_faults(found, expect, broken)
    _check_contradictions(found, expect)
    return found


def _of_each(
    expect: Node, judged: Sequence[str], operations: set[str], own: Set[str]
) -> list[Expectation]:
    """What holds in each judged phase, unless the phase has its own limit for the same figure."""
    subjects, found = expect.mapping(EACH), []
    for subject in subjects:
        parsed = _clauses(judged[0] if judged else EACH, subject, subjects, operations)
        if any(metric_of(item).scope != "phase" for item in parsed):
            subjects.problem(
                subject, "not a metric that every phase has", "put it under a phase, or run"
            )
        found += [replace(item, phase=phase) for phase in judged for item in parsed]
    return [item for item in found if item.id not in own]


def _clauses(phase: str, subject: Any, subjects: Node, operations: set[str]) -> list[Expectation]:
    clauses, found = subjects.get(subject), []
    if str(subject).startswith(f"{CHECK}."):
        subjects.problem(subject, "a check says itself when it must hold", "write it in `checks`")
        return []
    if not isinstance(clauses, list):
        subjects.problem(subject, "not a list", "write [p95 < 200ms]")
        return []
    for clause in clauses:
        try:
            found.append(parse_expectation(phase, str(subject), str(clause), operations))
        except ValueError as error:
            subjects.problem(subject, str(error))
    return found


def _check_faults(found: Sequence[Expectation], expect: Node, broken: Set[str]) -> None:
    """A metric that needs a fault belongs in a phase in which one starts, or in `run`."""
    for item in found:
        is_of_alert = item.aspect == ALERT and item.phase == "run"
        if (item.is_about_victim or is_of_alert) and not broken:
            expect.problem(item.phase, f"{item.metric} needs a fault, and the experiment has none")
        if metric_of(item).scope == "fault" and item.phase != "run" and item.phase not in broken:
            what = f"{item.metric} needs a fault, and none starts in {item.phase}"
            right = f"put it under {', '.join(sorted(broken)) or 'a phase with a fault'}, or run"
            expect.problem(item.phase, what, right, expect.path_of(item.id))


def _check_contradictions(found: Sequence[Expectation], expect: Node) -> None:
    highest: dict[str, float] = {}
    lowest: dict[str, float] = {}
    for item in found:
        if item.comparison in ("<", "<=", "=="):
            highest[item.id] = min(highest.get(item.id, item.limit), item.limit)
        if item.comparison in (">", ">=", "=="):
            lowest[item.id] = max(lowest.get(item.id, item.limit), item.limit)
    for name in highest.keys() & lowest.keys():
        if lowest[name] > highest[name]:
            limits = f"at least {lowest[name]:g} and at most {highest[name]:g}"
            phase = name.partition(".")[0]
            expect.problem(phase, f"contradictory limits: {limits}", path=expect.path_of(name))


def read_safeguards(root: Node, operations: Set[str]) -> tuple[list[Safeguard], float]:
    """The rules that abort a run, and the longest it may take in seconds."""
    node = root.mapping("safeguards")
    node.check_keys(("abort_if", "max_duration"))
    longest_s = node.quantity("max_duration", parse_duration)
    entries, found = node.get("abort_if", []), []
    if not isinstance(entries, list):
        node.problem("abort_if", "not a list")
        entries = []
    for index, entry in enumerate(entries):
        path = f"{node.path_of('abort_if')}[{index}]"
        rule = _safeguard(entry)
        if rule is None:
            node.problem("abort_if", "not a valid rule", f"write - OPERATION: {_RULE}", path)
        elif rule.operation not in operations:
            text = f"{rule.operation} is not in load.mix, so this rule could never act"
            node.problem("abort_if", text, suggest(rule.operation, operations), path)
        else:
            found.append(rule)
    return found, DURATION_DEFAULT_S if longest_s is None else longest_s


def _safeguard(entry: Any) -> Safeguard | None:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        return None
    operation, rule = next(iter(entry.items()))
    words = str(rule).split()
    if words[:2] != ["error_rate", ">"] or len(words) != 5 or words[3] != "for":
        return None
    try:
        share, for_s = parse_share(words[2]), parse_duration(words[4])
    except ValueError:
        return None
    return Safeguard(operation=str(operation), error_rate=share, for_s=for_s)
