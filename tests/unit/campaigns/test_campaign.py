"""How a campaign runs its jobs, and how it goes on after an interruption."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from disk import room
from own_project import eventually
from typing_extensions import override

from campaigns import campaign, harness_command, results
from campaigns.campaign import ROWS, Campaign, Job
from campaigns.catalogue import Defect
from campaigns.harness_command import Run
from campaigns.hogs import hogs
from campaigns.row import Row, read_rows
from harness.errors import TargetError

MakeRun = Callable[..., Run]
PLANTED = Defect("wrong", "b", "writes_lost", "so", scene=("scene",))


class Plain(Campaign):
    """Runs what is left of `todo`."""

    def __init__(self, folder: Path, *todo: Job, hogs_count: int = 0) -> None:
        super().__init__(folder, results.experiments(folder / "results"), hogs_count)
        self.todo = todo

    @override
    def jobs(self, rows: Sequence[Row]) -> Iterator[Job]:
        yield from self.todo[len(rows) :]

    @override
    def ended(self, row: Row, rows: Sequence[Row]) -> None:
        assert rows[-1] == row == read_rows(self.folder / ROWS)[-1]

    @override
    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {"runs": [row.experiment for row in rows]}

    @override
    def is_right(self, rows: Sequence[Row]) -> bool:
        return all(row.verdict == "pass" for row in rows)


def _jobs(folder: Path, *names: str) -> list[Job]:
    return [Job(name, folder) for name in names]


def _last_line(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_all_run_on_one_stack_which_is_removed_at_the_end(
    harness: Any, run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.runs = [run("pass"), run("pass")]
    assert Plain(tmp_path, *_jobs(tmp_path, "a", "b")).conduct(resume=False) == 0
    assert harness.calls == ["a", "b", "down"]
    assert _last_line(capsys) == {"runs": ["a", "b"], "interrupted": False}


def test_a_planted_defect_gets_a_stack_of_its_own(
    harness: Any, run: MakeRun, tmp_path: Path
) -> None:
    harness.runs = [run("pass"), run("fail", "writes_lost"), run("fail")]
    planted = Job("b", tmp_path, PLANTED)
    assert Plain(tmp_path, *_jobs(tmp_path, "a"), planted, planted).conduct(resume=False) == 1
    assert harness.calls == ["a", "down", "b scene wrong", "down", "b scene wrong", "down"]


def test_after_a_run_without_a_verdict_the_stack_is_made_anew(
    harness: Any, run: MakeRun, tmp_path: Path
) -> None:
    harness.runs = [run("error"), run("fail"), run("pass")]
    assert Plain(tmp_path, *_jobs(tmp_path, "a", "b", "c")).conduct(resume=False) == 1
    assert harness.calls == ["a", "down", "b", "c", "down"]


def test_a_row_says_when_at_which_commit_and_on_which_stack_it_ran(
    harness: Any, run: MakeRun, tmp_path: Path
) -> None:
    harness.runs = [run("fail", "writes_lost")]
    Plain(tmp_path, Job("b", tmp_path, PLANTED)).conduct(resume=False)
    assert read_rows(tmp_path / ROWS) == [
        Row(
            experiment="b",
            verdict="fail",
            codes=("writes_lost",),
            date="2027-01-02T03:04:05+00:00",
            commit="abc1234",
            stack="7",
            duration_s=60.0,
            defect="wrong",
            expected="writes_lost",
        )
    ]


def test_an_interruption_keeps_what_was_done_and_resume_goes_on(
    harness: Any, run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = _jobs(tmp_path, "a", "b", "c")
    harness.runs = [run("pass"), None]
    assert Plain(tmp_path, *jobs).conduct(resume=False) == 130
    assert harness.calls == ["a", "b", "down"]
    assert _last_line(capsys) == {"runs": ["a"], "interrupted": True}
    harness.calls.clear()
    harness.runs = [run("pass"), run("pass")]
    assert Plain(tmp_path, *jobs).conduct(resume=True) == 0
    assert harness.calls == ["b", "c", "down"]
    assert _last_line(capsys)["runs"] == ["a", "b", "c"]


def test_a_full_disk_ends_it_with_a_message_and_no_stack_left(
    harness: Any, run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = _jobs(tmp_path, "a", "b")
    harness.runs = [run("pass"), run("pass")]
    with room(100):
        assert Plain(tmp_path, *jobs).conduct(resume=False) == 4
    assert harness.calls == ["a", "down"]
    said = capsys.readouterr().err
    assert str(tmp_path / ROWS) in said
    assert "--resume" in said
    harness.runs = [run("pass"), run("pass")]
    assert Plain(tmp_path, *jobs).conduct(resume=True) == 0


def test_a_second_campaign_on_the_same_stack_is_refused(
    harness: Any, run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin_a_second_one(*_: object) -> Run:
        assert Plain(tmp_path, *_jobs(tmp_path, "b")).conduct(resume=True) == 4
        made: Run = run("pass")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(campaign, "run_experiment", begin_a_second_one)
        assert Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False) == 0
    assert harness.calls == ["down"]
    said = capsys.readouterr().err
    assert said.startswith("error: another harness works on project shop: a campaign (process ")


def test_a_stack_that_cannot_be_removed_is_one_clear_error(
    harness: Any, run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def cannot() -> None:
        raise TargetError("harness down --volumes: busy", "harness status")

    monkeypatch.setattr(campaign, "take_down", cannot)
    harness.runs = [run("pass")]
    assert Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False) == 4
    assert capsys.readouterr().err == "error: harness down --volumes: busy\n"
    assert [row.verdict for row in read_rows(tmp_path / ROWS)] == ["pass"]


def test_without_resume_it_begins_anew(harness: Any, run: MakeRun, tmp_path: Path) -> None:
    for _ in range(2):
        harness.runs = [run("pass")]
        Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False)
    assert len(read_rows(tmp_path / ROWS)) == 1


def test_without_an_engine_nothing_is_run_and_nothing_forgotten(
    harness: Any, run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    harness.runs = [run("pass")]
    Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False)
    harness.calls.clear()
    monkeypatch.setattr(campaign, "engine_problem", lambda: "no engine; run: make setup")
    assert Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False) == 4
    assert "make setup" in capsys.readouterr().err
    assert harness.calls == []
    assert len(read_rows(tmp_path / ROWS)) == 1


def test_hogs_stand_beside_each_run_and_are_gone_with_it(
    harness: Any, run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(*_: object) -> Run:
        eventually(lambda: len(_hogs()) == 2)  # a process has no name at its very beginning
        seen.append(len(_hogs()))
        return run("pass")

    monkeypatch.setattr(campaign, "run_experiment", look)
    Plain(tmp_path, *_jobs(tmp_path, "a"), hogs_count=2).conduct(resume=False)
    assert seen == [2]
    assert _hogs() == []
    assert read_rows(tmp_path / ROWS)[0].hogs == 2


def _hogs() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "sum(range" in " ".join(each.cmdline())]


def test_hogs_end_also_after_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt), hogs(1):
        raise KeyboardInterrupt
    assert _hogs() == []


FAKE = """#!/bin/sh
echo "$@" > {folder}/arguments
[ -n "{verdict}" ] || {{ echo "error: no engine"; exit 4; }}
mkdir -p {folder}/reports/20270101-000000-b
echo '{{"verdict": "{verdict}", "scale": 0.5, "reasons": [{{"code": "x"}}, {{"code": "x"}}]}}' \\
  > {folder}/reports/20270101-000000-b/result.json
