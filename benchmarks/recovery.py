"""What a backup and a restore of the stack take, by the number of links; for ten million users.

`python benchmarks/recovery.py [ROWS ...]`; without arguments 100,000 and 2,000,000. Needs Docker
and built images; starts the stack with its part `recovery`, and leaves it running (one that runs
without it: `harness down` first; so it is no part of `make bench`). ROWS are links
of its own in the table `urls`, beside those of the seed; they are removed at the end. For each
number, with nothing else going on:

    insert ROWS -> full backup -> change links: log -> stop nodes, restore.py, start nodes

All in one repository (1). The log that is replayed is all that was written after the backup. A
restore replaces what an earlier one kept beside the data. Only containers of this project are
stopped and started. The extrapolation is a straight line through the smallest and the largest
size: it says nothing of a machine with another disk or network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import common
import docker

from harness.adapters.backups import backups_of
from harness.lock import run_lock
from harness.session.project import Project
from harness.session.targets import Choice, find_target
from harness.state_folder import unhealed

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (100_000, 2_000_000)
USERS, LINKS_OF_ONE = 10_000_000, 10
"""How many links a user has is assumed: nothing measures it."""
BATCH, WAITING_MAX = 50_000, 4
"""Rows of one statement, and files of the log that may wait before the next: 16 MiB each."""
LOG_ROWS = 100_000
COMMAND_S, ARCHIVED_S = 3600, 600.0
FILES = ("docker-compose.yml", "target/recovery/archiving.yaml")
SOCKETS = ",".join(f"/db/{node}" for node in common.NODES)
WITH_PRIMARY = f"host={SOCKETS} user=postgres dbname=app target_session_attrs=primary"
INSERT = """
INSERT INTO urls (code, long_url) SELECT 'bench' || i, 'https://example.com/bench/' || i
FROM generate_series({first}, {last}) AS i"""
CHANGE = """
UPDATE urls SET long_url = long_url || '?'
WHERE code IN (SELECT 'bench' || i FROM generate_series({first}, {last}) AS i)"""
WAITING = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
SWITCHED = "SELECT last_archived_wal >= '{wal}' FROM pg_stat_archiver"


@dataclass(frozen=True)
class Measured:
    """Of one size: rows of the table, bytes of the database, seconds and bytes of each step."""

    rows: int
    database_bytes: int
    stored_bytes: int
    backup_s: float
    copied_bytes: int
    copied_s: float
    log_bytes: int
    replayed_s: float
    down_s: float


class Stack:
    """The containers of this project, and what is asked of them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._docker = docker.from_env(timeout=COMMAND_S)

    def sql(self, text: str) -> str:
        """The answer of the primary, through its socket."""
        return self.run("backup", "psql", WITH_PRIMARY, "-AtXqc", text)

    def run(self, service: str, *command: str) -> str:
        """What a command prints on stdout. RuntimeError with its words if it fails."""
        done = self._container(service).exec_run(list(command), demux=True)
        printed, said = (part.decode() if part else "" for part in done.output)
        if done.exit_code:
            words = (said or printed).strip()[-500:]
            raise RuntimeError(f"{service}: {command[0]} exited with {done.exit_code}: {words}")
        return printed.strip()

    def stop_nodes(self) -> None:
        """The database is down after it."""
        for node in common.NODES:
            self._container(node).stop(timeout=60)

    def start_nodes(self) -> None:
        """Up, and the whole stack healthy after it."""
        for node in common.NODES:
            self._container(node).start()
        self._project.wait_healthy()

    def _container(self, service: str) -> Any:
        labels = [
            f"com.docker.compose.project={self._project.name}",
            f"com.docker.compose.service={service}",
        ]
        found = self._docker.containers.list(all=True, filters={"label": labels})
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} containers of {service} in {self._project.name}")
        return found[0]


def insert(stack: Stack, first: int, last: int) -> None:
    """Links of our own, no faster than their log is archived: beyond 512 MiB it is dropped."""
    in_batches(stack, INSERT, first, last)
    stack.sql("ANALYZE urls")


def in_batches(stack: Stack, statement: str, first: int, last: int) -> None:
    """The statement for each batch of the numbers from `first` to `last`, both included."""
    for begin in range(first, last + 1, BATCH):
        stack.sql(statement.format(first=begin, last=min(begin + BATCH - 1, last)))
        wait(lambda: int(stack.sql(WAITING)) <= WAITING_MAX, "the log archived")


def wait(holds: Any, what: str) -> None:
    """RuntimeError if it does not hold after ARCHIVED_S."""
    deadline_s = monotonic() + ARCHIVED_S
    while not holds():
        if monotonic() > deadline_s:
            raise RuntimeError(f"{what}: not after {ARCHIVED_S:.0f} s; harness backups")
        sleep(0.5)


