"""What `make interrupt` looks for, on a made-up stack: no engine, and no run of the harness."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, container
from stack_copy import compose_project, copy_of_the_stack

from campaigns.interrupt import __main__ as command
from campaigns.interrupt import endings, run, waiting
from campaigns.interrupt.cases import all_cases
from campaigns.interrupt.experiments import CUT, EVERYTHING, KILLED, KINDS, REMEDIED, SMALL
from campaigns.interrupt.stack import Stack
from harness import faults
from harness.bundled.traffic import shortener_traffic
from harness.experiment_file import load_experiment

# -- the stack


class MadeUpStack(Stack):
    """An app server, its spare, a load balancer and two links."""

    def __init__(self, state: Path) -> None:
        spare = container("app-4", labels={"harness.standby": "true"}, status="created")
        members = [container("app-1"), spare, container("lb-1", "lb")]
        engine = FakeEngine({c.id: c for c in members}, FakeClock(), Cut())
        self.members = engine.found
        self.proxies: dict[str, dict[str, Any]] = {
            name: {"enabled": True, "toxics": []} for name in ("app-1.redis", "lb-1.app-1")
        }
        super().__init__(engine, "", state)

    def _links(self) -> dict[str, Any]:
        return self.proxies

    def change(self, service: str, **facts: Any) -> None:
        self.members[f"id-{service}"] = replace(self.members[f"id-{service}"], **facts)


Change = Callable[[MadeUpStack], Any]


@pytest.fixture
def stack(tmp_path: Path) -> MadeUpStack:
    return MadeUpStack(tmp_path)


def test_nothing_is_left_of_a_stack_that_is_as_it_was(stack: MadeUpStack) -> None:
    assert stack.leftovers() == []
    (stack.state / "journal.jsonl").write_text("")
    assert stack.leftovers() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.change("lb-1", status="exited"), "lb-1 is exited"),
        (lambda s: s.change("lb-1", status="paused"), "lb-1 is paused"),
        (lambda s: s.change("app-1", networks={}), "app-1 is off fake_front"),
        (lambda s: s.change("app-4", status="running"), "app-4 runs"),
        (lambda s: s.change("app-1", nano_cpus=5), f"the limits of app-1 are ({64 << 20}, 5)"),
        (lambda s: s.change("lb-1", memory_bytes=7), "the limits of lb-1 are (7, 1000000000)"),
        (lambda s: s.proxies["app-1.redis"].update(enabled=False), "app-1.redis is cut"),
        (lambda s: s.proxies["lb-1.app-1"].update(toxics=[{}]), "lb-1.app-1 suffers"),
    ],
)
def test_whatever_differs_is_left_over(stack: MadeUpStack, change: Change, expected: str) -> None:
    change(stack)
    assert stack.broken() == stack.leftovers() == [expected]


def test_what_the_journal_still_holds_is_left_over(stack: MadeUpStack) -> None:
    (stack.state / "journal.jsonl").write_text("x" * 100 + "\ny\n")
    assert stack.leftovers() == ["in the journal: " + "x" * 80, "in the journal: y"]
    assert stack.broken() == []


# -- what is run, and which cases there are


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    return compose_project(copy_of_the_stack(tmp_path_factory.mktemp("stack"))).services()


@pytest.mark.parametrize("text", [SMALL, EVERYTHING, REMEDIED, *KINDS.values()])
def test_each_experiment_can_be_run_on_the_stack(
    tmp_path: Path, services: Mapping[str, Mapping[str, str]], text: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    found = load_experiment(tmp_path / "x.yaml", faults.KINDS, services, shortener_traffic)
    counts = {SMALL: 4, EVERYTHING: len(CUT) + len(KILLED)}
    assert len(found.faults) == counts.get(text, 1)


def test_every_kind_that_lasts_is_tried() -> None:
    """But those that need a kernel with netem: the machine may have another."""
    kinds = {kind: facts for kind, facts in faults.KINDS.items() if not facts.needs_netem}
    assert KINDS.keys() == {kind for kind, facts in kinds.items() if facts.lasts}


@pytest.mark.parametrize(
    ("user", "restart", "more"),
    [(0, None, ["disk full"]), (1000, None, []), (1000, "restart it", ["engine restarted"])],
)
def test_the_cases(
    stack: MadeUpStack,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    restart: str | None,
    more: list[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    names = list(all_cases(stack, restart, {}))
    assert len(names) == 8 * 4 + 1 + 2 + 2 * len(KINDS) + 2 + 2 + len(more) + 1
    assert names[:2] == ["SIGINT at run.started", "SIGTERM at run.started"]
    assert {"SIGKILL at fault.active 4", "heal --stop", "asleep by SIGTSTP"} <= set(names)
    assert {"group killed, wipe", "runner killed, latency"} <= set(names)
    last = ["runner and watchdog killed", "Toxiproxy killed", *more, "everything broken"]
    assert names[-len(last) :] == last


# -- one run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    made = FakeClock()
    made.at_s = 0.0
    monkeypatch.setattr(waiting, "SystemClock", lambda: made)
    return made


def test_it_is_waited_until_nothing_is_left(clock: FakeClock) -> None:
    assert waiting.left_after(5.0, lambda: ["x"] if clock.at_s < 3 else []) == []
    assert clock.at_s == pytest.approx(3.0, abs=0.11)


def test_what_is_left_when_the_time_is_over_is_returned(clock: FakeClock) -> None:
    assert waiting.left_after(5.0, lambda: [clock.at_s + 1]) == [pytest.approx(6.0, abs=0.11)]


HARNESS = r"""#!/bin/sh
mkdir -p "$5/20260102-030405-x"
for event in run.started fault.active fault.active; do
  echo "{\"event\": \"$event\"}" >> "$5/20260102-030405-x/events.jsonl"
