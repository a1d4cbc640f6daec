"""The part `checks`: hypotheses of the user's own, and the expectations that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.checks import KINDS
from harness.checks.base import Parameters
from harness.checks.clause import parse_clause
from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.model.check import MOMENTS, WITHIN, CheckSpec
from harness.model.expectation import Expectation
from harness.model.experiment import FaultSpec
from harness.model.metric import CHECK
from harness.model.quantity import format_duration, parse_duration

CHECKS_MAX = 20
KEYS = ("expect", "when", WITHIN, "grace", "every", "timeout")
WRITTEN = {"every_s": "every", "timeout_s": "timeout", "within_s": WITHIN, "grace_s": "grace"}
WORDS = {"before": "before the fault", "during": "during the fault", "after": "after healing"}


@dataclass(frozen=True, slots=True)
class ChecksRead:
    """The checks that are right, and for each moment of each an expectation."""

    checks: tuple[CheckSpec, ...] = ()
    hypothesis: tuple[Expectation, ...] = ()


def read_checks(
    root: Node, faults: Sequence[FaultSpec] | None, end_s: float, entry: str, names: Names
) -> ChecksRead:
    """What the file says of checks; `end_s` is when the run ends, `entry` where its load enters.

    `faults` are None if one of them is wrong: when a check must hold is not known then.
    """
    node, found = root.mapping("checks"), list[CheckSpec]()
    if len(node.tree) > CHECKS_MAX:
        root.problem("checks", f"more than {CHECKS_MAX} checks")
        return ChecksRead()
    for name in node:
        if not str(name).replace("-", "_").isidentifier():
            node.problem(name, "not a name", "write letters, digits, - and _")
        elif node.is_mapping(name):
            found += filter(None, [_check(str(name), node.mapping(name), entry, names)])
        else:
            node.problem(name, "not a mapping", f"write one of {', '.join(KINDS)}, and `expect`")
    for spec in found if faults is not None else ():
        _check_times(spec, node.mapping(spec.name), faults or (), end_s)
    return ChecksRead(tuple(found), tuple(item for spec in found for item in expectations(spec)))


def expectations(spec: CheckSpec) -> list[Expectation]:
    """What a check expects, for each moment at which it must hold."""
    subject, what = f"{CHECK}.{spec.name}", ", ".join(spec.expect) or f"{spec.kind} succeeds"
    found = [
        Expectation("run", subject, when, "==", 1.0, "flag", f"{what} {WORDS[when]}", CHECK)
        for when in spec.when
    ]
    if spec.within_s is not None:
        text = f"{what} within {format_duration(spec.within_s)} of healing"
        found.append(Expectation("run", subject, WITHIN, "<=", spec.within_s, "s", text, CHECK))
    return found


def _check(name: str, node: Node, entry: str, names: Names) -> CheckSpec | None:
    kinds = [key for key in node if key not in KEYS]
    if len(kinds) != 1 or kinds[0] not in KINDS:
        wrong = kinds[0] if kinds else "nothing"
        node.problem(
            wrong, f"unknown kind of check: {wrong}", suggest(str(wrong), KINDS), node.path
        )
        return None
    kind = str(kinds[0])
    parameters = _parameters(kind, node.mapping(kind), entry, names)
    values: dict[str, Any] = {"name": name, "kind": kind, "expect": _clauses(kind, node)}
    values["when"] = _moments(node)
    for field, key in WRITTEN.items():
        duration_s = node.quantity(key, parse_duration)
        if duration_s is not None:
            values[field] = duration_s
    if not values["when"] and "when" not in node and WITHIN not in node:
        node.problem("when", "missing", "write when: [before, during, after], or within: 10s")
    if parameters is None:
        return None
    values["parameters"] = parameters.model_dump(mode="json")
    return node.model(CheckSpec, values, WRITTEN)


def _parameters(kind: str, body: Node, entry: str, names: Names) -> Parameters | None:
    """The kind's own; the services and entries that they name must be there."""
    if "service" in body:
        names.check_target(body, "service", str(body.get("service")))
    if "entry" in body:
        names.entry(body, entry)
    return body.model(KINDS[kind].parameters)


def _clauses(kind: str, node: Node) -> tuple[str, ...]:
    clauses = node.texts("expect")
    for clause in clauses:
        try:
            parse_clause(clause, KINDS[kind])
        except ValueError as error:
            node.problem("expect", str(error))
    return clauses


def _moments(node: Node) -> tuple[str, ...]:
    said = node.get("when", [])
    listed = (said,) if isinstance(said, str) else node.texts("when")
    for one in listed:
        if one not in MOMENTS:
            node.problem("when", f"{one} is not a valid value", suggest(one, MOMENTS))
    return tuple(dict.fromkeys(one for one in listed if one in MOMENTS))


def _check_times(spec: CheckSpec, node: Node, faults: Sequence[FaultSpec], end_s: float) -> None:
    """What can never be seen: a time that the run does not have."""
    after = [*({"during", "after"} & set(spec.when)), *([WITHIN] if spec.within_s else [])]
    if after and not faults:
        key = WITHIN if after == [WITHIN] else "when"
        node.problem(key, f"{sorted(after)[0]} needs a fault, and the experiment has none")
        return
    last_s = max((fault.end_s for fault in faults), default=0.0)
    if spec.within_s is not None and last_s + spec.within_s + spec.every_s > end_s:
        text = f"the run ends {format_duration(end_s - last_s)} after the last healing"
        node.problem(WITHIN, text, "add a phase after it, or end the fault earlier: `for`")
    longest_s = max((fault.end_s - fault.start_s for fault in faults), default=0.0)
    if spec.grace_s and "during" not in spec.when:
        node.problem("grace", "it shortens `during`, which is not asked for", "add when: [during]")
    elif spec.grace_s and spec.grace_s + spec.every_s > longest_s:
        text = f"no fault lasts longer than {format_duration(longest_s)}"
        node.problem("grace", text, "write a shorter one, or let the fault last: `for`")
