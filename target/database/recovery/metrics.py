"""What Prometheus is told of the backups and of the log that is being archived.

archive    primary: PostgreSQL's archiver and its list of files that wait
metrics    what is known of repositories and archive, as text; what is not known is left out
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from repository import NAMES, Failed, backups

ASKED_S = 4.0
WAITING = """
SELECT json_build_object(
  'node', split_part(current_setting('data_directory'), '/', 3),
  'started_s', extract(epoch FROM pg_postmaster_start_time()),
  'timeline', left(pg_walfile_name(pg_current_wal_lsn()), 8),
  'failures', failed_count,
  'is_failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
  'waiting_bytes', files * pg_size_bytes(current_setting('wal_segment_size')),
  'waiting_since_s', extract(epoch FROM since))
FROM pg_stat_archiver, (
  SELECT count(*) AS files, min(modification) AS since
  FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') AS waiting"""
Row = tuple[str, str, str, float]
"""A metric's name, its type, its labels as they are written, its value."""


@dataclass(frozen=True)
class Archive:
    """The primary's log on its way: tries that failed, whether the newest did, what waits.

    `waiting_since_s` is when the oldest file that waits was complete; None if none does. `timeline`
    is the one that it writes, as in the names of the log's files.
    """

    node: str
    started_s: float
    timeline: str
    failures: int
    is_failing: bool
    waiting_bytes: int
    waiting_since_s: float | None

    def may_be_torn(self, newest: Mapping[str, Any]) -> bool:
        """Whether log since this backup may be missing in the archive.

        The primary was started since, perhaps after some time without archiving, or it is another
        one, which archives only what came after its promotion.
        """
        is_older = newest["timestamp"]["start"] < self.started_s
        return is_older or not newest["archive"]["start"].startswith(self.timeline)


def archive() -> Archive:
    """Ask the primary, whichever node that is, through its socket. Failed if there is none."""
    sockets = ",".join(path for name, path in sorted(os.environ.items()) if _is_socket(name))
    server = f"host={sockets} user=postgres dbname=postgres connect_timeout=2"
    command = ["psql", f"{server} target_session_attrs=primary", "-AtXqc", WAITING]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASKED_S, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"no primary says within {ASKED_S:.0f} s what waits to be archived") from None
    if done.returncode:
        raise Failed(f"no primary says what waits to be archived: {done.stderr.strip()[-300:]}")
    return Archive(**json.loads(done.stdout))


def _is_socket(name: str) -> bool:
    return name.startswith("PGBACKREST_PG") and name.endswith("_SOCKET_PATH")


@dataclass(frozen=True)
class Calendar:
    """How long its hour lasts, and when it was begun, on the wall clock."""

    hour_s: float
    begun_s: float


def metrics(
    calendar: Calendar, stanza: Mapping[str, Any] | None, found: Archive | None, now_s: float
) -> str:
    """In Prometheus' text format."""
    rows = [
        ("backup_hour_seconds", "gauge", "", calendar.hour_s),
        ("backup_begun_timestamp_seconds", "gauge", "", calendar.begun_s),
    ]
    rows += _of_repositories(stanza) if stanza else ()
    rows += _of_archive(found, now_s) if found else ()
    lines, typed = [], set[str]()
    for name, kind, labels, value in sorted(rows):
        lines += [] if name in typed else [f"# TYPE {name} {kind}"]
        typed.add(name)
        lines.append(f"{name}{labels} {value!r}")
    return "\n".join(lines) + "\n"


def _of_repositories(stanza: Mapping[str, Any]) -> Iterator[Row]:
    """How many backups, when the newest was begun, and when a drill last restored one."""
    for number, name in NAMES.items():
        taken, labels = backups(stanza, number), f'{{repository="{name}"}}'
        yield "backup_count", "gauge", labels, len(taken)
        if taken:
            newest_s = taken[-1]["timestamp"]["start"]
            yield "backup_newest_timestamp_seconds", "gauge", labels, newest_s
        if proven := [when for one in taken if (when := _proven_s(one))]:
            yield "backup_proven_timestamp_seconds", "gauge", labels, max(proven)


def _proven_s(backup: Mapping[str, Any]) -> float | None:
    """When it was last restored and found right; None if it was not, or nobody knows when."""
    try:
        return datetime.fromisoformat((backup.get("annotation") or {})["restored"]).timestamp()
    except (KeyError, ValueError):
        return None


def _of_archive(found: Archive, now_s: float) -> Iterator[Row]:
    """By node, for each counts its own: failed tries, how much waits, and for how long."""
    labels = f'{{node="{found.node}"}}'
    since_s = now_s if found.waiting_since_s is None else found.waiting_since_s
    yield "archive_failures_total", "counter", labels, found.failures
    yield "archive_failing", "gauge", labels, int(found.is_failing)
    yield "archive_waiting_bytes", "gauge", labels, found.waiting_bytes
    yield "archive_waiting_seconds", "gauge", labels, max(0.0, now_s - since_s)
