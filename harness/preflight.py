"""Each operation is sent once before a load is: what was sent, what came, whether it is right.

    healthy:   [home]                target.yaml: asked whenever the target's health is
    preflight  all of an experiment, at each address where its load enters, before the load

The request is the load's own, and so is the judgement of its answer (load/once.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from harness.errors import TargetError, UsageError
from harness.load.excerpt import excerpt
from harness.load.once import Exchange, Once
from harness.model.clock import Clock
from harness.model.experiment import Experiment
from harness.model.http import Address, authority
from harness.model.load import Load, Operation, address_of
from harness.model.quantity import format_duration
from harness.model.target import Target

NAME = "preflight"
TRIES, AGAIN_S = 3, 1.0
"""A read is sent again if it fails: what has just started may need a moment. A change never is."""
READ_AFTER_MAX_S = 15.0
"""An operation that reads a write only after longer than this is left out."""
Entries = Mapping[str, Sequence[Address]]
"""By the name of an entry the addresses where it is published."""
Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request and what came of it; `begins` is what its answer begins with, for people.

    `expected` says what was wrong with the answer, "" if nothing was.
    """

    operation: str
    to: str
    request: str
    status: int
    error: str
    took_s: float
    begins: str
    expected: str

    @property
    def words(self) -> str:
        """The same as text, without the operation's name."""
        took = format_duration(self.took_s)
        came = f"{self.status} in {took}" if self.status else f"{self.error} after {took}"
        wrong = f" ({self.expected})" if self.expected else ""
        begins = f": {self.begins}" if self.begins else ""
        return f"{self.request} to {self.to}: {came}{wrong}{begins}"


def unwell(target: Target, entries: Entries) -> dict[str, str]:
    """What is wrong with each operation in the target's `healthy`, "" for nothing.

    UsageError if it cannot be said where one is to be sent; LoadError for a secret that is not set.
    """
    found: dict[str, str] = {}
    for name in target.healthy:
        entry, operation = target.asked_at(name)
        once = _once(Load(rate_per_s=1, mix={operation: 1}), target.operations, [operation])
        sent = [
            _sent(operation, target.operations[operation], address, once.send(operation, address))
            for address in _addresses(name, entry, entries)
        ]
        found[name] = "; ".join(one.words for one in sent if one.error)
    return found


def preflight(
    experiment: Experiment,
    addresses: Sequence[Address],
    clock: Clock,
    say: Say,
    others: Entries | None = None,
) -> list[dict[str, Any]]:
    """Send each operation of the experiment once to each address; all of it as plain data.

    `others` are the entries that operations name themselves. `say` hears each one.
    TargetError names what failed, what came and what to do.
    """
    sent: list[Sent] = []
    for one in _send_all(experiment, {"": addresses, **(others or {})}, clock):
        say(f"preflight: {one.operation}: {one.words}")
        sent.append(one)
    if failed := [one for one in sent if one.error]:
        listed = "\n".join(f"  {one.operation}: {one.words}" for one in failed)
        raise TargetError(
            f"{experiment.name}: operations fail before anything is broken:\n{listed}",
            "fix the target, or what the operation expects; to run all the same: "
            "steady_state: ignore, or --ignore-steady-state",
        )
    return [asdict(one) for one in sent]


def operations_of(experiment: Experiment) -> list[str]:
    """What is sent beforehand: the steps of chains, then writes before what reads them."""
    walked = [step for name in _walked(experiment) for step in experiment.load.steps(name)]
    return list(dict.fromkeys([*walked, *_alone(experiment)]))


def _walked(experiment: Experiment) -> list[str]:
    """The names in the mix that are chains, or have a row of data."""
    load, operations = experiment.load, experiment.operations
    drawn = () if load.locustfile else load.drawn
    return [name for name in drawn if name in load.chains or operations[name].named]


def _alone(experiment: Experiment) -> list[str]:
    """All others in the mix, writes before what reads them.

    Of a user's own Locust class nobody knows what it sends; what the canary sends is known.
    """
    load, walked = experiment.load, _walked(experiment)
    drawn = load.canaries if load.locustfile else load.drawn
    names = [name for name in drawn if name not in walked]
    known = {name: experiment.operations[name] for name in names}
    waits = {name: _waits_s(name, experiment.operations) for name in names}
    in_order = sorted(known, key=lambda name: _depth(name, experiment.operations))
    return [name for name in in_order if waits[name] <= READ_AFTER_MAX_S]


