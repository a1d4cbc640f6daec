"""A session with a psql that is a small script."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from keeper.session import Failed, Session

ECHO = '#!/bin/sh\nwhile read -r line; do echo said; echo "NOTICE:  $line"; done\n'
SILENT = "#!/bin/sh\nread -r line; echo 'could not connect'; exec cat > /dev/null\n"
ENDS = "#!/bin/sh\nread -r line; echo 'FATAL:  the database system is starting up'\n"


@pytest.fixture
def psql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "psql"


def session(psql: Path, script: str) -> Session:
    psql.write_text(script)
    psql.chmod(0o755)
    return Session("db-1", "keeper")


def test_it_is_asked_again_and_again(psql: Path) -> None:
    asked = session(psql, ECHO)
    assert asked.ask("first;", 10, until="first") == "NOTICE:  first;"
    assert asked.ask("second;", 10, until="second") == "NOTICE:  second;"
    assert asked.is_open
    asked.end()
    assert not asked.is_open


def test_no_answer_in_time_ends_it_with_the_last_words(psql: Path) -> None:
    asked = session(psql, SILENT)
    with pytest.raises(Failed) as failed:
        asked.ask("first;", 0.3, until="first")
    assert str(failed.value).startswith("db-1: psql: no answer within 0.3 s; last: ")
    assert not asked.is_open


def test_what_psql_says_when_it_ends_is_the_reason(psql: Path) -> None:
    asked = session(psql, ENDS)
    with pytest.raises(Failed, match="db-1: psql: FATAL:  the database system is starting up"):
        asked.ask("first;", 10, until="first")


def test_a_psql_that_is_gone_is_no_crash(psql: Path) -> None:
    asked = session(psql, "#!/bin/sh\nexit 1\n")
    with pytest.raises(Failed, match="db-1: psql: "):
        asked.ask("first;", 10, until="first")
