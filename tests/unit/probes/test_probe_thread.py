"""The thread round a probe: looks at its interval, says what it missed, ends when it is told."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock

from harness.model.observation import Observation
from harness.probes.base import LATE_S, ProbeThread


@dataclass
class Probe:
    """Takes 0.2 s for a look, raises at some, gets no answer at others; the last is another."""

    clock: FakeClock
    raises: set[int] = field(default_factory=set)
    unanswered: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    says: Mapping[int, str] = field(default_factory=dict)
    name: str = "example"
    interval_s: float = 0.5
    looks: int = 0

    def observe(self) -> Observation:
        self.looks += 1
        self.clock.at_s += 0.2
        if self.looks in self.raises:
            raise ValueError("x" * 400)
        said = {"at_s": self.clock.at_s, "event": self.says.get(self.looks, "")}
        events = (said,) if said["event"] else ()
        ok, facts = self.looks not in self.unanswered, {"look": self.looks}
        facts = {**facts, **self.unanswered.get(self.looks, {})}
        return Observation(self.name, self.clock.at_s, ok=ok, facts=facts, events=events)

    def finish(self) -> Observation:
        return Observation(self.name, self.clock.at_s, ok=True, facts={"look": "last"})


class Case:
    """A thread that is run by hand: it waits on the fake clock, `count` times."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        raises: set[int] = frozenset(),  # type: ignore[assignment]
        after_s: float = 0.0,
    ) -> None:
        self.clock, self.seen = FakeClock(), list[Observation]()
        self.probe = Probe(self.clock, set(raises))
        self.thread = ProbeThread(self.probe, self.clock, self.seen.append, after_s)
        self.waits: list[float] = []
        monkeypatch.setattr(self.thread._stop, "wait", self._wait)
        self.count = 0

    def _wait(self, timeout_s: float) -> bool:
        self.waits.append(round(timeout_s, 6))
        self.clock.at_s += timeout_s
        if len(self.waits) == self.count:
            self.thread._stop.set()
        return False

    def run(self, count: int) -> None:
        self.count = count
        self.thread._run()


def test_it_looks_at_its_interval_however_long_a_look_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(monkeypatch)
    case.run(3)
    assert case.waits == [0.3, 0.3, 0.3]
    assert [one.facts["look"] for one in case.seen] == [1, 2, 3]
    assert case.clock.at_s == pytest.approx(101.5)


def test_the_first_look_may_have_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, after_s=0.25)
    case.run(3)
    assert case.waits == [0.25, 0.3, 0.3]
    assert [one.at_s for one in case.seen] == pytest.approx([100.45, 100.95])


def test_a_look_that_takes_longer_than_the_interval_leaves_others_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(monkeypatch)
    case.probe.interval_s = 0.1
    case.run(2)
    assert case.waits == [0.01, 0.01]


def test_a_look_that_raises_is_a_gap_and_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch, raises={2})
    case.run(3)
    first, gap, third = case.seen
    assert (first.ok, third.ok) == (True, True)
    assert (gap.probe, gap.at_s, gap.ok) == ("example", pytest.approx(100.7), False)
    assert gap.events == (
        {"at_s": gap.at_s, "event": "probe.gap", "probe": "example",
         "error": ("ValueError('" + "x" * 400)[:300]},
    )  # fmt: skip


def _events(case: Case) -> list[tuple[int, Mapping[str, Any]]]:
    """Each event with the look that it came with."""
    return [(one.facts["look"], each) for one in case.seen for each in one.events]


