"""The part `load.from`: how much of the load comes from which place, and what is sent from each.

    from: {us: 70%, eu: 30%}         mix: {us.redirect: 0.63, us.create: 0.07,
    mix: {redirect: 9, create: 1} ->       eu.redirect: 0.27, eu.create: 0.03}

What is said of `redirect` alone, in `expect` or `safeguards`, is said of it in each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isclose

from harness.experiment_file.node import Node
from harness.experiment_file.problems import suggest
from harness.model.expectation import Expectation
from harness.model.experiment import Safeguard
from harness.model.geography import Geography
from harness.model.load import Load, Operation
from harness.model.quantity import parse_share
from harness.model.request_line import merged

Operations = Mapping[str, Operation]
Everywhere = Mapping[str, Sequence[str]]
"""By the name of an operation what it is called in each place."""
NOT_WITH = {
    "entry": "DNS says where each place enters",
    "locustfile": "your own class sends where it wants",
}
EXAMPLE = "write {us: 70%, eu: 30%}"


def read_places(node: Node, geography: Geography | None) -> dict[str, float]:
    """The share of each place, empty if the file has no `from`; those that are right."""
    if "from" not in node:
        return {}
    for key, why in NOT_WITH.items():
        if key in node:
            node.problem(key, f"cannot be combined with from: {why}", "leave out one of them")
    if geography is None:
        node.problem("from", "the target has no places", "add dns, regions, places to target.yaml")
        return {}
    shares = _shares(node, geography)
    found = {name: share for name, share in shares.items() if share}
    if found and len(found) == len(shares) and not isclose(total := sum(found.values()), 1.0):
        node.problem("from", f"the shares add up to {total * 100:.4g} %, not to 100 %", EXAMPLE)
    return found


def _shares(node: Node, geography: Geography) -> dict[str, float | None]:
    """As written, None for one that is wrong."""
    said = node.mapping("from")
    if not said and node.is_mapping("from"):
        node.problem("from", "nothing in it", EXAMPLE)
    found = {str(name): said.quantity(name, parse_share) for name in said}
    for name in said:
        if str(name) not in geography.places:
            known = suggest(str(name), geography.places)
            said.problem(name, f"no place named {name} in the target", known)
        elif found[str(name)] == 0:
            said.problem(name, "nothing comes from it", "leave it out")
    return found


def check_places(node: Node, places: Iterable[str], sent: Iterable[str], known: Operations) -> None:
    """Report operations that are sent elsewhere, whatever DNS answers."""
    for name in sent if places else ():
        if name in known and known[name].entry:
            text = f"{name} has an entry of its own, and load.from says where it is sent"
            node.problem("from", text, "leave out one of them", f"load.operations.{name}.entry")


def within_a_place(known: Operations, places: Iterable[str]) -> dict[str, Operation]:
    """The operations as sent from one place: what reads a write of another reads it by its name."""
    prefixes = tuple(f"{place}." for place in places)
    return {
        name: one.model_copy(update={"reads": one.reads.partition(".")[2]})
        if one.reads.startswith(prefixes)
        else one
        for name, one in known.items()
    }


def in_places(names: Iterable[str], places: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By each name what it is called in each place; empty without places."""
    listed = list(places)
    return {name: tuple(f"{at}.{name}" for at in listed) for name in names} if listed else {}


def from_places(
    load: Load, known: Operations, geography: Geography
) -> tuple[Load, dict[str, Operation]]:
    """The load with each name once for each place, and all operations; `load.places` says which.

    A chain stays within its place, and so does what `reads`, unless it names another (`us.create`).
    """
    places, total = load.places, sum(load.mix.values())
    sent = load.sent
    mix = {
        f"{place}.{name}": weight / total * share
        for place, share in places.items()
        for name, weight in load.mix.items()
    }
    chains = {
        f"{place}.{name}": tuple(f"{place}.{step}" for step in way)
        for place in places
        for name, way in load.chains.items()
    }
    canary = None if load.canary is None else _all(load.canary, places)
    made = {
        f"{place}.{name}": _from(place, known[name], geography) for place in places for name in sent
    }
    rest = {name: one for name, one in known.items() if name not in sent}
    more = {"mix": mix, "chains": chains, "canary": canary, "entry": next(iter(places))}
    return load.model_copy(update=more), {**rest, **made}


def expected_in_all(found: Iterable[Expectation], everywhere: Everywhere) -> list[Expectation]:
    """What is expected of an operation, of it in each place, unless that has a limit of its own."""
    items = list(found)
    own = {item.id for item in items}
    return [
        one
        for item in items
        for one in (
            [replace(item, subject=at) for at in everywhere.get(item.subject, ())] or [item]
        )
        if one is item or one.id not in own
    ]


def guarded_in_all(found: Iterable[Safeguard], everywhere: Everywhere) -> tuple[Safeguard, ...]:
    """What aborts a run because of an operation: that of any place."""
    return tuple(
        rule.model_copy(update={"operation": name})
        for rule in found
        for name in everywhere.get(rule.operation, (rule.operation,))
    )


def _all(names: Iterable[str], places: Iterable[str]) -> tuple[str, ...]:
    listed = list(names)
    return tuple(f"{place}.{name}" for place in places for name in listed)


def _from(place: str, operation: Operation, geography: Geography) -> Operation:
    """One operation of the users of a place, who ask for the host by its name."""
    read = operation.reads
    is_of_a_place = read.partition(".")[0] in geography.places and "." in read
    reads = read if is_of_a_place or not read else f"{place}.{read}"
    headers = merged({"Host": geography.dns.name}, operation.headers)
    return operation.model_copy(update={"entry": place, "reads": reads, "headers": headers})