def _send_all(experiment: Experiment, entries: Entries, clock: Clock) -> Iterator[Sent]:
    """Operation after operation, each at all addresses, so that they share what is waited for."""
    operations = experiment.operations
    once = _once(experiment.load, operations, operations_of(experiment))
    written: dict[str, dict[Address, tuple[float, Exchange]]] = {}
    for name, address, exchange in _walk_all(experiment, once, entries, clock):
        if not exchange.error:
            written.setdefault(name, {})[address] = clock.now_s(), exchange
        yield _sent(name, operations[name], address, exchange)
    for name in _alone(experiment):
        operation = operations[name]
        for address in entries.get(operation.entry, entries[""]):
            there = written.get(operation.reads, {})
            read = there.get(address, next(iter(there.values()), None))
            if operation.reads and read is None:
                continue  # what it reads failed, or is not sent
            if read is not None:
                clock.sleep_until_s(read[0] + operation.read_after_s)
            reads = read[1].kept if read else (0, b"")
            tries = 1 if operation.is_change else TRIES
            send = partial(once.send, name, address, reads)
            exchange = _again(send, lambda sent: sent.error, tries, clock)
            if not exchange.error:
                written.setdefault(name, {})[address] = clock.now_s(), exchange
            yield _sent(name, operation, address, exchange)


def _walk_all(
    experiment: Experiment, once: Once, entries: Entries, clock: Clock
) -> Iterator[tuple[str, Address, Exchange]]:
    """Each chain once to each address of its entries; again after a failure if all of it reads."""
    load, operations = experiment.load, experiment.operations
    for name in _walked(experiment):
        steps = [operations[step] for step in load.steps(name)]
        tries = 1 if any(step.is_change for step in steps) else TRIES
        used = [entries.get(step.entry, entries[""]) for step in steps]
        for number in range(max(map(len, used))):
            to = {entry: found[number % len(found)] for entry, found in entries.items()}
            walk = partial(_walk_once, once, name, to)
            for step, exchange in _again(walk, lambda steps: steps[-1][1].error, tries, clock):
                yield step, to.get(operations[step].entry, to[""]), exchange


def _walk_once(once: Once, name: str, to: Mapping[str, Address]) -> list[tuple[str, Exchange]]:
    return list(once.walk(name, to))


def _again(send: Callable[[], T], error: Callable[[T], str], tries: int, clock: Clock) -> T:
    """The first of so many that succeeds, or the last one."""
    sent = send()
    for _ in range(tries - 1):
        if not error(sent):
            break
        clock.sleep_until_s(clock.now_s() + AGAIN_S)
        sent = send()
    return sent


def _once(load: Load, operations: Mapping[str, Operation], names: Iterable[str]) -> Once:
    """Tokens are other ones each time: a target may remember those of the run before."""
    return Once(load, {name: operations[name] for name in names}, f"{NAME}-{uuid4().hex[:12]}")


def _addresses(name: str, entry: str, entries: Entries) -> Sequence[Address]:
    if (address := address_of(entry)) is not None:
        return [address]
    if not entry and len(entries) == 1:
        return next(iter(entries.values()))
    if entry in entries:
        return entries[entry]
    known = ", ".join(sorted(entries)) or "none"
    right = f"write {min(entries)}.{name}" if entries and not entry else "publish one on 127.0.0.1"
    raise UsageError(f"healthy: {name}: no entry is meant; published: {known}", right)


def _sent(name: str, operation: Operation, address: Address, exchange: Exchange) -> Sent:
    return Sent(
        operation=name,
        to=authority(address),
        request=exchange.line,
        status=exchange.status,
        error=exchange.error,
        took_s=round(exchange.took_s, 6),
        begins=excerpt(exchange.body),
        expected=_expected(operation, exchange),
    )


def _expected(operation: Operation, exchange: Exchange) -> str:
    """What the operation says of its answers, as far as that was missed."""
    if exchange.error == "too_slow":
        return f"expected within {format_duration(operation.limit_s)}"
    return f"expected {exchange.expected}" if exchange.expected else ""


def _depth(name: str, operations: Mapping[str, Operation]) -> int:
    """How many operations must come before it."""
    read = operations[name].reads
    return 1 + _depth(read, operations) if read else 0


def _waits_s(name: str, operations: Mapping[str, Operation]) -> float:
    """For how long it must wait, with all that must come before it."""
    operation = operations[name]
    return operation.read_after_s + (
        _waits_s(operation.reads, operations) if operation.reads else 0
    )
