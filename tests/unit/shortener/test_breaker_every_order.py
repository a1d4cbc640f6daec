"""The breaker in every order of events there is, held against a model that is a table.

Events: a call begins, the oldest or a later one that is under way ends (well, with an error, with
a time-out, cancelled, with an answer that is no failure), half a cool-down passes. Two ways: all
orders of a length, each from the start; and, for any length, all states that can be reached with
up to three calls at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from shortener.breaker import Breaker, BreakerOpen, Permit, TransitionLog
from shortener.settings import BreakerSettings

HALF_S = 30.0  # half a cool-down
COUNTED = (OSError,)  # TimeoutError is one
ENDINGS: dict[str, BaseException | None] = {
    "success": None,
    "failure": ConnectionRefusedError(),
    "time-out": TimeoutError(),
    "cancelled": asyncio.CancelledError(),
    "answer": KeyError(),
}
IS_FAILURE = {name: name in ("failure", "time-out", "cancelled") for name in ENDINGS}
Event = tuple[str, int]
"""("begin", 0), ("wait", 0), or (an ending, which of the calls under way: 0 is the oldest)."""

FIELDS = {
    "name", "enabled", "threshold", "cooldown_s", "state", "failures", "fast_fails",
    "fast_fail_times_s", "timeout_cooldown_s", "_log", "_clock", "_opened_s", "_generation",
    "_probes", "_meter", "_timeouts", "_only_timeouts", "_excused",
}  # fmt: skip


@dataclass
class Model:
    """What the breaker must do. `waited` counts halves of a cool-down since it opened."""

    threshold: int
    state: str = "CLOSED"
    in_a_row: int = 0
    waited: int = 0
    counts: list[bool] = field(default_factory=list)  # each call under way: does its end count?
    fresh: list[bool] = field(default_factory=list)  # and would its time-out be new evidence?
    path: list[str] = field(default_factory=lambda: ["CLOSED"])

    def wait(self) -> None:
        self.waited = min(self.waited + 1, 2)

    def begin(self) -> bool:
        """Whether the call is let through."""
        if self.state == "OPEN" and self.waited == 2:
            self.move("HALF_OPEN")  # and this call is the one probe
        elif self.state != "CLOSED":
            return False
        self.counts.append(True)
        self.fresh.append(True)
        return True

    def end(self, place: int, name: str) -> None:
        does_count, is_fresh = self.counts.pop(place), self.fresh.pop(place)
        if not does_count or (name == "time-out" and not is_fresh):
            return
        if name == "time-out":  # the calls under way wait for the same
            self.fresh = [False] * len(self.fresh)
        is_failure = IS_FAILURE[name]
        match (self.state, is_failure):
            case ("CLOSED", False):
                self.in_a_row = 0
            case ("CLOSED", True):
                self.in_a_row += 1
                if self.in_a_row == self.threshold:
                    self.move("OPEN")
            case ("HALF_OPEN", False):
                self.move("CLOSED")
            case ("HALF_OPEN", True):
                self.move("OPEN")

    def move(self, to: str) -> None:
        """Calls that began before a transition do not count after it."""
        self.state, self.in_a_row, self.waited = to, 0, 0
        self.counts = [False] * len(self.counts)
        self.path.append(to)


class _Gate:
    """What a call waits for, until it is ended by hand: no event loop is needed."""

    def __await__(self) -> Any:
        yield


class Pair:
    """A breaker and the model, both told the same."""

    def __init__(self, threshold: int) -> None:
        self.clock = SimpleNamespace(now_s=1000.0)
        self.log = TransitionLog()
        rules = BreakerSettings(enabled=True, failures=threshold, cooldown_s=2 * HALF_S)
        self.breaker = Breaker("redis", rules, self.log, clock=lambda: self.clock.now_s)
        self.model = Model(threshold)
        self.calls: list[tuple[Any, Permit]] = []  # the coroutine, the leave it began with

    def tell(self, event: Event) -> None:
        name, place = event
        if name == "wait":
            self.clock.now_s += HALF_S
            self.model.wait()
        elif name == "begin":
            call, fast_fails = self.breaker.call(_wait, COUNTED), self.breaker.fast_fails
            try:
                call.send(None)
                is_through = True
                permit = Permit(self.breaker._generation, self.breaker._timeouts)
                self.calls.append((call, permit))
            except BreakerOpen:
                is_through = False
            assert is_through == self.model.begin()
            assert self.breaker.fast_fails == fast_fails + (not is_through)
        else:
            _end(self.calls.pop(place)[0], ENDINGS[name])
            self.model.end(place, name)
        assert self.breaker.state == self.model.state
        assert self.breaker.is_closed == (self.model.state == "CLOSED")

    def events(self, most_calls: int, endings: tuple[str, ...]) -> list[Event]:
        """All that may happen now."""
        ends = [(name, place) for name in endings for place in range(len(self.calls))]
        begins = [("begin", 0)] if len(self.calls) < most_calls else []
        return [*begins, ("wait", 0), *ends]

    def key(self) -> Any:
        """All that what follows can depend on; the counters that only grow are cut off."""
        breaker = self.breaker
        assert vars(breaker).keys() == FIELDS  # a new one must be looked at here
        older = tuple(
            (min(breaker._generation - began.generation, 2), began.timeouts == breaker._timeouts)
            for _, began in self.calls
        )
        waited_s = min(self.clock.now_s - breaker._opened_s, 2 * HALF_S)
        failures = min(breaker.failures, 3 * breaker.threshold)
        mine = (breaker.state, failures, waited_s, breaker._probes, older, breaker._only_timeouts)
        model = self.model
        counts = tuple(model.counts), tuple(model.fresh)
        return mine, (model.state, model.in_a_row, model.waited, counts)

    def close(self) -> None:
        """The log tells the path; what is still under way ends without a warning."""
        assert ["CLOSED", *(entry.to_state for entry in self.log.entries)] == self.model.path
        for call, _ in self.calls:
            call.close()


async def _wait() -> None:
    await _Gate()


def _end(call: Any, error: BaseException | None) -> None:
    """The call ends as it was told, and hands its error on."""
    raised: BaseException | None = None
    try:
        call.send(None) if error is None else call.throw(error)
    except BaseException as caught:  # noqa: BLE001  # a cancellation is one of them
        raised = caught
    assert raised is error or (error is None and isinstance(raised, StopIteration))


def _replayed(threshold: int, path: tuple[Event, ...]) -> Pair:
    pair = Pair(threshold)
    for event in path:
        pair.tell(event)
    return pair


@pytest.mark.parametrize(("threshold", "length", "orders"), [(1, 6, 1177), (2, 7, 6031)])
def test_every_order_of_a_length_from_the_start(threshold: int, length: int, orders: int) -> None:
    """Up to two calls at once, that end well, with an error or with a time-out."""
    seen, todo = 0, [()]
    while todo:
        path: tuple[Event, ...] = todo.pop()
        pair = _replayed(threshold, path)
        if len(path) == length:
            seen += 1
        else:
            todo += [(*path, event) for event in pair.events(2, ("success", "failure", "time-out"))]
        pair.close()
    assert seen == orders


@pytest.mark.parametrize(("threshold", "calls"), [(1, 3), (2, 3), (3, 2), (5, 2)])
def test_every_state_that_any_order_can_reach(threshold: int, calls: int) -> None:
    """Every event from every state, until no new state comes up: orders of any length."""
    todo: deque[tuple[Event, ...]] = deque([()])
    seen, moves = set(), set()
    while todo:
        path = todo.popleft()
        pair = _replayed(threshold, path)
        events, before = pair.events(calls, tuple(ENDINGS)), pair.model.state
        pair.close()
        for event in events:
            after = _replayed(threshold, (*path, event))
            moves.add((before, after.model.state))
            if (key := after.key()) not in seen:
                seen.add(key)
                todo.append((*path, event))
            after.close()
    assert moves == {
        ("CLOSED", "CLOSED"), ("CLOSED", "OPEN"), ("OPEN", "OPEN"), ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "HALF_OPEN"), ("HALF_OPEN", "OPEN"), ("HALF_OPEN", "CLOSED"),
    }  # fmt: skip
