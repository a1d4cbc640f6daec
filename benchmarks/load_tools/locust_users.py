"""Locust's users for the benchmarks; PER_USER_PER_S paces `Paced`, PERCENTILES names its result."""

from locust import FastHttpUser, HttpUser, constant_throughput, events, task  # isort: skip - first

import json
import os
from pathlib import Path
from typing import Any

from load_tools.peers import HEADERS


class Fast(FastHttpUser):
    """As fast as answers come, by Locust's faster client."""

    @task
    def read(self) -> None:
        """One request."""
        self.client.get("/", headers=HEADERS)


class Plain(HttpUser):
    """As fast as answers come, by Locust's usual client."""

    @task
    def read(self) -> None:
        """One request."""
        self.client.get("/", headers=HEADERS)


class Paced(Fast):
    """A number of requests a second, while the answers are quick enough."""

    wait_time = constant_throughput(float(os.environ.get("PER_USER_PER_S", "1")))


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def write_percentiles(environment: Any, **_: Any) -> None:
    """Write what Locust's own report would say, in seconds."""
    if path := os.environ.get("PERCENTILES"):
        total = environment.stats.total
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
        found = {n: total.get_response_time_percentile(s) / 1e3 for n, s in shares.items()}
        Path(path).write_text(json.dumps({**found, "requests": total.num_requests}))