done
echo "$1 $3 $4"
"""


def _made_up_harness(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    path = folder / "harness"
    path.write_text(HARNESS + then + "\n")
    path.chmod(0o755)
    monkeypatch.setattr(run, "HARNESS", path)


def test_a_run_is_waited_for_by_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_up_harness(tmp_path, monkeypatch, "exec tail -f /dev/null")
    one = run.Run(SMALL, tmp_path / "reports")
    one.wait_for("fault.active 2")
    assert (one.count("fault.active"), one.count("fault.healed")) == (2, 0)
    one.process.send_signal(signal.SIGKILL)
    one.end()
    assert one.samples() == 0


def test_a_run_that_ends_before_its_moment_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made_up_harness(tmp_path, monkeypatch, "echo something went wrong; exit 4")
    one = run.Run(SMALL, tmp_path / "reports")
    with pytest.raises(RuntimeError, match=r"fault.active 3 did not come(?s:.*)went wrong"):
        one.wait_for("fault.active 3")
    assert one.text() == "run --no-up --output\nsomething went wrong\n"
    assert one.end() == 4


@dataclass
class FakeRun:
    """A run that ended so after it was interrupted."""

    code: int = 130
    said: str = "interrupted"
    kept: int = 50
    left: list[str] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)

    @property
    def process(self) -> FakeRun:
        return self

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def wait_for(self, moment: str) -> None:
        self.moments.append(moment)

    def end(self) -> int:
        return self.code

    def status(self) -> str:
        return self.said

    def samples(self) -> int:
        return self.kept

    def children(self) -> list[str]:
        return self.left


def _interrupted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, one: FakeRun, number: int, moment: str
) -> list[str]:
    monkeypatch.setattr(endings, "Run", lambda text, output: one)
    monkeypatch.setattr(endings, "healthy_after_s", lambda: 0.0)
    monkeypatch.setattr(waiting, "SystemClock", FakeClock)
    wrong = endings.interrupted(stack, signal.Signals(number), moment, Path("reports"))
    assert (one.signals, one.moments) == ([number], [moment])
    return wrong


@pytest.mark.parametrize(
    ("one", "number", "moment", "wrong"),
    [
        (FakeRun(), signal.SIGINT, "fault.healing", []),
        (FakeRun(code=0), signal.SIGINT, "fault.healing", ["exit code 0"]),
        (FakeRun(code=-9), signal.SIGKILL, "fault.healing", []),
        (FakeRun(code=0, said="completed"), signal.SIGTERM, "load.summary", []),
        (FakeRun(said="error"), signal.SIGHUP, "fault.healed", ["the run folder says error"]),
        (FakeRun(kept=49), signal.SIGHUP, "fault.healed", ["49 samples kept"]),
        (FakeRun(kept=0), signal.SIGHUP, "run.started", []),
        (FakeRun(left=["7 locust"]), signal.SIGINT, "fault.active 4", ["still runs: 7 locust"]),
    ],
)
def test_how_a_run_must_end_when_it_is_interrupted(
    stack: MadeUpStack,
    monkeypatch: pytest.MonkeyPatch,
    one: FakeRun,
    number: int,
    moment: str,
    wrong: list[str],
) -> None:
    assert _interrupted(stack, monkeypatch, one, number, moment) == wrong


def test_what_a_watchdog_leaves_after_its_time_is_wrong(
    stack: MadeUpStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.proxies["app-1.redis"]["enabled"] = False
    wrong = _interrupted(stack, monkeypatch, FakeRun(code=-9), signal.SIGKILL, "fault.active")
    assert wrong == ["app-1.redis is cut"] * 2  # when its time was over, and still at the end


# -- the command


@dataclass
class FakeHarness:
    """What was called; `up` may fail."""

    up_code: int = 0
    calls: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self.calls.append(" ".join(arguments))
        return self.up_code if arguments == ("up",) else 0, "what it said"


@pytest.fixture
def fake_harness(monkeypatch: pytest.MonkeyPatch) -> FakeHarness:
    made = FakeHarness()
    monkeypatch.setattr(command, "harness", made)
    monkeypatch.setattr(command, "stack_of_this_clone", lambda: None)
    return made


def _cases(monkeypatch: pytest.MonkeyPatch, **outcomes: Any) -> None:
    """Cases that return what is wrong, or raise."""

    def case(outcome: Any) -> Callable[[Path], list[str]]:
        def tried(_: Path) -> list[str]:
            if isinstance(outcome, BaseException):
                raise outcome
            return list(outcome)

        return tried

    def made(_stack: Any, _restart: Any, facts: dict[str, float]) -> Any:
        facts.update(heal_s=1.5)
        return {name.replace("_", " "): case(outcome) for name, outcome in outcomes.items()}

    monkeypatch.setattr(command, "all_cases", made)


def test_nothing_left_in_any_case_is_a_success(
    fake_harness: FakeHarness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _cases(monkeypatch, one_case=[], another=[])
    assert command.main([]) == 0
    first, _, last = capsys.readouterr().out.splitlines()
    assert first.startswith("one case: nothing left (")
    said = json.loads(last)
    assert (said["cases"], said["with_leftovers"], said["heal_s"]) == (2, 0, 1.5)
    assert [row["case"] for row in said["rows"]] == ["one case", "another"]
    assert fake_harness.calls == ["up"]


@pytest.mark.parametrize("outcome", [["app-1 is paused"], RuntimeError("not healthy"), OSError()])
def test_a_case_with_leftovers_fails_and_the_next_begins_with_a_whole_stack(
    fake_harness: FakeHarness,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Any,
) -> None:
    _cases(monkeypatch, bad=outcome, good=[])
    assert command.main([]) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["cases"], said["with_leftovers"]) == (2, 1)
    assert [bool(row["wrong"]) for row in said["rows"]] == [True, False]
    assert fake_harness.calls == ["up", "heal", "up"]


def test_some_cases_can_be_chosen(
    fake_harness: FakeHarness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _cases(monkeypatch, kill_one=["x"], other=[])
    assert command.main(["--only", "oth"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cases"] == 1


def test_a_ctrl_c_heals_what_was_broken(
    fake_harness: FakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cases(monkeypatch, one=KeyboardInterrupt())
    assert command.main([]) == 130
    assert fake_harness.calls == ["up", "heal --stop"]


def test_without_a_stack_there_is_nothing_to_try(
    fake_harness: FakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_harness.up_code = 4
    with pytest.raises(SystemExit, match="what it said"):
        command.main([])
