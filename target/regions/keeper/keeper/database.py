"""A region's database: Patroni over HTTP for what its cluster is, psql for who may come in.

`closed.conf` is included at the top of pg_hba.conf. With lines in it PostgreSQL itself refuses all
clients but its superuser and its replicas, whatever they ask for; empty or absent, nothing changes.
It lies beside the data: a restart keeps it, and neither a copy of the data nor pg_rewind takes it.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from keeper.session import SUPERUSER, Failed, Session
from keeper.turns import Database

CLOSED = "/var/lib/postgresql/closed.conf"
SWITCH = "keeper-switch"
"""The application's name of the session that closes the database unless it is ended in time."""
PATRONI_S, CONFIG_S, SQL_S, CLOSE_S = 1.0, 3.0, 2.0, 3.0

IS_CLOSED = f"coalesce(pg_read_file('{CLOSED}', true), '') <> ''"
LOOK = f"""
SELECT 'look', pg_is_in_recovery(), {IS_CLOSED},
  pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
    THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_lsn() END, '0/0'),
  coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0),
  clock_timestamp(),
  CASE WHEN NOT pg_is_in_recovery() AND NOT {IS_CLOSED} THEN pg_current_xact_id() END,
  current_setting('primary_conninfo')"""
"""On a primary that is open it is a commit, too: a standby whose last one is old is behind.

A closed one writes nothing more: what it had last is what the next region must have.
"""

OPENED = f"""
    IF {IS_CLOSED} THEN
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
    PERFORM pg_cancel_backend(pid) FROM pg_stat_activity
      WHERE application_name = '{switch}' AND pid <> pg_backend_pid();
    {opened}
  END IF;
  RAISE NOTICE 'keeper: %', 'armed';
  PERFORM pg_sleep(greatest(0, extract(epoch FROM until - clock_timestamp())));
  {closing}
END $$"""

CLOSE = f"""
DO $$ BEGIN
  IF NOT pg_is_in_recovery() THEN {CLOSING}
    PERFORM pg_stat_clear_snapshot();
    IF EXISTS (SELECT FROM pg_stat_activity JOIN pg_roles ON rolname = usename
        WHERE backend_type = 'client backend' AND NOT rolsuper) THEN
      RAISE 'clients are still in';
    END IF;
  END IF;
  RAISE NOTICE 'keeper: %', 'done';
END $$"""

OPEN_TO_READS = f"""
DO $$ BEGIN
  IF pg_is_in_recovery() THEN {OPENED}
  END IF;
  RAISE NOTICE 'keeper: %', 'done';
END $$"""


class Nodes:
    """Those of one region's Patroni cluster, by the URLs of their REST interfaces."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._looker: Session | None = None
        self._switches: list[Session] = []

    def look(self) -> Database:
        """At the leader, or another node if there is none. Failed if no node answers."""
        node = _host(self._leader())
        if self._looker is None or not _is_at(self._looker, node):
            self._looker = Session(node, "keeper")
        line = self._looker.ask(f"{LOOK};", SQL_S, until="look|")
        _, standby, closed, position, lag_s, clock, _, conninfo = line.split("|", 7)
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

        Failed if the switch is not known to be armed; the one before it then still is. There are
        two, which take turns: each ends the other once it is armed.
        """
        sql = OPEN.format(clock=clock, for_s=for_s, switch=SWITCH, opened=OPENED, closing=CLOSING)
        self._switches = [each for each in self._switches if _is_at(each, node)]
        idle = self._switches.pop(0) if len(self._switches) > 1 else Session(node, SWITCH)
        idle.ask(f"{sql};", SQL_S, until="keeper: armed")
        self._switches.append(idle)

    def open_to_reads(self) -> bool:
        """Let clients in on each node that is a standby; whether all nodes confirmed it."""
        return self._all_have_done(OPEN_TO_READS)

    def close(self) -> bool:
        """Let no client in on any node that could take writes; whether all nodes confirmed it."""
        return self._all_have_done(CLOSE)

    def promote(self) -> bool:
        """Let Patroni lead a cluster of its own. Failed if its store cannot be written."""
        return self._configured(None)

    def follow(self, source: str) -> bool:
        """Let Patroni stream from HOST:PORT; it rewinds what only this region has."""
        host, port = source.rsplit(":", 1)
        methods = {"create_replica_methods": ["basebackup"]}
        return self._configured({"host": host, "port": int(port), **methods})

    def _all_have_done(self, sql: str) -> bool:
        with ThreadPoolExecutor(len(self._urls)) as pool:
            return all(pool.map(lambda url: _has_done(_host(url), sql), self._urls))

    def _configured(self, standby_cluster: Mapping[str, Any] | None) -> bool:
        url = self._leader()
        body = json.dumps({"standby_cluster": standby_cluster}).encode()
        request = urllib.request.Request(f"{url}/config", body, method="PATCH")
        try:
            urllib.request.urlopen(request, timeout=CONFIG_S).close()
        except OSError as error:
            raise Failed(f"{url}: PATCH /config: {error}") from None
        return True

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


def _has_done(node: str, sql: str) -> bool:
    session = Session(node, "keeper")
    try:
        return bool(session.ask(f"{sql};", CLOSE_S, until="keeper: done"))
    except Failed:
        return False
    finally:
        session.end()


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_at(session: Session, node: str) -> bool:
    """Whether it can be used for that node; one for another is ended."""
    if session.node != node:
        session.end()
    return session.is_open
