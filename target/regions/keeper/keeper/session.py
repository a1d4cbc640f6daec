"""psql that stays connected to a node: to start one for each question takes most of a turn."""

from __future__ import annotations

import os
import select
import subprocess
import time

SUPERUSER = os.environ.get("PATRONI_SUPERUSER_USERNAME", "postgres")


class Failed(Exception):
    """What did not work, where, in one line."""


class Session:
    """One connection of the superuser. After a question that failed it is not used again."""

    def __init__(self, node: str, name: str) -> None:
        to = f"host={node} user={SUPERUSER} dbname=postgres application_name={name}"
        environment = os.environ | {
            "PGPASSWORD": os.environ.get("PATRONI_SUPERUSER_PASSWORD", ""),
            "PGOPTIONS": "-c log_min_messages=panic",  # a switch that is ended is no news
        }
        self.node, self.is_open, self._left = node, True, b""
        self._psql = subprocess.Popen(
            ["psql", "-AtXq", "-d", to],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip

    def ask(self, sql: str, within_s: float, *, until: str) -> str:
        """The first line printed that has `until` in it. Failed with psql's last words, or late."""
        deadline_s, line = time.monotonic() + within_s, ""
        try:
            self._write(sql)
            while until not in line:
                line = self._line(deadline_s)
        except TimeoutError:
            self.end()
            late = f"no answer within {within_s:g} s; last: {line or 'nothing'}"
            raise Failed(f"{self.node}: psql: {late}") from None
        except (OSError, EOFError) as error:
            self.end()
            raise Failed(f"{self.node}: psql: {line or error}") from None
        return line

    def end(self) -> None:
        """Only psql: what the server is at goes on without it."""
        self.is_open = False
        self._psql.kill()
        self._psql.communicate()

    def _write(self, sql: str) -> None:
        if self._psql.stdin is not None:
            self._psql.stdin.write(f"{sql}\n".encode())

    def _line(self, deadline_s: float) -> str:
        """The next one. TimeoutError at the deadline, EOFError after the last one."""
        stdout = self._psql.stdout
        while b"\n" not in self._left and stdout is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([stdout], [], [], left_s)[0]:
                raise TimeoutError
            if not (more := stdout.read(65536)):
                raise EOFError("it ended without a word")
            self._left += more
        line, _, self._left = self._left.partition(b"\n")
        return line.decode(errors="replace")
