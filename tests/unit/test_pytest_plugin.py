"""`pytest --harness`: experiment files are tests; the fixture `harness` lends the faults.

Each test runs a pytest of its own in this process, on a session that has its outcomes by heart, or
on the fake project.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fake_shop import EXPERIMENT, Cli, Shop

from harness import pytest_plugin
from harness.errors import EngineError, HarnessError, InvalidExperiment, MachineBusy
from harness.session import session as sessions
from harness.session.listener import Listener
from harness.session.outcome import Outcome
from harness.session.session import Settings
from harness.session.stop import Stop

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
Pytest = Any
"""What runs a pytest: `run(*arguments)` gives its result."""


@dataclass(frozen=True)
class FakeJob:
    path: Path


@dataclass
class FakeSession:
    """Knows the outcome of each experiment by its name; `log` has what was asked of it."""

    outcomes: dict[str, Outcome | HarnessError | KeyboardInterrupt]
    log: list[str] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    listener: Listener | None = None
    held: int = 0

    def __call__(self, settings: Settings, listener: Listener, _stop: Stop) -> FakeSession:
        self.settings, self.listener = settings, listener
        self.log.append("session")
        return self

    def read(self, named: Sequence[Path]) -> list[FakeJob]:
        found = self.outcomes[named[0].stem]
        if isinstance(found, InvalidExperiment):
            raise found
        return [FakeJob(named[0])]

    @contextmanager
    def locked(self, jobs: Sequence[FakeJob], holder: str) -> Iterator[None]:
        self.held += 1
        self.log.append(f"locked by {holder}")
        yield
        self.held -= 1

    def run(self, job: FakeJob) -> Outcome:
        assert self.held
        assert self.listener is not None
        self.log.append(f"run {job.path.stem}")
        self.listener.say(f"{job.path.stem} goes on")
        found = self.outcomes[job.path.stem]
        if isinstance(found, BaseException):
            if isinstance(found, HarnessError):
                self.listener.error(found)
                return Outcome(job.path.stem, found.exit_code, message=found.message)
            raise found
        return found


def _outcome(
    verdict: str, code: int, *reasons: str, name: str = "x", is_broken: bool = False
) -> Outcome:
    result = {
        "verdict": verdict, "title": "A claim",
        "reasons": [{"code": "slow", "text": text} for text in reasons],
    }  # fmt: skip
    return Outcome(name, code, result, Path("reports") / f"1-{name}", is_broken=is_broken)


PASS = _outcome("pass", 0)
FAIL = _outcome("fail", 1, "fault.home: p95 < 1s, but 3 s", "fault.home: p99 < 1s, but 4 s")
DOUBT = _outcome("inconclusive", 3, "too few samples")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    path = pytester.path / "experiments"
    path.mkdir()
    return path


@pytest.fixture
def run(pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pytest:
    """A pytest on experiments with these outcomes; `run.session` is what they were asked of."""

    def act(outcomes: dict[str, Any], *arguments: str) -> pytest.RunResult:
        for name in outcomes:
            (folder / f"{name}.yaml").write_text(EXPERIMENT)
        act.session = FakeSession(outcomes)  # type: ignore[attr-defined]
        monkeypatch.setattr(sessions, "Session", act.session)  # type: ignore[attr-defined]
        command = ["-p", "harness.pytest_plugin", "-p", "no:cacheprovider", "-ra", "--harness"]
        named = arguments or ("experiments",)
        return pytester.runpytest_inprocess(*command, *named, no_reraise_ctrlc=True)

    return act


def test_the_verdicts_become_pytests_outcomes(run: Pytest) -> None:
    outcomes = {"a": PASS, "b": FAIL, "c": DOUBT, "d": EngineError("no engine", "start it")}
    done = run(outcomes)
    done.assert_outcomes(passed=1, failed=2, skipped=1)
    assert done.ret == 1


def test_a_failure_is_its_reasons_and_the_report_and_no_traceback(run: Pytest) -> None:
    done = run({"b": FAIL})
    text = done.stdout.str()
    shown = text[text.index("FAIL: A claim") :].splitlines()[:4]
    assert shown == [
        "FAIL: A claim",
        "  slow: fault.home: p95 < 1s, but 3 s",
        "  slow: fault.home: p99 < 1s, but 4 s",
        "  report: reports/1-x/index.html",
    ]
    assert "Traceback" not in text
    assert "pytest_plugin.py" not in text
    assert "b goes on" in text  # what the run said


def test_what_is_inconclusive_is_skipped_with_its_reasons_or_fails_if_strict(run: Pytest) -> None:
    done = run({"c": DOUBT})
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED * experiments/c.yaml:1: INCONCLUSIVE: A claim*"])
    assert "too few samples" in done.stdout.str()
    strict = run({"c": DOUBT}, "experiments", "--harness-strict")
    strict.assert_outcomes(failed=1)
    strict.stdout.fnmatch_lines(["INCONCLUSIVE: A claim", "  slow: too few samples"])


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (_outcome("pass", 4), "ERROR"),
        (_outcome("inconclusive", 4), "ERROR"),
        (_outcome("fail", 5, "a safeguard"), "ABORTED"),
        (_outcome("inconclusive", 130, "suspended"), "INTERRUPTED"),
    ],
    ids=["error", "error without evidence", "aborted", "rescued by its watchdog"],
)
def test_a_run_that_did_not_come_to_its_end_fails_whatever_its_verdict(
    run: Pytest, outcome: Outcome, word: str
) -> None:
    done = run({"x": outcome})
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f"{word}: A claim", f"{word:<12} reports/1-x/index.html"])


def test_a_machine_that_stayed_busy_is_inconclusive(run: Pytest) -> None:
    run({"x": MachineBusy("the machine was not quiet", "wait")}).assert_outcomes(skipped=1)


def test_an_error_says_what_to_do(run: Pytest) -> None:
    done = run({"d": EngineError("no engine", "start it")})
    done.stdout.fnmatch_lines(["no engine", "  try: start it"])
    assert "Traceback" not in done.stdout.str()


def test_an_invalid_file_fails_with_its_problems_and_the_others_run(run: Pytest) -> None:
    invalid = InvalidExperiment("a.yaml", ["line 3: load.rate: missing"])
    done = run({"a": invalid, "b": PASS})
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*line 3: load.rate: missing", "*try: fix the file*"])


def test_the_reports_are_listed_at_the_end(run: Pytest) -> None:
    done = run({"a": PASS, "b": _outcome("fail", 1, "why", name="b"), "c": EngineError("no")})
    done.stdout.fnmatch_lines(
        [
            "*= harness reports =*",
            "PASS         reports/1-x/index.html",
            "FAIL         reports/1-b/index.html",
        ]
    )


def test_pytests_own_junit_file_has_verdict_and_report(run: Pytest, folder: Path) -> None:
    run({"b": FAIL}, "experiments", "--junitxml=junit.xml")
    text = (folder.parent / "junit.xml").read_text()
    assert '<property name="harness_verdict" value="FAIL"' in text
    assert '<property name="harness_report" value="reports/1-x/index.html"' in text


def test_all_experiments_share_one_session_and_its_lock(run: Pytest) -> None:
    run({"a": PASS, "b": PASS})
    assert run.session.log == [
        "session", "locked by pytest", "run a", "locked by pytest", "run b"
    ]  # fmt: skip
    assert run.session.held == 0  # after the last one


def test_the_flags_are_those_of_a_run(run: Pytest, folder: Path) -> None:
    run(
        {"a": PASS}, "experiments", "--harness-scale", "auto", "--harness-seed", "7",
        "--harness-output", "out", "--harness-no-up", "--harness-allow-exec",
        "--harness-allow-host-access",
    )  # fmt: skip
    settings = run.session.settings
    assert (settings.scale, settings.seed, settings.output) == ("auto", 7, Path("out"))
    assert (settings.starts_stack, settings.allow_exec, settings.allow_host_access) == (
        False, True, True
    )  # fmt: skip
    assert settings.command.startswith("pytest ")
    run({"a": PASS})
    assert run.session.settings == Settings(command=run.session.settings.command)


@pytest.mark.parametrize("flag", [["--harness-scale", "0"], ["--harness-seed", "-1"]])
def test_a_wrong_flag_is_refused(run: Pytest, flag: list[str]) -> None:
    done = run({"a": PASS}, "experiments", *flag)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert run.session.log == []


def test_after_a_fault_that_could_not_be_healed_nothing_else_runs(run: Pytest) -> None:
    done = run({"a": _outcome("fail", 4, is_broken=True), "b": PASS})
    done.assert_outcomes(failed=1)
    assert "run b" not in run.session.log
    assert "a fault is not healed; try: harness heal" in done.stdout.str()


@pytest.mark.parametrize("end", [Outcome("a", 130, message="interrupted"), KeyboardInterrupt()])
def test_an_interrupt_ends_pytest_and_frees_the_lock(run: Pytest, end: Any) -> None:
    done = run({"a": end, "b": PASS})
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert "run b" not in run.session.log
    assert run.session.held == 0


# -- what is collected


def _collected(done: pytest.RunResult) -> list[str]:
    return [line for line in done.stdout.str().splitlines() if "::" in line]


def test_folders_and_files_can_be_named_and_others_are_left_alone(
    run: Pytest, folder: Path
) -> None:
    (folder / "cache").mkdir()
    (folder / "cache" / "d.yml").write_text(EXPERIMENT)
    (folder / "target.yaml").write_text("compose: [x.yaml]\nservices: {web: {role: app}}\n")
    (folder / "docker-compose.yml").write_text("services: {web: {image: x}}\n")
    (folder / "broken.yaml").write_text("title: x\nload: {\nphases: {\n")
    every = _collected(run({"a": PASS}, "experiments", "--collect-only", "-q"))
    assert sorted(every) == [
        "experiments/a.yaml::a", "experiments/broken.yaml::broken", "experiments/cache/d.yml::d"
    ]  # fmt: skip
    named = run({"a": PASS}, "experiments/target.yaml", "--collect-only", "-q")
    assert _collected(named) == ["experiments/target.yaml::target"]
    assert run.session.log == []


def test_without_the_flag_no_experiment_is_collected(
    pytester: pytest.Pytester, folder: Path
) -> None:
    (folder / "a.yaml").write_text(EXPERIMENT)
    done = pytester.runpytest_inprocess("-p", "harness.pytest_plugin", "experiments")
    assert done.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_they_can_be_chosen_by_name_and_by_marker(run: Pytest) -> None:
    outcomes = {"cache-gone": PASS, "db-gone": PASS}
    run(outcomes, "experiments", "-k", "cache").assert_outcomes(passed=1, deselected=1)
    marked = run(outcomes, "experiments", "-m", "harness", "--strict-markers")
    marked.assert_outcomes(passed=2)


# -- the fixture, on the fake project


def test_experiments_and_tests_in_python_share_the_project(
    pytester: pytest.Pytester, shop: Shop, cli: Cli
) -> None:
    """The first run is outside, so that the inner pytest imports nothing anew."""
    assert cli("run", "x.yaml", "--output", "before").code == 0
    (shop.root / "test_shop.py").write_text(
        """
