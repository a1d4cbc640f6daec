"""The engine's stream of a log, byte for byte."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from harness.adapters.log_stream import LINE_MAX, log_lines

T1, T2 = "2026-11-28T12:00:41.204512345Z", "2026-11-28T12:00:42.000000000Z"
T1_S = 1795867241.204512345


def _frame(text: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


def _texts(*data: bytes, is_framed: bool = True) -> list[tuple[str, bytes]]:
    return [(line.time, line.text) for line in log_lines(data, is_framed=is_framed)]


def _cut_at(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
def test_lines_of_both_streams_however_they_arrive(size: int) -> None:
    data = _frame(f"{T1} one two\n".encode()) + _frame(f"{T2} three\n".encode(), 2)
    found = list(log_lines(_cut_at(data, size), is_framed=True))
    assert [(line.time, line.text) for line in found] == [(T1, b"one two\n"), (T2, b"three\n")]
    assert found[0].wall_s == pytest.approx(T1_S, abs=1e-6)


def test_a_long_line_comes_in_pieces_each_with_its_time() -> None:
    """Those of the two streams may alternate."""
    data = [
        _frame(f"{T1} begin ".encode()),
        _frame(f"{T1} other\n".encode(), 2),
        _frame(f"{T2} middle ".encode()),
        _frame(f"{T2} end\n".encode()),
    ]
    assert _texts(*data) == [(T1, b"other\n"), (T1, b"begin middle end\n")]


def test_a_line_that_never_ended_is_the_last() -> None:
    assert _texts(_frame(f"{T1} dying".encode())) == [(T1, b"dying")]


def test_a_frame_that_is_not_whole_is_left_out() -> None:
    data = _frame(f"{T1} one\n".encode()) + _frame(f"{T2} two\n".encode())
    assert _texts(data[:-3]) == [(T1, b"one\n")]


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_the_lines_of_a_terminal(size: int) -> None:
    data = f"{T1} one\r\n{T2} two".encode()
    found = [line.text for line in log_lines(_cut_at(data, size), is_framed=False)]
    assert found == [b"one\r\n", b"two"]


def test_an_empty_line_and_what_has_no_time() -> None:
    assert _texts(_frame(f"{T1} \n".encode()), _frame(b"garbage\n"), _frame(b"")) == [(T1, b"\n")]


def test_a_line_is_bounded_and_no_word_is_cut() -> None:
    """Half a secret would not be recognised."""
    word = b"password-of-somebody"
    text = b"x" * (LINE_MAX - 10) + b" " + word + b"\n"
    [(_, found)] = _texts(_frame(T1.encode() + b" " + text))
    assert found == b"x" * (LINE_MAX - 10) + b" "
    [(_, found)] = _texts(_frame(T1.encode() + b" " + b"x" * (LINE_MAX + 1) + b"\n"))
    assert found == b""


def test_a_line_without_an_end_takes_no_memory() -> None:
    piece = _frame(f"{T1} ".encode() + b"x " * 8000)
    [(_, found)] = _texts(*[piece] * 100)
    assert len(found) <= LINE_MAX
