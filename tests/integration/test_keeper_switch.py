"""What a keeper tells a real PostgreSQL: when it closes, and that no client can undo that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from keeper.database import CLOSE, CLOSED, CLOSING, OPEN, OPEN_TO_READS, OPENED, SWITCH
from own_project import eventually

pytestmark = pytest.mark.docker
SCRIPT = Path(__file__).parents[2] / "target/database/start-closed"
DATA = "/tmp/data"
START = f"""
initdb -D {DATA} -U postgres -A trust > /tmp/log
sed -i '1i include_if_exists {CLOSED}' {DATA}/pg_hba.conf
exec postgres -D {DATA} -c unix_socket_directories=/tmp
"""
WRITE = "SET default_transaction_read_only = off; INSERT INTO rows DEFAULT VALUES"


class Database:
    """A PostgreSQL in a container without a network; clients are beside it."""

    def __init__(self, container: Container) -> None:
        self.container = container

    def ask(self, user: str, sql: str) -> tuple[int, str]:
        """psql's exit code and what it prints."""
        code, output = self.container.exec_run(["psql", "-d", _to(user), "-AtXqc", sql])
        return code, output.decode()

    def begin(self, user: str, sql: str, name: str) -> None:
        """The same, and leave it to itself."""
        to = f"{_to(user)} application_name={name}"
        self.container.exec_run(["psql", "-d", to, "-AtXqc", sql], detach=True)
        count = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"
        assert eventually(lambda: self.ask("postgres", count)[1].strip() != "0")

    def open(self, for_s: float, clock: str = "") -> None:
        """As the keeper does, by a psql that does not wait."""
        clock = clock or self.ask("postgres", "SELECT clock_timestamp()")[1].strip()
        sql = OPEN.format(clock=clock, for_s=for_s, switch=SWITCH, opened=OPENED, closing=CLOSING)
        self.begin("postgres", sql, SWITCH)

    def takes_writes(self) -> bool:
        return self.ask("app", WRITE)[0] == 0


def _to(user: str) -> str:
    """Clients come over TCP, and the superuser as Patroni's own does."""
    host = "/tmp" if user == "postgres" else "127.0.0.1"
    return f"host={host} user={user} dbname=postgres"


@pytest.fixture
def database() -> Iterator[Database]:
    made = docker.from_env(timeout=60).containers.run(
        "harness-patroni:local", ["sh", "-ec", START], name=f"keeper-switch-{os.getpid()}",
        network_mode="none", mem_limit="256m", init=True, detach=True,
        volumes={str(SCRIPT): {"bind": "/usr/local/bin/start-closed", "mode": "ro"}},
    )  # fmt: skip
    try:
        database = Database(made)
        assert eventually(lambda: database.ask("postgres", "SELECT 1")[0] == 0, 90), made.logs()
        for sql in ("CREATE ROLE app LOGIN", "CREATE TABLE rows (id serial)",
                    "GRANT ALL ON rows, rows_id_seq TO app"):  # fmt: skip
            assert database.ask("postgres", sql) == (0, "")
        assert database.takes_writes()
        yield database
    finally:
        made.remove(force=True, v=True)


def test_it_closes_by_itself_when_nobody_is_left_to_tell_it(database: Database) -> None:
    database.open(2)
    database.begin("app", "SELECT pg_sleep(600)", "client")
    assert database.takes_writes()
    database.container.exec_run(["pkill", "-KILL", "psql"])
    assert eventually(lambda: not database.takes_writes())
    assert "pg_hba.conf rejects connection" in database.ask("app", "SELECT 1")[1]
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
    assert eventually(lambda: database.ask("postgres", left)[1].strip() == "0")


def test_it_stays_open_while_it_is_told_so(database: Database) -> None:
    for _ in range(4):
        database.open(2)
    assert database.takes_writes()
    switches = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{SWITCH}'"
    assert eventually(lambda: database.ask("postgres", switches)[1].strip() == "1")


def test_what_was_closed_is_opened_again(database: Database) -> None:
    assert "done" in database.ask("postgres", CLOSE)[1]
    assert not database.takes_writes()
    database.open(60)
    assert eventually(database.takes_writes)


def test_what_comes_too_late_opens_nothing(database: Database) -> None:
    database.ask("postgres", CLOSE)
    database.begin("postgres", "SELECT pg_sleep(600)", SWITCH)
    database.open(6, clock="2026-01-01 00:00:00+00")
    assert not database.takes_writes()


def test_a_primary_is_not_opened_to_reads(database: Database) -> None:
    database.ask("postgres", CLOSE)
    assert "done" in database.ask("postgres", OPEN_TO_READS)[1]
    assert not database.takes_writes()


def test_a_new_primary_starts_closed_without_a_keeper_behind_it(database: Database) -> None:
    assert database.container.exec_run("start-closed") == (0, b"")
    assert not database.takes_writes()


def test_a_new_primary_that_its_keeper_promotes_starts_open(database: Database) -> None:
    database.open(60)
    assert database.container.exec_run("start-closed") == (0, b"")
    assert database.takes_writes()
