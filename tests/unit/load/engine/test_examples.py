"""Wrong answers that are kept for people: few, spread over the run, and without a secret."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.load.engine.connection import Connection
from harness.load.engine.examples import EACH_MAX, LENGTH_MAX, Examples
from harness.load.engine.request import Places, Request
from harness.load.engine.response import BEGIN_MAX, Head, Heads, Response
from harness.model.answer import Take
from harness.model.example import Example
from harness.model.load import Operation
from harness.record.examples import read_examples

RUN = "20260102-030405-x"
PLACES = Places("h{index:06d}", f"{RUN}-m", "00" * 8)
VALUES = (7, 5, 0, b"")


def answered(
    status: int = 500, body: bytes = b"", location: bytes = b"", at_s: float = 100.0
) -> Connection:
    response = Response(Heads())
    to = b"Location: " + location + b"\r\n" if location else b""
    response.head, response.body = Head(b"HTTP/1.1 %d X\r\n" % status + to), body
    found = SimpleNamespace(response=response, values=VALUES, due_s=at_s, done_s=at_s + 0.5)
    return cast(Connection, found)


def written(
    folder: Path, connection: Connection, operation: Operation | None = None,
    error: str = "wrong_status",
) -> Example:  # fmt: skip
    examples = Examples("main", RUN)
    operation = operation or Operation(path="/")
    examples.add(Request("home", operation, "127.0.0.1:80", PLACES), connection, error)
    examples.write(folder, "main", 90.0)
    (example,) = read_examples(folder)
    return example


def came(folder: Path, body: bytes, **changes: Any) -> str:
    return written(folder, answered(body=body), Operation(path="/", **changes)).came


def test_an_example_says_what_was_expected_and_what_came(tmp_path: Path) -> None:
    found = written(
        tmp_path, answered(500, b"<h1>no\nredis</h1>"), Operation(path="/", status=(200, 404))
    )
    assert found == Example(
        operation="home", error="wrong_status", stream="main", at_s=10.0, status=500,
        expected="status 200 or 404", came="status 500, <h1>no redis</h1>",
    )  # fmt: skip


def test_of_wrong_content_all_is_said_that_was_looked_for(tmp_path: Path) -> None:
    looks = Operation(
        path="/", location="https://x/{token}", body_contains="code {key}", returns='"id": "(.+)"'
    )
    seen = answered(302, b"oops", location=b"https://x/other")
    found = written(tmp_path, seen, looks, "wrong_content")
    assert found.expected == (
        f'Location https://x/{RUN}-m5; a body with code h000007; a body that matches "id": "(.+)"'
    )
    assert found.came == "status 302, Location https://x/other, oops"


def test_what_was_looked_for_by_name_is_said_and_no_row_or_answer_fills_it(tmp_path: Path) -> None:
    looks = Operation(
        path="/users/{mail}", body_contains="hello {mail}", expect_headers={"x-state": "new"},
        expect_json={"$.state": "new", "$.count": 2}, writes="$.id", method="POST",
        take={"id": Take.model_validate({"header": "location", "regex": "/([0-9]+)"})},
    )  # fmt: skip
    request = Request("home", looks, "h", replace(PLACES, named=("mail",)), is_walked=True)
    found = request.expected("wrong_content", (7, 5, 0, b"", b"", b"ann@secret"))
    assert found.decode() == (
        'a body with hello {mail}; x-state: new; $.state == "new"; $.count == 2;'
        " {id} from header location /([0-9]+); a text or a whole number at $.id"
    )


def test_what_a_row_or_an_answer_filled_is_taken_out(tmp_path: Path) -> None:
    examples = Examples("main", RUN)
    operation = Operation(path="/login", method="POST", body="{password}")
    request = Request("home", operation, "h", replace(PLACES, named=("password",)), is_walked=True)
    connection = answered(401, b"wrong password: hunter2 for 7")
    connection.values = (7, 5, 0, b"", b"", b"hunter2")
    examples.add(request, connection, "wrong_status")
    examples.write(tmp_path, "main", 90.0)
    (found,) = read_examples(tmp_path)
    assert found.came == "status 401, wrong password: *** for 7"


def test_an_empty_answer_has_its_status_alone(tmp_path: Path) -> None:
    assert written(tmp_path, answered(503)).came == "status 503"


def test_few_are_kept_and_they_are_spread_over_the_run() -> None:
    examples, kept = Examples("main", RUN), []
    request = Request("home", Operation(path="/"), "h", PLACES)
    for tick in range(4000):
        now_s = tick / 10
        if examples.wants("home", "wrong_status", now_s):
            examples.add(request, answered(at_s=now_s - 0.5), "wrong_status")
            kept.append(now_s)
    assert kept == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0]
    assert len(kept) == EACH_MAX


def test_each_operation_and_class_has_its_own_and_some_classes_none() -> None:
    examples = Examples("main", RUN)
    examples.add(Request("home", Operation(path="/"), "h", PLACES), answered(), "wrong_status")
    assert not examples.wants("home", "wrong_status", 100.6)
    assert examples.wants("home", "wrong_content", 100.6)
    assert examples.wants("item", "wrong_status", 100.6)
    assert not any(examples.wants("item", error, 0.0) for error in ("", "timeout", "too_slow"))


def test_what_is_shown_is_bounded(tmp_path: Path) -> None:
    assert came(tmp_path, b"no " * 5000) == f"status 500, {('no ' * 100)[: LENGTH_MAX - 1]}…"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"key sw0rdfish!", "key ***"),
        (b"key sw0rdfish%21", "key ***"),  # as in a URL
        (b"you sent X-User: anna.b", "you sent X-User: ***"),
        (b"user YW5uYTpodW50ZXIy", "user ***"),
        (b"hunter2hunter2", "***"),  # the password of Basic
        (b"anna.b:hunter2hunter2", "***"),
        (b"sid is 0123456789", "sid is ***"),  # of the cookie
        (b"csrf 8f3c2ab91d0e4477aa01 given", "csrf *** given"),
        (b'<input name="csrf_token" value="abc"> ok', '<input name="csrf_token" value=***> ok'),
        (b"<input value='abc' name=_session>", "<input value=*** name=_session>"),
        (b"<input name=q value=shoes>", "<input name=q value=shoes>"),
        (b'{"password": "x"}', '{"password": ***}'),
        (b"cannot reach postgres://app:pw@db/shop", "cannot reach postgres://***@db/shop"),
        (b"internationalisations are fine", "internationalisations are fine"),
        (b"98765432109876543210987", "98765432109876543210987"),
        (b"127.0.0.1:80 text/html", "127.0.0.1:80 text/html"),  # Host, Accept
        (f"no row {RUN}-m5".encode(), f"no row {RUN}-m5"),
        (b"\xff\x00\x1b[31m", "\ufffd\ufffd\ufffd[31m"),
    ],
)
def test_secrets_are_taken_out_however_a_target_repeats_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, shown: str
) -> None:
    monkeypatch.setenv("HARNESS_SECRET_KEY", "sw0rdfish!")
    basic = base64.b64encode(b"anna.b:hunter2hunter2").decode()
    headers = {
        "X-User": "anna.b", "Authorization": f"Basic {basic}", "Cookie": "sid=0123456789; b=1",
        "Accept": "text/html", "X-Custom": "YW5uYTpodW50ZXIy", "Idempotency-Key": "{token}",
    }  # fmt: skip
    assert came(tmp_path, body, headers=headers) == f"status 500, {shown}"


def test_a_redirect_keeps_its_secrets_too(tmp_path: Path) -> None:
    seen = answered(302, location=b"/login?access_token=abc&next=/")
    assert written(tmp_path, seen).came == "status 302, Location /login?access_token=***&next=/"


def test_a_secret_that_is_cut_off_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White space and long words are shortened: what is at the end of what is kept comes up."""
    monkeypatch.setenv("HARNESS_SECRET_KEY", "swordfish")
    compact = b'{"id":"' + b"a1" * 503 + b'","k":"swordfish"}'
    assert compact.index(b"swordfish") < BEGIN_MAX < compact.index(b"fish")
    assert came(tmp_path, compact) == 'status 500, {"id":"***","k":"'
    body = b"key" + b" " * (BEGIN_MAX - 7) + b"swordfish and more"
    assert came(tmp_path, body) == "status 500, key"
    assert came(tmp_path, b" " * (BEGIN_MAX + 9)) == "status 500"


def test_without_a_wrong_answer_there_is_no_file_and_a_full_disk_is_no_error(
    tmp_path: Path,
) -> None:
    Examples("main", RUN).write(tmp_path, "main", 0.0)
    assert list(tmp_path.iterdir()) == []
    examples = Examples("main", RUN)
    examples.add(Request("home", Operation(path="/"), "h", PLACES), answered(), "wrong_status")
    examples.write(tmp_path / "gone", "main", 0.0)
    assert not (tmp_path / "gone").exists()
