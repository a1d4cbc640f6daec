"""Experiments are run without a command line: files in, outcomes out, nothing printed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Shop

from harness.errors import EngineError, HarnessError, UsageError
from harness.lock import lock_holder
from harness.runner import Progress
from harness.session.outcome import exit_code
from harness.session.session import Session, Settings

X = Path("x.yaml")


@dataclass
class Heard:
    """Everything that the session said."""

    lines: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    pages: list[Path] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def say(self, text: str, style: str = "") -> None:
        self.lines.append(text)

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress.phase)

    def verdict(self, result: Mapping[str, Any], page: Path) -> None:
        self.pages.append(page)

    def summary(self, markdown: str) -> None:
        self.summaries.append(markdown)

    def error(self, error: HarnessError) -> None:
        self.errors.append(error.message)


def test_an_experiment_is_run_and_nothing_is_printed(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(Settings(output=shop.reports, command="my tests"))
    (job,) = session.read([X])
    with session.locked([job], "my tests"):
        outcome = session.run(job)
    assert (outcome.name, outcome.code, outcome.is_broken) == ("x", 0, False)
    assert outcome.folder == shop.runs()[0]
    assert outcome.result is not None
    assert (outcome.result["verdict"], outcome.result["command"]) == ("pass", "my tests")
    assert capsys.readouterr() == ("", "")


def test_who_listens_hears_all(shop: Shop) -> None:
    heard = Heard()
    session = Session(Settings(output=shop.reports), heard)
    jobs = session.read([X])
    with session.locked(jobs, "my tests"):
        session.run(jobs[0])
    assert heard.lines[0] == "x: One dead server costs no request"
    assert list(dict.fromkeys(heard.phases)) == ["warmup", "baseline", "fault", "recovery"]
    assert heard.pages == [shop.runs()[0] / "index.html"]
    assert heard.summaries == [(shop.runs()[0] / "summary.md").read_text()]
    assert heard.errors == []


def test_it_runs_in_a_thread_too(shop: Shop) -> None:
    """A page that is served runs it beside its main thread, where no signal can be handled."""
    codes: list[int] = []

    def work() -> None:
        session = Session(Settings(output=shop.reports))
        jobs = session.read([X])
        with session.locked(jobs, "a page"):
            codes.append(session.run(jobs[0]).code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert codes == [0]


def test_an_error_is_an_outcome_and_the_next_run_goes_on(shop: Shop) -> None:
    heard = Heard()
    session = Session(Settings(output=shop.reports), heard)
    jobs = session.read([X], repeat=2)
    shop.fail_at("driver.start", EngineError("no engine"))
    with session.locked(jobs, "my tests"):
        first, second = (session.run(job) for job in jobs)
    assert (first.code, first.result is None or first.result["verdict"] != "pass") == (4, True)
    assert second.code == 0
    assert any("no engine" in text for text in heard.errors)


def test_the_lock_is_held_for_all_runs_and_then_free(shop: Shop) -> None:
    session = Session(Settings(output=shop.reports))
    jobs = session.read([X])
    with session.locked(jobs, "my tests"):
        holder = lock_holder(shop.state / "lock")
        assert holder is not None
        assert holder.name == "my tests"
        with pytest.raises(HarnessError, match="another harness works"):
            Session(Settings()).locked(jobs, "another").__enter__()
    assert lock_holder(shop.state / "lock") is None


def test_the_problems_of_all_files_come_in_one_error_before_anything_starts(shop: Shop) -> None:
    for name, wrong in (("a.yaml", "killl"), ("b.yaml", "kil")):
        (shop.root / name).write_text(EXPERIMENT.replace("kill", wrong))
    with pytest.raises(UsageError) as caught:
        Session(Settings(output=shop.reports)).read([Path("a.yaml"), X, Path("b.yaml")])
    assert "a.yaml" in caught.value.message
    assert "b.yaml" in caught.value.message
    assert not shop.reports.exists()


@pytest.mark.parametrize(
    ("status", "verdict", "code"),
    [
        ("completed", "pass", 0),
        ("completed", "fail", 1),
        ("completed", "inconclusive", 3),
        ("error", "pass", 4),
        ("aborted", "fail", 5),
        ("interrupted", "inconclusive", 130),
    ],
)
def test_the_status_is_stronger_than_the_verdict(status: Any, verdict: str, code: int) -> None:
    assert exit_code(status, verdict) == code
