"""The clicks that one app server holds in its memory, and those that it gave up, each second."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.clock import Clock
from harness.model.http import Http
from harness.model.observation import Observation
from harness.probes.base import ProbeKind, event, one_each
from harness.probes.prometheus_text import metric

LABEL = "harness.probe.clicks"
WAITING, DROPPED = "shortener_clicks_waiting", "shortener_clicks_dropped_total"


@dataclass
class ClicksProbe:
    """Polls one app server. Its time is when it was asked: a click answered before that is either
    among those that wait, or was handed over."""

    server: str
    url: str
    http: Http
    clock: Clock
    interval_s: float = 1.0

    @property
    def name(self) -> str:
        """`clicks app-1`."""
        return f"clicks {self.server}"

    def observe(self) -> Observation:
        """How many clicks wait and how many were dropped: `clicks.waiting` at each look."""
        asked_s = self.clock.now_s()
        answer = self.http.ask(self.url, timeout_s=1.5)
        text = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        waiting, dropped = metric(text, WAITING), metric(text, DROPPED)
        if waiting is None or dropped is None:
            return Observation(self.name, asked_s, ok=False, facts={"error": answer.complaint})
        facts = {"waiting": waiting, "dropped": dropped}
        look = event(asked_s, "clicks.waiting", server=self.server, **facts)
        return Observation(self.name, asked_s, ok=True, facts=facts, events=(look,))

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()


KIND = ProbeKind(LABEL, one_each(ClicksProbe))