def test_it(harness):
    with harness.fault("kill", service="app-1") as broken:
        assert broken.target == "app-1"
    harness.wait_healthy()
"""
    )
    done = pytester.runpytest_inprocess(
        "-p", "harness.pytest_plugin", "-p", "no:cacheprovider", "--harness",
        "--rootdir", str(shop.root), "x.yaml", "test_shop.py",
    )  # fmt: skip
    done.assert_outcomes(passed=2)
    assert len(shop.runs()) == 1
    assert all(watchdog.is_closed for watchdog in shop.watchdogs)


def test_a_project_that_cannot_be_had_fails_the_test_in_words(
    pytester: pytest.Pytester, shop: Shop
) -> None:
    (shop.root / "test_shop.py").write_text("def test_it(harness): raise AssertionError\n")
    shop.fail_at("health", EngineError("no engine", "start it"))
    done = pytester.runpytest_inprocess(
        "-p", "harness.pytest_plugin", "-p", "no:cacheprovider",
        "--rootdir", str(shop.root), "test_shop.py",
    )  # fmt: skip
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["no engine", "  try: start it"])
    assert "Traceback" not in done.stdout.str()


def test_the_example_of_the_document_is_a_test_that_passes(
    pytester: pytest.Pytester, shop: Shop
) -> None:
    document = (ROOT / "docs" / "PYTHON.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", document, re.S | re.M)
    [example] = [block for block in blocks if "def test_" in block]
    (shop.root / "test_example.py").write_text(example)
    done = pytester.runpytest_inprocess(
        "-p", "harness.pytest_plugin", "-p", "no:cacheprovider",
        "--rootdir", str(shop.root), "test_example.py",
    )  # fmt: skip
    done.assert_outcomes(passed=example.count("def test_"))


def test_the_sessions_example_of_the_document_runs(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (ROOT / "docs" / "PYTHON.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", document, re.S | re.M)
    [example] = [block for block in blocks if "session.run(" in block]
    (shop.root / "chaos").mkdir()
    (shop.root / "chaos" / "x.yaml").write_text(EXPERIMENT)
    exec(compile(example, "PYTHON.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.startswith("pass reports/")


def test_pytest_waits_for_nothing_of_ours_that_is_not_used() -> None:
    """Every start of pytest loads the plugin, whether it is used or not."""
    slow = ("docker", "locust", "pandas", "pyarrow", "pydantic", "requests", "rich")
    script = f"import {pytest_plugin.__name__}, sys; print([m for m in {slow} if m in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "[]\n", done.stderr
