"""Chains against a small shop: each step is sent once, in its order, with what it needs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest

from harness.load.engine.config import EngineConfig, Entry
from harness.model.load import Data, Load, Operation

RATE_PER_S, SECONDS, THINKS_S, DRAIN_S = 60, 1.5, 0.05, 5
pytestmark = pytest.mark.measures
CHAIN = ("login", "create", "look")
OPERATIONS = {
    "home": Operation(path="/"),
    "login": Operation.model_validate(
        {"method": "POST", "path": "/login", "body": '{"mail": "{mail}"}',
         "take": {"session": "$.session"}}
    ),
    "create": Operation.model_validate(
        {"method": "POST", "path": "/orders", "status": 201, "entry": "api", "is_write": True,
         "auth": {"bearer": {"token": "{session}"}}, "body": "{token}",
         "take": {"order": {"header": "location"}}}
    ),
    "look": Operation.model_validate(
        {"path": "{order}", "expect_json": {"$.owner": "{mail}"},
         "expect_headers": {"content-type": "application/json"}}
    ),
}  # fmt: skip


class Shop(BaseHTTPRequestHandler):
    """Knows who signed in by the cookie and the token, and whose order is which."""

    protocol_version = "HTTP/1.1"
    sessions: ClassVar[dict[str, str]] = {}
    orders: ClassVar[dict[str, str]] = {}
    problems: ClassVar[list[str]] = []
    numbers: ClassVar[Iterator[int]] = iter(())
    fails_orders: ClassVar[bool] = False

    def do_GET(self) -> None:
        owner = Shop.orders.get(self.path)
        if self.path != "/" and (owner is None or Shop.sessions.get(self._cookie()) != owner):
            Shop.problems.append(f"{self.path} asked for with the cookie {self._cookie()!r}")
        self._answer(200, {"owner": owner})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = next(Shop.numbers)
        if self.path == "/login":
            mail = json.loads(body)["mail"]
            if self._cookie():
                Shop.problems.append("a chain began with the cookie of another one")
            Shop.sessions[f"s{number}"] = mail
            self._answer(200, {"session": f"t{number}"}, {"Set-Cookie": f"sid=s{number}; Path=/"})
            return
        sleep(THINKS_S)
        session = self._cookie()
        if self.headers["Authorization"] != f"Bearer t{session[1:]}":
            Shop.problems.append(f"{session} with {self.headers['Authorization']}")
        if Shop.fails_orders:
            self._answer(503, {})
            return
        order = f"/orders/{number}"
        Shop.orders[order] = Shop.sessions.get(session, "")
        self._answer(201, {}, {"Location": order})

    def _cookie(self) -> str:
        return (self.headers["Cookie"] or "").removeprefix("sid=")

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        more = {"Content-Length": str(len(body)), "Content-Type": "application/json; charset=utf-8"}
        for name, text in {**more, **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at what was asked."""


@pytest.fixture
def shop() -> Iterator[tuple[int, int]]:
    """The ports of its two entries."""
    Shop.sessions, Shop.orders, Shop.problems = {}, {}, []
    Shop.numbers, Shop.fails_orders = count(), False
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Shop) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield servers[0].server_address[1], servers[1].server_address[1]
    for server in servers:
        server.shutdown()
        server.server_close()


