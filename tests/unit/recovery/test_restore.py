"""A restore puts a database in place that has come up, or leaves all as it was."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import restore as script
from recovery_programs import Broken, Programs
from repository import Failed, alone

NODES = ["db-1", "db-2", "db-3"]
KEPT = "data.before-restore"


@dataclass
class Etcd:
    """Answers every call with `status`, and keeps which keys were to be removed."""

    status: int = 200
    removed: list[str] = field(default_factory=list)
    place: str = ""

    def serve(self) -> ThreadingHTTPServer:
        etcd = self

        class Page(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v3/kv/deleterange"
                assert set(asked) == {"key"}
                if etcd.status == 200:
                    etcd.removed.append(base64.b64decode(asked["key"]).decode())
                self.send_response(etcd.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.place = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    made = Etcd()
    server = made.serve()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Where nobody listens, and nobody will."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@dataclass
class Place:
    """The volumes of three nodes that are down, and how a restore goes there."""

    root: Path
    programs: Programs
    fatal: str = ""
    is_in_recovery: list[str] = field(default_factory=lambda: ["t", "t", "f"])

    def __post_init__(self) -> None:
        for node in NODES:
            (self.root / node / "data").mkdir(parents=True)
            (self.root / node / "data" / "what").write_text(f"of {node}")
        self.programs.acts = {
            "pgbackrest": self.copy, "pg_ctl": self.control, "psql": self.answer
        }  # fmt: skip

    def copy(self, command: Sequence[str], _: str) -> str:
        data = Path(os.environ["PGBACKREST_PG1_PATH"])
        assert list(data.iterdir()) == []
        (data / "what").write_text("restored")
        return ""

    def control(self, command: Sequence[str], _: str) -> str:
        if command[-1] == "start" and self.fatal:
            script.LOG.write_text(f"LOG:  starting\n2026-11-28 10:00 FATAL:  {self.fatal}\n")
            raise Broken("pg_ctl: could not start server")
        return ""

    def answer(self, command: Sequence[str], _: str) -> str:
        if "pg_is_in_recovery" in command[-1]:
            return self.is_in_recovery.pop(0) + "\n"
        return "7\n" if "timeline_id" in command[-1] else ""

    def restored(self, *arguments: str) -> int:
        """What the script, called so, ends with."""
        sys.argv[1:] = arguments
        return script.main()

    def found(self) -> dict[str, str]:
        """What is in each folder of data."""
        files = sorted(self.root.glob("db-*/data*/what"))
        return {str(path.parent.relative_to(self.root)): path.read_text() for path in files}


AS_IT_WAS = {f"{node}/data": f"of {node}" for node in NODES}


@pytest.fixture
def place(tmp_path: Path, programs: Programs, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in {
        "reach": lambda: None,
        "VOLUMES": tmp_path / "db",
        "NODES": NODES,
        "ETCD": [etcd.place],
        "SCOPE": "shop",
        "LOG": tmp_path / "restore.log",
        "_answers": lambda *_: False,
    }.items():
        monkeypatch.setattr(script, name, value)
    monkeypatch.setattr(sys, "argv", ["restore.py"])
    monkeypatch.setenv("no_proxy", "*")
    return Place(tmp_path / "db", programs)


def test_to_the_newest_state(place: Place, etcd: Etcd, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.restored() == 0
    assert place.found() == {
        "db-1/data": "restored",
        f"db-1/{KEPT}": "of db-1",
        f"db-2/{KEPT}": "of db-2",
        f"db-3/{KEPT}": "of db-3",
    }
    [asked] = place.programs.asked_of("pgbackrest")
    assert asked == ["--stanza=main", "--process-max=2", "restore"]
    assert [arguments[-1] for arguments in place.programs.asked_of("pg_ctl")] == ["start", "stop"]
    assert etcd.removed == [f"/service/shop/{name}" for name in script.FORGOTTEN]
    told = json.loads(capsys.readouterr().out)
    assert (told["timeline"], told["to"]) == (7, None)
    assert told["copied_s"] >= 0 <= told["replayed_s"]


def test_to_a_moment(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.restored("--to", "2026-11-28T11:00:00.123456+01:00") == 0
    [asked] = place.programs.asked_of("pgbackrest")
    assert asked[1:3] == ["--type=time", "--target=2026-11-28 10:00:00.123456+00"]
    assert json.loads(capsys.readouterr().out)["to"] == "2026-11-28T11:00:00.123456+01:00"


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 11, 28, 10, tzinfo=UTC), "2026-11-28 10:00:00.000000+00"),
        (
            datetime(2026, 11, 28, 0, 30, 0, 7, timezone(timedelta(hours=5, minutes=30))),
            "2026-11-27 19:00:00.000007+00",
        ),
    ],
)
def test_a_moment_as_postgresql_reads_it(moment: datetime, written: str) -> None:
    assert script._as_postgres(moment) == written


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2026-11-28T10:00:00", "'2026-11-28T10:00:00': write a time with a time zone, as 2026-"),
        ("yesterday", "'yesterday': write a time with a time zone, as 2026-11-28T10:00:00+00:00"),
    ],
)
def test_a_time_that_could_mean_several_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str], written: str, said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        place.restored("--to", written)
    assert said in capsys.readouterr().err
    assert place.programs.asked == []
    assert place.found() == AS_IT_WAS


def test_nothing_is_touched_while_a_node_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    up = {("db-2", 5432), ("db-3", 8008)}
    monkeypatch.setattr(script, "_answers", lambda node, port: (node, port) in up)
    assert place.restored() == 1
    said = capsys.readouterr().err
    assert said == "error: db-2, db-3 still running; stop all of: db-1 db-2 db-3\n"
    assert place.programs.asked == []
    assert place.found() == AS_IT_WAS


def test_whether_a_node_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert script._answers("127.0.0.1", port)
    assert not script._answers("127.0.0.1", port)


def test_what_was_kept_of_an_earlier_restore_is_replaced(place: Place) -> None:
    assert place.restored() == 0
    (place.root / "db-2" / "data").mkdir()
    (place.root / "db-2" / "data" / "what").write_text("copied from db-1")
    place.is_in_recovery = ["f"]
    assert place.restored() == 0
    assert place.found() == {
        "db-1/data": "restored",
        f"db-1/{KEPT}": "restored",
        f"db-2/{KEPT}": "copied from db-1",
        f"db-3/{KEPT}": "of db-3",  # it had nothing newer
    }


def test_disks_that_were_lost(place: Place) -> None:
    for node in NODES:
        (place.root / node / "data" / "what").unlink()
        (place.root / node / "data").rmdir()
    assert place.restored() == 0
    assert place.found() == {"db-1/data": "restored"}


def test_what_an_interrupted_restore_left_is_no_part_of_the_next(place: Place) -> None:
    (place.root / "db-1" / "data.restored").mkdir()
    (place.root / "db-1" / "data.restored" / "half").touch()
    assert place.restored() == 0
    assert [path.name for path in (place.root / "db-1" / "data").iterdir()] == ["what"]


def _all_as_it_was(place: Place, etcd: Etcd) -> None:
    found = place.found()
    found.pop("db-1/data.restored", "")
    assert found == AS_IT_WAS
    assert etcd.removed == []


@pytest.mark.parametrize(
    ("fatal", "said"),
    [
        (
            "recovery ended before configured recovery target was reached",
            "the archive does not reach that far, so choose an earlier time",
        ),
        (
            "requested recovery stop point is before consistent recovery point",
            "no backup is that old, so choose a later time",
        ),
        ("could not open file", "the log cannot be replayed: could not open file\n"),
    ],
)
def test_a_database_that_does_not_come_up_replaces_nothing(
    place: Place, etcd: Etcd, capsys: pytest.CaptureFixture[str], fatal: str, said: str
) -> None:
    place.fatal = fatal
    assert place.restored() == 1
    error = capsys.readouterr().err
    assert fatal in error
    assert said in error
    _all_as_it_was(place, etcd)


def test_a_database_that_dies_while_it_replays_replaces_nothing(
    place: Place, etcd: Etcd, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed from outside it says nothing itself."""

    def die(*_: Any) -> str:
        raise Broken("psql: error: connection to server failed: No such file or directory")

    place.programs.acts["psql"] = die
    assert place.restored() == 1
    assert "PostgreSQL gave up: psql: error: connection" in capsys.readouterr().err
    assert place.programs.asked_of("pg_ctl")[-1][-1] == "stop"
    _all_as_it_was(place, etcd)


