"""Disturbances and headroom, out of made-up seconds whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.machine import (
    Second,
    _series,
    disturbed,
    figures,
    fitting_rate,
    read_seconds,
)
from harness.model.experiment import Phase
from harness.model.findings import Busy, Headroom, Machine, Stretch
from harness.record.folder import RunFolder
from harness.record.run import Record

CPUS = 2.0
NOTHING = pd.DataFrame({"intended_s": pd.Series([], dtype=float)})


def second(
    end_s: float, others: float = 0.0, steal: float = 0.0, *, own: float = 0.3,
    duration_s: float = 1.0, who: list[list[Any]] | None = None, cpus: float = CPUS,
) -> dict[str, Any]:  # fmt: skip
    """A second with these shares of the machine; the processes of others are not seen."""
    capacity_s = cpus * duration_s
    return {
        "event": "machine.second", "t_s": end_s, "duration_s": duration_s, "cpus": cpus,
        "project_s": own * capacity_s, "harness_s": 0.0, "engine_s": 0.0, "kernel_s": 0.0,
        "foreign_s": 0.0, "steal_s": steal * capacity_s, "pressure_s": 0.1,
        "idle_s": (1 - own - others - steal) * capacity_s, "who": who or [],
    }  # fmt: skip


def record(
    events: list[dict[str, Any]], rate_per_s: int = 0, *fault_s: float | None, end: float = 40.0
) -> Record:
    class Run:
        end_s = end
        phases = (
            Phase(name="warmup", start_s=0, end_s=10),
            Phase(name="baseline", start_s=10, end_s=25),
            Phase(name="fault", start_s=25, end_s=end),
        )

    times = [number / rate_per_s for number in range(rate_per_s * 40)] if rate_per_s else []
    main = pd.DataFrame({"intended_s": pd.Series(times, dtype=float)})
    faults = [{"start_s": start_s} for start_s in fault_s or (25.0,)]
    return Record(cast(Any, Run()), events, main, NOTHING, faults)


def stretches(events: list[dict[str, Any]]) -> list[Stretch]:
    return disturbed(read_seconds(record(events)))


def spans(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(row.start_s, row.end_s) for row in stretches(events)]


def steady(n: int, others: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    return [second(float(end), others, **changes) for end in range(1, n + 1)]


def with_burst(first: int, last: int, others: float, background: float = 0.01) -> Any:
    """Others take `others` in the seconds that end at `first` to `last`, of 40."""
    return [
        second(float(end), others if first <= end <= last else background) for end in range(1, 41)
    ]


def test_an_idle_debian_machine_disturbs_nobody() -> None:
    noise = [0.0, 0.012, 0.004, 0.04, 0.0, 0.02, 0.06, 0.01]
    assert spans([second(float(n + 1), noise[n % 8]) for n in range(40)]) == []


@pytest.mark.parametrize("share", [0.125, 0.5], ids=["one core of eight", "one core of two"])
def test_a_hog_is_found_with_its_times(share: float) -> None:
    (row,) = stretches(with_burst(13, 31, share))
    assert (row.start_s, row.end_s) == (12.0, 31.0)
    assert row.share == pytest.approx(share)
    assert row.why == "others"


def test_a_burst_of_a_second_is_found_and_a_blip_is_not() -> None:
    assert spans(with_burst(20, 20, 0.5)) == [(19.0, 20.0)]
    assert spans(with_burst(20, 20, 0.12)) == []
    assert spans(with_burst(1, 1, 0.12)) == [], "the first second is no more certain than others"


def test_others_and_steal_count_together_and_the_greater_one_is_blamed() -> None:
    events = [second(float(end), 0.03, 0.06) for end in range(1, 20)]
    (row,) = stretches(events)
    assert row.share == pytest.approx(0.09)
    assert row.why == "steal"


def test_stretches_that_lie_close_are_one_with_the_share_of_the_busy_seconds() -> None:
    events = steady(40)
    for end in (10, 11, 15, 16, 30):
        events[end - 1] = second(float(end), 0.6)
    first, second_one = stretches(events)
    assert (first.start_s, first.end_s) == (9.0, 16.0)
    assert first.share == pytest.approx(0.6)
    assert second_one.start_s == 29.0


def test_the_busiest_are_named_over_the_whole_stretch() -> None:
    events = [
        second(1.0, 0.5, who=[["clang", 1.0]]),
        second(2.0, 0.5, who=[["clang", 0.5], ["ld", 0.5], ["cat", 0.01]]),
    ]
    (row,) = stretches(events)
    assert row.who == [Busy("clang", 0.375), Busy("ld", 0.125)]


def test_a_recorder_that_did_not_run_is_a_gap_unless_the_run_itself_filled_the_machine() -> None:
    gap = [*steady(10), second(15.0, duration_s=5.0), *[second(float(n)) for n in range(16, 20)]]
    (row,) = stretches(gap)
    assert (row.start_s, row.end_s, row.why) == (10.0, 15.0, "gap")
    overload = [*steady(10), second(15.0, duration_s=5.0, own=0.97)]
    assert spans(overload) == []


def test_a_stack_that_overloads_itself_is_not_disturbed() -> None:
    assert spans(steady(40, own=1.0)) == []


def found(tmp_path: Path, events: list[dict[str, Any]], rate: int = 600, **look: Any) -> Machine:
    folder = RunFolder(tmp_path)
    if look:
        folder.write_json(
            "environment.json", {"machine_look": look, "million_additions_per_s": 20.5}
        )
    return figures(record(events, rate), folder)


def test_headroom_is_what_the_runs_own_work_leaves_before_the_fault(tmp_path: Path) -> None:
    events = [second(float(end), own=0.9 if end > 25 else 0.76) for end in range(1, 41)]
    headroom = found(tmp_path, events, own_share=0.16).headroom
    assert headroom.idle_share == pytest.approx(0.24)
    assert headroom.no_headroom is True
    assert headroom.rate_per_s == pytest.approx(600, abs=1)
    # 600 requests a second cost 0.60 of the machine, so 0.54 of it are room for 540.
    assert headroom.rate_that_fits_per_s == pytest.approx(540, abs=1)


def test_an_overload_in_the_fault_is_no_want_of_headroom(tmp_path: Path) -> None:
    events = [second(float(end), own=1.0 if end > 25 else 0.4) for end in range(1, 41)]
    assert found(tmp_path, events).headroom.no_headroom is False


def test_what_others_take_is_no_want_of_headroom(tmp_path: Path) -> None:
    assert found(tmp_path, steady(40, 0.5, own=0.4)).headroom.no_headroom is False


@pytest.mark.parametrize(
    ("own", "rate", "idle", "fits"),
    [(0.8, 600, None, 525), (0.8, 600, 0.2, 500), (0.8, 600, 0.75, None), (0.8, 0, 0.2, None)],
)
def test_the_rate_that_fits(
    own: float, rate: float, idle: float | None, fits: float | None
) -> None:
    assert fitting_rate(own, rate, idle) == (None if fits is None else pytest.approx(fits))


def test_the_series_is_on_the_seconds_of_the_run_and_makes_one(tmp_path: Path) -> None:
    events = [second(end + 0.5, 0.2 if end >= 20 else 0.0) for end in range(1, 30)]
    result = found(tmp_path, events)
    shares = result.series.shares
    assert len(result.series.t_s) == 40
    assert shares["others"][0] == pytest.approx(0)
    assert shares["others"][19] == pytest.approx(0.1)
    assert shares["others"][25] == pytest.approx(0.2)
    assert shares["others"][39] is None
    assert sum(values[25] for values in shares.values()) == pytest.approx(1)


def test_speed_pressure_and_means(tmp_path: Path) -> None:
    result = found(tmp_path, steady(40, 0.02), own_share=0.1)
    assert result.million_additions_per_s == 20.5
    assert result.pressure_share == pytest.approx(0.1)
    assert result.others_share == pytest.approx(0.02)


def test_a_run_of_an_earlier_version_has_no_record_of_its_machine(tmp_path: Path) -> None:
    assert found(tmp_path, []) == Machine()


def test_all_that_is_said_of_a_machine(tmp_path: Path) -> None:
    """Looks of unequal length on a machine that lost a processor."""
    long = {**second(16.0, 0.02, 0.01, own=0.5, duration_s=4.0, cpus=1.0), "pressure_s": 0.0}
    short = {**second(17.0, 0.06, 0.03, own=0.7), "pressure_s": 0.4}
    unknown = {**second(12.0, own=0.6), "pressure_s": None}
    folder = RunFolder(tmp_path)
    folder.write_json("environment.json", {"machine_look": {"own_share": 0.25}})
    result = figures(record([short, unknown, long], 100, end=17.5), folder)
    assert (result.cpus, result.million_additions_per_s) == (2.0, None)
    assert result.steal_share == pytest.approx((4 * 0.01 + 0.03) / 6)
    assert result.others_share == pytest.approx((4 * 0.02 + 0.06) / 6)
    assert result.pressure_share == pytest.approx(0.4 / 5)
    assert (result.series.t_s, result.series.bucket_s) == ([float(n) for n in range(18)], 1.0)
    own = (0.6 + 4 * 0.5 + 0.7) / 6
    found = result.headroom
    assert (found.start_s, found.end_s, found.idle_cost_share) == (10.0, 25.0, 0.25)
    assert found.idle_share == pytest.approx(1 - own)
    assert found.no_headroom is False
    assert found.shares == {
        "project": pytest.approx(own), "others": pytest.approx(0.14 / 6),
        "steal": pytest.approx(0.07 / 6), "idle": pytest.approx(1 - own - 0.21 / 6),
        **dict.fromkeys(("harness", "engine", "kernel"), 0.0),
    }  # fmt: skip
    rate_per_s = found.rate_per_s or 0.0
    assert found.rate_that_fits_per_s == pytest.approx(rate_per_s * 0.45 / (own - 0.25))
    (gap,) = result.disturbed
    assert (gap.start_s, gap.end_s, gap.why) == (12.0, 16.0, "gap")


def test_a_machine_that_was_not_looked_at_before(tmp_path: Path) -> None:
    """No environment.json, or one that another version wrote: the idle stack's cost is unknown."""
    folder = RunFolder(tmp_path)
    seconds = steady(40, own=0.4)
    assert figures(record(seconds), folder).headroom.idle_cost_share is None
    folder.write_json("environment.json", {"machine_look": None, "million_additions_per_s": 7.5})
    result = figures(record(seconds), folder)
    assert (result.headroom.idle_cost_share, result.million_additions_per_s) == (None, 7.5)


