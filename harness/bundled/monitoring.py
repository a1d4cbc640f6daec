"""What the bundled stack's own monitoring is asked for after a run: its recorded series.

Their names are those of target/monitoring/rules.
"""

from __future__ import annotations

from harness.model.monitoring import Charted, Monitoring

MONITORING = Monitoring(
    errors="service:request_errors:rate10s",
    series={
        "CPU usage": Charted(query="part:cpu_usage:ratio_rate10s", unit="share"),
        "Memory usage": Charted(query="part:memory_usage:ratio", unit="share"),
        "Cache hit rate": Charted(query="service:cache_hits:ratio_rate10s", unit="share"),
        "Replication lag": Charted(query="part:replication_lag_seconds:max", unit="s"),
        "Database connections in use": Charted(
            query="part:database_connections:ratio_avg5s", unit="share"
        ),
        "Latency p95": Charted(query="service:request_latency_seconds:p95", unit="s"),
    },
)
