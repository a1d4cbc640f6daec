"""Reads how often each link was clicked, once no click is on its way to the table any more.

app server's memory --batch--> stream in its region's Redis --worker--> table click_counts

An app server reports how many clicks wait in its memory and how many it has dropped (label
`harness.probe.clicks`, Prometheus' text); Redis is asked by redis-cli in its own container.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.bundled.clicks_probe import DROPPED, LABEL, WAITING
from harness.bundled.postgres import database_nodes, query, role_of, whole_number
from harness.errors import TargetError
from harness.faults.base import Engine
from harness.model.clock import Clock, wait_until
from harness.model.container import Container
from harness.model.http import Http
from harness.probes.prometheus_text import metric
from harness.record.folder import RunFolder

DRAIN_S, POLL_S = 30.0, 0.5
STREAM, GROUP = "clicks", "worker"
ASK_REDIS = (
    'export REDISCLI_AUTH="$REDIS_PASSWORD"; '
    f"for ask in EXISTS 'XINFO STREAM' 'XINFO GROUPS'; do redis-cli --json $ask {STREAM}; done"
)


@dataclass(frozen=True)
class ClickReading:
    """`facts`: drained, what it waited for (""), and by app server its `started_s` (wall time),
    `dropped` and `waiting`. `counts`: the clicks of each code."""

    facts: dict[str, Any]
    counts: dict[str, int]


class ClickCounts:
    """The click counts of the project; None is read where it has none."""

    name = "clicks"

    def __init__(self, engine: Engine, http: Http, clock: Clock) -> None:
        self._engine, self._http, self._clock = engine, http, clock
        self._before: ClickReading | None = None

    def take_before(self) -> None:
        """The counts so far."""
        self._before = self.read()

    def take_after(self, folder: RunFolder) -> None:
        """Write what the counts gained; nothing if they were not read before."""
        before, after = self._before, self.read()
        if before and after:
            known = before.counts
            gained = {c: n - known.get(c, 0) for c, n in after.counts.items() if n != known.get(c)}
            folder.write_clicks({"before": before.facts, "after": after.facts}, gained)

    def read(self) -> ClickReading | None:
        """The counts, after waiting up to 30 s for the clicks that are on their way."""
        containers = self._engine.containers()
        caches = [c for c in containers if c.role == "cache"]
        if not caches or not any(c.probe_url(LABEL) for c in containers):
            return None
        facts, _ = wait_until(
            self._clock,
            DRAIN_S,
            look=lambda: self._look(caches),
            holds=lambda seen: seen["drained"],
            every_s=POLL_S,
        )
        return ClickReading(facts, self._counts())

    def _look(self, caches: Sequence[Container]) -> dict[str, Any]:
        servers = self._servers()
        of_streams = (waits for cache in caches if (waits := self._of_stream(cache)))
        waits_for = _of_servers(servers) or next(of_streams, "")
        return {"drained": not waits_for, "waits_for": waits_for, "servers": servers}

    def _servers(self) -> dict[str, dict[str, Any]]:
        """What each app server that runs says; None for what it does not say."""
        found = {}
        for container in self._engine.containers():
            url = container.probe_url(LABEL)
            if url and container.is_running:
                text = self._http.ask(url).body.decode("utf-8", "replace")
                found[container.service] = {
                    "started_s": container.started_s,
                    "dropped": metric(text, DROPPED),
                    "waiting": metric(text, WAITING),
                }
        return found

    def _of_stream(self, cache: Container) -> str:
        """What the stream waits for, "" if the worker has stored and acknowledged all of it."""
        code, output = self._engine.execute(cache.id, ["sh", "-c", ASK_REDIS])
        try:
            exists, stream, groups = map(json.loads, output.splitlines())
            if not exists:
                return ""  # Redis lost the stream, or there was no click yet
            mine = next(group for group in groups if group["name"] == GROUP)
            is_read = mine["last-delivered-id"] == stream["last-generated-id"]
            is_stored = is_read and not mine["pending"]
        except (ValueError, TypeError, KeyError, StopIteration):
            return f"redis-cli, which ended with {code}: {output.strip()[:200]}"
        return "" if is_stored else f"the worker, with batches of {cache.service} to store"

    def _counts(self) -> dict[str, int]:
        for node in database_nodes(self._engine):
            if role_of(self._engine, node) == "primary":
                rows = query(self._engine, node, "SELECT code, clicks FROM click_counts")
                pairs = (line.rpartition("|") for line in rows.splitlines())
                return {code: whole_number(node, clicks) for code, _, clicks in pairs}
        raise TargetError("no database node is the primary", "see: harness status")


def _of_servers(servers: dict[str, dict[str, Any]]) -> str:
    """Which app server still holds clicks, or does not say; "" for none."""
    for name, said in servers.items():
        if said["waiting"] is None or said["dropped"] is None:
            return f"{name}, which does not say how many clicks wait"
        if said["waiting"]:
            return f"{name}, with {said['waiting']} clicks in memory"
    return ""
