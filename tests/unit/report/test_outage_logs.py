"""Under each outage the report shows what was logged when it began."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from made_up_run import make_run

from harness.aspects.findings_json import read_findings
from harness.aspects.recovery.stretches import Stretch
from harness.model.log_line import LogLine
from harness.record.folder import RunFolder
from harness.record.logs import PartLogs, as_json, write_about, writing
from harness.report.outage_logs import OUTAGES_MAX, PARTS_MAX, outage_logs, shown
from harness.report.render import render

OUTAGE = Stretch("outage-1", 30.0, 50.0, ("create",))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path, series={})


def _line(t_s: float, part: str, level: str = "error", message: str = "") -> LogLine:
    return LogLine(t_s=t_s, part=part, level=level, message=message or f"{part} at {t_s}")


def _log(folder: RunFolder, lines: Sequence[LogLine]) -> None:
    names = sorted({line.part for line in lines})
    for name in names:
        with writing(folder, name) as writer:
            for line in lines:
                if line.part == name:
                    writer.write(as_json(line))
    write_about(folder, [PartLogs(part=name, lines=1, bytes=1) for name in names])


def _seen(folder: RunFolder, *outages: Stretch) -> list[list[tuple[str, list[float], int]]]:
    found = outage_logs(folder, outages or [OUTAGE])
    return [[(p.part, [x.t_s for x in p.lines], p.more) for p in each.parts] for each in found]


def test_the_first_errors_of_each_part_the_first_part_first(folder: RunFolder) -> None:
    lines = [
        *(_line(t_s, "app-1") for t_s in (27.9, 30.1, 30.2, 30.3, 30.4, 40.0, 40.1)),
        _line(28.0, "db-1", "fatal"),
        _line(30.0, "redis", "warning"),
        _line(31.0, "lb-1", "info"),
    ]
    _log(folder, lines)
    assert _seen(folder) == [[("db-1", [28.0], 0), ("app-1", [30.1, 30.2, 30.3], 2)]]


def test_warnings_where_there_is_no_error(folder: RunFolder) -> None:
    _log(folder, [_line(30.0, "redis", "warning"), _line(31.0, "lb-1", "info")])
    [found] = outage_logs(folder, [OUTAGE])
    assert found.level == "warning"
    assert _seen(folder) == [[("redis", [30.0], 0)]]


def test_what_is_shown_is_bounded(folder: RunFolder) -> None:
    _log(folder, [_line(30.0 + n / 100, f"part-{n:02d}") for n in range(PARTS_MAX + 3)])
    [found] = outage_logs(folder, [OUTAGE])
    assert (len(found.parts), found.others) == (PARTS_MAX, 3)
    many = [Stretch(f"outage-{n}", float(n), None, ()) for n in range(9)]
    assert len(outage_logs(folder, many)) == OUTAGES_MAX
    assert shown(_line(1.0, "a", message="x" * 999)) == "x" * 299 + "…"
    assert shown(_line(1.0, "a", message="two\n  lines")) == "two lines"


def test_a_line_without_a_message_shows_its_fields() -> None:
    line = LogLine(t_s=1.0, part="a", message="", fields={"status": 500, "path": "/x"})
    assert shown(line) == "status=500, path=/x"


def test_without_logs_or_outages_there_is_nothing(folder: RunFolder) -> None:
    assert outage_logs(folder, [OUTAGE]) == []
    _log(folder, [_line(30.0, "a")])
    assert outage_logs(folder, []) == []
    write_about(folder, [], "the engine does not answer")
    assert outage_logs(folder, [OUTAGE]) == []


def _page(folder: RunFolder) -> str:
    result = folder.read_json("result.json")
    return render(folder, read_findings(folder), result).read_text(encoding="utf-8")


def test_the_page_shows_them_as_text_under_recovery(folder: RunFolder) -> None:
    assert "What was logged when outages began" not in _page(folder)
    findings = folder.read_json("findings.json")
    [outage, *_] = findings["recovery"]["create"]["outages"]
    _log(folder, [_line(outage["start_s"], "app-1", message="<b>no</b> database")])
    page = _page(folder)
    assert "What was logged when outages began" in page
    assert "&lt;b&gt;no&lt;/b&gt; database" in page
    assert re.search(r"<h4>outage-1: .*create", page)
    assert page.index('id="recovery"') < page.index('id="outage-logs"')
    assert 'href="logs/about.json"' in page


def test_a_page_says_that_nothing_was_logged(folder: RunFolder) -> None:
    _log(folder, [_line(1.0, "app-1", "info")])
    assert "No part logged a warning or an error then." in _page(folder)
