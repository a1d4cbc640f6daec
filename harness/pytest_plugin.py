"""pytest runs experiments as tests, and lends faults to tests of your own; see docs/PYTHON.md.

    pytest --harness experiments/     each experiment file below is a test
    def test_x(harness): ...          the healthy project; `with harness.fault("kill", ...):`

pytest loads this at each of its starts, so what takes time is imported when it is needed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from harness.cli.arguments import scale, seed
from harness.errors import HarnessError
from harness.session.listener import Silent
from harness.session.outcome import WORDS

if TYPE_CHECKING:
    from harness.session.faults import Faults
    from harness.session.outcome import Outcome
    from harness.session.session import Session
    from harness.session.stop import Stop

HOLDER = "pytest"
VERDICT, REPORT = "harness_verdict", "harness_report"
"""Properties of a test, which pytest's own JUnit file shows too."""
_A_PART = re.compile(r"^(load|phases|faults|expect)\s*:", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flags of `harness run` that make sense here."""
    group = parser.getgroup("harness", "experiments of harness")
    add = group.addoption
    add("--harness", action="store_true", help="collect experiment files as tests")
    add("--harness-target", type=Path, metavar="FILE",
        help="what is under test; default: as for `harness run`")  # fmt: skip
    add("--harness-scale", type=scale, default=1.0, metavar="auto|X", help="multiply all rates")
    add("--harness-seed", type=seed, default=1, metavar="N", help="random seed; default: 1")
    add("--harness-output", type=Path, default=Path("reports"), metavar="DIR",
        help="default: reports")  # fmt: skip
    add("--harness-strict", action="store_true", help="INCONCLUSIVE fails, and is not skipped")
    add("--harness-no-up", action="store_true", help="take the project as it is")
    add("--harness-allow-exec", action="store_true", help="allow the fault `exec`")
    add("--harness-allow-host-access", action="store_true",
        help="allow a Compose file that asks for mounts, devices or privileges")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """One session for all tests of this process."""
    config.addinivalue_line("markers", "harness: a test that is an experiment file")
    config.stash[_SHARED] = Shared(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """The locks are free again."""
    if (shared := config.stash.get(_SHARED, None)) is not None:
        shared.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """With --harness: a YAML file that is named, or that has two parts of an experiment.

    One that is not right is collected too, and fails: nothing that was meant is left out.
    """
    if not parent.config.getoption("harness") or file_path.suffix not in (".yaml", ".yml"):
        return None
    if not parent.session.isinitpath(file_path):
        parts = set(_A_PART.findall(file_path.read_text(encoding="utf-8", errors="replace")))
        if len(parts) < 2:
            return None
    found: ExperimentFile = ExperimentFile.from_parent(parent, path=file_path)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the reports are; workers of pytest-xdist hand theirs over with their tests."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    known = [dict(getattr(report, "user_properties", ())) for report in reports
             if getattr(report, "when", "") == "call"]  # fmt: skip
    lines = [f"{facts[VERDICT]:<12} {facts[REPORT]}" for facts in known if REPORT in facts]
    if lines:
        terminalreporter.section("harness reports")
        for line in dict.fromkeys(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def harness(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """The project of the working directory, healthy and locked, to be broken by a test."""
    with ExitStack() as stack:
        try:
            lent = stack.enter_context(request.config.stash[_SHARED].faults())
        except HarnessError as error:
            pytest.fail(_words(error), pytrace=False)
        yield lent


class ExperimentFile(pytest.File):
    """An experiment file: one test."""

    @override
    def collect(self) -> Iterator[pytest.Item]:
        yield ExperimentItem.from_parent(self, name=self.path.stem)


class ExperimentItem(pytest.Item):
    """Passes with PASS, is skipped with INCONCLUSIVE, and fails with all else."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(**facts)
        self.add_marker("harness")

    @override
    def runtest(self) -> None:
        shared = self.config.stash[_SHARED]
        heard = shared.heard
        heard.lines.clear()
        try:
            outcome = shared.run(self.path)
        finally:
            self.add_report_section("call", "harness", "\n".join(heard.lines))
        self._note(outcome)
        if outcome.is_broken:
            self.session.shouldstop = "a fault is not healed; try: harness heal"
        if outcome.code == 130 and (shared.stop.asked or outcome.result is None):
            raise KeyboardInterrupt
        text = _reasons(outcome, heard.errors)
        if outcome.code == 3 and not self.config.getoption("harness_strict"):
            skipped = pytest.skip.Exception(text)
            skipped._use_item_location = True  # the experiment, not this line
            raise skipped
        if outcome.code:
            raise NotPassed(text)

    @override
    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, NotPassed):
            return str(excinfo.value)
        if isinstance(excinfo.value, HarnessError):
            return _words(excinfo.value)
        return super().repr_failure(excinfo, style)

    @override
    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"experiment {self.name}"

    def _note(self, outcome: Outcome) -> None:
        self.user_properties.append((VERDICT, WORDS.get(outcome.code, "ERROR")))
        if outcome.folder:
            self.user_properties.append((REPORT, str(outcome.folder / "index.html")))


