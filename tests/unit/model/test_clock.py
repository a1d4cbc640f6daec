"""One loop waits for everything: it looks, it ends in time, and it says what it saw last."""

from __future__ import annotations

import pytest
from fakes import FakeClock

from harness.model.clock import wait_until


class Looks:
    """Counts up by 1 each second from 0; each look takes `takes_s`, and is noted."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.clock, self.takes_s = FakeClock(), takes_s
        self.began_s = self.clock.now_s()
        self.at_s: list[float] = []

    @property
    def passed_s(self) -> float:
        return self.clock.now_s() - self.began_s

    def __call__(self) -> int:
        self.at_s.append(round(self.passed_s, 6))
        self.clock.sleep_until_s(self.clock.now_s() + self.takes_s)
        return int(self.passed_s)

    def wait(self, timeout_s: float, wanted: int, every_s: float) -> tuple[int, bool]:
        return wait_until(self.clock, timeout_s, self, lambda seen: seen >= wanted, every_s)


def test_what_holds_at_once_is_not_waited_for() -> None:
    looks = Looks()
    assert looks.wait(10, wanted=0, every_s=1) == (0, True)
    assert (looks.at_s, looks.passed_s) == ([0], 0)


def test_it_looks_again_until_it_holds() -> None:
    looks = Looks()
    assert looks.wait(10, wanted=2, every_s=0.75) == (2, True)
    assert looks.at_s == [0, 0.75, 1.5, 2.25]


def test_the_last_look_is_at_the_deadline_and_what_it_saw_is_returned() -> None:
    looks = Looks()
    assert looks.wait(2, wanted=9, every_s=0.75) == (2, False)
    assert looks.at_s == [0, 0.75, 1.5, 2]


def test_what_comes_with_the_last_look_holds() -> None:
    assert Looks().wait(2, wanted=2, every_s=1.5) == (2, True)


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_without_time_there_is_one_look(timeout_s: float) -> None:
    looks = Looks()
    assert looks.wait(timeout_s, wanted=1, every_s=1) == (0, False)
    assert (looks.at_s, looks.passed_s) == ([0], 0)


def test_a_look_that_takes_too_long_is_the_last_one() -> None:
    looks = Looks(takes_s=3)
    assert looks.wait(5, wanted=99, every_s=1) == (7, False)
    assert looks.at_s == [0, 4]


def test_looks_that_take_time_need_no_pause() -> None:
    looks = Looks(takes_s=2)
    assert looks.wait(5, wanted=99, every_s=0) == (6, False)
    assert looks.at_s == [0, 2, 4]
