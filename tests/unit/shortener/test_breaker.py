"""The breaker: every transition, every interleaving of calls that overlap it, on a fake clock."""

from __future__ import annotations

import asyncio
from itertools import permutations, product
from types import SimpleNamespace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from shortener.breaker import (
    EXCUSED_PER_FAILURE,
    LOG_SIZE,
    Breaker,
    BreakerOpen,
    Permit,
    TransitionLog,
)
from shortener.lag import TICK_S, LagMeter, OutOfPatience
from shortener.settings import BreakerSettings

THRESHOLD, COOLDOWN_S = 5, 60.0


def make(*, enabled: bool = True, threshold: int = THRESHOLD):
    clock = SimpleNamespace(now_s=100.0)
    log = TransitionLog()
    rules = BreakerSettings(enabled=enabled, failures=threshold, cooldown_s=COOLDOWN_S)
    return Breaker("redis", rules, log, clock=lambda: clock.now_s), clock, log


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(breaker.permit(), "ConnectionError")


def opened():
    breaker, clock, log = make()
    fail(breaker, THRESHOLD)
    return breaker, clock, log


def half_open():
    breaker, clock, log = opened()
    clock.now_s += COOLDOWN_S
    return breaker, clock, log, breaker.permit()


def changes(log: TransitionLog) -> list[tuple[str, str]]:
    return [(entry.from_state, entry.to_state) for entry in log.entries]


def test_the_fifth_failure_in_a_row_opens_it():
    breaker, _, _ = make()
    fail(breaker, THRESHOLD - 1)
    assert breaker.state == "CLOSED"
    fail(breaker)
    assert breaker.state == "OPEN"


def test_a_success_while_closed_resets_the_count():
    breaker, _, _ = make()
    fail(breaker, THRESHOLD - 1)
    breaker.succeeded(breaker.permit())
    fail(breaker, THRESHOLD - 1)
    assert (breaker.state, breaker.failures) == ("CLOSED", THRESHOLD - 1)


@pytest.mark.parametrize("pattern", list(product([True, False], repeat=8)))
def test_any_row_of_results_opens_it_exactly_at_five_failures_in_a_row(pattern):
    breaker, _, _ = make()
    in_a_row = 0
    for is_success in pattern:
        permit = breaker.permit()
        if is_success:
            breaker.succeeded(permit)
        else:
            breaker.failed(permit, "TimeoutError")
        in_a_row = 0 if is_success else in_a_row + 1
        assert (breaker.state == "OPEN") == (in_a_row >= THRESHOLD)
        if in_a_row >= THRESHOLD:
            return


def test_open_fails_fast_until_the_very_end_of_the_cool_down():
    breaker, clock, _ = opened()
    clock.now_s += COOLDOWN_S - 0.001
    with pytest.raises(BreakerOpen):
        breaker.permit()
    assert breaker.fast_fails == 1
    clock.now_s += 0.001
    breaker.permit()
    assert breaker.state == "HALF_OPEN"


def test_half_open_lets_exactly_one_probe_through():
    breaker, clock, _, _ = half_open()
    clock.now_s += 10 * COOLDOWN_S
    for _ in range(20):
        with pytest.raises(BreakerOpen):
            breaker.permit()


def test_one_failed_probe_opens_it_again_for_a_whole_cool_down():
    breaker, clock, _, probe = half_open()
    clock.now_s += 7  # the probe took a while: the new cool-down begins at its end
    breaker.failed(probe, "TimeoutError")
    clock.now_s += COOLDOWN_S - 0.001
    with pytest.raises(BreakerOpen):
        breaker.permit()
    clock.now_s += 0.001
    assert isinstance(breaker.permit(), Permit)


def test_a_probe_that_succeeds_closes_it_with_a_clean_count():
    breaker, _, _, probe = half_open()
    breaker.succeeded(probe)
    assert breaker.state == "CLOSED"
    fail(breaker, THRESHOLD - 1)
    assert breaker.state == "CLOSED"


