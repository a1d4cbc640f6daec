"""Numbers in a JSON document of one service, such as the depth of its queue, each second."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.model.clock import Clock
from harness.model.counter import LABEL, counters_of, wrong_counters
from harness.model.http import Http
from harness.model.json_path import value_at
from harness.model.observation import Observation
from harness.probes.base import Probe, ProbeKind, event, one_each
from harness.record.damage import NUMBER_MAX

ANSWER_S = 1.5


@dataclass
class CounterProbe:
    """Polls one document; `paths` by the name of the counter. Each value's time is half way
    between question and answer."""

    service: str
    url: str
    paths: dict[str, str] = field(repr=False)
    http: Http
    clock: Clock
    interval_s: float = 1.0

    @property
    def name(self) -> str:
        """`counter worker`."""
        return f"counter {self.service}"

    def observe(self) -> Observation:
        """`counter.value` for each counter that has a number; no answer of use if one has none."""
        asked_s = self.clock.now_s()
        answer = self.http.ask(self.url, ANSWER_S)
        at_s = (asked_s + self.clock.now_s()) / 2
        if answer.status != 200:
            return Observation(self.name, at_s, ok=False, facts={"error": answer.complaint})
        document = answer.json()
        found = {name: value_at(document, path) for name, path in self.paths.items()}
        known = {name: value for name, value in found.items() if _is_number(value)}
        facts: dict[str, object] = dict(known)
        if missing := [self.paths[name] for name in found if name not in known]:
            facts["error"] = f"no number at {', '.join(missing)}"
        events = tuple(
            event(at_s, "counter.value", service=self.service, counter=name, value=value)
            for name, value in known.items()
        )
        return Observation(self.name, at_s, ok=not missing, facts=facts, events=events)

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


def _is_number(value: object) -> bool:
    """Not NaN or infinity either, which a record cannot hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < NUMBER_MAX


def _probe(service: str, url: str, http: Http, clock: Clock) -> Probe:
    page, _, _ = url.partition("#")
    return CounterProbe(service, page, counters_of(service, url), http, clock)


KIND = ProbeKind(LABEL, one_each(_probe), wrong_counters)
