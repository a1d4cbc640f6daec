"""A region's database: Patroni over HTTP for what its cluster is, psql for who may come in.

`closed.conf` is included at the top of pg_hba.conf. With lines in it PostgreSQL itself refuses all
clients but its superuser and its replicas, whatever they ask for; empty or absent, nothing changes.
It lies beside the data: a restart keeps it, and neither a copy of the data nor pg_rewind takes it.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from keeper.turns import Database

SUPERUSER = os.environ.get("PATRONI_SUPERUSER_USERNAME", "postgres")
CLOSED = "/var/lib/postgresql/closed.conf"
SWITCH = "keeper-switch"
"""The application's name of the session that closes the database unless it is ended in time."""
PATRONI_S, CONFIG_S, SQL_S, CLOSE_S = 1.0, 3.0, 2.0, 3.0

LOOK = f"""
SELECT pg_is_in_recovery(), coalesce(pg_read_file('{CLOSED}', true), '') <> '',
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
    THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_lsn() END, '0/0'),
  coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0),
  clock_timestamp(), current_setting('primary_conninfo')"""

OPENED = f"""
    IF coalesce(pg_read_file('{CLOSED}', true), '') <> '' THEN
      COPY (SELECT '' WHERE false) TO '{CLOSED}';
      PERFORM pg_reload_conf();
    END IF;"""

CLOSING = f"""
  COPY (VALUES ('local all {SUPERUSER} trust'), ('host all {SUPERUSER} all scram-sha-256'),
    ('local all all reject'), ('host all all all reject')) TO '{CLOSED}';
  PERFORM pg_reload_conf();
  FOR i IN 1..10 LOOP
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_roles ON rolname = usename
      WHERE backend_type = 'client backend' AND NOT rolsuper;
    PERFORM pg_sleep(0.05);
  END LOOP;"""
"""A client that was let in just before the rules were read again is ended by one of the rounds."""

OPEN = """
DO $$ DECLARE until timestamptz := timestamptz '{clock}' + interval '{for_s} s'; BEGIN
  IF clock_timestamp() < until THEN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = '{switch}' AND pid <> pg_backend_pid();
    {opened}
  END IF;
  RAISE NOTICE 'armed';
  PERFORM pg_sleep(greatest(0, extract(epoch FROM until - clock_timestamp())));
  {closing}
END $$"""

CLOSE = f"""
DO $$ BEGIN
  IF pg_is_in_recovery() THEN RETURN; END IF;
  {CLOSING}
END $$;
SELECT count(*) FROM pg_stat_activity JOIN pg_roles ON rolname = usename
  WHERE backend_type = 'client backend' AND NOT rolsuper AND NOT pg_is_in_recovery()"""

OPEN_TO_READS = f"""
DO $$ BEGIN
  IF pg_is_in_recovery() THEN {OPENED}
  END IF;
END $$"""


class Failed(Exception):
    """What did not work, where, in one line."""