def test_from_when_to_when_there_was_no_answer_is_an_event_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three looks without an answer, one with, and another without: 0.5 s apart."""
    case = Case(monkeypatch)
    case.probe.unanswered = {
        2: {"error": "x" * 400}, 3: {"error": "refused"}, 4: {"error": "refused"}, 6: {}
    }  # fmt: skip
    case.run(6)
    assert _events(case) == [
        (2, {"at_s": pytest.approx(100.7), "event": "probe.unanswered", "probe": "example",
             "error": "x" * 300}),
        (5, {"at_s": pytest.approx(102.2), "event": "probe.answered", "probe": "example",
             "unanswered_s": 1.5}),
        (6, {"at_s": pytest.approx(102.7), "event": "probe.unanswered", "probe": "example",
             "error": ""}),
    ]  # fmt: skip
    assert [one.ok for one in case.seen] == [True, False, False, False, True, False]


def test_what_a_probe_says_itself_stays_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch)
    case.probe.unanswered, case.probe.says = {1: {}}, {1: "patroni.history", 2: "lb.server"}
    case.run(2)
    names = ["patroni.history", "probe.unanswered", "lb.server", "probe.answered"]
    assert [each["event"] for _, each in _events(case)] == names


def test_a_gap_that_a_probe_reports_itself_is_not_reported_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(monkeypatch)
    case.probe.unanswered, case.probe.says = {1: {}, 2: {}}, {1: "probe.gap"}
    case.run(3)
    assert [(look, each["event"]) for look, each in _events(case)] == [
        (1, "probe.gap"), (3, "probe.answered")
    ]  # fmt: skip


def test_the_last_look_may_be_the_first_with_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch)
    case.probe.unanswered = {1: {"error": "refused"}}
    case.run(1)
    case.thread._look(case.probe.finish)
    assert [each["event"] for _, each in _events(case)] == ["probe.unanswered", "probe.answered"]


@pytest.mark.parametrize(("silent_s", "is_late"), [(0.5 + LATE_S, False), (5.75, True)])
def test_a_silence_is_told_with_its_length(
    monkeypatch: pytest.MonkeyPatch, silent_s: float, is_late: bool
) -> None:
    case = Case(monkeypatch)
    case.thread._note_silence(300.0, silent_s)
    late = {"at_s": 300.0, "event": "probe.late", "probe": "example", "silent_s": silent_s}
    expected = [Observation("example", 300.0, ok=False, events=(late,))]
    assert case.seen == (expected if is_late else [])


def test_the_length_of_a_silence_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(monkeypatch)
    case.thread._note_silence(300.0, 7.123456)
    assert case.seen[0].events[0]["silent_s"] == 7.123


def test_a_silence_between_two_looks_is_told_at_the_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(monkeypatch)
    wait = case._wait

    def sleep_of_the_machine(timeout_s: float) -> bool:
        case.clock.at_s += 10.0 if not case.waits else 0.0
        return wait(timeout_s)

    monkeypatch.setattr(case.thread._stop, "wait", sleep_of_the_machine)
    case.run(2)
    _, late, _ = case.seen
    assert late.at_s == pytest.approx(110.5)
    assert late.events[0]["silent_s"] == pytest.approx(10.5)


def test_a_real_thread_looks_until_it_is_stopped_and_then_once_more() -> None:
    clock, seen, looked = FakeClock(), list[Observation](), threading.Event()

    def emit(observation: Observation) -> None:
        seen.append(observation)
        looked.set()

    probe = Probe(clock, interval_s=60.0)
    thread = ProbeThread(probe, clock, emit)
    inner = thread._thread
    assert (inner.daemon, inner.name) == (True, "example")
    thread.start()
    assert looked.wait(10)
    thread.stop()
    assert not inner.is_alive()
    assert [one.facts["look"] for one in seen] == [1, "last"]


def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.probes.base.STOP_S", 0.0)
    clock, seen, looking, free = (
        FakeClock(),
        list[Observation](),
        threading.Event(),
        threading.Event(),
    )

    class Hanging(Probe):
        def observe(self) -> Observation:
            looking.set()
            free.wait(10)
            return super().observe()

    thread = ProbeThread(Hanging(clock), clock, seen.append)
    thread.start()
    assert looking.wait(10)
    thread.stop()
    assert seen == []  # no last look beside the one that hangs
    free.set()
    thread._thread.join(10)
    assert not thread._thread.is_alive()
