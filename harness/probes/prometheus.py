"""Which alerts are pending and firing, by Prometheus' own list of its rules.

evaluations   |      |      |      |      |      |
looks            o  o  o  o  o  o  o  o  o  o  o
pending              |  activeAt, exact
firing                             |  the evaluation that showed it, +- half of one
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.alert import (
    ALERTS_MAX,
    ANSWER_S,
    LOOK_S,
    PROMETHEUS,
    PROMETHEUS_LABEL,
    ActiveAlert,
    AlertRule,
    Labels,
    named,
    read_rules,
)
from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import ProbeKind, event, one_each

RULES = "api/v1/rules?type=alert"
STALE_EVALUATIONS, STALE_S = 3, 3.0
"""Rules that were not evaluated for so many intervals, and so long, say nothing of now."""
SAME_S = 0.001
"""Two times of one activation may differ by this after conversion."""

Key = frozenset[tuple[str, str]]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """An instance as it was seen last; `rule` is the key of its rule."""

    alert: ActiveAlert
    rule: tuple[str, ...]


@dataclass
class PrometheusProbe:
    """Polls the alert rules; `alert.state` at each change of an instance of an alert.

    `alert.rules` says which rules there are, at first and when they change. Rules that are not
    evaluated any more, or whose evaluation fails, are as good as no answer.
    """

    service: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = LOOK_S
    _rules: Sequence[Mapping[str, Any]] | None = None
    _known: dict[Key, _Known] = field(default_factory=dict)
    _evaluated_s: dict[tuple[str, ...], float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`prometheus prometheus`: what is looked at, and the service."""
        return f"{PROMETHEUS} {self.service}"

    def observe(self) -> Observation:
        """What has changed since the last look."""
        answer = self.http.ask(f"{self.url.rstrip('/')}/{RULES}", ANSWER_S)
        at_s = self.clock.now_s()
        rules = read_rules(answer.json()) if answer.status == 200 else None
        if rules is None:
            return Observation(self.name, at_s, ok=False, facts={"error": answer.complaint})
        count = sum(len(rule.alerts) for rule in rules)
        if count > ALERTS_MAX:
            facts = {"error": f"{count} alerts at once are too many to record"}
            return Observation(self.name, at_s, ok=False, facts=facts)
        before_s = self._evaluated_s
        now_s = {rule.key: self._monotonic(rule.evaluated_s, at_s) for rule in rules}
        facts = self._silence(rules, now_s, at_s)
        events = [] if facts else self._first(rules, now_s, at_s)
        events += self._changes(rules, before_s, now_s, at_s)
        self._evaluated_s = now_s
        return Observation(self.name, at_s, ok=not facts, facts=facts, events=tuple(events))

    def finish(self) -> Observation:
        """One more look, and until when there was something to see."""
        last = self.observe()
        if not last.ok:
            return last
        until_s = min(self._evaluated_s.values(), default=last.at_s)
        events = (*last.events, self._watched(until_s))
        return Observation(self.name, last.at_s, ok=True, facts=last.facts, events=events)

    def _first(
        self, rules: Sequence[AlertRule], now_s: Mapping[tuple[str, ...], float], at_s: float
    ) -> list[Event]:
        """Since when something can be seen, and which rules there are, if that is news."""
        found = [_facts(rule) for rule in rules]
        events: list[Event] = []
        if self._rules is None:
            events.append(self._watched(min(now_s.values(), default=at_s)))
        if self._rules != found:
            events.append(event(at_s, "alert.rules", service=self.service, rules=found))
        self._rules = found
        return events

    def _watched(self, at_s: float) -> Event:
        return event(at_s, "alert.watched", by=PROMETHEUS, service=self.service)

    def _silence(
        self,
        rules: Sequence[AlertRule],
        now_s: Mapping[tuple[str, ...], float],
        at_s: float,
    ) -> dict[str, Any]:
        """Why the answer says nothing of now, and since when; {} if it does."""
        for rule in rules:
            if rule.error:
                return {"error": f"rule {rule.name}: {rule.error}"}
            if rule.evaluated_s is None:
                return {"error": f"rule {rule.name} was not evaluated yet"}
            old_s = at_s - now_s[rule.key]
            if old_s > max(STALE_S, STALE_EVALUATIONS * rule.interval_s):
                text = f"the rules of group {rule.group} were last evaluated {old_s:.1f} s ago"
                return {"error": text, "unanswered_since_s": now_s[rule.key]}
        return {}

    def _changes(
        self,
        rules: Sequence[AlertRule],
        before_s: Mapping[tuple[str, ...], float],
        now_s: Mapping[tuple[str, ...], float],
        at_s: float,
    ) -> list[Event]:
        """What instances began, fired and ended, in this order."""
        found: dict[Key, _Known] = {}
        begun: list[Event] = []
        ended: list[Event] = []
        by_key = {rule.key: rule for rule in rules}
        for rule in rules:
            span_s = before_s.get(rule.key), now_s[rule.key]
            for alert in rule.alerts:
                key = frozenset(alert.labels.items())
                found[key] = _Known(alert, rule.key)
                known = self._known.get(key)
                if known and abs(known.alert.active_s - alert.active_s) > SAME_S:
                    new_s = self.clock.monotonic_of(alert.active_s)
                    ended.append(self._ended(known, (span_s[0], new_s), rule.interval_s))
                    known = None
                begun += self._begun(alert, rule, known, span_s)
        for key, known in self._known.items():
            if key not in found:
                rule_now = by_key.get(known.rule)
                span_s = before_s.get(known.rule), now_s.get(known.rule, at_s)
                interval_s = rule_now.interval_s if rule_now else 0.0
                ended.append(self._ended(known, span_s, interval_s))
        self._known = found
        return [*ended, *begun]

    def _begun(
        self,
        alert: ActiveAlert,
        rule: AlertRule,
        known: _Known | None,
        span_s: tuple[float | None, float],
    ) -> Iterator[Event]:
        """`pending` when it became active, and `firing` at the evaluation that showed it."""
        active_s = self.clock.monotonic_of(alert.active_s)
        if known is None:
            yield self._state(active_s, 0.0, "pending", alert)
        if alert.state != "firing" or (known and known.alert.state == "firing"):
            return
        if not rule.for_s:
            yield self._state(active_s, 0.0, "firing", alert)
            return
        earliest_s = active_s + rule.for_s
        if span_s[0] is not None and (known or span_s[0] > active_s):
            earliest_s = max(earliest_s, span_s[0] + rule.interval_s)
        at_s, half_s = _between(earliest_s, span_s[1], rule.interval_s)
        yield self._state(at_s, half_s, "firing", alert)

    def _ended(self, known: _Known, span_s: tuple[float | None, float], interval_s: float) -> Event:
        """`resolved`, whether it had fired or was only pending."""
        before_s, now_s = span_s
        earliest_s = now_s if before_s is None else before_s + interval_s
        at_s, half_s = _between(earliest_s, now_s, interval_s)
        return self._state(at_s, half_s, "resolved", known.alert)

    def _state(self, at_s: float, half_s: float, state: str, alert: ActiveAlert) -> Event:
        name, severity = named(alert.labels)
        facts: dict[str, Any] = {"alert": name, "severity": severity, "labels": {**alert.labels}}
        if alert.summary and state != "resolved":
            facts["summary"] = alert.summary
        facts |= {"state": state, "uncertainty_s": round(half_s, 4)}
        return event(at_s, "alert.state", service=self.service, **facts)

    def _monotonic(self, wall_s: float | None, at_s: float) -> float:
        return at_s if wall_s is None else self.clock.monotonic_of(wall_s)


def _between(earliest_s: float, latest_s: float, interval_s: float) -> tuple[float, float]:
    """The middle of the evaluations that it can have been, and half of that, and of one more."""
    earliest_s = min(earliest_s, latest_s)
    return (earliest_s + latest_s) / 2, (latest_s - earliest_s + interval_s) / 2


def _facts(rule: AlertRule) -> dict[str, Any]:
    texts: Labels = rule.texts
    facts = {"alert": rule.name, "severity": rule.severity, "query": rule.query}
    return {**facts, "for_s": rule.for_s, "interval_s": rule.interval_s, **texts}


KIND = ProbeKind(PROMETHEUS_LABEL, one_each(PrometheusProbe))
