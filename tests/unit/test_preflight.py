"""Before a load each operation is sent once to each address; what fails ends the run clearly."""

from __future__ import annotations

from pathlib import Path

import pytest
from answering import answering
from fakes import FakeClock

from harness.errors import TargetError, UsageError
from harness.model.answer import Take
from harness.model.experiment import Experiment, Phase
from harness.model.load import Data, Load, Operation
from harness.model.target import Target
from harness.preflight import TRIES, operations_of, preflight, unwell

HOME = Operation(path="/")
ADD = Operation(method="POST", path="/items", body="{token}", status=(201,), is_write=True)
LOOK = Operation(path="/items/{written}", reads="add", read_after_s=4)


def experiment(locustfile: str = "", **operations: Operation) -> Experiment:
    load = Load(
        rate_per_s=1, mix=dict.fromkeys(operations, 1.0), canary=("home",), timeout_s=2,
        locustfile=locustfile or None,
    )  # fmt: skip
    return Experiment(
        name="x", title="t", load=load, operations=operations, faults=(), hypothesis=(),
        phases=(Phase(name="baseline", start_s=0, end_s=1),),
    )  # fmt: skip


def _shop(method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
    if path == "/broken":
        return 500, b"no database", {}
    return (201, b"made", {}) if method == "POST" else (200, b"welcome " + path.encode(), {})


def test_each_operation_is_sent_once_to_each_address_and_shown() -> None:
    said: list[str] = []
    with answering(_shop) as one, answering(_shop) as two:
        mine = experiment(home=HOME, add=ADD)
        rows = preflight(mine, [one.address, two.address], FakeClock(), said.append)
    for server in (one, two):
        assert server.seen == ["GET /", "POST /items"]
    assert [row["operation"] for row in rows] == ["home", "home", "add", "add"]
    assert [(row["status"], row["error"]) for row in rows] == [(200, "")] * 2 + [(201, "")] * 2
    assert rows[0]["to"] == f"127.0.0.1:{one.address[1]}"
    assert said[0].startswith(f"preflight: home: GET / to {rows[0]['to']}: 200 in ")
    assert said[0].endswith(": welcome /")


def test_tokens_are_never_those_of_a_run_and_never_the_same_again() -> None:
    bodies = []
    for _ in range(2):
        with answering(_shop) as server:
            preflight(experiment(add=ADD), [server.address], FakeClock(), lambda _: None)
        bodies.append(server.bodies["POST /items"])
    assert all(body.startswith(b"preflight-") for body in bodies)
    assert bodies[0] != bodies[1]


def test_a_write_comes_before_what_reads_it_and_its_time_is_waited_for() -> None:
    clock = FakeClock()
    began_s = clock.now_s()
    with answering(_shop) as server:
        preflight(experiment(look=LOOK, add=ADD), [server.address], clock, lambda _: None)
    token = server.bodies["POST /items"].decode()
    assert server.seen == ["POST /items", f"GET /items/{token}"]
    assert clock.now_s() == began_s + 4


def test_what_reads_a_write_after_long_is_left_out() -> None:
    late = LOOK.model_copy(update={"read_after_s": 16})
    assert operations_of(experiment(home=HOME, add=ADD, look=late)) == ["home", "add"]
    latest = LOOK.model_copy(update={"read_after_s": 15})
    assert operations_of(experiment(home=HOME, add=ADD, look=latest)) == ["home", "add", "look"]
    after = Operation(path="/{written}", reads="look", read_after_s=12)
    assert operations_of(experiment(after=after, add=ADD, look=LOOK)) == ["add", "look"]


def test_of_a_users_own_class_only_the_canary_is_known() -> None:
    assert operations_of(experiment("mine.py::User", home=HOME, add=ADD)) == ["home"]


def test_an_operation_that_fails_ends_it_with_what_was_sent_what_came_and_what_to_do() -> None:
    broken = Operation(path="/broken", status=(200, 204))
    mine = experiment(home=HOME, broken=broken)
    with answering(_shop) as server, pytest.raises(TargetError) as caught:
        preflight(mine, [server.address], FakeClock(), lambda _: None)
    text = caught.value.message
    assert text.startswith("x: operations fail before anything is broken:\n  broken: GET /broken")
    assert "500 in " in text
    assert text.endswith("(expected status 200 or 204): no database")
    assert "home" not in text
    assert "steady_state: ignore" in caught.value.hint


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation(path="/", body_contains="bye"), "(expected a body with bye)"),
        (Operation(path="/", location="/there"), "(expected Location /there)"),
        (Operation(path="/", limit_s=0), "(expected within 0 ms)"),
    ],
)
def test_it_says_what_was_expected(operation: Operation, expected: str) -> None:
    with answering(_shop) as server, pytest.raises(TargetError) as caught:
        preflight(experiment(x=operation), [server.address], FakeClock(), lambda _: None)
    assert expected in caught.value.message


