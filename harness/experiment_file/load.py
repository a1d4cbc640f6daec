"""The part `load`: rate, mix, stages, keys, and the operations that a file describes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.aspects import RESERVED
from harness.errors import RunFolderError
from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.places import (
    check_places,
    from_places,
    in_places,
    read_places,
    within_a_place,
)
from harness.experiment_file.problems import suggest
from harness.experiment_file.requests import (
    Chains,
    Sent,
    check_requests,
    read_chains,
    read_data,
)
from harness.model.load import Keys, Load, Operation, Stage, Tls, Traffic, address_of
from harness.model.quantity import parse_duration, parse_rate
from harness.record.folder import RunFolder

RATE_MAX_PER_S = 100_000.0
CANARY_SHARE, CANARY_MAX_PER_S, CANARY_MIN_PER_S = 0.1, 50.0, 10.0
DURATIONS = {"limit": "limit_s", "read_after": "read_after_s"}
WRITTEN = {
    "rate_per_s": "rate",
    "canary_rate_per_s": "canary_rate",
    "timeout_s": "timeout",
    "connect_timeout_s": "connect_timeout",
}
"""The keys of the file by field, where they differ."""
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
    "connect_timeout",
    "tls",
    "replay",
    "locustfile",
    "chains",
    "data",
    "workers",
    "from",
)


@dataclass(frozen=True, slots=True)
class LoadRead:
    """The load (None if it cannot be made), all operations that are right, and the names `sent`.

    `everywhere`: of a load from places, what each operation is called in each of them.

    A name is in `sent` although something about its operation or its weight is wrong: that is
    reported where it stands, and not once more by whoever expects something of it.
    """

    load: Load | None
    operations: Mapping[str, Operation]
    sent: frozenset[str]
    everywhere: Mapping[str, tuple[str, ...]]


def read_load(root: Node, names: Names, traffic: Traffic, folder: Path) -> LoadRead:
    """What the file in `folder` says is sent."""
    node = root.mapping("load")
    if not node:
        if root.is_mapping("load"):
            root.problem("load", "missing", f"write {_example(traffic)}")
        return LoadRead(None, traffic.operations, frozenset(traffic.operations), {})
    node.check_keys(KEYS)
    operations = {**traffic.operations, **read_operations(node)}
    written = _written(node, traffic)
    values: dict[str, Any] = {
        key: node.get(key) for key in ("arrivals", "locustfile", "workers") if key in node
    }
    if "locustfile" in node and node.get("workers", 1) != 1:
        right = "leave out one: only arrivals of a schedule can be shared"
        node.problem("workers", "cannot be combined with locustfile", right)
    values["places"] = read_places(node, traffic.geography)
    values["entry"] = "" if "from" in node else names.entry(node, traffic.entry)
    if ":" in values["entry"] and address_of(values["entry"]) is None:
        node.problem("entry", f"{values['entry']} is not an IP address and port", "192.0.2.7:8080")
    values["rate_per_s"] = _replayed_rate(node, values) if "replay" in node else _rate(node)
    values["chains"], values["data"] = read_chains(node, written), read_data(node, folder)
    sendable = written | _named(node, "chains")
    mix = _mix(node, sendable, traffic)
    values["mix"] = mix or dict.fromkeys(_all_that_begins(written, values["chains"]), 1.0)
    values["stages"] = _stages(node)
    _check_sent(node, values, within_a_place(operations, values["places"]), names)
    optional = {
        "timeout_s": node.quantity("timeout", parse_duration),
        "connect_timeout_s": node.quantity("connect_timeout", parse_duration),
        "keys": _keys(node.mapping("keys"), traffic),
        "tls": node.mapping("tls").model(Tls) if "tls" in node else None,
    }
    values |= {key: value for key, value in optional.items() if value is not None}
    values |= _canary(node, values, operations, traffic)
    sent = _all_sent(node, values, written)
    read = LoadRead(node.model(Load, values, WRITTEN), operations, sent, {})
    return _from_places(read, values["places"], traffic) if values["places"] else read


def _from_places(read: LoadRead, places: Mapping[str, float], traffic: Traffic) -> LoadRead:
    """The same with each operation once for each place; its name alone still means all of them."""
    everywhere = in_places(read.sent, places)
    sent = read.sent.union(*everywhere.values())
    made = replace(read, sent=sent, everywhere=everywhere)
    if read.load is None or traffic.geography is None or not read.operations.keys() >= read.sent:
        return made
    load, operations = from_places(read.load, read.operations, traffic.geography)
    return replace(made, load=load, operations=operations)


def _all_sent(node: Node, values: Mapping[str, Any], written: frozenset[str]) -> frozenset[str]:
    """All operations of the mix and its chains; if a chain is wrong, all that may be in it."""
    begun = _named(node, "mix") or frozenset(values["mix"]) or written
    sent = frozenset(step for name in begun for step in values["chains"].get(name, (name,)))
    return sent if sent <= written or not _named(node, "chains") else sent | written


def _check_sent(
    node: Node, values: Mapping[str, Any], operations: Mapping[str, Operation], names: Names
) -> None:
    """What operations, chains and data say of each other."""
    said = node.get("data", [])
    knows_columns = len(values["data"]) == (len(said) if isinstance(said, list) else 1)
    sent = Sent(values["mix"], values["chains"], operations, values["data"], knows_columns)
    _check_reads(node, sent.names(), operations)
    check_places(node, values["places"], sent.names(), operations)
    check_requests(node, sent, names)
    _check_own_class(node)


def _all_that_begins(written: frozenset[str], chains: Chains) -> list[str]:
    """What is sent if the file does not say it: all chains, and what is in none of them."""
    steps = frozenset(step for way in chains.values() for step in way)
    return sorted((written - steps) | chains.keys())


def _check_own_class(node: Node) -> None:
    """A class of the user's own sends what it wants."""
    for key in ("chains", "data"):
        if key in node and "locustfile" in node:
            node.problem(key, "cannot be combined with locustfile", "leave out one of them")


