"""What the engines are told: the main load all of the mix, the canary its operations alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.load.driver import LoadConfig, _write_engine_config
from harness.model.answer_headers import Header
from harness.model.load import Load, Operation

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
