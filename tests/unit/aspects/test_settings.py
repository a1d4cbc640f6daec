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
from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
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
            "db-1: commits do not wait for a standby",
        ),
        (
            "restarts",
            lambda r: r["restart_policies"].update(worker="no"),
            "worker is not restarted after a crash",
        ),
        (
            "cache_expires",
            lambda r: r["caches"]["redis"].update(without_expiry=1, examples=["link:a"]),
            "redis: 1 of 1,000 keys never expire, for example link:a",
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
            "the restart policy of x is unknown",
        ),
        (
            "cache_expires",
            lambda r: r["caches"]["redis"].update(keys=99),
            "not enough samples: redis has fewer than 100 keys",
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


SHOP: dict[str, Any] = {
    "restart_policies": {"app-1": "no", "worker": "always", "redis": None, "db-1": "no", "x": ""},
    "databases": {
        "db-3": {"role": "replica", "settings": {"fsync": "off", "synchronous_standby_names": ""}},
        "db-1": {"role": "primary", "settings": {
            **PRIMARY, "full_page_writes": "off", "synchronous_commit": "remote_apply",
            "shop:synchronous_commit": "off", "shop:work_mem": "0", "wal_receiver_timeout": "0",
            "statement_timeout": "0"}},
        "db-2": {"error": "does not run"}, "db-4": {"error": "no answer"},
    },
    "caches": {
        "redis-2": {"error": "refused"},
        "redis": {"keys": 1200, "without_expiry": 1000, "examples": ["a", "b"], "maxmemory": 0,
                  "maxmemory_policy": "allkeys-lru"},
        "valkey": {"keys": 50, "without_expiry": 0, "examples": [], "maxmemory": 5000,
                   "maxmemory_policy": "noeviction"},
        "small": {"keys": 99, "without_expiry": 1, "examples": ["c"], "maxmemory": 5000,
                  "maxmemory_policy": "volatile-ttl"},
    },
    "time_limits": {
        "app-2": {"error": "HTTP 503"},
        "app-1": {"settings": {"db_timeout_s": None, "redis_timeout_s": "soon", "http_s": "0.5",
                               "lock_s": -1}},
    },
}  # fmt: skip
"""Of each kind several parts: right, wrong in several ways, and not to be read."""


def test_all_that_is_wrong_is_listed_part_by_part_once(tmp_path: Path) -> None:
    found = read(tmp_path, SHOP, SHOP)
    assert {flag: found[flag] for flag in FLAGS} == dict.fromkeys(FLAGS, False)
    assert found["problems"] == {
        "durable": [
            "db-1: full_page_writes is off", "db-1: synchronous_commit is off for shop",
            "db-3: fsync is off",
        ],
        "restarts": [
            "app-1 is not restarted after a crash", "db-1 is not restarted after a crash",
        ],
        "cache_expires": [
            "redis: 1,000 of 1,200 keys never expire, for example a, b",
            "small: 1 of 99 keys never expire, for example c",
        ],
        "cache_bounded": [
            "redis: maxmemory is 0, its policy allkeys-lru",
            "valkey: maxmemory is 5,000, its policy noeviction",
        ],
        "time_limits": [
            "app-1: db_timeout_s is None", "app-1: lock_s is -1", "app-1: redis_timeout_s is soon",
            "db-1: wal_receiver_timeout is 0",
        ],
    }  # fmt: skip
    assert found["gaps"] == {
        "durable": "db-2: does not run", "restarts": "the restart policy of redis is unknown",
        "cache_expires": "redis-2: refused", "cache_bounded": "redis-2: refused",
        "time_limits": "app-2: HTTP 503",
    }  # fmt: skip


def test_each_half_of_a_gap_is_found_by_itself(tmp_path: Path) -> None:
    none: dict[str, Any] = {name: {} for name in READING}
    assert read(tmp_path / "none", none, none)["gaps"] == {
        "durable": "the project has no database", "restarts": "there are no containers",
        "cache_expires": "the project has no cache", "cache_bounded": "the project has no cache",
        "time_limits": "the project has no server with the label harness.probe.settings",
    }  # fmt: skip
    alone = copy.deepcopy(READING)
    alone["time_limits"] = {}
    alone["databases"]["db-2"] = {"error": "no answer"}
    found = read(tmp_path / "alone", READING, alone)
    assert found["gaps"]["time_limits"] == found["gaps"]["durable"] == "db-2: no answer"
    assert (found["time_limits"], found["durable"], found["restarts"]) == (None, None, True)


def test_problems_of_both_readings_stand_once_and_the_first_gap_is_told(tmp_path: Path) -> None:
    before, after = copy.deepcopy(READING), copy.deepcopy(READING)
    before["restart_policies"] |= {"app-1": "", "worker": "no", "db-1": "no"}
    after["restart_policies"] |= {"app-1": "no", "worker": None, "db-1": "no"}
    found = read(tmp_path, before, after)
    assert [text.split()[0] for text in found["problems"]["restarts"]] == [
        "app-1", "db-1", "worker",
    ]  # fmt: skip  # the file has `after` first
    assert found["gaps"]["restarts"] == "the restart policy of worker is unknown"


def test_one_reading_is_enough_and_a_cache_that_neither_filled_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "one", None, READING)["durable"] is True
    few = copy.deepcopy(READING)
    few["caches"]["redis"]["keys"] = 99
    assert read(tmp_path / "few", few, few)["cache_expires"] is None
    few["caches"]["redis"]["keys"] = 100
    assert read(tmp_path / "enough", few, few)["cache_expires"] is True
    none = copy.deepcopy(READING)
    none["caches"]["redis"].pop("without_expiry")
    assert read(tmp_path / "none", none, none)["cache_expires"] is True


def test_a_run_whose_settings_were_never_read_says_so_of_each(tmp_path: Path) -> None:
    why = "the target's settings were not read"
    for found in (figures(RunFolder(tmp_path / "old")), read(tmp_path, None, None)):
        assert found["gaps"] == dict.fromkeys(FLAGS, why)
        assert {found[flag] for flag in FLAGS} == {None}


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag_is_judged_by_its_own_field(name: str) -> None:
    item = parse_expectation("run", "settings", name, set())
    others = {
        **dict.fromkeys(FLAGS, True),
        "problems": {flag: [f"{flag} a", f"{flag} b"] for flag in FLAGS},
        "gaps": {flag: f"{flag} gap" for flag in FLAGS},
    }
    wrong, right, unknown = (
        settings.ASPECT.figure(item, findings_from_json({"settings": {**others, name: value}}))
        for value in (False, True, None)
    )
    assert (wrong.value, wrong.evidence) == (0.0, f"{name} a; {name} b")
    assert right.value == 1.0
    assert (unknown.value, unknown.gap) == (None, f"{name} gap")
    assert unknown.gap_code == "not_measured"
    fine = {"settings": {name: True, "problems": {name: []}}}
    assert settings.ASPECT.figure(item, findings_from_json(fine)).evidence == (
        "every service has this setting"
    )
    for gaps in ({}, {name: None}, {name: ""}):
        silent = settings.ASPECT.figure(item, findings_from_json({"settings": {"gaps": gaps}}))
        assert silent.gap == "the target's settings were not read"


def _database(reading: dict[str, Any], node: str, **settings: str) -> None:
    reading["databases"][node]["settings"].update(settings)


def figures(folder: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = plain(settings.figures(cast(Any, None), folder))
    return found