def _written(node: Node, traffic: Traffic) -> frozenset[str]:
    """The operations that are known or described, rightly or not.

    Where it cannot be read what is described, whatever the mix names may be.
    """
    key = "operations" if node.is_mapping("operations") else "mix"
    return frozenset(traffic.operations) | _named(node, key)


def _named(node: Node, key: str) -> frozenset[str]:
    """The keys of the mapping at `key`, none if it is no mapping."""
    value = node.get(key)
    return frozenset(map(str, value)) if isinstance(value, Mapping) else frozenset()


def _canary(
    node: Node, load: Mapping[str, Any], operations: Mapping[str, Operation], traffic: Traffic
) -> dict[str, Any]:
    """Which operations have a canary, of which rate: what the file asks, or a little.

    A target of which nothing is known is sent nothing more that changes something, and of reads at
    most CANARY_SHARE of the rate, CANARY_MAX_PER_S in all. Where that is less than CANARY_MIN_PER_S
    for each of them there is none: the main load tells when they failed more exactly than that.
    With places each operation of each has one: by itself together of the same rate as without.
    """
    places = max(1, len(load["places"]))
    if "canary_rate" in node:
        rate_per_s = node.quantity("canary_rate", parse_rate)
        return {} if rate_per_s is None else {"canary_rate_per_s": rate_per_s}
    if traffic.has_canary:
        rate_per_s = Load.model_fields["canary_rate_per_s"].default / places
        return {} if places == 1 else {"canary_rate_per_s": rate_per_s}
    known = [(name, operations[name]) for name in load["mix"] if name in operations]
    reads = tuple(name for name, one in known if not one.is_change and not one.reads)
    room_per_s = min(CANARY_SHARE * load["rate_per_s"], CANARY_MAX_PER_S)
    number = len(reads) * places
    if number * CANARY_MIN_PER_S > room_per_s or not reads:
        return {"canary_rate_per_s": 0.0}
    return {"canary_rate_per_s": room_per_s / number, "canary": reads}


def _example(traffic: Traffic) -> str:
    """An example of a load, from what is known about the application."""
    mix = ", ".join(f"{name}: {weight:g}" for name, weight in traffic.mix.items())
    return f"{{entry: {traffic.entry or 'NAME'}, rate: 400/s, mix: {{{mix or 'OPERATION: 1'}}}}}"


def _keys(node: Node, traffic: Traffic) -> Keys | None:
    """The keys as the file gives them, with defaults for the rest; None if they are invalid."""
    return node.model(Keys, {**traffic.keys.model_dump(), **node.tree})


def _replayed_rate(node: Node, values: dict[str, Any]) -> float:
    """The highest rate of the recorded run's main load, over whole seconds."""
    for key in ("rate", "stages", "arrivals", "locustfile", "chains"):
        if key in node:
            node.problem(
                key,
                "cannot be combined with replay",
                "the recorded run determines what is sent, and when",
            )
    values["replay"] = str(node.get("replay"))
    try:
        due_s = RunFolder(Path(values["replay"])).read_samples("main", ["intended_s"])["intended_s"]
    except RunFolderError as error:
        node.problem("replay", error.message, error.hint)
        return 1.0
    if not len(due_s):
        node.problem(
            "replay", f"{values['replay']}: this run folder has no main load", "name a run folder"
        )
        return 1.0
    return float(np.bincount(due_s.to_numpy().clip(min=0).astype(int)).max())


def _rate(node: Node) -> float:
    rate = node.quantity("rate", parse_rate)
    if "rate" not in node:
        node.problem("rate", "missing", "write it like 400/s")
    elif rate is not None and not 0 < rate <= RATE_MAX_PER_S:
        node.problem("rate", f"{node.get('rate')} is out of range", "write a rate up to 100000/s")
    return rate or 1.0


