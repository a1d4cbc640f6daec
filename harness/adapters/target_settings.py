"""Reads the settings that a claim rests on, and changes nothing: databases, caches, restarts.

What a part is comes from its labels: `harness.role` db (PostgreSQL, asked by psql in its own
container) or cache (Redis, asked by redis-cli in its own), `harness.probe.settings` a page of JSON
with the time limits of a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.adapters.postgres import query, role_of
from harness.errors import HarnessError
from harness.faults.base import Engine
from harness.model.container import Container
from harness.model.http import Http

LABEL = "harness.probe.settings"
CACHE_S = 5.0
DATABASE_SETTINGS = (
    *("fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names"),
    *("wal_sender_timeout", "wal_receiver_timeout"),
)
SETTINGS_SQL = (
    "SELECT name || '=' || setting FROM pg_settings WHERE name IN "
    f"({', '.join(repr(name) for name in DATABASE_SETTINGS)}) UNION ALL "
    # What holds for one user or one database only overrides the server's own.
    "SELECT coalesce(rolname, '*') || ':' || one FROM pg_db_role_setting "
    "LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS one"
)
KEYS_MAX, PAGES_MAX = 2000, 100
SAMPLE = f"""
local cursor, seen, bare, names, pages = '0', 0, 0, {{}}, 0
repeat
  local page = redis.call('SCAN', cursor, 'COUNT', 200, 'TYPE', 'string')
  cursor, pages = page[1], pages + 1
  for _, key in ipairs(page[2]) do
    seen = seen + 1
    if redis.call('TTL', key) == -1 then
      bare = bare + 1
      if #names < 5 then names[#names + 1] = key end
    end
  end
until cursor == '0' or seen >= {KEYS_MAX} or pages >= {PAGES_MAX}
return cjson.encode({{keys = seen, without_expiry = bare, examples = table.concat(names, ' ')}})
"""
ASK_REDIS = """
export REDISCLI_AUTH="$REDIS_PASSWORD"
redis-cli --raw EVAL_RO "$SAMPLE" 0
redis-cli --json CONFIG GET maxmemory
redis-cli --json CONFIG GET maxmemory-policy
"""


class TargetSettings:
    """The settings of the project's parts; one that cannot be read has an `error`."""

    def __init__(self, engine: Engine, http: Http) -> None:
        self._engine, self._http = engine, http

    def read(self) -> dict[str, Any]:
        """`restart_policies`, `databases`, `caches`, `time_limits`: each by service.

        Left out of the first: instruments (label `harness.protect`) and what has done its work and
        ended. Bounded: a cache is sampled, not listed.
        """
        listed = self._engine.containers()
        kept = [c for c in listed if c.is_running or c.is_standby]
        return {
            "restart_policies": {
                c.service: c.restart_policy for c in kept if "harness.protect" not in c.labels
            },
            "databases": _each(_of_role(kept, "db"), self._database),
            "caches": _each(_of_role(kept, "cache"), self._cache),
            "time_limits": _each(
                [c for c in kept if c.is_running and c.probe_url(LABEL)], self._time_limits
            ),
        }

    def _database(self, node: Container) -> dict[str, Any]:
        lines = query(self._engine, node, SETTINGS_SQL).splitlines()
        pairs = [line.partition("=")[::2] for line in lines if "=" in line]
        return {"role": role_of(self._engine, node), "settings": dict(pairs)}

    def _cache(self, cache: Container) -> dict[str, Any]:
        script = f"SAMPLE={_quoted(SAMPLE)}; {ASK_REDIS}"
        code, output = self._engine.execute(cache.id, ["sh", "-c", script], CACHE_S)
        try:
            sample, memory, policy = map(json.loads, output.splitlines())
            return {
                "keys": int(sample["keys"]),
                "without_expiry": int(sample["without_expiry"]),
                "examples": str(sample["examples"]).split(),
                "maxmemory": int(memory["maxmemory"]),
                "maxmemory_policy": str(policy["maxmemory-policy"]),
            }
        except (ValueError, TypeError, KeyError, OverflowError):  # the last for Infinity
            return {"error": f"redis-cli ended with {code}: {output.strip()[:200]}"}

    def _time_limits(self, server: Container) -> dict[str, Any]:
        answer = self._http.ask(server.probe_url(LABEL) or "")
        value = answer.json() if answer.status == 200 else None
        if not isinstance(value, dict):
            return {"error": f"its page of settings answered {answer.status or answer.error}"}
        return {"settings": {str(name): limit for name, limit in value.items()}}


def _of_role(containers: Sequence[Container], role: str) -> list[Container]:
    return [c for c in containers if c.role == role and c.is_running]


def _each(
    containers: Sequence[Container], read: Callable[[Container], dict[str, Any]]
) -> dict[str, Any]:
    """What was read of each; a part that cannot be asked must not hide the others."""
    found = {}
    for container in containers:
        try:
            found[container.service] = read(container)
        except HarnessError as error:
            found[container.service] = {"error": error.message}
    return found


def _quoted(text: str) -> str:
    """For a shell, which takes everything within single quotes as it is."""
    return "'" + text.replace("'", "'\\''") + "'"
