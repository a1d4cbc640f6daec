"""Each look of a check is recorded with what was seen; what cannot be seen is neither."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, container

from harness.checks.base import Site
from harness.checks.probe import (
    HANGING_MAX,
    SEEN_MAX,
    CheckProbe,
    checks_of,
    checks_words,
    missed_checks,
    requests_of,
)
from harness.errors import EngineError
from harness.model.check import CheckSpec
from harness.model.experiment import Experiment, Phase
from harness.model.http import Address
from harness.model.load import Load

LOAD = Load(entry="web", rate_per_s=1, mix={"x": 1})


def spec(**facts: Any) -> CheckSpec:
    base = {
        "name": "drained", "kind": "command", "parameters": {"service": "db", "run": ["count"]},
        "expect": ("count <= 0",), "when": ("before",),
    }  # fmt: skip
    return CheckSpec.model_validate({**base, **facts})


class Case:
    """One check of a database; `says` what its command answers."""

    def __init__(self, **facts: Any) -> None:
        self.clock = FakeClock()
        self.engine = FakeEngine({"id-db": container("db")}, self.clock, Cut())
        self.engine.execute = self._execute  # type: ignore[method-assign]
        self.says: str | Exception = "0"
        self.calls = 0
        site = Site(self.engine, self.clock, LOAD, lambda _: [])
        self.probe = CheckProbe(spec(**facts), site, self.clock)

    def _execute(self, *_: Any) -> tuple[int, str]:
        self.calls += 1
        self.clock.at_s += 0.5
        if isinstance(self.says, Exception):
            raise self.says
        return 0, self.says

    def look(self) -> dict[str, Any]:
        (event,) = self.probe.observe().events
        return dict(event)


def test_a_look_that_holds_and_one_that_does_not() -> None:
    case = Case()
    assert (case.probe.name, case.probe.interval_s) == ("check drained", 1.0)
    assert case.look() == {
        "event": "check.look", "at_s": 100.5, "took_s": 0.5, "check": "drained", "holds": True,
        "seen": "0",
    }  # fmt: skip
    case.says = "17"
    observation = case.probe.finish()
    assert observation.ok
    event = observation.events[0]
    assert (event["holds"], event["seen"]) == (False, "count was 17")


def test_an_empty_answer_is_shown_by_its_status() -> None:
    case = Case(expect=())
    case.says = ""
    assert case.look()["seen"] == "exit_code 0"


def test_what_is_seen_is_bounded() -> None:
    case = Case(expect=("text == a", "count == 1", "text == b"))
    case.says = "x" * 5000
    assert len(case.look()["seen"]) == SEEN_MAX


def test_what_cannot_be_seen_is_neither() -> None:
    case = Case()
    case.engine.found["id-db"] = container("db", status="exited")
    observation = case.probe.observe()
    assert not observation.ok
    assert observation.facts == {"error": "no container of db runs"}
    assert observation.events[0]["holds"] is None
    assert case.calls == 0


def test_a_command_that_does_not_end_is_not_started_for_ever() -> None:
    case = Case()
    case.says = EngineError("the engine refused execute: it is paused")
    for _ in range(HANGING_MAX + 1):
        case.look()
    assert case.calls == HANGING_MAX + 1  # these ended before their time
    case = Case(timeout_s=0.5)
    case.says = EngineError("the Docker engine does not answer (execute): read timed out")
    seen = [case.look() for _ in range(HANGING_MAX + 2)]
    assert case.calls == HANGING_MAX
    assert {one["holds"] for one in seen} == {None}
    assert seen[-1]["seen"] == f"not looked any more: it did not end {HANGING_MAX} times"


def _experiment(*checks: CheckSpec) -> Experiment:
    phases = (Phase(name="warmup", start_s=0, end_s=5), Phase(name="baseline", start_s=5, end_s=9))
    return Experiment(
        name="x", title="t", load=LOAD, operations={}, phases=phases, faults=(), hypothesis=(),
        checks=checks,
    )  # fmt: skip


def test_what_must_hold_before_the_faults_and_does_not_is_named() -> None:
    case = Case()
    mine = _experiment(case.probe.spec)
    began_s = case.clock.now_s() - 4.9  # in the warm-up
    case.says = "9"
    case.look()
    assert missed_checks(mine, [case.probe], began_s) == []
    case.says = "17"
    case.look()
    case.says = "0"
    case.look()
    text = "check drained: count <= 0: count was 17"
    assert missed_checks(mine, [case.probe], began_s) == [text]
    assert missed_checks(mine, [case.probe], began_s + 1) == []


def test_what_need_not_hold_before_is_not_missed_there() -> None:
    case = Case(when=("after",))
    case.says = "17"
    case.look()
    assert missed_checks(_experiment(case.probe.spec), [case.probe], 0.0) == []


def test_the_checks_of_an_experiment_look_where_its_load_enters() -> None:
    asked: list[str] = []

    def addresses(entry: str) -> list[Address]:
        asked.append(entry)
        return [("127.0.0.1", 9)]

    http = spec(name="up", kind="http", parameters={"path": "/"}, expect=(), every_s=2.0)
    probes = checks_of(_experiment(spec(), http), Case().engine, FakeClock(), addresses)
    assert [probe.name for probe in probes] == ["check drained", "check up"]
    assert probes[1].site.address("admin") == ("127.0.0.1", 9)
    assert asked == ["admin"]


def test_what_they_do_is_said_and_their_secrets_are_known() -> None:
    secret = {"path": "/", "headers": {"X-Key": "{secret:KEY}"}}
    checks = [
        spec(),
        spec(name="up", kind="http", parameters=secret, every_s=2.0),
        spec(name="rows", kind="sql", parameters={"service": "db", "query": "select 1"}),
        spec(name="jobs", kind="redis", parameters={"service": "q", "command": "LLEN jobs"}),
    ]
    assert checks_words(checks) == [
        "`count` in db every 1.00 s (check drained)",
        "GET / every 2.00 s (check up)",
        "`select 1` by the SQL client of db every 1.00 s (check rows)",
        "`LLEN jobs` by redis-cli in q every 1.00 s (check jobs)",
    ]
    (request,) = requests_of(checks)
    assert request.headers == {"X-Key": "{secret:KEY}"}


def test_a_spec_that_could_look_too_often_is_refused() -> None:
    for facts in ({"every_s": 0.4}, {"timeout_s": 5.1}, {"within_s": 0}):
        with pytest.raises(ValueError, match="1 validation error"):
            spec(**facts)