def test_a_read_that_fails_is_sent_again_and_a_change_is_not() -> None:
    left = [TRIES - 1]

    def reply(method: str, _: str, __: bytes) -> tuple[int, bytes, dict[str, str]]:
        left[0] -= 1
        return (200 if left[0] < 0 else 503), b"", {}

    clock = FakeClock()
    with answering(reply) as server:
        preflight(experiment(home=HOME), [server.address], clock, lambda _: None)
    assert server.seen == ["GET /"] * TRIES
    assert clock.now_s() == 100 + TRIES - 1
    left[0] = 1
    mine = experiment(add=ADD.model_copy(update={"status": (200,)}))
    with answering(reply) as server, pytest.raises(TargetError):
        preflight(mine, [server.address], clock, lambda _: None)
    assert server.seen == ["POST /items"]


def test_what_reads_a_write_of_another_entry_reads_that() -> None:
    look = LOOK.model_copy(update={"read_after_s": 0.0, "reads": "us.add"})
    operations = {"us.add": ADD, "eu.look": look.model_copy(update={"entry": "eu"})}
    with answering(_shop) as us, answering(_shop) as eu:
        mine = experiment(**operations)
        rows = preflight(mine, [us.address], FakeClock(), lambda _: None, {"eu": [eu.address]})
    token = us.bodies["POST /items"]
    assert [row["operation"] for row in rows] == ["us.add", "eu.look"]
    assert eu.seen == [f"GET /items/{token.decode()}"]


def test_what_reads_a_write_that_failed_is_not_sent() -> None:
    mine = experiment(add=ADD, look=LOOK)
    with answering(lambda *_: (500, b"", {})) as server, pytest.raises(TargetError) as caught:
        preflight(mine, [server.address], FakeClock(), lambda _: None)
    assert server.seen == ["POST /items"]
    assert "look" not in caught.value.message


def _target(*healthy: str) -> Target:
    return Target(operations={"home": HOME, "broken": Operation(path="/broken")}, healthy=healthy)


def test_the_operations_that_make_a_target_healthy_are_sent_to_its_only_entry() -> None:
    with answering(_shop) as one, answering(_shop) as two:
        found = unwell(_target("home", "broken"), {"web": [one.address, two.address]})
    assert one.seen == two.seen == ["GET /", "GET /broken"]
    assert found["home"] == ""
    assert "GET /broken to 127.0.0.1" in found["broken"]
    assert found["broken"].count("(expected status 200): no database") == 2


def test_of_several_entries_the_one_that_is_meant_is_asked() -> None:
    with answering(_shop) as web, answering(_shop) as result:
        entries = {"web": [web.address], "result": [result.address]}
        assert unwell(_target("result.home"), entries) == {"result.home": ""}
        with pytest.raises(UsageError) as caught:
            unwell(_target("home"), entries)
    assert (web.seen, result.seen) == ([], ["GET /"])
    assert caught.value.message == "healthy: home: no entry is meant; published: result, web"
    assert caught.value.hint == "write result.home"


def test_a_target_without_an_entry_cannot_be_asked() -> None:
    with pytest.raises(UsageError, match="healthy: home: no entry is meant; published: none"):
        unwell(_target("home"), {})


def test_a_target_that_names_none_is_sent_nothing() -> None:
    assert unwell(_target(), {"web": [("127.0.0.1", 1)]}) == {}


SHOP = {
    "login": Operation.model_validate({"method": "POST", "path": "/login", "body": "{mail}",
                                       "take": {"session": "$.session"}}),
    "order": Operation.model_validate({"method": "POST", "path": "/orders?s={session}",
                                       "status": 201, "entry": "api", "is_write": True,
                                       "take": {"id": {"header": "location"}}}),
    "look": Operation.model_validate({"path": "{id}", "expect_json": {"$.owner": "{mail}"}}),
    "home": HOME,
    "back": Operation(path="/back/{written}", reads="order", entry="api"),
}  # fmt: skip


