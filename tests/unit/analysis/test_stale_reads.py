"""Stale reads are found, with the write's age; what was not answered says nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from harness.analysis.record import Record
from harness.analysis.stale_reads import COLUMNS, figures
from harness.model.load import SHORTENER_OPERATIONS, Operation

READ = Operation(path="/{written}", status=(302,), reads="create")


def record(main: list[tuple[Any, ...]], canary: list[tuple[Any, ...]], *names: str) -> Record:
    operations = {**SHORTENER_OPERATIONS, "read_back": READ}
    load = SimpleNamespace(mix=dict.fromkeys(names, 1.0))
    made = SimpleNamespace(
        experiment=SimpleNamespace(load=load, operations=operations),
        main=pd.DataFrame(main, columns=COLUMNS),
        canary=pd.DataFrame(canary, columns=COLUMNS),
    )
    return cast(Record, made)


def create(key: int, done_s: float, write: str = "ok") -> tuple[Any, ...]:
    return ("create", key, done_s - 0.01, done_s, 201, "", write)


def read(key: int, sent_s: float, status: int, error: str = "") -> tuple[Any, ...]:
    return ("read_back", key, sent_s, sent_s + 0.01, status, error, "")


def test_what_does_not_see_the_write_is_stale_and_its_age_told() -> None:
    main = [
        create(1, 1.0),
        read(1, 1.25, 404, "wrong_status"),
        read(1, 1.5, 302),
        read(1, 1.75, 302, "wrong_content"),
        read(1, 9.0, 302, "too_slow"),
    ]
    canary = [create(1, 5.0), read(1, 5.125, 404, "wrong_status")]
    found = figures(record(main, canary, "create", "read_back"))
    assert (found["answered"], found["stale"]) == (5, 3)
    assert found["stale_for_s"] == pytest.approx(0.75)
    assert "0.250 s after its acknowledgement write 1 was answered 404" in found["examples"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, "wrong_status"), (0, "timeout"), (0, "refused"), (429, "wrong_status")],
)
def test_an_error_is_no_answer(status: int, error: str) -> None:
    main = [create(1, 1.0), read(1, 1.25, status, error)]
    found = figures(record(main, [], "create", "read_back"))
    assert (found["answered"], found["stale"], found["stale_for_s"]) == (0, 0, 0.0)


def test_without_such_an_operation_nothing_is_said() -> None:
    assert figures(record([create(1, 1.0)], [], "create"))["stale"] is None
