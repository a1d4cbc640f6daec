"""Recorded runs give the same figures and verdicts as when they were recorded.

Each archive in tests/recorded/ is one run folder with its findings.json and result.json: runs
that passed, planted defects, a race, a machine without headroom, runs that were cut off. What
changes here changes every user's verdicts: pack anew (pack.py) only where that is the purpose.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import StrictUndefined

from harness.aspects import METRICS
from harness.record.folder import RunFolder
from harness.report.templating import templates
from harness.session.stages import analyze_folder, judge_folder, render_folder

RECORDED = Path(__file__).parents[1] / "recorded"
ARCHIVES = sorted(RECORDED.glob("*.tar.xz"))
Unpack = Callable[[Path], RunFolder]
WHICH_STATUSES = re.compile(r"(?<= wrong_status): [^)]+")
"""What evidence says since, of the samples that were there all along."""


@pytest.fixture
def unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Unpacks one archive; gives its run folder."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)  # these are no results of this job

    def act(archive: Path) -> RunFolder:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path, filter="data")
        return RunFolder(tmp_path / archive.name.removesuffix(".tar.xz"))

    return act


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_every_figure_and_the_verdict_are_those_that_were_recorded(
    archive: Path, unpack: Unpack
) -> None:
    folder = unpack(archive)
    names = ("findings.json", "result.json")
    recorded = {name: folder.read_text(name) for name in names}
    for name in names:
        (folder.path / name).unlink()
    analyze_folder(folder)
    judge_folder(folder)
    for name in names:
        assert differences(json.loads(recorded[name]), folder.read_json(name)) == []


@pytest.mark.parametrize(
    "name", ["212138-redis-outage", "205927-db-primary-rebuild", "interrupted", "aborted"]
)
def test_the_report_of_a_recorded_run_is_whole(name: str, unpack: Unpack) -> None:
    """Templates refuse a name that is not there, so each of these has all that they show."""
    (archive,) = (path for path in ARCHIVES if name in path.name)
    folder = unpack(archive)
    page = render_folder(folder).read_text(encoding="utf-8")
    for heading in ("expectations", "recovery", "breakers", "operations", "load"):
        assert f'<h2 id="{heading}">' in page
    assert ('<h2 id="writes">' in page) == (name != "interrupted")  # it wrote nothing
    assert templates().undefined is StrictUndefined


def test_what_came_back_after_a_wiped_primary_is_reported(unpack: Unpack) -> None:
    """A replica took over: nothing is lost, and nobody had to put anything back."""
    (archive,) = (path for path in ARCHIVES if "rebuild" in path.name)
    folder = unpack(archive)
    analyze_folder(folder)
    found = folder.read_json("findings.json")["restore"]
    judge_folder(folder)
    assert (found["faults"], found["writes_lost"], found["data_intact"]) == (["wipe-1"], 0, True)
    assert '<h2 id="restore">' in render_folder(folder).read_text(encoding="utf-8")


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where `before` is not in `after` as it was, in words; a figure that came since is no loss."""
    if isinstance(before, dict) and isinstance(after, dict):
        nothing = "<not there>"
        pairs = [(f"{path}.{key}", value, after.get(key, nothing)) for key, value in before.items()]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [
            (f"{path}[{at}]", *pair) for at, pair in enumerate(zip(before, after, strict=True))
        ]
    elif before == after or (isinstance(after, str) and before == WHICH_STATUSES.sub("", after)):
        return []
    else:
        return [f"{path}: {before!r} became {after!r}"]
    return [text for name, one, other in pairs for text in differences(one, other, name)]


def test_every_aspect_verdict_and_status_is_among_them(unpack: Unpack) -> None:
    aspects, verdicts, statuses = set[str](), set[str](), set[str]()
    for archive in ARCHIVES:
        folder = unpack(archive)
        result = folder.read_json("result.json")
        verdicts.add(result["verdict"])
        statuses.add(result["status"])
        aspects |= {item.aspect for item in folder.read_experiment().hypothesis}
    came_later = {"restarts", "counter", "alerts"}
    assert aspects == METRICS.keys() - came_later
    assert verdicts == {"pass", "fail", "inconclusive"}
    assert statuses == {"completed", "aborted", "interrupted"}


def test_a_difference_is_seen_and_named() -> None:
    before = {"a": [{"b": 1.0, "c": None}], "d": []}
    assert differences(before, {"a": [{"b": 1.0, "c": None}], "d": []}) == []
    assert differences(before, {"a": [{"b": 1.5, "e": 0}], "d": [1]}) == [
        ".a[0].b: 1.0 became 1.5",
        ".a[0].c: None became '<not there>'",
        ".d: [] became [1]",
    ]
    assert differences("2 of 9 (2 wrong_status)", "2 of 9 (2 wrong_status: all with 503)") == []
    assert differences("2 of 9 (2 wrong_status)", "3 of 9 (3 wrong_status: all with 503)") != []
