"""What operations share: chains of them, data that fills their places, the entries they name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.aspects import RESERVED
from harness.compose_files import absolute
from harness.experiment_file.names import Names
from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.load.data_file import read_table
from harness.model.load import Data, Operation, address_of
from harness.model.place import OWN_PLACES, can_be_a_place

STEPS_MAX = 20
READS_AND_NAMES = "what `reads` a write is about that, and has no row or answer to fill"
EXAMPLE = "write [login, create, look]"
SHOWN = tuple(name for name in OWN_PLACES if name != "length")

Chains = Mapping[str, tuple[str, ...]]


def read_chains(node: Node, written: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The chains by name, each of at least one step; `written` are the operations described."""
    chains, found = node.mapping("chains"), {}
    for name in chains:
        steps = chains.get(name)
        if str(name) in written or str(name) in RESERVED or "." in str(name):
            chains.problem(name, f"{name} cannot be a chain's name", "choose another name")
            continue
        if not isinstance(steps, list) or not all(isinstance(s, str) for s in steps) or not steps:
            chains.problem(name, "not a list of operations", EXAMPLE)
            continue
        if len(steps) > STEPS_MAX:
            chains.problem(name, f"more than {STEPS_MAX} steps")
        for step in sorted(set(steps) - set(written)):
            right = suggest(step, written) if written else "describe it in load.operations"
            chains.problem(name, f"unknown operation {step}", right)
        found[str(name)] = tuple(map(str, steps))
    return found


def read_data(node: Node, folder: Path) -> tuple[Data, ...]:
    """The files of values, relative to `folder`; those that can be read."""
    said = node.get("data", [])
    listed = said if isinstance(said, list) else [said]
    found = [_data(node, index, each, folder) for index, each in enumerate(listed)]
    return tuple(each for each in found if each is not None)


def _data(node: Node, index: int, said: Any, folder: Path) -> Data | None:
    tree = {"file": said} if isinstance(said, str) else said
    if not isinstance(tree, Mapping) or not isinstance(tree.get("file"), str):
        node.problem("data", "not a file", "write users.csv, or {file: users.csv, order: shuffled}")
        return None
    path = absolute(folder / tree["file"])
    try:
        table = read_table(path)
    except ValueError as error:
        node.problem("data", str(error))
        return None
    place = node.entry(
        tree, f"load.data[{index}]" if isinstance(node.get("data"), list) else "load.data"
    )
    place.check_keys(("file", "order"))
    read = {"columns": table.columns, "rows": len(table.rows), "sha256": table.sha256}
    given = {key: tree[key] for key in ("file", "order") if key in tree}
    return place.model(Data, {**given, **read, "path": path})


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: the mix with its chains, what is known of each operation, and all data."""

    mix: Collection[str]
    chains: Chains
    operations: Mapping[str, Operation]
    data: tuple[Data, ...]
    knows_columns: bool = True

    def ways(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """For each name in the mix the operations that one arrival sends."""
        for name in self.mix:
            yield name, self.chains.get(name, (name,))

    def names(self) -> list[str]:
        """All operations that are sent, each once."""
        return list(dict.fromkeys(step for _, way in self.ways() for step in way))


def check_requests(node: Node, sent: Sent, names: Names) -> None:
    """Report chains that cannot be sent, places that nothing fills, entries that are not there."""
    _check_chains(node, sent)
    _check_columns(node, sent)
    if sent.knows_columns:
        _check_places(node, sent)
    for name in sent.names():
        if name in sent.operations:
            _check_entry(node, name, sent.operations[name].entry, names)


def _check_chains(node: Node, sent: Sent) -> None:
    """What a step may not do: it is due when the one before it is answered, never otherwise."""
    firsts = {way[0]: name for name, way in sent.ways()}
    for name, way in sent.ways():
        if name not in sent.chains:
            operation = sent.operations.get(name)
            if operation is not None and operation.reads and operation.named:
                _say(node, name, f"{READS_AND_NAMES} {{{min(operation.named)}}}", "leave out one")
            continue
        for step in dict.fromkeys(way):
            if step in sent.operations and sent.operations[step].reads:
                text = f"{step} has `reads`: it cannot be a step; take the value out of an answer"
                node.problem("chains", text, path=f"load.chains.{name}")
        for step in dict.fromkeys(way[1:]):
            if step in firsts:
                text = f"{step} is a later step here, and what {firsts[step]} begins with"
                right = "give one of them another name: their times mean different things"
                node.problem("chains", text, right, f"load.chains.{name}")


def _check_columns(node: Node, sent: Sent) -> None:
    """A name must mean one thing."""
    columns = [column for data in sent.data for column in data.columns]
    taken = {name for operation in sent.operations.values() for name in operation.take}
    for column in sorted({c for c in columns if columns.count(c) > 1 or c in taken}):
        both = (
            "a column, and taken out of an answer" if column in taken else "a column of two files"
        )
        node.problem("data", f"{column} is {both}", "rename one of them")
    used = {n for n in OWN_PLACES for name in sent.names() if _uses(sent, name, n)}
    for column in sorted(set(columns) & used):
        node.problem("data", f"{{{column}}} is filled by the load itself", "rename the column")


def _uses(sent: Sent, name: str, place: str) -> bool:
    return name in sent.operations and sent.operations[name].uses(place)


def _check_places(node: Node, sent: Sent) -> None:
    """Each place is filled by a column, or by a step before it in every chain that it is in."""
    columns = {c for data in sent.data for c in data.columns if can_be_a_place(c)}
    reported = set[tuple[str, str]]()
    for name, way in sent.ways():
        known = set(columns)
        for step in way:
            operation = sent.operations.get(step)
            if operation is None:
                break  # reported where it stands; what it takes is not known
            for place in sorted(operation.named - known):
                if (step, place) not in reported:
                    reported.add((step, place))
                    wrong, right = _unknown(place, name, sent)
                    _say(node, step, wrong, right or _meant(step, place, known, sent))
            known |= operation.take.keys()


def _unknown(place: str, name: str, sent: Sent) -> tuple[str, str]:
    """Why nothing fills `{place}`, and what to do if it is taken, but not before it is used."""
    takers = [n for n, operation in sent.operations.items() if place in operation.take]
    if not takers:
        return f"{{{place}}} is unknown", ""
    is_step = name in sent.chains
    where = f"no step before it in {name}" if is_step else "it is sent by itself"
    wrong = f"{{{place}}} is taken out of answers to {takers[0]}, and {where}"
    return wrong, "change the order" if is_step else f"send it in a chain after {takers[0]}"


def _meant(step: str, place: str, known: Collection[str], sent: Sent) -> str:
    """What a place that nothing fills was meant to be: another one, or just these letters."""
    right = suggest(place, [*known, *SHOWN])
    is_in_body = f"{{{place}}}" in sent.operations[step].body
    return f"{right}; if it is meant as it stands, write {{ {place} }}" if is_in_body else right


def _check_entry(node: Node, name: str, entry: str, names: Names) -> None:
    if ":" in entry and address_of(entry) is None:
        _say(node, name, f"entry {entry} is not an IP address and port", "write 192.0.2.7:8080")
    elif entry and (wrong := names.wrong_entry(entry)):
        _say(node, name, *wrong)


def _say(node: Node, name: str, wrong: str, right: str) -> None:
    """A problem of an operation; one of target.yaml has no line here."""
    described = node.get("operations")
    if isinstance(described, Mapping) and name in described:
        node.entry(described, "load.operations").problem(name, wrong, right)
    else:
        key = "chains" if "chains" in node else "mix"
        node.problem(key, wrong, right, f"operations.{name}")