def run(folder: Path, ports: tuple[int, int], timeout_s: float = 2.0) -> tuple[Any, Any]:
    """The rows by operation, and the last report."""
    users = folder / "users.csv"
    users.write_text("mail\n" + "".join(f"u{number}@x\n" for number in range(7)))
    load = Load(
        rate_per_s=RATE_PER_S, mix={"buy": 1.0, "home": 1.0}, chains={"buy": CHAIN},
        data=(Data(file="users.csv", columns=("mail",), rows=7),), timeout_s=timeout_s,
        canary_rate_per_s=0,
    )  # fmt: skip
    config = EngineConfig(
        stream="main", run_id="run", seed=5, endpoints=[("127.0.0.1", ports[0])],
        load=load.model_dump(mode="json"), mix=dict(load.mix), samples=str(folder),
        operations={name: one.model_dump(mode="json") for name, one in OPERATIONS.items()},
        entries={"api": Entry([("127.0.0.1", ports[1])])}, data=[str(users)],
        max_duration_s=20,
    )  # fmt: skip
    path = folder / "engine.json"
    path.write_text(config.to_json())
    command = [sys.executable, "-m", "harness.load.engine", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        assert b"ready" in child.stdout.readline()
        say = child.stdin
        say.write(f"rate {RATE_PER_S}\nbegin {monotonic() + 0.1!r}\n".encode())
        say.flush()
        sleep(SECONDS)
        say.write(f"stop {DRAIN_S}\n".encode())  # it ends as soon as nothing is in flight
        say.flush()
        reports = [json.loads(line) for line in child.stdout]  # it ends when it has finished
    rows = [
        row for part in folder.glob("main-*.parquet") for row in pq.read_table(part).to_pylist()
    ]
    rows.sort(key=lambda row: row["intended_s"])
    by_operation = {name: [row for row in rows if row["op"] == name] for name in OPERATIONS}
    return by_operation, next(report for report in reversed(reports) if "ops" in report)


def test_each_step_follows_the_answer_before_it_and_the_schedule_is_kept(
    shop: tuple[int, int], tmp_path: Path
) -> None:
    rows, report = run(tmp_path, shop)
    assert Shop.problems == []
    assert {row["error"] for each in rows.values() for row in each} == {""}
    begun = sorted(row["intended_s"] for name in ("home", "login") for row in rows[name])
    assert len(begun) == pytest.approx(RATE_PER_S * SECONDS, abs=12)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert all(gap == pytest.approx(1 / RATE_PER_S, abs=1e-6) for gap in gaps)
    counts = [len(rows[name]) for name in CHAIN]
    assert counts[0] >= counts[1] >= counts[2] >= counts[0] - 2 * RATE_PER_S * 2 * THINKS_S - 4
    done = {row["done_s"] for row in rows["login"]} | {row["done_s"] for row in rows["create"]}
    for name in ("create", "look"):
        for row in rows[name]:
            assert row["intended_s"] in done  # due when the answer before it was there
            assert row["sent_s"] - row["intended_s"] < 0.05
    assert min(row["done_s"] - row["intended_s"] for row in rows["create"]) >= THINKS_S
    assert report["not_reached"] == 0
    assert {row["write"] for row in rows["create"]} == {"ok"}
    numbers = [row["key"] for row in rows["create"]]
    assert len(set(numbers)) == len(numbers)


def test_users_of_the_file_come_in_turn(shop: tuple[int, int], tmp_path: Path) -> None:
    run(tmp_path, shop)
    mails = [mail for _, mail in sorted(Shop.sessions.items(), key=lambda each: int(each[0][1:]))]
    assert mails[:9] == [f"u{number % 7}@x" for number in range(9)]


def test_a_failed_step_ends_its_chain_and_what_is_left_counts_as_not_reached(
    shop: tuple[int, int], tmp_path: Path
) -> None:
    Shop.fails_orders = True
    rows, report = run(tmp_path, shop)
    assert {row["error"] for row in rows["create"]} == {"wrong_status"}
    assert rows["look"] == []
    assert report["not_reached"] == len(rows["create"]) > 10
    assert {row["error"] for row in (*rows["home"], *rows["login"])} == {""}
    assert not any(math.isnan(row["sent_s"]) for row in rows["login"])


def test_an_answer_that_never_comes_is_the_steps_own_time_out(
    shop: tuple[int, int], tmp_path: Path
) -> None:
    rows, report = run(tmp_path, shop, timeout_s=THINKS_S / 2)
    assert {row["error"] for row in rows["create"]} <= {"timeout", "connect_timeout"}
    assert rows["look"] == []
    assert report["not_reached"] >= len(rows["create"]) > 10
