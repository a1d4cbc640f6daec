"""A worker's side: what its machine permits, what it hands over, and that it ends."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from played_workers import engine_config, part

from harness.load import allowed_hosts
from harness.load.engine.config import Entry
from harness.load.workers import (
    BATCH,
    BEGIN,
    DRAIN,
    DRAINED,
    END,
    GONE,
    HELLO,
    PART,
    PING,
    PLAN,
    PONG,
    READY,
    TOKENS,
    TRACED,
    UNABLE,
)
from harness.load.workers import share as share_module
from harness.load.workers.protocol import protocol
from harness.load.workers.share import DURATION_MAX_S, MASTER_SILENT_S, Share
from harness.load.workers.this_machine import this_machine
from harness.record.tables import write_tokens, write_traced


class FakeEngine:
    def __init__(self, config: Path, calls: list[str], folder: Path) -> None:
        self.config = json.loads(config.read_text())
        self._calls, self._folder = calls, folder

    def begin(self, start_s: float) -> None:
        self._calls.append(f"begin {start_s}")

    def stop(self) -> None:
        self._calls.append("stop")
        write_part(self._folder, 1, [9.0])  # what was left
        write_tokens(self._folder, "main-w0", 0, [(0, "t")])
        write_traced(self._folder, "main-w0", 0, [(0, "get", 0.5, 0.75, 503, "", "", True)])
        (self._folder / "main-w0-examples.json").write_text("[]")

    def hang_up(self) -> None:
        self._calls.append("hang up")


def write_part(folder: Path, number: int, due_s: list[float]) -> bytes:
    data = part(folder, due_s)
    (folder / "made-00000.parquet").unlink()
    (folder / f"main-w0-{number:05d}.parquet").write_bytes(data)
    return data


class Working:
    """A share, what it sent and told, and its engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.told: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.codes: list[int] = []
        self.engines: list[FakeEngine] = []
        self.share = Share(
            folder, lambda kind, data: self.sent.append((kind, data)), self._start,
            self.told.append, self.codes.append,
        )  # fmt: skip

    def _start(self, config: Path) -> FakeEngine:
        self.engines.append(FakeEngine(config, self.calls, self.folder))
        return self.engines[-1]

    def plan(self, *, machine: str | None = None, replay: bytes = b"", **config: Any) -> None:
        made = engine_config(Path("/of/the/master"), **{"workers": 2, **config})
        here = this_machine() if machine is None else machine
        self.share.hear(PLAN, {"config": asdict(made), "machine": here, "replay": replay})

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.sent]


@pytest.fixture
def working(tmp_path: Path) -> Working:
    return Working(tmp_path)


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of hosts of this machine's user."""
    path = tmp_path / "allowed-hosts"
    monkeypatch.setattr(allowed_hosts, "list_path", lambda: path)
    return path


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the worker's clock."""
    time = [500.0]
    monkeypatch.setattr(share_module, "monotonic", lambda: time[0])
    return time


def test_its_life(working: Working) -> None:
    working.share.hello("key")
    working.plan(run_id="r1")
    working.share.heard(b'{"ready": true}', {"ready": True})
    working.share.hear(BEGIN, {"start_s": 12.5})
    working.share.heard(b"line", {"ops": []})
    first = write_part(working.folder, 0, [1.0])
    working.share.tick()
    working.share.hear(DRAIN, {})
    assert working.kinds() == [HELLO, READY, BATCH, PART, PART, TOKENS, TRACED, DRAINED]
    sent = dict(working.sent)
    assert (sent[HELLO]["protocol"], sent[HELLO]["key"]) == (protocol(), "key")
    assert sent[READY] == {"is_here": True}
    assert sent[BATCH] == {"line": b"line"}
    parts = [data for kind, data in working.sent if kind == PART]
    assert [one["number"] for one in parts] == [0, 1]
    assert parts[0]["data"] == first
    assert sent[TOKENS]["number"] == 0
    assert sent[DRAINED] == {"parts": 2, "tokens": 1, "traced": 1, "examples": "[]", "code": 0}
    assert working.calls == ["begin 12.5", "stop"]
    assert working.told == [
        {"joined": {"number": 1, "of": 2, "run_id": "r1"}}, {"begun": True}, {"drained": True},
    ]  # fmt: skip
    assert not list(working.folder.glob("*.parquet"))  # handed over, and gone here
    assert working.codes == []


def test_its_engine_records_here_and_is_bounded(working: Working) -> None:
    working.plan(max_duration_s=1e9, worker=0)
    [engine] = working.engines
    assert engine.config["samples"] == str(working.folder)
    assert engine.config["max_duration_s"] == DURATION_MAX_S
    assert (engine.config["worker"], engine.config["workers"]) == (0, 2)


def test_a_question_is_answered_with_its_own_clock(working: Working, now: list[float]) -> None:
    working.share.hear(PING, {"sent_s": 3.25})
    assert working.sent == [(PONG, {"sent_s": 3.25, "there_s": 500.0})]


