"""Mutates experiment files at random: each is read or refused, never a traceback.

    python -m campaigns.fuzz [MUTATIONS]    10,000 take some minutes

Half of the mutations change the file's bytes and words, half the tree that YAML makes of it: its
keys and values. What is refused has its problems listed. What is read must be right by an
independent look: the published schema holds, every number is finite and bounded, every fault is
of a known kind, aimed at something known, and healed before the run ends, and the plan survives
its file.
"""

from __future__ import annotations

import datetime
import json
import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from campaigns.catalogue import EXPERIMENTS
from harness.bundled.traffic import shortener_traffic
from harness.errors import InvalidExperiment
from harness.experiment_file import experiment_schema
from harness.experiment_file.experiment import read_experiment
from harness.experiment_file.names import Names
from harness.experiment_file.problems import Problems
from harness.experiment_file.yaml_lines import read_yaml
from harness.faults import KINDS
from harness.model.experiment import Experiment
from harness.model.plan_json import plan_from_json, plan_to_json
from harness.plan import make_plan

SHIPPED = sorted(EXPERIMENTS.glob("*/*.yaml"))
SERVICES = {
    **{f"app-{n}": {"harness.role": "app"} for n in (1, 2, 3, 4)},
    **{f"db-{n}": {"harness.role": "db"} for n in (1, 2, 3)},
    **{f"lb-{n}": {"harness.role": "lb", "harness.entry": "lb:8080"} for n in (1, 2)},
    "edge": {"harness.role": "edge", "harness.entry": "edge:8080"},
    "redis": {"harness.role": "cache"},
    "zipkin": {"harness.role": "traces", "harness.entry": "zipkin:9411"},
    "log-store": {"harness.role": "logs", "harness.entry": "log-store:9200"},
    "worker": {"harness.role": "worker"},
    "backup": {"harness.role": "backup", "harness.entry": "backup:8011"},
    "drill": {"harness.role": "drill"},
    **{f"eu-app-{n}": {"harness.role": "app"} for n in (1, 2)},
    "eu-lb": {"harness.role": "lb", "harness.entry": "eu-lb:8080"},
    "eu-db": {"harness.role": "db"},
    **{f"{region}-keeper": {"harness.role": "keeper"} for region in ("us", "eu", "ap")},
    "dns": {"harness.role": "dns"},
}
ROLES = {
    "app", "db", "lb", "edge", "cache", "worker", "backup", "drill", "dns",
    "db-primary", "db-standby", "db-replica",
}  # fmt: skip
NAMES = Names(KINDS, SERVICES, shortener_traffic)
PATH = Path("x.yaml")
LONGEST_S = 3600.0
BYTES = (
    b"", b"\t", b"{", b"]", b"- ", b": ", b"\xff", b"\x00", b"-1", b"99999999s", b"null", b"true",
    b"[]", b"&a ", b"*a", b"!!python/object:os.system ", b"<<: ", b"? ", b"|", b"'",
    b"\xe2\x80\xa8",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, math.nan, math.inf, 10**400, "", "x", "no", "9" * 400 + "s",
    "9" * 400 + "/s", "0s", "1us", "1s", "59m", "400/s", "0/s", "50%", "fault + 1s", "warmup + -1s",
    "run", "app-2", "app-*", "*", "*.*", "lb", "10.0.0.1:80", "[::1]:8", "\x00", "\x1b[31m",
    "<script>", "{key", "{index}", "h{index:999999d}", "../../etc/passwd", "recovery_time <= 1s",
    "p95 < 1s", "p95 < 1s for 1s", b"\xff", datetime.date(2026, 1, 1), [], {}, [[]], [{}], {"a": 1},
    {None: 1}, ["x"] * 60, {"kill": {"service": "app-1"}, "at": "fault + 0s"},
    {"rate": "1/s", "hold": "9s"},
)  # fmt: skip


def mutated_bytes(chance: random.Random) -> bytes:
    """A shipped file some of whose bytes and words are deleted, doubled, swapped or replaced."""
    data = bytearray(chance.choice(SHIPPED).read_bytes())
    for _ in range(chance.choice((1, 1, 2, 4))):
        words = [match.span() for match in re.finditer(rb"[\w.%/-]+", data)]
        if words and chance.random() < 0.6:
            start, end = chance.choice(words)
            other = slice(*chance.choice(words))
            data[start:end] = chance.choice((*BYTES, bytes(data[other])))
        else:
            start = chance.randrange(len(data) + 1)
            data[start : start + chance.randint(0, 12)] = chance.choice(BYTES)
    return bytes(data)


