"""A walk goes from step to step with what it has learned, and with nothing of any other walk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import LoadError
from harness.load.data_file import read_table
from harness.load.engine.config import EngineConfig, Entry
from harness.load.engine.request import Request, Values
from harness.load.engine.response import Heads, Response
from harness.load.engine.setup import in_flight_limit, make_requests, make_schedule, make_walks
from harness.load.engine.walks import STEP_NUMBERS, Walks
from harness.model.load import Data, Load, Operation

OPERATIONS = {
    "home": Operation(path="/"),
    "login": Operation(path="/login?u={user}", method="POST", take={"session": "$.session"}),
    "create": Operation(
        path="/orders/{key}", method="POST", is_write=True, body="{token}",
        headers={"authorization": "Bearer {session}"}, take={"id": {"header": "location"}},
    ),
    "look": Operation(path="{id}?k={key}&u={user}", entry="other"),
}  # fmt: skip
CHAINS = {"buy": ("login", "create", "look"), "short": ("login",)}


def made(
    folder: Path, mix: list[str], stream: str = "main", **data: Any
) -> tuple[list[Request], Walks, EngineConfig, Load]:
    path = folder / "users.csv"
    path.write_text("user,mail\nann,a@x\nbob,b@x\ncid,c@x\n")
    known = Data(file="users.csv", path=path, columns=("user", "mail"), rows=3, **data)
    load = Load(rate_per_s=1, mix=dict.fromkeys(mix, 1.0), chains=CHAINS, data=(known,))
    names = {step for name in mix for step in load.steps(name)}
    config = EngineConfig(
        stream=stream, run_id="r", seed=1, endpoints=[("127.0.0.1", 80)], load={}, samples="",
        operations={name: OPERATIONS[name].model_dump(mode="json") for name in names},
        mix=dict(load.mix), data=[str(path)], entries={"other": Entry([("127.0.0.1", 81)])},
    )  # fmt: skip
    requests = make_requests(config, load)
    return requests, make_walks(config, load, requests), config, load


def answer(body: bytes = b"", *headers: bytes) -> Response:
    response = Response(Heads())
    lines = [b"HTTP/1.1 200 X", b"Content-Length: %d" % len(body), *headers]
    response.feed(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return response


def first_line(request: Request, values: Values) -> bytes:
    return request.render(values).partition(b" HTTP/1.1")[0]


@pytest.mark.parametrize(
    ("worker", "workers", "users"),
    [(0, 1, "ann bob cid"), (0, 2, "ann cid bob"), (1, 2, "bob ann cid")],
)
def test_each_worker_has_rows_of_its_own(
    tmp_path: Path, worker: int, workers: int, users: str
) -> None:
    requests, _, config, load = made(tmp_path, ["short"])
    mine = make_walks(replace(config, worker=worker, workers=workers), load, requests)
    lines = [first_line(requests[0], mine.begin(0, 0, number)[1]) for number in range(3)]
    assert lines == [f"POST /login?u={user}".encode() for user in users.split()]


def test_what_an_arrival_begins_with_comes_first_in_the_order_of_the_mix(tmp_path: Path) -> None:
    requests, walks, _, _ = made(tmp_path, ["home", "buy", "short"])
    assert [each.name for each in requests] == ["home", "login", "login", "create", "look"]
    assert sorted(walks) == [1, 2]
    assert 0 not in walks


def test_each_step_has_what_was_taken_before_it_and_the_row_of_its_arrival(tmp_path: Path) -> None:
    requests, walks, _, _ = made(tmp_path, ["buy"])
    walk, values = walks.begin(0, 9, 4)
    assert first_line(requests[0], values) == b"POST /login?u=ann"
    assert walk.left == 2
    step = walks.go_on(walk, answer(b'{"session": "s 1"}'), values)
    assert step is not None
    index, values = step
    sent = requests[index].render(values)
    assert sent.startswith(b"POST /orders/%d HTTP" % (4 + STEP_NUMBERS))
    assert b"\r\nauthorization: Bearer s 1\r\n" in sent
    assert sent.endswith(b"\r\n\r\nr-m%d" % (4 + STEP_NUMBERS))
    step = walks.go_on(walk, answer(b"", b"Location: http://h:1/orders/a b?x=1"), values)
    assert step is not None
    index, values = step
    assert first_line(requests[index], values) == b"GET /orders/a%20b?x=1?k=9&u=ann"
    assert b"\r\nHost: 127.0.0.1:81\r\n" in requests[index].render(values)
    assert walk.left == 0
    assert walks.go_on(walk, answer(), values) is None


def test_a_walk_keeps_its_cookies_and_the_next_one_begins_without_them(tmp_path: Path) -> None:
    requests, walks, _, _ = made(tmp_path, ["buy"])
    walk, values = walks.begin(0, 9, 4)
    assert b"Cookie" not in requests[0].render(values)
    kept = answer(b'{"session": "s"}', b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2; Path=/no")
    step = walks.go_on(walk, kept, values)
    assert step is not None
    assert b"\r\nCookie: a=1\r\n" in requests[step[0]].render(step[1])
    _, values = walks.begin(0, 9, 5)
    assert b"Cookie" not in requests[0].render(values)


@pytest.mark.parametrize(
    ("stream", "order", "users"),
    [
        ("main", "file", ["ann", "bob", "cid", "ann"]),
        ("canary", "file", ["bob", "cid", "ann", "bob"]),
        ("main", "shuffled", ["bob", "cid", "ann", "bob"]),
    ],
)
def test_each_arrival_has_a_row_of_its_own(
    tmp_path: Path, stream: str, order: str, users: list[str]
) -> None:
    requests, walks, _, _ = made(tmp_path, ["short"], stream, order=order)
    found = [walks.begin(0, 0, number)[1] for number in range(4)]
    lines = [first_line(requests[0], values).decode() for values in found]
    assert lines == [f"POST /login?u={user}" for user in users]


def test_a_file_that_was_changed_since_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="was changed since the experiment was read"):
        made(tmp_path, ["short"], sha256="0")[1].begin(0, 0, 0)
    right = read_table(tmp_path / "users.csv").sha256
    made(tmp_path, ["short"], sha256=right)[1].begin(0, 0, 0)


def test_a_chain_draws_a_key_if_one_of_its_steps_does(tmp_path: Path) -> None:
    """`look` needs one; `login` and `create`, which do not, have their numbers all the same."""
    requests, walks, config, load = made(tmp_path, ["buy", "home"])
    schedule = make_schedule(config, load, requests)
    keys = {op: set[int]() for op in (0, 1)}
    for _ in range(400):
        keys[schedule.op].add(schedule.key)
        schedule.advance()
    assert len(keys[0]) < 190  # drawn: some keys are so popular that they come again
    assert len(keys[1]) > 150  # numbers: each of them once
    _, values = walks.begin(0, 3, 8)
    assert values[:2] == (8, 8)


def test_there_is_room_for_all_steps_of_an_arrival(tmp_path: Path) -> None:
    load = Load(rate_per_s=20, mix={"buy": 1.0}, chains=CHAINS, timeout_s=5, canary_rate_per_s=0)
    assert in_flight_limit(load, 9) >= 3 * 20 * 5