@pytest.mark.parametrize("late_success", [True, False])
@pytest.mark.parametrize("stage", ["OPEN", "HALF_OPEN", "CLOSED"])
def test_calls_in_flight_when_it_opened_change_nothing_when_they_end(stage, late_success):
    breaker, clock, log = make()
    late = [breaker.permit() for _ in range(10)]
    fail(breaker, THRESHOLD)
    if stage != "OPEN":
        clock.now_s += COOLDOWN_S
        probe = breaker.permit()
        if stage == "CLOSED":
            breaker.succeeded(probe)
    before = (breaker.state, breaker.failures, len(log.entries))
    for permit in late:
        if late_success:
            breaker.succeeded(permit)
        else:
            breaker.failed(permit, "TimeoutError")
    assert (breaker.state, breaker.failures, len(log.entries)) == before == (stage, *before[1:])


@pytest.mark.parametrize("order", list(permutations(range(6)))[::7])
def test_overlapping_calls_count_in_the_order_in_which_they_end(order):
    breaker, _, log = make()
    permits = [breaker.permit() for _ in range(6)]
    for place, number in enumerate(order):
        breaker.failed(permits[number], "TimeoutError")
        assert (breaker.state == "OPEN") == (place >= THRESHOLD - 1)
    assert breaker.failures == THRESHOLD
    assert changes(log) == [("CLOSED", "OPEN")]


def test_a_probe_of_an_earlier_half_open_does_not_end_the_next_one():
    breaker, clock, _, first = half_open()
    breaker.failed(first, "TimeoutError")
    clock.now_s += COOLDOWN_S
    breaker.permit()
    breaker.succeeded(first)
    assert breaker.state == "HALF_OPEN"


def test_switched_off_it_never_opens_and_logs_nothing():
    breaker, _, log = make(enabled=False)
    fail(breaker, 100)
    assert (breaker.state, breaker.fast_fails, len(log.entries)) == ("CLOSED", 0, 0)


def test_the_log_tells_the_whole_story_in_order():
    breaker, clock, log, probe = half_open()
    clock.now_s += 1
    breaker.failed(probe, "TimeoutError")
    clock.now_s += COOLDOWN_S
    breaker.succeeded(breaker.permit())
    rows = [
        (e.seq, e.monotonic_s, e.from_state, e.to_state, e.failures, e.probes) for e in log.entries
    ]
    assert rows == [
        (1, 100.0, "CLOSED", "OPEN", 5, None),
        (2, 160.0, "OPEN", "HALF_OPEN", 5, None),
        (3, 161.0, "HALF_OPEN", "OPEN", 6, 1),
        (4, 221.0, "OPEN", "HALF_OPEN", 6, None),
        (5, 221.0, "HALF_OPEN", "CLOSED", 0, 1),
    ]


def test_the_log_is_bounded_and_its_numbers_show_what_was_lost():
    breaker, clock, log = make(threshold=1)
    fail(breaker)
    for _ in range(LOG_SIZE):
        clock.now_s += COOLDOWN_S
        fail(breaker)
    assert len(log.entries) == LOG_SIZE
    assert [e.seq for e in log.entries] == list(range(LOG_SIZE + 2, 2 * LOG_SIZE + 2))


def test_call_counts_only_what_it_is_told_to_count():
    breaker, _, _ = make(threshold=1)

    async def run() -> None:
        async def wrong_key() -> None:
            raise KeyError("an answer, not an outage")

        with pytest.raises(KeyError):
            await breaker.call(wrong_key, (OSError,))
        assert breaker.state == "CLOSED"

        async def refused() -> None:
            raise ConnectionRefusedError

        with pytest.raises(ConnectionRefusedError):
            await breaker.call(refused, (OSError,))
        with pytest.raises(BreakerOpen):
            await breaker.call(refused, (OSError,))

    asyncio.run(run())
    assert (breaker.state, len(breaker.fast_fail_times_s)) == ("OPEN", 1)


def test_a_cancelled_probe_opens_it_again_instead_of_blocking_it_for_ever():
    breaker, clock, _ = opened()
    clock.now_s += COOLDOWN_S

    async def run() -> None:
        task = asyncio.create_task(breaker.call(asyncio.Event().wait))
        await asyncio.sleep(0)
        assert breaker.state == "HALF_OPEN"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert breaker.state == "OPEN"


