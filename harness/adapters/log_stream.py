"""The engine's stream of a container's log, taken apart into lines.

Without a terminal the engine sends frames, each with one line, or a piece of a long one:

    | 1 or 2 | 0 0 0 | length, 4 bytes | 2026-11-28T12:00:41.204512345Z text\n |
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from harness.adapters.docker_records import read_time
from harness.load.excerpt import whole_words
from harness.model.log_line import RawLine

LINE_MAX = 64 << 10
_HEAD = struct.Struct(">BxxxL")


def log_lines(chunks: Iterable[bytes], *, is_framed: bool) -> Iterator[RawLine]:
    """The lines in what the engine sent with `timestamps`; one that never ended is the last.

    A line of more than 64 KiB is cut, before its last word: half a secret is not recognised.
    """
    pieces = _frames(chunks) if is_framed else ((0, line) for line in _plain_lines(chunks))
    begun: dict[int, tuple[bytes, bytes]] = {}
    for stream, piece in pieces:
        time, _, text = piece.partition(b" ")
        first_time, before = begun.pop(stream, (time, b""))
        whole = before + text if len(before) <= LINE_MAX else before
        if text.endswith(b"\n"):
            yield from _line(first_time, whole)
        else:
            begun[stream] = (first_time, whole)
    for time, text in begun.values():
        yield from _line(time, text)


def _line(time: bytes, text: bytes) -> Iterator[RawLine]:
    """The line; none where there is no time before it: it is nothing that the engine has sent."""
    shown = time.decode("ascii", "replace")
    try:
        wall_s = read_time(shown)
    except ValueError:
        return
    if len(text) > LINE_MAX:
        text = whole_words(text[:LINE_MAX])
    yield RawLine(wall_s, shown, text)


def _frames(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Stream (1: output, 2: errors) and content of each whole frame."""
    buffer, at = b"", 0
    for chunk in chunks:
        buffer, at = buffer[at:] + chunk, 0
        while len(buffer) - at >= _HEAD.size:
            stream, length = _HEAD.unpack_from(buffer, at)
            end = at + _HEAD.size + length
            if end > len(buffer):
                break
            yield stream, buffer[at + _HEAD.size : end]
            at = end


def _plain_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Of a terminal: lines with their ends, the last one perhaps without."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest
