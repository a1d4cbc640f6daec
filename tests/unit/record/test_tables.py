"""Tables come back with their types; what is damaged or missing is one clear error."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disk import room
from fakes import samples_table
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RecordError, RunFolderError
from harness.record.folder import RunFolder
from harness.record.tables import SAMPLES, TRACED, write_samples, write_tokens, write_traced


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


def test_what_was_traced_comes_back_with_its_types(folder: RunFolder) -> None:
    """Beside the samples, of which it is no part."""
    assert folder.read_traced("main").num_rows == 0
    row = (2**49, "redirect", 1.5, 2.5, 0, "timeout", "", False)
    for number in range(2):
        write_traced(folder.samples_dir, "main", number, [row])
    table = folder.read_traced("main")
    assert table.schema.equals(TRACED)
    assert [tuple(each.values()) for each in table.to_pylist()] == [row, row]
    assert folder.read_samples("main").num_rows == 0


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
@settings(max_examples=150)
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
    folder.write_readback({"db-1": {"role": "primary"}}, rows)
    assert folder.read_writes().to_pydict() == rows
    assert folder.read_json("target/writes.json")["nodes"] == {"db-1": {"role": "primary"}}


def test_what_a_read_back_says_of_itself_comes_back(folder: RunFolder) -> None:
    rows: dict[str, list[Any]] = {"node": [], "stream": [], "n": [], "rows": []}
    folder.write_readback({}, rows, {"operations": ["put"]})
    assert folder.read_json("target/writes.json")["operations"] == ["put"]


def test_tokens_come_back_apart_from_the_samples_of_their_stream(folder: RunFolder) -> None:
    assert folder.read_tokens("main").to_pylist() == []
    write_tokens(folder.samples_dir, "main", 0, [(1, "a")])
    write_tokens(folder.samples_dir, "main-w1", 0, [(2, "b")])
    write_tokens(folder.samples_dir, "canary", 0, [(1, "c")])
    assert folder.read_tokens("main").to_pydict() == {"n": [1, 2], "token": ["a", "b"]}
    assert folder.read_tokens("canary").to_pydict() == {"n": [1], "token": ["c"]}
    assert folder.sample_parts("main") == []


def test_the_clicks_come_back(folder: RunFolder) -> None:
    folder.write_clicks({"before": {}, "after": {}}, {"h000001": 3, "c000002": 1})
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
    with room(100), pytest.raises(RecordError, match=r"writes\.parquet: cannot be written"):
        folder.write_readback({}, rows)
