"""What the engines are told: the main load all of the mix, the canary its operations alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.load.driver import Elsewhere, LoadConfig, LoadDriver, _write_engine_config
from harness.model.answer_headers import Header
from harness.model.load import Load, Operation, Stage
from harness.record.folder import RunFolder

CACHE = {"name": "X-Cache-Status", "values": {"HIT*": "cache"}}


def config(folder: Path, **load: Any) -> LoadConfig:
    mix = {"look": 3.0, "buy": 1.0}
    return LoadConfig(
        load=Load(rate_per_s=100, mix=mix, **load),
        operations={"look": Operation(path="/"), "buy": Operation(path="/", method="POST")},
        endpoints=[("127.0.0.1", 80)], seed=3, run_id="run", duration_s=30,
        canary_key_offset=40, samples_dir=folder, headers={"cache": Header.model_validate(CACHE)},
    )  # fmt: skip


def written(folder: Path, stream: str, **load: Any) -> Any:
    return json.loads(_write_engine_config(config(folder, **load), stream, folder).read_text())


@pytest.mark.parametrize(
    ("load", "mix", "rate_per_s"),
    [
        ({"canary_rate_per_s": 20}, {"look": 1.0, "buy": 1.0}, 40.0),
        ({"canary_rate_per_s": 20, "canary": ("look",)}, {"look": 1.0}, 20.0),
    ],
)
def test_a_canary_sends_each_of_its_operations_at_its_rate(
    tmp_path: Path, load: dict[str, Any], mix: dict[str, float], rate_per_s: float
) -> None:
    found = written(tmp_path, "canary", **load)
    assert (found["mix"], found["rate_per_s"]) == (mix, rate_per_s)
    assert found["operations"].keys() == mix.keys()
    main = written(tmp_path, "main", **load)
    assert main["mix"] == {"look": 3.0, "buy": 1.0}


STAGES = (Stage(rate_per_s=50, ramp_s=2, hold_s=1),)


@pytest.mark.parametrize(
    ("load", "rate_per_s", "stages"),
    [
        ({}, 0.0, []),
        ({"workers": 2}, 100.0, []),
        ({"stages": STAGES}, 100.0, [[50.0, 2.0, 1.0]]),
        ({"stages": STAGES, "workers": 2}, 100.0, [[50.0, 2.0, 1.0]]),
    ],
)
def test_engines_of_workers_know_the_whole_rate_and_one_alone_follows_locusts_users(
    tmp_path: Path, load: dict[str, Any], rate_per_s: float, stages: list[list[float]]
) -> None:
    main = written(tmp_path, "main", **load)
    assert (main["rate_per_s"], main["stages"]) == (rate_per_s, stages)


def test_the_canary_is_one_engine_however_many_workers_there_are(tmp_path: Path) -> None:
    alone, of_four = (written(tmp_path, "canary", workers=n) for n in (1, 4))
    assert (of_four["worker"], of_four["workers"], of_four["rate_per_s"]) == (0, 1, 200.0)
    same = {"load": {}, "max_duration_s": 0.0}
    assert {**alone, **same} == {**of_four, **same}


def test_an_engine_that_waits_for_other_workers_lasts_longer(tmp_path: Path) -> None:
    assert written(tmp_path, "main")["max_duration_s"] == 90.0
    several = config(tmp_path, workers=4)
    assert several.ready_s == 50.0
    assert written(tmp_path, "main", workers=4)["max_duration_s"] == 140.0
    joined = replace(several, elsewhere=Elsewhere(("127.0.0.1", 5557), 2))
    assert joined.ready_s == 110.0


@pytest.mark.parametrize(("joining", "moves", "why"), [(5, None, "5 workers"), (1, "x", "fixed")])
def test_what_workers_elsewhere_cannot_do_starts_nothing(
    tmp_path: Path, joining: int, moves: str | None, why: str
) -> None:
    made = replace(
        config(tmp_path, workers=4),
        elsewhere=Elsewhere(("127.0.0.1", 5557), joining),
        entry_file=Path(moves) if moves else None,
    )
    with pytest.raises(UsageError) as caught:
        LoadDriver(made, RunFolder(tmp_path / "run"))
    assert why in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(("file", "told"), [(None, ""), (Path("/state/entry.json"),) * 2])
def test_both_engines_know_where_to_read_that_the_entry_has_moved(
    tmp_path: Path, file: Path | None, told: Path | str
) -> None:
    moving = replace(config(tmp_path, canary_rate_per_s=20), entry_file=file)
    for stream in ("main", "canary"):
        text = _write_engine_config(moving, stream, tmp_path).read_text()
        assert json.loads(text)["entry_file"] == str(told)


@pytest.mark.parametrize("stream", ["main", "canary"])
def test_both_engines_are_told_which_headers_say_who_answered(tmp_path: Path, stream: str) -> None:
    assert written(tmp_path, stream, canary_rate_per_s=20)["headers"] == {"cache": CACHE}
