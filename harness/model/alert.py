"""Alerts, as Prometheus' list of rules and a pager's list of notifications report them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROMETHEUS, PAGER = "prometheus", "pager"
PROMETHEUS_LABEL, PAGER_LABEL = "harness.probe.prometheus", "harness.probe.pager"
LOOK_S, ANSWER_S = 0.5, 1.5
"""How often both are asked, and how long an answer may take."""
NAME, SEVERITY = "alertname", "severity"
FOR_NOBODY = "none"
"""The severity of an alert that nobody is to read, such as one that always fires."""
MONITORING_SILENT = "MonitoringSilent"
"""The alert that a pager raises by itself when the heartbeat stays away; no rule has it."""
ALERTS_MAX = 1_000
"""More at once are not recorded: that is no evidence any more."""
TEXTS = ("summary", "action", "runbook", "signal")
"""The annotations that are read. `signal`: a query of the value that the rule compares."""
TEXT_MAX = 500

Labels = Mapping[str, str]
AlertNames = Mapping[str, frozenset[str]]
"""By the name of an alert the severities that rules give it, "" for none."""
Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """One instance of an alert that is pending or firing, since `active_s` of the wall clock."""

    labels: Labels
    state: Literal["pending", "firing"]
    active_s: float
    summary: str = ""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule: it fires when `query` has had a result for `for_s`.

    `evaluated_s`: when it was last evaluated (wall clock), None if it was not yet. `error`: why the
    last evaluation gave nothing, "" if it did. `texts`: its annotations, of those in TEXTS.
    """

    group: str
    name: str
    severity: str
    query: str
    for_s: float
    interval_s: float
    evaluated_s: float | None
    error: str
    texts: Labels
    alerts: tuple[ActiveAlert, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from all other rules."""
        return self.group, self.name, self.severity, self.query


@dataclass(frozen=True, slots=True)
class PagedAlert:
    """One alert of a notification; `status` is its own."""

    labels: Labels
    status: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What arrived at `at_s` of the pager's monotonic clock."""

    at_s: float
    status: str
    alerts: tuple[PagedAlert, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from all others."""
        return self.at_s, self.status, tuple(tuple(sorted(a.labels.items())) for a in self.alerts)


@dataclass(frozen=True, slots=True)
class PagerAnswer:
    """`now_s`: the pager's monotonic clock. `received`: how many have arrived, None if unsaid."""

    now_s: float
    notifications: tuple[Notification, ...]
    received: int | None = None


def read_rules(document: Any) -> tuple[AlertRule, ...] | None:
    """All alert rules in the answer to `/api/v1/rules?type=alert`; None if it is no such answer."""
    try:
        answer = _Rules.model_validate(document)
        return tuple(
            _rule(group, rule)
            for group in answer.data.groups
            for rule in group.rules
            if rule.type == "alerting"
        )
    except (ValidationError, ValueError, OverflowError):
        return None


def read_pager(document: Any) -> PagerAnswer | None:
    """What a pager says at `/notifications`; None if it is no such answer."""
    try:
        answer = _Pager.model_validate(document)
    except ValidationError:
        return None
    found = tuple(
        Notification(
            one.monotonic_s,
            one.status,
            tuple(PagedAlert(a.labels, a.status, _text(a.annotations)) for a in one.alerts),
        )
        for one in answer.notifications
    )
    return PagerAnswer(answer.monotonic_s, found, answer.received)


def named(labels: Labels) -> tuple[str, str]:
    """Name and severity of an alert, "" for what it has not."""
    return labels.get(NAME, ""), labels.get(SEVERITY, "")


def names_of(rules: Iterable[tuple[str, str]]) -> AlertNames:
    """Of pairs of name and severity."""
    found: dict[str, frozenset[str]] = {}
    for name, severity in rules:
        found[name] = found.get(name, frozenset()) | {severity}
    return found


def _rule(group: _Group, rule: _Rule) -> AlertRule:
    has_failed = rule.health == "err"
    error = rule.last_error or "its evaluation failed" if has_failed else ""
    return AlertRule(
        group=group.name,
        name=rule.name,
        severity=rule.labels.get(SEVERITY, ""),
        query=rule.query,
        for_s=rule.duration,
        interval_s=group.interval,
        evaluated_s=_wall_s(rule.last_evaluation or group.last_evaluation),
        error=error[:TEXT_MAX],
        texts={name: rule.annotations[name] for name in TEXTS if name in rule.annotations},
        alerts=tuple(map(_active, rule.alerts)),
    )


def _active(one: _Alert) -> ActiveAlert:
    since_s = _wall_s(one.active_at)
    return ActiveAlert(one.labels, one.state, since_s or 0.0, _text(one.annotations))


def _wall_s(text: str) -> float | None:
    """Seconds since the epoch; None for "" and for Go's time before all times. ValueError."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return at_s if at_s > 0 else None


def _text(annotations: Labels) -> str:
    return annotations.get("summary", "")[:TEXT_MAX]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Alert(_Read):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    state: Literal["pending", "firing"]
    active_at: str = Field(alias="activeAt")


class _Rule(_Read):
    type: str
    name: str
    query: str = ""
    duration: Number = 0.0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    health: str = ""
    last_error: str = Field(default="", alias="lastError")
    last_evaluation: str = Field(default="", alias="lastEvaluation")
    alerts: tuple[_Alert, ...] = ()


class _Group(_Read):
    name: str
    interval: Number
    last_evaluation: str = Field(default="", alias="lastEvaluation")
    rules: tuple[_Rule, ...]


class _Groups(_Read):
    groups: tuple[_Group, ...]


class _Rules(_Read):
    status: Literal["success"]
    data: _Groups


class _Paged(_Read):
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    status: str = ""


class _Notification(_Read):
    monotonic_s: Number
    status: str = ""
    alerts: tuple[_Paged, ...]


class _Pager(_Read):
    monotonic_s: Number
    notifications: tuple[_Notification, ...]
    received: int | None = None