TIMEOUT_COOLDOWN_S = 5.0


def make_on_lagging_loop():
    """A breaker whose process has a loop that the test lets stand still."""
    clock = SimpleNamespace(now_s=100.0)
    meter = LagMeter(lambda: clock.now_s)
    rules = BreakerSettings(True, THRESHOLD, COOLDOWN_S, TIMEOUT_COOLDOWN_S)
    breaker = Breaker("redis", rules, TransitionLog(), lambda: clock.now_s, meter)
    return breaker, clock, meter


def time_out(breaker, clock, meter, *, stalled_s=0.0, error=TimeoutError):
    """One call that takes a quarter of a second and times out; the loop stalls meanwhile."""

    async def call():
        meter.begin_tick()
        clock.now_s += TICK_S + stalled_s
        meter.end_tick()
        clock.now_s += 0.25
        raise error

    coroutine = breaker.call(call, (OSError,))
    with pytest.raises(error):
        coroutine.send(None)


def test_a_time_out_while_our_own_loop_stood_still_is_neither_failure_nor_success():
    breaker, clock, meter = make_on_lagging_loop()
    for _ in range(THRESHOLD - 1):
        time_out(breaker, clock, meter)
    for _ in range(EXCUSED_PER_FAILURE - 1):
        time_out(breaker, clock, meter, stalled_s=0.2)
    assert (breaker.state, breaker.failures) == ("CLOSED", THRESHOLD - 1)  # not reset either
    time_out(breaker, clock, meter)
    assert breaker.state == "OPEN"


def test_a_stall_that_has_not_ended_yet_excuses_too():
    """The time-out may be handled before the meter's own timer, in the same turn of the loop."""
    breaker, clock, meter = make_on_lagging_loop()
    meter.begin_tick()

    async def call():
        clock.now_s += 0.5
        raise TimeoutError

    for _ in range(EXCUSED_PER_FAILURE - 1):
        with pytest.raises(TimeoutError):
            breaker.call(call, (OSError,)).send(None)
    assert breaker.failures == 0


def test_noise_is_no_excuse():
    breaker, clock, meter = make_on_lagging_loop()
    for _ in range(THRESHOLD):
        time_out(breaker, clock, meter, stalled_s=0.04)
    assert breaker.state == "OPEN"


def test_excuses_run_out_so_that_a_frozen_dependency_is_found_on_a_busy_machine_too():
    breaker, clock, meter = make_on_lagging_loop()
    for number in range(THRESHOLD * EXCUSED_PER_FAILURE):
        assert breaker.state == "CLOSED", number
        time_out(breaker, clock, meter, stalled_s=0.2)
    assert breaker.state == "OPEN"


def test_a_limit_that_stalls_were_added_to_needs_no_excuse():
    breaker, clock, meter = make_on_lagging_loop()
    for _ in range(THRESHOLD):
        time_out(breaker, clock, meter, stalled_s=0.2, error=OutOfPatience)
    assert breaker.state == "OPEN"


@pytest.mark.parametrize("error", [ConnectionRefusedError, ConnectionResetError, BrokenPipeError])
def test_a_connection_that_was_refused_or_broke_is_evidence_however_slow_we_are(error):
    breaker, clock, meter = make_on_lagging_loop()
    for _ in range(THRESHOLD):
        time_out(breaker, clock, meter, stalled_s=5.0, error=error)
    assert breaker.state == "OPEN"


def test_a_probe_that_times_out_re_opens_it_even_with_an_excuse():
    breaker, clock, meter = make_on_lagging_loop()
    fail(breaker, THRESHOLD)
    clock.now_s += COOLDOWN_S
    time_out(breaker, clock, meter, stalled_s=0.2)
    assert breaker.state == "OPEN"


def test_calls_that_wait_for_one_hiccup_are_one_failure():
    breaker, _, _ = make()
    together = [breaker.permit() for _ in range(50)]
    for permit in together:
        breaker.failed(permit, "TimeoutError", is_timeout=True)
    assert (breaker.state, breaker.failures) == ("CLOSED", 1)
    breaker.failed(breaker.permit(), "TimeoutError", is_timeout=True)  # began afterwards
    assert breaker.failures == 2


