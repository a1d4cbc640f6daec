"""The whole file: its parts in order, its phases, and the checks that need several parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from harness.experiment_file.checks import read_checks
from harness.experiment_file.evidence import check_evidence
from harness.experiment_file.expect import EACH, read_hypothesis, read_safeguards
from harness.experiment_file.faults import read_faults
from harness.experiment_file.load import LoadRead, read_load
from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.places import expected_in_all, guarded_in_all
from harness.experiment_file.problems import Problems, suggest
from harness.experiment_file.remedies import read_remedies
from harness.experiment_file.target import target_of
from harness.experiment_file.yaml_lines import LIST, read_bytes, read_yaml
from harness.model.check import CheckSpec
from harness.model.expectation import Expectation
from harness.model.experiment import Experiment, FaultSpec, Phase, RemedySpec, Safeguard
from harness.model.quantity import parse_duration
from harness.model.surprise import SURPRISES
from harness.model.target import Target

PHASES_MAX, DURATION_MAX_S = 30, 3600.0
OWN = "x-"
"""What begins so is the user's own, as in Compose files: a place for anchors."""
KEYS = (
    "title",
    "description",
    "tags",
    "target",
    "profiles",
    "load",
    "phases",
    "faults",
    "remedies",
    "expect",
    "checks",
    "safeguards",
    "allow_total_loss",
    "surprises",
    "alerts",
    "steady_state",
)
STEADY_STATES = ("require", "ignore")


class _Said(TypedDict):
    """What of an experiment is read without any other part of the file."""

    title: str
    description: str
    tags: tuple[str, ...]
    allow_total_loss: bool
    allowed_surprises: tuple[str, ...]
    allowed_alerts: tuple[str, ...]
    ignores_steady_state: bool


class _Course(TypedDict):
    """What is done to the target, what must hold meanwhile, and what ends it."""

    faults: tuple[FaultSpec, ...]
    remedies: tuple[RemedySpec, ...]
    hypothesis: tuple[Expectation, ...]
    checks: tuple[CheckSpec, ...]
    safeguards: tuple[Safeguard, ...]
    max_duration_s: float


def read_experiment(path: Path, tree: Any, problems: Problems, names: Names) -> Experiment | None:
    """The experiment in the file at `path`, which its name and paths go by.

    None, or something in `problems`, if the file is wrong.
    """
    if not isinstance(tree, Mapping):
        problems.add(
            1, "file", "not an experiment", "it needs the keys title, load, phases, faults, expect"
        )
        return None
    root = Node(tree, "", problems)
    root.check_keys((*KEYS, *(key for key in root if str(key).startswith(OWN))))
    target = target_of(root, path.parent) if "target" in root else Target()
    profiles = root.texts("profiles")
    names.check_profiles(root, profiles)
    phases, are_timed = _phases(root)
    traffic = names.traffic(target or Target())
    said = _said(root)
    read = read_load(root, names, traffic, path.parent)
    course = _course(root, phases, read, names)
    if are_timed and phases and phases[-1].end_s > course["max_duration_s"]:
        text = f"the phases take {phases[-1].end_s:.0f} s, more than max_duration"
        root.problem("phases", text, "shorten the phases, or raise safeguards.max_duration")
    if read.load is None or target is None or not phases or problems:
        return None
    experiment = Experiment(
        name=path.stem,
        target=target,
        profiles=profiles,
        load=read.load,
        operations=read.operations,
        phases=tuple(phases),
        geography=traffic.geography if read.load.places else None,
        **said,
        **course,
    )
    check_evidence(root, experiment, EACH)
    return experiment


def _said(root: Node) -> _Said:
    return {
        "title": root.text("title", "write the claim as a sentence"),
        "description": _description(root),
        "tags": root.texts("tags"),
        "allow_total_loss": root.flag("allow_total_loss"),
        "allowed_surprises": _allowed_surprises(root),
        "allowed_alerts": _allowed_alerts(root),
        "ignores_steady_state": _ignores_steady_state(root),
    }


