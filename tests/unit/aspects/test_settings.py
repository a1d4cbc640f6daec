"""What a claim rests on: each setting that undermines it is found, and a gap is no pass."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from plain import plain

from harness.aspects import settings
from harness.record.folder import RunFolder

FLAGS = list(settings.ASPECT.metrics["settings"])

DATABASE = {
    "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
    "synchronous_standby_names": "", "wal_sender_timeout": "5000",
}  # fmt: skip
PRIMARY = {**DATABASE, "synchronous_standby_names": '"db-2"'}
READING: dict[str, Any] = {
    "restart_policies": {"app-1": "unless-stopped", "worker": "on-failure", "db-1": "always"},
    "databases": {
        "db-1": {"role": "primary", "settings": PRIMARY},
        "db-2": {"role": "replica", "settings": DATABASE},
    },
    "caches": {
        "redis": {
            "keys": 1000, "without_expiry": 0, "examples": [], "maxmemory": 1 << 27,
            "maxmemory_policy": "allkeys-lru",
        }
    },
    "time_limits": {"app-1": {"settings": {"redis_timeout_s": 0.25}}},
}  # fmt: skip
Change = Callable[[dict[str, Any]], None]


def read(tmp_path: Path, *readings: dict[str, Any] | None) -> dict[str, Any]:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_settings(dict(zip(("before", "after"), readings, strict=True)))
    found = figures(folder)
    json.dumps(found)
    return found


def test_a_target_that_is_set_right_has_every_flag(tmp_path: Path) -> None:
    found = read(tmp_path, READING, READING)
    assert {flag: found[flag] for flag in FLAGS} == dict.fromkeys(FLAGS, True)


@pytest.mark.parametrize(
    ("flag", "change", "words"),
    [
        ("durable", lambda r: _database(r, "db-2", fsync="off"), "db-2: fsync is off"),
        (
            "durable",
            lambda r: _database(r, "db-1", **{"app:synchronous_commit": "local"}),
            "db-1: synchronous_commit is local for app",
        ),
        (
            "durable",
            lambda r: _database(r, "db-1", synchronous_standby_names=""),
            "db-1: no commit waits for a standby",
        ),
        (
            "restarts",
            lambda r: r["restart_policies"].update(worker="no"),
            "worker is not started again after a crash",
        ),
        (
            "cache_expires",
            lambda r: r["caches"]["redis"].update(without_expiry=1, examples=["link:a"]),
            "redis: 1 of 1,000 keys never expire, such as link:a",
        ),
        (
            "cache_bounded",
            lambda r: r["caches"]["redis"].update(maxmemory_policy="noeviction"),
            "redis: maxmemory is 134,217,728, its policy noeviction",
        ),
        (
            "time_limits",
            lambda r: r["time_limits"]["app-1"]["settings"].update(redis_timeout_s=0),
            "app-1: redis_timeout_s is 0",
        ),
        (
            "time_limits",
            lambda r: _database(r, "db-1", wal_sender_timeout="0"),
            "db-1: wal_sender_timeout is 0",
        ),
    ],
)
def test_one_wrong_setting_at_either_end_of_the_run_is_enough(
    tmp_path: Path, flag: str, change: Change, words: str
) -> None:
    wrong = copy.deepcopy(READING)
    change(wrong)
    for name, readings in (("a", (wrong, READING)), ("b", (READING, wrong))):
        found = read(tmp_path / name, *readings)
        assert found["problems"][flag] == [words]
        assert {each for each in FLAGS if found[each] is False} == {flag}


@pytest.mark.parametrize(
    ("flag", "change", "why"),
    [
        ("durable", lambda r: r["databases"].clear(), "the project has no database"),
        (
            "durable",
            lambda r: r["databases"].update({"db-2": {"error": "db-2: does not run"}}),
            "db-2: db-2: does not run",
        ),
        (
            "restarts",
            lambda r: r["restart_policies"].update(x=""),
            "the restart policy of x is not known",
        ),
        (
            "cache_expires",
            lambda r: r["caches"]["redis"].update(keys=99),
            "redis has fewer than 100 keys",
        ),
        ("cache_bounded", lambda r: r["caches"].clear(), "the project has no cache"),
    ],
)
def test_what_was_not_read_is_a_gap_and_no_pass(
    tmp_path: Path, flag: str, change: Change, why: str
) -> None:
    gap = copy.deepcopy(READING)
    change(gap)
    found = read(tmp_path, gap, gap)
    assert found[flag] is None
    assert found["gaps"][flag] == why


def test_a_cache_that_was_empty_before_the_load_is_no_gap(tmp_path: Path) -> None:
    empty = copy.deepcopy(READING)
    empty["caches"]["redis"]["keys"] = 0
    assert read(tmp_path, empty, READING)["cache_expires"] is True


def test_a_single_database_node_needs_no_standby(tmp_path: Path) -> None:
    single = copy.deepcopy(READING)
    single["databases"] = {"db-1": {"role": "primary", "settings": DATABASE}}
    assert read(tmp_path, single, single)["durable"] is True


def test_a_run_of_before_or_without_a_reading_has_no_flag(tmp_path: Path) -> None:
    assert read(tmp_path, None, None)["durable"] is None
    old = RunFolder(tmp_path / "old")
    assert figures(old)["gaps"]["durable"] == "the target's settings were not read"


def _database(reading: dict[str, Any], node: str, **settings: str) -> None:
    reading["databases"][node]["settings"].update(settings)


def figures(folder: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = plain(settings.figures(cast(Any, None), folder))
    return found