def test_calls_under_way_together_that_are_refused_all_count():
    breaker, _, _ = make()
    for permit in [breaker.permit() for _ in range(THRESHOLD)]:
        breaker.failed(permit, "ConnectionRefusedError")
    assert breaker.state == "OPEN"


@pytest.mark.parametrize(
    ("errors", "cooldown_s"),
    [
        ([TimeoutError] * THRESHOLD, TIMEOUT_COOLDOWN_S),
        ([ConnectionResetError] * THRESHOLD, COOLDOWN_S),
        ([ConnectionResetError] + [TimeoutError] * (THRESHOLD - 1), COOLDOWN_S),
        ([TimeoutError] * (THRESHOLD - 1) + [ConnectionResetError], COOLDOWN_S),
    ],
)
def test_after_time_outs_alone_it_tries_again_soon(errors, cooldown_s):
    breaker, clock, meter = make_on_lagging_loop()
    for error in errors:
        time_out(breaker, clock, meter, error=error)
    assert breaker.state == "OPEN"
    clock.now_s += cooldown_s - 0.001
    with pytest.raises(BreakerOpen):
        breaker.permit()
    clock.now_s += 0.001
    breaker.permit()
    assert breaker.state == "HALF_OPEN"


def test_a_success_forgets_what_kind_of_failures_there_were():
    breaker, clock, meter = make_on_lagging_loop()
    fail(breaker, THRESHOLD)
    clock.now_s += COOLDOWN_S
    breaker.succeeded(breaker.permit())
    for _ in range(THRESHOLD):
        time_out(breaker, clock, meter)
    clock.now_s += TIMEOUT_COOLDOWN_S
    breaker.permit()
    assert breaker.state == "HALF_OPEN"


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of beginnings, ends and time against a model of three lines."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock, self.log = make(threshold=3)
        self.running: list[tuple[Permit, bool]] = []  # the permit, and whether it still counts
        self.in_a_row, self.opened_s, self.expected = 0, 0.0, "CLOSED"

    def move(self, to: str) -> None:
        self.expected = to
        self.running = [(permit, False) for permit, _ in self.running]

    @rule()
    def begin(self) -> None:
        is_over = self.clock.now_s - self.opened_s >= COOLDOWN_S
        if self.expected == "OPEN" and is_over:
            self.move("HALF_OPEN")
            self.running.append((self.breaker.permit(), True))
        elif self.expected == "CLOSED":
            self.running.append((self.breaker.permit(), True))
        else:
            with pytest.raises(BreakerOpen):
                self.breaker.permit()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), is_success=st.booleans())
    def end(self, data: st.DataObject, is_success: bool) -> None:
        place = data.draw(st.integers(0, len(self.running) - 1))
        permit, does_count = self.running.pop(place)
        if is_success:
            self.breaker.succeeded(permit)
        else:
            self.breaker.failed(permit, "TimeoutError")
        if not does_count:
            return
        self.in_a_row = 0 if is_success else self.in_a_row + 1
        if is_success and self.expected == "HALF_OPEN":
            self.move("CLOSED")
        elif not is_success and (self.expected == "HALF_OPEN" or self.in_a_row >= 3):
            self.opened_s = self.clock.now_s
            self.move("OPEN")

    @rule(seconds=st.sampled_from([0.5, COOLDOWN_S / 2, COOLDOWN_S]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.breaker.state == self.expected

    @invariant()
    def log_is_a_path(self) -> None:
        states = ["CLOSED"] + [entry.to_state for entry in self.log.entries]
        assert [entry.from_state for entry in self.log.entries] == states[:-1]
        assert states[-1] == self.breaker.state

    @invariant()
    def at_most_one_probe(self) -> None:
        if self.expected == "HALF_OPEN":
            assert sum(does_count for _, does_count in self.running) == 1


BreakerMachine.TestCase.settings = hypothesis_settings(max_examples=75, stateful_step_count=40)
TestAnyInterleaving = BreakerMachine.TestCase