@pytest.mark.parametrize(
    ("faults", "start_s", "end_s"),
    [
        ((30.0, 26.0, None, 28.0), 10.0, 26.0),
        ((None,), 10.0, 40.0),
        ((14.0,), 4.0, 14.0),
        ((5.0,), 0.0, 5.0),
    ],
)
def test_headroom_is_looked_at_in_the_judged_time_before_the_first_fault(
    tmp_path: Path, faults: tuple[float | None, ...], start_s: float, end_s: float
) -> None:
    """Or in the 10 s before it, if it comes earlier; looks at both edges count."""
    lasts = [start_s < end <= end_s for end in range(1, 41)]
    seconds = [second(float(n), own=0.5 if ins else 0.9) for n, ins in enumerate(lasts, 1)]
    seconds[int(start_s)] = second(start_s + 1, own=0.6)
    seconds[int(end_s) - 1] = second(end_s, own=0.7)
    found = figures(record(seconds, 10, *faults), RunFolder(tmp_path)).headroom
    own = 0.5 + 0.3 / (end_s - start_s)
    assert (found.start_s, found.end_s) == (start_s, end_s)
    assert found.idle_share == pytest.approx(1 - own)


def test_a_rate_over_less_than_a_second_is_one_a_second_all_the_same(tmp_path: Path) -> None:
    looks = [second(0.5, duration_s=0.5), second(1.5)]
    found = figures(record(looks, 100, 0.5), RunFolder(tmp_path)).headroom
    assert found.rate_per_s == 51 / 0.5