def _orders(method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
    if path == "/login":
        return 200, b'{"session": "s7"}', {"Set-Cookie": "sid=1; Path=/"}
    if method == "POST":
        return (201, b"", {"Location": "/orders/3"}) if path.endswith("s7") else (403, b"who?", {})
    return 200, b'{"owner": "ann@x"}', {}


def shop(folder: Path) -> Experiment:
    (folder / "users.csv").write_text("mail\nann@x\nbob@x\n")
    data = Data(file="users.csv", path=folder / "users.csv", columns=("mail",), rows=2)
    chain = {"buy": ("login", "order", "look")}
    mine = experiment(**SHOP)
    load = mine.load.model_copy(
        update={"mix": {"back": 1.0, "home": 1.0, "buy": 1.0}, "chains": chain, "data": (data,)}
    )
    return mine.model_copy(update={"load": load})


def test_a_chain_is_sent_once_step_by_step_before_what_reads_its_write(tmp_path: Path) -> None:
    mine = shop(tmp_path)
    assert operations_of(mine) == ["login", "order", "look", "home", "back"]
    with answering(_orders) as web, answering(_orders) as api:
        others = {"api": [api.address]}
        rows = preflight(mine, [web.address], FakeClock(), lambda _: None, others)
    assert web.seen == ["POST /login", "GET /orders/3", "GET /"]
    assert web.bodies["POST /login"] == b"ann@x"
    assert api.seen[0] == "POST /orders?s=s7"
    assert api.seen[1].startswith("GET /back/preflight-")
    assert [row["error"] for row in rows] == [""] * 5


def test_what_is_shown_of_a_chain_has_no_values(tmp_path: Path) -> None:
    said: list[str] = []
    with answering(_orders) as web:
        others = {"api": [web.address]}
        rows = preflight(shop(tmp_path), [web.address], FakeClock(), said.append, others)
    lines = [row["request"] for row in rows]
    assert lines[:3] == ["POST /login", "POST /orders?s={session}", "GET {id}"]
    assert "s7" not in "".join(said)


def test_a_step_that_fails_ends_the_chain_and_says_what_was_expected(tmp_path: Path) -> None:
    wrong = SHOP["login"].model_copy(update={"take": {"session": Take.model_validate("$.sess")}})
    mine = shop(tmp_path)
    mine = mine.model_copy(update={"operations": {**SHOP, "login": wrong}})
    with answering(_orders) as web, pytest.raises(TargetError) as caught:
        preflight(mine, [web.address], FakeClock(), lambda _: None, {"api": [web.address]})
    assert web.seen == ["POST /login", "GET /"]  # a change is not sent again
    assert "expected {session} from json $.sess" in caught.value.message


def test_an_operation_with_a_row_of_data_is_sent_with_the_first_one(tmp_path: Path) -> None:
    mine = shop(tmp_path)
    one = Operation(path="/users/{mail}", status=(200, 201))
    load = mine.load.model_copy(update={"mix": {"user": 1.0}, "chains": {}})
    mine = mine.model_copy(update={"load": load, "operations": {"user": one}})
    with answering(_orders) as web:
        preflight(mine, [web.address], FakeClock(), lambda _: None)
    assert web.seen == ["GET /users/ann%40x"]


def test_a_chain_that_only_reads_is_tried_again(tmp_path: Path) -> None:
    mine = shop(tmp_path)
    chain = {"read": ("one", "two")}
    operations = {"one": HOME, "two": Operation(path="/broken")}
    load = mine.load.model_copy(update={"mix": {"read": 1.0}, "chains": chain, "data": ()})
    mine = mine.model_copy(update={"load": load, "operations": operations})
    with answering(_shop) as web, pytest.raises(TargetError):
        preflight(mine, [web.address], FakeClock(), lambda _: None)
    assert web.seen == ["GET /", "GET /broken"] * TRIES


def test_an_operation_of_another_entry_is_healthy_there() -> None:
    other = Operation(path="/", entry="api")
    with answering(_shop) as web, answering(_shop) as api:
        target = Target(operations={"other": other}, healthy=("other",))
        entries = {"web": [web.address], "api": [api.address]}
        assert unwell(target, entries) == {"other": ""}
    assert (web.seen, api.seen) == ([], ["GET /"])
