"""Settings of one process, from its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds. `nodes` names the database nodes by address, for X-Db-Node.

    `read_deadline_s` bounds a whole read, all tiers together: below the load balancer's limit
    of 1 s, or one slow dependency is answered by retries on the other servers.
    `spans_url` is where Zipkin takes spans, "" for nowhere. `tells_age`: X-Data-Age says how many
    seconds a row may be old that a replica had; only where its primary commits all the time.
    """

    server: str
    redis_url: str
    rw_dsn: str
    ro_dsn: str
    nodes: dict[str, str]
    redis_timeout_s: float
    db_timeout_s: float
    db_read_timeout_s: float
    read_deadline_s: float
    connect_timeout_s: float
    db_ro_lifetime_s: float
    pool_max: int
    redis_breaker: BreakerSettings
    db_breaker: BreakerSettings
    local_cache_ttl_s: float
    local_cache_size: int
    redis_ttl_s: int
    spans_url: str = ""
    tells_age: bool = False


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Opens after `failures` in a row; tries again after `cooldown_s`.

    After time-outs alone after `timeout_cooldown_s` if that is shorter: what was only slow may be
    well again in a moment, and a busy machine makes everything slow.
    """

    enabled: bool
    failures: int
    cooldown_s: float
    timeout_cooldown_s: float = inf


def read_settings(environment: dict[str, str] | None = None) -> Settings:
    """The settings, with the text's values where nothing else is said.

    In the stack Redis and the database are reached through links of Toxiproxy: see app.env.
    """
    env = dict(os.environ) if environment is None else environment
    nodes = (pair.split("=", 1) for pair in env.get("DB_NODES", "").split(",") if "=" in pair)
    return Settings(
        server=env.get("SERVER_NAME", "app"),
        redis_url=env.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
        rw_dsn=env.get("DB_RW_DSN", "postgresql://app@127.0.0.1:5432/app"),
        ro_dsn=env.get("DB_RO_DSN", "postgresql://app@127.0.0.1:5432/app"),
        nodes={address: name for name, address in nodes},
        redis_timeout_s=float(env.get("REDIS_TIMEOUT_S", "0.15")),
        db_timeout_s=float(env.get("DB_TIMEOUT_S", "1.5")),
        db_read_timeout_s=float(env.get("DB_READ_TIMEOUT_S", "0.8")),
        read_deadline_s=float(env.get("READ_DEADLINE_S", "1.6")),
        connect_timeout_s=float(env.get("DB_CONNECT_TIMEOUT_S", "1")),
        db_ro_lifetime_s=float(env.get("DB_RO_LIFETIME_S", "3")),
        pool_max=int(env.get("POOL_MAX", "8")),
        redis_breaker=_breaker(env, "REDIS", "60"),
        # 60 s would turn a database failover of 20 s into an outage of a minute.
        db_breaker=_breaker(env, "DB", "1"),
        local_cache_ttl_s=float(env.get("LOCAL_CACHE_TTL_S", "300")),
        local_cache_size=int(env.get("LOCAL_CACHE_SIZE", "2000")),
        redis_ttl_s=int(env.get("REDIS_TTL_S", "86400")),
        spans_url=env.get("SPANS_URL", ""),
        tells_age=env.get("TELLS_AGE", "") == "1",
    )


def _breaker(env: dict[str, str], prefix: str, cooldown_s: str) -> BreakerSettings:
    return BreakerSettings(
        enabled=env.get(f"{prefix}_BREAKER_ENABLED", "1") != "0",
        failures=int(env.get(f"{prefix}_BREAKER_FAILURES", "5")),
        cooldown_s=float(env.get(f"{prefix}_BREAKER_COOLDOWN_S", cooldown_s)),
        timeout_cooldown_s=float(env.get(f"{prefix}_BREAKER_TIMEOUT_COOLDOWN_S", "5")),
    )