def test_without_a_look_before_the_fault_nothing_is_known_of_headroom(tmp_path: Path) -> None:
    late = [second(float(end)) for end in range(27, 40)]
    assert figures(record(late), RunFolder(tmp_path)).headroom == Headroom()


@pytest.mark.parametrize(
    ("own", "rate", "idle", "fits"),
    [
        (0.9, 100, 0.7, None), (0.9, 0.5, 0.2, 0.5 * 0.5 / 0.7), (0.3, 100, 0.3, None),
        (0.2, 100, 0.6, None), (0.5, -1, 0.1, None),
    ],
)  # fmt: skip
def test_the_rate_that_fits_at_its_edges(
    own: float, rate: float, idle: float, fits: float | None
) -> None:
    """No room at all; less than one a second; a load that costs no more than the idle stack."""
    assert fitting_rate(own, rate, idle) == (None if fits is None else pytest.approx(fits))


def test_steal_and_others_alike_are_blamed_on_others_who_can_be_stopped() -> None:
    quarter = {**second(1.0), "foreign_s": 0.5, "steal_s": 0.5, "idle_s": 0.5, "project_s": 0.5}
    (row,) = stretches([quarter, {**quarter, "t_s": 2.0}])
    assert (row.why, row.share, row.steal_share) == ("others", 0.5, 0.25)
    (row,) = stretches([second(float(end), 0.03, 0.06) for end in range(1, 20)])
    assert row.steal_share == pytest.approx(0.06)