class Nodes:
    """Those of one region's Patroni cluster, by the URLs of their REST interfaces."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._switch: subprocess.Popen[str] | None = None

    def look(self) -> Database:
        """At the leader, or another node if there is none. Failed if no node answers."""
        url = self._leader()
        node = _host(url)
        [line] = _asked(node, LOOK).splitlines()
        standby, closed, position, lag_s, clock, conninfo = line.split("|", 5)
        return Database(
            node=node,
            is_standby=standby == "t",
            is_closed=closed == "t",
            position=int(position or 0),
            lag_s=float(lag_s),
            follows=source_in(conninfo),
            clock=clock,
        )

    def open(self, node: str, clock: str, for_s: float) -> None:
        """Until the node's clock is `clock` + `for_s`: then it closes by itself.

        Failed if the switch is not known to be armed; the one before it then still is.
        """
        sql = OPEN.format(clock=clock, for_s=for_s, switch=SWITCH, opened=OPENED, closing=CLOSING)
        switch = _psql(node, sql, SWITCH)
        if not _said(switch, "armed", SQL_S):
            switch.kill()
            switch.communicate()
            raise Failed(f"{node}: the switch was not armed within {SQL_S} s")
        if self._switch is not None:
            self._switch.kill()
            self._switch.communicate()
        self._switch = switch

    def open_to_reads(self, node: str) -> None:
        """Let clients in, if it is a standby."""
        _asked(node, OPEN_TO_READS)

    def close(self) -> bool:
        """Let no client in on any node that could take writes; whether all nodes confirmed it."""
        with ThreadPoolExecutor(len(self._urls)) as pool:
            return all(pool.map(_is_closed, self._urls))

    def promote(self) -> None:
        """Let Patroni lead a cluster of its own. Failed if its store cannot be written."""
        self._configure(None)

    def follow(self, source: str) -> None:
        """Let Patroni stream from HOST:PORT; it rewinds what only this region has."""
        host, port = source.rsplit(":", 1)
        methods = {"create_replica_methods": ["basebackup"]}
        self._configure({"host": host, "port": int(port), **methods})

    def _configure(self, standby_cluster: Mapping[str, Any] | None) -> None:
        url = self._leader()
        body = json.dumps({"standby_cluster": standby_cluster}).encode()
        request = urllib.request.Request(f"{url}/config", body, method="PATCH")
        try:
            urllib.request.urlopen(request, timeout=CONFIG_S).close()
        except OSError as error:
            raise Failed(f"{url}: PATCH /config: {error}") from None

    def _leader(self) -> str:
        """Its URL, remembered at the front; without one that of a node that answers."""
        roles: dict[str, str] = {}
        for url in self._urls:
            roles[url] = _role(url)
            if roles[url] in ("primary", "master", "standby_leader"):
                self._urls.sort(key=lambda each: each != url)
                return url
        answering = [url for url, role in roles.items() if role]
        if not answering:
            raise Failed(f"no database node answers: {' '.join(self._urls)}")
        return answering[0]


def source_in(conninfo: str) -> str:
    """The HOST:PORT of a connection string as Patroni writes it, "" without one."""
    found = {name: re.search(rf"\b{name}='?([^\s']+)", conninfo) for name in ("host", "port")}
    host, port = found["host"], found["port"]
    return f"{host[1]}:{port[1]}" if host and port else ""


def _role(url: str) -> str:
    """What a node says it is, "" if it says nothing."""
    try:
        with urllib.request.urlopen(f"{url}/patroni", timeout=PATRONI_S) as answer:
            said = json.load(answer)
    except (OSError, ValueError):
        return ""
    return str(said.get("role", "")) if said.get("state") == "running" else ""


def _is_closed(url: str) -> bool:
    try:
        return _asked(_host(url), CLOSE, CLOSE_S) == "0"
    except Failed:
        return False


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _psql(node: str, sql: str, name: str) -> subprocess.Popen[str]:
    to = f"host={node} user={SUPERUSER} dbname=postgres application_name={name} connect_timeout=2"
    environment = os.environ | {"PGPASSWORD": os.environ.get("PATRONI_SUPERUSER_PASSWORD", "")}
    return subprocess.Popen(
        ["psql", "-AtXqv", "ON_ERROR_STOP=1", "-d", to, "-c", sql],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _asked(node: str, sql: str, within_s: float = SQL_S) -> str:
    """What psql prints. Failed with its words, or if it takes too long."""
    psql = _psql(node, sql, "keeper")
    try:
        printed, _ = psql.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        psql.kill()
        psql.communicate()
        raise Failed(f"{node}: psql: no end after {within_s} s") from None
    if psql.returncode:
        raise Failed(f"{node}: psql: {printed.strip()[-300:]}")
    return printed.strip()


def _said(process: subprocess.Popen[str], word: str, within_s: float) -> bool:
    """Whether a line with this word is printed in time."""
    stdout = process.stdout
    if stdout is None:
        return False
    deadline_s = time.monotonic() + within_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([stdout], [], [], left_s)
        line = stdout.readline() if ready else ""
        if word in line or not line:
            return word in line
    return False
