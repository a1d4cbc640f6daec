"""What pgBackRest is asked, and what is made of its errors."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import repository
from repository import Failed, alone, emptied, end, explain, info, pgbackrest, reach, wait_for
from requests.certs import where

BEGUN = "2026-11-28 10:00:00.345 P00  "
FORBIDDEN = """ERROR: [039]: HTTP request failed with 403 (Forbidden):
                                    *** Path/Query ***:
                                    GET /backups?delimiter=%2F&list-type=2
                                    *** Request Headers ***:
                                    authorization: <redacted>
                                    host: s3
                                    *** Response Content ***:
                                    <Error><Code>{code}</Code></Error>
"""
CASES = {
    "no primary": (
        "ERROR: [056]: unable to find primary cluster - cannot proceed\n"
        "            HINT: are all available clusters in recovery?\n",
        "no database node answers as the primary",
    ),
    "no server, of several repositories": (
        "ERROR: [103]: unable to find a valid repository:\n"
        "            repo1: [HostConnectError] unable to connect to 'toxiproxy:22611': [111] "
        "Connection refused\n",
        "the S3 server does not answer",
    ),
    "no server": (
        "ERROR: [049]: unable to get address for 's3': [-2] Name or service not known\n",
        "the S3 server does not answer",
    ),
    "a wrong password": (
        FORBIDDEN.format(code="SignatureDoesNotMatch"), "the S3 server refuses the credentials"
    ),
    "an unknown user": (
        FORBIDDEN.replace("403 (Forbidden)", "404 (Not Found)").format(code="XAdminUserNotFound"),
        "the S3 server refuses the credentials",
    ),
    "no bucket": (
        FORBIDDEN.replace("403 (Forbidden)", "404 (Not Found)").format(code="NoSuchBucket"),
        "the bucket `backups` is not there",
    ),
    "a full disk": (
        FORBIDDEN.replace("403 (Forbidden)", "507 (Insufficient Storage)").format(code="x"),
        "the disk of the S3 server is full",
    ),
    "a full disk, while copying": (
        "ERROR: [101]: raised from local-1 protocol: [507] Insufficient Storage\n"
        "            [ServiceError] on 7 retries from 289-5181ms: [507] Insufficient Storage\n",
        "the disk of the S3 server is full",
    ),
    "no certificate": (
        "ERROR: [095]: unable to load CA file '/etc/s3/ca.pem': [2] No such file or directory\n",
        "certificate is not trusted",
    ),
    "another certificate": (
        "ERROR: [095]: unable to verify certificate presented by 'toxiproxy:22611 (10.0.0.32)': "
        "[20] unable to get local issuer certificate\n",
        "certificate is not trusted",
    ),
    "a wrong key": (
        "ERROR: [095]: unable to load info file '/hourly/archive/main/archive.info' or "
        "'/hourly/archive/main/archive.info.copy':\n"
        "            CryptoError: cipher header invalid\n"
        "            HINT: is or was the repo encrypted?\n",
        "another BACKUP_KEY",
    ),
    "a wrong key, late": ("ERROR: [095]: unable to flush\n", "another BACKUP_KEY"),
    "a time before all backups": (
        "ERROR: [075]: unable to find backup set with stop time less than "
        "'2026-11-01 10:00:00.000000+00'\n",
        "choose a later time",
    ),
    "no server, while restoring": (  # what is wrong was only warned of
        "ERROR: [075]: no backup set found to restore\n",
        "is the S3 server running",
    ),
    "another backup": (
        "ERROR: [050]: unable to acquire lock on file '/tmp/pgbackrest/main-backup.lock': "
        "Resource temporarily unavailable\n"
        "            HINT: is another pgBackRest process running?\n",
        "wait for its end",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("printed", "hint"), CASES.values(), ids=CASES)
def test_an_error_says_in_one_line_what_to_do(printed: str, hint: str) -> None:
    warned = f"{BEGUN} WARN: unable to check pg2: [DbConnectError] unable to connect\n"
    more = f"{BEGUN} INFO: backup command end: aborted with exception\n"
    said = explain(f"{warned}{BEGUN}{printed}{more}")
    assert said == explain(BEGUN + printed)
    assert "\n" not in said
    assert said.startswith(printed[len("ERROR: ") :].split(":")[0])
    assert said.endswith(")")
    assert hint in said
    assert [text for _, text in repository.HINTS if text in said] == [
        text for _, text in repository.HINTS if hint in text
    ]


def test_an_error_names_the_repository_that_failed() -> None:
    said = explain(CASES["no server, of several repositories"][0])
    assert "repo1: [HostConnectError] unable to connect to 'toxiproxy:22611'" in said


def test_what_was_sent_over_http_is_left_out() -> None:
    said = explain(CASES["a wrong password"][0])
    assert said.startswith("[039]: HTTP request failed with 403 (Forbidden) (the S3 server")
    assert "authorization" not in said


def test_why_no_backup_can_be_read_is_only_warned_of() -> None:
    warned = FORBIDDEN.replace("ERROR: [039]:", "WARN: repo1: [ProtocolError]").format(code="x")
    unread = "ERROR: [075]: no backup set found to restore\n"
    said = explain(f"{BEGUN} {warned}{BEGUN}{unread}")
    assert said.startswith("[075]: no backup set found to restore: [ProtocolError] HTTP request")
    assert said.endswith(
        "(the S3 server refuses the credentials: S3_KEY and S3_KEY_SECRET of target/secrets.env)"
    )


@pytest.mark.parametrize(
    "unknown",
    [
        "ERROR: [055]: unable to load info file '/hourly/backup/main/backup.info':\n"
        "            FileMissingError: unable to open missing file\n",
        "ERROR: [082]: WAL segment 000000010000000000000403 is not here\n",
        "[OptionInvalidError] 404 is out of range",
    ],
)
def test_what_nobody_knows_has_no_hint(unknown: str) -> None:
    said = explain(unknown)
    assert said
    assert not [text for _, text in repository.HINTS if text in said]


def test_a_command_that_fails_or_hangs_names_itself(programs: Any) -> None:
    def hang(command: Any, _: str) -> str:
        raise subprocess.TimeoutExpired(command, 7.0)

    programs.acts["pgbackrest"] = hang
    with pytest.raises(Failed, match="pgbackrest backup: no end after 7 s; does the S3 server"):
        pgbackrest("--repo=1", "backup", timeout_s=7.0)
    assert programs.asked == [["pgbackrest", "--stanza=main", "--repo=1", "backup"]]


def test_an_error_is_read_wherever_it_was_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 50, CASES["another backup"][0], "WARN: something\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(Failed, match=r"^pgbackrest backup: \[050\]: unable .*wait for its end"):
        pgbackrest("backup")


def _answer(programs: Any, *codes: int, message: str = "ok") -> dict[str, Any]:
    stanza = {
        "name": "main",
        "backup": [],
        "repo": [
            {"key": key, "status": {"code": code, "message": message if code else "ok"}}
            for key, code in enumerate(codes, start=1)
        ],
    }
    programs.acts["pgbackrest"] = lambda *_: json.dumps([stanza])
    return stanza


def test_repositories_without_a_backup_are_well(programs: Any) -> None:
    stanza = _answer(programs, 0, 2, 2, message="no valid backups")
    assert info() == stanza
    assert programs.asked_of("pgbackrest") == [["--stanza=main", "--output=json", "info"]]


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (99, "[HostConnectError] unable to connect to 'toxiproxy:22611'", "does not answer"),
        (99, "[CryptoError] cipher header invalid\nHINT: is it encrypted?", "another BACKUP_KEY"),
        (1, "missing stanza path", "missing stanza path"),
    ],
)
def test_a_repository_that_cannot_be_read_is_not_an_empty_one(
    programs: Any, code: int, message: str, said: str
) -> None:
    _answer(programs, 0, code, 0, message=message)
    with pytest.raises(Failed, match=f"repository daily: .*{said}"):
        info()


def test_damaged_backups_and_those_of_other_repositories_do_not_count() -> None:
    def one(label: str, repository_key: int, **more: Any) -> dict[str, Any]:
        return {"label": label, "database": {"repo-key": repository_key}, **more}

    taken = [one("a", 1), one("b", 2), one("c", 1, error=True), one("d", 1, error=False)]
    found = repository.backups({"backup": taken}, 1)
    assert [backup["label"] for backup in found] == ["a", "d"]
    assert repository.backups({}, 1) == []


def of_server(folder: Path, ca: Path) -> Path:
    """As pgbackrest.conf names one."""
    path = folder / "pgbackrest.conf"
    path.write_text(f"[global]\nrepo1-s3-endpoint=s3\nrepo1-storage-ca-file={ca}\n# 100% of it\n")
    return path


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[socket.socket]:
    """Where the S3 server should be: nobody listens yet."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PGBACKREST_REPO1_STORAGE_HOST", "127.0.0.1")
        monkeypatch.setenv("PGBACKREST_REPO1_STORAGE_PORT", str(taken.getsockname()[1]))
        monkeypatch.setattr(repository, "CONFIG", of_server(tmp_path, Path(where())))
        yield taken


