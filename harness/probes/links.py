"""What went through each link, by Toxiproxy's own counters, each second.

Toxiproxy adds the bytes of a connection when that connection ends: what is seen here is which
connections ended, and what they had carried; nothing of those that stay open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.clock import Clock
from harness.model.http import Answer, Http
from harness.model.labels import TOXIPROXY
from harness.model.observation import Observation
from harness.probes.base import Probe, ProbeKind, event
from harness.probes.prometheus_text import read_metrics

RECEIVED, SENT = "toxiproxy_proxy_received_bytes_total", "toxiproxy_proxy_sent_bytes_total"
DIRECTIONS = {(RECEIVED, "upstream"): "received", (SENT, "downstream"): "sent"}


@dataclass
class LinkProbe:
    """Asks where the links lead once, and for their counters at each look.

    `url` is the API's. Where the counters are switched off (`-proxy-metrics`) there is only the
    first.
    """

    url: str
    http: Http
    clock: Clock
    interval_s: float = 1.0
    name: str = "links"
    _seen: dict[str, dict[str, int]] | None = None
    _has_links: bool = False
    _has_counters: bool = True

    def observe(self) -> Observation:
        """`target.links` once; `link.traffic` for each link whose connections ended."""
        base = self.url.rstrip("/")
        events = [] if self._has_links else self._listed(self.http.ask(f"{base}/proxies", 1.5))
        if not self._has_counters:
            return Observation(self.name, self.clock.now_s(), ok=True, events=tuple(events))
        answer = self.http.ask(f"{base}/metrics", timeout_s=1.5)
        at_s = self.clock.now_s()
        if answer.status == 200:
            events += self._traffic(read_traffic(answer.body.decode("utf-8", "replace")), at_s)
        self._has_counters = answer.status != 404
        is_ok = answer.status in (200, 404)
        facts = {} if is_ok else {"error": answer.complaint}
        return Observation(self.name, at_s, is_ok, facts, tuple(events))

    def finish(self) -> Observation:
        """One more look."""
        return self.observe()

    def _listed(self, answer: Answer) -> list[Mapping[str, Any]]:
        proxies = answer.json() if answer.status == 200 else None
        if not isinstance(proxies, dict):
            return []
        self._has_links = True
        return [event(self.clock.now_s(), "target.links", links=_upstreams(proxies))]

    def _traffic(self, totals: dict[str, dict[str, int]], at_s: float) -> list[Mapping[str, Any]]:
        """What was added since the last look; a counter that fell has restarted at 0."""
        known, self._seen = self._seen, totals
        if known is None:
            return []
        events = []
        for link, counts in sorted(totals.items()):
            before = known.get(link, {})
            added = {
                name: count - (before.get(name, 0) if count >= before.get(name, 0) else 0)
                for name, count in counts.items()
            }
            if any(added.values()):
                events.append(event(at_s, "link.traffic", link=link, **added))
        return events


def read_traffic(text: str) -> dict[str, dict[str, int]]:
    """Link -> bytes `received` from its client, and `sent` to it."""
    found: dict[str, dict[str, int]] = {}
    for name, labels, value in read_metrics(text):
        key = DIRECTIONS.get((name, labels.get("direction", "")))
        if key and "proxy" in labels:
            found.setdefault(labels["proxy"], {"received": 0, "sent": 0})[key] = int(value)
    return found


def _upstreams(proxies: Mapping[str, Any]) -> dict[str, str]:
    """Link -> the service it leads to (without the port)."""
    return {
        str(name): str(facts.get("upstream", "")).rpartition(":")[0]
        for name, facts in sorted(proxies.items())
        if isinstance(facts, dict)
    }


def _probes(urls: Mapping[str, str], http: Http, clock: Clock) -> list[Probe]:
    return [LinkProbe(url, http, clock) for url in urls.values()]


KIND = ProbeKind(TOXIPROXY, _probes)
