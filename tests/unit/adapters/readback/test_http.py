"""Items are looked up as a client would, and only an answer that says so is a loss."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import Cut, FakeClock, FakeEngine, FakeHttp, container

from harness.adapters.readback.http import NEVER_WRITTEN, TRIES, UNCLEAR_MAX, HttpLookup
from harness.errors import TargetError
from harness.model.http import Answer
from harness.model.load import Load, Tls
from harness.model.readback import Readback

BASE = "http://127.0.0.1:8123/items"
NEVER = f"{BASE}/{NEVER_WRITTEN}"


def lookup(answers: dict[str, Any], entry: str = "shop", **said: Any) -> HttpLookup:
    web = container("web", labels={"harness.entry": f"{entry}:80"}, ports={80: 8123})
    engine = FakeEngine({web.id: web}, FakeClock(), Cut())
    return HttpLookup(Readback(http="GET /items/{token}", **said), engine, FakeHttp(answers))


def lookup_at(entry: str, answers: dict[str, Any], at: str = "") -> HttpLookup:
    """One that is told to ask at an entry, of a project that has `entry`."""
    web = container("web", labels={"harness.entry": f"{entry}:80"}, ports={80: 8123})
    engine = FakeEngine({web.id: web}, FakeClock(), Cut())
    said = Readback(http="GET /items/{token}", entry=at or entry)
    return HttpLookup(said, engine, FakeHttp(answers))


def load(**changes: Any) -> Load:
    return Load(**{"entry": "shop", "rate_per_s": 9, "mix": {"put": 1.0}, **changes})


def test_an_item_is_there_or_not_as_the_status_says() -> None:
    answers = {f"{BASE}/a": Answer(200), f"{BASE}/b": Answer(404), f"{BASE}/c": Answer(410)}
    found = lookup({**answers, NEVER: Answer(404)})
    assert found.open(load()) == "shop"
    assert found.rows(["a", "b", "c"]) == {"a": 1, "b": 0, "c": 0}


def test_which_status_says_what_can_be_given() -> None:
    answers = {f"{BASE}/a": Answer(302), f"{BASE}/b": Answer(422), NEVER: Answer(422)}
    found = lookup(answers, status=302, absent=422)
    found.open(load())
    assert found.rows(["a", "b"]) == {"a": 1, "b": 0}


def test_an_answer_can_say_how_many_there_are() -> None:
    answers = {
        f"{BASE}/{name}": Answer(200, b'{"hits": {"total": %d}}' % count)
        for name, count in {"a": 1, "b": 0, "c": 2, NEVER_WRITTEN: 0}.items()
    }
    found = lookup({**answers, f"{BASE}/d": Answer(404)}, count="$.hits.total")
    found.open(load())
    assert found.rows(["a", "b", "c", "d"]) == {"a": 1, "b": 0, "c": 2, "d": 0}


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{}", b'{"total": "1"}', b'{"total": true}', b'{"total": -1}']
)
def test_an_answer_without_the_number_says_neither(body: bytes) -> None:
    answers = {f"{BASE}/a": Answer(200, body), NEVER: Answer(200, b'{"total": 0}')}
    found = lookup(answers, count="$.total")
    found.open(load())
    said = "answered no number at $.total, which says neither"
    assert said in str(found.rows(["a"])["a"])


def test_what_also_counts_what_nobody_wrote_proves_nothing() -> None:
    with pytest.raises(TargetError, match="which nobody wrote: it proves nothing"):
        lookup({NEVER: Answer(200, b'{"n": 7}')}, count="$.n").open(load())


def test_it_can_be_asked_at_another_entry_than_the_loads() -> None:
    found = lookup_at("store", {NEVER: Answer(404), f"{BASE}/a": Answer(200)})
    assert found.open(load(entry="elsewhere", tls=Tls())) == "store"
    assert found.rows(["a"]) == {"a": 1}
    with pytest.raises(TargetError, match="no entry 'stor' is published"):
        lookup_at("store", {}, at="stor").open(load())


@pytest.mark.parametrize("answer", [Answer(503), Answer(0, error="timed out")])
def test_what_says_neither_is_asked_again_and_then_not_known(answer: Answer) -> None:
    asked = []

    def again() -> Answer:
        asked.append(1)
        return answer if len(asked) < TRIES else Answer(200)

    found = lookup({f"{BASE}/a": again, f"{BASE}/b": answer, NEVER: Answer(404)})
    found.open(load())
    rows = found.rows(["a", "b"])
    assert rows["a"] == 1
    said = answer.status or answer.error
    assert str(rows["b"]).startswith(f"GET /items/{{token}} answered {said}, which says neither")


def test_a_target_of_which_nothing_is_clear_is_not_asked_for_all() -> None:
    found = lookup({NEVER: Answer(404)})
    found.open(load())
    for number in range(UNCLEAR_MAX):
        found.rows([f"a{number}"])
    with pytest.raises(TargetError, match="answered refused, which says neither"):
        found.rows(["a"])


def test_what_also_finds_what_nobody_wrote_proves_nothing() -> None:
    with pytest.raises(TargetError, match="which nobody wrote: it proves nothing"):
        lookup({NEVER: Answer(200)}).open(load())


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"tls": Tls()}, "speaks no TLS"), ({"entry": "other"}, "no entry 'other' is published")],
)
def test_where_it_cannot_ask(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TargetError, match=why):
        lookup({NEVER: Answer(404)}).open(load(**changes))


def test_an_entry_that_is_an_address_is_asked_there() -> None:
    found = lookup({NEVER: Answer(404), f"{BASE}/a": Answer(200)})
    found.open(load(entry="127.0.0.1:8123"))
    assert found.rows(["a"]) == {"a": 1}


def test_nothing_but_a_token_is_put_into_a_url() -> None:
    with pytest.raises(ValueError, match="never put into a URL"):
        lookup({}).rows(["../admin"])