def test_a_server_that_is_not_there_is_found_out_at_once(port: socket.socket) -> None:
    number = port.getsockname()[1]
    with pytest.raises(Failed) as caught:
        reach()
    assert f"connect to 127.0.0.1:{number}" in str(caught.value)
    assert "the S3 server does not answer; is it running?" in str(caught.value)


def test_a_link_without_a_server_behind_it_is_none(port: socket.socket) -> None:
    """It takes the connection, and closes it or says nothing."""
    port.listen()
    with pytest.raises(Failed, match="the S3 server does not answer"):
        reach(within_s=0.2)


def test_without_its_certificate_no_server_is_asked(
    port: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(repository, "CONFIG", of_server(tmp_path, tmp_path / "ca.pem"))
    with pytest.raises(Failed, match=r"no .*/ca.pem: the S3 server makes it when it starts"):
        reach()


def test_only_one_is_going_on(programs: Any) -> None:
    with (
        alone("restore"),
        alone("drill"),
        pytest.raises(Failed, match="another restore is going on here; wait"),
        alone("restore"),
    ):
        pytest.fail("there were two")
    with alone("restore"):
        pass  # the first has ended


def test_what_waits_gives_up_in_time() -> None:
    seen = iter([False, False, True])
    wait_for("all", lambda: next(seen), 60.0, every_s=0.0)
    assert next(seen, "used up") == "used up"
    with pytest.raises(Failed, match="all: not after 0 s"):
        wait_for("all", lambda: False, 0.0, every_s=0.001)


def test_a_postgres_that_was_left_over_is_stopped_before_its_data_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, asked = tmp_path / "data", list[list[str]]()
    data.mkdir()
    child = subprocess.Popen([sys.executable, "-c", "input()"], cwd=data, stdin=subprocess.PIPE)
    (data / "postmaster.pid").write_text(f"{child.pid}\n{data}\n")

    def stop(command: list[str], **_: Any) -> None:
        assert (data / "postmaster.pid").exists()
        asked.append(command)

    monkeypatch.setattr(subprocess, "run", stop)
    emptied(data)
    child.communicate(b"\n")
    assert asked == [["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"]]
    assert list(data.iterdir()) == []
    assert data.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("written", ["1\n", "x\n", "", "4194999\n"])
def test_no_other_process_is_stopped(programs: Any, tmp_path: Path, written: str) -> None:
    """Numbers of processes begin anew with each start of the container."""
    (tmp_path / "postmaster.pid").write_text(written)
    end(tmp_path)
    end(tmp_path / "nothing here")
    assert programs.asked == []
