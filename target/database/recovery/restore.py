#!/usr/bin/env python3
"""Restores the database, while all its nodes are down, to its newest state or to a moment.

    stop all nodes -> restore [--to 2026-11-28T10:00:00.123456+00:00] -> start all nodes

The first node gets the restored data, and the cluster forgets whose history was newest. What the
nodes had is kept beside it, as `data.before-restore`; the others copy the first one when they are
started. Nothing is replaced before the restored database has come up: a restore that fails leaves
all as it was, and one that was interrupted is simply made again.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from repository import Failed, alone, apart, emptied, pgbackrest, reach, wait_for

NODES = os.environ.get("DATABASE_NODES", "").split()
ETCD = os.environ.get("ETCD_HOSTS", "").split()
SCOPE = os.environ.get("PATRONI_SCOPE", "")
VOLUMES = Path("/db")
FORGOTTEN = ("leader", "status", "sync", "history", "failover", "failsafe")
"""What the cluster remembers of a history that is no more; who it is and its settings stay."""
RESTORE_S, REPLAY_S, STOP_S = 3600.0, 3600.0, 120.0
SOCKETS, LOG = "/tmp", Path("/tmp/restore.log")


def main() -> int:
    """Restore, and print what came of it as JSON."""
    parser = argparse.ArgumentParser(
        description="Restore the database; all its nodes must be down."
    )
    parser.add_argument(
        "--to", type=_moment, metavar="TIME", help="as in 2026-11-28T10:00:00+00:00"
    )
    target = parser.parse_args().to
    try:
        with alone("restore"):
            done = restore(target)
    except Failed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


def restore(target: datetime | None) -> dict[str, object]:
    """The parts of the way, in seconds, and the timeline that the restored database writes."""
    begun_s = time.monotonic()
    refuse_running()
    reach()
    fresh = VOLUMES / NODES[0] / "data.restored"
    emptied(fresh)
    os.environ |= settings_for(fresh)
    moment = [] if target is None else ["--type=time", f"--target={_as_postgres(target)}"]
    action = moment and ["--target-action=promote"]
    pgbackrest(*moment, *action, "--process-max=2", "restore", timeout_s=RESTORE_S)
    copied_s = time.monotonic()
    timeline = replay(fresh)
    replayed_s = time.monotonic()
    forget()
    swap(fresh)
    return {
        "copied_s": round(copied_s - begun_s, 2),
        "replayed_s": round(replayed_s - copied_s, 2),
        "timeline": timeline,
        "to": None if target is None else target.isoformat(),
    }


def refuse_running() -> None:
    """Failed if a node is up: it would write what is being replaced."""
    up = [node for node in NODES if any(_answers(node, port) for port in (5432, 8008))]
    if up:
        raise Failed(f"{', '.join(up)} still running; stop all of: {' '.join(NODES)}")


def settings_for(data: Path) -> dict[str, str]:
    """Where pgBackRest restores to; while the log is replayed, more of it is fetched ahead."""
    return {
        "PGBACKREST_PG1_PATH": str(data),
        "PGBACKREST_ARCHIVE_ASYNC": "y",
        "PGBACKREST_ARCHIVE_GET_QUEUE_MAX": "128MiB",
        "PGBACKREST_SPOOL_PATH": str(data.with_name("spool")),
    }


def replay(data: Path) -> int:
    """Let PostgreSQL replay the log, alone, until it may be written to; then stop it."""
    options = apart(data, synchronous_standby_names="")
    LOG.unlink(missing_ok=True)
    _pg_ctl(data, "-o", options, "-l", str(LOG), "-t", str(int(REPLAY_S)), "start")
    try:
        wait_for("the log replayed", lambda: _asked("SELECT pg_is_in_recovery()") != "t", REPLAY_S)
        timeline = int(_asked("SELECT timeline_id FROM pg_control_checkpoint()"))
        _asked("CHECKPOINT")
    finally:
        _pg_ctl(data, "-m", "fast", "-t", str(int(STOP_S)), "stop")
    return timeline


def forget() -> None:
    """Remove what the cluster remembers of the old history. Failed if no etcd answers."""
    for name in FORGOTTEN:
        key = base64.b64encode(f"/service/{SCOPE}/{name}".encode()).decode()
        _removed_from_etcd(key)


def swap(fresh: Path) -> None:
    """Put the restored data in the place of the first node's, and the others' aside."""
    for node in NODES:
        data, kept = VOLUMES / node / "data", VOLUMES / node / "data.before-restore"
        if data.exists():
            shutil.rmtree(kept, ignore_errors=True)
            data.rename(kept)
    fresh.rename(VOLUMES / NODES[0] / "data")


def _moment(text: str) -> datetime:
    """With a time zone, or it could mean several."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
    wanted = "a time with a time zone, as 2026-11-28T10:00:00+00:00"
    raise argparse.ArgumentTypeError(f"{text!r}: write {wanted}")


def _as_postgres(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def _answers(node: str, port: int) -> bool:
    try:
        with socket.create_connection((node, port), timeout=1):
            return True
    except OSError:
        return False


def _pg_ctl(data: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["pg_ctl", "-D", str(data), "-w", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        timeout=REPLAY_S + 60, check=False,
    )  # fmt: skip
    if done.returncode:
        fatal = _fatal()
        what = "the log cannot be replayed" if fatal else f"pg_ctl {arguments[-1]}"
        raise Failed(f"{what}: {fatal or done.stderr.strip()[-300:]}")


def _fatal() -> str:
    """Why PostgreSQL gave up, in its own words."""
    text = LOG.read_text(encoding="utf-8", errors="replace") if LOG.exists() else ""
    lines = [line for line in text.splitlines() if "FATAL" in line or "PANIC" in line]
    found = lines[-1].partition("FATAL:")[2].strip() if lines else ""
    if "before configured recovery target" in found:
        found += "; the archive does not reach that far, so choose an earlier time"
    if "before consistent recovery point" in found:
        found += "; no backup is that old, so choose a later time"
    return found


def _asked(sql: str) -> str:
    done = subprocess.run(
        ["psql", "-h", SOCKETS, "-U", "postgres", "-AtXqc", sql],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"PostgreSQL gave up: {_fatal() or done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _removed_from_etcd(key: str) -> None:
    """By the first member that answers."""
    body = json.dumps({"key": key}).encode()
    for host in ETCD:
        request = urllib.request.Request(f"http://{host}/v3/kv/deleterange", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            continue
    raise Failed(f"no etcd answers: {' '.join(ETCD)}")


if __name__ == "__main__":
    sys.exit(main())
