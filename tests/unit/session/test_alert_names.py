"""Before a load it is asked whether those who tell of alerts are there, and know them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container
from prometheus_answers import answer, pager_answer, rule
from stack_copy import ROOT, copy_of_the_stack

from harness.aspects.clause import parse_expectation
from harness.bundled.shortener import alerts_of_stack
from harness.errors import InvalidExperiment, TargetError
from harness.model.experiment import Experiment
from harness.model.http import Answer
from harness.model.target import Target
from harness.session.alerts import check_alerts, known_alerts
from harness.session.project import Project

RULES_URL = "http://127.0.0.1:5/api/v1/rules?type=alert"
PAGER_URL = "http://127.0.0.1:6/notifications"
PATH = Path("x.yaml")
GOOD = answer(
    rule("Errors", "warning", evaluated="2026-11-28T14:20:00Z"),
    rule("Errors", "critical", evaluated="2026-11-28T14:20:00Z"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One with a Prometheus and a pager that answer as they should."""
    monkeypatch.chdir(copy_of_the_stack(tmp_path))
    Path("mine.yml").write_text("services: {}\n")
    labels = {"harness.probe.prometheus": "9090", "harness.probe.pager": "9095/notifications"}
    watch = container("watch", "monitoring", labels=labels, ports={9090: 5, 9095: 6})
    made = Project(Target(compose=(Path("mine.yml").resolve(),)))
    made.clock = FakeClock()  # type: ignore[assignment]
    made.engine = FakeEngine({watch.id: watch}, made.clock, Cut())  # type: ignore[assignment,arg-type]
    answers = {RULES_URL: said(GOOD), PAGER_URL: said(pager_answer(1.0))}
    made.http = FakeHttp(answers)  # type: ignore[assignment,arg-type]
    return made


def said(document: Any) -> Answer:
    return Answer(200, json.dumps(document).encode())


def experiment(*clauses: str, allowed: tuple[str, ...] = ()) -> Experiment:
    items = tuple(parse_expectation("run", *text.split(": "), set()) for text in clauses)
    return Experiment.model_construct(hypothesis=items, allowed_alerts=allowed)


ALL = experiment("alert.Errors: pages_within < 9s", "alerts: unexpected == 0")


def test_all_is_well_if_both_answer_and_a_rule_has_the_alert(project: Project) -> None:
    check_alerts(ALL, project, PATH)
    assert known_alerts(project) == {"Errors": {"warning", "critical"}}
    assert project.clock.now_s() == 100.0


def test_nobody_is_asked_where_nothing_is_expected_of_alerts(project: Project) -> None:
    project.engine = None  # type: ignore[assignment]
    check_alerts(experiment("target: healthy"), project, PATH)


@pytest.mark.parametrize(
    ("url", "document", "what"),
    [
        (RULES_URL, None, "watch: the rules of Prometheus cannot be read for 20 s: refused"),
        (RULES_URL, {}, "the rules of Prometheus cannot be read for 20 s: an unexpected answer"),
        (RULES_URL, answer(), "cannot be read for 20 s: there is no alert rule"),
        (
            RULES_URL,
            answer(rule(evaluated="0001-01-01T00:00:00Z")),
            "for 20 s: rule ErrorRateHigh: it was not evaluated yet",
        ),
        (
            RULES_URL,
            answer(rule(evaluated="2026-11-28T14:20:00Z", health="err", lastError="no vector")),
            "for 20 s: rule ErrorRateHigh: no vector",
        ),
        (PAGER_URL, None, "watch: the notifications of the pager cannot be read for 20 s: refused"),
        (PAGER_URL, [], "notifications of the pager cannot be read for 20 s: an unexpected answer"),
    ],
)
def test_who_says_nothing_is_named(project: Project, url: str, document: Any, what: str) -> None:
    project.http.answers.pop(url)  # type: ignore[attr-defined]
    if document is not None:
        project.http.answers[url] = said(document)  # type: ignore[attr-defined]
    with pytest.raises(TargetError) as caught:
        check_alerts(ALL, project, PATH)
    assert what in caught.value.message
    assert 120.0 <= project.clock.now_s() <= 121.0
    if url == PAGER_URL:
        check_alerts(experiment("alert.Errors: flaps == 0"), project, PATH)


def test_what_has_just_been_started_may_take_a_moment(project: Project) -> None:
    def later() -> Answer:
        return said(GOOD) if project.clock.now_s() > 110 else Answer(0, error="refused")

    project.http.answers[RULES_URL] = later  # type: ignore[attr-defined]
    check_alerts(ALL, project, PATH)
    assert 110 < project.clock.now_s() < 112


def test_an_alert_that_no_rule_has_ends_it_before_anything_is_broken(project: Project) -> None:
    wrong = experiment("alert.Eror: flaps == 0", allowed=("Errors.page",))
    with pytest.raises(InvalidExperiment) as caught:
        check_alerts(wrong, project, PATH)
    assert caught.value.problems == [
        "expect.run.alert.Eror: no rule has an alert named Eror; did you mean Errors?",
        "alerts.allowed[0]: Errors has no severity page; known: critical, warning",
    ]


def test_a_container_that_does_not_run_or_publishes_no_port_is_not_there(project: Project) -> None:
    [watch] = project.engine.containers()
    for facts in ({"ports": {}}, {"status": "exited"}):
        gone = container("watch", labels=dict(watch.labels), **{"ports": watch.ports, **facts})
        project.engine = FakeEngine({gone.id: gone}, FakeClock(), Cut())  # type: ignore[assignment]
        with pytest.raises(
            TargetError, match=r"no container that runs has the label harness\.probe"
        ):
            check_alerts(ALL, project, PATH)
        assert known_alerts(project) is None


def test_the_alerts_of_the_bundled_stack_are_those_of_its_rule_files(tmp_path: Path) -> None:
    assert alerts_of_stack(tmp_path) is None
    rules = tmp_path / "target" / "monitoring" / "rules"
    (rules / "tests").mkdir(parents=True)
    (rules / "tests" / "a.yml").write_text("rule_files: [x]\n")
    (rules / "application.yml").write_text("groups: [{name: a, rules: [{record: a, expr: b}]}]\n")
    (rules / "empty.yml").write_text("")
    (rules / "alerts.yml").write_text(
        "groups:\n- name: a\n  rules:\n"
        "  - {alert: Down, expr: up == 0, labels: {severity: critical}}\n"
        "  - {alert: Down, expr: up == 0, labels: {severity: warning}}\n"
        "  - {alert: Plain, expr: up == 0}\n"
    )
    assert alerts_of_stack(tmp_path) == {"Down": {"critical", "warning"}, "Plain": {""}}


def test_those_of_this_checkout_can_be_read() -> None:
    found = alerts_of_stack(ROOT)
    assert found is None or "Heartbeat" in found
