"""When a region's database takes log out of the archive: target/database/regions/from-archive."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "target/database/regions/from-archive"
SOURCE = "user=replicator host=distances port=30501"
NEWEST = "7713536670646468630|4|1/580000A8|"
"""What a primary answers that writes the file 0000000400000001_00000058 of its log."""


class Node:
    """A standby's folder, and programs in place of psql and pgBackRest."""

    def __init__(self, folder: Path, s3: socket.socket) -> None:
        self.s3 = s3
        self.data, self.bin = folder / "data", folder / "bin"
        (self.data / "pg_wal").mkdir(parents=True)
        self.bin.mkdir()
        settings = f"port = '5432'\nprimary_conninfo = '{SOURCE}'\n"
        (self.data / "postgresql.conf").write_text(settings)
        self._program("pgbackrest", 'echo "$*" >> ../asked')
        self.answers(NEWEST)

    def _program(self, name: str, does: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def answers(self, text: str) -> None:
        """So the primary does, when it is asked as a replica; "" for not at all."""
        is_asked = f'[ "$1" = "{SOURCE} replication=true connect_timeout=2" ]'
        self._program("psql", f"{is_asked} && [ -n '{text}' ] && echo '{text}'")

    def gets(self, file: str) -> bool:
        """Whether the archive is asked for it; otherwise PostgreSQL is told that it has none."""
        host, port = self.s3.getsockname()
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}", "SPOOL": str(self.data / "spool"),
            "S3_HOST": host, "S3_PORT": str(port),
        }  # fmt: skip
        done = subprocess.run(
            [SCRIPT, file, "pg_wal/RECOVERYXLOG"],
            cwd=self.data, env=environment, timeout=20, check=False,
        )  # fmt: skip
        asked = self.data.parent / "asked"
        words = asked.read_text().split() if asked.exists() else []
        asked.unlink(missing_ok=True)
        assert words[-3:] in ([], ["archive-get", file, "pg_wal/RECOVERYXLOG"])
        assert done.returncode == (0 if words else 1)
        return bool(words)


@pytest.fixture
def s3() -> Iterator[socket.socket]:
    """Where the archive is asked for: nobody listens yet."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


@pytest.fixture
def node(tmp_path: Path, s3: socket.socket) -> Node:
    s3.listen()
    return Node(tmp_path, s3)


@pytest.mark.parametrize("file", ["000000040000000100000058", "00000005.history"])
def test_where_nobody_streams_all_comes_from_the_archive(node: Node, file: str) -> None:
    node.answers("")
    assert node.gets(file)


@pytest.mark.parametrize(
    ("file", "is_gone"),
    [
        ("000000040000000100000059", False),  # not written yet
        ("000000040000000100000058", False),
        ("000000030000000100000051", False),  # whatever the timeline
        ("000000040000000100000050", True),
        ("000000040000000000000058", True),
        ("00000005.history", False),
    ],
)
def test_what_the_source_still_has_comes_by_the_stream(
    node: Node, file: str, is_gone: bool
) -> None:
    assert node.gets(file) is is_gone


def test_what_is_here_already_is_fetched_only_if_it_could_not_be_used(node: Node) -> None:
    node.answers("")
    here, next_one = "000000040000000100000010", "000000040000000100000011"
    for name in (here, next_one):
        (node.data / "pg_wal" / name).touch()
    assert [node.gets(name) for name in (here, next_one, next_one)] == [False, False, True]


def test_where_nobody_listens_pgbackrest_does_not_try(tmp_path: Path, s3: socket.socket) -> None:
    away = Node(tmp_path, s3)
    away.answers("")
    assert not away.gets("000000040000000100000058")


def test_a_node_that_has_no_source_asks_the_archive(node: Node) -> None:
    (node.data / "postgresql.conf").write_text("port = '5432'\n")
    assert node.gets("000000040000000100000058")