def test_the_plan_of_another_machine_may_not_lead_to_this_machines_own_loopback(
    working: Working,
) -> None:
    working.plan(machine="another")
    [(kind, data)] = working.sent
    assert kind == UNABLE
    assert "127.0.0.1:80 of the master's machine, which cannot be reached" in data["why"]
    assert working.engines == []
    assert working.codes == [4]
    assert "load.entry: ADDRESS:PORT" in working.told[0]["ended"]


def test_nor_may_another_entry_and_no_file_of_data_is_read_for_it(
    working: Working, allowed: Path
) -> None:
    allowed.write_text("192.0.2.7\n")
    there: dict[str, Any] = {"machine": "another", "endpoints": [("192.0.2.7", 80)]}
    for more, why in (
        ({"entries": {"admin": Entry([("127.0.0.1", 81)])}}, "127.0.0.1:81 of the master's"),
        ({"data": ["/etc/shadow"]}, "rows of data are not read here"),
    ):
        working.plan(**there, **more)
        kind, data = working.sent[-1]
        assert kind == UNABLE
        assert why in data["why"]
    assert working.engines == []


def test_only_hosts_that_this_machines_user_allows_are_loaded(
    working: Working, allowed: Path
) -> None:
    allowed.write_text("192.0.2.8\n")
    working.plan(machine="another", endpoints=[("192.0.2.7", 80)])
    [(kind, data)] = working.sent
    assert kind == UNABLE
    assert data["why"].startswith("192.0.2.7 is not an address of this machine")
    assert working.engines == []
    allowed.write_text("192.0.2.7\n")
    working.plan(machine="another", endpoints=[("192.0.2.7", 80)])
    assert working.engines[0].config["endpoints"] == [["192.0.2.7", 80]]


def test_paths_of_another_machine_are_not_read_here(working: Working, allowed: Path) -> None:
    allowed.write_text("192.0.2.7\n")
    there: dict[str, Any] = {"machine": "another", "endpoints": [("192.0.2.7", 80)]}
    there["entries"] = {"admin": Entry([("192.0.2.7", 81)], "/etc/shadow")}
    working.plan(replay=b"arrivals", entry_file="/etc/shadow", **there)
    config = working.engines[0].config
    assert config["entry_file"] == ""
    assert config["entries"]["admin"]["file"] == ""
    assert Path(config["replay"]).read_bytes() == b"arrivals"
    assert Path(config["replay"]).parent == working.folder


@pytest.mark.parametrize("plan", [{}, {"machine": "x"}, {"machine": "x", "config": {"a": 1}}])
def test_what_is_no_plan_starts_nothing(working: Working, plan: dict[str, Any]) -> None:
    working.share.hear(PLAN, plan)
    assert working.kinds() == [UNABLE]
    assert (working.engines, working.codes) == ([], [4])


def test_without_a_master_the_load_ends(working: Working, now: list[float]) -> None:
    working.plan()
    now[0] += 100  # an engine takes its time to start
    working.share.tick()
    assert working.codes == []
    working.share.heard(b"", {"ready": True})
    working.share.hear(BEGIN, {"start_s": 1.0})
    now[0] += MASTER_SILENT_S - 0.1
    working.share.tick()
    working.share.hear(PING, {"sent_s": 1.0})
    now[0] += MASTER_SILENT_S - 0.1
    working.share.tick()
    assert working.codes == []
    now[0] += 0.2
    working.share.tick()
    assert working.calls == ["begin 1.0", "hang up"]
    assert working.codes == [4]
    assert working.told[-1] == {"ended": "the master has not been heard for 10 s"}


def test_it_ends_once_and_says_why(working: Working) -> None:
    working.plan()
    working.share.quit("it was ended on its own machine")
    working.share.quit("again")
    assert working.kinds() == [GONE, GONE]
    assert working.told[1:] == [{"ended": "it was ended on its own machine"}]
    assert (working.calls, working.codes) == (["hang up"], [4])


def test_a_master_that_takes_nobody_ends_it(working: Working) -> None:
    working.share.hear(END, {"why": "the run has all its workers"})
    assert working.told == [{"ended": "the run has all its workers"}]
    assert working.codes == [4]


def test_an_engine_that_fails_is_a_lost_share(working: Working) -> None:
    (working.folder / "engine.log").write_text("trouble\nengine: ca.pem: no such file\n")
    working.plan()
    working.share.failed(1)
    assert working.sent[-1] == (
        GONE,
        {"why": "its engine ended with exit code 1: engine: ca.pem: no such file"},
    )
    assert working.codes == [4]


def test_an_owner_that_is_gone_ends_the_engine_and_nothing_is_said(working: Working) -> None:
    working.plan()
    working.share.abandon()
    assert (working.sent, working.calls) == ([], ["hang up"])