def measure(stack: Stack, project: Project) -> Measured:
    """One backup and one restore of what is there now."""
    rows = int(stack.sql("SELECT count(*) FROM urls"))
    database_bytes = int(stack.sql("SELECT pg_database_size('app')"))
    started_s = monotonic()
    pgbackrest(stack, "--repo=1", "--type=full", "backup")
    backup_s = monotonic() - started_s
    newest = [one for one in backups_of(project.engine) if one.repository == 1][-1]
    begin = stack.sql("SELECT pg_current_wal_lsn()")
    in_batches(stack, CHANGE, 0, LOG_ROWS - 1)
    log_bytes = int(stack.sql(f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{begin}')::bigint"))
    archive_all(stack)
    started_s = monotonic()
    stack.stop_nodes()
    restored = json.loads(stack.run("backup", "with-repositories", "restore.py").splitlines()[-1])
    stack.start_nodes()
    down_s = monotonic() - started_s
    return Measured(
        rows, database_bytes, newest.stored_bytes, backup_s, newest.database_bytes,
        restored["copied_s"], log_bytes, restored["replayed_s"], down_s,
    )  # fmt: skip


def archive_all(stack: Stack) -> None:
    """All of the log up to now is in the archive."""
    wal = stack.sql("SELECT pg_walfile_name(pg_switch_wal())")
    wait(lambda: stack.sql(SWITCHED.format(wal=wal)) == "t", f"{wal} archived")


def pgbackrest(stack: Stack, *arguments: str) -> str:
    """In the container that takes the backups."""
    return stack.run("backup", "with-repositories", "pgbackrest", "--stanza=main", *arguments)


@contextmanager
def own_rows(stack: Stack) -> Iterator[None]:
    """Without links of our own before and after it."""
    remove(stack)
    try:
        yield
    finally:
        remove(stack)


def remove(stack: Stack) -> None:
    """All of our links, and the room that they took."""
    if stack.sql("SELECT EXISTS (SELECT FROM urls WHERE code LIKE 'bench%')") == "t":
        stack.sql("DELETE FROM urls WHERE code LIKE 'bench%'")
        wait(lambda: int(stack.sql(WAITING)) <= WAITING_MAX, "the log archived")
        stack.sql("VACUUM FULL urls")


def figures_of(one: Measured) -> list[common.Figure]:
    """Of one size, named by its rows."""
    name = f"{one.rows}_"
    mib = 2**20
    return [
        common.Figure(f"{name}database_mib", one.database_bytes / mib, "MiB"),
        common.Figure(f"{name}stored_mib", one.stored_bytes / mib, "MiB"),
        common.Figure(f"{name}full_backup_s", one.backup_s, "s"),
        common.Figure(f"{name}restore_mib_per_s", one.copied_bytes / one.copied_s / mib, "MiB/s"),
        common.Figure(f"{name}log_mib", one.log_bytes / mib, "MiB"),
        common.Figure(f"{name}replay_mb_per_s", one.log_bytes / one.replayed_s / 1e6, "MB/s"),
        common.Figure(f"{name}down_s", one.down_s, "s"),
    ]


def extrapolated(small: Measured, large: Measured) -> list[common.Figure]:
    """For USERS with LINKS_OF_ONE links each, on the line through two sizes."""
    rows = USERS * LINKS_OF_ONE

    def at(of_small: float, of_large: float) -> float:
        slope = (of_large - of_small) / (large.rows - small.rows)
        return of_large + slope * (rows - large.rows)

    return [
        common.Figure("users", USERS),
        common.Figure("links", rows),
        common.Figure(
            "users_database_gib", at(small.database_bytes, large.database_bytes) / 2**30, "GiB"
        ),
        common.Figure(
            "users_stored_gib", at(small.stored_bytes, large.stored_bytes) / 2**30, "GiB"
        ),
        common.Figure("users_full_backup_min", at(small.backup_s, large.backup_s) / 60, "min"),
        common.Figure("users_restore_min", at(small.copied_s, large.copied_s) / 60, "min"),
    ]


def main(sizes: Sequence[int]) -> int:
    """All sizes, from the smallest on; RuntimeError if the stack is not left as it should be."""
    if unhealed(common.ROOT):
        raise RuntimeError("a fault is not healed yet; run: harness heal")
    choice = Choice(
        compose=tuple(common.ROOT / file for file in FILES), profiles=("core", "recovery")
    )
    project = Project(find_target(choice))
    with run_lock(project.lock_path, "benchmarks/recovery.py"):
        project.compose.up()
        project.wait_healthy()
        measured = all_sizes(Stack(project), project, sorted(sizes))
    figures = [figure for one in measured for figure in figures_of(one)]
    if len(measured) > 1:
        figures += extrapolated(measured[0], measured[-1])
    return common.show("recovery", figures)


def all_sizes(stack: Stack, project: Project, sizes: Sequence[int]) -> list[Measured]:
    """Each with the rows of those before it."""
    measured = []
    with own_rows(stack):
        there = 0
        for rows in sizes:
            insert(stack, there, rows - 1)
            there = rows
            measured.append(measure(stack, project))
    return measured


if __name__ == "__main__":
    sys.exit(main([int(one) for one in sys.argv[1:]] or SIZES))
