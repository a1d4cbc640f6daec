"""Disturbances and headroom, out of made-up seconds whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from harness.analysis.machine import disturbed, figures, fitting_rate, read_seconds
from harness.model.experiment import Phase
from harness.record.folder import RunFolder
from harness.record.run import Record

CPUS = 2.0


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


def record(events: list[dict[str, Any]], rate_per_s: int = 0, fault_s: float = 25.0) -> Record:
    class Run:
        end_s = 40.0
        phases = (
            Phase(name="warmup", start_s=0, end_s=10),
            Phase(name="baseline", start_s=10, end_s=fault_s),
            Phase(name="fault", start_s=fault_s, end_s=40),
        )

    times = [number / rate_per_s for number in range(rate_per_s * 40)] if rate_per_s else []
    main = pd.DataFrame({"intended_s": pd.Series(times, dtype=float)})
    nothing = pd.DataFrame({"intended_s": pd.Series([], dtype=float)})
    return Record(cast(Any, Run()), events, main, nothing, [{"start_s": fault_s}])


def stretches(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return disturbed(read_seconds(record(events)))


def spans(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(row["start_s"], row["end_s"]) for row in stretches(events)]


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
    assert (row["start_s"], row["end_s"]) == (12.0, 31.0)
    assert row["share"] == pytest.approx(share)
    assert row["why"] == "others"


def test_a_burst_of_a_second_is_found_and_a_blip_is_not() -> None:
    assert spans(with_burst(20, 20, 0.5)) == [(19.0, 20.0)]
    assert spans(with_burst(20, 20, 0.12)) == []
    assert spans(with_burst(1, 1, 0.12)) == [], "the first second is no more certain than others"


def test_others_and_steal_count_together_and_the_greater_one_is_blamed() -> None:
    events = [second(float(end), 0.03, 0.06) for end in range(1, 20)]
    (row,) = stretches(events)
    assert row["share"] == pytest.approx(0.09)
    assert row["why"] == "steal"


def test_stretches_that_lie_close_are_one_with_the_share_of_the_busy_seconds() -> None:
    events = steady(40)
    for end in (10, 11, 15, 16, 30):
        events[end - 1] = second(float(end), 0.6)
    first, second_one = stretches(events)
    assert (first["start_s"], first["end_s"]) == (9.0, 16.0)
    assert first["share"] == pytest.approx(0.6)
    assert second_one["start_s"] == 29.0


def test_the_busiest_are_named_over_the_whole_stretch() -> None:
    events = [
        second(1.0, 0.5, who=[["clang", 1.0]]),
        second(2.0, 0.5, who=[["clang", 0.5], ["ld", 0.5], ["cat", 0.01]]),
    ]
    (row,) = stretches(events)
    assert row["who"] == [{"name": "clang", "share": 0.375}, {"name": "ld", "share": 0.125}]


def test_a_recorder_that_did_not_run_is_a_gap_unless_the_run_itself_filled_the_machine() -> None:
    gap = [*steady(10), second(15.0, duration_s=5.0), *[second(float(n)) for n in range(16, 20)]]
    (row,) = stretches(gap)
    assert (row["start_s"], row["end_s"], row["why"]) == (10.0, 15.0, "gap")
    overload = [*steady(10), second(15.0, duration_s=5.0, own=0.97)]
    assert spans(overload) == []


def test_a_stack_that_overloads_itself_is_not_disturbed() -> None:
    assert spans(steady(40, own=1.0)) == []


def found(tmp_path: Path, events: list[dict[str, Any]], rate: int = 600, **look: Any) -> Any:
    folder = RunFolder(tmp_path)
    if look:
        folder.write_json(
            "environment.json", {"machine_look": look, "million_additions_per_s": 20.5}
        )
    return figures(record(events, rate), folder)


def test_headroom_is_what_the_runs_own_work_leaves_before_the_fault(tmp_path: Path) -> None:
    events = [second(float(end), own=0.9 if end > 25 else 0.76) for end in range(1, 41)]
    headroom = found(tmp_path, events, own_share=0.16)["headroom"]
    assert headroom["idle_share"] == pytest.approx(0.24)
    assert headroom["no_headroom"] is True
    assert headroom["rate_per_s"] == pytest.approx(600, abs=1)
    # 600 requests a second cost 0.60 of the machine, so 0.54 of it are room for 540.
    assert headroom["rate_that_fits_per_s"] == pytest.approx(540, abs=1)


def test_an_overload_in_the_fault_is_no_want_of_headroom(tmp_path: Path) -> None:
    events = [second(float(end), own=1.0 if end > 25 else 0.4) for end in range(1, 41)]
    assert found(tmp_path, events)["headroom"]["no_headroom"] is False


def test_what_others_take_is_no_want_of_headroom(tmp_path: Path) -> None:
    assert found(tmp_path, steady(40, 0.5, own=0.4))["headroom"]["no_headroom"] is False


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
    shares = result["series"]["shares"]
    assert len(result["series"]["t_s"]) == 40
    assert shares["others"][0] == pytest.approx(0)
    assert shares["others"][19] == pytest.approx(0.1)
    assert shares["others"][25] == pytest.approx(0.2)
    assert shares["others"][39] is None
    assert sum(values[25] for values in shares.values()) == pytest.approx(1)


def test_speed_pressure_and_means(tmp_path: Path) -> None:
    result = found(tmp_path, steady(40, 0.02), own_share=0.1)
    assert result["million_additions_per_s"] == 20.5
    assert result["pressure_share"] == pytest.approx(0.1)
    assert result["others_share"] == pytest.approx(0.02)


def test_a_run_of_an_earlier_version_has_no_record_of_its_machine(tmp_path: Path) -> None:
    assert found(tmp_path, []) is None