def test_the_busiest_three_are_named_by_what_they_used_and_then_by_name() -> None:
    used = [["c", 0.5], ["z", 1.0], ["a", 0.5], ["b", 0.5], ["tiny", 0.001]]
    (row,) = stretches([second(1.0, 0.5, who=used), second(2.0, 0.5, who=[["a", 0.25]])])
    assert row.who == [Busy("z", 0.25), Busy("a", 0.1875), Busy("b", 0.125)]
    few = [["least", 0.02], ["less", 0.0199]]
    (row,) = stretches([second(1.0, 0.5, who=few)])
    assert row.who == [Busy("least", 0.01)]


def test_looks_are_read_whole_and_those_without_length_are_left_out() -> None:
    look = {**second(3.0, duration_s=2.0, who=[["cc", 1]], cpus=4.0), "pressure_s": 0.5}
    early = {**second(-0.5), "pressure_s": None}
    never = {key: value for key, value in second(5.0).items() if key != "pressure_s"}
    found = read_seconds(record([look, second(4.0, duration_s=0.0), early, never]))
    assert [(one.start_s, one.end_s) for one in found] == [(-1.5, -0.5), (1.0, 3.0), (4.0, 5.0)]
    assert [one.look.pressure_s for one in found] == [None, 0.5, None]
    assert [one.look.cpus for one in found] == [2.0, 4.0, 2.0]
    assert found[1].look.who == (("cc", 1.0),)
    assert found[1].look.duration_s == found[1].duration_s == 2.0


EIGHTHS = st.integers(1, 40).map(lambda n: n / 8)
"""So that sums of lengths are exact."""
LOOKS = st.lists(
    st.tuples(EIGHTHS, st.integers(0, 8), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3)),
    min_size=1, max_size=12,
)  # fmt: skip


def looks(parts: list[tuple[float, int, float, float, float]]) -> list[Second]:
    """Looks of these lengths, each after so many eighths of a second that nobody looked at."""
    at_s, events = -1.0, []
    for duration_s, gap, others, steal, own in parts:
        at_s += gap / 8 + duration_s
        events.append(second(at_s, others, steal, own=own, duration_s=duration_s))
    return read_seconds(Record(cast(Any, None), events, NOTHING, NOTHING))


