"""A run folder: what is written is whole, what is read is understood, or one clear error."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import samples_table
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RecordError, RunFolderError
from harness.run_store import (
    SAMPLES,
    EventLog,
    RunFolder,
    new_folder,
    run_folders,
    write_clicks,
    write_readback,
    write_samples,
)

EVENTS_OF_A_RUN: list[tuple[str, dict[str, Any]]] = [
    ("run.clock", {"wall_s": 1.0}),
    ("fault.injecting", {"fault": "kill-1", "kind": "kill", "target": "app-1", "resolved": {}}),
    ("fault.healed", {"fault": "kill-1", "healed_s": 2}),
    ("an.event.of.tomorrow", {"anything": [1]}),
    ("run.finished", {"status": "completed"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "20260102-030405-x")
    made.create()
    return made


@contextmanager
def _room(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the kernel's own refusal, in the midst of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _log(folder: RunFolder) -> list[dict[str, Any]]:
    log = EventLog(folder)
    for at_s, (name, facts) in enumerate(EVENTS_OF_A_RUN):
        log.write(at_s, name, **facts)
    log.close()
    return folder.read_events()


# -- events


def test_events_come_back_in_order(folder: RunFolder) -> None:
    assert [(e["t_s"], e["event"]) for e in _log(folder)] == [
        (at_s, name) for at_s, (name, _) in enumerate(EVENTS_OF_A_RUN)
    ]


def test_each_event_is_in_the_file_when_write_returns(folder: RunFolder) -> None:
    log = EventLog(folder)
    log.write(0.0, "run.clock", wall_s=1.0)
    assert len(folder.read_events()) == 1
    log.close()


def test_a_log_that_is_closed_takes_nothing_and_says_nothing(folder: RunFolder) -> None:
    """A probe that hung may come back after the run has ended."""
    log = EventLog(folder)
    log.close()
    log.close()
    log.write(0.0, "probe.gap")
    assert folder.read_events() == []


@given(cut=st.integers(0, 2000))
@settings(deadline=None)
def test_a_log_cut_off_anywhere_is_read_up_to_the_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("cut") / "run")
    folder.create()
    events = _log(folder)
    path = folder.path / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    read = folder.read_events()
    assert read == events[: len(read)]
    assert len(read) >= whole[:cut].count(b"\n")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("garbage", "not JSON"),
        ("[1]", "no object"),
        ("[" * 100_000, "not JSON"),
        ("{}", "no t_s"),
        ('{"t_s": NaN, "event": "x"}', "no t_s"),
        ('{"t_s": 1' + "0" * 400 + ', "event": "x"}', "no t_s"),
        ('{"t_s": true, "event": "x"}', "no t_s"),
        ('{"t_s": 1.0, "event": 7}', "no event"),
        ('{"t_s": 1.0, "event": "run.finished"}', "no status"),
        ('{"t_s": 1.0, "event": "fault.healed", "fault": "x", "healed_s": "soon"}', "no healed_s"),
    ],
)
def test_a_line_that_is_no_event_is_named_with_its_number(
    folder: RunFolder, line: str, what: str
) -> None:
    _log(folder)
    path = folder.path / "events.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([first, line, *rest]) + "\n")
    with pytest.raises(RunFolderError, match=rf"events\.jsonl: line 2: .*{what}") as caught:
        folder.read_events()
    assert "run the experiment again" in caught.value.hint


@pytest.mark.parametrize("size", [0, 1, 40, 100, 150, 200])
def test_an_event_that_does_not_fit_is_an_error_and_is_taken_back(
    folder: RunFolder, size: int
) -> None:
    log = EventLog(folder)
    with _room(size):
        written = _fill(log)
    assert len(folder.read_events()) == written
    assert (folder.path / "events.jsonl").read_bytes().endswith(b"\n") or not written
    log.write(999.0, "run.finished", status="error")  # there is room again
    log.close()
    assert [e["t_s"] for e in folder.read_events()] == [*range(written), 999.0]


def _fill(log: EventLog) -> int:
    """How many events it took."""
    for number in range(100):
        try:
            log.write(number, "run.clock", wall_s=0.0)
        except RecordError as error:
            assert "events.jsonl: cannot be written" in error.message  # noqa: PT017
            return number
    pytest.fail("the log was never full")


# -- whole files


def test_a_file_is_written_whole_or_not_at_all(folder: RunFolder) -> None:
    folder.write_text("summary.md", "before")
    with _room(10), pytest.raises(RecordError, match=r"summary\.md: cannot be written"):
        folder.write_text("summary.md", "x" * 100)
    assert folder.read_text("summary.md") == "before"
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "samples",
        "summary.md",
        "target",
    ]


def test_the_same_value_gives_the_same_bytes(folder: RunFolder) -> None:
    folder.write_json("result.json", {"b": 1, "a": [1.5, None]})
    first = folder.read_text("result.json")
    folder.write_json("result.json", {"a": [1.5, None], "b": 1})
    assert folder.read_text("result.json") == first
    assert first.startswith('{\n  "a": [')


def test_a_folder_is_made_once(folder: RunFolder) -> None:
    with pytest.raises(RecordError, match="cannot be written: File exists"):
        folder.create()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EACCES, "permissions"),
        (errno.EROFS, "a disk that can be written to"),
        (errno.ENOTDIR, "a part of this path is a file"),
        (errno.EIO, "a place that can be written to"),
    ],
)
def test_what_cannot_be_written_says_what_mends_it(number: int, remedy: str) -> None:
    error = RecordError.of(Path("reports/x"), OSError(number, os.strerror(number)))
    assert error.message == f"reports/x: cannot be written: {os.strerror(number)}"
    assert remedy in error.hint
    assert error.exit_code == 4


def test_a_path_through_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be written: Not a directory"):
        RunFolder(tmp_path / "file" / "run").create()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"{}", b'{"status": 7}'])
def test_json_that_is_not_what_it_should_be_is_named(folder: RunFolder, data: bytes) -> None:
    (folder.path / "result.json").write_bytes(data)
    with pytest.raises(RunFolderError, match=r"result\.json: ") as caught:
        folder.read_json("result.json", {"status": str})
    assert caught.value.hint == f"harness judge {folder.path}"


def test_a_missing_file_says_which_stage_writes_it(folder: RunFolder) -> None:
    for name, stage in (("findings.json", "analyze"), ("result.json", "judge")):
        with pytest.raises(RunFolderError, match="No such file") as caught:
            folder.read_json(name)
        assert caught.value.hint == f"harness {stage} {folder.path}"


@pytest.mark.parametrize(
    "value", [{}, {"plan": {}}, {"plan": {}, "experiment": {}}, {"plan": {}, "experiment": []}]
)
def test_a_plan_that_is_none_is_a_clear_error(folder: RunFolder, value: Any) -> None:
    folder.write_json("plan.json", value)
    with pytest.raises(RunFolderError, match=r"plan\.json: "):
        folder.read_experiment()


# -- tables


def _write_parts(folder: RunFolder, *names: str) -> None:
    for name in names:
        stream, _, number = name.rpartition("-")
        write_samples(folder.samples_dir, stream, int(number), samples_table(10))


def test_samples_come_back_with_their_types(folder: RunFolder) -> None:
    _write_parts(folder, "main-0", "main-1", "canary-0")
    table = folder.read_samples("main")
    assert table.num_rows == 20
    assert table.schema.equals(SAMPLES)
    assert table.slice(0, 10).to_pydict() == samples_table(10) | {"write": [""] * 10}
    assert folder.read_samples("main", ["op", "ok"]).column_names == ["op", "ok"]


def test_without_samples_the_table_is_empty(folder: RunFolder) -> None:
    assert folder.read_samples("main").num_rows == 0
    assert folder.read_samples("main", ["op"]).column_names == ["op"]


def test_a_part_that_was_being_written_does_not_count(folder: RunFolder) -> None:
    _write_parts(folder, "main-0")
    (folder.samples_dir / ".main-00001.parquet.part").write_bytes(b"PAR1 half a par")
    assert folder.read_samples("main").num_rows == 10


def test_parts_of_several_workers_are_one_stream(folder: RunFolder) -> None:
    _write_parts(folder, "main-w0-0", "main-w0-1", "main-w1-0")
    assert folder.read_samples("main").num_rows == 30


@pytest.mark.parametrize("missing", ["main-00000", "main-00001"])
def test_a_missing_part_is_a_clear_error(folder: RunFolder, missing: str) -> None:
    """Else its requests would count as never sent."""
    _write_parts(folder, "main-0", "main-1", "main-2")
    (folder.samples_dir / f"{missing}.parquet").unlink()
    with pytest.raises(RunFolderError, match=rf"{missing}\.parquet: missing"):
        folder.read_samples("main")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_part_is_refused_or_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("damaged") / "run")
    folder.create()
    _write_parts(folder, "main-0")
    path = folder.samples_dir / "main-00000.parquet"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    garbage = data.draw(st.binary(max_size=20))
    is_cut = data.draw(st.booleans())
    path.write_bytes(whole[:at] + garbage + (b"" if is_cut else whole[at + len(garbage) :]))
    try:
        table = folder.read_samples("main")
    except RunFolderError as error:
        assert "main-00000.parquet: " in error.message  # noqa: PT017
    else:
        assert table.to_pydict() == samples_table(10)


def test_a_table_with_other_columns_is_refused(folder: RunFolder) -> None:
    pq.write_table(pa.table({"op": ["redirect"]}), folder.samples_dir / "main-00000.parquet")
    with pytest.raises(RunFolderError, match="its columns are op"):
        folder.read_samples("main")


def test_the_read_back_comes_back(folder: RunFolder) -> None:
    rows = {"node": ["db-1", "db-1"], "stream": ["m", "c"], "n": [1, 2], "rows": [1, 2]}
    write_readback(folder, {"db-1": {"role": "primary"}}, rows)
    assert folder.read_writes().to_pydict() == rows
    assert folder.read_json("target/writes.json")["nodes"] == {"db-1": {"role": "primary"}}


def test_the_clicks_come_back(folder: RunFolder) -> None:
    write_clicks(folder, {"before": {}, "after": {}}, {"h000001": 3, "c000002": 1})
    rows = {"code": ["h000001", "c000002"], "clicks": [3, 1]}
    assert folder.read_clicks().to_pydict() == rows
    assert folder.read_json("target/clicks.json")["after"] == {}


def test_a_read_back_that_is_missing_or_damaged_is_a_clear_error(folder: RunFolder) -> None:
    with pytest.raises(RunFolderError, match=r"writes\.parquet: No such file"):
        folder.read_writes()
    (folder.path / "target" / "writes.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(RunFolderError, match=r"writes\.parquet: not a whole Parquet file"):
        folder.read_writes()


def test_a_read_back_that_does_not_fit_is_a_clear_error(folder: RunFolder) -> None:
    rows: dict[str, list[Any]] = {"node": [], "stream": [], "n": [], "rows": []}
    with _room(100), pytest.raises(RecordError, match=r"writes\.parquet: cannot be written"):
        write_readback(folder, {}, rows)


# -- all runs


def test_folders_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        made.append(new_folder(tmp_path, "x"))
        made[-1].mkdir()
    assert len(set(made)) == 3
    assert made == sorted(made)


def test_runs_are_listed_newest_first_and_links_left_out(tmp_path: Path) -> None:
    for name in ("20260102-000000-a", "20260103-000000-b"):
        made = RunFolder(tmp_path / name)
        made.create()
        made.write_text("events.jsonl", "")
    (tmp_path / "latest").symlink_to("20260103-000000-b")
    (tmp_path / "notes").mkdir()
    assert [run.run_id for run in run_folders(tmp_path)] == [
        "20260103-000000-b", "20260102-000000-a",
    ]  # fmt: skip
