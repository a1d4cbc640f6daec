"""What is read of pgBackRest's own list of backups."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pgbackrest_info import MIB, backup, info, repository

from harness.model.backup import Backup, read_backups

FULL, INCR = "20261128-100000F", "20261128-100000F_20261128-110000I"


def test_all_that_is_told_of_a_backup() -> None:
    proven = {"restored": "2026-11-28T12:00:00+01:00", "note": "x"}
    assert read_backups(info(backup(INCR, 1000.0, 2, annotation=proven, error=True))) == [
        Backup(
            stanza="main", repository=2, label=INCR, kind="incr", start_s=995.0, stop_s=1000.0,
            stored_bytes=3 * MIB // 2, database_bytes=31 * MIB,
            wal=("000000010000000000000003", "000000010000000000000004"),
            restored_s=1795863600.0, error=True,
        )
    ]  # fmt: skip


def test_oldest_first_in_each_repository() -> None:
    told = json.loads(info(backup("c-F", 3.0, 1), backup("b-F", 9.0, 2), backup("a-F", 1.0, 1)))
    other = json.loads(info(backup("d-F", 2.0, 1), name="an-older-one"))
    found = read_backups(json.dumps(told + other))
    assert [(one.stanza, one.repository, one.label) for one in found] == [
        ("an-older-one", 1, "d-F"), ("main", 1, "a-F"), ("main", 1, "c-F"), ("main", 2, "b-F"),
    ]  # fmt: skip


@pytest.mark.parametrize("annotation", [None, {}, {"note": "x"}, {"restored": "on Monday"}])
def test_what_nobody_restored_has_no_time(annotation: Any) -> None:
    [one] = read_backups(info(backup(FULL, 1.0, annotation=annotation)))
    assert one.restored_s is None
    assert not one.error


def test_there_may_be_none() -> None:
    none_yet = [repository(1, 2, "no valid backups")]
    assert read_backups(info(repo=none_yet)) == []
    assert read_backups("[]") == []


def test_other_tools_need_not_tell_of_repositories() -> None:
    [stanza] = json.loads(info(backup(FULL, 1.0)))
    del stanza["repo"]
    assert [one.label for one in read_backups(json.dumps([stanza]))] == [FULL]


def test_a_repository_that_could_not_be_read_is_not_an_empty_one() -> None:
    told = [
        repository(1),
        repository(2, 99, "[HostConnectError] unable to connect\n to 's3'"),
        repository(3, 1, "missing stanza path"),
    ]
    with pytest.raises(ValueError, match="repository") as error:
        read_backups(info(backup(FULL, 1.0), repo=told))
    assert str(error.value) == (
        "main, repository 2 cannot be read: [HostConnectError] unable to connect to 's3'; "
        "main, repository 3 cannot be read: missing stanza path"
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "ERROR: [055]: no file", "null", "7", "{}x", '["main"]', "[{}]", '[{"backup": [{}]}]',
        info(backup(FULL, 1.0, database=None)), info(backup(FULL, 1.0, timestamp={"start": "x"})),
        info(repo=[{"key": 1}]),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not what pgBackRest's info prints"):
        read_backups(text)
