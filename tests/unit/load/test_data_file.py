"""A file of values is read whole or refused with its line; its rows come in a known order."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from harness.errors import LoadError
from harness.load import data_file
from harness.load.data_file import read_table, rows_of
from harness.model.load import Data


def file(folder: Path, data: bytes) -> Path:
    path = folder / "users.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [b"a,b\n1,2\n3,4\n", b"a,b\r\n1,2\r\n\r\n3,4", b'\xef\xbb\xbfa,"b"\n1,"2"\n3,4\n'],
)
def test_columns_and_rows(tmp_path: Path, data: bytes) -> None:
    table = read_table(file(tmp_path, data))
    assert table.columns == ("a", "b")
    assert table.rows == ((b"1", b"2"), (b"3", b"4"))


def test_a_value_may_hold_commas_quotes_and_any_letter(tmp_path: Path) -> None:
    table = read_table(file(tmp_path, 'a\n"x, ""y"" ü\u2028"\n'.encode()))
    assert table.rows == (('x, "y" ü\u2028'.encode(),),)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "no rows; write the names of the columns"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n", "line 3: 1 values, but 2 columns"),
        (b"a,a\n1,2\n", "line 1: two columns have the same name"),
        (b"a\n1\n\xff\n", "line 3: not UTF-8"),
        (b'a\n"1\n2"\n', "line 3: a line break or another control character"),
        (b'a\n"1"x\n', "line 2: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, data: bytes, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read_table(file(tmp_path, data))


def test_what_is_not_there_or_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"users\.csv: No such file"):
        read_table(tmp_path / "users.csv")
    path = file(tmp_path, b"a\n1\n2\n3\n")
    monkeypatch.setattr(data_file, "ROWS_MAX", 2)
    with pytest.raises(ValueError, match="line 4: more than 2 rows"):
        read_table(path)
    monkeypatch.setattr(data_file, "BYTES_MAX", 3)
    with pytest.raises(ValueError, match="larger than"):
        read_table(path)


@pytest.mark.parametrize(
    ("first", "step", "found"), [(0, 1, "1231"), (1, 1, "2312"), (0, 2, "1321"), (4, 1, "2312")]
)
def test_rows_come_in_turn_and_again(tmp_path: Path, first: int, step: int, found: str) -> None:
    path = file(tmp_path, b"a\n1\n2\n3\n")
    rows = islice(rows_of(Data(file="users.csv"), path, 1, first, step), 4)
    assert b"".join(row[0] for row in rows).decode() == found


def test_shuffled_rows_repeat_from_the_seed_and_all_come_before_one_comes_again(
    tmp_path: Path,
) -> None:
    path = file(tmp_path, b"a\n" + b"".join(b"%d\n" % n for n in range(50)))
    data = Data(file="users.csv", order="shuffled")
    once, again, other = (
        [row[0] for row in islice(rows_of(data, path, seed, 0, 1), 50)] for seed in (1, 1, 2)
    )
    assert once == again != other
    assert len(set(once)) == 50


def test_a_file_that_is_gone_by_now_is_an_error_of_the_load(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="No such file"):
        next(rows_of(Data(file="users.csv"), tmp_path / "users.csv", 1, 0, 1))
