"""Which tokens are looked up: those that were sent, and those that answers returned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.adapters.readback.asked import BAD_TOKEN, NO_TOKEN, Write, asked_of, reasons
from harness.model.experiment import Experiment, Phase
from harness.model.load import Load, Operation
from harness.record.folder import RunFolder
from harness.record.tables import write_samples, write_tokens

OPERATIONS = {
    "put": Operation(path="/{token}", method="PUT", writes="token"),
    "post": Operation(path="/", method="POST", writes="$.id"),
    "pay": Operation(path="/pay", method="POST", is_write=True),
    "look": Operation(path="/"),
    "idle": Operation(path="/{token}", method="PUT", writes="token"),
}


def experiment(*sent: str) -> Experiment:
    load = Load(entry="shop", rate_per_s=9, mix=dict.fromkeys(sent, 1.0))
    return Experiment(
        name="x", title="", load=load, operations=OPERATIONS, faults=(), hypothesis=(),
        phases=(Phase(name="fault", start_s=0, end_s=9),),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run-1")
    made.create()
    return made


def sample(folder: RunFolder, stream: str, *rows: tuple[str, int, str]) -> None:
    ops, numbers, writes = map(list, zip(*rows, strict=True))
    columns: dict[str, Any] = {
        "intended_s": 0.0, "sent_s": 0.0, "done_s": 1.0, "status": 200, "ok": True, "error": "",
        "bytes": 0, "served_by": "", "cache": "", "db_node": "",
    }  # fmt: skip
    same = {name: [value] * len(ops) for name, value in columns.items()}
    write_samples(
        folder.samples_dir, stream, 0, {**same, "op": ops, "key": numbers, "write": writes}
    )


def test_a_token_that_was_sent_is_made_of_run_stream_and_number(folder: RunFolder) -> None:
    sample(folder, "main", ("put", 1, "failed"), ("put", 2, "ok"), ("look", 3, ""),
           ("put", 4, "unknown"), ("pay", 5, "ok"))  # fmt: skip
    sample(folder, "canary", ("put", 1, "ok"))
    asked = asked_of(folder, experiment("put", "pay", "look"))
    assert asked.operations == ("put",)
    assert asked.writes == {
        "run-1-m2": [Write("m", 2, "ok")],
        "run-1-c1": [Write("c", 1, "ok")],
        "run-1-m1": [Write("m", 1, "failed")],
        "run-1-m4": [Write("m", 4, "unknown")],
    }
    assert list(asked.writes)[:2] == ["run-1-m2", "run-1-c1"]  # the acknowledged ones first
    assert asked.is_acknowledged("run-1-c1")
    assert not asked.is_acknowledged("run-1-m1")
    assert asked.left_out == []


def test_a_token_that_was_returned_is_known_of_acknowledged_writes_alone(folder: RunFolder) -> None:
    sample(folder, "main", ("post", 1, "ok"), ("post", 2, "ok"), ("post", 3, "failed"),
           ("post", 4, "ok"), ("post", 5, "ok"), ("post", 6, "ok"))  # fmt: skip
    sample(folder, "canary", ("post", 1, "ok"))
    tokens = [(1, "A-1"), (2, "x'; drop table items"), (5, "A-1"), (6, "ä")]
    write_tokens(folder.samples_dir, "main", 0, tokens)
    write_tokens(folder.samples_dir, "canary", 0, [(1, "A-2")])
    asked = asked_of(folder, experiment("post"))
    assert asked.writes == {
        "A-1": [Write("m", 1, "ok"), Write("m", 5, "ok")],
        "A-2": [Write("c", 1, "ok")],
    }
    assert [(write.n, why) for write, why in asked.left_out] == [
        (2, f'"x\'; drop table items" is {BAD_TOKEN}'),
        (4, NO_TOKEN),
        (6, f"'ä' is {BAD_TOKEN}"),
    ]
    assert reasons(asked.left_out) == {
        f'"x\'; drop table items" is {BAD_TOKEN}': 2,
        NO_TOKEN: 1,
    }


def test_a_run_whose_name_makes_no_token_looks_nothing_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / f"run-{'x' * 64}")
    folder.create()
    sample(folder, "main", ("put", 1, "ok"), ("put", 2, "failed"))
    asked = asked_of(folder, experiment("put"))
    assert asked.writes == {}
    assert list(reasons(asked.left_out).values()) == [1]  # of the acknowledged one


def test_a_step_of_a_chain_is_looked_up_as_any_other_write(folder: RunFolder) -> None:
    sample(folder, "main", ("put", 10**15 + 2, "ok"))
    load = Load(rate_per_s=9, mix={"buy": 1.0}, chains={"buy": ("look", "put")})
    asked = asked_of(folder, experiment().model_copy(update={"load": load}))
    assert asked.operations == ("put",)
    assert list(asked.writes) == [f"run-1-m{10**15 + 2}"]


def test_an_operation_that_is_not_sent_is_none(folder: RunFolder) -> None:
    sample(folder, "main", ("look", 1, ""))
    assert asked_of(folder, experiment("look")).operations == ()
