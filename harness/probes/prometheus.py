"""Which alerts are pending and firing, by Prometheus' own list of its rules.

evaluations   |      |      |      |      |      |
looks            o  o  o  o  o  o  o  o  o  o  o
pending              |  activeAt, exact
firing                             |  the evaluation that showed it, +- half of one
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from typing_extensions import override

from harness.model.alert import (
    ALERTS_MAX,
    ANSWER_S,
    PROMETHEUS,
    PROMETHEUS_LABEL,
    ActiveAlert,
    AlertRule,
    Labels,
    named,
    read_rules,
)
from harness.model.http import Answer, Http
from harness.model.observation import Observation
from harness.probes.alert_probe import AlertProbe
from harness.probes.base import ProbeKind, event, one_each

RULES = "api/v1/rules?type=alert"
STALE_EVALUATIONS, STALE_S = 3, 3.0
"""Rules that were not evaluated for so many intervals, and so long, say nothing of now."""
SAME_S = 0.001
"""Two times of one activation may differ by this after conversion."""

Key = frozenset[tuple[str, str]]
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A rule as it was seen last: when it was evaluated, and what was active then."""

    evaluated_s: float
    interval_s: float
    alerts: Mapping[Key, ActiveAlert]

    @property
    def next_s(self) -> float:
        """The first evaluation after that."""
        return self.evaluated_s + self.interval_s


NEVER = _Seen(-inf, 0.0, {})


def ask_rules(http: Http, url: str) -> tuple[tuple[AlertRule, ...] | None, Answer]:
    """All alert rules of the Prometheus at `url`, None if it gave none; and its answer."""
    answer = http.ask(f"{url.rstrip('/')}/{RULES}", ANSWER_S)
    return (read_rules(answer.json()) if answer.status == 200 else None), answer