def test_a_server_that_does_not_answer_is_said_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise Failed("it is away")

    monkeypatch.setattr(script, "reach", away)
    assert place.restored() == 1
    assert capsys.readouterr().err == "error: it is away\n"
    assert place.found() == AS_IT_WAS
    assert place.programs.asked == []


def test_a_backup_that_cannot_be_read_replaces_nothing(
    place: Place, etcd: Etcd, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> str:
        raise Broken("ERROR: [049]: unable to get address for 's3'")

    place.programs.acts["pgbackrest"] = fail
    assert place.restored() == 1
    assert "error: pgbackrest restore: [049]: unable to get address" in capsys.readouterr().err
    assert place.programs.asked_of("pg_ctl") == []
    _all_as_it_was(place, etcd)


def test_the_next_etcd_is_asked_when_one_does_not_answer(
    place: Place, etcd: Etcd, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = Etcd(status=503)
    server = ill.serve()
    monkeypatch.setattr(script, "ETCD", [nowhere, ill.place, etcd.place])
    assert place.restored() == 0
    server.shutdown()
    server.server_close()
    assert etcd.removed == [f"/service/shop/{name}" for name in script.FORGOTTEN]
    assert ill.removed == []


def test_without_an_etcd_nothing_is_replaced(
    place: Place,
    etcd: Etcd,
    nowhere: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script, "ETCD", [nowhere, nowhere])
    assert place.restored() == 1
    assert f"error: no etcd answers: {nowhere} {nowhere}\n" in capsys.readouterr().err
    _all_as_it_was(place, etcd)


def test_one_restore_at_a_time(
    place: Place, etcd: Etcd, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one would remove the data that the first is about to put in place."""
    with alone("restore"):
        assert place.restored() == 1
    assert "another restore is going on here" in capsys.readouterr().err
    assert place.programs.asked == []
    _all_as_it_was(place, etcd)
