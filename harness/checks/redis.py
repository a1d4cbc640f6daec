"""redis: a command of Redis or Valkey that reads, by its own client in its container."""

from __future__ import annotations

import shlex

from pydantic import field_validator

from harness.checks.base import CheckKind, Parameters, Seen, Site

READS = frozenset(
    {
        *("EXISTS", "GET", "STRLEN", "TYPE", "TTL", "PTTL", "DBSIZE", "PING"),
        *("LLEN", "LINDEX", "LRANGE", "SCARD", "SISMEMBER", "ZCARD", "ZCOUNT", "ZSCORE"),
        *("HGET", "HLEN", "HEXISTS", "XLEN", "XPENDING", "XINFO", "INFO", "MGET"),
    }
)
SCRIPT = """
export REDISCLI_AUTH="${REDISCLI_AUTH:-$REDIS_PASSWORD}"
client=$(command -v redis-cli || command -v valkey-cli) || exit 127
exec "$client" "$@"
"""


class RedisParameters(Parameters):
    """`command` is written as at its prompt: `LLEN jobs`."""

    service: str
    command: str

    @field_validator("command")
    @classmethod
    def _reads(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"not a command: {error}") from error
        if not words or words[0].upper() not in READS:
            raise ValueError(f"not a command that only reads; known: {', '.join(sorted(READS))}")
        return value


def _look(parameters: RedisParameters, site: Site, timeout_s: float) -> Seen:
    command = ("sh", "-c", SCRIPT, "check", *shlex.split(parameters.command))
    return site.run(parameters.service, command, timeout_s)


KIND = CheckKind(
    RedisParameters,
    _look,
    words=lambda p: f"`{p.command}` by redis-cli in {p.service}",
)