@settings(max_examples=40)
@given(LOOKS)
def test_each_second_of_the_series_is_the_mean_of_what_was_looked_at_in_it(parts: Any) -> None:
    """Against 8 points in each second, which no look begins or ends between."""
    seconds = looks(parts)
    found = _series(seconds, 20.0)
    for at, moment_s in enumerate(found.t_s):
        points = [moment_s + (n + 0.5) / 8 for n in range(8)]
        shares = [s.shares.others for p in points for s in seconds if s.start_s < p < s.end_s]
        expected = sum(shares) / len(shares) if shares else None
        assert found.shares["others"][at] == (expected and pytest.approx(expected))


@settings(max_examples=60)
@given(LOOKS)
def test_disturbances_are_those_of_the_plainest_way_to_find_them(parts: Any) -> None:
    """Each second of a window of 2.9 s or just more, the mean of which is too high; and gaps."""
    seconds = looks(parts)
    busy = set()
    for last in range(len(seconds)):
        first = last
        while first and sum(s.duration_s for s in seconds[first : last + 1]) < 2.9:
            first -= 1
        window = range(first, last + 1)
        whole_s = sum(seconds[n].duration_s for n in window)
        taken_s = sum(seconds[n].duration_s * seconds[n].shares.taken for n in window)
        if taken_s / max(whole_s, 2.9) >= 0.08:
            busy |= {n for n in window if seconds[n].shares.taken >= 0.04}
    marked = busy | {n for n, s in enumerate(seconds) if s.duration_s > 2.5}
    spans: list[list[int]] = []
    for n in sorted(marked):
        if spans and seconds[n].start_s - seconds[spans[-1][-1]].end_s <= 3.0:
            spans[-1].append(n)
        else:
            spans.append([n])
    found = disturbed(seconds)
    assert [(row.start_s, row.end_s) for row in found] == [
        (seconds[span[0]].start_s, seconds[span[-1]].end_s) for span in spans
    ]
    assert [row.why == "gap" for row in found] == [busy.isdisjoint(span) for span in spans]


def test_the_edges_of_what_is_a_gap() -> None:
    """Later than 2.5 s, unless the run's own work took 90 %; stretches 3 s apart are one."""
    assert spans([second(2.5, duration_s=2.5, own=0.5)]) == []
    assert spans([second(2.625, duration_s=2.625, own=0.875)]) == [(0.0, 2.625)]
    full = {**second(5.0, duration_s=5.0), "project_s": 9.0, "idle_s": 1.0}
    assert read_seconds(record([full]))[0].shares.own == 0.9
    assert spans([full]) == []
    apart = [second(3.0, duration_s=3.0), second(9.0, duration_s=3.0)]
    assert spans(apart) == [(0.0, 9.0)]
    assert spans([apart[0], second(9.125, duration_s=3.0)]) == [(0.0, 3.0), (6.125, 9.125)]


def hundredths(end_s: float, others: int, duration_s: float = 1.0) -> dict[str, Any]:
    """A look at a full machine, of which others took exactly so many hundredths."""
    capacity_s = 100.0 * duration_s
    taken_s = others * duration_s
    full = {"project_s": capacity_s - taken_s, "idle_s": 0.0}
    return {**second(end_s, duration_s=duration_s, cpus=100.0), **full}


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([hundredths(50.0, 8, 50.0)], [(0.0, 50.0)]),
        ([hundredths(1.0, 4), hundredths(2.0, 50)], [(0.0, 2.0)]),
        ([hundredths(1.0, 3), hundredths(2.0, 50)], [(1.0, 2.0)]),
        ([second(n, 0.081) for n in (1.0, 2.0, 3.0)], [(0.0, 3.0)]),
        ([second(1.0, 0.045), *(second(n, 0.0925) for n in (2.0, 3.0, 4.0))], [(1.0, 4.0)]),
        ([second(0.5, 0.06, duration_s=0.5), second(3.4, 0.09, duration_s=2.9)], [(0.5, 3.4)]),
    ],
    ids=["just enough", "half of it", "less than half", "of 2.9 s", "no longer", "just as long"],
)
def test_the_edges_of_what_is_busy(
    events: list[dict[str, Any]], found: list[tuple[float, float]]
) -> None:
    """A mean of 8 % over 2.9 s; of its seconds those of half as much."""
    assert spans(events) == [pytest.approx(span) for span in found]
