"""What is run to be interrupted."""

from __future__ import annotations

LOAD = """\
load: {entry: lb, rate: 50/s, mix: {redirect: 0.9, create: 0.1}, canary_rate: 5/s}
phases: {warmup: 1s, baseline: 2s, fault: 8s, recovery: 1s}
expect: {run: {redirect: [requests > 1]}}
"""
# The breaker of the link that is cut cools down in 1 s: Redis' would take a minute each time.
SMALL = f"""\
title: Four faults of different kinds that overlap
{LOAD}
faults:
  - {{kill: {{service: app-2}}, at: fault + 0s, for: 5s}}
  - {{down: {{link: app-1.db-ro}}, at: fault + 0.5s, for: 5s}}
  - {{latency: {{link: app-3.db-rw, latency: 50}}, at: fault + 1s, for: 5s}}
  - {{disconnect: {{service: lb-1}}, at: fault + 1.5s, for: 5s}}
"""
KILLED = (
    "edge", "lb-1", "lb-2", "app-1", "app-2", "app-3", "worker", "redis", "db-lb", "db-1", "db-2",
    "db-3", "etcd-1", "etcd-2", "etcd-3",
)  # fmt: skip
CUT = ("edge.*", "lb-*.*", "app-*.redis", "app-*.db-*")
EVERYTHING = f"""\
title: Everything is broken at once
allow_total_loss: true
{LOAD}
faults:
""" + "".join(
    [f"  - {{down: {{link: '{link}'}}, at: fault + 0s}}\n" for link in CUT]
    + [f"  - {{kill: {{service: {name}}}, at: fault + 1s}}\n" for name in KILLED]
)


ONE = {
    "kill": "{kill: {service: app-2}}",
    "stop": "{stop: {service: app-2, grace_s: 2}}",
    "pause": "{pause: {service: app-2}}",
    "disconnect": "{disconnect: {service: lb-1}}",
    "limit_cpu": "{limit_cpu: {service: app-2, cpus: 0.1}}",
    "limit_memory": "{limit_memory: {service: app-2, mib: 100}}",
    "burn_cpu": "{burn_cpu: {service: app-2, share: 0.5}}",
    "freeze_process": "{freeze_process: {service: app-2, process: shortener.serve}}",
    "fill_memory": "{fill_memory: {service: app-2, share: 0.6}}",
    "wipe": "{wipe: {service: db-3}}",
    "down": "{down: {link: app-1.redis}}",
    "latency": "{latency: {link: app-1.redis, latency: 50}}",
    "bandwidth": "{bandwidth: {link: app-1.redis, rate: 100}}",
    "timeout": "{timeout: {link: app-1.redis, timeout: 500}}",
    "reset_peer": "{reset_peer: {link: app-1.redis, timeout: 500}}",
    "slow_close": "{slow_close: {link: app-1.redis, delay: 500}}",
    "slicer": "{slicer: {link: app-1.redis, average_size: 20, delay: 1000}}",
    "limit_data": "{limit_data: {link: app-1.redis, bytes: 1000}}",
}
KINDS = {
    kind: f"title: One fault of kind {kind}\n{LOAD}\nfaults: [{fault}]\n"
    for kind, fault in ONE.items()
}
"""An experiment for each kind whose effect lasts."""
REMEDIED = f"""\
title: A server is killed, and the operator stops another one
{LOAD}
faults:
  - {{kill: {{service: app-2}}, at: fault + 0s, for: 6s}}
remedies:
  - {{stop: {{service: app-3, grace_s: 2}}, after: kill-1 + 1s, for: 4s}}
"""