def mutated_tree(chance: random.Random) -> Any:
    """The tree of a shipped file, some of whose keys and values are changed."""
    tree = _plain(_TREES[chance.randrange(len(_TREES))])
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return _plain(chance.choice(VALUES))
        holder, key = chance.choice(places)
        other, from_key = chance.choice(places)
        value = _plain(chance.choice((chance.choice(VALUES), other[from_key])))
        act = chance.random()
        if act < 0.15:
            del holder[key]
        elif act < 0.3 and isinstance(holder, dict):
            holder[chance.choice(("x", "rate", None, 7, "warmup", key))] = holder.pop(key)
        elif act < 0.4 and isinstance(holder, list):
            holder.insert(key, value)
        else:
            holder[key] = value
    return tree


def read_mutation(seed: int) -> Experiment | None:
    """What comes of the mutation with that number: an experiment, or None if it is refused.

    Any exception but InvalidExperiment with its problems is a defect.
    """
    chance = random.Random(seed)
    if seed % 2:
        tree = mutated_tree(chance)
    else:
        try:
            tree = read_yaml(mutated_bytes(chance), PATH)
        except InvalidExperiment:  # it is no YAML
            return None
    problems = Problems()
    experiment = read_experiment(PATH, tree, problems, NAMES)
    if problems or experiment is None:
        assert all(re.match(r"line \d+: ", text) for text in problems.texts())
        assert problems.texts()
        return None
    assert not list(schema_problems(tree, experiment_schema(KINDS))), tree
    assert_right(experiment)
    return experiment


def assert_right(experiment: Experiment) -> None:
    """What is read can be run: all is known, finite and bounded, and every fault ends."""
    end_s = experiment.end_s
    assert 0 < end_s <= min(experiment.max_duration_s, LONGEST_S)
    assert 0 < experiment.load.peak_per_s <= 100_000
    assert experiment.load.entry in ("lb", "edge") or experiment.load.address
    assert set(experiment.load.shares) <= set(experiment.operations)
    assert all(0 < weight < math.inf for weight in experiment.load.mix.values())
    for fault in experiment.faults:
        KINDS[fault.kind].parameters(**fault.parameters)
        assert 0 <= fault.start_s < fault.end_s <= end_s
        [(how, name)] = fault.selector.items()
        assert how in KINDS[fault.kind].selectors
        assert how not in ("service", "role") or name in SERVICES.keys() | ROLES, name
        assert how != "link" or re.search("[^*.]", name)
    plan = make_plan(experiment, 1)
    actions = Counter((step.name, step.action) for step in plan.steps)
    assert all(actions[f.id, "inject"] == actions[f.id, "heal"] == 1 for f in plan.faults)
    text = json.dumps(plan_to_json(plan, experiment), allow_nan=False)
    assert plan_from_json(json.loads(text)) == plan


def schema_problems(value: Any, schema: dict[str, Any], path: str = "file") -> Iterator[str]:
    """Where `value` breaks those parts of JSON Schema that the published schema uses."""
    kind = schema.get("type")
    if kind and not isinstance(value, _TYPES[kind]):
        yield f"{path}: not of type {kind}"
    elif isinstance(value, dict):
        yield from _object_problems(value, schema, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from schema_problems(item, schema.get("items", {}), f"{path}[{index}]")
    elif "pattern" in schema and not re.search(schema["pattern"], str(value)):
        yield f"{path}: {value} is not {schema['pattern']}"


def _object_problems(value: dict[Any, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    yield from (f"{path}: lacks {key}" for key in schema.get("required", ()) if key not in value)
    for key, item in value.items():
        if key in known or isinstance(rest, dict):
            yield from schema_problems(item, known.get(key, rest), f"{path}.{key}")
        elif not rest:
            yield f"{path}: unknown key {key}"


_TYPES: dict[str, Any] = {
    "object": dict, "array": list | tuple, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": int | float,
}  # fmt: skip


def _plain(tree: Any) -> Any:
    """A copy in plain dicts and lists."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key or index) of the tree."""
    keys: Any = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


_TREES = [_plain(read_yaml(path.read_bytes(), path)) for path in SHIPPED]


def main(mutations: int) -> int:
    """0 if every mutation was read or refused; the last line is one JSON object."""
    started_s = time.monotonic()
    read, refused, defects = 0, 0, list[dict[str, Any]]()
    for seed in range(mutations):
        try:
            is_read = read_mutation(seed) is not None
        except Exception as error:  # noqa: BLE001  # each one is a defect, and is told
            defects.append({"seed": seed, "error": f"{type(error).__name__}: {error}"[:300]})
            print(f"mutation {seed}: {defects[-1]['error']}", flush=True)  # noqa: T201
            continue
        read, refused = read + is_read, refused + (not is_read)
        if seed % 1000 == 999:
            print(f"{seed + 1} of {mutations}", flush=True)  # noqa: T201
    facts = {"mutations": mutations, "read": read, "refused": refused, "defects": defects}
    seconds = round(time.monotonic() - started_s, 1)
    print(json.dumps({**facts, "seconds": seconds}))  # noqa: T201
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
