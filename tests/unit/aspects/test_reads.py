"""Stale reads are found, with the write's age; what was not answered says nothing."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pytest
from plain import plain

from harness.aspects.clause import parse_expectation
from harness.aspects.findings_json import findings_from_json
from harness.aspects.reads import ASPECT, figures
from harness.bundled.traffic import OPERATIONS
from harness.model.compared import Compared, Measured
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, Operation
from harness.model.planned import Need
from harness.record.folder import RunFolder
from harness.record.run import Record

Row = tuple[Any, ...]
READ = Operation(path="/{written}", status=(302,), reads="create")
DELETE = Operation(path="/{written}", method="DELETE", reads="create")


class Folder:
    """Two streams of samples, as a run folder gives them."""

    def __init__(self, main: list[Row], canary: list[Row]) -> None:
        self._streams = {"main": main, "canary": canary}

    def read_samples(self, stream: str, columns: list[str]) -> pa.Table:
        return pa.Table.from_pandas(pd.DataFrame(self._streams[stream], columns=columns))


def found(main: list[Row], canary: list[Row], *names: str) -> dict[str, Any]:
    operations = {**OPERATIONS, "read_back": READ, "delete": DELETE}
    load = Load(rate_per_s=1, mix=dict.fromkeys(names, 1.0))
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
    assert "0.250 s after its acknowledgement, write 1 was answered 404" in result["examples"]


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


def test_reads_of_both_streams_are_aged_by_their_own_streams_writes() -> None:
    """A write that failed, or is not known, has no age; nor has a read without a write."""
    main = [
        create(1, 1.0), create(2, 2.0, "failed"), create(3, 2.0, "unknown"),
        read(1, 1.5, 410, "wrong_status"), read(2, 3.0, 404, "wrong_status"),
        read(3, 3.0, 404, "wrong_status"), read(1, 3.5, 404, "timeout"),
        read(1, 3.6, 404, ""),  # an operation that asks for a 404
    ]  # fmt: skip
    canary = [create(1, 2.0), read(1, 2.25, 302, "wrong_content"), read(9, 3.0, 302)]
    result = found(main, canary, "create", "read_back")
    assert (result["answered"], result["stale"], result["stale_for_s"]) == (6, 4, 0.5)
    assert result["examples"] == [
        "0.500 s after its acknowledgement, write 1 was answered 410",
        "at an unknown time after its acknowledgement, write 2 was answered 404",
        "at an unknown time after its acknowledgement, write 3 was answered 404",
        "0.250 s after its acknowledgement, write 1 was answered 302",
    ]


def test_the_age_of_stale_reads_without_a_known_write_is_not_known() -> None:
    result = found([read(2, 3.0, 404, "wrong_status")], [], "create", "read_back")
    assert (result["stale"], result["phases"]["late"]["stale_for_s"]) == (1, 0.0)
    assert math.isnan(result["stale_for_s"])


def test_only_the_first_ten_are_examples_and_a_phase_has_its_first_moment() -> None:
    main = [create(1, 1.0), *(read(1, 3.9 + at / 20, 404, "wrong_status") for at in range(12))]
    result = found(main, [], "create", "read_back")
    assert len(result["examples"]) == 10
    assert result["examples"][0].startswith("2.900 s after")
    assert (result["phases"]["early"]["stale"], result["phases"]["late"]["stale"]) == (2, 10)
    assert "run" not in result["phases"]


def test_an_operation_that_changes_what_was_written_is_no_read_of_it() -> None:
    main = [create(1, 1.0), ("delete", 1, 2.0, 2.0, 2.1, 404, "wrong_status", "")]
    assert found(main, [], "create", "delete")["answered"] is None
    both = [*main, read(1, 1.5, 302)]
    assert found(both, [], "create", "delete", "read_back")["answered"] == 1


READS = {
    "answered": 100, "stale": 2, "stale_for_s": 0.25, "uncertainty_s": 0.125,
    "phases": {"early": {"answered": 100, "stale": 0, "stale_for_s": 0.0},
               "late": {"answered": 99, "stale": 1, "stale_for_s": 0.25},
               "old": {"answered": 1000, "stale": 1, "uncertainty_s": None}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "phase", "value", "evidence", "uncertainty"),
    [
        ("stale", "run", 2, "2 of 100 reads did not return a write acknowledged before, up to"
         " 250 ms later", 0.0),
        ("stale_for", "run", 0.25, "2 of 100 reads did not return a write acknowledged before, up"
         " to 250 ms later", 0.125),
        ("stale", "early", 0, "0 of 100 reads did not return a write acknowledged before", 0.0),
        ("stale_for", "early", 0.0, "0 of 100 reads did not return a write acknowledged before",
         0.0),
        ("stale_for", "old", None, "1 of 1,000 reads did not return a write acknowledged before",
         0.0),
    ],
)  # fmt: skip
def test_the_figure_is_of_the_phase_or_of_the_run(
    metric: str, phase: str, value: float | None, evidence: str, uncertainty: float
) -> None:
    item = parse_expectation(phase, "reads", f"{metric} < 1{'s' * (metric != 'stale')}", set())
    figure = ASPECT.figure(item, findings_from_json({"reads": READS}))
    assert (figure.value, figure.evidence, figure.gap) == (value, evidence, "")
    assert figure.uncertainty == uncertainty


@pytest.mark.parametrize(
    ("reads", "phase", "answered"),
    [(READS, "late", 99), (READS, "nowhere", 0), ({}, "run", 0), ({}, "early", 0)],
)
def test_too_few_reads_are_no_evidence(reads: Any, phase: str, answered: int) -> None:
    item = parse_expectation(phase, "reads", "stale == 0", set())
    figure = ASPECT.figure(item, findings_from_json({"reads": reads}))
    gap = f"not enough samples: {answered} reads of acknowledged writes, 100 needed"
    assert (figure.value, figure.gap, figure.gap_code) == (None, gap, "too_few_samples")


@pytest.mark.parametrize(("phase", "sent"), [("early", 4 * 25.0), ("run", 10 * 25.0)])
def test_a_plan_must_send_enough_reads(phase: str, sent: float) -> None:
    """Two operations of three that are sent read; the fourth is not."""
    other = Operation(path="/again/{written}", reads="create")
    operations = {**OPERATIONS, "read_back": READ, "other": other, "never": READ}
    experiment = Experiment(
        name="x", title="", faults=(), hypothesis=(), operations=operations,
        load=Load(rate_per_s=40, mix={"create": 2, "read_back": 1, "other": 1, "never": 0},
                  canary_rate_per_s=2.5),
        phases=(Phase(name="early", start_s=0, end_s=4), Phase(name="late", start_s=4, end_s=10)),
    )  # fmt: skip
    item = parse_expectation(phase, "reads", "stale == 0", set())
    assert ASPECT.needs(item, experiment) == Need(100, sent, "reads of acknowledged writes")


@pytest.mark.parametrize(
    ("reads", "stale"),
    [(READS, 2.0), ({**READS, "stale": 0}, 0.0), ({"answered": 0, "stale": 0}, None), ({}, None)],
)
def test_stale_reads_are_compared_where_any_were_answered(reads: Any, stale: float | None) -> None:
    row = Compared("run", "reads", "stale", "never", "count")
    expected = [] if stale is None else [(row, Measured(stale))]
    assert list(ASPECT.compare(findings_from_json({"reads": reads}), set())) == expected
