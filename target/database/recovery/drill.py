#!/usr/bin/env python3
"""Restores the newest backup beside the running database, and compares the two: a drill.

    primary   ----- restore point, snapshot: count, sum --------------------------------->
    archive    ... and all of the log up to the restore point
    restored  newest backup ==== replayed to the restore point: the same count and sum?

What was committed between the snapshot and the restore point, which is written a moment later, is
told by its transactions' numbers. On success the backup is annotated as restored: that, and nothing
else, is its "last proven restore". The last line is JSON; exit code 0 if all was the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from repository import Failed, alone, apart, backups, emptied, end, info, pgbackrest, say, wait_for

REPOSITORY = int(os.environ.get("DRILL_REPOSITORY", "1"))
RESTORED, LOG = Path("/restored/data"), Path("/tmp/drill.log")
PRIMARY = ("-h", "db-lb", "-p", "5000", "-U", "postgres", "-d", "app")
COPY = ("-h", "/tmp", "-U", "postgres", "-d", "app")
NO_SERVER = 2
"""What psql ends with where there is none."""
SAMPLE = 1_000
ARCHIVED_S, REPLAYED_S, RESTORE_S = 30.0, 600.0, 3600.0
STATE = "count(*), coalesce(sum(hashtextextended(code || ' ' || long_url, 0)::numeric), 0)"
MARK = """
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_create_restore_point('{name}'), pg_current_snapshot();
SELECT {state} FROM urls;
SELECT string_agg(code || ' ' || md5(long_url), ',') FROM (
  SELECT code, long_url FROM urls TABLESAMPLE SYSTEM_ROWS({sample})) AS sampled;
COMMIT;
SELECT pg_walfile_name(pg_switch_wal())"""


def main() -> int:
    """0 if what was restored is what the primary had."""
    name = f"drill-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    os.environ["PGPASSWORD"] = os.environ["PATRONI_SUPERUSER_PASSWORD"]
    begun_s = time.monotonic()
    try:
        with alone("drill"):
            label = newest()
            here = marked(name)
            found = restored(name, label, here)
    except Failed as error:
        say("error", str(error), part="drill")
        told({"restored": False, "error": str(error)})
        return 1
    is_same = found["is_same"] is True
    if is_same:
        note = f"--annotation=restored={datetime.now(UTC).isoformat(timespec='seconds')}"
        pgbackrest(f"--repo={REPOSITORY}", f"--set={label}", note, "annotate")
    took_s = round(time.monotonic() - begun_s, 2)
    told({"restored": is_same, "backup": label, "took_s": took_s, **found})
    return 0 if is_same else 1


def told(what: Mapping[str, object]) -> None:
    """What came of it, on the last line."""
    sys.stdout.write(json.dumps(what) + "\n")


def newest() -> str:
    """The label of the newest backup. Failed if there is none."""
    taken = backups(info(), REPOSITORY)
    if not taken:
        raise Failed("there is no backup to restore")
    return str(taken[-1]["label"])


def marked(name: str) -> dict[str, str]:
    """A restore point on the primary, archived, and what the primary had then."""
    _asked(PRIMARY, "CREATE EXTENSION IF NOT EXISTS tsm_system_rows")
    sql = MARK.format(name=name, state=STATE, sample=SAMPLE)
    point, state, sample, wal = _asked(PRIMARY, sql).splitlines()
    _, _, snapshot = point.partition("|")
    archived = f"SELECT last_archived_wal >= '{wal}' FROM pg_stat_archiver"
    wait_for(f"{wal} archived", lambda: _asked(PRIMARY, archived) == "t", ARCHIVED_S)
    rows, total = state.split("|")
    return {"snapshot": snapshot, "rows": rows, "sum": total, "sample": sample}


def restored(name: str, label: str, primary: Mapping[str, str]) -> dict[str, object]:
    """What the restored database is like, compared with the primary; it is stopped afterwards."""
    emptied(RESTORED)
    try:
        restore(name, label)
        return compared(primary)
    finally:
        end(RESTORED)


def restore(name: str, label: str) -> None:
    """The backup, with the log up to the restore point, readable at /tmp."""
    os.environ["PGBACKREST_PG1_PATH"] = str(RESTORED)
    to = ("--type=name", f"--target={name}", "--target-action=pause")
    pgbackrest(f"--repo={REPOSITORY}", f"--set={label}", *to, "restore", timeout_s=RESTORE_S)
    options = apart(RESTORED, archive_mode="off")
    done = subprocess.run(
        ["pg_ctl", "-D", str(RESTORED), "-w", "-t", "600", "-l", str(LOG), "-o", options, "start"],
        stdout=subprocess.DEVNULL, timeout=REPLAYED_S + 60, check=False,
    )  # fmt: skip
    if done.returncode:
        fatal = [line for line in LOG.read_text().splitlines() if "FATAL" in line]
        raise Failed(f"the backup does not start: {fatal[-1] if fatal else LOG}")
    paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
    wait_for(f"replayed to {name}", lambda: _asked(COPY, paused) == "t", REPLAYED_S)


def compared(primary: Mapping[str, str]) -> dict[str, object]:
    """The rows of both as of the snapshot, and whether all of them and the sample are the same.

    A primary without rows proves nothing: it is the same as nothing.
    """
    seen = f"pg_visible_in_snapshot(xmin::text::xid8, '{primary['snapshot']}')"
    rows, total = _asked(COPY, f"SELECT {STATE} FROM urls WHERE {seen}").split("|")
    wanted = [pair for pair in primary["sample"].split(",") if pair]
    is_whole = (rows, total) == (primary["rows"], primary["sum"])
    return {
        "rows": int(rows),
        "rows_of_primary": int(primary["rows"]),
        "sampled": len(wanted),
        "is_same": is_whole and int(rows) > 0 and 0 < len(wanted) == _found(wanted),
    }


def _found(pairs: Sequence[str]) -> int:
    """How many of them, each a code and a hash of its URL, the copy has so."""
    values = ",".join("('{}','{}')".format(*pair.split()) for pair in pairs)
    same = _asked(
        COPY,
        f"SELECT count(*) FROM (VALUES {values}) AS sampled(code, sum) "
        "JOIN urls USING (code) WHERE md5(long_url) = sampled.sum",
    )
    return int(same)


def _asked(where: tuple[str, ...], sql: str) -> str:
    """The answer's lines. Failed with psql's words."""
    done = subprocess.run(
        ["psql", *where, "-AtXqv", "ON_ERROR_STOP=1", "-f", "-"],
        input=sql, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == NO_SERVER and where is PRIMARY:
        raise Failed("no database node answers as the primary: harness status")
    if done.returncode:
        raise Failed(f"psql: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
