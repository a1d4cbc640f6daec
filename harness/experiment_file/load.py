"""The part `load`: rate, mix, stages, keys, and the operations that a file brings itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.model.load import SHORTENER_OPERATIONS, Keys, Load, Operation, Stage
from harness.model.quantity import parse_duration, parse_rate

RATE_MAX_PER_S = 100_000.0
KEYS = (
    "entry",
    "rate",
    "stages",
    "arrivals",
    "mix",
    "keys",
    "operations",
    "canary_rate",
    "timeout",
    "locustfile",
)


def read_load(root: Node, names: Names) -> tuple[Load | None, dict[str, Operation]]:
    """The load (None if it cannot be made) and all operations known."""
    node = root.mapping("load")
    if not node:
        text = "write {entry: lb, rate: 400/s, mix: {redirect: 0.96, create: 0.04}}"
        root.problem("load", "missing", text)
        return None, dict(SHORTENER_OPERATIONS)
    node.check_keys(KEYS)
    operations = {**SHORTENER_OPERATIONS, **_operations(node)}
    values: dict[str, Any] = {
        key: node.get(key) for key in ("arrivals", "locustfile") if key in node
    }
    values["entry"] = str(node.get("entry", "lb"))
    names.check_entry(node, values["entry"])
    values["rate_per_s"] = _rate(node)
    values["mix"] = _mix(node, operations)
    values["stages"] = _stages(node)
    optional = {
        "timeout_s": node.quantity("timeout", parse_duration),
        "canary_rate_per_s": node.quantity("canary_rate", parse_rate),
        "keys": node.mapping("keys").model(Keys),
    }
    values |= {key: value for key, value in optional.items() if value is not None}
    return node.model(Load, values), operations


def _rate(node: Node) -> float:
    rate = node.quantity("rate", parse_rate)
    if "rate" not in node:
        node.problem("rate", "missing", "write it like 400/s")
    elif rate is not None and not 0 < rate <= RATE_MAX_PER_S:
        node.problem("rate", f"{node.get('rate')} is not possible", "up to 100000/s")
    return rate or 1.0


def _mix(node: Node, operations: Mapping[str, Operation]) -> dict[str, float]:
    mix = node.mapping("mix")
    if not mix:
        return {"redirect": 0.96, "create": 0.04}
    weights = {}
    for name, weight in mix.tree.items():
        if name not in operations:
            mix.problem(name, "unknown operation", suggest(str(name), operations))
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if is_number and 0 < float(weight) < 1e9:
            weights[str(name)] = float(weight)
        else:
            mix.problem(name, "not a weight", "a number over 0")
    return weights


def _stages(node: Node) -> tuple[Stage, ...]:
    stages, found = node.get("stages") or [], []
    if not isinstance(stages, list):
        node.problem("stages", "not a list")
        return ()
    for index, tree in enumerate(stages):
        path = f"load.stages[{index}]"
        if not isinstance(tree, Mapping):
            node.problem("stages", "not a mapping", "{rate: 100/s, hold: 10s}", path)
            continue
        stage = node.entry(tree, path)
        stage.check_keys(("rate", "ramp", "hold"))
        rate = stage.quantity("rate", parse_rate)
        ramp_s = stage.quantity("ramp", parse_duration)
        hold_s = stage.quantity("hold", parse_duration)
        found.append(Stage(rate_per_s=rate or 0, ramp_s=ramp_s or 0, hold_s=hold_s or 0))
    return tuple(found)


def _operations(node: Node) -> dict[str, Operation]:
    found = {}
    operations = node.mapping("operations")
    for name in operations:
        operation = operations.mapping(name)
        values = {key: value for key, value in operation.tree.items() if key != "limit"}
        limit_s = operation.quantity("limit", parse_duration)
        if limit_s is not None:
            values["limit_s"] = limit_s
        if made := operation.model(Operation, values):
            found[str(name)] = made
    return found