@dataclass
class PrometheusProbe(AlertProbe):
    """Polls the alert rules; `alert.state` at each change of an instance of an alert.

    `alert.rules` says which rules there are, at first and when they change. Rules that are not
    evaluated any more, or whose evaluation fails, are as good as no answer: that one of their
    alerts is not listed means nothing then.
    """

    WHO = PROMETHEUS

    _rules: Sequence[Mapping[str, Any]] | None = None
    _seen: dict[tuple[str, ...], _Seen] = field(default_factory=dict)

    @override
    def observe(self) -> Observation:
        """What has changed since the last look."""
        rules, answer = ask_rules(self.http, self.url)
        at_s = self.clock.now_s()
        if lack := _lack(rules, answer):
            return Observation(self.name, at_s, ok=False, facts={"error": lack})
        silent = {rule.key: why for rule in rules or () if (why := self._silence(rule, at_s))}
        facts = next(iter(silent.values()), {})
        events = [] if facts else self._first(rules or (), at_s)
        for rule in rules or ():
            if rule.key not in silent:
                events += self._changes(rule)
        events += self._gone(rules or (), at_s)
        return Observation(self.name, at_s, ok=not facts, facts=facts, events=tuple(events))

    def _first(self, rules: Sequence[AlertRule], at_s: float) -> list[Event]:
        """Since when something can be seen, and which rules there are, if that is news."""
        found = [_facts(rule) for rule in rules]
        events = [self._watched(at_s)] if self._rules is None else []
        if self._rules != found:
            events.append(event(at_s, "alert.rules", service=self.service, rules=found))
        self._rules = found
        return events

    def _silence(self, rule: AlertRule, at_s: float) -> dict[str, Any]:
        """Why a rule says nothing of now, and since when; {} if it does."""
        if rule.error:
            return {"error": f"rule {rule.name}: {rule.error}"}
        if rule.evaluated_s is None:
            return {"error": f"rule {rule.name} was not evaluated yet"}
        evaluated_s = self.clock.monotonic_of(rule.evaluated_s)
        old_s = at_s - evaluated_s
        if old_s > max(STALE_S, STALE_EVALUATIONS * rule.interval_s):
            text = f"the rules of group {rule.group} were last evaluated {old_s:.1f} s ago"
            return {"error": text, "unanswered_since_s": evaluated_s}
        return {}

    def _changes(self, rule: AlertRule) -> Iterator[Event]:
        """What instances of a rule's alert ended, began and fired since it was seen last."""
        before = self._seen.get(rule.key, NEVER)
        now_s = self.clock.monotonic_of(rule.evaluated_s or 0.0)
        now = {frozenset(alert.labels.items()): alert for alert in rule.alerts}
        for key, alert in before.alerts.items():
            new = now.get(key)
            if new is None:
                yield self._ended(alert, before, now_s)
            elif not _is_same(alert, new):
                yield self._ended(alert, before, self.clock.monotonic_of(new.active_s))
        for key, alert in now.items():
            was = before.alerts.get(key)
            is_same = was is not None and _is_same(was, alert)
            yield from self._begun(alert, was if is_same else None, rule, (before.next_s, now_s))
        self._seen[rule.key] = _Seen(now_s, rule.interval_s, now)

    def _gone(self, rules: Sequence[AlertRule], at_s: float) -> list[Event]:
        """The ends of alerts whose rules are not there any more."""
        gone = self._seen.keys() - {rule.key for rule in rules}
        seen = [self._seen.pop(key) for key in sorted(gone)]
        return [self._ended(alert, one, at_s) for one in seen for alert in one.alerts.values()]

    def _begun(
        self,
        alert: ActiveAlert,
        was: ActiveAlert | None,
        rule: AlertRule,
        span_s: tuple[float, float],
    ) -> Iterator[Event]:
        """`pending` when it became active, and `firing` at the evaluation that showed it.

        `span_s`: the first and the last of the evaluations that can have done so.
        """
        active_s = self.clock.monotonic_of(alert.active_s)
        if was is None:
            yield self._state(active_s, 0.0, "pending", alert)
        if alert.state != "firing" or (was is not None and was.state == "firing"):
            return
        if rule.for_s:
            earliest_s = max(active_s + rule.for_s, span_s[0])
            yield self._state(*_between(earliest_s, span_s[1], rule.interval_s), "firing", alert)
        else:
            yield self._state(active_s, 0.0, "firing", alert)

    def _ended(self, alert: ActiveAlert, before: _Seen, latest_s: float) -> Event:
        """`resolved`, whether it had fired or was only pending."""
        at_s, half_s = _between(before.next_s, latest_s, before.interval_s)
        return self._state(at_s, half_s, "resolved", alert)

    def _state(self, at_s: float, half_s: float, state: str, alert: ActiveAlert) -> Event:
        name, severity = named(alert.labels)
        facts: dict[str, Any] = {"alert": name, "severity": severity, "labels": {**alert.labels}}
        if alert.summary and state != "resolved":
            facts["summary"] = alert.summary
        facts |= {"state": state, "uncertainty_s": round(half_s, 4)}
        return event(at_s, "alert.state", service=self.service, **facts)


def _between(earliest_s: float, latest_s: float, interval_s: float) -> tuple[float, float]:
    """The middle of the evaluations that it can have been, and half of that, and of one more."""
    earliest_s = min(earliest_s, latest_s)
    return (earliest_s + latest_s) / 2, (latest_s - earliest_s + interval_s) / 2


def _is_same(one: ActiveAlert, other: ActiveAlert) -> bool:
    """Whether an instance has been active all the time."""
    return abs(one.active_s - other.active_s) <= SAME_S


def _lack(rules: Sequence[AlertRule] | None, answer: Answer) -> str:
    """Why an answer is of no use, "" if it is."""
    if rules is None:
        return answer.complaint
    count = sum(len(rule.alerts) for rule in rules)
    if count > ALERTS_MAX:
        return f"{count} alerts at once are too many to record"
    return "" if rules else "there is no alert rule"


def _facts(rule: AlertRule) -> dict[str, Any]:
    texts: Labels = rule.texts
    facts = {"alert": rule.name, "severity": rule.severity, "query": rule.query}
    return {**facts, "for_s": rule.for_s, "interval_s": rule.interval_s, **texts}


KIND = ProbeKind(PROMETHEUS_LABEL, one_each(PrometheusProbe))