def _course(root: Node, phases: Sequence[Phase], read: LoadRead, names: Names) -> _Course:
    faults, broken = read_faults(root, phases, names)
    remedies = read_remedies(root, phases, faults, names)
    expected = read_hypothesis(root, phases, set(read.sent), broken)
    end_s, entry = phases[-1].end_s if phases else 0.0, read.load.entry if read.load else ""
    checks = read_checks(root, None if broken is None else faults, end_s, entry, names)
    safeguards, longest_s = read_safeguards(root, read.sent)
    return {
        "faults": tuple(faults),
        "remedies": tuple(remedies),
        "hypothesis": (*expected_in_all(expected, read.everywhere), *checks.hypothesis),
        "checks": checks.checks,
        "safeguards": guarded_in_all(safeguards, read.everywhere),
        "max_duration_s": min(longest_s, DURATION_MAX_S),
    }


def said_profiles(path: Path) -> tuple[str, ...]:
    """What an experiment file says of profiles: they decide what its project consists of.

    What is wrong is reported where the whole experiment is read. UsageError if the file cannot be
    read, or is not YAML.
    """
    tree = read_yaml(read_bytes(path, LIST), path)
    return Node(tree, "", Problems()).texts("profiles") if isinstance(tree, Mapping) else ()


def _description(root: Node) -> str:
    """What the claim does not say; "" if the file has none."""
    if "description" not in root.tree:
        return ""
    return root.text("description", "write the details of the claim, or leave it out")


def _allowed_surprises(root: Node) -> tuple[str, ...]:
    """What may happen without a fault and fails nothing: `surprises: {allow: [...]}`."""
    node = root.mapping("surprises")
    node.check_keys(("allow",))
    codes = node.texts("allow")
    for code in codes:
        if code not in SURPRISES:
            node.problem("allow", f"unknown surprise {code}", suggest(code, SURPRISES))
    return codes


def _allowed_alerts(root: Node) -> tuple[str, ...]:
    """Alerts that may rightly fire along: `alerts: {allowed: [NAME, NAME.severity]}`."""
    node = root.mapping("alerts")
    node.check_keys(("allowed",))
    return node.texts("allowed")


def _ignores_steady_state(root: Node) -> bool:
    """Whether it breaks things also where the target is not well before: `steady_state: ignore`."""
    said = root.get("steady_state", "require")
    if said not in STEADY_STATES:
        root.problem("steady_state", f"{said} is not a valid value", " or ".join(STEADY_STATES))
    return bool(said == "ignore")


def _phases(root: Node) -> tuple[list[Phase], bool]:
    """All phases, and whether it is known how long each one lasts.

    One whose duration is wrong is as long as any can be: what stands in it is not wrong as well.
    """
    node = root.mapping("phases")
    if not node and root.is_mapping("phases"):
        text = "write {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}"
        root.problem("phases", "missing", text)
    if len(node.tree) > PHASES_MAX:
        root.problem("phases", f"more than {PHASES_MAX} phases")
        return [], False
    phases, at_s, are_timed = [], 0.0, True
    for name in node:
        duration_s = node.quantity(name, parse_duration)
        if duration_s is not None and not 0 < duration_s <= DURATION_MAX_S:
            node.problem(
                name, f"{node.get(name)} is out of range", "write a duration from 1ms to 60m"
            )
            duration_s = None
        if duration_s is None:
            duration_s, are_timed = DURATION_MAX_S, False
        phases.append(Phase(name=str(name), start_s=at_s, end_s=at_s + duration_s))
        at_s += duration_s
    for name, what in (("run", "the whole run"), (EACH, "every judged phase")):
        if any(phase.name == name for phase in phases):
            text = f"`{name}` is not a phase name: in expectations it means {what}"
            node.problem(name, text, "choose another name")
    return phases, are_timed
