"""Stale reads are found, with the write's age; what was not answered says nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest
from plain import plain

from harness.aspects.reads import figures
from harness.bundled.traffic import OPERATIONS
from harness.model.experiment import Phase
from harness.model.load import Operation
from harness.record.folder import RunFolder
from harness.record.run import Record

Row = tuple[Any, ...]
READ = Operation(path="/{written}", status=(302,), reads="create")


class Folder:
    """Two streams of samples, as a run folder gives them."""

    def __init__(self, main: list[Row], canary: list[Row]) -> None:
        self._streams = {"main": main, "canary": canary}

    def read_samples(self, stream: str, columns: list[str]) -> pa.Table:
        return pa.Table.from_pandas(pd.DataFrame(self._streams[stream], columns=columns))


def found(main: list[Row], canary: list[Row], *names: str) -> dict[str, Any]:
    operations = {**OPERATIONS, "read_back": READ}
    load = SimpleNamespace(mix=dict.fromkeys(names, 1.0))
    experiment = SimpleNamespace(load=load, operations=operations)
    phases = [Phase(name="early", start_s=0, end_s=4), Phase(name="late", start_s=4, end_s=10)]
    judged = [*phases, Phase(name="run", start_s=0, end_s=10)]
    record = SimpleNamespace(experiment=experiment, judged=judged)
    found: dict[str, Any] = plain(
        figures(cast(Record, record), cast(RunFolder, Folder(main, canary)))
    )
    return found


def create(key: int, done_s: float, write: str = "ok") -> Row:
    return ("create", key, done_s - 0.01, done_s - 0.01, done_s, 201, "", write)


def read(key: int, sent_s: float, status: int, error: str = "") -> Row:
    return ("read_back", key, sent_s, sent_s, sent_s + 0.01, status, error, "")


def test_what_does_not_see_the_write_is_stale_and_its_age_told() -> None:
    main = [
        create(1, 1.0),
        read(1, 1.25, 404, "wrong_status"),
        read(1, 1.5, 302),
        read(1, 1.75, 302, "wrong_content"),
        read(1, 9.0, 302, "too_slow"),
    ]
    canary = [create(1, 5.0), read(1, 5.125, 404, "wrong_status")]
    result = found(main, canary, "create", "read_back")
    assert (result["answered"], result["stale"]) == (5, 3)
    assert result["stale_for_s"] == pytest.approx(0.75)
    early, late = (result["phases"][name] for name in ("early", "late"))
    assert (early["answered"], early["stale"], early["stale_for_s"]) == (3, 2, 0.75)
    assert (late["answered"], late["stale"], late["stale_for_s"]) == (2, 1, 0.125)
    assert result["uncertainty_s"] == 0.0  # both ends are moments of one process
    assert "0.250 s after its acknowledgement write 1 was answered 404" in result["examples"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, "wrong_status"), (0, "timeout"), (0, "refused"), (429, "wrong_status")],
)
def test_an_error_is_no_answer(status: int, error: str) -> None:
    main = [create(1, 1.0), read(1, 1.25, status, error)]
    result = found(main, [], "create", "read_back")
    assert (result["answered"], result["stale"], result["stale_for_s"]) == (0, 0, 0.0)


def test_without_such_an_operation_nothing_is_said() -> None:
    assert found([create(1, 1.0)], [], "create")["stale"] is None
