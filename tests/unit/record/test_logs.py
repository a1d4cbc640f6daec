"""The files that the logs of a run are kept in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import RunFolderError
from harness.model.log_line import LogLine
from harness.record.folder import RunFolder
from harness.record.logs import (
    Cut,
    PartLogs,
    as_json,
    kept_logs,
    read_logs,
    write_about,
    writing,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


def _line(t_s: float, part: str = "app-1", **facts: object) -> LogLine:
    return LogLine(t_s=t_s, part=part, message=f"at {t_s}", **facts)  # type: ignore[arg-type]


def _write(folder: RunFolder, *lines: LogLine) -> None:
    for part in sorted({line.part for line in lines}):
        with writing(folder, part) as writer:
            for line in lines:
                if line.part == part:
                    writer.write(as_json(line))
    parts = sorted({line.part for line in lines})
    write_about(folder, [PartLogs(part=part, lines=1, bytes=1) for part in parts])


def test_a_line_is_read_as_it_was_written(folder: RunFolder) -> None:
    line = _line(1.25, level="error", time="T", trace=TRACE, fields={"n": [1], "ü": "x"})
    _write(folder, line)
    assert list(kept_logs(folder).lines(["app-1"])) == [line]
    text = gzip.decompress((folder.path / "logs" / "app-1.jsonl.gz").read_bytes()).decode()
    assert text.startswith('{"t_s": 1.25, "time": "T", "level": "error", "part": "app-1", ')
    assert json.loads(text)["trace_id"] == TRACE
    assert text.endswith("}\n")


def test_the_same_lines_give_the_same_bytes(folder: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    other.create()
    for each in (folder, other):
        _write(each, _line(1.0), _line(2.0))
    name = "logs/app-1.jsonl.gz"
    assert (folder.path / name).read_bytes() == (other.path / name).read_bytes()


def test_parts_are_merged_in_order_of_time(folder: RunFolder) -> None:
    times = [("a", 1.0), ("b", 0.5), ("a", 3.0), ("b", 2.0), ("c", 9.0)]
    _write(folder, *(_line(t_s, part) for part, t_s in times))
    logs = kept_logs(folder)
    assert [(x.part, x.t_s) for x in logs.lines(["a", "b"])] == [
        ("b", 0.5), ("a", 1.0), ("b", 2.0), ("a", 3.0),
    ]  # fmt: skip
    assert [x.t_s for x in logs.lines(logs.names, 1.0, 3.0)] == [1.0, 2.0, 3.0]


def test_what_was_cut_and_what_could_not_be_read_is_said(folder: RunFolder) -> None:
    cut = Cut(from_s=41.26, to_s=43.0, lines=1234, bytes=5)
    parts = [
        PartLogs(part="app-1", lines=3, bytes=9, cut=(cut,)),
        PartLogs(part="db-1", problem="not read: there was no time left"),
        PartLogs(part="redis"),
    ]
    write_about(folder, parts)
    logs = kept_logs(folder)
    assert list(logs.parts) == parts
    assert logs.names == ["app-1"]
    assert logs.lacks == [
        "app-1: 1,234 lines cut between 41.3 s and 43.0 s: too many",
        "db-1: not read: there was no time left",
    ]


def test_a_run_without_logs(folder: RunFolder) -> None:
    assert read_logs(folder) is None
    with pytest.raises(RunFolderError, match="no logs were kept"):
        kept_logs(folder)
    write_about(folder, [], "the engine does not answer")
    with pytest.raises(RunFolderError, match="no logs: the engine does not answer"):
        kept_logs(folder)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: data[: len(data) // 2], "not a whole gzip file"),
        (lambda _: b"garbage", "not a whole gzip file"),
        (lambda data: data[:10] + b"\xff" * 20, "not a whole gzip file"),
        (lambda _: gzip.compress(b"[1]\n"), "not an object"),
        (lambda _: gzip.compress(b'{"t_s": 1}\n'), "no time in it"),
        (lambda _: gzip.compress(as_json(_line(1.0, level="loud"))), "no level: loud"),
        (lambda _: gzip.compress(b'{"t_s": 1'), "not JSON"),
    ],
)
def test_damage_is_named(folder: RunFolder, damage: Callable[[bytes], bytes], what: str) -> None:
    _write(folder, *(_line(float(n)) for n in range(100)))
    path = folder.path / "logs" / "app-1.jsonl.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match=what) as caught:
        list(kept_logs(folder).lines(["app-1"]))
    assert "app-1.jsonl.gz" in caught.value.message


def test_a_line_of_another_form_is_named_when_a_time_is_asked_for(folder: RunFolder) -> None:
    _write(folder, _line(1.0))
    (folder.path / "logs" / "app-1.jsonl.gz").write_bytes(gzip.compress(b"[1]\n"))
    with pytest.raises(RunFolderError, match="not a line of a log"):
        list(kept_logs(folder).lines(["app-1"], 0.0, 1.0))


@pytest.mark.parametrize("about", ["{}", '{"schema_version": 1, "parts": [{"x": 1}]}', "x"])
def test_damage_of_what_was_cut_is_named(folder: RunFolder, about: str) -> None:
    _write(folder, _line(1.0))
    folder.write_text("logs/about.json", about)
    with pytest.raises(RunFolderError, match=r"about\.json"):
        read_logs(folder)


def test_what_goes_wrong_leaves_nothing(folder: RunFolder) -> None:
    with suppress(KeyError), writing(folder, "app-1") as writer:
        writer.write(as_json(_line(1.0)))
        raise KeyError("x")
    assert list((folder.path / "logs").iterdir()) == []
