"""Whether those who can tell of alerts are there, and know the alerts that an experiment names.

What can be known while a file is read is refused then; Prometheus and the pager may be started by
the run itself, and are asked before its load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from harness.bundled.shortener import alerts_of_stack, is_bundled
from harness.errors import HarnessError, InvalidExperiment, TargetError
from harness.experiment_file.alerts import wrong_alerts
from harness.model.alert import (
    ANSWER_S,
    LOOK_S,
    PAGER_LABEL,
    PROMETHEUS_LABEL,
    AlertNames,
    AlertRule,
    names_of,
    read_pager,
)
from harness.model.clock import wait_until
from harness.model.container import probe_urls
from harness.model.experiment import Experiment
from harness.model.http import Http
from harness.model.metric import ALERT, ALERTS
from harness.probes.prometheus import ask_rules
from harness.session.project import Project

READY_S = 20.0
"""So long what has just been started may take to answer, and to evaluate its rules."""


def known_alerts(project: Project) -> AlertNames | None:
    """By the rule files of the bundled stack, else by a Prometheus that runs; None: not known."""
    if is_bundled(project.target):
        return alerts_of_stack(project.root)
    with suppress(HarnessError):
        for _, url in probe_urls(project.engine.containers(), PROMETHEUS_LABEL):
            rules, _ = _rules(project.http, url)
            if rules is not None:
                return _names(rules)
    return None


def check_alerts(experiment: Experiment, project: Project, path: Path) -> None:
    """Ask who must tell, before anything is broken.

    TargetError if one of them does not answer, InvalidExperiment if no rule has an alert.
    """
    expected = [item for item in experiment.hypothesis if item.aspect in (ALERT, ALERTS)]
    if not expected:
        return
    rules: list[AlertRule] = []
    for service, url in _there(project, PROMETHEUS_LABEL):
        ask = partial(_rules, project.http, url)
        found, problem = wait_until(project.clock, READY_S, ask, lambda s: not s[1], LOOK_S)[0]
        _refuse(problem, service, "the rules of Prometheus")
        rules += found or ()
    if any(item.metric == "pages_within" for item in expected):
        for service, url in _there(project, PAGER_LABEL):
            look: Callable[[], str] = partial(_pager, project.http, url)
            problem, _ = wait_until(project.clock, READY_S, look, lambda seen: not seen, LOOK_S)
            _refuse(problem, service, "the notifications of the pager")
    if wrong := list(wrong_alerts(experiment, _names(rules))):
        raise InvalidExperiment(str(path), wrong)


def _there(project: Project, label: str) -> list[tuple[str, str]]:
    """The running services with a label, and their URLs; TargetError if there is none."""
    found = list(probe_urls(project.engine.containers(), label))
    if not found:
        raise TargetError(
            f"no container that runs has the label {label}, and its port published here",
            "start it, or name its profile in the experiment: profiles: [...]",
        )
    return found


def _rules(http: Http, url: str) -> tuple[tuple[AlertRule, ...] | None, str]:
    """All rules, and why they say nothing yet, "" if they do."""
    rules, answer = ask_rules(http, url)
    if rules is None:
        return None, answer.complaint
    for rule in rules:
        if rule.error or rule.evaluated_s is None:
            return rules, f"rule {rule.name}: {rule.error or 'it was not evaluated yet'}"
    return rules, "" if rules else "there is no alert rule"


def _pager(http: Http, url: str) -> str:
    """Why it says nothing, "" if it does."""
    answer = http.ask(url, ANSWER_S)
    is_right = answer.status == 200 and read_pager(answer.json()) is not None
    return "" if is_right else answer.complaint


def _names(rules: tuple[AlertRule, ...] | list[AlertRule]) -> AlertNames:
    return names_of((rule.name, rule.severity) for rule in rules)


def _refuse(problem: str, service: str, what: str) -> None:
    if problem:
        raise TargetError(
            f"{service}: {what} cannot be read for {READY_S:.0f} s: {problem}",
            f"docker logs; see that it runs, and that it is what {service}'s label says",
        )