class NotPassed(Exception):
    """An experiment that did not pass, in words."""


class Heard(Silent):
    """What a run says, shown by pytest where a test fails."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    @override
    def say(self, text: str, style: str = "") -> None:
        self.lines.append(text)

    @override
    def error(self, error: HarnessError) -> None:
        self.errors.append(_words(error))


class Shared:
    """The session, its locks and the signals of all tests of one process, made when needed."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._held = config, ExitStack()
        self.heard = Heard()

    @cached_property
    def session(self) -> Session:
        """The one way in, with this pytest's flags."""
        from harness.session.session import Session, Settings
        from harness.session.targets import Choice

        option = self._config.getoption
        settings = Settings(
            output=option("harness_output"),
            target=Choice(option("harness_target")),
            seed=option("harness_seed"),
            scale=option("harness_scale"),
            starts_stack=not option("harness_no_up"),
            allow_exec=option("harness_allow_exec"),
            allow_host_access=option("harness_allow_host_access"),
            command=" ".join(["pytest", *self._config.invocation_params.args]),
        )
        return Session(settings, self.heard, self.stop)

    @cached_property
    def stop(self) -> Stop:
        """What the first Ctrl-C asks for: that a run heals and ends."""
        from harness.session.stop import Stop

        return Stop(self.heard)

    def run(self, path: Path) -> Outcome:
        """One experiment; its project stays locked for the tests that come."""
        self.heard.errors.clear()
        [job] = self.session.read([path])
        self._held.enter_context(self.session.locked([job], HOLDER))
        with self._signals():
            return self.session.run(job)

    def faults(self) -> AbstractContextManager[Faults]:
        """What the fixture lends."""
        return self.session.faults(HOLDER)

    def close(self) -> None:
        """Free the locks."""
        self._held.close()

    def _signals(self) -> AbstractContextManager[None]:
        """Signals can be handled in the main thread only; elsewhere a watchdog must do."""
        is_main = threading.current_thread() is threading.main_thread()
        return self.stop.handled() if is_main else nullcontext()


_SHARED = pytest.StashKey[Shared]()


def _reasons(outcome: Outcome, errors: list[str]) -> str:
    """Verdict, reasons and report, a line each; what went wrong where there is no verdict."""
    if outcome.result is None:
        return "\n".join(errors) or outcome.message
    result = outcome.result
    lines = [f"{WORDS.get(outcome.code, 'ERROR')}: {result['title']}", *errors]
    lines += [f"  {reason['code']}: {reason['text']}" for reason in result["reasons"]]
    return "\n".join([*lines, f"  report: {outcome.folder}/index.html"])


def _words(error: HarnessError) -> str:
    return f"{error.message}\n  try: {error.hint}" if error.hint else error.message
