"""A drill says that a backup is right only if all rows are there and are the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drill
import pytest
from recovery_programs import Broken, Programs
from repository import alone

LINKS = {
    "abc": "https://a.example/",
    "def": "https://d.example/?x=1,2",
    "ghi": "https://g.example/",
}


def _sum(links: dict[str, str]) -> str:
    """Another one for other rows, as PostgreSQL's would be."""
    return str(sum(int(hashlib.md5(repr(pair).encode()).hexdigest(), 16) for pair in links.items()))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@dataclass
class Databases:
    """A primary, its newest backup, and what psql prints of both.

    `restored` are the links in the copy that were there at the snapshot; `told` are the links that
    the copy counts, if it counts others than it has.
    """

    programs: Programs
    primary: dict[str, str] = field(default_factory=lambda: dict(LINKS))
    restored: dict[str, str] = field(default_factory=lambda: dict(LINKS))
    told: dict[str, str] | None = None
    backups: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=lambda: ["f", "f", "t"])

    def __post_init__(self) -> None:
        self.backups = [_backup("20261128-100000F"), _backup("20261128-100000F_20261128-110000I")]
        self.programs.acts = {"psql": self.answer, "pgbackrest": self.repository}

    def repository(self, command: Sequence[str], _: str) -> str:
        return json.dumps([{"repo": [], "backup": self.backups}]) if command[-1] == "info" else ""

    def answer(self, command: Sequence[str], sql: str) -> str:
        if "/tmp" in command:
            return self._of_copy(sql)
        if "pg_create_restore_point" in sql:
            sample = ",".join(f"{code} {_md5(url)}" for code, url in self.primary.items())
            state = f"{len(self.primary)}|{_sum(self.primary)}"
            return f"0/5000|700:705:702\n{state}\n{sample}\n000000010000000000000005\n"
        return "t\n" if "last_archived_wal" in sql else ""

    def _of_copy(self, sql: str) -> str:
        if "pause_state" in sql:
            return self.states.pop(0) + "\n"
        if "pg_visible_in_snapshot" in sql:
            assert "'700:705:702'" in sql
            counted = self.restored if self.told is None else self.told
            return f"{len(counted)}|{_sum(counted)}\n"
        pairs = re.findall(r"\('(\w+)','(\w+)'\)", sql)
        if not pairs:
            raise Broken('psql: ERROR:  syntax error at or near ")"')
        return str(sum(_md5(self.restored.get(code, "")) == md5 for code, md5 in pairs)) + "\n"


def _backup(label: str) -> dict[str, Any]:
    return {"label": label, "database": {"repo-key": 1}}


