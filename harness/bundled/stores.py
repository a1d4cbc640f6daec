"""How the databases and the caches are set, asked in their own containers: nothing is changed.

Bounded: a cache is sampled, not listed.
"""

from __future__ import annotations

import json
from typing import Any

from harness.application import Store
from harness.bundled.postgres import query, role_of
from harness.faults.base import Engine
from harness.model.container import Container

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


def database(engine: Engine, node: Container) -> dict[str, Any]:
    """`role` and `settings` of a PostgreSQL node; what holds for one user only is `user:name`."""
    lines = query(engine, node, SETTINGS_SQL).splitlines()
    pairs = [line.partition("=")[::2] for line in lines if "=" in line]
    return {"role": role_of(engine, node), "settings": dict(pairs)}


def cache(engine: Engine, container: Container) -> dict[str, Any]:
    """How many keys of a Redis never expire, what bounds it; an `error` if it does not say."""
    script = f"SAMPLE={_quoted(SAMPLE)}; {ASK_REDIS}"
    code, output = engine.execute(container.id, ["sh", "-c", script], CACHE_S)
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


def _quoted(text: str) -> str:
    """For a shell, which takes everything within single quotes as it is."""
    return "'" + text.replace("'", "'\\''") + "'"


STORES = (Store("databases", "db", database), Store("caches", "cache", cache))
