"""Checks: hypotheses of the user's own, looked at while a run goes on.

A new kind is a file that ends in a `KIND`, and a line in KINDS.

base.py     what every kind is, and where one looks
clause.py   what must be seen: `count <= 0`, `$.state == ready`, `duration < 500ms`
probe.py    looks again and again, and records what was seen
"""

from harness.checks import command, http, redis, sql
from harness.checks.base import CheckKind, Kinds

__all__ = ["KINDS", "CheckKind", "Kinds"]

KINDS: Kinds = {
    "http": http.KIND,
    "sql": sql.KIND,
    "redis": redis.KIND,
    "command": command.KIND,
}
