"""A query is run by the client of the container's own image, in a transaction that only reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from harness.sql_client import Answer, asked, changing, read_answer


class Inside:
    """The script in a shell of its own, with a client that says what it was given."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in ("sh", "cat", "timeout", "env"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")

    def client(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, *said: str, **environment: str) -> list[str]:
        return self.sh(asked(*said), environment)

    def sh(self, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        done = subprocess.run(
            [self.bin / "sh", *command[1:]], text=True, timeout=20, check=True,
            env={"PATH": str(self.bin), **environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=os.sep,
        )  # fmt: skip
        return done.stdout.splitlines()


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    return Inside(tmp_path)


TELL = 'for one in "$@"; do echo "[$one]"; done; echo "password [$PGPASSWORD$MYSQL_PWD]"'


def test_psql_gets_what_the_image_says_and_a_transaction_that_only_reads(inside: Inside) -> None:
    inside.client("psql", f'{TELL}; echo "options [$PGOPTIONS]"')
    lines = inside.run("select 1", POSTGRES_USER="u", POSTGRES_DB="d",
                       POSTGRES_PASSWORD="p q")  # fmt: skip
    text = " ".join(lines)
    assert "[-U] [u] [-d] [d]" in text
    assert "[-c] [BEGIN READ ONLY] [-c] [select 1] [-c] [ROLLBACK]" in text
    assert "[-w]" in text  # it never asks for a password
    assert "password [p q]" in lines
    assert "options [-c default_transaction_read_only=on -c statement_timeout=15s]" in lines
    assert lines[-1] == "! exit 0"


def test_psql_without_any_word_of_the_image(inside: Inside, tmp_path: Path) -> None:
    inside.client("psql", TELL)
    assert "[-U] [postgres] [-d] [postgres]" in " ".join(inside.run("select 1"))
    (tmp_path / "secret").write_text("from a file\n")
    lines = inside.run("x", POSTGRES_PASSWORD_FILE=str(tmp_path / "secret"))
    assert "password [from a file]" in lines


def test_who_asks_wins_over_what_the_image_says(inside: Inside, tmp_path: Path) -> None:
    inside.client("psql", TELL)
    (tmp_path / "own").write_text("s3cret")
    known = {"POSTGRES_USER": "u", "POSTGRES_DB": "d", "POSTGRES_PASSWORD": "p", "MINE": "m"}
    lines = inside.run("x", "me", "shop", "MINE", **known)
    assert "[-U] [me] [-d] [shop]" in " ".join(lines)
    assert "password [m]" in lines
    assert "password [s3cret]" in inside.run("x", "me", "shop", str(tmp_path / "own"), **known)


def test_a_change_is_one_transaction_with_a_deadline_under_its_own_name(inside: Inside) -> None:
    inside.client("psql", f'{TELL}; echo "session [$PGAPPNAME] options [$PGOPTIONS]"')
    command = changing("shop", "harness_undo_x", ["UPDATE a", "it's b"])
    lines = inside.sh(command, {"POSTGRES_USER": "u", "POSTGRES_DB": "d", "POSTGRES_PASSWORD": "p"})
    text = " ".join(lines)
    assert "[-U] [u] [-d] [shop]" in text
    assert "[-v] [ON_ERROR_STOP=1]" in text  # so that no COMMIT follows an error
    assert (
        "[-c] [BEGIN] [-c] [UPDATE a] [-c] [it's b] [-c] [COMMIT]"
        " [-c] [SELECT date_part('epoch', clock_timestamp())] password [p]"
    ) in text
    options = "-c statement_timeout=60s -c lock_timeout=10s"
    assert f"session [harness_undo_x] options [{options}]" in lines
    assert lines[-1] == "! exit 0"


def test_a_change_needs_psql(inside: Inside) -> None:
    inside.client("mysql", TELL)
    assert inside.sh(changing("d", "s", ["x"]), {}) == [
        "! there is no psql in this container", "! exit 127",
    ]  # fmt: skip


@pytest.mark.parametrize("client", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    ("said", "environment", "user", "password"),
    [
        ("", {"MYSQL_USER": "u", "MYSQL_PASSWORD": "p", "MYSQL_ROOT_PASSWORD": "r"}, "u", "p"),
        ("", {"MARIADB_USER": "u", "MARIADB_PASSWORD": "p"}, "u", "p"),
        ("", {"MYSQL_ROOT_PASSWORD": "r"}, "root", "r"),
        ("", {"MARIADB_ROOT_PASSWORD": "r"}, "root", "r"),
        ("root", {"MYSQL_USER": "u", "MYSQL_PASSWORD": "p", "MYSQL_ROOT_PASSWORD": "r"}, "root",
         "r"),
    ],
)  # fmt: skip
def test_mysql_and_mariadb(
    inside: Inside, client: str, said: str, environment: dict[str, str], user: str, password: str
) -> None:
    inside.client(client, TELL)
    lines = inside.run("select 1", said, MYSQL_DATABASE="d", **environment)
    assert f"[--user={user}]" in lines
    assert "[--execute=START TRANSACTION READ ONLY; select 1; ROLLBACK]" in lines
    assert "[d]" in lines
    assert f"password [{password}]" in lines


def test_what_the_client_says_beside_its_rows_is_no_row(inside: Inside) -> None:
    inside.client("psql", "echo a-1; echo 'ERROR: no table' >&2; exit 3")
    assert sorted(inside.run("x")) == ["! ERROR: no table", "! exit 3", "a-1"]


def test_a_container_without_a_client(inside: Inside) -> None:
    assert inside.run("x") == [
        "! there is no psql, mariadb or mysql in this container", "! exit 127",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("7\n! exit 0\n", Answer(["7"], "exit 0", 0)),
        ("! ERROR: no table\n! exit 1\n", Answer([], "ERROR: no table exit 1", 1)),
        ("7\n", Answer(["7"], "", None)),
        ("! exit soon\n", Answer([], "exit soon", None)),
        ("", Answer([], "", None)),
    ],
)
def test_what_it_printed_is_rows_and_notes(output: str, answer: Answer) -> None:
    assert read_answer(output) == answer