exit 1
"""


def _fake_harness(folder: Path, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "harness"
    path.write_text(FAKE.format(folder=folder, verdict=verdict))
    path.chmod(0o755)
    monkeypatch.setattr(harness_command, "HARNESS", path)


def test_a_run_is_one_command_and_what_it_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_harness(tmp_path, "fail", monkeypatch)
    before = datetime.now(UTC).replace(microsecond=0)
    run = harness_command.run_experiment("b", ("scene", "wrong"), tmp_path / "reports")
    assert (tmp_path / "arguments").read_text().split() == [
        "run", "b", "--output", str(tmp_path / "reports"), "--scale", "auto",
        "--ignore-steady-state",
        "--override", "tests/defects/scene.yaml", "--override", "tests/defects/wrong.yaml",
    ]  # fmt: skip
    assert (run.exit_code, run.verdict, run.codes) == (1, "fail", ("x",))
    assert run.folder == tmp_path / "reports" / "20270101-000000-b"
    assert run.result["scale"] == 0.5
    assert before <= datetime.fromisoformat(run.date) <= datetime.now(UTC)


def test_a_run_without_a_result_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_harness(tmp_path, "", monkeypatch)
    run = harness_command.run_experiment("b", (), tmp_path / "reports")
    assert (run.exit_code, run.verdict, run.message) == (4, "error", "error: no engine")
    assert run.date
    assert run.result == {}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one commit."""
    monkeypatch.setattr(harness_command, "ROOT", tmp_path)
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "x.csv").write_text("a\n")
    (tmp_path / "code").write_text("a\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "-c", "user.name=n", "-c", "user.email=e@x.test", "commit", "-qm", "m")
    return tmp_path


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def test_a_commit_is_named_as_it_is_and_the_tables_of_results_are_no_change(clone: Path) -> None:
    name = _git(clone, "rev-parse", "--short", "HEAD").strip()
    (clone / "docs" / "results" / "x.csv").write_text("b\n")
    (clone / "docs" / "results" / "y.csv").write_text("b\n")
    assert harness_command.commit() == name


@pytest.mark.parametrize("file", ["code", "new"])
def test_a_changed_or_a_new_file_marks_the_commit(clone: Path, file: str) -> None:
    (clone / file).write_text("b\n")
    name = _git(clone, "rev-parse", "--short", "HEAD").strip()
    assert harness_command.commit() == f"{name}+changes"


def test_where_there_is_no_git_no_commit_is_named(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(clone))
    assert harness_command.commit() == ""


def test_the_stack_has_a_major_version() -> None:
    assert int(harness_command.stack_version()) >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_campaign_once_the_stack_is_down(
    number: signal.Signals,
    harness: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers = signal.getsignal(number)
    monkeypatch.setattr(campaign, "run_experiment", lambda *_: signal.raise_signal(number))
    assert Plain(tmp_path, *_jobs(tmp_path, "a")).conduct(resume=False) == 130
    assert harness.calls == ["down"]
    assert _last_line(capsys) == {"runs": [], "interrupted": True}
    assert signal.getsignal(number) == handlers


def test_an_interrupted_campaign_ends_its_run_and_waits_until_it_has_healed(
    tmp_path: Path, hears_ctrl_c: None
) -> None:
    healed = tmp_path / "healed"
    program = (
        "import os, pathlib, signal, sys\n"
        f"heal = pathlib.Path({str(healed)!r}).touch\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(heal()))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "signal.pause()\n"
    )
    with pytest.raises(KeyboardInterrupt):
        harness_command._run_to_its_end([sys.executable, "-c", program])
    assert healed.exists()
