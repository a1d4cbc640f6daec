"""A fault is looked at while it lasts; one that ends early is lost, once, and says since when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock

from harness.errors import EngineError
from harness.faults.base import Effect, Proof
from harness.faults.undo_record import Undo
from harness.lasting import FRESH_S, Held, LastingFaults, Lost, Work, in_a_thread


@dataclass
class _Fault:
    """`seen` is what a look at it sees: a proof, or an error."""

    seen: Callable[[], bool] = lambda: True
    looks: int = 0

    def prepare(self) -> Undo:
        return Undo("latency", "app-1.redis", ())

    def inject(self) -> Effect:
        return Effect(0.0)

    def is_active(self) -> Proof:
        self.looks += 1
        return Proof(proven=self.seen(), detail="switched on")

    def heal(self, undo: Undo) -> None:
        """Nothing."""

    def is_healed(self, undo: Undo) -> Proof:
        return Proof(proven=True, detail="")


@dataclass
class _Case:
    """Looks happen when `work_off` is called, as if a thread got round to them then."""

    waiting: list[Work] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.faults = LastingFaults(self.clock, self.lost.append, self.waiting.append)

    def work_off(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def look(self) -> None:
        self.faults.look()
        self.work_off()


def _raise() -> bool:
    raise EngineError("the engine does not answer")


def _look_at_once(case: _Case) -> None:
    case.faults = LastingFaults(case.clock, case.lost.append, lambda work: work())


def test_a_fault_that_lasts_is_held_until_the_last_look() -> None:
    case = _Case()
    _look_at_once(case)
    case.faults.begin("down-1", _Fault())
    for _ in range(3):
        case.clock.at_s += 1
        case.faults.look()
    case.clock.at_s += 0.4
    assert case.faults.confirm("down-1") == Held("down-1", 103.4, 5)
    assert case.lost == []


def test_a_fault_that_is_over_is_lost_once() -> None:
    case, seen = _Case(), [True, True, False, False]
    fault = _Fault(lambda: seen.pop(0))
    case.faults.begin("down-1", fault)
    for _ in range(4):
        case.clock.at_s += 1
        case.look()
    assert case.lost == [Lost("down-1", 103.0, 102.0, "switched on")]
    assert fault.looks == 3  # what is lost is looked at no more
    assert case.faults.confirm("down-1") is None
    assert len(case.lost) == 1


def test_the_last_look_sees_what_was_lost_since_the_one_before() -> None:
    case, seen = _Case(), [True, False]
    _look_at_once(case)
    case.faults.begin("kill-1", _Fault(lambda: seen.pop(0)))
    case.faults.look()
    case.clock.at_s += 0.9
    assert case.faults.confirm("kill-1") is None
    assert case.lost == [Lost("kill-1", 100.9, 100.0, "switched on")]


def test_one_that_is_lost_hides_no_other() -> None:
    case = _Case()
    case.faults.begin("a", _Fault(lambda: False))
    case.faults.begin("b", _Fault(lambda: False))
    case.look()
    assert [lost.fault for lost in case.lost] == ["a", "b"]


def test_what_cannot_be_looked_at_for_a_moment_is_not_lost() -> None:
    case = _Case()
    _look_at_once(case)
    case.faults.begin("kill-1", _Fault(_raise))
    case.clock.at_s += FRESH_S
    case.faults.look()
    assert case.faults.confirm("kill-1") == Held("kill-1", 100.0, 1)
    assert case.lost == []


def test_what_could_not_be_looked_at_for_long_is_not_known_to_be_there() -> None:
    case = _Case()
    _look_at_once(case)
    case.faults.begin("kill-1", _Fault(_raise))
    case.clock.at_s += FRESH_S + 1
    assert case.faults.confirm("kill-1") is None
    (lost,) = case.lost
    assert lost == Lost(
        "kill-1", 101.0 + FRESH_S, 100.0,
        "could no longer be checked: the engine does not answer",
    )  # fmt: skip


def test_an_error_that_nobody_foresaw_is_named() -> None:
    case = _Case()
    _look_at_once(case)
    case.faults.begin("a", _Fault(lambda: bool(1 / 0)))
    case.clock.at_s += FRESH_S + 1
    assert case.faults.confirm("a") is None
    assert case.lost[0].detail.endswith("no longer be checked: ZeroDivisionError: division by zero")


def test_a_last_look_that_hangs_long_after_the_one_before_is_no_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.lasting.LAST_LOOK_S", 0.0)
    case, seen = _Case(), [_raise, lambda: True]
    case.faults.begin("a", _Fault(lambda: seen.pop(0)()))
    case.look()
    case.clock.at_s += 1
    case.look()
    case.clock.at_s += FRESH_S + 1
    assert case.faults.confirm("a") is None
    (lost,) = case.lost
    assert (lost.fault, lost.seen_s) == ("a", 101.0)
    assert lost.detail == "could no longer be checked: it did not answer"


def test_what_is_forgotten_is_looked_at_no_more() -> None:
    case = _Case()
    fault = _Fault()
    case.faults.begin("a", fault)
    case.faults.forget("a")
    case.faults.forget("a")  # nor does it matter how often
    case.look()
    assert fault.looks == 0
    assert case.faults.confirm("a") is None


def test_an_error_that_nobody_foresaw_ends_no_look_at_the_others() -> None:
    case = _Case()
    case.faults.begin("a", _Fault(lambda: bool(1 / 0)))
    case.faults.begin("b", _Fault(lambda: False))
    case.look()
    assert [lost.fault for lost in case.lost] == ["b"]


def test_a_look_that_hangs_is_not_waited_for_and_none_is_begun_beside_it() -> None:
    case = _Case()
    case.faults.begin("a", _Fault())
    for _ in range(5):
        case.faults.look()
    assert len(case.waiting) == 1
    case.work_off()
    case.faults.look()
    assert len(case.waiting) == 1


def test_a_last_look_that_hangs_lets_the_one_before_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.lasting.LAST_LOOK_S", 0.0)
    case = _Case()
    case.faults.begin("a", _Fault())
    case.clock.at_s += 5
    case.look()
    case.clock.at_s += 1
    assert case.faults.confirm("a") == Held("a", 105.0, 2)


def test_a_look_that_comes_back_during_or_after_healing_says_nothing() -> None:
    case = _Case()
    case.faults.begin("a", _Fault(lambda: bool(case.faults.forget("a"))))
    case.look()
    assert case.lost == []
    case.look()
    assert case.faults.confirm("never began") is None


def test_the_next_fault_of_that_name_is_another() -> None:
    case = _Case()
    case.faults.begin("a", _Fault(lambda: bool(case.faults.begin("a", _Fault()))))
    case.look()
    assert case.lost == []


def test_nothing_is_looked_at_while_nothing_is_broken() -> None:
    case = _Case()
    case.faults.look()
    assert case.waiting == []


def test_work_beside_ends_with_the_process() -> None:
    done, threads = threading.Event(), list[threading.Thread]()
    in_a_thread(lambda: (threads.append(threading.current_thread()), done.set())[1])
    assert done.wait(10)
    (thread,) = threads
    assert (thread.daemon, thread.name) == (True, "lasting faults")


def test_a_real_thread_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    wait = threading.Event.wait

    def note(event: threading.Event, timeout: float | None = None) -> bool:
        is_set = wait(event, timeout)
        waits.extend([timeout] if is_set else [])
        return is_set

    monkeypatch.setattr(threading.Event, "wait", note)
    lost: list[Any] = []
    faults = LastingFaults(FakeClock(), lost.append)
    faults.begin("a", _Fault(lambda: False))
    assert faults.confirm("a") is None
    assert [one.fault for one in lost] == ["a"]
    assert 0.5 in waits  # it was told of the end, and did not wait for all of its time