@pytest.fixture
def databases(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Databases:
    monkeypatch.setattr(drill, "RESTORED", tmp_path / "restored")
    monkeypatch.setattr(drill, "LOG", tmp_path / "drill.log")
    monkeypatch.setenv("PATRONI_SUPERUSER_PASSWORD", "my-secret-1")
    monkeypatch.setenv("PGPASSWORD", "")
    return Databases(programs)


@dataclass(frozen=True)
class Told:
    """How a drill ended."""

    code: int
    facts: dict[str, Any]
    restored: list[str]
    """The labels that were annotated as restored."""


def _drilled(databases: Databases, capsys: pytest.CaptureFixture[str]) -> Told:
    code = drill.main()
    last = capsys.readouterr().out.splitlines()[-1]
    asked = databases.programs.asked_of("pgbackrest")
    annotated = [arguments for arguments in asked if arguments[-1] == "annotate"]
    assert all("--repo=1" in each and "--annotation=restored=" in each[3] for each in annotated)
    return Told(code, json.loads(last), [each[2].removeprefix("--set=") for each in annotated])


def test_the_same_on_both(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    told = _drilled(databases, capsys)
    newest = "20261128-100000F_20261128-110000I"
    assert (told.code, told.restored) == (0, [newest])
    took_s = told.facts.pop("took_s")
    assert took_s >= 0
    assert told.facts == {
        "restored": True, "backup": newest, "rows": 3, "rows_of_primary": 3, "sampled": 3,
        "is_same": True,
    }  # fmt: skip
    [restore] = [a for a in databases.programs.asked_of("pgbackrest") if a[-1] == "restore"]
    [name] = re.findall(r"--target=(drill-\d{8}-\d{6})\b", " ".join(restore))
    assert restore[1:3] == ["--repo=1", f"--set={newest}"]
    assert restore[3:6] == ["--type=name", f"--target={name}", "--target-action=pause"]
    assert os.environ["PGBACKREST_PG1_PATH"] == str(drill.RESTORED)


WRONG = {
    "one row less": {"restored": {key: LINKS[key] for key in ("abc", "def")}},
    "one row more": {"restored": {**LINKS, "jkl": "https://j.example/"}},
    "one wrong": {"restored": {**LINKS, "def": "https://d.example/~damaged"}},
    "one wrong, although the sum is the same": {
        "restored": {**LINKS, "def": "https://d.example/~damaged"}, "told": LINKS,
    },
    "another sum, although the sample is the same": {
        "told": {**LINKS, "def": "https://d.example/~damaged"},
    },
    "nothing restored": {"restored": {}},
    "nothing anywhere": {"primary": {}, "restored": {}},
}  # fmt: skip


@pytest.mark.parametrize("facts", WRONG.values(), ids=WRONG)
def test_a_backup_that_is_not_right_is_not_called_restored(
    databases: Databases, capsys: pytest.CaptureFixture[str], facts: dict[str, Any]
) -> None:
    for name, value in facts.items():
        setattr(databases, name, value)
    told = _drilled(databases, capsys)
    assert (told.code, told.restored) == (1, [])
    assert told.facts["restored"] is False
    assert told.facts["is_same"] is False
    assert told.facts["rows_of_primary"] == len(databases.primary)


def test_rows_without_a_sample_prove_nothing(databases: Databases) -> None:
    """TABLESAMPLE may find none."""
    primary = {"snapshot": "700:705:702", "rows": "3", "sum": _sum(LINKS), "sample": ""}
    assert drill.compared(primary) == {
        "rows": 3, "rows_of_primary": 3, "sampled": 0, "is_same": False
    }  # fmt: skip


def test_without_a_backup_nothing_is_touched(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.backups = []
    told = _drilled(databases, capsys)
    assert (told.code, told.restored) == (1, [])
    assert told.facts == {"restored": False, "error": "there is no backup to restore"}
    assert databases.programs.asked_of("psql") == []


def test_without_a_primary_it_says_whom_to_ask(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> str:
        raise Broken("server closed the connection unexpectedly", code=2)

    databases.programs.acts["psql"] = refuse
    told = _drilled(databases, capsys)
    assert (told.code, told.restored) == (1, [])
    said = "no database node answers as the primary: harness status"
    assert told.facts == {"restored": False, "error": said}


def test_a_backup_that_does_not_start(
    databases: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: Sequence[str], _: str) -> str:
        drill.LOG.write_text("LOG:  x\nFATAL:  could not locate required checkpoint record\n")
        raise Broken("pg_ctl: could not start server")

    databases.programs.acts["pg_ctl"] = fail
    told = _drilled(databases, capsys)
    assert (told.code, told.restored) == (1, [])
    assert "the backup does not start: FATAL:  could not locate" in told.facts["error"]


def test_the_copy_is_stopped_whatever_came_of_it(
    databases: Databases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list[Path]()
    monkeypatch.setattr(drill, "end", ended.append)
    assert _drilled(databases, capsys).code == 0
    databases.states = ["t"]
    databases.told = {}
    assert _drilled(databases, capsys).code == 1
    assert ended == [drill.RESTORED, drill.RESTORED]


def test_one_drill_at_a_time(databases: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    with alone("drill"):
        told = _drilled(databases, capsys)
    assert told.code == 1
    assert "another drill is going on here" in told.facts["error"]
    assert databases.programs.asked == []