def _mix(node: Node, operations: frozenset[str], traffic: Traffic) -> dict[str, float]:
    """The weights that the file gives, or those of the application; empty: all in equal parts."""
    mix = node.mapping("mix")
    if not mix:
        if not operations:
            node.problem("operations", "missing", "describe what to send, as {home: {path: /}}")
        return {} if "chains" in node else dict(traffic.mix)
    weights = {}
    describe = "describe it in load.operations"
    for name, weight in mix.tree.items():
        if str(name) not in operations:
            right = suggest(str(name), operations) if operations else describe
            mix.problem(name, "unknown operation", right)
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if is_number and 0 < weight < 1e9:  # not as float: 10**400 has none
            weights[str(name)] = float(weight)
        else:
            mix.problem(name, "not a weight", "write a number over 0")
    return weights


def _stages(node: Node) -> tuple[Stage, ...]:
    stages, found = node.get("stages", []), []
    if not isinstance(stages, list):
        node.problem("stages", "not a list")
        return ()
    for index, tree in enumerate(stages):
        path = f"load.stages[{index}]"
        if not isinstance(tree, Mapping):
            node.problem("stages", "not a mapping", "write {rate: 100/s, hold: 10s}", path)
            continue
        stage = node.entry(tree, path)
        stage.check_keys(("rate", "ramp", "hold"))
        rate = stage.quantity("rate", parse_rate)
        ramp_s = stage.quantity("ramp", parse_duration)
        hold_s = stage.quantity("hold", parse_duration)
        found.append(Stage(rate_per_s=rate or 0, ramp_s=ramp_s or 0, hold_s=hold_s or 0))
    return tuple(found)


EXPECTED = {"status": "status", "json": "expect_json", "headers": "expect_headers"}
"""The fields by what `expect` may say of an answer."""
_FIELDS = {
    **{field: key for key, field in DURATIONS.items()},
    **{field: f"expect.{key}" for key, field in EXPECTED.items() if key != "status"},
}


def read_operations(node: Node) -> dict[str, Operation]:
    """The operations that a mapping describes under `operations`; those that are right."""
    found = {}
    operations = node.mapping("operations")
    for name in operations:
        if str(name) in RESERVED or "." in str(name):
            text = f"{name} cannot be an operation's name"
            operations.problem(
                name, text, "expectations use it for something else; choose another name"
            )
        operation = operations.mapping(name)
        if not operations.is_mapping(name):
            continue
        ours = (*DURATIONS, "expect")
        values = {key: value for key, value in operation.tree.items() if key not in ours}
        values |= _expected(operation)
        for key, field in DURATIONS.items():
            duration_s = operation.quantity(key, parse_duration)
            if duration_s is not None:
                values[field] = duration_s
        fields = {**_FIELDS, "status": "expect.status"} if _expects_status(operation) else _FIELDS
        if made := operation.model(Operation, values, fields):
            found[str(name)] = made
    return found


def _expects_status(operation: Node) -> bool:
    expect = operation.get("expect")
    return isinstance(expect, Mapping) and "status" in expect and "status" not in operation


def _expected(operation: Node) -> dict[str, Any]:
    """The fields that `expect: {status, json, headers}` gives."""
    expect = operation.mapping("expect")
    expect.check_keys(EXPECTED)
    if "status" in expect and "status" in operation:
        expect.problem("status", "given twice", "leave out one of them")
    return {field: expect.get(key) for key, field in EXPECTED.items() if key in expect}


def _check_reads(node: Node, mix: Sequence[str], known: Mapping[str, Operation]) -> None:
    """An operation that reads what another one changed: that is in the mix, and begins there."""
    changes = [name for name in mix if name in known and known[name].is_change]
    wrong_already = _named(node, "operations") - known.keys()
    for name in mix:
        read = known[name].reads if name in known else ""
        path = f"load.operations.{name}.reads"
        if read in wrong_already:
            continue
        if read and read not in changes:
            right = suggest(read, changes) if changes else "add the write to load.mix"
            node.problem(
                "operations",
                f"{read} is not an operation in load.mix that changes data",
                right,
                path,
            )
        elif read and (wrong := _wrong_chain(name, known)):
            node.problem("operations", wrong, path=path)


def _wrong_chain(name: str, known: Mapping[str, Operation]) -> str:
    """What is wrong with the chain of `reads` that begins at `name`, "" for nothing."""
    seen = [name]
    while read := known[seen[-1]].reads if seen[-1] in known else "":
        if read in seen:
            return f"{' reads '.join([*seen, read])}: none of these writes first"
        seen.append(read)
    first = known.get(seen[-1])
    if known[name].uses("returned") and first is not None and not first.returns:
        return f"{{returned}} is undefined: {seen[-1]} has no `returns`"
    return ""
