"""What Prometheus is told of backups and archive: what is not known is left out."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from metrics import Archive, Calendar, archive, metrics
from recovery_programs import Broken, Programs
from repository import Failed

CALENDAR = Calendar(6.0, 1_000.0)
ANSWER = {
    "node": "db-2",
    "started_s": 900.25,
    "timeline": "0000000A",
    "failures": 3,
    "is_failing": True,
    "waiting_bytes": 33554432,
    "waiting_since_s": 1_960.5,
}


def _backup(number: int, start_s: int, **more: Any) -> dict[str, Any]:
    return {"database": {"repo-key": number}, "timestamp": {"start": start_s}, **more}


def _values(text: str) -> dict[str, float]:
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def test_without_knowledge_only_the_calendar_is_told() -> None:
    assert metrics(CALENDAR, None, None, 2_000.0) == (
        "# TYPE backup_begun_timestamp_seconds gauge\n"
        "backup_begun_timestamp_seconds 1000.0\n"
        "# TYPE backup_hour_seconds gauge\n"
        "backup_hour_seconds 6.0\n"
    )


def test_of_each_repository_number_newest_and_last_proof() -> None:
    proofs = [{"restored": "1970-01-01T00:30:00+00:00"}, {"restored": "1970-01-01T00:20:00+00:00"}]
    stanza = {
        "backup": [
            _backup(1, 1_100, annotation=proofs[0]),
            _backup(1, 1_200, annotation=proofs[1]),
            _backup(1, 1_300, annotation={"restored": "by hand"}),
            _backup(1, 1_400, error=True),
            _backup(2, 1_150, annotation=None),
        ]
    }
    assert _values(metrics(CALENDAR, stanza, None, 2_000.0)) == {
        "backup_hour_seconds": 6.0,
        "backup_begun_timestamp_seconds": 1_000.0,
        'backup_count{repository="hourly"}': 3,
        'backup_count{repository="daily"}': 1,
        'backup_count{repository="weekly"}': 0,
        'backup_newest_timestamp_seconds{repository="hourly"}': 1_300,
        'backup_newest_timestamp_seconds{repository="daily"}': 1_150,
        'backup_proven_timestamp_seconds{repository="hourly"}': 1_800.0,
    }


@pytest.mark.parametrize(("since_s", "waited_s"), [(1_960.5, 39.5), (None, 0.0), (2_001.0, 0.0)])
def test_how_long_the_log_waits_goes_on_between_two_answers(
    since_s: float | None, waited_s: float
) -> None:
    found = Archive("db-2", 900.25, "0000000A", 3, True, 33554432, since_s)
    values = _values(metrics(CALENDAR, None, found, 2_000.0))
    assert values['archive_waiting_seconds{node="db-2"}'] == waited_s
    assert values['archive_waiting_bytes{node="db-2"}'] == 33554432
    assert values['archive_failures_total{node="db-2"}'] == 3
    assert values['archive_failing{node="db-2"}'] == 1


def test_each_name_has_its_type_once_and_before_its_values() -> None:
    found = Archive("db-2", 900.25, "0000000A", 3, False, 0, None)
    seen = set()
    for line in metrics(CALENDAR, {"backup": []}, found, 2_000.0).splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in seen
            seen.add(name)
        else:
            assert line.partition("{")[0].split()[0] == name


@pytest.mark.parametrize(
    ("start_s", "timeline", "is_torn"),
    [(901, "0000000A", False), (900, "0000000A", True), (901, "00000009", True)],
)
def test_log_may_be_missing_since_a_backup_of_before_a_start_or_a_promotion(
    start_s: int, timeline: str, is_torn: bool
) -> None:
    found = Archive("db-2", 900.25, "0000000A", 3, False, 0, None)
    newest = _backup(1, start_s, archive={"start": f"{timeline}0000000000000042"})
    assert found.may_be_torn(newest) is is_torn


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (2, 1):
        monkeypatch.setenv(f"PGBACKREST_PG{number}_SOCKET_PATH", f"/db/db-{number}")
        monkeypatch.setenv(f"PGBACKREST_PG{number}_PATH", f"/db/db-{number}/data")


@pytest.mark.usefixtures("nodes")
def test_whichever_node_is_primary_is_asked(programs: Programs) -> None:
    programs.acts["psql"] = lambda *_: json.dumps(ANSWER)
    assert archive() == Archive("db-2", 900.25, "0000000A", 3, True, 33554432, 1_960.5)
    [[server, *_]] = programs.asked_of("psql")
    assert "host=/db/db-1,/db/db-2 " in server
    assert server.endswith(" target_session_attrs=primary")


@pytest.mark.usefixtures("nodes")
def test_no_primary_is_said_in_psqls_words(programs: Programs) -> None:
    def refuse(*_: object) -> str:
        raise Broken("session is not read-write")

    programs.acts["psql"] = refuse
    with pytest.raises(Failed, match=r"no primary says.*: session is not read-write"):
        archive()


@pytest.mark.usefixtures("nodes")
def test_a_primary_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(Failed, match="no primary says within 4 s"):
        archive()
