"""What Prometheus reads of an app server."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shortener.container import Container
from shortener.database import QUERY_SECONDS
from shortener.sampled import SpanCounts
from shortener.service import Service

STATES = {"CLOSED": 0, "HALF_OPEN": 1, "OPEN": 2}


class Metrics:
    """All of one server, with those of its container."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "shortener_request_seconds",
            "Time to answer",
            ["operation", "status"],
            registry=registry,
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5),
        )
        self._reads = self._counter("shortener_cache_reads", "Redirects by who knew them", "tier")
        self._dropped = self._counter("shortener_clicks_dropped", "Lost clicks")
        self._waiting = self._gauge("shortener_clicks_waiting", "In memory")
        self._state = self._gauge(
            "shortener_breaker_state", "0: closed, 1: half-open, 2: open", "breaker"
        )
        self._connections = self._gauge("shortener_database_connections", "Open", "route", "state")
        self._connections_max = self._gauge("shortener_database_connections_max", "Limit", "route")
        self._stalled = self._gauge(
            "shortener_loop_stalled_seconds", "All stalls of the event loop"
        )
        self._restarts = self._gauge("shortener_task_restarts", "Of background tasks", "name")
        self._spans = self._counter(
            "shortener_spans", "Of sampled requests, by what became of them", "outcome"
        )
        self._untraced = self._counter(
            "shortener_requests_untraced", "Sampled, but nobody would have taken their spans"
        )
        registry.register(QUERY_SECONDS)
        registry.register(Container())
        self._dropped_seen = 0
        self._spans_seen = SpanCounts()
        # A look-up by labels takes longer than the observation.
        self._series: dict[tuple[str, int], Histogram] = {}
        self._tiers: dict[str, Counter] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answer."""
        series = self._series.get((operation, status))
        if series is None:
            series = self._series[operation, status] = self._seconds.labels(operation, str(status))
        series.observe(seconds)

    def found(self, tier: str) -> None:
        """Count one redirect by the tier that knew it: local, redis or db."""
        counter = self._tiers.get(tier)
        if counter is None:
            counter = self._tiers[tier] = self._reads.labels(tier)
        counter.inc()

    def text(self, service: Service, spans: SpanCounts) -> bytes:
        """All metrics as text."""
        self._count(replace(spans))
        self._dropped.inc(service.clicks.dropped - self._dropped_seen)
        self._dropped_seen = service.clicks.dropped
        self._waiting.set(service.clicks.waiting)
        for breaker in service.breakers:
            self._state.labels(breaker.name).set(STATES[breaker.state])
        for pool in (service.database.primary, service.database.replicas):
            route, used, size = pool.breaker.name, pool.used(), pool.size()
            self._connections.labels(route, "active").set(used)
            self._connections.labels(route, "idle").set(size - used)
            self._connections_max.labels(route).set(pool.max_size)
        self._stalled.set(service.lag.stalled_s())
        for name, restarts in service.supervisor.restarts.items():
            self._restarts.labels(name).set(restarts)
        text: bytes = generate_latest(self._registry)
        return text

    def _count(self, spans: SpanCounts) -> None:
        """Those since the last time; the thread that sends counts on meanwhile."""
        seen, self._spans_seen = self._spans_seen, spans
        self._spans.labels("exported").inc(spans.exported - seen.exported)
        self._spans.labels("dropped").inc(spans.dropped - seen.dropped)
        self._untraced.inc(spans.untraced - seen.untraced)
